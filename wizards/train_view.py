"""What somebody looks at on the train step: which curve is big, and which answers are open. It stands in the address.

Guarantees: any text makes a view; ``View.from_text(view.to_text()) == view``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self

#: Longer numbers than this were not written by us.
_DIGITS: Final = 9
_HELD: Final = "held-out"
_CHART: Final = re.compile(r"[a-z_-]{1,40}")


@dataclass(frozen=True, slots=True)
class View:
    """``chart`` is the id of a curve, empty for the main one. ``step`` and ``group`` choose answers, ``None`` the newest.

    ``held`` are those to held-out questions, in the place of those that it practised with.
    """

    chart: str = ""
    step: int | None = None
    group: int = 0
    held: bool = False

    def looking(self, name: str, value: str) -> Self:
        """The view after a press or an edit of this name; the same view for a name that is none of its own."""
        match name:
            case "chart":
                return replace(self, chart=value if _CHART.fullmatch(value) else "")
            case "answers":
                return replace(self, step=None, group=0, held=value == _HELD)
            case "step":
                return replace(self, step=_whole(value), group=0)
            case "group":
                return replace(self, group=_whole(value) or 0)
            case _:
                return self

    def to_text(self) -> str:
        """As short as it can be said; empty for the view that everybody begins with."""
        step = "" if self.step is None else str(self.step)
        return ",".join((self.chart, step, str(self.group or ""), _HELD if self.held else "")).rstrip(",")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The view that ``to_text`` wrote; what cannot be meant is dropped."""
        chart, step, group, held, *_ = (*text.split(","), "", "", "", "")
        return cls().looking("answers", held).looking("chart", chart).looking("step", step).looking("group", group)


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else None
