"""What a visitor is looking at on the data step: tab, search, filter, page, row, and the shares not yet used.

Guarantees: frozen and small; it lives in the address, so ``View.from_text(view.to_text()) == view``; anything that an old or
broken address brings is read as "nothing chosen".
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, Self, get_args
from urllib.parse import parse_qsl, urlencode

from studio.data import desk

Tab = Literal["rows", "findings", "seen", "figures", "card"]
Way = Literal["", "paste", "hub", "path", "mix", "stopped"]

#: The tabs in the order in which they stand.
TABS: Final[tuple[Tab, ...]] = get_args(Tab)
#: Longer searches are cut: they have to fit into an address.
LONGEST_SEARCH: Final = 80

_CHOICES: Final[dict[str, frozenset[str]]] = {
    "tab": frozenset(TABS),
    "way": frozenset(get_args(Way)),
    "show": frozenset(("all", "usable", "aside")),
}
_NUMBERS: Final = frozenset(("page", "row"))


@dataclass(frozen=True, slots=True)
class View:
    """``way`` is the way of bringing data that stands open, ``stopped`` when the last one was stopped.

    ``row`` is the row that the model's view shows (0 for the first).

    ``shares`` is the name of a plan or three numbers with slashes; ``group``, ``stratify`` and ``order`` name a column by its
    place in ``groupable`` (or ``order`` is ``length``).
    """

    tab: Tab = "rows"
    way: Way = ""
    text: str = ""
    finding: str = ""
    show: desk.Show = "all"
    part: str = ""
    like: str = ""
    page: int = 1
    row: int = 0
    shares: str = ""
    group: str = ""
    stratify: str = ""
    order: str = ""

    @property
    def look(self) -> desk.Look:
        """The rows that are asked for."""
        return desk.Look(self.text, self.finding, self.show, self.part, self.like, self.page)

    def looking(self, **fields: Any) -> Self:
        """The first page of the rows tab with another search or filter."""
        return replace(self, **{"tab": "rows", "page": 1, **fields})

    def everything(self) -> Self:
        """The rows tab without search or filter."""
        return self.looking(text="", finding="", show="all", part="", like="")

    def to_text(self) -> str:
        """This view for the address. Empty for a fresh one."""
        fresh = type(self)()
        pairs = [(each.name, getattr(self, each.name)) for each in fields(self)]
        return urlencode([(name, value) for name, value in pairs if value != getattr(fresh, name)])

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read it back."""
        known = {each.name for each in fields(cls)}
        found: dict[str, Any] = {}
        for name, value in parse_qsl(text, max_num_fields=40):
            if name in _NUMBERS:
                if value.isdecimal() and len(value) < 16:
                    found[name] = int(value)
            elif name in known and (name not in _CHOICES or value in _CHOICES[name]):
                found[name] = value[:LONGEST_SEARCH]
        found["page"] = max(1, found.get("page", 1))
        return cls(**found)
