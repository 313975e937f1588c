"""The evidence and the interval against exact rational arithmetic: no quadrature, no logarithms, no floats until the end."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.evidence import THRESHOLD, Spread, conclude, interval, log_evidence, no_difference

HALF = Fraction(1, 2)


def exact(scores: list[Fraction], mean: Fraction) -> Fraction:
    """E(mean), the product multiplied out as a polynomial in p and integrated term by term."""
    polynomial = [Fraction(1)]
    for score in scores:
        constant = (1 - score) / (1 - mean)
        slope = score / mean - constant
        lower, upper = [constant * c for c in polynomial] + [Fraction(0)], [Fraction(0)] + [slope * c for c in polynomial]
        polynomial = [a + b for a, b in zip(lower, upper, strict=True)]
    return sum((c / (power + 1) for power, c in enumerate(polynomial)), Fraction(0))


def spread(scores: list[Fraction]) -> Spread:
    return Spread.of(float(score) for score in scores)


MIXED = [Fraction(k, 6) for k in (6, 6, 5, 4, 3, 6, 0, 2, 6, 5, 3, 6, 1, 6, 6, 4, 6, 3, 6, 6, 5, 6)]


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (7, 0), (33, 17), (36, 14), (14, 36), (50, 50), (66, 34)])
def test_one_rater_has_a_closed_form(wins: int, losses: int) -> None:
    n = wins + losses
    closed = Fraction(2**n * math.factorial(wins) * math.factorial(losses), math.factorial(n + 1))
    assert exact([Fraction(1)] * wins + [Fraction(0)] * losses, HALF) == closed
    got = math.exp(log_evidence(Spread.of([1.0] * wins + [0.0] * losses)))
    assert got == pytest.approx(float(closed), rel=1e-12)


def test_a_tie_is_worth_exactly_nothing() -> None:
    decisive = [Fraction(1)] * 12 + [Fraction(0)] * 4
    assert exact(decisive + [HALF] * 25, HALF) == exact(decisive, HALF)


@pytest.mark.parametrize("mean", [Fraction(1, 100), Fraction(1, 5), HALF, Fraction(7, 9), Fraction(999, 1000)])
def test_mixed_scores(mean: Fraction) -> None:
    assert log_evidence(spread(MIXED), float(mean)) == pytest.approx(math.log(exact(MIXED, mean)), abs=1e-11)


@given(
    scores=st.lists(st.sampled_from([Fraction(k, 12) for k in range(13)]), min_size=1, max_size=24),
    mean=st.fractions(Fraction(1, 1000), Fraction(999, 1000), max_denominator=1000),
)
@settings(deadline=None, max_examples=60)
def test_any_scores_at_any_mean(scores: list[Fraction], mean: Fraction) -> None:
    assert log_evidence(spread(scores), float(mean)) == pytest.approx(math.log(exact(scores, mean)), abs=1e-10)


@pytest.mark.parametrize(
    "scores",
    [
        MIXED,
        [Fraction(1)] * 36 + [Fraction(0)] * 14,
        [Fraction(1)] * 30 + [Fraction(0)] * 10 + [HALF] * 30,
        [HALF] * 40,
        [Fraction(1, 3)],
    ],
)
def test_the_ends_of_the_interval_are_where_the_evidence_is_twenty(scores: list[Fraction]) -> None:
    low, high = interval(spread(scores))
    step = Fraction(1, 10**10)
    for end, outward in ((Fraction(low), -step), (Fraction(high), step)):
        assert exact(scores, end + outward) > THRESHOLD > exact(scores, end - outward)


@pytest.mark.parametrize("n", [1, 2, 7, 8, 50])
def test_a_clean_sweep(n: int) -> None:
    low, high = interval(Spread.of([1.0] * n))
    assert low == pytest.approx((20 * (n + 1)) ** (-1 / n), abs=1e-12)
    assert high == 1.0
    assert interval(Spread.of([0.0] * n)) == pytest.approx((0.0, 1 - low), abs=1e-12)


def test_nothing_known() -> None:
    nothing = Spread.of([])
    assert interval(nothing) == (0.0, 1.0)
    assert log_evidence(nothing) == 0.0
    assert conclude(nothing) == "undecided"
    assert not no_difference(nothing)


@pytest.mark.parametrize(("n", "needed"), [(20, 17), (30, 24), (50, 36), (100, 66), (200, 124)])
def test_wins_that_a_verdict_needs(n: int, needed: int) -> None:
    def closed_form(wins: int) -> Fraction:
        return Fraction(2**n * math.factorial(wins) * math.factorial(n - wins), math.factorial(n + 1))

    assert closed_form(needed) > THRESHOLD > closed_form(needed - 1)
    assert conclude(Spread.of([1.0] * needed + [0.0] * (n - needed))) == "tuned"
    assert conclude(Spread.of([1.0] * (needed - 1) + [0.0] * (n - needed + 1))) == "undecided"
    assert conclude(Spread.of([0.0] * needed + [1.0] * (n - needed))) == "base"


@pytest.mark.parametrize(("n", "wins"), [(3000, 1600), (8190, 4000), (20_000, 10_150)])
def test_thousands_of_prompts_neither_overflow_nor_drift(n: int, wins: int) -> None:
    # lgamma itself is good to about 1e-11 relative here, which is what the tolerance allows for.
    closed = n * math.log(2) + math.lgamma(wins + 1) + math.lgamma(n - wins + 1) - math.lgamma(n + 2)
    scores = Spread.of([1.0] * wins + [0.0] * (n - wins))
    assert log_evidence(scores) == pytest.approx(closed, abs=1e-8)
    low, high = interval(scores)
    assert low < wins / n < high
    assert log_evidence(scores, low) == pytest.approx(math.log(THRESHOLD), abs=1e-7)
