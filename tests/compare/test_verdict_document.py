"""The vote file: what it may hold, and how a wrong one is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.recompute import verdict_from_document
from studio.errors import DataError


def item(**changes: Any) -> dict[str, Any]:
    return {"prompt_id": "p1", "rater": "ana", "choice": "left", "tuned_side": "left"} | changes


def without(field: str) -> dict[str, Any]:
    return {key: value for key, value in item().items() if key != field}


def test_the_answer_is_plain_json() -> None:
    items = [
        item(prompt_id=f"p{i}", rater=rater, choice=choice)
        for i in range(12)
        for rater, choice in zip("ab", ("left", "tie"), strict=True)
    ]
    answer = verdict_from_document({"items": items})
    assert json.loads(json.dumps(answer, allow_nan=False))["n_items"] == 12
    assert {"win_rate", "low", "high", "evidence", "verdict", "n_items", "reference"} <= answer.keys()
    assert answer["reference"]["label"] == "valid only for one look planned in advance"


def test_no_items_is_an_empty_session() -> None:
    answer = verdict_from_document({"items": []})
    assert (answer["win_rate"], answer["low"], answer["high"], answer["verdict"]) == (None, 0.0, 1.0, "undecided")
    json.dumps(answer, allow_nan=False)


def test_numbers_will_do_as_ids() -> None:
    answer = verdict_from_document({"items": [item(prompt_id=1, rater=7), item(prompt_id="1", rater="7")]})
    assert (answer["n_items"], answer["n_votes"], answer["per_rater"]) == (1, 1, {"7": {"n": 1, "win_rate": 1.0}})


def test_what_a_session_export_adds() -> None:
    document = {
        "items": [item(), item(unblinded=True, choice="right"), item(prompt_id="p2", choice="right")],
        "automatic_ties": ["same1", "same2"],
        "cap": 4,
        "title": "ignored",
    }
    answer = verdict_from_document(document)
    assert (answer["n_items"], answer["n_rated"], answer["n_unblinded"], answer["win_rate"]) == (4, 2, 1, 0.5)
    assert answer["state"] == "stopped"


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (None, ""),
        ([], ""),
        ("votes", ""),
        ({}, "items"),
        ({"items": None}, "items"),
        ({"items": {"0": item()}}, "items"),
        ({"items": "left"}, "items"),
        ({"items": [item(), "left"]}, "items[1]"),
        ({"items": [item(), None]}, "items[1]"),
        ({"items": [item(), item(), without("prompt_id")]}, "items[2].prompt_id"),
        ({"items": [without("rater")]}, "items[0].rater"),
        ({"items": [without("choice")]}, "items[0].choice"),
        ({"items": [without("tuned_side")]}, "items[0].tuned_side"),
        ({"items": [item(prompt_id="")]}, "items[0].prompt_id"),
        ({"items": [item(prompt_id=" ")]}, "items[0].prompt_id"),
        ({"items": [item(prompt_id=True)]}, "items[0].prompt_id"),
        ({"items": [item(prompt_id=1.5)]}, "items[0].prompt_id"),
        ({"items": [item(prompt_id=10**5000)]}, "items[0].prompt_id"),
        ({"items": [item(rater=None)]}, "items[0].rater"),
        ({"items": [item(rater=["ana"])]}, "items[0].rater"),
        ({"items": [item(choice="tuned")]}, "items[0].choice"),
        ({"items": [item(choice="Left")]}, "items[0].choice"),
        ({"items": [item(choice=["left"])]}, "items[0].choice"),
        ({"items": [item(choice=None)]}, "items[0].choice"),
        ({"items": [item(tuned_side="tie")]}, "items[0].tuned_side"),
        ({"items": [item(tuned_side=0)]}, "items[0].tuned_side"),
        ({"items": [item(unblinded="yes")]}, "items[0].unblinded"),
        ({"items": [], "automatic_ties": "p1"}, "automatic_ties"),
        ({"items": [], "automatic_ties": ["p1", None]}, "automatic_ties[1]"),
        ({"items": [], "cap": 0}, "cap"),
        ({"items": [], "cap": "200"}, "cap"),
        ({"items": [], "cap": True}, "cap"),
    ],
)
def test_a_wrong_file_is_refused_at_the_place(document: object, where: str) -> None:
    with pytest.raises(DataError) as refused:
        verdict_from_document(document)
    assert refused.value.where == where
    assert len(str(refused.value)) < 300


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["left", "tie"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["items", "prompt_id", "rater", "choice", "tuned_side", "cap"]), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(anything)
@settings(deadline=None, max_examples=100)
def test_nothing_but_a_data_error_ever_comes_out(document: object) -> None:
    with suppress(DataError):
        json.dumps(verdict_from_document(document), allow_nan=False)
