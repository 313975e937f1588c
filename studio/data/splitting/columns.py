"""Columns of the person's file by the names they have there, for grouping, stratifying and ordering.

Guarantees: a name is looked up and never becomes SQL; a name that is not there is refused with those that are.
"""

from __future__ import annotations

from typing import Final

import duckdb

from studio.data.types import Inspection
from studio.errors import DataError

#: Orders that are no column: by the length of a row, and by the place of its source in a mixture.
LENGTH: Final = "length"

# Parts of a form whose text is one column of the stage. Prompts are together as it is.
_OF_PARTS: Final = {
    "prompt": "prompt",
    "system": "system",
    "completion": "completion",
    "output": "completion",
    "answer": "reference",
    "reward": "reward::VARCHAR",
    "reward_name": "reward_name",
}


def groupable(inspection: Inspection) -> tuple[str, ...]:
    """The columns that a plan can name: those beside the form, then those of the form that are one text."""
    return tuple(_columns(inspection))


def value_of(name: str, inspection: Inspection) -> str:
    """SQL for the text of this column over the stage or a part. Raises ``DataError`` when there is no such column."""
    found = _columns(inspection).get(name)
    if found is None:
        known = ", ".join(f'"{column}"' for column in list(_columns(inspection))[:20])
        raise DataError(
            f'There is no column "{name}" to go by.',
            where=inspection.file_name,
            next_step=f"Choose one of {known}." if known else "The file has no columns besides those that are trained on.",
        )
    return found


def ordering(name: str, inspection: Inspection, rows: str, connection: duckdb.DuckDBPyConnection) -> str:
    """SQL for what the rows are sorted by: their length, or a column, as numbers when all its values are numbers."""
    if name == LENGTH and LENGTH not in inspection.extras:
        return "coalesce(lp, 0) + coalesce(lc, 0)"
    value = f"nullif(trim({value_of(name, inspection)}), '')"
    numbers = (
        f"SELECT count(*) FILTER (TRY_CAST({value} AS DOUBLE) IS NULL) FROM {rows} WHERE reason IS NULL AND {value} IS NOT NULL"
    )
    found = connection.execute(numbers).fetchone()
    return f"TRY_CAST({value} AS DOUBLE)" if found is not None and found[0] == 0 else value


def _columns(inspection: Inspection) -> dict[str, str]:
    beside = {name: f"x{place}" for place, name in enumerate(inspection.extras)}
    parts = inspection.shape.columns if inspection.shape else ()
    return beside | {name: _OF_PARTS[part] for part, name in parts if part in _OF_PARTS and name not in beside}
