"""One-click repairs as pure transformations of the staged rows, applied in the order in which they were chosen.

Guarantees: a fix looks at one row by itself; it never adds or removes a row, it changes texts or gives a reason; the original
file is never touched, so undo is reading again without the fix.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio.data.types import Fix, Shape
from studio.errors import DataError


def on_texts(texts: str, shape: Shape, fixes: Sequence[Fix]) -> str:
    """SQL with the same columns as ``texts``, after the fixes that work before a row is judged."""
    _ = shape, fixes
    return texts


def on_rows(rows: str, shape: Shape, fixes: Sequence[Fix]) -> str:
    """SQL with the same canonical columns as ``rows``, after the fixes that work on judged rows, in their order."""
    _ = shape
    for fix in fixes:
        raise DataError(f"There is no fix called {fix.id!r}.", next_step="Choose one of the fixes on offer.")
    return rows
