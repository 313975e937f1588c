"""The words of the terminal's contract."""

from __future__ import annotations

import json

from studio import data
from studio.data import Finding, RefusedFile

KEYS = {
    *("outcome", "container", "encoding", "delimiter", "data_format", "training_type", "usable_rows", "rejected_rows"),
    *("reasons", "problem_lines", "duplicate_rows", "warnings", "findings"),
}


def csv(*rows, header="prompt,completion"):
    return "\n".join([header, *rows]) + "\n"


GOOD = [f"Question {n}?,Answer {n}" for n in range(12)]


def test_a_plain_file_is_accepted(desk):
    told = data.report(desk(csv(*GOOD)).inspection)
    assert set(told) >= KEYS
    assert (told["outcome"], told["container"], told["encoding"], told["delimiter"]) == ("accepted", "csv", "utf-8", ",")
    assert (told["data_format"], told["training_type"]) == ("prompt_completion", "SL")
    assert (told["usable_rows"], told["rejected_rows"], told["duplicate_rows"]) == (12, 0, 0)
    assert (told["reasons"], told["problem_lines"], told["warnings"]) == ({}, [], [])
    assert json.loads(json.dumps(told)) == told


def test_rows_that_were_set_aside_are_counted_with_reasons_and_lines(desk):
    told = data.report(desk(csv(*GOOD, "no answer,", GOOD[0], "one,two,three", "nothing,")).inspection)
    assert told["outcome"] == "accepted_with_warnings"
    assert told["reasons"] == {"empty_value": 2, "wrong_column_count": 1}
    assert told["problem_lines"] == [14, 16, 17]
    assert (told["rejected_rows"], told["duplicate_rows"]) == (3, 1)
    assert {"rows_rejected", "duplicates"} <= set(told["warnings"])
    assert told["warnings"] == sorted(told["warnings"])


def test_lines_are_listed_up_to_a_length_that_can_be_read(desk):
    told = data.report(desk(csv(*GOOD, *["no answer,"] * 5000)).inspection)
    assert told["reasons"] == {"empty_value": 5000}
    assert told["problem_lines"] == list(range(14, 1014))


def test_columns_that_nobody_knows_reject_the_file_but_no_row(desk):
    told = data.report(desk(csv("a,b", "c,d", header="alpha,beta")).inspection)
    assert (told["outcome"], told["data_format"], told["training_type"]) == ("rejected", None, None)
    assert (told["usable_rows"], told["rejected_rows"], told["reasons"]) == (0, 0, {})


def test_no_usable_row_names_the_reason(desk):
    told = data.report(desk(csv("a,", "b,")).inspection)
    assert (told["outcome"], told["data_format"], told["training_type"]) == ("rejected", None, None)
    assert (told["rejected_rows"], told["reasons"]) == (2, {"empty_value": 2})


def test_a_refused_file_has_the_same_keys(desk):
    told = data.refusal_report(RefusedFile("empty_file", "This file is empty.", next_step="Choose another."), "a.csv")
    assert set(told) == set(data.report(desk(csv(*GOOD)).inspection))
    assert (told["outcome"], told["file_name"]) == ("rejected", "a.csv")
    assert told["findings"][0]["code"] == "empty_file"


def test_what_a_file_is_meant_for_can_reject_it_but_too_few_rows_cannot(desk):
    found = desk(csv(*GOOD)).inspection
    few = Finding("few_for_method", "warning", 12, (), "You have 12.")
    assert data.report(found, [few])["outcome"] == "accepted"
    assert data.report(found, [few])["warnings"] == ["few_for_method"]
    wrong = Finding("training_type_mismatch", "error", 12, (), "Pairs are needed.")
    told = data.report(found, [wrong])
    assert (told["outcome"], told["findings"][-1]["code"]) == ("rejected", "training_type_mismatch")
