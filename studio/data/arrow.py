"""Numbers and texts between numpy and Arrow, without a copy where there need be none.

Guarantees: nothing here imports pandas. Arrow's own conversions do so to see whether they were given one of its objects, which
takes a third of a second and 40 MB of every process that never uses it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

# The library of Arrow says nothing about its types.
Column = Any


def numbers(column: Column) -> np.ndarray[Any, Any]:
    """The values of a column of numbers without nulls, in order. Raises ``ValueError`` when there are nulls."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if whole.null_count:
        raise ValueError(f"{whole.null_count} of {len(whole)} values are missing")
    return np.from_dlpack(whole)


def integers(values: np.ndarray[Any, Any]) -> Column:
    """A column of ``int64`` with these whole numbers."""
    whole = np.ascontiguousarray(values, np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])


def strings(size: int, letters: np.ndarray[Any, np.dtype[np.uint8]]) -> Column:
    """A column of texts of ``size`` bytes each, which stand one after the other in ``letters``; they must be UTF-8."""
    offsets = np.arange(0, letters.size + 1, size, dtype=np.int32)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(letters)))


def repeated(text: str, count: int) -> Column:
    """A column with one text ``count`` times; it must not be empty."""
    return pa.repeat(strings(len(text.encode()), np.frombuffer(text.encode(), np.uint8))[0], count)


def missing(kind: Column) -> Column:
    """The null of a type of Arrow, as one value."""
    return pa.nulls(1, kind)[0]
