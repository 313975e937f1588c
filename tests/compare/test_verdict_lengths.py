"""Length held equal: the same numbers as statsmodels, and a reason where the votes determine none."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.lengths import length_controlled
from studio.compare.recompute import verdict_from_document
from studio.compare.votes import Vote

CASES = Path(__file__).parents[3] / "shared" / "cases" / "verdict_known_answers.json"
# Votes per prompt (t: challenger won, b: reference won, =: tie) and by how many characters the challenger's answer was longer.
WORKED = (
    *(("ttb", 120), ("tb=", -80), ("bbb", -300), ("ttt", 45), ("t=", 10), ("btb", 260), ("tt", 700), ("=b", -15), ("tb", 95)),
    *(("bt", -220), ("ttb", 30), ("b", -900), ("t=t", 150)),
)
CHOICES = {"t": "left", "b": "right", "=": "tie"}

Rows = list[tuple[str, int]] | tuple[tuple[str, int], ...]


def votes(rows: Rows) -> list[Vote]:
    return [
        Vote(f"p{i}", f"r{j}", CHOICES[letter], "left")
        for i, (letters, _) in enumerate(rows)
        for j, letter in enumerate(letters)
    ]


def lengths(rows: Rows) -> dict[str, tuple[int, int]]:
    return {f"p{i}": (1000 + gap, 1000) for i, (_, gap) in enumerate(rows)}


def test_the_numbers_are_those_of_statsmodels() -> None:
    """GLM(y, [1, tanh(gap / sd)], Binomial()).fit(cov_type="cluster", groups=prompt) of statsmodels 0.15.0."""
    found = length_controlled(votes(WORKED), lengths(WORKED))
    assert (found.intercept, found.slope) == pytest.approx((0.13762993101871251, 1.639112265673996), abs=1e-9)
    assert (found.intercept_se, found.slope_se) == pytest.approx((0.3361733845652675, 0.8437641786662595), abs=1e-9)
    assert found.slope_p == pytest.approx(0.05206221801006212, abs=1e-9)
    assert found.sd == pytest.approx(283.4585774341072, abs=1e-9)
    assert found.win_rate == pytest.approx(1 / (1 + math.exp(-0.13762993101871251)), abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.win_rate < found.high
    assert (found.n_votes, found.n_prompts, found.missing) == (32, 13, "")


@pytest.mark.skipif(not CASES.exists(), reason="the worked cases are not beside this checkout")
def test_worked_example() -> None:
    case = next(case for case in json.loads(CASES.read_text())["cases"] if case["id"] == "K05")
    items = [{"prompt_id": vote["item"]} | vote for vote in case["input"]["votes"]]
    wanted, got = case["expected"], verdict_from_document({"items": items})
    model, found = wanted["length_model"], got["length_controlled"]
    assert found["win_rate"] == pytest.approx(model["length_controlled_win_rate"], abs=1e-9)
    assert (found["intercept"], found["slope"]) == pytest.approx((model["intercept"], model["slope"]), abs=1e-9)
    assert (found["slope_se"], found["slope_p"]) == pytest.approx((model["slope_cluster_se"], model["slope_p"]), abs=1e-9)
    assert found["sd"] == pytest.approx(model["sd_delta_len"], abs=1e-9)
    assert (found["longer_won"], found["longer_of"]) == (wanted["longer_answer_won"], wanted["longer_answer_won_of"])
    slices = got["slices"]["slice"]
    for name, part in wanted["per_slice"].items():
        assert (slices[name]["n"], slices[name]["verdict"]) == (part["n"], part["verdict"])
        assert slices[name]["evidence"] == pytest.approx(part["evidence_e_value"], abs=1e-9)
        assert (slices[name]["low"], slices[name]["high"]) == pytest.approx(
            (part["always_valid_95_low"], part["always_valid_95_high"]), abs=1e-9
        )
    assert got["alpha"] == pytest.approx(wanted["alpha_interval"], abs=1e-9)
    assert got["position"]["side_balanced"] == pytest.approx(wanted["side_balanced_win_rate"], abs=1e-9)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "not known"),
        ([("tb", 10 * i) for i in range(9)], "at least 10 prompts"),
        ([("t", 10 * i) for i in range(20)], "won every vote"),
        ([("b", 10 * i) for i in range(20)], "won every vote"),
        ([("tb", 50)] * 20, "same length everywhere"),
        ([("tb", 0)] * 20, "same length everywhere"),
        ([("t" if gap > 0 else "b", gap) for gap in range(-100, 101, 7)], "Length alone"),
        ([("b" if gap > 0 else "t", gap) for gap in range(-100, 101, 7)], "Length alone"),
        ([("t" if gap > 0 else "b" if gap < 0 else "=", gap) for gap in range(-100, 101, 10)], "Length alone"),
    ],
)
def test_where_the_votes_determine_nothing_the_reason_is_said(rows: Rows, reason: str) -> None:
    found = length_controlled(votes(rows), lengths(rows))
    assert reason in found.missing
    assert (found.win_rate, found.low, found.slope_p) == (None, None, None)


def test_one_vote_of_overlap_is_enough_however_far_the_gaps() -> None:
    rows = [("t" if gap > 0 else "b", gap * 10**6) for gap in range(-10, 11)] + [("b", 3 * 10**6)]
    found = length_controlled(votes(rows), lengths(rows))
    assert found.missing == ""
    assert found.slope is not None
    assert found.slope > 0


def test_votes_whose_lengths_are_not_known_are_left_out() -> None:
    known = lengths(WORKED)
    del known["p0"]
    found = length_controlled(votes(WORKED), known)
    assert (found.n_votes, found.n_prompts) == (29, 12)


rows_of_votes = st.lists(st.tuples(st.text("tb=", min_size=1, max_size=3), st.integers(-2000, 2000)), max_size=40)


@given(rows_of_votes)
@settings(deadline=None, max_examples=60)
def test_exchanging_the_arms_mirrors_it(rows: Rows) -> None:
    here = length_controlled(votes(rows), lengths(rows))
    mirrored = [replace(vote, tuned_side="right") for vote in votes(rows)]
    there = length_controlled(mirrored, {prompt: both[::-1] for prompt, both in lengths(rows).items()})
    assert (here.missing, here.longer_won, here.longer_of) == (there.missing, there.longer_won, there.longer_of)
    if here.win_rate is not None and there.win_rate is not None:
        assert here.win_rate == pytest.approx(1 - there.win_rate, abs=1e-7)
        assert here.slope == pytest.approx(there.slope, rel=1e-5, abs=1e-6)
        assert here.low is not None
        assert here.high is not None
        assert 0 <= here.low <= here.win_rate <= here.high <= 1
