"""A table as recognition sees it: its column names, and how the values of its first rows look.

Guarantees: without rows every question about contents is answered with "unknown", and names alone decide; each column is looked
at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from studio.data.shapes.contents import MOST, Look, blank, look
from studio.data.shapes.forms import PARTS
from studio.data.shapes.names import normal
from studio.data.types import Shape


class View:
    """Names and sampled rows of one table."""

    def __init__(self, names: Iterable[str], rows: Sequence[Mapping[str, object]]) -> None:
        self.columns = list(dict.fromkeys(names))
        self.rows = rows
        self._looks: dict[str, Look] = {}
        self._by_name: dict[str, list[str]] = {}
        for column in self.columns:
            self._by_name.setdefault(normal(column), []).append(column)

    def own(self, names: Sequence[str]) -> str | None:
        """The column with the first of these names that the table has."""
        return next((self._by_name[name][0] for name in names if name in self._by_name), None)

    def twice(self, columns: Iterable[str]) -> bool:
        """Whether another column is called the same as one of these, but for case and separators."""
        return any(len(self._by_name[normal(column)]) > 1 for column in columns)

    def look(self, column: str | None) -> Look | None:
        """How the values look, or None when nothing is known about them."""
        if column is None or not self.rows:
            return None
        if column not in self._looks:
            self._looks[column] = look([row.get(column) for row in self.rows])
        found = self._looks[column]
        return found if found.filled else None

    def mostly(self, column: str | None, trait: str, *, unknown: bool = False) -> bool:
        """Whether most values have this trait of ``Look``; ``unknown`` when there are none to look at."""
        found = self.look(column)
        return unknown if found is None else float(getattr(found, trait)) >= MOST

    def longer_prompts(self, prompt: str | None) -> str | None:
        """The column with the conversations of the rows that have no prompt, when prompts are of both kinds."""
        column = self.own(("messages",))
        if not column or not prompt or column == prompt or not self.mostly(column, "asks"):
            return None
        return column if any(blank(row.get(prompt)) and not blank(row.get(column)) for row in self.rows) else None

    def has(self, row: Mapping[str, object], columns: Iterable[str]) -> bool:
        """Whether the row has something in each of these columns."""
        return not any(blank(row.get(column)) for column in columns)

    def cover(self, shape: Shape) -> float:
        """The share of rows that have what the shape needs; all of them when there are no rows to look at."""
        filled = self.covered(shape)
        return sum(filled) / len(filled) if filled else 1.0

    def covered(self, shape: Shape) -> list[bool]:
        """Per row, whether it has what the shape needs."""
        columns = dict(shape.columns)
        needed = [columns[part] for part in PARTS[shape.kind][0] if part in columns]
        if shape.kind == "mixed":
            return [any(self.has(row, (column,)) for column in columns.values()) for row in self.rows]
        return [self.has(row, needed) for row in self.rows]

    def late(self, columns: Iterable[str]) -> bool:
        """Whether the table has these columns, but no sampled row has the key of one of them."""
        return bool(self.rows) and all(column not in row for column in columns for row in self.rows)
