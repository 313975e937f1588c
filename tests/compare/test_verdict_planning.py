"""How many prompts a session needs: against simulation of the rule itself, and against what cannot be otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.evidence import THRESHOLD, Spread
from studio.compare.planning import LIKELY, chance_of_verdict, plan_session, prompts_needed, wins_needed
from studio.compare.reference import coin_evidence
from studio.compare.verdict import state_of
from studio.errors import SettingError


def simulated(prompts: int, win_rate: float, tie_share: float, challengers: int) -> float:
    """Share of 4,000 sessions that name the better side, looked at after every prompt from the 20th on."""
    evidence = np.array([[coin_evidence(w, n) for n in range(prompts + 1)] for w in range(prompts + 1)])
    drawn = np.random.default_rng(5).random((4000, prompts))
    won = np.cumsum(drawn < win_rate - tie_share / 2, axis=1)
    lost = np.cumsum(drawn >= win_rate + tie_share / 2, axis=1)
    over = evidence[won, lost] > THRESHOLD * challengers
    over[:, :19] = False
    first = over.argmax(axis=1)
    rows = np.arange(4000)
    return float(np.mean(over[rows, first] & (won[rows, first] > lost[rows, first])))


@pytest.mark.parametrize(
    ("prompts", "win_rate", "tie_share", "challengers"),
    [(60, 0.7, 0.0, 1), (60, 0.7, 0.3, 1), (20, 0.9, 0.1, 1), (100, 0.55, 0.2, 1), (80, 0.7, 0.0, 3), (50, 0.5, 0.0, 1)],
)
def test_the_chance_is_that_of_the_rule(prompts: int, win_rate: float, tie_share: float, challengers: int) -> None:
    told = chance_of_verdict(prompts, win_rate, tie_share=tie_share, challengers=challengers)
    # Four standard errors of 4,000 sessions are 0.03.
    assert told == pytest.approx(simulated(prompts, win_rate, tie_share, challengers), abs=0.03)


def test_exact_at_the_first_look() -> None:
    """20 prompts without ties: named with 17 wins or more."""
    p = 0.8
    wanted = sum(c * p**w * (1 - p) ** (20 - w) for w, c in ((17, 1140), (18, 190), (19, 20), (20, 1)))
    assert chance_of_verdict(20, p) == pytest.approx(wanted, abs=1e-12)
    assert chance_of_verdict(19, 1.0) == 0.0
    assert chance_of_verdict(20, 1.0) == pytest.approx(1.0)


@pytest.mark.parametrize(("prompts", "wins"), [(19, None), (20, 17), (30, 24), (50, 36), (100, 66), (200, 124)])
def test_wins_that_a_verdict_needs(prompts: int, wins: int | None) -> None:
    assert wins_needed(prompts) == wins
    if wins is not None:
        assert state_of(Spread.of([1.0] * wins + [0.0] * (prompts - wins))) == "tuned_better"
        assert state_of(Spread.of([1.0] * (wins - 1) + [0.0] * (prompts - wins + 1))) != "tuned_better"


def test_prompts_needed_is_where_the_chance_gets_there() -> None:
    for rate, ties, challengers in ((0.6, 0.0, 1), (0.7, 0.3, 1), (0.7, 0.0, 4)):
        options = {"tie_share": ties, "challengers": challengers}
        needed = prompts_needed(rate, **options)
        assert needed is not None
        assert chance_of_verdict(needed, rate, **options) >= LIKELY > chance_of_verdict(needed - 1, rate, **options)
    assert prompts_needed(0.51) is None
    assert prompts_needed(0.5) is None
    assert prompts_needed(0.4) == prompts_needed(0.6)


@given(st.sampled_from([0.6, 0.7, 0.8]), st.sampled_from([0.0, 0.2]), st.integers(20, 300))
@settings(deadline=None, max_examples=25)
def test_more_is_never_worse(rate: float, ties: float, prompts: int) -> None:
    here = chance_of_verdict(prompts, rate, tie_share=ties)
    hair = 1e-8  # walks end when a billionth of them is left
    assert 0 <= here <= chance_of_verdict(prompts + 1, rate, tie_share=ties) + hair <= 1 + 2 * hair
    assert here <= chance_of_verdict(prompts, rate + 0.05, tie_share=ties) + hair
    assert here >= chance_of_verdict(prompts, rate, tie_share=ties, challengers=2) - hair


def test_a_plan_in_words() -> None:
    plan = plan_session(60)
    assert plan.sentence == (
        "With 60 prompts you will probably see a difference when the true win rate is 73 % or more; to see a win rate of 60 % "
        "you need about 378 prompts."
    )
    assert [row.win_rate for row in plan.rows] == [0.6, 0.65, 0.7, 0.75, 0.8, 0.9]
    assert all(row.prompts_needed is not None for row in plan.rows)
    assert plan.wins_needed == wins_needed(60)
    assert plan.smallest_win_rate is not None
    assert chance_of_verdict(60, plan.smallest_win_rate) >= LIKELY > chance_of_verdict(60, plan.smallest_win_rate - 0.01)
    equal = plan.prompts_for_no_difference
    assert equal is not None
    assert state_of(Spread(np.array([0.0, 1.0]), np.array([equal / 2, equal / 2])), cap=5000) == "no_difference"
    assert state_of(Spread(np.array([0.0, 1.0]), np.array([equal / 2 - 1, equal / 2 - 1])), cap=5000) == "no_evidence"


def test_a_plan_that_cannot_name_a_winner_says_so() -> None:
    assert plan_session(5).sentence.startswith("5 prompts cannot name a winner: it takes at least 20; to see")
    assert plan_session(19).smallest_win_rate is None
    assert all(row.chance == 0 for row in plan_session(19).rows)


def test_with_many_ties_only_win_rates_that_can_occur_are_told_of() -> None:
    assert [row.win_rate for row in plan_session(60, tie_share=0.6).rows] == [0.6, 0.65, 0.7]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"prompts": 0}, "prompts"),
        ({"prompts": 60, "tie_share": -0.1}, "tie_share"),
        ({"prompts": 60, "tie_share": 1.0}, "tie_share"),
        ({"prompts": 60, "challengers": 0}, "challengers"),
    ],
)
def test_an_impossible_plan_is_refused(options: dict[str, float], where: str) -> None:
    with pytest.raises(SettingError) as refused:
        plan_session(**options)
    assert refused.value.where == where


def test_a_win_rate_that_ties_do_not_allow_is_refused() -> None:
    with pytest.raises(SettingError):
        chance_of_verdict(60, 0.9, tie_share=0.5)
    with pytest.raises(SettingError):
        chance_of_verdict(60, 1.1)


def test_where_nearly_everything_ties_there_is_a_sentence_all_the_same() -> None:
    """No win rate that a plan speaks of can occur with nine ties in ten."""
    told = plan_session(30, tie_share=0.9)
    assert told.rows == ()
    words = "With 30 prompts you will hardly see a difference, whatever it is; with so many ties large ones do not occur."
    assert told.sentence == words
