"""The project's worked cases, computed elsewhere with other programs. A clone without them still has the exact tests beside."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from studio.compare.evidence import Spread, conclude, interval, log_evidence
from studio.compare.recompute import verdict_from_document
from studio.compare.reference import blinding
from studio.compare.verdict import Vote, verdict

CASES = Path(__file__).parents[3] / "shared" / "cases" / "verdict_known_answers.json"
pytestmark = pytest.mark.skipif(not CASES.exists(), reason="the worked cases are not beside this checkout")


def case(name: str) -> dict[str, Any]:
    return next(case for case in json.loads(CASES.read_text())["cases"] if case["id"] == name)


def session(counts: dict[str, int]) -> list[Vote]:
    """One rater, one prompt per vote, the tuned model left on even prompts and right on odd ones."""
    votes: list[Vote] = []
    for outcome, count in counts.items():
        for _ in range(count):
            tuned, base = ("left", "right") if len(votes) % 2 else ("right", "left")
            choice = {"tuned": tuned, "base": base}.get(outcome, outcome)
            votes.append(Vote(f"p{len(votes)}", "ana", choice, tuned))
    return votes


@pytest.mark.parametrize("name", ["K01a", "K01b", "K02", "K03", "K04a", "K04d"])
def test_one_rater(name: str) -> None:
    given, wanted = case(name)["input"], case(name)["expected"]
    result = verdict(session(given))
    assert result.n_items == wanted["n"]
    assert result.win_rate == (None if wanted["win_rate"] is None else pytest.approx(wanted["win_rate"], abs=1e-12))
    assert result.evidence == pytest.approx(wanted["evidence_e_value"], abs=1e-9)
    assert result.log_evidence == pytest.approx(wanted.get("log_e_value", 0.0), abs=1e-9)
    assert result.low == pytest.approx(wanted["always_valid_95_low"], abs=1e-9)
    assert result.high == pytest.approx(wanted["always_valid_95_high"], abs=1e-9)
    assert result.verdict == wanted["verdict"]
    if "wilson95" in wanted:
        assert result.reference.wilson95 == pytest.approx(wanted["wilson95"], abs=1e-9)
    if "binom_p_two_sided" in wanted:
        assert result.reference.sign_test_p == pytest.approx(wanted["binom_p_two_sided"], abs=1e-9)


def test_ties_do_not_dilute_the_evidence() -> None:
    given, wanted = case("K02")["input"], case("K02")["expected"]
    result = verdict(session(given))
    assert result.reference.wilson95 == pytest.approx(wanted["wilson95_excluding_ties"], abs=1e-9)
    assert result.reference.sign_test_p == pytest.approx(wanted["sign_test_p_two_sided"], abs=1e-9)
    assert result.reference.t95 == pytest.approx(wanted["t_interval95"], abs=1e-9)


def test_both_bad_and_skip() -> None:
    given, wanted = case("K03")["input"], case("K03")["expected"]
    result = verdict(session(given))
    assert (result.n_votes, result.n_skipped) == (wanted["n_votes"], wanted["n_skipped"])
    assert result.both_bad_share == pytest.approx(wanted["both_bad_share"])
    assert result.tie_share == pytest.approx(wanted["tie_share"])


def test_a_clean_sweep_has_no_zero_width_interval() -> None:
    assert verdict(session(case("K04a")["input"])).reference.bootstrap_bca95 is None


@pytest.fixture(scope="module")
def worked() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    example = case("K05")
    items = [
        {"prompt_id": vote["item"], **{key: vote[key] for key in ("rater", "choice", "tuned_side")}}
        for vote in example["input"]["votes"]
    ]
    return example["input"], example["expected"], verdict_from_document({"items": items})


def test_worked_example(worked: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]) -> None:
    _, wanted, got = worked
    assert got["win_rate"] == pytest.approx(wanted["win_rate"], abs=1e-12)
    assert got["evidence"] == pytest.approx(wanted["evidence_e_value"], abs=1e-9)
    assert got["low"] == pytest.approx(wanted["always_valid_95_low"], abs=1e-9)
    assert got["high"] == pytest.approx(wanted["always_valid_95_high"], abs=1e-9)
    assert got["verdict"] == wanted["verdict"]
    assert (got["n_items"], got["n_votes"]) == (wanted["n_items"], wanted["n_votes"])
    assert got["vote_counts"] == wanted["vote_counts"]
    assert got["item_outcomes"] == wanted["item_outcomes"]
    assert got["per_rater"] == {rater: pytest.approx(value) for rater, value in wanted["per_rater"].items()}
    assert got["leave_one_out"] == pytest.approx(wanted["leave_one_rater_out"])


def test_worked_example_reference_numbers(worked: tuple[dict[str, Any], dict[str, Any], dict[str, Any]]) -> None:
    _, wanted, got = worked
    drawer = got["reference"]
    assert drawer["t95"] == pytest.approx(wanted["clustered_t95"], abs=1e-9)
    assert drawer["bootstrap_bca95"] == pytest.approx(wanted["bootstrap_items_bca95"], abs=0.01)
    assert drawer["sign_test_p"] == pytest.approx(wanted["sign_test_items_p"], abs=1e-9)
    assert drawer["wilson95"] != pytest.approx(wanted["WRONG_vote_level_wilson95"], abs=1e-3)
    agreement, position = drawer["agreement"], drawer["position"]
    assert agreement["alpha"] == pytest.approx(wanted["alpha_interval"], abs=1e-9)
    assert agreement["raw"] == pytest.approx(wanted["pairwise_raw_agreement"], abs=1e-9)
    assert agreement["decisive"] == pytest.approx(wanted["pairwise_agreement_excluding_ties"], abs=1e-9)
    assert agreement["n_pairs"] == wanted["n_rater_pairs"]
    assert (position["left_chosen"], position["decisive"]) == (wanted["left_chosen"], wanted["decisive"])
    assert position["p"] == pytest.approx(wanted["position_p_two_sided"], abs=1e-9)
    assert position["win_rate_tuned_left"] == pytest.approx(wanted["win_rate_when_tuned_left"], abs=1e-9)
    assert position["win_rate_tuned_right"] == pytest.approx(wanted["win_rate_when_tuned_right"], abs=1e-9)
    assert position["side_balanced"] == pytest.approx(wanted["side_balanced_win_rate"], abs=1e-9)


def test_worked_example_prompt_by_prompt_and_slice_by_slice(
    worked: tuple[dict[str, Any], dict[str, Any], dict[str, Any]],
) -> None:
    given, wanted, _ = worked
    votes = [Vote(v["item"], v["rater"], v["choice"], v["tuned_side"]) for v in given["votes"]]
    assert dict(verdict(votes).tally.rated) == pytest.approx(wanted["item_scores"], abs=1e-12)
    slices = {vote["item"]: vote["slice"] for vote in given["votes"]}
    for name, part in wanted["per_slice"].items():
        result = verdict([vote for vote in votes if slices[vote.prompt_id] == name])
        assert (result.n_items, result.verdict) == (part["n"], part["verdict"])
        assert result.evidence == pytest.approx(part["evidence_e_value"], abs=1e-9)
        assert result.low == pytest.approx(part["always_valid_95_low"], abs=1e-9)
        assert result.high == pytest.approx(part["always_valid_95_high"], abs=1e-9)


def test_the_library_behind_alpha() -> None:
    from evalica import alpha

    table = pd.DataFrame(case("K06a")["input"]["reliability_data"])
    for distance in ("nominal", "ordinal", "interval", "ratio"):
        assert alpha(table, distance).alpha == pytest.approx(case("K06a")["expected"][distance], abs=1e-9)


def test_un_swapping() -> None:
    given, wanted = case("K08")["input"]["votes"], case("K08")["expected"]
    result = verdict([Vote(f"p{i}", "ana", vote["choice"], vote["tuned_side"]) for i, vote in enumerate(given)])
    assert result.tally.outcomes == {outcome: wanted[outcome] for outcome in ("tuned", "base", "tie", "both_bad")}
    assert (result.n_skipped, result.n_items) == (wanted["skip"], wanted["n"])
    assert result.win_rate == pytest.approx(wanted["win_rate"])
    position = result.reference.position
    assert (position.left_chosen, position.decisive - position.left_chosen) == (wanted["left_chosen"], wanted["right_chosen"])


def test_blinding() -> None:
    wanted = case("K12")["expected"]
    asked = case("K12")["input"]
    result = blinding(asked["right"], asked["wrong"], asked["dont_know"])
    assert result.index == pytest.approx(wanted["bang_index"])
    assert result.right_share == pytest.approx(wanted["right_share"])
    assert result.wilson95 == pytest.approx(wanted["right_share_wilson95"], abs=1e-9)
    assert result.p == pytest.approx(wanted["binom_p_two_sided"], abs=1e-9)
    assert result.evidence == pytest.approx(wanted["right_guess_e_value"], abs=1e-9)


def test_automatic_ties() -> None:
    given, wanted = case("K15")["input"], case("K15")["expected"]
    same = [f"same{i}" for i in range(given["identical_not_shown"])]
    result = verdict(session(given["shown"]), automatic_ties=same)
    assert (result.n_items, result.n_rated) == (wanted["n"], wanted["n_shown"])
    assert result.win_rate == pytest.approx(wanted["win_rate"])
    assert result.win_rate_rated == pytest.approx(wanted["win_rate_shown_only"])
    assert result.evidence == pytest.approx(wanted["evidence_e_value"], abs=1e-9)
    assert result.low == pytest.approx(wanted["always_valid_95_low"], abs=1e-9)
    assert result.high == pytest.approx(wanted["always_valid_95_high"], abs=1e-9)
    assert result.reference.sign_test_p == pytest.approx(wanted["sign_test_p_two_sided"], abs=1e-9)


def test_the_mathematics_alone_gives_the_same() -> None:
    scores = Spread.of(case("K05")["expected"]["item_scores"].values())
    wanted = case("K05")["expected"]
    assert math.exp(log_evidence(scores)) == pytest.approx(wanted["evidence_e_value"], abs=1e-9)
    assert interval(scores) == pytest.approx((wanted["always_valid_95_low"], wanted["always_valid_95_high"]), abs=1e-9)
    assert conclude(scores) == wanted["verdict"]
