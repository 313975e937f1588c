"""The process that answers, as a real process: one for each model, found again, ended, killed, asked again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from studio import playground, work
from studio.playground import Room, Wanted, asking
from studio.settings import Secret
from studio.work import Done, Working
from studio.work.files import read_json
from tests.wizards.world import OWNER, World


class Talking(World):
    """A world with one run and its real process."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.made = self.run(name="Tickets")
        self.ticket = asking.ticket(self.settings, "nano")

    def ask(self, text: str) -> str:
        return playground.ask(self.settings, self.store, self.made.id, OWNER, Wanted(text, sides=("tuned",)))

    def room(self) -> Room:
        return playground.read(self.settings, self.store, self.made.id, OWNER)

    def newest(self) -> playground.Answer:
        return self.room().talks[0].exchanges[-1].answers[0]

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not true():
            assert time.monotonic() < deadline, (self.room(), work.state(self.ticket))
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        return int((read_json(self.ticket.place / "process.json") or {})["pid"])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Talking]:
    monkeypatch.setattr(asking, "PROGRAM", "tests.playground.standing_in")
    made = Talking(tmp_path / "home")
    yield made
    work.cancel(made.ticket)
    made.close()


def test_one_process_answers_until_it_is_killed_and_the_next_question_gets_another(world: Talking):
    world.ask("abc")
    world.until(lambda: world.newest().state == "answered")
    first = world.pid
    assert world.newest().text == "cba"
    world.ask("def")
    world.until(lambda: world.newest().state == "answered")
    assert world.pid == first

    hanging = world.ask("hang")
    assert world.room().waits
    os.kill(world.pid, signal.SIGKILL)
    world.until(lambda: world.newest().state == "failed")
    assert "memory" in world.newest().reason
    assert world.newest().next_step
    world.ask("ghi")
    world.until(lambda: world.newest().state == "answered")
    assert world.pid != first
    # What killed it is not tried again by itself, and is still there to be asked again.
    assert [one.exchanges[0].answers[0].state for one in world.room().talks] == ["answered", "failed", "answered", "answered"]
    playground.again(world.settings, world.store, hanging, OWNER)
    assert world.room().talks[1].exchanges[0].waits
    playground.stop(world.settings, world.store, world.made.id, OWNER)
    assert "You stopped it" in world.room().talks[1].exchanges[0].answers[0].reason
    assert not isinstance(work.state(world.ticket), Working)


def test_a_question_that_meets_a_process_on_its_way_out_is_answered_by_the_next(world: Talking):
    world.ask("end")
    world.until(lambda: isinstance(work.state(world.ticket), Done))
    assert world.room().left
    first = world.pid
    playground.go_on(world.settings, world.store, world.made.id, OWNER)
    world.until(lambda: isinstance(work.state(world.ticket), Done))
    assert world.pid != first


def test_the_key_is_in_the_environment_of_the_process_and_in_no_file(world: Talking):
    hosted = replace(world.settings, place="hosted", api_key=Secret("tml-very-secret-indeed"))
    asking.begin(hosted, "nano")
    world.until(lambda: "TINKER_API_KEY" in psutil.Process(world.pid).environ())
    assert psutil.Process(world.pid).environ()["TINKER_API_KEY"] == "tml-very-secret-indeed"
    assert "very-secret" not in " ".join(psutil.Process(world.pid).cmdline())
    kept = [path.read_bytes() for path in world.settings.home.rglob("*") if path.is_file()]
    assert kept
    assert not [one for one in kept if b"very-secret" in one]
