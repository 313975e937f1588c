"""How rows leave the desk: canonical JSON lines that come back equal, and a CSV that no spreadsheet runs."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data.export import csv_line, spreadsheet_safe
from studio.errors import NotFoundError, StoreError


def lines(*rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(start):
    assert spreadsheet_safe(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("cell", ["", "a=b", " =1", "'=1", "1-1", "say @ home"])
def test_other_cells_stay_as_they_are(cell):
    assert spreadsheet_safe(cell) == cell


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), min_size=1, max_size=4))
def test_every_record_reads_back_and_none_begins_a_formula(cells):
    text = csv_line(cells).decode()
    (back,) = csv.reader(io.StringIO(text, newline=""))
    assert back == [spreadsheet_safe(cell) for cell in cells]
    assert not [cell for cell in back if cell[:1] in set("=+-@\t\r\n")]


def test_rows_that_were_set_aside_are_safe_to_open(desk, tmp_path):
    content = lines(
        {"prompt": '=HYPERLINK("http://x","y")', "completion": ""},
        {"prompt": "a", "completion": "b"},
        "=cmd|' /C calc'!A0",
        {"prompt": "c", "completion": "d"},
    )
    found = desk(content + "@SUM(1)\n", "x.jsonl").inspection
    target = tmp_path / "aside.csv"
    assert data.write_rejected(found, target) == 3
    raw = target.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"), newline="")))
    assert [(row["line"], row["reason"]) for row in rows] == [
        ("1", "empty_value"),
        ("3", "not_an_object"),
        ("5", "broken_json"),
    ]
    assert rows[2]["row"] == "'@SUM(1)"
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [{"prompt": f"p{n}", "completion": f"=c{n}\n"} for n in range(3)],
            [{"prompt": f"p{n}", "completion": f"=c{n}\n"} for n in range(3)],
        ),
        (
            [{"system": "Be kind.", "prompt": f"p{n}", "completion": "c"} for n in range(3)],
            [{"system": "Be kind.", "prompt": f"p{n}", "completion": "c"} for n in range(3)],
        ),
        (
            [{"messages": [{"role": "user", "content": f"p{n}"}, {"role": "assistant", "content": "c"}]} for n in range(3)],
            [{"messages": [{"role": "user", "content": f"p{n}"}, {"role": "assistant", "content": "c"}]} for n in range(3)],
        ),
        (
            [{"prompt": f"p{n}", "chosen": "good", "rejected": "bad"} for n in range(3)],
            [{"prompt": f"p{n}", "chosen": "good", "rejected": "bad"} for n in range(3)],
        ),
    ],
    ids=["plain", "system", "chat", "pairs"],
)
def test_usable_rows_are_canonical_and_in_file_order(desk, tmp_path, rows, expected):
    found = desk(lines(*rows), "x.jsonl").inspection
    assert list(data.canonical_rows(found)) == expected
    assert data.write_usable(found, tmp_path / "out.jsonl") == len(expected)
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == expected


TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}]
CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
TOOL_CHAT = {
    "messages": [
        {"role": "user", "content": "How many are left?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "content": "7", "tool_call_id": "c1"},
        {"role": "assistant", "content": "Seven."},
    ],
    "tools": TOOLS,
}


def test_what_is_written_reads_back_equal(desk, tmp_path):
    """Tool calls and their tools included: a cleaned file is a file again."""
    found = desk(lines(*[TOOL_CHAT] * 2), "tools.jsonl").inspection
    first = list(data.canonical_rows(found))
    assert first[0]["tools"] == TOOLS
    assert first[0]["messages"][1]["tool_calls"] == [CALL]
    assert first[0]["messages"][2]["tool_call_id"] == "c1"
    (tmp_path / "again").mkdir()
    data.write_usable(found, tmp_path / "again" / "out.jsonl")
    back = data.inspect(tmp_path / "again" / "out.jsonl", "out.jsonl", tmp_path / "again" / "dataset")
    assert list(data.canonical_rows(back)) == first


def test_json_lines_are_never_changed_for_a_spreadsheet(desk, tmp_path):
    found = desk(lines({"prompt": "=1+1", "completion": "@home"}, {"prompt": "+1", "completion": "-1"}), "x.jsonl").inspection
    assert [row["prompt"] for row in data.canonical_rows(found)] == ["=1+1", "+1"]


def test_half_a_file_is_never_left(desk, tmp_path):
    found = desk(lines({"prompt": "a", "completion": "b"}), "x.jsonl").inspection
    with pytest.raises(StoreError):
        data.write_usable(found, tmp_path / "none" / "out.jsonl")

    def stop(_):
        raise KeyboardInterrupt

    many = desk(lines(*[{"prompt": f"p{n}", "completion": "b"} for n in range(1500)]), "x.jsonl").inspection
    with pytest.raises(KeyboardInterrupt):
        data.write_usable(many, tmp_path / "out.jsonl", stop)
    assert not list(tmp_path.glob("out.jsonl*"))


def test_rows_that_are_gone_are_said_to_be_gone(desk):
    found = desk(lines({"prompt": "a", "completion": "b"}), "x.jsonl").inspection
    (found.folder / "stage.parquet").unlink()
    with pytest.raises(NotFoundError):
        list(data.canonical_rows(found))
