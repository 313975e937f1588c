"""From votes to pairs: who decides, what is left out, what the data set holds and says of itself, and what a run then knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studio import data, datasets, models
from studio.compare import blind, generate, known_pairs, preferences
from studio.compare.blind import SessionOptions
from studio.compare.generate import CompareSettings
from studio.compare.preferences import Pair, Preferences
from studio.compare.prompts import TRAINED_ON
from studio.data import Message
from studio.errors import DataError, NotFoundError, RunError
from studio.recipe import facts_of, recommend
from studio.runs.launch import create_run
from studio.settings import Settings
from studio.store import AnswerRow, Store
from tests.compare.conftest import stored_comparison
from tests.compare.test_arms import a_run, part, start
from tests.compare.test_sessions import compared

OWNER = "local"
ASKED = (Message("user", "What is rain?"),)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def vote(store: Store, session: str, told: dict[str, str], name: str = "Ana", *, finish: bool = True) -> str:
    """One person says of each prompt which arm is better, or ``tie``, ``both_bad``, ``skip``; ``tuned`` where not told."""
    token = blind.invite(store, session, OWNER, name).token
    for dealt in blind.seat_of(store, token).deals:
        said = "better" if dealt.kind == "gold" else told.get(dealt.prompt_id, "tuned")
        blind.vote(store, token, dealt.position, dealt.side_of(said) or said)
    if finish:
        blind.finish(store, token, "unsure")
    return token


def session_of(store: Store, texts: Sequence[tuple[str, str]]) -> str:
    return blind.open_session(store, stored_comparison(store, texts), OWNER).id


def chosen(found: Preferences) -> dict[str, str]:
    return {one.prompt_messages[-1].content: one.chosen for one in found.pairs}


# ---- which votes make a pair ----


def test_one_person_decides_and_what_is_no_preference_is_left_out_and_counted(store: Store):
    session = session_of(store, [(f"base {i}", f"tuned {i}" if i else "base 0") for i in range(6)])
    vote(store, session, {"p002": "base", "p003": "tie", "p004": "both_bad", "p005": "skip"})
    found = preferences.of_session(store, session, OWNER)
    assert chosen(found) == {"Question 1": "tuned 1", "Question 2": "base 2"}
    assert [(one.rejected, one.raters, one.agreed, one.origin) for one in found.pairs] == [
        ("base 1", 1, 1, "votes"),
        ("tuned 2", 1, 1, "votes"),
    ]
    assert [(one.chosen_by, one.rejected_by) for one in found.pairs] == [("Mine", "nano"), ("nano", "Mine")]
    assert {reason: many for reason, many in found.left_out.items() if many} == {
        **dict.fromkeys(("equal", "both_bad", "unrated", "same"), 1)
    }


def test_several_people_decide_by_more_than_half_and_a_split_is_said(store: Store):
    session = session_of(store, [(f"base {i}", f"tuned {i}") for i in range(5)])
    said = (
        {"p000": "tuned", "p001": "base", "p002": "tuned", "p003": "tuned", "p004": "tie"},
        {"p000": "tuned", "p001": "base", "p002": "base", "p003": "tie", "p004": "tie"},
        {"p000": "base", "p001": "base", "p002": "tie", "p003": "tie", "p004": "both_bad"},
    )
    for at, each in enumerate(said):
        vote(store, session, each, f"Person {at}")
    found = preferences.of_session(store, session, OWNER)
    assert [(one.chosen, one.raters, one.agreed) for one in found.pairs] == [("tuned 0", 3, 2), ("base 1", 3, 3)]
    # One for, two equally good: nobody outvoted anybody, and there is no majority for an answer.
    assert {reason: many for reason, many in found.left_out.items() if many} == {"split": 2, "equal": 1}
    assert found.remarks == ("2 had no majority for either answer", "1 were called equally good")


def test_votes_after_the_reveal_and_on_gold_items_make_no_pair(store: Store):
    comparison = stored_comparison(store, [(f"base {i}", f"tuned {i}") for i in range(4)])
    checks = known_pairs.from_json('[{"prompt": "One and one?", "better": "Two.", "worse": "Three."}]')
    session = blind.open_session(store, comparison, OWNER, known=checks).id
    token = vote(store, session, {"p001": "skip"})
    before = preferences.of_session(store, session, OWNER)
    for dealt in blind.seat_of(store, token).deals:
        if dealt.kind == "pair":
            blind.vote(store, token, dealt.position, dealt.side_of("base") or "tie")
    after = preferences.of_session(store, session, OWNER)
    assert after == before
    assert chosen(after) == {f"Question {i}": f"tuned {i}" for i in (0, 2, 3)}


def test_an_answer_that_was_cut_off_or_empty_is_nothing_to_learn(store: Store):
    session = session_of(store, [(f"base {i}", f"tuned {i}") for i in range(3)])
    with store.comparisons.database.write() as con:
        con.execute("UPDATE answers SET stop_reason = 'length' WHERE arm = 'tuned' AND prompt_id IN ('p000', 'p001')")
        con.execute("UPDATE answers SET text = '<think>hm</think>' WHERE arm = 'base' AND prompt_id = 'p002'")
    vote(store, session, {"p001": "base"})
    found = preferences.of_session(store, session, OWNER)
    assert chosen(found) == {"Question 1": "base 1"}, "the worse answer may well have been cut off"
    assert (found.left_out["cut_off"], found.left_out["empty"]) == (1, 1)


def test_of_several_arms_each_two_that_were_compared_give_pairs(store: Store):
    comparison = compared(store, 4, same={"run-2": [0]})
    session = blind.open_session(store, comparison, OWNER, options=SessionOptions(pairs="all")).id
    token = blind.invite(store, session, OWNER, "Ana").token
    rank = ["base", "run-1", "run-2"]
    for dealt in blind.seat_of(store, token).deals:
        best = max((dealt.left_arm, dealt.right_arm), key=rank.index)
        blind.vote(store, token, dealt.position, dealt.side_of(best) or "tie")
    blind.finish(store, token, "unsure")
    found = preferences.of_session(store, session, OWNER)
    assert len(found.pairs) == 4 * 3 - 1
    assert found.left_out["same"] == 1
    assert {(one.chosen_by, one.rejected_by) for one in found.pairs} == {
        ("Label of run-1", "Label of base"),
        ("Label of run-2", "Label of base"),
        ("Label of run-2", "Label of run-1"),
    }
    assert found.provenance["arms"] == ["Label of base", "Label of run-1", "Label of run-2"]


def test_nothing_is_said_while_somebody_rates_nor_to_anybody_else(store: Store):
    session = session_of(store, [(f"base {i}", f"tuned {i}") for i in range(4)])
    vote(store, session, {}, finish=False)
    with pytest.raises(RunError, match="sealed"):
        preferences.of_session(store, session, OWNER)
    blind.close(store, session, OWNER)
    assert len(preferences.of_session(store, session, OWNER).pairs) == 4
    with pytest.raises(NotFoundError):
        preferences.of_session(store, session, "somebody else")


def test_a_pair_says_something():
    with pytest.raises(DataError, match="same"):
        Pair(ASKED, "Water. ", "Water.")
    with pytest.raises(DataError, match="prompt"):
        Pair((), "a", "b")


# ---- the data set ----


@pytest.mark.slow
def test_the_data_set_holds_the_pairs_their_history_and_is_made_once(store: Store, settings: Settings):
    chat = (
        Message("system", "You are brief."),
        Message("user", "Was ist Regen?"),
        Message("assistant", "Wasser."),
        Message("user", "Und \u0634\u0644\u062c? \U0001f327\ufe0f"),
    )
    pairs = (
        *(Pair((Message("user", f"Question {i}, please?"),), f"good {i}", f"bad {i}", raters=3, agreed=2) for i in range(12)),
        Pair(chat, "Eis\nund Schnee, =1+1", "{not: json", chosen_by="Mine", rejected_by="nano"),
        Pair((Message("user", '[{"role": "user", "content": "in"}]'),), '[{"role": "user", "content": "out"}]', '{"a": null}'),
    )
    found = Preferences("Votes on Mine.jsonl", pairs, {"split": 2}, {"session": "ses-1", "people": 3, "left out": {"split": 2}})
    made = preferences.make_dataset(settings, store, found, OWNER)
    assert preferences.make_dataset(settings, store, found, OWNER) == made == preferences.known(store, found, OWNER)
    assert [row.id for row in store.datasets.all(OWNER)] == [made]
    assert preferences.known(store, found, "somebody else") == ""
    dataset = datasets.load(settings, store, made, OWNER)
    assert dataset.inspection.shape is not None
    assert (dataset.inspection.shape.kind, dataset.inspection.shape.training) == ("preference_messages", "DPO")
    rows = [row for one in (dataset.train, dataset.validation, dataset.test) for row in data.rows(one.path)]
    kept = {row.completion: row for row in rows}
    assert len(kept) == len(rows) == len(pairs)
    assert kept["good 3"].rejected == "bad 3"
    assert (kept["good 3"].extra["judged_by"], kept["good 3"].extra["agreed"]) == ("3", "2")
    last = kept["Eis\nund Schnee, =1+1"]
    assert (last.messages, last.rejected) == (chat, "{not: json")
    odd = kept['[{"role": "user", "content": "out"}]']
    assert (odd.messages, odd.rejected) == (pairs[-1].prompt_messages, '{"a": null}'), (
        "what looks like a chat is an answer here"
    )
    card = (dataset.folder / data.CARD).read_text("utf-8")
    assert "## Where it comes from" in card
    assert "- session: ses-1" in card
    assert "- left out: 2 split" in card
    assert "Votes on Mine" in card


def test_too_few_pairs_are_refused_with_the_reasons(store: Store, settings: Settings):
    found = Preferences("Votes.jsonl", (), {"equal": 4, "split": 1})
    with pytest.raises(DataError, match="No pair") as caught:
        preferences.make_dataset(settings, store, found, OWNER)
    assert "4 were called equally good; 1 had no majority" in caught.value.next_step
    assert store.datasets.all(OWNER) == ()


@pytest.mark.slow
def test_a_run_on_the_pairs_knows_their_prompts_and_a_comparison_says_so(settings: Settings):
    store = Store(settings.database)
    run = a_run(settings, store)
    held_out = part(settings, run, "test")
    row = generate.start_comparison(settings, store, run.id, OWNER)
    for at, asked in enumerate(held_out):
        turns = json.dumps([{"role": "user", "content": asked.prompt}])
        store.comparisons.add_answers(
            [
                AnswerRow(row.id, asked.prompt_id, arm, OWNER, at, turns, "", f"{arm} {at}", 3, "stop", None, 0)
                for arm in ("base", "tuned")
            ]
        )
    store.jobs.move(row.id, "completed")
    session = blind.open_session(store, row.id, OWNER).id
    vote(store, session, {})
    made = preferences.make_dataset(settings, store, preferences.of_session(store, session, OWNER), OWNER)
    dataset = datasets.load(settings, store, made, OWNER)
    store.runs.update(run.id, checkpoint_path=f"tinker://{run.id}/weights/final")
    recipe = replace(recommend(facts_of(dataset), models.get("nano"), "dpo").recipe, start_from=run.id)
    learner = create_run(settings, store, dataset_id=made, recipe=recipe, name="Learner", owner=OWNER)
    store.runs.update(learner.id, sampler_path=f"tinker://{learner.id}/sampler_weights/final")
    store.jobs.move(learner.id, "completed")
    # What the first run held out, the new one has seen, but for the part that was held out again.
    with pytest.raises(DataError, match="Learner was trained on"):
        start(settings, store, run, against=(learner.id,))
    plan = start(settings, store, run, against=(learner.id,), wanted=CompareSettings(learned="stamp"))
    stamped = {one.messages[-1].content for one in generate.questions(settings, plan) if one.stamp == TRAINED_ON}
    assert stamped == {one.prompt for each in (dataset.train, dataset.validation) for one in data.rows(each.path)}
    # What the first run learned, the new one knows as well, because it goes on from there.
    before = generate.keep_pasted(settings, f"{part(settings, run, 'train')[0].prompt}\nNever heard of?")
    with pytest.raises(DataError, match="trained on 1 of these 2 prompts"):
        start(settings, store, learner, prompts=before)
    left = generate.questions(settings, start(settings, store, learner))
    assert {one.messages[-1].content for one in left} == {one.prompt for one in data.rows(dataset.test.path)}
    store.close()
