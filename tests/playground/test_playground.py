"""The playground's domain without a model: who can be asked, what is kept, and what the opinions are worth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from studio import data, playground, work
from studio.compare import outcome
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.playground import Wanted, asking, reading
from studio.work import Cancelled, Done, Failed, Progress, Working, child
from tests.wizards.world import OWNER, World


class Quiet(World):
    """A world in which nobody answers by himself, and the state of the process that would is what the test says."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.begun = 0
        self.process: work.State | None = None
        self.made = self.run(name="Tickets")

    def ask(self, text: str = "Hello?", **terms: object) -> str:
        return playground.ask(self.settings, self.store, self.made.id, OWNER, Wanted(text, **terms))

    def answer(self, question: str, *texts: str, stop_reason: str = "stop") -> None:
        rows = [row for row in self.store.talks.answers(self.made.id, OWNER) if row.question_id == question]
        for row, text in zip(rows, texts, strict=True):
            assert self.store.talks.answered(replace(row, text=text, tokens=3, stop_reason=stop_reason))

    def asked(self, text: str, *texts: str, **terms: object) -> str:
        question = self.ask(text, **terms)
        self.answer(question, *texts)
        return question

    def think(self, question: str, side: str, thumb: str | None = None, better: str | None = None) -> None:
        playground.think(self.store, question, side, OWNER, thumb=thumb, better=better)

    def room(self) -> playground.Room:
        return playground.read(self.settings, self.store, self.made.id, OWNER)

    def harvest(self) -> playground.Harvest:
        return playground.harvest(self.store, self.made.id, OWNER)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quiet]:
    made = Quiet(tmp_path / "home")

    def begin(*_: object) -> None:
        made.begun += 1
        made.process = Working("talk", Progress("answering"))

    monkeypatch.setattr(asking, "begin", begin)
    monkeypatch.setattr(work, "state", lambda _: made.process)
    yield made
    made.close()


def prompt(row: object) -> list[tuple[str, str]]:
    return [(turn["role"], turn["content"]) for turn in json.loads(row.prompt_json)]


# --- asking ----------------------------------------------------------------------------------------------------------------


def test_a_question_is_kept_for_both_sides_before_anybody_is_started(world: Quiet, monkeypatch: pytest.MonkeyPatch):
    def crash(*_: object) -> None:
        raise RuntimeError("the machine goes down here")

    monkeypatch.setattr(asking, "begin", crash)
    with pytest.raises(RuntimeError, match="goes down"):
        world.ask("Why?", system="Be brief.")
    rows = world.store.talks.answers(world.made.id, OWNER)
    assert [(row.side, row.state, row.label) for row in rows] == [("base", "waiting", "nano"), ("tuned", "waiting", "Tickets")]
    assert [bool(row.path) for row in rows] == [False, True]
    assert prompt(rows[0]) == prompt(rows[1]) == [("system", "Be brief."), ("user", "Why?")]


def test_a_conversation_goes_on_from_each_sides_own_answer(world: Quiet):
    first = world.asked("One?", "<think>hm</think>base one", "tuned one", system="S")
    world.ask("Two?", talk=first)
    rows = world.store.talks.answers(world.made.id, OWNER)[2:]
    front = [("system", "S"), ("user", "One?")]
    assert prompt(rows[0]) == [*front, ("assistant", "base one"), ("user", "Two?")]
    assert prompt(rows[1]) == [*front, ("assistant", "tuned one"), ("user", "Two?")]
    (talk,) = world.room().talks
    assert [one.text for one in talk.exchanges] == ["One?", "Two?"]
    with pytest.raises(RunError, match="not been answered"):
        world.ask("Three?", talk=first)
    with pytest.raises(NotFoundError):
        world.ask("Three?", talk="tlk-notthere000")


def test_only_a_finished_run_of_ones_own_can_be_asked(world: Quiet):
    going = world.run("running", sampler=False)
    empty = world.run("failed", sampler=False)
    for run, error in ((going, RunError), (empty, RunError)):
        with pytest.raises(error):
            playground.ask(world.settings, world.store, run.id, OWNER, Wanted("Hello"))
    with pytest.raises(NotFoundError):
        playground.ask(world.settings, world.store, world.made.id, "somebody else", Wanted("Hello"))
    with pytest.raises(SettingError, match="one or two"):
        world.ask(sides=("base", "step-7"))
    assert world.begun == 0


@pytest.mark.parametrize(
    "terms",
    [{"text": " \n"}, {"temperature": 2.5}, {"temperature": float("nan")}, {"max_tokens": 0}, {"max_tokens": 4_097}],
)
def test_terms_that_cannot_work_are_refused_at_their_field(terms: dict[str, object]):
    with pytest.raises(SettingError) as caught:
        Wanted(**{"text": "Hello", **terms})
    assert caught.value.where


# --- what is on its way ----------------------------------------------------------------------------------------------------


def test_an_answer_that_nobody_works_on_is_never_shown_as_on_its_way(world: Quiet):
    question = world.ask()
    assert world.room().waits
    assert world.room().phase == "answering"
    for ended in (Failed("talk", RunError("It broke.", next_step="Mend it.")), Cancelled("talk")):
        world.process = ended
        (answer, _) = world.room().talks[0].exchanges[0].answers
        assert answer.state == "failed"
        assert answer.reason
        assert answer.next_step
        assert not world.room().waits
    # Ended as it should, a moment before the question came: somebody has to set it going again.
    world.process = Done("talk")
    assert world.room().left
    playground.go_on(world.settings, world.store, world.made.id, OWNER)
    assert not world.room().left
    world.answer(question, "a", "b")
    assert not world.room().waits


def test_what_broke_the_process_is_given_up_before_the_next_question(world: Quiet):
    poison = world.ask("Poison")
    world.process = Failed("talk", RunError("It broke."))
    second = world.ask("Second")
    assert {row.question_id for row in world.store.talks.waiting("nano")} == {second}
    (_, old) = world.room().talks
    assert {one.state for one in old.exchanges[0].answers} == {"failed"}
    playground.again(world.settings, world.store, poison, OWNER)
    assert {row.question_id for row in world.store.talks.waiting("nano")} == {poison, second}


def test_an_answer_is_written_once(world: Quiet):
    question = world.asked("Hello?", "first", "first")
    row = world.store.talks.answers(world.made.id, OWNER)[0]
    assert not world.store.talks.answered(replace(row, text="second"))
    assert not world.store.talks.failed(row, "late", "")
    assert world.room().talks[0].exchanges[0].answers[0].text == "first"
    with pytest.raises(NotFoundError):
        playground.again(world.settings, world.store, question, "somebody else")


def _raised() -> Exception:
    try:
        _ = 1 / 0
    except ZeroDivisionError as caught:
        return caught
    raise AssertionError


def test_what_ended_the_process_is_said_about_a_conversation_not_a_file(world: Quiet):
    for code in ("too_much_memory", "ended_by_system", "broke_off", "took_too_long"):
        told = reading.in_words(data.RefusedFile(code, "This file is too large.", next_step="Make the file smaller."))
        assert "file" not in str(told)
        assert told.next_step
    told = reading.in_words(child._defect(_raised()))
    assert "ZeroDivisionError" in told.what
    assert "file" not in str(told)


# --- opinions --------------------------------------------------------------------------------------------------------------


def test_the_last_opinion_counts_and_none_is_lost(world: Quiet):
    question = world.asked("Hello?", "one", "two")
    world.think(question, "base", thumb="up")
    world.think(question, "base", better="three")
    world.think(question, "base", thumb="down")
    (told,) = world.store.talks.opinions(world.made.id, OWNER)
    assert (told.thumb, told.better) == ("down", "three")
    with pytest.raises(NotFoundError):
        playground.think(world.store, question, "tuned", "somebody else", thumb="up")
    waiting = world.ask("Still?")
    with pytest.raises(NotFoundError):
        world.think(waiting, "base", thumb="up")


def test_thumbs_make_pairs_of_the_same_turns_only(world: Quiet):
    first = world.asked("Hello?", "one", "two")
    world.think(first, "base", thumb="down")
    world.think(first, "tuned", thumb="up")
    again = world.asked("Hello?", "three", "two")
    world.think(again, "base", thumb="down")
    other = world.asked("Hello?", "four", "five", system="Be brief.")
    world.think(other, "base", thumb="down")
    got = world.harvest()
    assert [(one.chosen, one.rejected) for one in got.pairs] == [("two", "one"), ("two", "three")]
    assert got.alone == 1
    assert {one.chosen_by for one in got.pairs} == {"Tickets"}
    assert {one.origin for one in got.pairs} == {"thumbs"}


def test_a_typed_answer_beats_the_one_it_is_typed_for(world: Quiet):
    first = world.asked("Hello?", "one", "two")
    world.think(first, "tuned", better="  a better one ")
    world.think(first, "base", better="one")
    (pair,) = world.harvest().pairs
    assert (pair.chosen, pair.rejected, pair.origin) == ("a better one", "two", "written")
    world.think(first, "tuned", better="")
    assert world.harvest().pairs == ()


def test_what_makes_no_pair_is_counted(world: Quiet):
    same = world.asked("Same?", "alike", "alike")
    world.think(same, "base", thumb="up")
    world.think(same, "tuned", thumb="down")
    cut = world.ask("Cut?")
    world.answer(cut, "this was cut", "bad", stop_reason="length")
    world.think(cut, "base", thumb="up")
    world.think(cut, "tuned", thumb="down")
    empty = world.asked("Empty?", "<think>only this", "bad")
    world.think(empty, "base", thumb="up")
    got = world.harvest()
    assert got.pairs == ()
    assert (got.both, got.cut, got.empty, got.judged) == (1, 1, 1, 5)


def test_opinions_change_no_verdict(world: Quiet):
    comparison = world.comparison(world.made, [(f"base {n}", f"tuned {n}") for n in range(6)])
    session = world.session(comparison)
    world.rate(world.seat(session), ["tuned"] * 6)
    before = outcome.export(world.store, session, OWNER)
    question = world.asked("Question 1", "base 1", "tuned 1")
    world.think(question, "base", thumb="up", better="better")
    after = outcome.export(world.store, session, OWNER)
    assert json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)


@pytest.mark.slow
def test_the_pairs_become_a_data_set_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    world = Quiet(tmp_path / "home")
    monkeypatch.setattr(asking, "begin", lambda *_: None)
    try:
        with pytest.raises(DataError):
            playground.keep(world.settings, world.store, world.made.id, OWNER)
        for number in range(12):
            question = world.asked(
                f"Question number {number}: what is {number} times {number}?", f"base {number}", f"tuned {number}"
            )
            world.think(question, "base", thumb="down")
            world.think(question, "tuned", thumb="up")
        made = playground.keep(world.settings, world.store, world.made.id, OWNER)
        assert playground.keep(world.settings, world.store, world.made.id, OWNER) == made == world.harvest().dataset
        found = data.load(world.settings.datasets / made)
        assert found.rows == 12
        assert found.inspection.shape is not None
        assert found.inspection.shape.training == "DPO"
    finally:
        world.close()
