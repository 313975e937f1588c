"""From records to the texts of a shape: what stands in each part of a row, and of which JSON type it was.

Guarantees: the same columns come out whatever the file was; a row never becomes two and never disappears; a text comes out as
it stands in the file; no name or value of the file is SQL here, only a literal.

Rows of JSON whose keys are those of most rows, and whose values are plain texts, are read in one go. All others (and values
that may be numbers or lists) are looked at one by one; both ways give the same texts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import duckdb
from duckdb.func import SPECIAL

from studio.data.db import literal
from studio.data.reading import numbering
from studio.data.reading.table import Table, key_of
from studio.data.sources.json_repair import is_json, repaired
from studio.data.types import Shape

#: Columns of every record that each later step hands on untouched.
CARRIED = ("line", "raw", "breaks", "keys", "repaired")
#: How many columns that are not part of the shape are kept for grouping and filters, and how much of each value.
MOST_EXTRAS = 24
EXTRA_CHARACTERS = 1000

_MENDED = "mended_json"
# What some writers put where no number is.
_UNREAL = r"[:,\[]\s*-?(NaN|Infinity|nan|inf)\s*[,}\]]"
_WORDS = ("true", "false", "NaN", "Infinity", "nan", "inf")
# A comma before a bracket is no JSON, but the database reads it as meant, as we do.
_COMMA = r",\s*[}\]]"


def extra_columns(table: Table, shape: Shape | None) -> tuple[str, ...]:
    """The columns of the file that are kept beside the shape, in the order of ``x0, x1, ...``."""
    used = {column for _, column in shape.columns} if shape else set[str]()
    return tuple(column for column in table.columns if column not in used)[:MOST_EXTRAS]


def carried(extras: Sequence[str]) -> str:
    """SQL list of the columns that a judge hands on: those of the record and the extra ones."""
    return ", ".join([*CARRIED, *(f"x{place}" for place in range(len(extras)))])


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection the functions of ours that ``texts`` and the records call."""
    numbering.prepare(connection)
    connection.create_function(_MENDED, _mended, ["VARCHAR"], "VARCHAR", null_handling=SPECIAL)


def texts(table: Table, shape: Shape | None, extras: Sequence[str] = ()) -> str:
    """SQL with the carried columns, ``problem`` and, per part of the shape, ``{part}_text`` and ``{part}_type``.

    ``problem`` is the reason why the record could not be read. A type is ``VARCHAR``, ``NULL``, ``UBIGINT``, ``BIGINT``,
    ``HUGEINT``, ``UHUGEINT``, ``DOUBLE``, ``BOOLEAN``, ``ARRAY`` or ``OBJECT``, and SQL NULL when the row has no such column.
    The place of a row is its number, so rows stay in order; ``raw`` is handed on unseen (``Table.raw_text`` makes its text).
    ``keys`` are those of a JSON row, unless they are the usual ones; ``repaired`` rows were nearly JSON.
    """
    parts = shape.columns if shape else ()
    wanted = [*parts, *((f"x{place}", column) for place, column in enumerate(extras))]
    return _of_cells(table, wanted) if table.format == "csv" else _of_json(table, wanted)


def _mended(text: str | None) -> str | None:
    raw = text.encode("utf-8", "replace") if text else b""
    fixed = None if not raw or is_json(raw) else repaired(raw)
    return fixed.decode() if fixed else None


def _of_cells(table: Table, wanted: Sequence[tuple[str, str]]) -> str:
    parts: list[str] = []
    for part, column in wanted:
        cell = table.columns[column][0]
        if _is_extra(part):
            parts.append(_extra(part, f"CASE WHEN problem IS NULL THEN {cell} END"))
        else:
            parts += [f"{cell} AS {part}_text", f"'VARCHAR' AS {part}_type"]
    cells = ", ".join(name for names in table.columns.values() for name in names)
    raw = f"{{'aside': aside, 'cells': CASE WHEN problem IS NULL THEN [{cells}] END}} AS raw"
    rest = ["NULL::VARCHAR AS keys", "false AS repaired"]
    return f"SELECT {', '.join(['line', 'breaks', 'problem', raw, *rest, *parts])} FROM {table.records}"


def _of_json(table: Table, wanted: Sequence[tuple[str, str]]) -> str:
    places = [(part, place) for part, column in wanted for place in table.columns[column]]
    paths = "[" + ", ".join(literal(place) for _, place in places) + "]::VARCHAR[]"
    direct = _direct(table, wanted)
    odd = " OR ".join(_may_be_no_text(f"usual.{_name(key)}", part, table, wanted) for part, key in direct.items())
    parts = [_part(part, direct.get(part), places, table, wanted) for part, _ in wanted]
    # An empty object has no keys; nor has anything that is no object.
    problem = """CASE WHEN sure THEN NULL WHEN told <> 'repaired_json' THEN told WHEN found IS NULL THEN 'broken_json'
        WHEN len(found) = 0 AND json_type(json) <> 'OBJECT' THEN 'not_an_object' END"""
    return f"""
        SELECT {", ".join(["line", "breaks", "raw", "problem", "keys", "repaired", *parts])} FROM (
          SELECT *, CASE WHEN NOT plain AND problem IS NULL THEN json_extract_string(json, {paths}) END AS texts,
            CASE WHEN NOT plain AND problem IS NULL THEN json_type(json, {paths}) END AS types
          FROM (SELECT line, breaks, raw, json, repaired, usual, {problem} AS problem,
              coalesce({f"usual IS NOT NULL AND NOT ({odd})" if direct else "false"}, false) AS plain,
              CASE WHEN sure THEN NULL WHEN found <> {_usual_keys(table)} THEN to_json(found)::VARCHAR END AS keys
            FROM ({_parsed(table, direct)})))"""


def _parsed(table: Table, direct: Mapping[str, str]) -> str:
    """SQL with ``line, breaks, raw, told, json, found, repaired, sure, usual``: the row as JSON, mended where possible.

    ``found`` are its keys; ``usual`` are the values when these are the usual keys, and of ``sure`` rows that is proved.
    """
    form = literal(json.dumps(dict.fromkeys(direct.values(), "VARCHAR"), ensure_ascii=False))
    read = "coalesce(problem, 'repaired_json') = 'repaired_json'"
    quick = f"CASE WHEN {read} THEN TRY(json_transform(value, {form})) END" if direct else "NULL"
    odd = f"{_unreal('value')} OR regexp_matches(value, {literal(_COMMA)})" if table.direct else "false"
    mended = f"CASE WHEN mended IS NULL THEN quick ELSE json_transform(mended, {form}) END" if direct else "NULL"
    return f"""
        SELECT line, breaks, coalesce(mended, value) AS raw, told, coalesce(mended, value) AS json, found, sure,
          mended IS NOT NULL OR coalesce(told = 'repaired_json', false) AS repaired,
          CASE WHEN sure THEN quick WHEN found = {_usual_keys(table)} THEN {mended} END AS usual
        FROM (SELECT *, CASE WHEN own IS NULL AND mended IS NOT NULL THEN TRY(json_keys(mended)) ELSE own END AS found
          FROM (SELECT *, CASE WHEN NOT sure AND told IS NULL AND (own IS NULL OR {odd}) THEN {_MENDED}(value) END AS mended
            FROM (SELECT *, CASE WHEN NOT sure AND {read.replace("problem", "told")} THEN TRY(json_keys(value)) END AS own
              FROM (SELECT *, coalesce({_sure(table, direct)}, false) AS sure
                FROM (SELECT line, breaks, problem AS told, value, {quick} AS quick FROM {table.records})))))"""


def _unreal(text: str) -> str:
    """SQL for whether a JSON text holds a number that is none, such as NaN. The database reads them, but they are no JSON."""
    hint = " OR ".join(f"contains({text}, '{word}')" for word in ("NaN", "Infinity", "nan", "inf"))
    return f"CASE WHEN {hint} THEN regexp_matches({text}, {literal(_UNREAL)}) ELSE false END"


def _usual_keys(table: Table) -> str:
    return "[" + ", ".join(literal(key) for key in table.regular) + "]::VARCHAR[]"


def _sure(table: Table, direct: Mapping[str, str]) -> str:
    """SQL for whether a row has the usual keys and no others, by its length: the texts and the signs around them fill it.

    The signs have the same length in every row that one program wrote, but for rows with escaped letters, which are then
    looked at more closely. A key more would take at least the five letters of ``,"":0``. What stands without quotation marks
    leaves room for other signs, such as a comma too many, so a row with any of it is not sure.
    """
    if not direct or set(direct.values()) != set(table.regular):
        return "false"
    names = [json.dumps(key, ensure_ascii=False) for key in table.regular]
    # Braces, quotation marks, colons and commas; the usual style of Python puts a space behind each of the last two.
    tight = 2 + sum(len(name.encode()) + 3 for name in names) + len(names) - 1
    loose = tight + 2 * len(names) - 1
    left = " - ".join(["strlen(value)", *(f"strlen(quick.{_name(key)})" for key in table.regular)])
    bare = " OR ".join(_may_be_bare(f"quick.{_name(key)}") for key in table.regular)
    return (
        f"(({left} = {tight} AND starts_with(value, {literal('{' + names[0] + ':' + chr(34))})) OR "
        f"({left} = {loose} AND starts_with(value, {literal('{' + names[0] + ': ' + chr(34))}))) AND NOT ({bare})"
    )


def _may_be_bare(text: str) -> str:
    """SQL for whether a text may have stood without quotation marks: a list, an object, a number or a word."""
    number = f"CASE WHEN {text} >= '-' AND {text} < ':' THEN regexp_full_match({text}, '[-+.0-9A-Za-z]*') ELSE false END"
    words = " OR ".join(f"{text} = {literal(word)}" for word in _WORDS)
    return f"({text} >= '[' AND {text} < '\\') OR ({text} >= '{{' AND {text} < '|') OR {number} OR {words}"


def _direct(table: Table, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Per part the key that holds it in the rows with the usual keys. Empty when those cannot be read in one go."""
    direct: dict[str, str] = {}
    for part, column in wanted:
        held = [key for key in map(key_of, table.columns[column]) if key in table.regular]
        if len(held) > 1:
            return {}
        if held:
            direct[part] = held[0]
    return direct


def _may_be_no_text(text: str, part: str, table: Table, wanted: Sequence[tuple[str, str]]) -> str:
    """SQL for whether a text could have been a number, a word of JSON, a list or an object; NULL is false."""
    column = dict(wanted)[part]
    listed = "" if column in table.lists or _is_extra(part) else f"OR ({text} >= '[' AND {text} < '\\')"
    if _is_extra(part):
        # Only its text is kept, which is the same whatever the type.
        return "false"
    # One comparison after the other, because a list of words becomes a join.
    words = " OR ".join(f"{text} = {literal(word)}" for word in _WORDS)
    return f"coalesce(({text} >= '-' AND {text} < ':') {listed} OR ({text} >= '{{' AND {text} < '|') OR {words}, false)"


def _part(
    part: str, key: str | None, places: Sequence[tuple[str, str]], table: Table, wanted: Sequence[tuple[str, str]]
) -> str:
    """SQL for the text of a part and its type."""
    own = [place for place, (owner, _) in enumerate(places, start=1) if owner == part]
    absent = {place: _no_number(f"texts[{place}]", f"types[{place}]") for place in own}
    text = f"coalesce({', '.join(f'CASE WHEN {absent[place]} THEN NULL ELSE texts[{place}] END' for place in own)})"
    # The same key in two spellings: the one that holds something wins over an explicit null.
    kinds = [f"CASE WHEN {absent[place]} THEN 'NULL' ELSE types[{place}] END" for place in own]
    types = ", ".join([*(f"nullif({kind}, 'NULL')" for kind in kinds), *kinds])
    direct = f"usual.{_name(key)}" if key is not None else "NULL"
    text = f"CASE WHEN plain THEN {direct} ELSE {text} END"
    if _is_extra(part):
        return _extra(part, text)
    kind = "'VARCHAR'"
    if dict(wanted)[part] in table.lists:
        kind = f"CASE WHEN {direct} >= '[' AND {direct} < '\\' THEN 'ARRAY' ELSE 'VARCHAR' END"
    kind = f"CASE WHEN {direct} IS NULL THEN 'NULL' ELSE {kind} END" if key is not None else "NULL"
    return f"{text} AS {part}_text, CASE WHEN plain THEN {kind} ELSE coalesce({types}) END AS {part}_type"


def _no_number(text: str, kind: str) -> str:
    """SQL for what some writers put where nothing is; it is no JSON, but the reader lets it through."""
    return f"{kind} = 'DOUBLE' AND ({text} = 'NaN' OR {text} = 'Infinity' OR {text} = '-Infinity')"


def _name(key: str | None) -> str:
    return '"' + (key or "").replace('"', '""') + '"'


def _is_extra(part: str) -> bool:
    return part[:1] == "x" and part[1:].isdigit()


def _extra(part: str, text: str) -> str:
    return f"left({text}, {EXTRA_CHARACTERS}) AS {part}"
