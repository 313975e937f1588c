"""Questions with the answer to give: two columns, instructions, conversations, and files that mix them.

Guarantees: the forms are told apart by what the rows have, so a file with rows of two forms is ``mixed`` and no row of it is
lost; a column of numbers or flags is never taken for a prompt when one of texts is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from studio.data.shapes.contents import MOST
from studio.data.shapes.forms import PARTS, method_why, training
from studio.data.shapes.names import LABELS, OWN, ranked
from studio.data.shapes.rewards import ASKS
from studio.data.shapes.view import View
from studio.data.types import Kind, Shape

_FORMS: tuple[Kind, ...] = ("messages", "sharegpt", "prompt_completion", "alpaca")
_TEXTS = ("text", "texts", "content", "body", "document", "article", "passage", "story", "paragraph", "raw text")
# Where a second pair of columns, or a second conversation, stands in a mixture.
_SECOND = {"prompt": "instruction", "completion": "output", "messages": "conversations"}
# Fewer rows than this share are rows with something missing, not a form of their own.
_FEW = 0.1
# Added to the rank of a column whose values are numbers or flags.
_NO_TEXT = 200

Columns = Mapping[str, str]


def exactly(view: View) -> Shape | None:
    """The forms under their own names; several of them where the rows differ."""
    found = _complete(view)
    if not found:
        return None
    needed: dict[Kind, list[str]] = {kind: [columns[part] for part in PARTS[kind][0]] for kind, columns in found.items()}
    rows = [have for row in view.rows if (have := {kind for kind in needed if view.has(row, needed[kind])})]
    late = {kind for kind in needed if view.late(needed[kind])}
    everywhere: list[Kind] = [kind for kind in found if all(kind in have for have in rows)]
    if everywhere and not (late and rows):
        return _one(view, everywhere[0], found[everywhere[0]])
    live: list[Kind] = [kind for kind in found if kind in late or any(kind in have for have in rows)]
    return _mixed(found, live) if len(live) > 1 else _one(view, live[0], found[live[0]])


def resembling(view: View) -> Shape | None:
    """Conversations under any name, then columns whose names sound like a question and an answer."""
    chats = [column for column in view.columns if view.mostly(column, "chat")]
    named = [column for _, column in ranked("messages", chats)] or chats
    if named:
        why = f'The column "{named[0]}" holds conversations.'
        return _guess(view, _chat_kind(view, named[0]), {"messages": named[0]}, why, doubtful=len(named) > 1)
    return _sounding(view) or _sounding_chat(view)


def with_others(view: View, shape: Shape) -> Shape:
    """The shape, or a mixture with a second supervised form that the rows without what the first one needs have."""
    left = [row for row, has in zip(view.rows, view.covered(shape), strict=True) if not has]
    if shape.kind not in _FORMS or len(left) < max(2, _FEW * len(view.rows)):
        return shape
    rest = View([column for column in view.columns if any(view.has(row, (column,)) for row in left)], left)
    other = exactly(rest) or resembling(rest)
    if other is None or other.kind not in _FORMS or rest.cover(other) < MOST:
        return shape
    columns, taken = dict(shape.columns), dict(other.columns)
    for part, column in taken.items():
        name = _SECOND.get(part, part) if part in columns else part
        if name in columns and columns[name] != column:
            return shape
        columns[name] = column
    kept = tuple((part, column) for part, column in columns.items() if part in PARTS["mixed"][1])
    pairs = (shape.columns, other.columns)
    held = " others ".join(" and ".join(f'"{column}"' for _, column in found) + "," for found in pairs)
    exact = shape.exact and other.exact
    why = f"Some rows have {held} so each row is read in its own form."
    return Shape("mixed", kept, exact, why, "SL", method_why("mixed", sure=exact))


def plain_text(view: View) -> Shape | None:
    """Texts without a question and an answer; transcripts of a conversation are one."""
    name = view.own(_TEXTS)
    if name is None and len(view.columns) == 1 and lone_prompt(view) is None and view.mostly(view.columns[0], "text"):
        name = view.columns[0]
    if name is None or not view.mostly(name, "text", unknown=True):
        return None
    if view.mostly(name, "transcript"):
        return _guess(view, "messages", {"messages": name}, f'The texts in "{name}" are written-out conversations.')
    why = f'The column "{name}" holds plain text, without a question and an answer.'
    return Shape("text", (("text", name),), name.strip().lower() == "text", why, "SL", method_why("text", sure=True))


def lone_prompt(view: View) -> str | None:
    """A column with prompts, in a file that has nothing to learn from beside them."""
    return view.own(ASKS)


def _complete(view: View) -> dict[Kind, Columns]:
    """The forms whose needed parts are all there."""
    found: dict[Kind, Columns] = {}
    for kind in _FORMS:
        columns = _own(view, kind)
        if columns:
            found[kind] = columns
    return found


def _own(view: View, kind: Kind) -> dict[str, str]:
    """The columns with this form's own names, by part; empty when a needed one is missing."""
    found = {part: column for part, names in OWN[kind].items() if (column := view.own(names))}
    if not all(part in found for part in PARTS[kind][0]) or len(set(found.values())) < len(found):
        return {}
    return {**found, **dict(_beside(view, kind, set(found.values())))}


def _beside(view: View, kind: Kind, taken: set[str]) -> Iterator[tuple[str, str]]:
    """Columns that say more about a row: whether the answer was liked, pictures, earlier turns."""
    labels = [
        column for name in LABELS if (column := view.own((name,))) and column not in taken and view.mostly(column, "flag")
    ]
    if labels:
        yield "label", labels[0]
    images = view.own(("images",))
    if images and images not in taken:
        yield "images", images
    history = view.own(("history",))
    if kind == "alpaca" and history:
        yield "history", history


def _one(view: View, kind: Kind, columns: Columns) -> Shape:
    if kind in ("messages", "sharegpt"):
        kind = _chat_kind(view, columns["messages"], default=kind)
    parts = {*PARTS[kind][0], *PARTS[kind][1]}
    kept = {part: column for part, column in columns.items() if part in parts}
    # A flag in words of its own can only be about the answer; 0 and 1 under "label" may mean something else.
    exact = "label" not in kept or view.mostly(kept["label"], "thumb")
    why = _why(kind, kept)
    if "label" in kept:
        why += f' "{kept["label"]}" says which answers were liked; the others are left out.'
    return Shape(kind, tuple(kept.items()), exact, why, training(kind), method_why(kind, sure=exact))


def _mixed(found: Mapping[Kind, Columns], live: Sequence[Kind]) -> Shape:
    columns: dict[str, str] = {}
    for kind in live:
        for part, column in found[kind].items():
            name = "conversations" if kind == "sharegpt" and part == "messages" and "messages" in live else part
            if name in PARTS["mixed"][1]:
                columns.setdefault(name, column)
    held = " others ".join(" and ".join(f'"{found[kind][part]}"' for part in PARTS[kind][0]) + "," for kind in live)
    why = f"Some rows have {held} so each row is read in its own form."
    return Shape("mixed", tuple(columns.items()), True, why, "SL", method_why("mixed", sure=True))


def _chat_kind(view: View, column: str, default: Kind = "messages") -> Kind:
    found = view.look(column)
    if found is None or not found.chat:
        return default
    return "sharegpt" if found.sharegpt >= MOST * found.chat else "messages"


def _why(kind: Kind, columns: Columns) -> str:
    if kind in ("messages", "sharegpt"):
        return f'The column "{columns["messages"]}" holds conversations.'
    if kind == "alpaca":
        parts = " and ".join(f'"{columns[part]}"' for part in ("instruction", "input") if part in columns)
        return f'The file is in the Alpaca form: {parts} make the prompt, "{columns["output"]}" is the answer.'
    return f'The columns are called "{columns["prompt"]}" and "{columns["completion"]}".'


def _guess(view: View, kind: Kind, columns: Columns, why: str, *, doubtful: bool = False) -> Shape:
    parts = dict(columns)
    system = view.own(OWN["messages"]["system"])
    if system and system not in parts.values():
        parts["system"] = system
    if kind in ("messages", "sharegpt") and (tools := view.own(OWN["messages"]["tools"])):
        parts["tools"] = tools
    for part, column in _beside(view, kind, set(parts.values())):
        parts.setdefault(part, column)
    told = why + (" Other columns would fit as well." if doubtful else "")
    return Shape(kind, tuple(parts.items()), False, told, training(kind), method_why(kind, sure=False))


def _sounding(view: View) -> Shape | None:
    """The two columns that sound most like a question and its answer."""
    prompts = [(rank + _weight(view, column, prompt=True), column) for rank, column in ranked("prompt", view.columns)]
    answers = [(rank + _weight(view, column, prompt=False), column) for rank, column in ranked("completion", view.columns)]
    pairs = sorted((p + a, prompt, answer) for p, prompt in prompts for a, answer in answers if prompt != answer)
    if not pairs:
        return None
    best, prompt, answer = pairs[0]
    doubtful = sum(rank == best for rank, *_ in pairs) > 1
    why = f'"{prompt}" sounds like the prompt and "{answer}" like the answer.'
    context = view.own(("context", "passage"))
    if context and context not in (prompt, answer) and view.mostly(context, "text"):
        why = f'"{prompt}" with "{context}" sounds like the prompt and "{answer}" like the answer.'
        found = {"instruction": prompt, "input": context, "output": answer}
        return _guess(view, "alpaca", found, why, doubtful=doubtful)
    return _guess(view, "prompt_completion", {"prompt": prompt, "completion": answer}, why, doubtful=doubtful)


def _sounding_chat(view: View) -> Shape | None:
    named = [column for _, column in ranked("messages", view.columns)]
    if not named or not view.mostly(named[0], "transcript", unknown=True):
        return None
    return _guess(view, "messages", {"messages": named[0]}, f'The column "{named[0]}" sounds like conversations.')


def _weight(view: View, column: str, *, prompt: bool) -> int:
    """How little the values look like a text of this part."""
    found = view.look(column)
    if found is None:
        return 0 if not view.rows else _NO_TEXT
    if found.number >= MOST or found.flag >= MOST:
        # A class may be a number; a question is none.
        return _NO_TEXT if prompt else _NO_TEXT // 2
    return 0
