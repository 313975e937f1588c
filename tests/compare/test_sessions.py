"""Sessions of any number of arms: dealing, closing, seats, gold items, states. What raters see is in test_blind."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare import blind, known_pairs, outcome, tokens
from studio.compare.blind import Remarks, SessionOptions
from studio.compare.dealing import Unit, order, share, taken
from studio.compare.recompute import as_json, verdict_from_document
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.store import AnswerRow, ArmRow, DealRow, PromptRow, Store

OWNER = "local"


def compared(
    store: Store,
    prompts: int = 12,
    arms: Sequence[str] = ("base", "run-1", "run-2"),
    same: dict[str, Sequence[int]] | None = None,
) -> str:
    """A complete comparison; ``same`` says on which prompts an arm copies the reference."""
    rows = [ArmRow("", name, 0, "", "imported", f"Label of {name}") for name in arms]
    comparison = store.comparisons.add(owner=OWNER, run_id=None, settings_json="{}", arms=rows)
    told: list[AnswerRow] = []
    for at in range(prompts):
        prompt = json.dumps([{"role": "user", "content": f"Question {at}"}])
        for name in arms:
            text = f"{arms[0]} {at}" if at in (same or {}).get(name, ()) else f"{name} {at}"
            told.append(
                AnswerRow(
                    comparison.id,
                    f"p{at:03}",
                    name,
                    OWNER,
                    at,
                    prompt,
                    f"Ref {at} {'abcdefghij'[at % 10] * 30}",
                    text,
                    3,
                    "stop",
                    None,
                    0,
                )
            )
    store.comparisons.add_answers(told)
    store.jobs.move(comparison.id, "completed")
    return comparison.id


def opened(store: Store, comparison: str, **options: object) -> str:
    return blind.open_session(store, comparison, OWNER, options=SessionOptions.from_dict(options)).id


def deals(store: Store, token: str) -> tuple[DealRow, ...]:
    return blind.seat_of(store, token).deals


def prefer(store: Store, token: str, arm: str, positions: Sequence[int] | None = None) -> None:
    """Vote for ``arm`` where it stands, tie elsewhere; gold items right."""
    for dealt in deals(store, token):
        if positions is None or dealt.position in positions:
            wanted = "better" if dealt.kind == "gold" else arm
            blind.vote(store, token, dealt.position, dealt.side_of(wanted) or "tie")


# ---- options ----


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompts": 0},
        {"ratings_per_prompt": 0},
        {"per_rater": 0},
        {"overlap": 1.5},
        {"gold": -1},
        {"gold": 21},
        {"min_seconds": -1},
        {"expires_days": 0},
        {"pairs": "some"},
        {"criteria": ["tone", "Tone "]},
        {"criteria": ["overall"]},
        {"criteria": [""]},
        {"criteria": list("abcdef")},
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object]):
    with pytest.raises(SettingError):
        SessionOptions.from_dict(wrong)


def test_options_are_kept_with_the_session(store: Store):
    session = opened(store, compared(store), criteria=["tone"], min_seconds=0.5, comments=True, from_the_future=1)
    assert blind.state(store, session, OWNER).options == SessionOptions(criteria=("tone",), min_seconds=0.5, comments=True)


def test_more_for_everybody_than_one_may_be_dealt_is_refused(store: Store):
    with pytest.raises(SettingError, match="cannot work"):
        opened(store, compared(store), overlap=0.5, per_rater=5)


# ---- dealing ----


def test_each_challenger_meets_the_reference_and_identical_answers_are_ties_of_that_pair(store: Store):
    made = compared(store, 10, same={"run-1": [0, 1, 2], "run-2": [2]})
    session = opened(store, made)
    plan = blind.SessionPlan.of(store.ratings.session(session))
    assert {(pair.challenger, pair.against) for pair in plan.pairs} == {("run-1", "base"), ("run-2", "base")}
    ties = {pair.challenger: sorted(plan.ties_of(pair)) for pair in plan.pairs}
    assert ties == {"run-1": ["p000", "p001", "p002"], "run-2": ["p002"]}
    dealt = deals(store, blind.invite(store, session, OWNER, "Ana").token)
    assert Counter(frozenset((one.left_arm, one.right_arm)) for one in dealt) == {
        frozenset(("run-1", "base")): 7,
        frozenset(("run-2", "base")): 9,
    }


def test_all_against_all_compares_challengers_too(store: Store):
    session = opened(store, compared(store, 6), pairs="all")
    dealt = deals(store, blind.invite(store, session, OWNER, "Ana").token)
    assert len(dealt) == 18
    assert len({frozenset((one.left_arm, one.right_arm)) for one in dealt}) == 3
    assert "base" in (dealt[-1].left_arm, dealt[-1].right_arm), "the last pair is the one that is asked about"


@settings(max_examples=60, deadline=None)
@given(
    prompts=st.integers(1, 25),
    challengers=st.integers(1, 4),
    gold=st.integers(0, 6),
    seed=st.integers(),
)
def test_an_order_is_balanced_and_a_prompt_comes_back_last(prompts: int, challengers: int, gold: int, seed: int):
    units = [Unit(f"p{at}", f"run-{arm}", "base") for at in range(prompts) for arm in range(challengers)]
    dealt = order(units, [f"gold-{at}" for at in range(gold)], reference="base", chance=random.Random(seed))
    pairs = [one for one in dealt if one.kind == "pair"]
    assert len(pairs) == len(units)
    assert len(dealt) == len(units) + gold
    assert dealt[-1].kind == "pair" or len(units) == 0
    for arm in range(challengers):
        left = sum(one.left_arm == f"run-{arm}" for one in pairs)
        assert abs(2 * left - prompts) <= 1
    assert abs(2 * sum(one.left_arm == "better" for one in dealt) - gold) <= 1
    for turn in range(challengers):
        rounds = pairs[turn * prompts : (turn + 1) * prompts]
        assert len({one.prompt_id for one in rounds}) == prompts


@settings(max_examples=60, deadline=None)
@given(
    prompts=st.integers(1, 30),
    shared=st.integers(0, 5),
    planned=st.integers(1, 4),
    most=st.integers(5, 40),
    seed=st.integers(),
)
def test_prompts_get_as_many_raters_as_planned(prompts: int, shared: int, planned: int, most: int, seed: int):
    units = [Unit(f"p{at}", "tuned", "base") for at in range(prompts)]
    overlap = {f"p{at}" for at in range(min(shared, prompts))}
    chance, load, people = random.Random(seed), taken(()), 0
    while mine := share(units, overlap=overlap, load=load, planned=planned, most=most, chance=chance):
        people += 1
        assert len(mine) <= most or len(mine) == len(overlap)
        assert overlap <= {unit.prompt_id for unit in mine}
        load.update((unit.prompt_id, unit.arms) for unit in mine)
        if people > 200 or len(overlap) == prompts or most == len(overlap):
            return
    assert all(load[unit.prompt_id, unit.arms] == planned for unit in units if unit.prompt_id not in overlap)
    assert all(load[unit.prompt_id, unit.arms] == people for unit in units if unit.prompt_id in overlap)


def test_enough_raters_is_said_and_a_seat_taken_back_makes_room(store: Store):
    session = opened(store, compared(store, 10, ("base", "tuned")), ratings_per_prompt=1, per_rater=5)
    first, second = (blind.invite(store, session, OWNER, name) for name in ("Ana", "Bo"))
    assert not {one.prompt_id for one in deals(store, first.token)} & {one.prompt_id for one in deals(store, second.token)}
    with pytest.raises(RunError, match="all the raters"):
        blind.invite(store, session, OWNER, "Cy")
    prefer(store, first.token, "tuned", [0, 1])
    blind.withdraw(store, session, OWNER, first.rater_id)
    with pytest.raises(NotFoundError):
        blind.vote(store, first.token, 2, "left")
    third = blind.invite(store, session, OWNER, "Cy")
    rated = {one.prompt_id for one in deals(store, third.token)}
    assert len(rated) == 3
    assert blind.state(store, session, OWNER).votes == 2


# ---- what counts ----


def test_a_prompt_counts_with_its_planned_ratings_and_not_before(store: Store):
    session = opened(store, compared(store, 24, ("base", "tuned")), ratings_per_prompt=2)
    tokens_ = [blind.invite(store, session, OWNER, f"R{i}").token for i in range(2)]
    prefer(store, tokens_[0], "tuned")
    assert outcome.verdict_of(store, session, OWNER).n_items == 0, "the second rating is still to come"
    prefer(store, tokens_[1], "tuned", range(7))
    found = outcome.verdict_of(store, session, OWNER)
    assert (found.n_items, found.n_open) == (7, 17)
    assert blind.state(store, session, OWNER).closed_pairs == 7
    prefer(store, tokens_[1], "tuned")
    assert blind.state(store, session, OWNER).ended
    assert outcome.verdict_of(store, session, OWNER).state == "tuned_better"


def test_a_skip_is_an_answer_but_no_rating(store: Store):
    session = opened(store, compared(store, 4, ("base", "tuned")), ratings_per_prompt=1)
    token = blind.invite(store, session, OWNER, "Ana").token
    for position in range(4):
        blind.vote(store, token, position, "skip" if position == 0 else "left")
    assert blind.state(store, session, OWNER).closed_pairs == 4, "nobody will rate the first one any more"
    assert not blind.state(store, session, OWNER).ended
    again = deals(store, blind.invite(store, session, OWNER, "Bo").token)
    assert [one.prompt_id for one in again] == [deals(store, token)[0].prompt_id]


def test_who_has_begun_and_cannot_come_back_holds_nothing_up(store: Store):
    session = opened(store, compared(store, 6, ("base", "tuned")))
    first, second, third = (blind.invite(store, session, OWNER, f"R{i}") for i in range(3))
    prefer(store, first.token, "tuned")
    prefer(store, second.token, "tuned", [0])
    prefer(store, third.token, "tuned", [0])
    before = blind.state(store, session, OWNER).closed_pairs
    assert before < 6
    blind.withdraw(store, session, OWNER, second.rater_id)
    expire(store, third.rater_id)
    assert blind.state(store, session, OWNER).closed_pairs == 6
    assert [one.seat for one in blind.raters(store, session, OWNER)] == ["rating", "withdrawn", "expired"]
    assert len(store.ratings.votes(session)) == 8, "what they had rated stays"


def expire(store: Store, rater_id: str) -> None:
    with store.ratings.database.write() as con:
        con.execute("UPDATE raters SET expires_at = ? WHERE id = ?", (time.time() - 1, rater_id))


# ---- seats ----


def test_an_expired_seat_takes_no_votes_and_can_be_prolonged(store: Store):
    session = opened(store, compared(store), expires_days=7)
    invited = blind.invite(store, session, OWNER, "Ana")
    assert invited.expires_at is not None
    assert invited.expires_at == pytest.approx(time.time() + 7 * 86_400, abs=60)
    blind.vote(store, invited.token, 0, "left")
    expire(store, invited.rater_id)
    for ask in (blind.item, blind.progress):
        with pytest.raises(NotFoundError, match="expired"):
            ask(store, invited.token)
    with pytest.raises(NotFoundError, match="expired"):
        blind.vote(store, invited.token, 1, "left")
    blind.extend(store, session, OWNER, days=2)
    assert blind.item(store, invited.token).position == 1
    with pytest.raises(SettingError):
        blind.invite(store, session, OWNER, "Bo", days=-1)


def test_who_has_finished_may_look_back_after_the_link_has_expired(store: Store):
    session = opened(store, compared(store, 2))
    invited = blind.invite(store, session, OWNER, "Ana")
    prefer(store, invited.token, "run-1")
    told = blind.finish(store, invited.token, "left")
    expire(store, invited.rater_id)
    assert blind.finish(store, invited.token, "left") == told
    with pytest.raises(RunError):
        blind.vote(store, invited.token, 0, "tie")


def test_a_forged_token_is_refused_before_the_store_looks_for_it(store: Store, monkeypatch: pytest.MonkeyPatch):
    session = opened(store, compared(store))
    token = blind.invite(store, session, OWNER, "Ana").token
    key = store.ratings.signing_key()
    assert not tokens.forged(key, token)
    asked: list[str] = []
    monkeypatch.setattr(type(store.ratings), "rater_of", lambda _, fingerprint: asked.append(fingerprint))
    nonce, _, mark = token.partition(".")
    for forged in (
        f"{nonce}.{mark[:-1]}{'a' if mark[-1] != 'a' else 'b'}",
        f"{nonce[:-1]}x.{mark}",
        f"{nonce}.",
        f".{mark}",
        f"{token}.x",
    ):
        with pytest.raises(NotFoundError, match="does not lead"):
            blind.item(store, forged)
    assert asked == []
    assert tokens.new_token(b"another studio").count(".") == 1
    assert tokens.forged(key, tokens.new_token(b"another studio"))


def test_the_owner_has_one_seat_from_every_browser(store: Store):
    session = opened(store, compared(store))
    one, two = (blind.own_seat(store, session, OWNER) for _ in range(2))
    assert (one.token, one.rater_id) == (two.token, two.rater_id)
    blind.invite(store, session, OWNER, "You")
    assert [(rater.name, rater.is_owner) for rater in blind.raters(store, session, OWNER)] == [("You", True), ("You", False)]
    with pytest.raises(NotFoundError):
        blind.own_seat(store, session, "eve")


def test_a_signed_in_person_has_one_seat_where_the_owner_lets_them(store: Store):
    closed, open_ = opened(store, compared(store)), opened(store, compared(store), login=True)
    with pytest.raises(NotFoundError, match="invited people only"):
        blind.login_seat(store, closed, "ana")
    first, again, other = (blind.login_seat(store, open_, name) for name in ("ana", "ana", "bo"))
    assert first == again
    assert other.rater_id != first.rater_id
    own = blind.own_seat(store, open_, OWNER)
    assert blind.login_seat(store, open_, "me", owner=OWNER).token == own.token
    assert blind.login_seat(store, open_, OWNER).rater_id != own.rater_id, "a name on the Hub makes nobody the owner"
    with pytest.raises(NotFoundError):
        blind.login_seat(store, open_, "  ")
    assert {one.name for one in blind.raters(store, open_, OWNER)} == {"ana", "bo", "You", OWNER}


# ---- states ----


def test_a_paused_session_takes_no_votes_and_goes_on_where_it_was(store: Store):
    session = opened(store, compared(store))
    token = blind.invite(store, session, OWNER, "Ana").token
    blind.vote(store, token, 0, "left")
    assert blind.pause(store, session, OWNER)
    assert not blind.pause(store, session, OWNER)
    with pytest.raises(RunError, match="paused"):
        blind.vote(store, token, 1, "left")
    with pytest.raises(RunError, match="left to rate"):
        blind.finish(store, token, "unsure")
    assert (blind.item(store, token).status, blind.item(store, token).open) == ("paused", False)
    assert blind.resume(store, session, OWNER)
    blind.vote(store, token, 1, "left")
    blind.close(store, session, OWNER)
    assert not blind.resume(store, session, OWNER), "closed is for good"
    with pytest.raises(RunError):
        blind.extend(store, session, OWNER, prompts=3)
    assert [one.text for one in store.ratings.events(session)] == [
        "Opened with 12 prompts to rate.",
        *("Paused.", "Resumed.", "Closed."),
    ]
    for act in (blind.pause, blind.resume):
        with pytest.raises(NotFoundError):
            act(store, session, "eve")


def test_an_extension_adds_prompts_at_the_end_of_every_blind_order(store: Store):
    session = opened(store, compared(store, 20), prompts=5)
    at_work, finished = (blind.invite(store, session, OWNER, name) for name in ("Ana", "Bo"))
    before = deals(store, at_work.token)
    assert len(before) == 10
    prefer(store, finished.token, "run-1")
    blind.finish(store, finished.token, "unsure")
    prefer(store, at_work.token, "run-1", [0])
    plan = blind.extend(store, session, OWNER, prompts=4)
    assert len(plan.rated) == 9
    after = deals(store, at_work.token)
    assert after[:10] == before
    assert len(after) == 18
    assert len({(one.prompt_id, frozenset((one.left_arm, one.right_arm))) for one in after}) == 18
    assert len(deals(store, finished.token)) == 10, "who knows the sides is dealt nothing more"
    assert len(deals(store, blind.invite(store, session, OWNER, "Cy").token)) == 18
    blind.extend(store, session, OWNER, prompts=500)
    with pytest.raises(RunError, match="in it already"):
        blind.extend(store, session, OWNER, prompts=1)
    with pytest.raises(SettingError):
        blind.extend(store, session, OWNER)


# ---- gold items ----


def test_gold_items_look_like_any_pair_and_are_in_no_number_but_their_own(store: Store):
    session = opened(store, compared(store, 24, ("base", "tuned")), gold=3)
    token = blind.invite(store, session, OWNER, "Ana").token
    dealt = deals(store, token)
    assert sum(one.kind == "gold" for one in dealt) == 3
    assert len(dealt) == 27
    shown = [blind.item(store, token, one.position) for one in dealt]
    assert all(one.messages and one.left and one.right and one.left != one.right for one in shown)
    assert "gold" not in json.dumps([str(one) for one in shown]).lower()
    prefer(store, token, "tuned")
    wrong = next(one for one in dealt if one.kind == "gold")
    blind.vote(store, token, wrong.position, wrong.side_of("worse") or "")
    told = blind.finish(store, token, "unsure")
    assert (len(told.items), told.gold, told.gold_right, told.tuned_won) == (24, 3, 2, 24)
    document = outcome.export(store, session, OWNER)
    assert len(document["items"]) == 24
    assert sorted(vote["right"] for vote in document["gold"]["votes"]) == [False, True, True]
    found = outcome.verdict_of(store, session, OWNER)
    assert (found.n_votes, found.n_items) == (24, 24)
    assert verdict_from_document(json.loads(json.dumps(document))) == as_json(found)


def test_gold_items_need_references_or_pairs_of_ones_own(store: Store):
    made = compared(store)
    own = known_pairs.from_json('[{"prompt": "2 + 2?", "better": "4", "worse": "A fish."}]')
    session = blind.open_session(store, made, OWNER, known=own).id
    assert [(one.better, one.worse) for one in store.ratings.gold(session)] == [("4", "A fish.")]
    for bad in ("", "{}", "[]", "[1]", '[{"prompt": "x", "better": "a"}]', '[{"prompt": "x", "better": "a", "worse": "a "}]'):
        with pytest.raises(DataError):
            known_pairs.from_json(bad)
    alike = [AnswerRow("c", f"p{i}", "base", "", i, "[]", "yes", "x", 1, "", None, 0) for i in range(5)]
    assert known_pairs.from_references(alike, 3) == ()


# ---- criteria, comments, time ----


def test_criteria_and_comments_are_kept_with_the_vote(store: Store):
    session = opened(store, compared(store, 3, ("base", "tuned")), criteria=["tone", "facts"], comments=True)
    token = blind.invite(store, session, OWNER, "Ana").token
    said = {"tone": "left", "facts": "tie"}
    assert blind.vote(store, token, 0, "left", Remarks(said, "  Good. ", 3.5)).saved
    assert not blind.vote(store, token, 0, "left", Remarks(said, "Good.")).saved, "a double click"
    assert blind.vote(store, token, 0, "left", Remarks({"tone": "right"}, "Good.")).saved
    item = blind.item(store, token, 0)
    assert (item.criteria, item.answers, item.comment) == (("tone", "facts"), (("tone", "right"),), "Good.")
    for criteria, comment in (({"taste": "left"}, ""), ({"tone": "both_bad"}, "")):
        with pytest.raises(SettingError):
            blind.vote(store, token, 0, "left", Remarks(criteria, comment))
    prefer(store, token, "tuned", [1, 2])
    blind.close(store, session, OWNER)
    items = outcome.export(store, session, OWNER)["items"]
    assert [(one.get("criteria"), one.get("comment"), one.get("seconds")) for one in items[:2]] == [
        (said, "Good.", 3.5),
        ({"tone": "right"}, "Good.", None),
    ]
    plain = opened(store, compared(store))
    with pytest.raises(SettingError, match="no comments"):
        blind.vote(store, blind.invite(store, plain, OWNER, "Bo").token, 0, "left", Remarks(comment="x"))


def test_a_vote_that_comes_too_early_waits(store: Store):
    session = opened(store, compared(store), min_seconds=60)
    token = blind.invite(store, session, OWNER, "Ana").token
    assert blind.vote(store, token, 0, "left").saved
    early = blind.vote(store, token, 1, "left")
    assert not early.saved
    assert 59 < early.wait <= 60
    assert early.done == 1
    assert blind.vote(store, token, 0, "right").saved, "a change of mind needs no waiting"
    with store.ratings.database.write() as con:
        con.execute("UPDATE votes SET at = at - 61")
    assert blind.vote(store, token, 1, "left").saved


# ---- the outcome ----


def test_each_challenger_has_an_own_verdict_and_the_file_recomputes_them(store: Store):
    session = opened(store, compared(store, 30, same={"run-2": range(6)}))
    people = [blind.invite(store, session, OWNER, f"R{i}").token for i in range(2)]
    for token in people:
        prefer(store, token, "run-1")
    assert outcome.verdict_of(store, session, OWNER).state == "tuned_better"
    with pytest.raises(RunError, match="sealed"):
        outcome.export(store, session, OWNER)
    for token in people:
        blind.finish(store, token, "left")
    found = outcome.verdict_of(store, session, OWNER)
    document = json.loads(json.dumps(outcome.export(store, session, OWNER), allow_nan=False))
    assert verdict_from_document(document) == as_json(found)
    assert [(one["challenger"], one["cap"], len(one["automatic_ties"])) for one in document["matchups"]] == [
        ("run-1", 30, 0),
        ("run-2", 30, 6),
    ]
    assert {one["name"]: one["reference"] for one in document["arms"]} == {"base": True, "run-1": False, "run-2": False}
    assert "tuned_side" not in document["items"][0]
    judged = {one.arm.name: one.verdict for one in found.checkpoints}
    assert judged["run-1"].win_rate == 1.0
    assert judged["run-2"].win_rate == 0.5
    lines = outcome.answers_table(store, session, OWNER)
    assert len(lines) == 60
    assert {line.tuned_label for line in lines} == {"Label of run-1", "Label of run-2"}
    assert "Label of run-1" in outcome.answers_csv(store, session, OWNER)


@settings(max_examples=15, deadline=None)
@given(
    clicks=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 19), st.sampled_from(["left", "right", "tie", "skip"])), max_size=80
    )
)
def test_whatever_was_clicked_the_page_and_the_file_agree(
    tmp_path_factory: pytest.TempPathFactory, clicks: list[tuple[int, int, str]]
):
    store = Store(tmp_path_factory.mktemp("home") / "studio.sqlite3")
    session = opened(store, compared(store, 8, same={"run-1": [1]}), pairs="all", gold=2, ratings_per_prompt=2, per_rater=20)
    people = [blind.invite(store, session, OWNER, f"R{i}").token for i in range(3)]
    for rater, position, choice in clicks:
        if position < len(deals(store, people[rater])):
            blind.vote(store, people[rater], position, choice)
    assert outcome.verdict_of(store, session, OWNER).n_items <= 8
    blind.close(store, session, OWNER)
    document = json.loads(json.dumps(outcome.export(store, session, OWNER), allow_nan=False))
    assert verdict_from_document(document) == as_json(outcome.verdict_of(store, session, OWNER))
    store.close()


def test_what_is_known_of_the_prompts_goes_into_the_file(store: Store):
    made = compared(store, 4, ("base", "tuned"))
    rows = [PromptRow(made, f"p{i:03}", OWNER, i, '{"source": "a"}', "trained on" if i == 1 else "") for i in range(4)]
    store.comparisons.add_prompts(rows)
    session = opened(store, made)
    blind.close(store, session, OWNER)
    document = outcome.export(store, session, OWNER)
    assert document["slices"]["p000"] == {"source": "a"}
    assert document["stamps"] == [{"code": "trained on", "prompts": 1, "text": "1 of 4 prompts were trained on."}]
    assert document["lengths"]["p002"] == {"base": 6, "tuned": 7}
    assert outcome.record_of(store, session, OWNER).stamps == ("1 of 4 prompts were trained on.",)


def test_the_question_at_the_end_names_what_was_compared(store: Store):
    session = opened(store, compared(store, 2, ("file-1", "file-2")))
    token = blind.invite(store, session, OWNER, "Ana").token
    with pytest.raises(RunError, match="left to rate"):
        blind.question(store, token)
    prefer(store, token, "file-2")
    asked = blind.question(store, token)
    assert (asked.challenger, asked.against, asked.base_and_tuned) == ("Label of file-2", "Label of file-1", False)
    side = deals(store, token)[-1].side_of("file-2")
    told = blind.finish(store, token, side or "")
    assert told.guessed_right
    assert told.tuned_won == 2
    assert {one.left_label for one in told.items} <= {"Label of file-1", "Label of file-2"}
