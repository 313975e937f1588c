"""Editor lines of records that go over several lines, found by several threads at once.

Guarantees: the numbers are those that one reader who counts from the first line would find, or it is said that they are not.

A thread sees some thousand records in a row but not how many lines stand before them. So it gives its run of records, a chunk,
a number of its own, and counts from the start of the chunk; where each chunk starts is added up when all are there.
"""

from __future__ import annotations

import itertools

import duckdb
import numpy as np
from duckdb.func import ARROW

from studio.data.arrow import Column, integers, numbers

#: The function that ``SELECT`` calls with the line ends inside each record.
NUMBERED = "lines_in_chunk"
_BITS = 32
_WITHIN = (1 << _BITS) - 1


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Give the connection the function; the chunks of one stage must come from one call of this."""
    chunks = itertools.count()

    def numbered(breaks: Column) -> Column:
        inside = numbers(breaks).astype(np.int64)
        within = np.arange(len(inside)) + np.cumsum(inside) - inside
        return integers((next(chunks) << _BITS) + within)

    # It counts its calls, so it must see every row: without ``side_effects`` a chunk without line ends would be one value.
    connection.create_function(NUMBERED, numbered, ["INTEGER"], "BIGINT", type=ARROW, side_effects=True)


def starts(scan: str, first: int, connection: duckdb.DuckDBPyConnection) -> list[int] | None:
    """The first line of each chunk, by its number; None when a chunk was torn apart, so that no line can be told.

    ``scan`` has ``file_row_number, line, breaks``.
    """
    found = connection.execute(f"""
        SELECT line >> {_BITS} AS chunk, count(*) AS n, sum(breaks)::BIGINT, min(file_row_number) AS low, max(file_row_number),
          max((line & {_WITHIN}) + breaks)
        FROM {scan} GROUP BY chunk ORDER BY low""").fetchall()
    lines: dict[int, int] = {}
    line, row = first, 0
    for chunk, count, breaks, low, high, last in found:
        if (low, high, last) != (row, row + count - 1, count - 1 + breaks):
            return None
        lines[chunk] = line
        line, row = line + count + breaks, row + count
    return [lines.get(chunk, 0) for chunk in range(max(lines, default=-1) + 1)]


def line_of(starts: list[int]) -> str:
    """SQL for the editor line from the column ``line`` of a stage with these chunks."""
    places = ", ".join(str(int(start)) for start in starts)
    return f"(list_extract([{places}]::BIGINT[], (line >> {_BITS}) + 1) + (line & {_WITHIN}))"
