"""Blind rating: nothing leaks, nothing is lost, nothing is doubled."""

from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.compare import blind
from studio.compare.dealing import Unit, draw, order
from studio.errors import NotFoundError, RunError, SettingError
from studio.store import CHOICES, Pairing, Store

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def session(store: Store, comparison: str) -> str:
    return blind.open_session(store, comparison, "local").id


@pytest.fixture
def token(store: Store, session: str) -> str:
    return blind.invite(store, session, "local", "Ana").token


def sides_of(store: Store, token: str) -> dict[int, str]:
    return {dealt.position: blind.tuned_side(dealt) for dealt in blind.seat_of(store, token).deals}


def rate_all(store: Store, token: str, choice: str = "left") -> None:
    for position in range(blind.progress(store, token).total):
        blind.vote(store, token, position, choice)


# ---- dealing ----


def units(n: int) -> list[Unit]:
    return [Unit(f"p{i}", "tuned", "base") for i in range(n)]


@given(st.integers(0, 205), st.integers())
def test_sides_are_balanced_and_each_prompt_is_dealt_once(n: int, seed: int):
    dealt = order(units(n), chance=random.Random(seed))
    assert sorted(pair.prompt_id for pair in dealt) == sorted(unit.prompt_id for unit in units(n))
    left = sum(pair.left_arm == "tuned" for pair in dealt)
    assert abs(left - (n - left)) <= 1


def test_the_odd_pair_may_fall_on_either_side():
    seen = {sum(pair.left_arm == "tuned" for pair in order(units(3))) for _ in range(200)}
    assert seen == {1, 2}


@given(st.integers(1, 60), st.sets(st.integers(0, 59)), st.integers(1, 80), st.integers())
def test_a_draw_takes_ties_as_they_come(n: int, same: set[int], most: int, seed: int):
    prompts = [f"p{i}" for i in range(n)]
    identical = {f"p{i}" for i in same}
    drawn = draw(prompts, identical, most, random.Random(seed))
    assert len(drawn.rated) == min(most, len(set(prompts) - identical))
    assert not set(drawn.rated) & identical
    assert set(drawn.automatic_ties) <= identical
    if most >= n:
        assert {*drawn.rated, *drawn.automatic_ties} == set(prompts)


def test_a_short_session_holds_ties_in_proportion():
    prompts = [f"p{i}" for i in range(200)]
    identical = set(prompts[:100])
    ties = [len(draw(prompts, identical, 20).automatic_ties) for _ in range(300)]
    assert 17 < sum(ties) / len(ties) < 23


def test_each_rater_has_an_own_order_and_own_sides(store: Store, session: str):
    tokens = [blind.invite(store, session, "local", f"R{i}").token for i in range(4)]
    deals = [blind.seat_of(store, token).deals for token in tokens]
    assert len({tuple(dealt.prompt_id for dealt in one) for one in deals}) == 4
    assert len({tuple(sorted((dealt.prompt_id, blind.tuned_side(dealt)) for dealt in one)) for one in deals}) == 4
    for one in deals:
        assert len({dealt.prompt_id for dealt in one}) == 20


# ---- opening ----


def test_identical_answers_are_ties_and_never_dealt(store: Store, comparison: str):
    plan = blind.SessionPlan.of(blind.open_session(store, comparison, "local"))
    assert sorted(plan.automatic_ties) == ["p000", "p006", "p012", "p018"]
    assert len(plan.rated) == 20


def test_answers_that_differ_in_what_nobody_sees_are_identical(store: Store, comparison_of: Callable[..., str]):
    made = comparison_of([("<think>Hm.</think>\n\nYes.", "Yes.<|im_end|>"), ("Yes.", "No.")])
    plan = blind.SessionPlan.of(blind.open_session(store, made, "local"))
    assert plan == blind.SessionPlan(("p001",), ("p000",)) or plan == blind.SessionPlan(("p001",), ())


def test_nothing_to_rate_is_said(store: Store, comparison_of: Callable[..., str]):
    with pytest.raises(RunError, match="same answer to every prompt"):
        blind.open_session(store, comparison_of([("a", "a"), ("b", "b ")]), "local")


@pytest.mark.parametrize("status", ["running", "failed", "stopped", "interrupted"])
def test_incomplete_answers_are_not_rated(store: Store, comparison_of: Callable[..., str], status: str):
    with pytest.raises(RunError, match="not complete"):
        blind.open_session(store, comparison_of([("a", "b")], status=status), "local")


def test_a_number_of_pairs_is_respected(store: Store, comparison: str):
    assert len(blind.SessionPlan.of(blind.open_session(store, comparison, "local", prompts=7)).rated) == 7
    with pytest.raises(SettingError):
        blind.open_session(store, comparison, "local", prompts=0)


def test_somebody_else_has_no_session(store: Store, comparison: str, session: str):
    with pytest.raises(NotFoundError):
        blind.open_session(store, comparison, "eve")
    for ask in (blind.state, blind.raters, blind.close):
        with pytest.raises(NotFoundError):
            ask(store, session, "eve")
    with pytest.raises(NotFoundError):
        blind.invite(store, session, "eve", "Eve")
    assert blind.state(store, session, "local").open


# ---- what a rater sees ----


def test_an_item_shows_both_answers_on_the_dealt_sides(store: Store, token: str):
    sides = sides_of(store, token)
    for position in range(20):
        item = blind.item(store, token, position)
        number = item.messages[0].content.split()[-1]
        tuned, base = f"tuned {number}", f"base {number}"
        assert (item.left, item.right) == ((tuned, base) if sides[position] == "left" else (base, tuned))


def test_nothing_a_rater_gets_names_an_arm(store: Store, comparison_of: Callable[..., str]):
    made = comparison_of([(f"one {i}", f"two {i}") for i in range(6)])
    session = blind.open_session(store, made, "local").id
    token = blind.invite(store, session, "local", "Ana").token
    seen = [blind.item(store, token), blind.vote(store, token, 0, "tie"), blind.progress(store, token)]
    for value in seen:
        text = json.dumps(dataclasses.asdict(value)).lower()
        for word in ("tuned", "base", "nano", "prompt_id", "p00", "reference", made, session):
            assert word not in text, word


def test_swapped_worlds_look_the_same_to_a_rater(store: Store, comparison_of: Callable[..., str]):
    answers = [(f"x {i}", f"y {i}") for i in range(8)]
    seen: list[list[object]] = []
    for world in (answers, [(second, first) for first, second in answers]):
        session = blind.open_session(store, comparison_of(world), "local")
        arms = [("tuned", "base") if (world is answers) == (i % 2 == 0) else ("base", "tuned") for i in range(8)]
        dealt = [Pairing(f"p{i:03}", *arms[i]) for i in range(8)]
        store.ratings.add_rater(session, "Ana", blind.fingerprint(session.id), lambda *_, dealt=dealt: dealt)
        pages: list[object] = [blind.item(store, session.id, i) for i in range(8)]
        pages += [blind.vote(store, session.id, i, "left") for i in range(8)]
        seen.append(pages)
    assert seen[0] == seen[1]


def test_special_tokens_and_thinking_are_taken_out_on_both_sides(store: Store, comparison_of: Callable[..., str]):
    made = comparison_of([("<think>I am the base.</think>\nBlue", "<|im_start|>Red <|im_end|>")] * 2)
    token = blind.invite(store, blind.open_session(store, made, "local").id, "local", "Ana").token
    item = blind.item(store, token)
    assert {item.left, item.right} == {"Blue", "Red"}


# ---- voting ----


def test_a_vote_is_remembered_and_the_next_pair_comes(store: Store, token: str):
    assert blind.item(store, token).position == 0
    first = blind.vote(store, token, 0, "left")
    assert (first.done, first.total, first.finished, first.saved) == (1, 20, False, True)
    assert blind.item(store, token).position == 1
    assert blind.item(store, token, 0).choice == "left"
    assert blind.item(store, token).done == 1


def test_a_double_click_is_one_vote(store: Store, session: str, token: str):
    assert blind.vote(store, token, 3, "tie").saved
    assert not blind.vote(store, token, 3, "tie").saved
    assert blind.progress(store, token).done == 1
    assert len(store.ratings.votes(session)) == 1


@pytest.mark.parametrize("choice", ["", "LEFT", "tuned", "base", "left ", "1"])
def test_only_five_answers_exist(store: Store, session: str, token: str, choice: str):
    with pytest.raises(SettingError):
        blind.vote(store, token, 0, choice)
    assert store.ratings.votes(session) == ()


@pytest.mark.parametrize("position", [-1, 20, 10**9, True])
def test_only_dealt_pairs_exist(store: Store, token: str, position: int):
    with pytest.raises(NotFoundError):
        blind.vote(store, token, position, "left")
    with pytest.raises(NotFoundError):
        blind.item(store, token, position)


@pytest.mark.parametrize("forged", ["", "x", "../../etc", "a" * 5000, "\ud800", "rat-000000000000", "' OR 1=1 --"])
def test_a_forged_token_opens_nothing(store: Store, session: str, token: str, forged: str):
    for ask in (blind.item, blind.progress):
        with pytest.raises(NotFoundError):
            ask(store, forged)
    with pytest.raises(NotFoundError):
        blind.vote(store, forged, 0, "left")
    with pytest.raises(NotFoundError):
        blind.finish(store, forged, "left")


def test_only_the_hash_of_a_token_is_kept(store: Store, session: str, tmp_path: Path):
    invited = blind.invite(store, session, "local", "Ana")
    blind.vote(store, invited.token, 0, "left")
    assert len(invited.token) >= 43
    for path in tmp_path.iterdir():
        assert invited.token.encode() not in path.read_bytes()
    with pytest.raises(NotFoundError):
        blind.item(store, store.ratings.raters(session)[0].token_hash)


def test_another_raters_token_reaches_only_their_own_votes(store: Store, session: str, token: str):
    other = blind.invite(store, session, "local", "Bo")
    blind.vote(store, other.token, 5, "right")
    assert blind.progress(store, token).done == 0
    assert blind.item(store, token, 5).choice is None
    assert [vote.rater_id for vote in store.ratings.votes(session)] == [other.rater_id]


def test_a_closed_session_takes_no_votes_and_no_raters(store: Store, session: str, token: str):
    blind.vote(store, token, 0, "left")
    blind.close(store, session, "local")
    blind.close(store, session, "local")
    with pytest.raises(RunError, match="closed"):
        blind.vote(store, token, 1, "left")
    with pytest.raises(RunError, match="closed"):
        blind.invite(store, session, "local", "Late")
    assert not blind.item(store, token).open
    assert blind.progress(store, token).done == 1


def test_a_reload_continues_with_the_same_order_and_sides(store: Store, session: str, token: str, tmp_path: Path):
    before = [blind.item(store, token, i) for i in range(20)]
    blind.vote(store, token, 0, "both_bad")
    again = Store(tmp_path / "studio.sqlite3")
    try:
        after = [blind.item(again, token, i) for i in range(20)]
        assert [(a.left, a.right) for a in after] == [(b.left, b.right) for b in before]
        assert after[0].choice == "both_bad"
        assert blind.item(again, token).position == 1
    finally:
        again.close()


RATER = """
import sys
from pathlib import Path
from studio.compare import blind
from studio.store import Store
store = Store(Path(sys.argv[1]))
for position in range(20):
    blind.vote(store, sys.argv[2], position, ("left", "right", "tie", "skip")[position % 4])
    print(position, flush=True)
    sys.stdin.readline()
"""


def test_killed_between_votes_loses_no_acknowledged_vote(store: Store, token: str, tmp_path: Path):
    before = sides_of(store, token)
    child = subprocess.Popen(
        [sys.executable, "-c", RATER, str(tmp_path / "studio.sqlite3"), token],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        for expected in range(7):
            assert child.stdout.readline().strip() == str(expected)
            if expected < 6:
                child.stdin.write("\n")
                child.stdin.flush()
        child.kill()
    assert [blind.item(store, token, i).choice for i in range(8)] == [
        *("left", "right", "tie", "skip", "left", "right", "tie"),
        None,
    ]
    assert sides_of(store, token) == before
    assert blind.item(store, token).position == 7


# ---- the reveal ----


def test_no_reveal_before_the_end(store: Store, session: str, token: str):
    for position in range(19):
        blind.vote(store, token, position, CHOICES[position % 5])
    with pytest.raises(RunError, match="1 left to rate"):
        blind.finish(store, token, "left")
    assert not blind.item(store, token).revealed
    blind.vote(store, token, 19, "skip")
    with pytest.raises(SettingError):
        blind.finish(store, token, "tuned")
    assert not blind.item(store, token).revealed


def test_the_reveal_says_which_side_was_which(store: Store, session: str, token: str):
    sides = sides_of(store, token)
    for position in range(20):
        blind.vote(store, token, position, sides[position] if position < 12 else "tie")
    reveal = blind.finish(store, token, sides[19])
    assert [one.tuned_side for one in reveal.items] == [sides[i] for i in range(20)]
    assert (reveal.tuned_won, reveal.base_won, reveal.ties, reveal.both_bad, reveal.skipped) == (12, 0, 8, 0, 0)
    assert reveal.guessed_right is True
    assert blind.raters(store, session, "local")[0].revealed
    again = blind.finish(store, token, "unsure")
    assert again == reveal


def test_a_vote_after_the_reveal_is_kept_and_marked(store: Store, session: str, token: str):
    rate_all(store, token)
    reveal = blind.finish(store, token, "unsure")
    assert reveal.guessed_right is None
    blind.vote(store, token, 4, "right")
    assert [vote.unblinded for vote in store.ratings.votes(session)] == [0] * 20 + [1]
    assert blind.item(store, token, 4).choice == "left"
    assert blind.finish(store, token, "unsure") == reveal


def test_closing_lets_raters_see_what_they_rated(store: Store, session: str, token: str):
    blind.vote(store, token, 0, "left")
    blind.close(store, session, "local")
    reveal = blind.finish(store, token, "unsure")
    assert reveal.items[0].choice == "left"
    assert reveal.items[1].choice is None
    assert reveal.tuned_won + reveal.base_won == 1


def test_the_owner_sees_progress_and_no_tally(store: Store, session: str, token: str):
    blind.vote(store, token, 0, "left")
    blind.vote(store, token, 0, "right")
    state = blind.state(store, session, "local")
    assert (state.pairs, state.automatic_ties, state.votes, state.open, state.ended) == (20, 4, 1, True, False)
    assert [(one.name, one.done, one.total) for one in state.raters] == [("Ana", 1, 20)]
    rate_all(store, token)
    assert blind.state(store, session, "local").ended


def test_names_are_trimmed(store: Store, session: str):
    assert blind.invite(store, session, "local", "  ").name == "Rater"
    assert len(blind.invite(store, session, "local", "x" * 900).name) == 80
