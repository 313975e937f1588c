"""Any table, written by the usual libraries in every way they know, is read back equal, row by row, with the right lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from studio import data
from studio.data.db import connect
from studio.data.sources.packing import packing_of, records_of
from studio.data.sources.source import survey
from studio.data.staging.stage import rows_of
from tests.effort import tries

# Every text but half characters and control characters, many of which make a file no text.
LETTERS = st.characters(exclude_categories=("Cs", "Cn", "Cc"))
AWKWARD = [
    '"',
    '""',
    "'",
    "\\",
    '\\"',
    ",",
    ";",
    "\t",
    "|",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "NULL",
    "NaN",
    "\u2028",
    "\x85",
    "\ufeff",
    "\x1f",
]
TEXTS = st.lists(st.sampled_from(AWKWARD) | st.text(LETTERS, max_size=6), max_size=5).map("".join)
# A visible letter in front makes a row usable; all that follows must survive.
ROWS = st.lists(st.tuples(TEXTS.map("Q".__add__), TEXTS.map("A".__add__)), min_size=1, max_size=10)
SLOWLY = tries(10, suppress_health_check=[HealthCheck.too_slow])

pytestmark = pytest.mark.slow


def staged(content: bytes, name: str) -> list[tuple[int, str, str]]:
    """Line, prompt and completion of every row, all of which are usable."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "original.dat"
        path.write_bytes(content)
        found = data.inspect(path, name, Path(place) / "out")
        assert found.rows_rejected == 0, found.findings
        with connect(found.folder) as connection:
            query = f"SELECT line, prompt, completion FROM {rows_of(found.folder / 'stage.parquet')} ORDER BY row_id"
            return connection.execute(query).fetchall()


def exact(content: bytes) -> list[tuple[int, dict]]:
    """The same by the exact reader alone, for JSON."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "original.dat"
        path.write_bytes(content)
        source = survey(path, "x", Path(place))
        return [(line, json.loads(text)) for line, reason, text in records_of(source, packing_of(source)) if reason is None]


def editor_lines(pieces: list[str]) -> list[int]:
    """The line each piece starts on: line feeds, carriage returns and both together end a line."""
    lines, line = [], 1
    for piece in pieces:
        lines.append(line)
        line += piece.replace("\r\n", "\n").replace("\r", "\n").count("\n")
    return lines


@SLOWLY
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    extra=st.booleans(),
    packed=st.booleans(),
    code=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le"]),
)
def test_csv(rows, delimiter, end, quoting, extra, packed, code):
    # Written without quotes, a carriage return at the end of a cell cannot be told from the line end behind it.
    rows = [(ask.rstrip("\r"), answer.rstrip("\r")) for ask, answer in rows]
    if end == "\r":
        # A program that ends lines as old Macs did writes them so inside of cells, too.
        rows = [(ask.replace("\n", ""), answer.replace("\n", "")) for ask, answer in rows]
        rows = [(ask.rstrip("\r"), answer.rstrip("\r")) for ask, answer in rows]
    pieces: list[str] = []
    for row in [("prompt", "completion"), *rows]:
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting).writerow([*row, "x"] if extra else row)
        pieces.append(buffer.getvalue())
    content = "".join(pieces).encode(code)
    found = staged(gzip.compress(content) if packed else content, "x.csv")
    assert [(ask, answer) for _, ask, answer in found] == rows
    if end != "\r" and not any("\r" in text for row in rows for text in row):
        assert [line for line, _, _ in found] == editor_lines(pieces)[1:]


@SLOWLY
@given(
    rows=ROWS,
    ascii_only=st.booleans(),
    form=st.sampled_from(["lines", "crlf", "array", "pretty", "wrapped", "glued", "columns", "split", "index", "sequences"]),
    packed=st.booleans(),
    code=st.sampled_from(["utf-8", "utf-8-sig", "utf-16-be"]),
)
def test_json(rows, ascii_only, form, packed, code):
    objects = [{"prompt": ask, "completion": answer, "n": number} for number, (ask, answer) in enumerate(rows)]
    names = list(objects[0])
    write = json.JSONEncoder(ensure_ascii=ascii_only).encode
    content = {
        "lines": lambda: "\n".join(map(write, objects)),
        "crlf": lambda: "".join(write(one) + "\r\n" for one in objects),
        "array": lambda: write(objects),
        "pretty": lambda: json.dumps(objects, ensure_ascii=ascii_only, indent=2),
        "wrapped": lambda: write({"about": {"n": [1]}, "data": {"rows": objects}}),
        "glued": lambda: "".join(map(write, objects)),
        "columns": lambda: write({name: [one[name] for one in objects] for name in names}),
        "split": lambda: write({"columns": names, "data": [list(one.values()) for one in objects]}),
        "index": lambda: json.dumps(
            {str(number): one for number, one in enumerate(objects)}, ensure_ascii=ascii_only, indent=1
        ),
        "sequences": lambda: "".join("\x1e" + write(one) + "\n" for one in objects),
    }[form]().encode(code)
    found = staged(gzip.compress(content) if packed else content, "x.json")
    assert [(ask, answer) for _, ask, answer in found] == rows
    assert [value for _, value in exact(content)] == objects
    if form in ("lines", "crlf", "sequences"):
        assert [line for line, _, _ in found] == list(range(1, len(rows) + 1))
    if form in ("pretty", "index"):
        assert [line for line, _, _ in found] == [2 + 5 * number for number in range(len(rows))]


@SLOWLY
@given(
    rows=ROWS,
    codec=st.sampled_from(["none", "snappy", "gzip", "zstd", "brotli", "lz4"]),
    dictionary=st.booleans(),
    large=st.booleans(),
    group=st.integers(1, 5),
    binary=st.booleans(),
)
def test_parquet(rows, codec, dictionary, large, group, binary):
    kind = pa.large_string() if large else pa.string()
    columns = [pa.array([row[place] for row in rows], kind) for place in (0, 1)]
    if binary:
        columns[0] = pa.array([ask.encode() for ask, _ in rows], pa.binary())
    buffer = io.BytesIO()
    table = pa.table(columns, names=["prompt", "completion"])
    pq.write_table(table, buffer, compression=codec, use_dictionary=dictionary, row_group_size=group)
    found = staged(buffer.getvalue(), "x.parquet")
    assert found == [(number, *row) for number, row in enumerate(rows, start=1)]


@SLOWLY
@given(rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=8), quote=st.sampled_from(['"', "'"]))
def test_cells_of_any_kind_by_the_exact_reader(rows, quote):
    rows = [tuple(cell.rstrip("\r") for cell in row) for row in rows]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, quotechar=quote, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("prompt", "completion", "note"), *rows])
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "original.dat"
        path.write_bytes(buffer.getvalue().encode())
        source = survey(path, "x", Path(place))
        packing = packing_of(source)
        assert packing.quote == quote
        found = [(reason, text) for _, reason, text in records_of(source, packing)]
    # A record of only empty cells is no record, and one that repeats the names is set aside.
    expected = [row for row in rows if any(row)]
    assert [reason for reason, _ in found] == [None] * len(expected)
    back = [text.replace("\ufdd0".encode(), b"\n").replace("\ufdd1".encode(), b"\r").decode() for _, text in found]
    assert [tuple(next(csv.reader(io.StringIO(text, newline=""), quotechar=quote))) for text in back] == expected


def test_a_row_that_holds_only_a_quotation_mark_is_a_row(tmp_path):
    path = tmp_path / "original.dat"
    path.write_text('prompt,completion\n"",""""\n"" , ""\n,\n"","" ,""\n"a","b"\n')
    source = survey(path, "x", tmp_path)
    found = [(line, text) for line, reason, text in records_of(source, packing_of(source)) if reason is None]
    assert found == [(2, b'"",""""'), (6, b'"a","b"')]
