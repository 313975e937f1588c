"""Tables that JSON writes in other ways than as a list of objects: wrapped, by columns, by index, with a list of names.

Guarantees: the way is chosen by what the text holds; every form gives one object per row, in file order, with the line on which
the row starts; no form reads the file into memory; columns that do not line up end the table there, and that is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import orjson

from studio.data.shape import normal
from studio.data.sources.csv_records import MOST_COLUMNS, Record
from studio.data.sources.json_outline import Malformed, Part, Reader, outline
from studio.data.sources.json_records import Container, finished
from studio.data.sources.source import Source

#: Names that say that an object is a row by itself.
_ROW_NAMES = frozenset(
    {
        *("prompt", "completion", "response", "instruction", "output", "input", "question", "answer", "text", "messages"),
        *("conversations", "conversation", "chosen", "rejected", "reward", "system", "query", "reply", "context"),
    }
)
_LIST_NAMES = ("rows", "data", "records", "examples", "items", "train", "samples", "results", "instances", "entries")
_NAME_LISTS = frozenset({"columns", "header", "headers", "fields", "column_names", "features", "names"})
_WRAPPERS = (frozenset({"row_idx", "row"}), frozenset({"_source"}), frozenset({"node"}))
_INNER = ("row", "_source", "node")
_SMALL_PIECE = 64 * 1024


def form_of(source: Source, found: Container, key: str = "") -> Container:
    """The container of a JSON text that is one object or one list of lists; ``found`` when it is neither.

    ``key`` is the way to the list that a person chose.
    """
    parts, alone = outline([source.sample.encode("utf-8", "replace")])
    if not parts or (parts[0].whole and not alone):
        return found
    decided = _decided(parts, key, found)
    if source.complete or (decided and decided.packing == "wrapped" and not key):
        return decided or found
    if parts[0].kind == "list":
        return decided or found
    parts, alone = outline(source.chunks())
    return (_decided(parts, key, found) if alone else None) or found


def form_records(source: Source, container: Container) -> Iterator[Record]:
    """The rows of a table by columns, by index or with a list of names."""
    reader = _table_by_columns if container.packing == "columns" else _table_by_index
    reader = _table_with_names if container.packing == "split" else reader
    line = container.line
    try:
        for record in reader(source, container):
            line = record[0]
            yield record
    except Malformed:
        yield line, "file_cut_off", b""


def unwrapped(records: Iterable[Record], inner: str) -> Iterator[Record]:
    """The objects under this name in each row."""
    for line, reason, text in records:
        yield line, reason, _member(text, inner) if reason in (None, "repaired_json") else text


def _decided(parts: Sequence[Part], key: str, found: Container) -> Container | None:
    root = parts[0]
    if root.kind == "list":
        return _named_rows(root, "") if _is_names(root.first) and _value(root.second).__class__ is list else None
    lists = [part for part in parts if part.kind == "list"]
    if key:
        chosen = next((part for part in lists if ".".join(part.path) == key), None)
        return _wrapped([chosen], found) if chosen and isinstance(_value(chosen.first), dict) else None
    beside = [part for part in parts if len(part.path) == 1]
    if any(_is_turn(_value(part.first)) for part in beside):
        return None
    # Texts under known names make the object a row by itself, whatever lists stand beside them.
    row = any(part.kind == "scalar" and normal(part.path[0]) in _ROW_NAMES for part in beside)
    if row:
        return None
    return (
        _split(lists)
        or _by_columns(parts, lists)
        or _wrapped([part for part in lists if _holds_rows(part)], found)
        or _by_index(parts)
    )


def _wrapped(lists: Sequence[Part], found: Container) -> Container | None:
    """The best of several lists of rows: its rows have known names, or it is called like rows, or it is the longest."""
    if not lists:
        return None

    def rank(part: Part) -> tuple[bool, int, int, int]:
        first = _value(part.first)
        known = isinstance(first, dict) and any(normal(str(name)) in _ROW_NAMES for name in first)
        named = part.path[-1].lower() in _LIST_NAMES
        return known, -len(part.path), named, part.count

    best = max(lists, key=rank)
    first = _value(best.first)
    inner = ""
    if isinstance(first, dict):
        inner = next((name for names, name in zip(_WRAPPERS, _INNER, strict=True) if names <= set(first)), "")
        inner = inner if isinstance(first.get(inner), dict) else ""
    others = tuple(".".join(part.path) for part in lists if part is not best)
    way = ".".join(best.path)
    return Container("wrapped", way, best.offset, best.line, loose=found.loose, inner=inner, others=others)


def _holds_rows(part: Part) -> bool:
    """True for a list of objects that are no turns of one conversation, or of whole conversations."""
    first = _value(part.first)
    if isinstance(first, list):
        return bool(first) and _is_turn(first[0])
    return isinstance(first, dict) and not _is_turn(first)


def _split(lists: Sequence[Part]) -> Container | None:
    """Names in one list, rows as lists in another one beside it."""
    for part in lists:
        if part.path[-1].lower() in _NAME_LISTS and (isinstance(_value(part.first), str) or _named(_value(part.first))):
            beside = [other for other in lists if other.path[:-1] == part.path[:-1] and isinstance(_value(other.first), list)]
            if beside:
                rows = beside[0]
                names = (".".join(part.path), part.offset, part.line)
                return Container("split", ".".join(rows.path), rows.offset, rows.line, members=(names,))
    for part in lists:
        if _is_names(part.first) and isinstance(_value(part.second), list):
            return _named_rows(part, ".".join(part.path))
    return None


def _named_rows(part: Part, way: str) -> Container:
    """A list of lists whose first one holds the names."""
    return Container("split", way, part.offset, part.line)


def _by_columns(parts: Sequence[Part], lists: Sequence[Part]) -> Container | None:
    """Lists of equal length side by side, or objects with the same numbers as names."""
    for base in dict.fromkeys(part.path[:-1] for part in parts if part.path):
        beside = [part for part in lists if part.path[:-1] == base and part.count]
        plain = [part for part in beside if not _holds_rows(part) or isinstance(_value(part.first), list)]
        if len(plain) < len(beside) and len({part.count for part in beside}) > 1:
            continue
        known = any(normal(part.path[-1]) in _ROW_NAMES for part in plain)
        if (len(plain) > 1 or (plain and known)) and len({part.count for part in beside}) == 1:
            members = tuple((part.path[-1], part.offset, part.line) for part in beside)
            return Container("columns", ".".join(base), beside[0].offset, beside[0].line, members=members)
        objects = [part for part in parts if part.path[:-1] == base and part.kind == "object" and part.path]
        inside = [part.path[-1] for part in parts if part.path[:-1] in {one.path for one in objects}]
        if len(objects) > 1 and inside and all(name.isdigit() for name in inside) and not objects[0].path[-1].isdigit():
            members = tuple((part.path[-1], part.offset, part.line) for part in objects)
            return Container("columns", ".".join(base), objects[0].offset, objects[0].line, members=members, paired=True)
    return None


def _by_index(parts: Sequence[Part]) -> Container | None:
    """An object whose members are the rows."""
    for part in parts:
        below = [one for one in parts if one.path[:-1] == part.path and one.path]
        if part.kind != "object" or not below or any(one.kind != "object" for one in below):
            continue
        names = {one.path[-1] for one in parts if one.path[:-1] == below[0].path}
        known = any(normal(name) in _ROW_NAMES for name in names)
        numbered = all(one.path[-1].isdigit() for one in below)
        if names and (known or numbered):
            return Container("index", ".".join(part.path), part.offset, part.line)
    return None


def _table_by_columns(source: Source, container: Container) -> Iterator[Record]:
    members = container.members[:MOST_COLUMNS]
    piece = {"size": _SMALL_PIECE} if len(members) > 8 else {}
    # The brackets in front were taken by the outline; an object's is taken again.
    back = 1 if container.paired else 0
    readers = [Reader(source.chunks(offset - back, **piece), offset - back, line) for _, offset, line in members]
    steps = [reader.members() if container.paired else reader.elements() for reader in readers]
    names = [orjson.dumps(name) for name, _, _ in members]
    while True:
        found, line, keys = list[bytes](), 0, set[str | None]()
        for name, reader, step in zip(names, readers, steps, strict=True):
            for key in step:
                keys.add(key)
                reader.sign()
                line = line or reader.line
                found.append(name + b":" + (reader.value() or b"null"))
                break
        if not found:
            return
        if len(keys) > 1:
            yield line, "broken_json", b"{" + b",".join(found)[:500]
            return
        yield finished(line, None, b"{" + b",".join(found) + b"}")


def _table_by_index(source: Source, container: Container) -> Iterator[Record]:
    reader = Reader(source.chunks(container.offset - 1), container.offset - 1, container.line)
    for _ in reader.members():
        reader.sign()
        yield finished(reader.line, None, reader.value())


def _table_with_names(source: Source, container: Container) -> Iterator[Record]:
    names = _names(source, container)
    reader = Reader(source.chunks(container.offset), container.offset, container.line)
    for number, _ in enumerate(reader.elements()):
        reader.sign()
        line, row = reader.line, reader.value()
        if number == 0 and not container.members:
            continue
        if row[:1] != b"[":
            yield finished(line, None, row)
            continue
        inside = Reader([row])
        inside.take(b"[")
        cells = [inside.value() for _ in inside.elements()]
        if len(cells) != len(names):
            yield line, "wrong_column_count", row.replace(b"\n", b" ")
        else:
            pairs = (name + b":" + cell for name, cell in zip(names, cells, strict=True))
            yield finished(line, None, b"{" + b",".join(pairs) + b"}")


def _names(source: Source, container: Container) -> list[bytes]:
    """The names of the columns as JSON texts: from their own list, or from the first row."""
    _, offset, line = container.members[0] if container.members else ("", container.offset, container.line)
    reader = Reader(source.chunks(offset), offset, line)
    if not container.members:
        reader.take(b"[")
    found: list[bytes] = []
    for _ in reader.elements():
        name = _value(reader.value())
        found.append(orjson.dumps(_named(name) or str(name)))
        if len(found) >= MOST_COLUMNS:
            break
    return found


def _member(text: bytes, name: str) -> bytes:
    """The object under this name, or the whole text when there is none."""
    reader = Reader([text])
    try:
        for found in reader.members():
            value = reader.value()
            if found == name and value[:1] == b"{":
                return value
    except Malformed:
        return text
    return text


def _is_names(text: bytes) -> bool:
    """True for a list of at least two different texts, such as the names of columns."""
    value = _value(text)
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(name, str) and len(name) < 100 for name in value)
        and len(set(chain(value))) == len(value)
    )


def _is_turn(value: object) -> bool:
    return isinstance(value, dict) and bool({"role", "from", "speaker"} & set(value)) and len(value) > 1


def _named(value: object) -> str:
    """The name inside a description of a column, such as ``{"name": "prompt", "type": "string"}``."""
    return str(value["name"]) if isinstance(value, dict) and isinstance(value.get("name"), str) else ""


def _value(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
