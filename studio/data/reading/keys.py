"""The columns of a JSON file: all keys of all its objects, however they are spelled and wherever they first appear.

Guarantees: spellings that differ in case and separators only are one column, named by the most frequent one; columns stand in
the order of their first appearance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from studio.data.reading.table import Table, pointer
from studio.data.shape import normal
from studio.data.sources.csv_records import MOST_COLUMNS

#: The keys of one row in their order, and how many rows have exactly these.
Keys = tuple[tuple[str, ...], int]


def columns_of(found: Iterable[Keys]) -> dict[str, tuple[str, ...]]:
    """Each column with the pointers to its spellings, from the keys of all rows in the order in which they first appear."""
    times: Counter[str] = Counter()
    for keys, count in found:
        for key in dict.fromkeys(keys):
            times[key] += count
    if len(times) > MOST_COLUMNS:
        kept = {key for key, _ in times.most_common(MOST_COLUMNS)}
        times = Counter({key: count for key, count in times.items() if key in kept})
    spellings: dict[str, list[str]] = {}
    for key in times:
        spellings.setdefault(normal(key) or key, []).append(key)
    columns: dict[str, tuple[str, ...]] = {}
    for keys in spellings.values():
        ordered = sorted(keys, key=lambda key: -times[key])
        columns[unused(ordered[0], columns)] = tuple(pointer(key) for key in ordered)
    return columns


def keyed(table: Table, found: Sequence[Keys], lists: Iterable[str] = ()) -> Table:
    """The table with the columns that these keys make."""
    usual = max(found, key=lambda one: one[1], default=((), 0))[0]
    # Column names of the database do not know upper from lower case, and cannot be empty.
    named = all(usual) and len({key.casefold() for key in usual}) == len(usual)
    return replace(table, columns=columns_of(found), regular=usual if named else (), lists=frozenset(lists))


def new_keys(table: Table, found: Iterable[Keys]) -> bool:
    """Whether there are keys that the table does not know."""
    known = {place for places in table.columns.values() for place in places}
    return len(known) < MOST_COLUMNS and any(pointer(key) not in known for keys, _ in found for key in keys)


def unused(name: str, taken: Mapping[str, object]) -> str:
    """The name, with a number behind it when it is taken."""
    if name not in taken:
        return name
    return next(candidate for number in range(2, len(taken) + 3) if (candidate := f"{name} ({number})") not in taken)
