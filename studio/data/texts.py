"""From records to the texts of a shape: what stands in each part of a row, and of which JSON type it was.

Guarantees: the same columns come out whatever the file was; a row never becomes two and never disappears; a text comes out as
it stands in the file; no name or value of the file is SQL here, only a literal.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio.data.db import literal
from studio.data.read import Table
from studio.data.types import Shape

#: Columns of every record that each later step hands on untouched.
CARRIED = ("line", "raw", "breaks")
#: How many columns that are not part of the shape are kept for grouping and filters, and how much of each value.
MOST_EXTRAS = 24
EXTRA_CHARACTERS = 1000


def extra_columns(table: Table, shape: Shape | None) -> tuple[str, ...]:
    """The columns of the file that are kept beside the shape, in the order of ``x0, x1, ...``."""
    used = {column for _, column in shape.columns} if shape else set[str]()
    return tuple(column for column in table.columns if column not in used)[:MOST_EXTRAS]


def carried(extras: Sequence[str]) -> str:
    """SQL list of the columns that a judge hands on: those of the record and the extra ones."""
    return ", ".join([*CARRIED, *(f"x{place}" for place in range(len(extras)))])


def texts(table: Table, shape: Shape | None, extras: Sequence[str] = ()) -> str:
    """SQL with the carried columns, ``problem`` and, per part of the shape, ``{part}_text`` and ``{part}_type``.

    ``problem`` is the reason why the record could not be read. A type is ``VARCHAR``, ``NULL``, ``UBIGINT``, ``BIGINT``,
    ``HUGEINT``, ``UHUGEINT``, ``DOUBLE``, ``BOOLEAN``, ``ARRAY`` or ``OBJECT``, and SQL NULL when the row has no such column.
    The place of a row is its number, so rows stay in order; ``raw`` is handed on unseen (``Table.raw_text`` makes its text).
    """
    parts = shape.columns if shape else ()
    wanted = [*parts, *((f"x{place}", column) for place, column in enumerate(extras))]
    return _of_cells(table, wanted) if table.format == "csv" else _of_json(table, wanted)


def _of_cells(table: Table, wanted: Sequence[tuple[str, str]]) -> str:
    parts: list[str] = []
    for part, column in wanted:
        cell = table.columns[column][0]
        parts += [_extra(part, cell)] if _is_extra(part) else [f"{cell} AS {part}_text", f"'VARCHAR' AS {part}_type"]
    cells = ", ".join(name for names in table.columns.values() for name in names)
    raw = f"{{'aside': aside, 'cells': CASE WHEN problem IS NULL THEN [{cells}] END}} AS raw"
    return f"SELECT {', '.join(['line', 'breaks', 'problem', raw, *parts])} FROM {table.records}"


def _of_json(table: Table, wanted: Sequence[tuple[str, str]]) -> str:
    keys = [(part, pointer) for part, column in wanted for pointer in table.columns[column]]
    paths = "[" + ", ".join(literal(pointer) for _, pointer in keys) + "]::VARCHAR[]"
    parts: list[str] = []
    for part, _ in wanted:
        places = [place for place, (owner, _) in enumerate(keys, start=1) if owner == part]
        # The same key in two spellings: the one that holds something wins over an explicit null.
        types = [*(f"nullif(types[{place}], 'NULL')" for place in places), *(f"types[{place}]" for place in places)]
        text = f"coalesce({', '.join(f'texts[{place}]' for place in places)})"
        parts += (
            [_extra(part, text)]
            if _is_extra(part)
            else [f"{text} AS {part}_text", f"coalesce({', '.join(types)}) AS {part}_type"]
        )
    found = "CASE WHEN NOT json_valid(value) THEN 'broken_json' WHEN json_type(value) <> 'OBJECT' THEN 'not_an_object' END"
    return f"""
        SELECT {", ".join(["line", "breaks", "raw", "problem", *parts])} FROM (
          SELECT *, CASE WHEN problem IS NULL THEN json_extract_string(raw, {paths}) END AS texts,
            CASE WHEN problem IS NULL THEN json_type(raw, {paths}) END AS types
          FROM (SELECT line, breaks, value AS raw, coalesce(problem, {found}) AS problem FROM {table.records}))"""


def _is_extra(part: str) -> bool:
    return part[:1] == "x" and part[1:].isdigit()


def _extra(part: str, text: str) -> str:
    return f"left({text}, {EXTRA_CHARACTERS}) AS {part}"
