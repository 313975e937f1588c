"""States, the stop rule, and the words that go with them."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from studio.compare.sentences import HEADLINES, odds, percent
from studio.compare.verdict import Verdict, Vote, verdict
from studio.errors import DataError, SettingError


def votes(wins: int, losses: int, ties: int = 0, *, rater: str = "ana") -> list[Vote]:
    """The tuned answer stands on the left of every other prompt."""
    outcomes = ["tuned"] * wins + ["base"] * losses + ["tie"] * ties
    sides = [("left", "right") if i % 2 else ("right", "left") for i in range(len(outcomes))]
    pressed = (
        {"tuned": tuned, "base": base}.get(outcome, outcome) for outcome, (tuned, base) in zip(outcomes, sides, strict=True)
    )
    return [Vote(f"p{i}", rater, choice, sides[i][0]) for i, choice in enumerate(pressed)]


def judge(wins: int, losses: int, ties: int = 0, **settings: int) -> Verdict:
    return verdict(votes(wins, losses, ties), **settings)


@pytest.mark.parametrize(
    ("wins", "losses", "ties", "state"),
    [
        (0, 0, 0, "too_early"),
        (8, 0, 0, "too_early"),  # E = 28, and still too early
        (19, 0, 0, "too_early"),
        (20, 0, 0, "tuned_better"),
        (17, 3, 0, "tuned_better"),
        (3, 17, 0, "base_better"),
        (16, 4, 0, "leaning"),
        (4, 16, 0, "leaning"),
        (10, 10, 0, "no_evidence"),
        (15, 5, 0, "leaning"),  # E = 3.2
        (14, 6, 0, "no_evidence"),  # E = 1.3
        (30, 10, 60, "tuned_better"),
        (0, 0, 60, "no_difference"),
        (4, 4, 120, "no_difference"),
        (100, 100, 0, "stopped"),
    ],
)
def test_states(wins: int, losses: int, ties: int, state: str) -> None:
    assert judge(wins, losses, ties).state == state


def test_the_cap_ends_a_session_that_is_not_settled() -> None:
    assert judge(33, 17).state == "no_evidence"
    assert judge(33, 17, cap=51).state == "no_evidence"
    assert judge(33, 17, cap=50).state == "stopped"
    assert judge(36, 14, cap=50).state == "tuned_better"


def test_a_session_too_small_for_a_verdict_ends_without_one() -> None:
    result = judge(8, 0, cap=8)
    assert (result.verdict, result.state) == ("tuned", "stopped")
    assert any("at least 20" in note for note in result.notes)


def test_a_cap_below_one_is_refused() -> None:
    with pytest.raises(SettingError):
        judge(1, 1, cap=0)


def test_leaning_starts_at_three_to_one() -> None:
    states = {(result := judge(wins, 50 - wins)).state: result.evidence for wins in range(26, 50)}
    assert states["no_evidence"] < 3 <= states["leaning"] < 20 < states["tuned_better"]


def test_nobody_has_voted() -> None:
    result = judge(0, 0)
    assert (result.win_rate, result.low, result.high, result.evidence) == (None, 0.0, 1.0, 1.0)
    assert (result.tie_share, result.both_bad_share, result.win_rate_rated) == (None, None, None)
    assert (result.n_items, result.more_prompts_needed, result.raters) == (0, 20, ())
    assert result.sentence == "Nobody has voted yet; a verdict needs at least 20 prompts."
    assert result.reference.wilson95 is None
    assert result.reference.agreement.alpha is None


def test_more_prompts_needed() -> None:
    assert judge(5, 2).more_prompts_needed == 13
    assert judge(36, 14).more_prompts_needed is None  # settled
    assert judge(25, 25).more_prompts_needed is None  # out of sight
    more = judge(33, 17).more_prompts_needed
    assert more is not None
    # The forecast is the mix of today over more prompts; whole prompts agree with it to within rounding.
    total = 50 + more
    assert judge(round(0.66 * total) + 1, total - round(0.66 * total) - 1).state == "tuned_better"
    assert judge(round(0.66 * (total - 6)), total - 6 - round(0.66 * (total - 6))).state == "leaning"


def test_more_prompts_can_also_show_that_there_is_no_difference() -> None:
    more = judge(1, 1, 28).more_prompts_needed
    assert more is not None
    growth = (30 + more) / 30
    assert judge(round(growth), round(growth), round(28 * growth)).state == "no_difference"


def test_the_last_vote_before_the_reveal_counts() -> None:
    log = [
        Vote("p1", "ana", "left", "left"),
        Vote("p1", "ana", "right", "left"),
        Vote("p1", "ana", "left", "left", unblinded=True),
    ]
    result = verdict(log)
    assert (result.win_rate, result.n_votes, result.n_unblinded) == (0.0, 1, 1)
    assert any("after that rater's reveal" in note for note in result.notes)


def test_a_vote_taken_back_by_a_skip_is_missing() -> None:
    result = verdict([Vote("p1", "ana", "left", "left"), Vote("p1", "ana", "skip", "left")])
    assert (result.n_items, result.n_skipped, result.win_rate) == (0, 1, None)


def test_prompts_that_are_still_being_rated_wait() -> None:
    log = [*votes(3, 1), Vote("p0", "bo", "right", "left")]
    result = verdict(log, closed={"p0"})
    assert (result.n_items, result.n_open, result.win_rate) == (1, 3, 0.5)
    assert verdict(log).n_open == 0


def test_automatic_ties_count_at_the_pace_of_the_rating() -> None:
    same = [f"same{i}" for i in range(60)]
    for rated, counted in ((0, 0), (1, 1), (10, 15), (39, 58), (40, 60)):
        result = verdict(votes(rated, 0), automatic_ties=same, cap=100)
        assert (result.n_rated, result.n_items, result.n_automatic_ties) == (rated, rated + counted, 60)
    assert verdict([], automatic_ties=same, cap=100).state == "too_early"  # and not "no difference"
    assert verdict([], automatic_ties=same, cap=60).n_items == 60  # nothing left to rate


def test_both_denominators_are_named() -> None:
    result = verdict(votes(33, 15, 12), automatic_ties=[f"same{i}" for i in range(40)])
    note = next(note for note in result.notes if "same answer" in note)
    assert "40 prompts" in note
    assert "60 prompts" in note
    assert "65 %" in note
    assert result.win_rate == pytest.approx(0.59)


def test_a_vote_on_an_automatic_tie_is_left_out() -> None:
    result = verdict([Vote("p1", "ana", "left", "left")], automatic_ties=["p1", "p1"])
    assert (result.n_items, result.n_votes, result.win_rate) == (1, 0, 0.5)


def test_one_person_is_one_person() -> None:
    result = judge(36, 14)
    assert result.notes[0] == "This is one person's preference."
    assert result.sentence.startswith("One person preferred the tuned model on 36 of 50 prompts")
    two = verdict([*votes(36, 14), *votes(36, 14, rater="bo")])
    assert two.sentence.startswith("2 people preferred the tuned model on 36 of 50 prompts")
    assert two.notes == ()


def test_a_verdict_that_hangs_on_one_rater_says_so() -> None:
    eager = votes(50, 0, rater="ana")
    even = [Vote(f"p{i}", "bo", "left" if i % 2 else "right", "left") for i in range(50)]
    result = verdict([*eager, *even])
    shares = {share.rater: share for share in result.raters}
    assert (shares["ana"].win_rate, shares["bo"].win_rate) == (1.0, 0.5)
    assert (shares["ana"].win_rate_without, shares["ana"].verdict_without) == (0.5, "undecided")
    assert result.state == "tuned_better"
    assert any(note.startswith("Without ana") for note in result.notes)
    assert not any(note.startswith("Without bo") for note in result.notes)


@pytest.mark.parametrize(
    ("wins", "losses", "ties", "words"),
    [
        (36, 14, 0, "36 of 50 prompts and the base model on 14: the tuned model is better, its win rate is 72 % "),
        (
            14,
            36,
            0,
            "One person preferred the base model on 36 of 50 prompts and the tuned model on 14: the base model is better",
        ),
        (30, 10, 60, "30 of 100 prompts, the base model on 10 and neither on 60: the tuned model is better"),
        (33, 17, 0, "no evidence of a difference"),
        (16, 4, 0, "leans towards the tuned model"),
        (4, 16, 0, "leans towards the base model"),
        (100, 100, 0, "without settling it"),
        (0, 0, 60, "no meaningful difference"),
        (7, 0, 0, "Too early to say: one person preferred the tuned model on 7 of 7 prompts"),
    ],
)
def test_sentences(wins: int, losses: int, ties: int, words: str) -> None:
    result = judge(wins, losses, ties)
    assert words in result.sentence
    assert result.sentence.endswith(".")
    assert "!" not in result.sentence
    assert result.headline == HEADLINES[result.state]


def test_the_sentence_gives_the_range() -> None:
    assert "(with 95 % certainty between 50.4 % and 88 %)" in judge(36, 14).sentence


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.5, "50 %"),
        (0.66, "66 %"),
        (0.5037, "50.4 %"),
        (0.50004, "50.004 %"),
        (0.4996, "49.96 %"),
        (0.0, "0 %"),
        (0.003, "0.3 %"),
        (0.9996, "99.96 %"),
        (1.0, "100 %"),
    ],
)
def test_rounding_never_lands_on_a_landmark(share: float, text: str) -> None:
    assert percent(share) == text


@pytest.mark.parametrize(
    ("evidence", "text"),
    [
        (31.64, "31 : 1"),
        (19.99, "19 : 1"),
        (2.99, "2.9 : 1"),
        (1.0, "1.0 : 1"),
        (0.97, "0.9 : 1"),
        (0.01, "less than 0.1 : 1"),
        (1e300, "more than 1,000,000 : 1"),
        (12345.6, "12,345 : 1"),
    ],
)
def test_odds_never_look_stronger_than_they_are(evidence: float, text: str) -> None:
    assert odds(evidence) == text


def test_evidence_beyond_the_largest_float_is_held_there() -> None:
    result = judge(1200, 0)
    assert result.evidence == sys.float_info.max
    assert result.log_evidence > 800


@pytest.mark.parametrize(("choice", "side"), [("up", "left"), ("left", "up"), ("", "left")])
def test_impossible_votes_are_refused(choice: str, side: str) -> None:
    with pytest.raises(DataError):
        Vote("p1", "ana", choice, side)


def test_a_live_page_can_afford_it() -> None:
    """Ten raters, 200 prompts, with the words that go with it; in processor time, because other work runs beside."""
    log = [vote for rater in "abcdefghij" for vote in votes(90, 60, 50, rater=rater)]

    def seconds() -> float:
        start = time.process_time()
        result = verdict(log)
        assert result.sentence
        assert len(result.notes) == 1
        return time.process_time() - start

    seconds()  # loads scipy, fills the table of nodes
    assert min(seconds() for _ in range(5)) < 0.05


def test_importing_it_costs_neither_scipy_nor_pandas() -> None:
    code = (
        "import sys, studio.compare.verdict, studio.compare.measures; print({'scipy', 'pandas', 'evalica'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
