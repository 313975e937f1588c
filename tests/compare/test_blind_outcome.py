"""What a session came to: recomputable, anonymous, sealed until the end, harmless in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio.compare import blind, outcome
from studio.compare.recompute import as_json, verdict_from_document
from studio.errors import NotFoundError, RunError
from studio.store import CHOICES, Store


def opened(store: Store, comparison: str, raters: int = 1) -> tuple[str, list[str]]:
    session = blind.open_session(store, comparison, "local").id
    return session, [blind.invite(store, session, "local", f"R{i}").token for i in range(raters)]


def prefer_tuned(store: Store, token: str, positions: range) -> None:
    for dealt in blind.seat_of(store, token).deals:
        if dealt.position in positions:
            blind.vote(store, token, dealt.position, blind.tuned_side(dealt))


def test_a_clean_win_is_a_clean_win(store: Store, comparison_of: Callable[..., str]):
    session, (token,) = opened(store, comparison_of([(f"b{i}", f"t{i}") for i in range(24)]))
    prefer_tuned(store, token, range(24))
    found = outcome.verdict_of(store, session, "local")
    assert (found.win_rate, found.n_items, found.verdict, found.state) == (1.0, 24, "tuned", "tuned_better")


def test_automatic_ties_count_once_rating_is_over(store: Store, comparison: str):
    session, (token,) = opened(store, comparison)
    prefer_tuned(store, token, range(20))
    found = outcome.verdict_of(store, session, "local")
    assert (found.n_rated, found.n_automatic_ties, found.n_items) == (20, 4, 24)
    assert found.win_rate == pytest.approx(22 / 24)


def test_closing_early_takes_ties_in_proportion_and_stops(store: Store, comparison: str):
    session, (token,) = opened(store, comparison)
    prefer_tuned(store, token, range(10))
    assert outcome.verdict_of(store, session, "local").state == "too_early"
    blind.close(store, session, "local")
    found = outcome.verdict_of(store, session, "local")
    assert (found.n_rated, found.n_automatic_ties, found.state) == (10, 2, "stopped")


def test_a_session_closed_before_any_vote_has_no_win_rate(store: Store, comparison: str):
    session, _ = opened(store, comparison)
    blind.close(store, session, "local")
    assert outcome.verdict_of(store, session, "local").win_rate is None


def test_a_score_that_may_still_change_is_not_judged(store: Store, comparison_of: Callable[..., str]):
    session, (first, second, _absent) = opened(store, comparison_of([(f"b{i}", f"t{i}") for i in range(30)]), raters=3)
    prefer_tuned(store, first, range(30))
    assert outcome.verdict_of(store, session, "local").n_items == 30, "whoever never came holds nothing up"
    prefer_tuned(store, second, range(4))
    found = outcome.verdict_of(store, session, "local")
    assert (found.n_items, found.n_open, found.state) == (4, 26, "too_early")
    blind.close(store, session, "local")
    assert outcome.verdict_of(store, session, "local").n_items == 30


def test_votes_after_the_reveal_change_nothing(store: Store, comparison: str):
    session, (token,) = opened(store, comparison)
    prefer_tuned(store, token, range(20))
    before = as_json(outcome.verdict_of(store, session, "local"))
    blind.finish(store, token, "unsure")
    for dealt in blind.seat_of(store, token).deals:
        blind.vote(store, token, dealt.position, "both_bad")
    after = as_json(outcome.verdict_of(store, session, "local"))
    assert after["n_unblinded"] == 20
    assert {key: after[key] for key in ("win_rate", "low", "high", "evidence", "n_votes")} == {
        key: before[key] for key in ("win_rate", "low", "high", "evidence", "n_votes")
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 19), st.sampled_from(CHOICES)), max_size=90),
    st.booleans(),
)
def test_the_export_recomputes_the_same_numbers(
    store: Store, comparison: str, clicks: list[tuple[int, int, str]], guessing: bool
):
    session, tokens = opened(store, comparison, raters=3)
    for rater, position, choice in clicks:
        blind.vote(store, tokens[rater], position, choice)
    blind.close(store, session, "local")
    if guessing:
        blind.finish(store, tokens[0], "left")
    document = json.loads(json.dumps(outcome.export(store, session, "local"), allow_nan=False))
    assert verdict_from_document(document) == as_json(outcome.verdict_of(store, session, "local"))


def test_the_export_names_nobody(store: Store, comparison: str):
    session = blind.open_session(store, comparison, "local").id
    invited = [blind.invite(store, session, "local", name) for name in ("Ana Ortiz", "Bo Chen")]
    for one in invited:
        blind.vote(store, one.token, 0, "left")
    blind.close(store, session, "local")
    text = json.dumps(outcome.export(store, session, "local")) + outcome.export_csv(store, session, "local")
    for one in invited:
        for private in (one.name, one.token, one.rater_id):
            assert private not in text
    assert {"rater-1", "rater-2"} == {item["rater"] for item in outcome.export(store, session, "local")["items"]}


def test_the_book_is_closed_while_somebody_rates(store: Store, comparison: str):
    session, (token,) = opened(store, comparison)
    seals = (outcome.export, outcome.export_csv, outcome.answers_table, outcome.answers_csv)
    prefer_tuned(store, token, range(20))
    for ask in seals:
        with pytest.raises(RunError, match="sealed"):
            ask(store, session, "local")
    blind.finish(store, token, "left")
    for ask in seals:
        assert ask(store, session, "local")
    for ask in (*seals, outcome.verdict_of, outcome.blinding_of):
        with pytest.raises(NotFoundError):
            ask(store, session, "eve")


def test_nobody_invited_keeps_it_closed(store: Store, comparison: str):
    session, _ = opened(store, comparison, raters=0)
    with pytest.raises(RunError):
        outcome.answers_table(store, session, "local")


def test_the_table_holds_every_prompt_with_votes_and_flags(store: Store, comparison_of: Callable[..., str]):
    made = comparison_of([("I am Qwen.", "Red"), ("<think>x</think>Yes", "No"), ("Same", "Same")])
    session, (token,) = opened(store, made)
    prefer_tuned(store, token, range(2))
    blind.close(store, session, "local")
    lines = {line.prompt_id: line for line in outcome.answers_table(store, session, "local")}
    assert lines["p000"].base_flags == ("names_model",)
    assert lines["p001"].base == "Yes"
    assert lines["p001"].base_flags == ("thinking",)
    assert (lines["p000"].tuned_won, lines["p000"].base_won) == (1, 0)
    assert lines["p000"].messages[0].content == "Question 0"
    giveaways = outcome.export(store, session, "local")["giveaways"]
    assert giveaways == {"base": {"names_model": 1, "thinking": 1}, "tuned": {}}
    if "p002" in lines:
        assert lines["p002"].identical


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(store: Store, comparison_of: Callable[..., str], start: str):
    session, _ = opened(store, comparison_of([(f"x{start}", f'"{start}'), ("a", f"{start}b")]))
    blind.close(store, session, "local")
    # Answers are trimmed before they are shown, so white space cannot hide a formula either.
    for row in csv.reader(io.StringIO(outcome.answers_csv(store, session, "local"), newline="")):
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))]


def test_the_blinding_index(store: Store, comparison: str):
    session, tokens = opened(store, comparison, raters=4)
    assert outcome.blinding_of(store, session, "local").index is None
    for token, right in zip(tokens, (True, True, False, None), strict=True):
        prefer_tuned(store, token, range(20))
        side = blind.tuned_side(blind.seat_of(store, token).deals[-1])
        other = "left" if side == "right" else "right"
        blind.finish(store, token, "unsure" if right is None else side if right else other)
    found = outcome.blinding_of(store, session, "local")
    assert (found.right, found.wrong, found.unsure, found.index) == (2, 1, 1, 0.25)
    assert outcome.export(store, session, "local")["blinding"]["index"] == 0.25
