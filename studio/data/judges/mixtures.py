"""Files whose rows have different known forms: each row is judged under its own."""

from __future__ import annotations

from studio.data.judges.chats import conversation
from studio.data.judges.pairs import instructions, with_lists
from studio.data.judges.rules import Ruling, blank
from studio.data.judges.turns import Mended
from studio.data.types import Shape

_NOTHING = {"converted": "false", "odd_turns": "false"}


def mixtures(shape: Shape, mended: Mended) -> Ruling:
    """The ruling of the first form that a row has, or else has something of; a row of no form is judged as the first."""
    forms: list[tuple[tuple[str, ...], Ruling]] = []
    for part, p in (("messages", "c_"), ("conversations", "s_")):
        if shape.column(part):
            forms.append(((part,), conversation(p, part, shape, mended)))
    if shape.column("prompt") and shape.column("completion"):
        forms.append((("prompt", "completion"), with_lists("prompt", "completion", shape, mended)))
    if shape.column("instruction") and shape.column("output"):
        forms.append((("instruction", "output"), instructions(shape)))
    first = forms[0][1]
    names = {name: None for _, ruling in forms for name in ruling.gives}

    def chosen(of: list[str], otherwise: str) -> str:
        pairs = [(parts, one) for (parts, _), one in zip(forms, of, strict=True)]
        whole = [f"WHEN {' AND '.join(_has(part) for part in parts)} THEN {one}" for parts, one in pairs]
        some = [f"WHEN {' OR '.join(_has(part) for part in parts)} THEN {one}" for parts, one in pairs if len(parts) > 1]
        return f"CASE {' '.join([*whole, *some])} ELSE {otherwise} END"

    def given(name: str) -> str:
        nothing = _NOTHING.get(name, "NULL")
        return chosen([f"({ruling.gives.get(name, nothing)})" for _, ruling in forms], nothing)

    return Ruling(
        chosen([f"({ruling.verdict})" for _, ruling in forms], f"({first.verdict})"),
        {name: given(name) for name in names},
        tuple(step for _, ruling in forms for step in ruling.steps),
    )


def _has(part: str) -> str:
    return f"NOT {blank(part + '_text')}"
