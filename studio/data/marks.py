"""What may be wrong with a usable text: one yes or no per row and mark, worked out while the row is staged.

Guarantees: a mark is a fact about one row by itself; its pattern is linear in the length of the text, whatever the text; a row
that was set aside has no marks.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.data.db import literal

#: The columns in which patterns are looked for.
SEARCHED = ("system", "prompt", "completion", "rejected")


@dataclass(frozen=True, slots=True)
class Mark:
    """One column ``m_<code>`` of the stage.

    Either ``pattern``: an RE2 pattern that is looked for in the texts of the row. ``needs`` is then a cheap pattern that
    matches in every text in which ``pattern`` matches; the needs of all marks are joined into one pattern, and only the few
    rows in which that matches are searched for each mark. Or ``condition``: SQL over the canonical columns, evaluated for
    every usable row, so it must be cheap.
    """

    code: str
    pattern: str = ""
    needs: str = ""
    condition: str = ""


_CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
_MARKERS = r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|<</?SYS>>|</?s>|<(?:start|end)_of_turn>"

_ALL: tuple[Mark, ...] = (
    Mark("control_characters", _CONTROLS, needs=_CONTROLS),
    Mark("special_tokens", _MARKERS, needs=r"<\||INST\]|SYS>>|</?s>|_of_turn>"),
)
#: The columns that ``marked`` adds.
MARKS = tuple(f"m_{mark.code}" for mark in _ALL)


def marked(rows: str) -> str:
    """SQL with the columns of ``rows`` and one BOOLEAN per mark."""
    suspect = " OR ".join(
        f"coalesce(regexp_matches({text}, {literal('|'.join(mark.needs for mark in _ALL if mark.needs))}), false)"
        for text in SEARCHED
    )
    columns = ", ".join(f"{_holds(mark)} AS m_{mark.code}" for mark in _ALL)
    return f"SELECT * EXCLUDE (suspect), {columns} FROM (SELECT *, reason IS NULL AND ({suspect}) AS suspect FROM ({rows}))"


def _holds(mark: Mark) -> str:
    if mark.condition:
        return f"CASE WHEN reason IS NULL THEN coalesce({mark.condition}, false) ELSE false END"
    found = " OR ".join(f"coalesce(regexp_matches({text}, {literal(mark.pattern)}), false)" for text in SEARCHED)
    # A CASE, because only its branches are evaluated for some rows and not for others; AND looks at all of them.
    return f"CASE WHEN suspect THEN {found} ELSE false END"
