"""Looking at the rows that were staged: a page of them, searched and filtered; their lengths, labels and copies.

Guarantees: reads the stage and never the file; what a person typed reaches SQL as a constant; a page is small whatever the
number and the length of the rows; numbers count every row, none is sampled. The sealed part cannot be asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import duckdb

from studio.data.db import connect, literal, readable
from studio.data.findings.conditions import NEAR, condition
from studio.data.staging.stage import STAGE, rows_of
from studio.data.types import Inspection, Message, messages_from
from studio.errors import NotFoundError
from studio.histograms import BARS, Bar, bars, step_for

Show = Literal["all", "usable", "aside"]

#: Rows on a page, characters of a cell on a page, and characters of one text in ``whole``.
PAGE: Final = 25
CELL: Final = 1_200
WHOLE: Final = 100_000
#: Rows of a list of labels or clusters.
MOST: Final = 12

# Answers longer than this are no labels.
_LABEL: Final = 80
# More different values than this are no labels either, and each label should be seen a few times.
_LABELS: Final = 40
_EACH_LABEL: Final = 3
_ROWS_OF_A_PART: Final = ("train", "validation")
_TEXTS: Final = ("prompt", "completion", "system", "rejected", "reference", "raw")
_PARTS_SHOWN: Final = ("system", "prompt", "completion", "rejected", "reference", "reward")


@dataclass(frozen=True, slots=True)
class Look:
    """What a person wants to see.

    ``text`` is searched for in every text of a row, whatever its case. ``finding`` is the code of a finding. ``part`` is train
    or validation of a data set that was split. ``like`` asks for the rows that share something with one row, as ``what:row``:
    ``copies``, ``prompt``, ``answer``, ``script`` or ``x0, x1, ...``; ``near`` takes the number of a cluster instead.
    """

    text: str = ""
    finding: str = ""
    show: Show = "all"
    part: str = ""
    like: str = ""
    page: int = 1

    @property
    def filtered(self) -> bool:
        """Whether anything but the page is asked for."""
        return bool(self.text or self.finding or self.part or self.like or self.show != "all")


@dataclass(frozen=True, slots=True)
class Cell:
    """The start of a text, and how many characters there are in all."""

    text: str
    length: int


@dataclass(frozen=True, slots=True)
class Line:
    """One row on a page. A cell is None where the row has nothing in that column.

    ``reason`` says why a row was set aside, and then ``cells`` has one cell: the row as it stands in the file.
    """

    row_id: int
    line: int
    reason: str
    detail: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows in file order. ``columns`` are names of the stage (``prompt``, ``completion``, ``x0``, ...)."""

    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    matched: int
    page: int
    pages: int


@dataclass(frozen=True, slots=True)
class Whole:
    """One row in full, up to ``WHOLE`` characters of each text: its parts by name, and its conversation if it is one."""

    row_id: int
    line: int
    reason: str
    detail: str
    texts: tuple[tuple[str, Cell], ...]
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """One value, how many rows have it, and the ``like`` that shows them."""

    text: str
    count: int
    like: str


@dataclass(frozen=True, slots=True)
class Labels:
    """The values of one column, most frequent first; ``others`` are rows that are not listed.

    ``column`` is ``completion``, ``script`` (of the answer: Latin, Arabic, ...) or ``x0, x1, ...``.
    """

    column: str
    values: tuple[Label, ...]
    distinct: int
    others: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows that are copies of each other, or nearly: how many, the text of the first one, and the ``like`` that shows them."""

    count: int
    first_line: int
    text: str
    like: str
    near: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """The usable rows in pictures. ``copies`` lists the largest clusters; ``exact`` and ``near`` count all clusters."""

    prompt: tuple[Bar, ...]
    completion: tuple[Bar, ...]
    labels: tuple[Labels, ...]
    copies: tuple[Cluster, ...]
    exact: int
    near: int


def page(inspection: Inspection, look: Look, listed: Mapping[str, Collection[int]] | None = None) -> Page:
    """The rows that ``look`` asks for. ``listed`` names the rows of findings that the stage itself knows nothing of.

    Raises ``NotFoundError`` when the staged rows are gone.
    """
    columns = shown_columns(inspection)
    with _looking(inspection.folder) as (connection, rows):
        where = _where(inspection.folder, rows, look, listed or {})
        connection.execute(f"CREATE TEMP TABLE hits AS SELECT row_id FROM {rows} WHERE {where}")
        found = connection.execute("SELECT count(*) FROM hits").fetchone()
        matched = int(found[0]) if found else 0
        pages = max(1, -(-matched // PAGE))
        at = min(max(1, look.page), pages)
        ids = connection.execute(f"SELECT row_id FROM hits ORDER BY row_id LIMIT {PAGE} OFFSET {(at - 1) * PAGE}").fetchall()
        lines = _lines(connection, rows, columns, [int(row_id) for (row_id,) in ids])
    return Page(columns, lines, matched, at, pages)


def whole(inspection: Inspection, row_id: int) -> Whole:
    """One row in full. Raises ``NotFoundError`` when there is no such row."""
    names = (*_PARTS_SHOWN, *(f"x{index}" for index in range(len(inspection.extras))))
    with _looking(inspection.folder) as (connection, rows):
        texts = ", ".join(f"left({name}::VARCHAR, {WHOLE}), length({name}::VARCHAR)" for name in (*names, "raw"))
        query = f"SELECT line, reason, detail, messages, {texts} FROM {rows} WHERE row_id = {int(row_id)}"
        found = connection.execute(query).fetchone()
    if found is None:
        raise NotFoundError("There is no such row.", where=inspection.file_name, next_step="Choose another row.")
    line, reason, detail, turns, *cells = found
    pairs = zip((*names, "raw"), cells[::2], cells[1::2], strict=True)
    shown = tuple((name, Cell(text, length)) for name, text, length in pairs if text is not None)
    return Whole(int(row_id), line, reason or "", detail or "", shown, messages_from(turns or ()))


def figures(inspection: Inspection) -> Figures:
    """Lengths, labels and copies of the usable rows. Raises ``NotFoundError`` when the staged rows are gone."""
    with _looking(inspection.folder) as (connection, rows):
        prompt = _bars(connection, rows, "lp", inspection.lengths.prompt.p95, inspection.lengths.prompt.max)
        completion = _bars(connection, rows, "lc", inspection.lengths.completion.p95, inspection.lengths.completion.max)
        exact, copies = _copies(connection, rows)
        near, alike = _near(connection, rows, inspection.folder)
        labels = tuple(_all_labels(connection, rows, inspection))
    return Figures(prompt, completion, labels, (*copies, *alike), exact, near)


def next_usable(inspection: Inspection, row_id: int, step: int = 1) -> int | None:
    """The usable row after this one (before it with ``step=-1``), None at the end."""
    order, sign = ("row_id", ">") if step > 0 else ("row_id DESC", "<")
    with _looking(inspection.folder) as (connection, rows):
        found = connection.execute(
            f"SELECT row_id FROM {rows} WHERE reason IS NULL AND row_id {sign} {int(row_id)} ORDER BY {order} LIMIT 1"
        ).fetchone()
    return int(found[0]) if found else None


def row_at(inspection: Inspection, line: int) -> int | None:
    """The row that stands on this line, or the last one before it; None in front of the first."""
    with _looking(inspection.folder) as (connection, rows):
        found = connection.execute(f"SELECT max(row_id) FROM {rows} WHERE line <= {int(line)}").fetchone()
    return int(found[0]) if found and found[0] is not None else None


def shown_columns(inspection: Inspection) -> tuple[str, ...]:
    """The columns of a page: the parts that this form has, then what else the file holds."""
    kind = inspection.shape.kind if inspection.shape else ""
    parts = ["prompt"] if kind == "prompts" else ["prompt", "completion"]
    if inspection.shape and inspection.shape.column("system"):
        parts.insert(0, "system")
    if kind.startswith("preference"):
        parts.append("rejected")
    if kind.startswith("rl"):
        parts.extend(("reference", "reward"))
    return (*parts, *(f"x{index}" for index in range(len(inspection.extras))))


@contextmanager
def _looking(folder: Path) -> Generator[tuple[duckdb.DuckDBPyConnection, str]]:
    """A connection to the stage, and the SQL that names its rows."""
    stage = folder / STAGE
    if not stage.exists():
        raise NotFoundError("The prepared rows are gone.", where=str(folder), next_step="Choose the file again.")
    with connect(folder) as connection:
        yield connection, rows_of(stage)


def _where(folder: Path, rows: str, look: Look, listed: Mapping[str, Collection[int]]) -> str:
    """SQL for the rows that are asked for."""
    wanted: list[str] = []
    if look.show != "all":
        wanted.append("reason IS NULL" if look.show == "usable" else "reason IS NOT NULL")
    if look.text.strip():
        needle = literal(look.text.strip().lower())
        wanted.append("(" + " OR ".join(f"contains(lower({text}), {needle})" for text in _TEXTS) + ")")
    if look.finding:
        wanted.append(f"({_of_finding(folder, look.finding, listed)})")
    if look.part in _ROWS_OF_A_PART:
        path = folder / f"{look.part}.parquet"
        lines = f"SELECT line FROM read_parquet({readable(path)})"
        wanted.append(f"reason IS NULL AND line IN ({lines})" if path.exists() else "false")
    if look.like:
        wanted.append(_alike(folder, rows, look.like))
    return " AND ".join(wanted) or "true"


def _of_finding(folder: Path, code: str, listed: Mapping[str, Collection[int]]) -> str:
    """SQL for the rows of a finding."""
    if code not in listed:
        return condition(code, folder / STAGE)
    some = ", ".join(str(int(row_id)) for row_id in listed[code])
    return f"row_id IN ({some})" if some else "false"


def _alike(folder: Path, rows: str, like: str) -> str:
    """SQL for the rows that share something with one row."""
    what, _, number = like.partition(":")
    if not number.isdecimal() or len(number) > 20:
        return "false"
    near = folder / NEAR
    if what == "near":
        members = f"SELECT row_id FROM read_parquet({readable(near)}) WHERE cluster = {number}"
        return f"row_id IN ({members})" if near.exists() else "false"
    column = {"copies": "row_key", "prompt": "prompt_key", "answer": "completion", "script": "script"}.get(what)
    if column is None and what[:1] == "x" and what[1:].isdecimal() and len(what) < 4:
        column = what
    if column is None:
        return "false"
    return f"reason IS NULL AND {column} = (SELECT {column} FROM {rows} WHERE row_id = {number})"


def _lines(connection: duckdb.DuckDBPyConnection, rows: str, columns: Sequence[str], ids: Sequence[int]) -> tuple[Line, ...]:
    """These rows, with the start of each text."""
    if not ids:
        return ()
    texts = ", ".join(f"left({name}::VARCHAR, {CELL}), length({name}::VARCHAR)" for name in (*columns, "raw"))
    some = ", ".join(str(row_id) for row_id in ids)
    found = connection.execute(
        f"SELECT row_id, line, reason, detail, {texts} FROM {rows} WHERE row_id IN ({some}) ORDER BY row_id"
    ).fetchall()
    return tuple(_line(*values) for values in found)


def _line(row_id: int, line: int, reason: str | None, detail: str | None, *texts: object) -> Line:
    cells = tuple(
        Cell(text, length) if isinstance(text, str) and isinstance(length, int) else None
        for text, length in zip(texts[::2], texts[1::2], strict=True)
    )
    return Line(row_id, line, reason or "", detail or "", cells[-1:] if reason else cells[:-1])


def _bars(connection: duckdb.DuckDBPyConnection, rows: str, column: str, p95: int, longest: int) -> tuple[Bar, ...]:
    """The lengths in one column of usable rows."""
    if longest <= 0:
        return ()
    step = step_for(p95, longest)
    found = connection.execute(
        f"""SELECT least(greatest({column} - 1, 0) // {step}, {BARS})::INTEGER AS bar, count(*) FROM {rows}
        WHERE reason IS NULL AND {column} IS NOT NULL GROUP BY bar"""
    ).fetchall()
    return bars(dict(found), step, longest)


def _copies(connection: duckdb.DuckDBPyConnection, rows: str) -> tuple[int, tuple[Cluster, ...]]:
    """How many rows have exact copies, and the largest groups of them."""
    groups = (
        f"SELECT row_key, count(*) AS n, min(row_id) AS first FROM {rows} WHERE reason IS NULL GROUP BY row_key HAVING n > 1"
    )
    connection.execute(f"CREATE TEMP TABLE copies AS {groups}")
    found = connection.execute("SELECT count(*) FROM copies").fetchone()
    largest = connection.execute(f"SELECT n, first FROM copies ORDER BY n DESC, first LIMIT {MOST}").fetchall()
    return int(found[0]) if found else 0, _clusters(connection, rows, [(n, first, f"copies:{first}") for n, first in largest])


def _near(connection: duckdb.DuckDBPyConnection, rows: str, folder: Path) -> tuple[int, tuple[Cluster, ...]]:
    """The same for rows that are nearly the same."""
    path = folder / NEAR
    if not path.exists():
        return 0, ()
    groups = f"SELECT cluster, count(*) AS n, min(row_id) AS first FROM read_parquet({readable(path)}) GROUP BY cluster"
    connection.execute(f"CREATE TEMP TABLE near AS {groups}")
    found = connection.execute("SELECT count(*) FROM near").fetchone()
    largest = connection.execute(f"SELECT n, first, cluster FROM near ORDER BY n DESC, first LIMIT {MOST}").fetchall()
    clusters = [(n, first, f"near:{cluster}") for n, first, cluster in largest]
    return int(found[0]) if found else 0, _clusters(connection, rows, clusters)


def _clusters(connection: duckdb.DuckDBPyConnection, rows: str, groups: Sequence[tuple[int, int, str]]) -> tuple[Cluster, ...]:
    if not groups:
        return ()
    some = ", ".join(str(first) for _, first, _ in groups)
    texts = {
        row_id: (line, text)
        for row_id, line, text in connection.execute(
            f"SELECT row_id, line, left(prompt, {CELL}) FROM {rows} WHERE row_id IN ({some})"
        ).fetchall()
    }
    return tuple(
        Cluster(count, *texts[first], like=like, near=like.startswith("near"))
        for count, first, like in groups
        if first in texts
    )


def _all_labels(connection: duckdb.DuckDBPyConnection, rows: str, inspection: Inspection) -> Generator[Labels]:
    """The answers when they are labels, in which scripts they are, and every other column that holds labels."""
    columns = [("script", "script"), *((f"x{index}", f"x{index}") for index in range(len(inspection.extras)))]
    if 0 < inspection.lengths.completion.p95 <= _LABEL:
        columns.insert(0, ("completion", "answer"))
    for column, what in columns:
        found = connection.execute(f"""
            SELECT {column} AS value, count(*) AS n, min(row_id) AS first FROM {rows}
            WHERE reason IS NULL AND {column} IS NOT NULL GROUP BY value ORDER BY n DESC, first""").fetchmany(_LABELS + 1)
        total = sum(n for _, n, _ in found)
        if not 2 <= len(found) <= _LABELS or total < _EACH_LABEL * len(found):
            continue
        listed = tuple(Label(value[:CELL], n, f"{what}:{first}") for value, n, first in found[:MOST])
        yield Labels(column, listed, len(found), total - sum(each.count for each in listed))
