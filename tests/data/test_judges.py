"""Every row of every form: what is recognised, what is set aside and why, and what is learned from, to the letter."""

from __future__ import annotations

import json

import duckdb
import pytest

from studio import data
from studio.data.judges import judged
from studio.data.shape import PARTS
from tests.data.awkward import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_file_of_this_form(case, tmp_path):
    source = tmp_path / "original.dat"
    source.write_text(case.content(), "utf-8", newline="")
    found = data.inspect(source, case.file_name, tmp_path / "dataset", mapping=case.mapping)
    assert found.shape is not None
    assert (found.shape.kind, found.shape.training) == (case.kind, case.training)
    assert found.shape.exact == case.exact, found.shape.why
    told = data.report(found)
    assert told["reasons"] == case.reasons
    assert told["usable_rows"] == (0 if case.outcome == "rejected" else len(case.all_rows) - sum(case.reasons.values()))
    assert min(told["problem_lines"], default=None) == case.line
    rows = list(data.canonical_rows(found))
    if case.first is not None:
        assert rows[0] == case.first
    if case.last is not None:
        assert rows[-1] == case.last
    assert case.warnings <= set(told["warnings"])
    assert told["outcome"] == case.outcome, told["warnings"]


AGAIN = (
    "alpaca",
    "tools_and_weights",
    "sharegpt",
    "mixed",
    "whole_chats",
    "transcripts_of_pairs",
    "turns_before_the_answers",
    "rewards",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in AGAIN], ids=lambda case: case.name)
def test_what_is_written_is_read_again_as_the_same(case, tmp_path):
    source, written = tmp_path / "original.dat", tmp_path / "written.dat"
    source.write_text(case.content(), "utf-8", newline="")
    first = data.inspect(source, case.file_name, tmp_path / "first")
    rows = list(data.canonical_rows(first))
    written.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    again = data.inspect(written, "again.jsonl", tmp_path / "again")
    assert again.shape.training == first.shape.training
    assert again.shape.exact
    assert again.rows_rejected == 0
    assert list(data.canonical_rows(again)) == rows


@pytest.mark.parametrize("kind", PARTS)
def test_rows_keep_their_place(kind):
    """The number of a row is its place, so no judge may join, sort, group or filter."""
    parts = [part for group in PARTS[kind] for part in group]
    columns = "".join(f", v AS {part}_text, k AS {part}_type" for part in parts)
    connection = duckdb.connect()
    connection.execute("CREATE TABLE file AS SELECT 'a' AS v, 'VARCHAR' AS k, NULL::VARCHAR AS problem, 1 AS line")
    shape = data.Shape(kind, tuple((part, f"{part}_a") for part in parts), True, "")
    query = judged(f"SELECT line, problem{columns} FROM file", shape, "line")
    plan = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()[0][1]
    assert set(_operators(json.loads(plan))) <= {"PROJECTION", "SEQ_SCAN", "STREAMING_LIMIT"}


def _operators(nodes):
    for node in nodes:
        yield node["name"].strip()
        yield from _operators(node["children"])
