"""What the process that answers does with a question: answered, refused, recognised as learned by heart; without a model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from studio import data, playground, work
from studio.compare import generate_talk
from studio.compare.generate_talk import Asked, Spoken
from studio.data import SplitPlan
from studio.errors import BackendError, EngineError
from studio.models import get
from studio.playground import Wanted, asking, job
from studio.runs import seal
from studio.store import RunRow
from studio.work import Progress, Working
from tests.wizards.world import OWNER, World

KEY = "tml-very-secret-indeed"


@dataclass
class Talker:
    """Answers with what it was asked, refuses the word *no*, and breaks on the word *bang*."""

    key: str = KEY
    asked: list[Asked] = field(default_factory=list)
    closed: bool = False
    model: object = get("nano")

    async def answer(self, asked: Asked) -> Spoken:
        self.asked.append(asked)
        if asked.messages[-1].content == "no":
            raise BackendError(f"Not with {self.key}.", next_step="Use another.")
        if asked.messages[-1].content == "bang":
            raise ZeroDivisionError
        return Spoken(f"{asked.path or 'base'} says so", 4, "length")

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(asking, "begin", lambda *_: None)
    monkeypatch.setattr(work, "state", lambda _: Working("talk", Progress("answering")))
    monkeypatch.setattr(job, "IDLE", 0.1)
    made = World(tmp_path / "home")
    yield made
    made.close()


def ask(world: World, run: RunRow, text: str, **terms: object) -> str:
    return playground.ask(world.settings, world.store, run.id, OWNER, Wanted(text, **terms))


def serve(world: World, talker: Talker) -> int:
    return asyncio.run(job._serve(world.settings, world.store, talker, lambda _: None))


def answers(world: World, run: RunRow) -> list[playground.Answer]:
    room = playground.read(world.settings, world.store, run.id, OWNER)
    return [answer for talk in room.talks for one in talk.exchanges for answer in one.answers]


def test_each_side_is_asked_alike_and_the_process_ends_when_nobody_asks(world: World):
    run, talker = world.run(), Talker()
    ask(world, run, "Hello?", temperature=0.3, max_tokens=17)
    assert serve(world, talker) == 2
    assert talker.closed
    base, tuned = talker.asked
    assert (base.path, tuned.path) == ("", run.sampler_path)
    assert base.wanted == tuned.wanted
    assert (base.wanted.temperature, base.wanted.max_tokens) == (0.3, 17)
    assert base.messages == tuned.messages
    told = answers(world, run)
    assert [one.text for one in told] == ["base says so", f"{run.sampler_path} says so"]
    assert all(one.cut_off for one in told)


def test_asking_again_draws_anew(world: World):
    run, talker = world.run(), Talker()
    for _ in range(3):
        ask(world, run, "Hello?", sides=("tuned",))
    serve(world, talker)
    assert len({one.wanted.seed for one in talker.asked}) == 3


def test_a_refusal_is_kept_with_its_reason_and_without_the_key(world: World):
    run = world.run()
    ask(world, run, "no")
    ask(world, run, "yes")
    serve(world, Talker())
    told = answers(world, run)
    assert [one.state for one in told] == ["answered", "answered", "failed", "failed"]
    assert KEY not in told[2].reason
    assert (told[2].text, told[2].next_step) == ("", "Use another.")


def test_a_fault_of_ours_ends_the_process_and_is_not_an_answer(world: World):
    run = world.run()
    ask(world, run, "bang")
    with pytest.raises(ZeroDivisionError):
        serve(world, Talker())
    assert {row.state for row in world.store.talks.answers(run.id, OWNER)} == {"waiting"}


def test_without_an_engine_everything_that_waits_is_told_why(world: World, monkeypatch: pytest.MonkeyPatch):
    def alone(*_: object) -> None:
        raise EngineError("The engine is gone.", next_step="Close other programs.")

    monkeypatch.setattr(generate_talk, "alone", alone)
    monkeypatch.setattr(generate_talk, "settle_down", lambda *_, **__: None)
    run = world.run()
    ask(world, run, "Hello?")
    asked = {"home": str(world.settings.home), "model": "nano"}
    with pytest.raises(EngineError):
        job._talk(world.settings.home, asked, SimpleNamespace(at=lambda *_: None))
    assert {(one.state, one.reason, one.next_step) for one in answers(world, run)} == {
        ("failed", "The engine is gone.", "Close other programs.")
    }


def test_what_a_run_learned_by_heart_is_recognised_and_a_changed_seal_refused(world: World, tmp_path: Path):
    run = world.run()
    file = tmp_path / "mine.jsonl"
    turns = [
        [("system", "Be brief."), ("user", f"What is the colour of thing {n}?"), ("assistant", f"Thing {n} is blue.")]
        for n in range(30)
    ]
    lines = ({"messages": [{"role": role, "content": text} for role, text in each]} for each in turns)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    folder = world.settings.datasets / run.dataset_id
    dataset = data.split(data.inspect(file, "mine.jsonl", folder), SplitPlan("even", 40, 20, 40))
    world.store.runs.update(run.id, seal=seal.seal_run(world.settings, world.store, run.id, OWNER, dataset))
    assert playground.system_of(world.settings, world.store, run.id, OWNER) == "Be brief."

    (learned,) = data.rows(dataset.train.path, 1)
    (unseen,) = data.rows(dataset.test.path, 1)
    for row in (learned, unseen):
        ask(world, run, row.messages[1].content, system="Be brief.")
    serve(world, Talker())
    assert [one.trained_on for one in answers(world, run)] == [None, False, None, True]

    (world.settings.runs / run.id / seal.RECORD).write_text("{}", "utf-8")
    ask(world, run, "Anything?")
    serve(world, Talker())
    base, tuned = answers(world, run)[:2]
    assert (base.state, tuned.state) == ("answered", "failed")
    assert "nothing can be called unseen" in tuned.reason


def test_the_system_prompt_of_lost_data_is_none(world: World):
    run = world.run()
    assert playground.system_of(world.settings, world.store, run.id, OWNER) == ""
