"""What a part holds beside the form: the columns of the person's file that are not trained on, by which results can be sliced.

Guarantees: a column's name is looked up and never becomes SQL; only columns with a few different values come back, because a
slice for each row says nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from studio.data.splitting.stored import columns_of, reading, table_of
from studio.data.types import Inspection

#: A column with more different values than this is no column of labels.
MOST_VALUES: Final = 12


def labels(path: Path, inspection: Inspection) -> dict[str, dict[str, str]]:
    """Prompt id → column of the file → value, for columns with 2 to ``MOST_VALUES`` values in this part.

    The source of a mixture is one of them (``source``). Raises ``NotFoundError`` when the part is gone.
    """
    with reading(path) as connection:
        there = columns_of(path, connection)
        named = {f"x{place}": name for place, name in enumerate(inspection.extras)}
        columns = [column for column in ("source", *named) if column in there]
        if not columns:
            return {}
        rows = connection.execute(f"SELECT prompt_id, {', '.join(columns)} FROM {table_of(path, connection)} ORDER BY place")
        found = rows.fetchall()
    kept = {
        place: named.get(column, column)
        for place, column in enumerate(columns, start=1)
        if 2 <= len({row[place] for row in found if row[place]}) <= MOST_VALUES
    }
    return {
        str(row[0]): {name: str(row[place]) for place, name in kept.items() if row[place]}
        for row in reversed(found)  # of rows with equal ids the first one counts
    }
