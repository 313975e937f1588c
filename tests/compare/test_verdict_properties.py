"""What must not matter does not, and a fair coin is not called loaded."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import roots_legendre

from studio.compare.evidence import THRESHOLD, Spread, interval, log_evidence
from studio.compare.recompute import as_json
from studio.compare.verdict import FEWEST_PROMPTS, Vote, verdict

OTHER = {"left": "right", "right": "left"}
SWAPPED = {"tuned": "base", "base": "tuned", "undecided": "undecided"}

votes = st.builds(
    Vote,
    prompt_id=st.integers(0, 39).map("p{}".format),
    rater=st.sampled_from(["ana", "bo", "cy"]),
    choice=st.sampled_from(["left", "left", "right", "tie", "both_bad", "skip"]),
    tuned_side=st.sampled_from(["left", "right"]),
)
logs = st.lists(votes, max_size=80)
one_each = st.lists(votes, max_size=80, unique_by=lambda vote: (vote.prompt_id, vote.rater))
fast = settings(deadline=None, max_examples=40)


@given(one_each, st.randoms(use_true_random=False))
@fast
def test_order_does_not_matter(log: list[Vote], chance: random.Random) -> None:
    shuffled = log[:]
    chance.shuffle(shuffled)
    assert verdict(shuffled) == verdict(log)


@given(logs)
@fast
def test_double_clicks_do_not_matter(log: list[Vote]) -> None:
    assert verdict([copy for vote in log for copy in (vote, vote)]) == verdict(log)


@given(logs)
@fast
def test_the_side_does_not_matter(log: list[Vote]) -> None:
    mirrored = [replace(v, choice=OTHER.get(v.choice, v.choice), tuned_side=OTHER[v.tuned_side]) for v in log]
    here, there = as_json(verdict(log)), as_json(verdict(mirrored))
    left, right = here["reference"].pop("position"), there["reference"].pop("position")
    assert (here.pop("position"), there.pop("position")) == (left, right)
    assert here == there
    assert left["decisive"] == right["decisive"]
    assert left["left_chosen"] == right["decisive"] - right["left_chosen"]


@given(logs)
@fast
def test_exchanging_the_models_mirrors_everything(log: list[Vote]) -> None:
    here, there = verdict(log), verdict([replace(v, tuned_side=OTHER[v.tuned_side]) for v in log])
    assert there.verdict == SWAPPED[here.verdict]
    assert there.log_evidence == pytest.approx(here.log_evidence, abs=1e-10)
    assert (there.low, there.high) == pytest.approx((1 - here.high, 1 - here.low), abs=1e-10)
    assert (there.win_rate is None) == (here.win_rate is None)
    assert there.win_rate is None or there.win_rate == pytest.approx(1 - (here.win_rate or 0.0), abs=1e-12)
    assert (there.leaned_tuned, there.leaned_base) == (here.leaned_base, here.leaned_tuned)


@given(logs, st.integers(1, 30), st.sampled_from(["tie", "both_bad"]))
@fast
def test_ties_are_neutral_to_the_evidence(log: list[Vote], count: int, kind: str) -> None:
    before, after = verdict(log), verdict([*log, *(Vote(f"tie{i}", "ana", kind, "left") for i in range(count))])
    assert after.log_evidence == pytest.approx(before.log_evidence, abs=1e-10)
    assert after.verdict == before.verdict
    assert after.n_items == before.n_items + count


@given(logs)
@fast
def test_raters_who_vote_like_others_change_nothing(log: list[Vote]) -> None:
    """Three people or six who agree: the prompts are the evidence, not the heads."""
    before, after = verdict(log), verdict([*log, *(replace(vote, rater=f"{vote.rater}'s twin") for vote in log)])
    assert (after.win_rate, after.low, after.high, after.evidence, after.state) == (
        before.win_rate,
        before.low,
        before.high,
        before.evidence,
        before.state,
    )


@given(logs, logs)
@fast
def test_votes_after_the_reveal_change_nothing(log: list[Vote], late: list[Vote]) -> None:
    before, after = verdict(log), verdict([*log, *(replace(vote, unblinded=True) for vote in late)])
    assert replace(after, n_unblinded=0, tally=before.tally) == before
    assert after.n_unblinded == len({(vote.prompt_id, vote.rater) for vote in late})


@given(logs)
@fast
def test_the_parts_agree(log: list[Vote]) -> None:
    result = verdict(log)
    assert 0 <= result.low <= result.high <= 1
    assert result.verdict == ("tuned" if result.low > 0.5 else "base" if result.high < 0.5 else "undecided")
    assert (result.verdict != "undecided") == (result.evidence > THRESHOLD)
    assert result.win_rate is None or result.low <= result.win_rate <= result.high
    assert result.leaned_tuned + result.leaned_base + result.leaned_even == result.n_items
    assert result.state not in {"tuned_better", "base_better"} or result.n_items >= FEWEST_PROMPTS


@given(st.lists(st.sampled_from([k / 6 for k in range(7)]), min_size=1, max_size=60), st.floats(0.01, 0.99))
@fast
def test_the_interval_is_what_the_evidence_has_not_ruled_out(scores: list[float], mean: float) -> None:
    spread = Spread.of(scores)
    low, high = interval(spread)
    if abs(mean - low) > 1e-9 and abs(mean - high) > 1e-9:
        assert (low < mean < high) == (log_evidence(spread, mean) < math.log(THRESHOLD))


def one_rater(chance: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return chance.integers(0, 2, shape).astype(np.float64)


def with_ties(chance: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return chance.choice([0.0, 0.5, 1.0], size=shape, p=[0.35, 0.3, 0.35])


def three_raters(chance: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Raters of a prompt agree for a reason: each prompt has a lean of its own, none on average."""
    lean = chance.beta(0.7, 0.7, size=(*shape, 1))
    return (chance.random((*shape, 3)) < lean).mean(axis=2)


def logs_of(scores: npt.NDArray[np.float64]) -> list[Vote]:
    """Three votes per prompt that have the given mean score."""
    log: list[Vote] = []
    for i, score in enumerate(scores):
        wins, halves = divmod(round(score * 6), 2)
        choices = ["left"] * wins + ["tie"] * halves + ["right"] * (3 - wins - halves)
        log += [Vote(f"p{i}", rater, choice, "left") for rater, choice in zip("abc", choices, strict=True)]
    return log


@pytest.mark.parametrize("draw", [one_rater, with_ties, three_raters])
def test_between_equal_models_at_most_one_session_in_twenty_names_a_winner(draw) -> None:
    """2,500 sessions, looked at after every prompt from the 20th to the 200th.

    The looks are taken with E(1/2) carried along prompt by prompt, which is quick; at every first crossing, and one prompt
    before it, the real verdict is asked as well.
    """
    sessions, prompts = 2500, 200
    scores = draw(np.random.default_rng(20), (sessions, prompts))
    points, weights = roots_legendre(101)
    p = (points + 1) / 2
    wealth, crossed = np.ones((sessions, p.size)), np.full(sessions, prompts + 1)
    for step in range(prompts):
        s = scores[:, step, None]
        wealth *= 2 * (s * p + (1 - s) * (1 - p))
        now = (wealth @ weights / 2 > THRESHOLD) & (step + 1 >= FEWEST_PROMPTS)
        crossed = np.where(now & (crossed > prompts), step + 1, crossed)
    winners = np.flatnonzero(crossed <= prompts)
    assert 0 < len(winners) <= 0.05 * sessions
    for session in winners:
        at = crossed[session]
        result = verdict(logs_of(scores[session, :at]))
        assert result.state == ("tuned_better" if scores[session, :at].mean() > 0.5 else "base_better")
        if at > FEWEST_PROMPTS:
            assert verdict(logs_of(scores[session, : at - 1])).state not in {"tuned_better", "base_better"}
    for session in np.flatnonzero(crossed > prompts)[:30]:
        assert verdict(logs_of(scores[session])).state in {"stopped", "no_difference"}


def test_a_real_difference_is_found() -> None:
    chance = np.random.default_rng(20)
    found = [verdict(logs_of((chance.random(200) < 0.7).astype(float))).state for _ in range(40)]
    assert found.count("tuned_better") >= 38
