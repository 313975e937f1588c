"""Which known form a table has: by its column names (whole words), and by what stands in the columns.

Guarantees: a name that is exactly the form's own always wins; a name that only resembles it gives a shape that is not
``exact``, which a person should confirm; two columns that fit a part equally well are never chosen between silently; the order
of the columns, their case and their separators make no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from studio.data.shapes import preferences, rewards, supervised
from studio.data.shapes.forms import CHOICES, PARTS, method_why, training
from studio.data.shapes.names import normal, spelled_as_is, tokens
from studio.data.shapes.view import View
from studio.data.types import Kind, Shape
from studio.errors import DataError

__all__ = ["PARTS", "chosen", "normal", "plainly_named", "recognise", "tokens", "unknown"]

# Earlier ones are the stronger evidence. The exact ones of all come before any that only resemble.
_EXACTLY = (preferences.exactly, rewards.exactly, supervised.exactly)
# Forms that a person may mean when naming one of them: what stands in the columns tells which it is.
_FAMILY: Mapping[Kind, tuple[Kind, ...]] = {
    "sharegpt": ("messages",),
    "preference_hh": ("preference_hh",),
    "preference_messages": ("preference", "preference_hh"),
    "mixed": ("messages", "prompt_completion", "alpaca"),
}
# A form that fewer rows have than this share of the best is not what the file is about.
_HALF = 0.5
_RESEMBLING = (preferences.resembling, rewards.resembling, supervised.resembling, supervised.plain_text)


def recognise(names: Iterable[str], rows: Sequence[Mapping[str, object]] = ()) -> Shape | None:
    """The shape that a table with these columns has, or None. ``rows`` are the first few hundred, values by column name.

    Names alone are enough for a first guess; with rows their contents decide too.
    """
    view = View(names, rows)
    shape = _fitting(view) or rewards.questions(view)
    if shape is None:
        return None
    shape = supervised.with_others(view, shape)
    twice = view.twice(column for _, column in shape.columns)
    why = shape.why + (" Another column has the same name but for its case." if twice else "")
    return replace(shape, exact=shape.exact and not twice, why=why)


def _fitting(view: View) -> Shape | None:
    """The first form that fits, unless most rows lack what it needs and another form fits them."""
    found = [shape for look in _EXACTLY if (shape := look(view))]
    if not found or view.cover(found[0]) < _HALF:
        found += [shape for look in _RESEMBLING if (shape := look(view))]
    enough = max((view.cover(shape) for shape in found), default=0.0) * _HALF
    return next((shape for shape in found if view.cover(shape) >= enough), None)


def unknown(names: Iterable[str], rows: Sequence[Mapping[str, object]] = ()) -> tuple[str, str, str]:
    """Why no shape was recognised: a stable code, a sentence, and what to do."""
    view = View(names, rows)
    asks = supervised.lone_prompt(view)
    if asks is not None:
        message = f'The file has prompts ("{asks}"), but no column with answers, rewards or pairs of answers.'
        return "missing_column", message, "Add a column with the answers, or choose the column that holds them."
    pair = preferences.pair_without_prompt(view)
    if pair is not None:
        message = f'The file has pairs of answers ("{pair[0]}", "{pair[1]}"), but no column with their prompts.'
        return "missing_column", message, "Add a column with the prompts, or choose the column that holds them."
    shown = ", ".join(f'"{name}"' for name in view.columns[:12])
    message = f"No columns were recognised as prompt and answer. The file has: {shown}."
    return "columns_not_recognised", message, "Choose which column is the prompt and which is the answer."


def chosen(
    mapping: Mapping[str, str],
    columns: Sequence[str],
    rows: Sequence[Mapping[str, object]] = (),
    kind: Kind | None = None,
) -> Shape:
    """The shape that a person chose. Raises ``DataError`` for an unknown part, a missing part or a missing column.

    Without a ``kind`` the parts decide: a prompt and the better answers alone make a supervised shape, for example. ``rows``
    tell plain answers from whole conversations.
    """
    picked = {part: column for part, column in mapping.items() if column}
    kind = _kind_of(picked, kind)
    picked = _renamed(kind, picked)
    needed, optional = PARTS[kind]
    for part, column in picked.items():
        if part not in needed + optional:
            raise DataError(f"{part!r} is no part of this form.", where=part, next_step=f"Use {', '.join(needed + optional)}.")
        if column not in columns:
            raise DataError(
                f"The file has no column {column!r}.", where=part, next_step=f"Its columns are: {', '.join(columns[:20])}."
            )
    if len(set(picked.values())) < len(picked):
        raise DataError("One column cannot play two parts.", where="columns", next_step="Choose a different column for each.")
    kind = _as_it_looks(kind, picked, View(columns, rows))
    why = method_why(kind, sure=True)
    return Shape(kind, tuple(picked.items()), True, "You chose the columns.", training(kind), why)


def _kind_of(picked: Mapping[str, str], wanted: Kind | None) -> Kind:
    """The form that the chosen parts make: the wanted one, or the first whose parts are all there."""
    family = None if wanted is None else _FAMILY.get(wanted, (wanted,))
    choices = [choice for choice in CHOICES if family is None or choice[0] in family]
    made = next((choice for choice in choices if set(choice[1]) <= set(picked)), None)
    if made is not None:
        return "mixed" if wanted == "mixed" else made[0]
    where = ", ".join(picked) or "columns"
    if wanted is None:
        next_step = "Choose one column for the prompt and one for the completion, or one column of messages."
        raise DataError("The chosen columns do not make a prompt and an answer.", where=where, next_step=next_step)
    parts = " and one for ".join(part.replace("_", " ") for part in choices[0][1])
    raise DataError("Not all parts of this form are chosen.", where=where, next_step=f"Choose a column for {parts}.")


def plainly_named(shape: Shape) -> bool:
    """Whether every column is sure and spelled as the form itself spells it: there is nothing to tell about the mapping."""
    return shape.exact and all(spelled_as_is(shape.kind, part, column) for part, column in shape.columns)


def _renamed(kind: Kind, picked: Mapping[str, str]) -> dict[str, str]:
    """The better answers, chosen alone, play the part of the answer; an instruction with two answers that of the prompt."""
    names: dict[str, str] = {}
    if kind == "prompt_completion" and "completion" not in picked:
        names = {"chosen": "completion"}
    elif kind == "messages" and "messages" not in picked:
        names = {"chosen": "messages"}
    elif kind == "preference" and "prompt" not in picked:
        names = {"instruction": "prompt"}
    return {names.get(part, part): column for part, column in picked.items()}


def _as_it_looks(kind: Kind, picked: Mapping[str, str], view: View) -> Kind:
    """The same parts, but with whole conversations in them, are a form of their own."""
    if kind == "messages" and view.mostly(picked["messages"], "sharegpt"):
        return "sharegpt"
    if kind in ("preference", "preference_hh") and view.mostly(picked["chosen"], "chat"):
        return "preference_messages"
    return kind
