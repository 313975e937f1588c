"""The textbook numbers at their edges: a number that the votes do not determine is missing, never wrong."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.reference import blinding, sign_test, wilson
from studio.compare.verdict import Vote, verdict


def votes(choices: str, rater: str = "ana") -> list[Vote]:
    """One vote per letter: l, r, t; the tuned model alternates sides."""
    names = {"l": "left", "r": "right", "t": "tie"}
    return [Vote(f"p{i:04}", rater, names[c], "left" if i % 2 else "right") for i, c in enumerate(choices)]


def test_no_spread_no_width() -> None:
    for log in (votes("l")[:1], [Vote(f"p{i}", "a", "left", "left") for i in range(10)], votes("ttt")):
        drawer = verdict(log).reference
        assert drawer.t95 is None
        assert drawer.bootstrap_bca95 is None


def test_only_ties_leave_nothing_to_lean() -> None:
    drawer = verdict(votes("tttt")).reference
    assert (drawer.leaned, drawer.wilson95, drawer.sign_test_p) == (0, None, None)
    assert (drawer.position.left_share, drawer.position.p) == (None, None)


def test_one_rater_cannot_agree_with_anyone() -> None:
    agreement = verdict(votes("lrlt")).reference.agreement
    assert (agreement.n_pairs, agreement.raw, agreement.decisive, agreement.alpha) == (0, None, None, None)


def test_raters_who_never_meet_cannot_agree() -> None:
    log = [Vote("p1", "ana", "left", "left"), Vote("p2", "bo", "left", "left")]
    assert verdict(log).reference.agreement.alpha is None


def test_agreement() -> None:
    same = verdict([*votes("lrlrtl"), *votes("lrlrtl", "bo")]).reference.agreement
    assert (same.n_pairs, same.raw, same.alpha) == (6, 1.0, 1.0)
    tied = verdict([*votes("lrtl"), *votes("lrlt", "bo")]).reference.agreement
    assert (tied.n_pairs, tied.raw, tied.decisive) == (4, 0.5, 1.0)
    opposite = verdict([*votes("lrlr"), *votes("rlrl", "bo")]).reference.agreement
    assert (opposite.raw, opposite.decisive) == (0.0, 0.0)
    assert opposite.alpha is not None
    assert opposite.alpha < 0
    # All say the same of every prompt: evalica calls that 1, but chance would do as well.
    uniform = verdict([Vote(f"p{i}", rater, "left", "left") for i in range(5) for rater in "ab"]).reference.agreement
    assert (uniform.raw, uniform.alpha) == (1.0, None)


def test_a_rater_who_always_presses_left_shows_in_the_position_and_not_in_the_verdict() -> None:
    result = verdict(votes("l" * 60))
    position = result.reference.position
    assert (position.left_chosen, position.decisive, position.left_share) == (60, 60, 1.0)
    assert position.p is not None
    assert position.p < 1e-9
    assert (position.win_rate_tuned_left, position.win_rate_tuned_right, position.side_balanced) == (1.0, 0.0, 0.5)
    assert (result.win_rate, result.verdict) == (0.5, "undecided")


def test_the_bootstrap_repeats_itself() -> None:
    log = votes("lrllrtlllrtllrl" * 3)
    renamed = [Vote(f"q{len(log) - i:04}", v.rater, v.choice, v.tuned_side) for i, v in enumerate(log)]
    assert verdict(log).reference.bootstrap_bca95 == verdict(renamed).reference.bootstrap_bca95


def test_prompts_are_the_unit() -> None:
    """Five raters who say the same are no more than one who says it."""
    alone, crowd = votes("lrllrtlllrtllrl"), [v for rater in "abcde" for v in votes("lrllrtlllrtllrl", rater)]
    one, five = verdict(alone).reference, verdict(crowd).reference
    assert (one.t95, one.wilson95, one.sign_test_p, one.bootstrap_bca95) == (
        five.t95,
        five.wilson95,
        five.sign_test_p,
        five.bootstrap_bca95,
    )


@given(st.integers(0, 300), st.integers(0, 300))
@settings(deadline=None, max_examples=50)
def test_shares(successes: int, failures: int) -> None:
    trials = successes + failures
    ends, p = wilson(successes, trials), sign_test(successes, trials)
    if not trials:
        assert (ends, p) == (None, None)
        return
    assert ends is not None
    assert p is not None
    low, high = ends
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert 0 < p <= 1


def test_nobody_was_asked_to_guess() -> None:
    result = blinding(0, 0, 0)
    assert (result.index, result.right_share, result.wilson95, result.p, result.evidence) == (None, None, None, None, 1.0)
    assert blinding(0, 0, 5).index == 0.0


def test_thousands_of_prompts_are_affordable() -> None:
    result = verdict(votes("lrllrtlllr" * 500))
    start = time.perf_counter()
    assert result.reference.bootstrap_bca95 is not None
    assert time.perf_counter() - start < 5
