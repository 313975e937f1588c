"""Files that the database reads by itself: the same rows, reasons, order and lines as when they are read record by record."""

from __future__ import annotations

import csv
import io
import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data.db import connect
from studio.data.reading import plain
from studio.data.reading.read import tables
from studio.data.sources.packing import packing_of
from studio.data.sources.source import survey
from tests.effort import tries

EVERYTHING = (
    "row_id, line, reason, detail, raw, system, prompt, completion, x0, row_key, prompt_key, lp, lc, converted, repaired"
)


def ways(path: Path, folder: Path) -> list[bool]:
    """For each way to read the file whether it is the direct one."""
    folder.mkdir(exist_ok=True)
    source = survey(path, path.name, folder)
    return [table.direct for table in tables(source, packing_of(source), folder)]


def staged(inspection: data.Inspection) -> list[tuple]:
    with connect(inspection.folder) as connection:
        return connection.execute(f"SELECT {EVERYTHING} FROM {data.rows_of(inspection.folder / 'stage.parquet')}").fetchall()


def both(content: bytes, name: str, monkeypatch) -> tuple[list[tuple], list[tuple]]:
    """The stage of the direct way and that of the other."""
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "original.dat"
        source.write_bytes(content)
        direct = staged(data.inspect(source, name, Path(place) / "direct"))
        with monkeypatch.context() as patch:
            patch.setattr(plain, "records", lambda *_: None)
            exact = staged(data.inspect(source, name, Path(place) / "exact"))
    return direct, exact


def many(count: int) -> list[tuple[str, str, str]]:
    rng = random.Random(3)
    words = ["Lorem", "ipsum", "dolor", "été", "naïve", "42", "true", "[a]", "{b}", 'say "hi"', "C:\\dir", "tab\there"]
    rows: list[tuple[str, str, str]] = []
    for number in range(count):
        ask, answer = " ".join(rng.choices(words, k=6)), " ".join(rng.choices(words, k=12))
        rows.append((f"Q{number} {ask}", answer + ("\nmore\n\nand more" if number % 7 == 0 else ""), f"id-{number}"))
    return rows


def as_csv(rows: list[tuple[str, str, str]], end: str = "\r\n") -> bytes:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=end)
    writer.writerows([("prompt", "completion", "id"), *rows])
    return buffer.getvalue().encode()


def as_jsonl(rows: list[tuple[str, str, str]], **style) -> bytes:
    names = ("prompt", "completion", "id")
    return "".join(json.dumps(dict(zip(names, row, strict=True)), **style) + "\n" for row in rows).encode()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_many_threads_keep_their_order_and_lines(tmp_path, end):
    rows = many(60_000)
    path = tmp_path / "rows.csv"
    path.write_bytes(as_csv(rows, end))
    assert ways(path, tmp_path / "ways")[0] is True
    found = data.inspect(path, "rows.csv", tmp_path / "dataset")
    line, expected = 2, []
    for number, row in enumerate(rows):
        expected.append((number, line, *row))
        line += 1 + sum(cell.count("\n") for cell in row)
    with connect(found.folder) as connection:
        query = f"SELECT row_id, line, prompt, completion, x0 FROM {data.rows_of(found.folder / 'stage.parquet')}"
        assert connection.execute(query).fetchall() == expected
    parts = data.split(found)
    for part in (parts.train, parts.validation, parts.test):
        lines = [row.line for row in data.rows(part.path)]
        assert lines == sorted(lines)
        assert {line for _, line, *_ in expected} >= set(lines)


def test_long_files_read_either_way_are_the_same(monkeypatch):
    rows = many(5_000)
    rows[10] = ("", "blank prompt", "id")
    rows[2000] = rows[1999]
    for content, name in (
        (as_csv(rows), "a.csv"),
        (as_jsonl(rows), "a.jsonl"),
        (as_jsonl(rows, ensure_ascii=False, separators=(",", ":")), "a.jsonl"),
    ):
        direct, exact = both(content, name, monkeypatch)
        assert direct == exact


ODD = [
    *(b"{", b"17", b"null", b'"text"', b"{}", b'{"prompt": "a" "completion": "b"}', b'{"completion": "only"}'),
    *(b'{"prompt": "a", "completion": 5, "id": 1}', b'{"prompt": "a", "completion": null, "id": "x"}'),
    *(b'{"prompt": "true", "completion": true}', b'{"prompt": "a", "completion": ["x"], "id": "y"}'),
    *(b'{"id":"z","prompt":"42","completion":"{}"}', b'  {"prompt": "s", "completion": "t"}  '),
    *(b'{"prompt":"a","prompt":"b","completion":"c"}', b'{"prompt": "late", "completion": "c", "system": "Be brief."}'),
    *(b'{"Prompt": "B", "completion": "c"}', b'\xef\xbb\xbf{"prompt": "glued", "completion": "mark"}'),
    *(b'{"prompt": "x", "completion": "y",}', b'{"prompt": "\\u00e9", "completion": "\\n"}'),
    *(b'{"prompt": "x", "completion": "y", "id": NaN}', b'{"prompt": NaN, "completion": -Infinity, "id": inf}'),
    *(
        b'{"prompt": "x", "completion": [1, nan], "id": "z"}',
        b'{"prompt": "[NaN]", "completion": ": NaN,", "id": 1e999}',
    ),
    *(b'{"prompt": "finance", "completion": "infinite", "id": "NaN"}', b'{"prompt": "x", "completion": "y", "id": INFINITY}'),
]
# As long as a row of three texts, but what stands without quotation marks makes room for what is no JSON, or for another key.
AS_LONG = [
    b'{"prompt": "x", "completion": {"a": nan }, "id": "z"}',
    b'{"prompt": "x", "completion": {"a": [1, nan]}, "id": "z"}',
    b'{"prompt": "x", "completion": {"a": 1 ,}, "id": "z"}',
    b'{"prompt": "x", "completion": NaN  , "id": "z"}',
    b'{"prompt": "x", "completion": "y", "id": 5 ,}',
    b'{"prompt": "x", "completion": 5,"q":1, "id": 7}',
]


@pytest.mark.parametrize("odd", AS_LONG)
def test_rows_of_the_usual_length_are_looked_at_when_a_value_has_no_quotation_marks(odd, monkeypatch):
    direct, exact = both(as_jsonl(many(30)) + odd + b"\n", "x.jsonl", monkeypatch)
    assert direct == exact


ENDS = [
    *(b"", b'{"prompt": "a', b'{"prompt": "a", "completion"', b'{"prompt": "a", "completion": {"b": "c"}', b"{", b"[1, 2"),
    b'  {"prompt": "spaces before',
]


@tries(10)
@given(st.lists(st.sampled_from(ODD), max_size=12), st.integers(0, 3), st.sampled_from(ENDS))
def test_odd_lines_of_json_are_judged_alike_either_way(odd, blank, end):
    lines = [*as_jsonl(many(30)).splitlines(), *odd, *([b""] * blank)]
    random.Random(1).shuffle(lines)
    monkeypatch = pytest.MonkeyPatch()
    direct, exact = both(b"\n".join(lines) + b"\n" + end, "x.jsonl", monkeypatch)
    assert direct == exact


@pytest.mark.parametrize("end", ENDS[1:])
def test_a_file_that_stops_in_the_middle_of_a_line_says_so_either_way(end, monkeypatch):
    rows = as_jsonl(many(30))
    for way in both(rows + end, "x.jsonl", monkeypatch):
        line, reason = way[-1][1:3]
        assert (line, reason) == (31, "file_cut_off")
        assert [row[2] for row in way[:-1]] == [None] * 30


@pytest.mark.parametrize(
    "end", [b'{"prompt": "a" "completion": "b"}', b'{"prompt": "a", "compl\n', b"nothing of the kind", b'"text']
)
def test_a_last_line_that_is_only_broken_is_not_called_cut_off(end, monkeypatch):
    for way in both(as_jsonl(many(30)) + end, "x.jsonl", monkeypatch):
        assert way[-1][2] == "broken_json"


def test_only_the_last_of_equal_lines_is_where_the_file_stops(monkeypatch):
    rows, piece = as_jsonl(many(30)), b'{"prompt": "a", "comp'
    for way in both(rows + piece + b"\n" + rows + piece, "x.jsonl", monkeypatch):
        assert [row[1:3] for row in way if row[2]] == [(31, "broken_json"), (62, "file_cut_off")]


def test_numbers_that_are_none_are_nothing_either_way(monkeypatch):
    lines = [b'{"prompt": "x%d", "completion": "y", "id": NaN}' % number for number in range(9)]
    for way in both(as_jsonl(many(30)) + b"\n".join(lines) + b"\n", "x.jsonl", monkeypatch):
        assert [(row[8], row[-1]) for row in way[30:]] == [(None, True)] * 9


@pytest.mark.parametrize(
    "lines",
    [
        b'a,b,c\n"open,x,y\n',
        b"a,b,c\n ,,\nd,e,f\n",
        b"a,b,c\n\nd,e,f\n",
        b'"a" , "b" , "c"\n',
        b"a,b\n",
        b"a,b,c,d\n",
        b"prompt,completion,id\n",
        b'5" pipe,say "hi",x\n',
    ],
)
def test_doubtful_cells_are_judged_alike_either_way(lines, monkeypatch):
    direct, exact = both(as_csv(many(30), "\n") + lines + b"x,y,z\n", "x.csv", monkeypatch)
    assert direct == exact


def test_progress_is_told_and_a_stop_is_obeyed_at_once(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl(many(3000)))
    phases: list[str] = []

    class Note:
        def at(self, phase, done, total, unit):
            phases.append(phase)
            if phase == "checking":
                raise data.Cancelled("stopped")

    with pytest.raises(data.Cancelled):
        data.inspect(path, "rows.jsonl", tmp_path / "dataset", watch=Note())
    assert phases[0] == "reading"
    assert not (tmp_path / "dataset" / "inspection.json").exists()


def test_a_first_look_reads_the_head_only(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(as_jsonl(many(20_000)))
    seen = data.peek(path, "rows.jsonl")
    assert (seen.container, seen.complete, seen.bytes) == ("jsonl", False, path.stat().st_size)
    assert seen.columns == ("prompt", "completion", "id")
    assert len(seen.rows) == 20
    assert seen.rows[1][2] == "id-1"
    assert seen.shape is not None
    assert seen.shape.kind == "prompt_completion"
