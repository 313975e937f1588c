"""A model's opinion on the verdict page: what is said before it is asked, where its key goes, what is told and what is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.compare import blind, machine
from studio.compare.machine import JudgeSettings
from studio.errors import SettingError
from studio.store import MachineRatingRow, new_id
from tests.wizards.world import World
from wizards import machine_judge
from wizards.draft import Draft
from wizards.shell import Said, Visit

KEY = "sk-verysecretkey123"
URL = "https://api.example.org/v1"


class Session:
    """A run with answers and an open session."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.run = world.run("completed")
        self.comparison = world.comparison(self.run, [(f"base {i}", f"tuned {i}") for i in range(24)])
        self.id = world.session(self.comparison)
        self.visit = Visit(Draft(run=self.run.id, comparison=self.comparison, session=self.id, step="verdict"), "local")

    def press(self, name: str, value: str = "", **fields: str) -> Draft:
        done = machine_judge.pressed(self.world.ctx, self.visit, Said(name, value or json.dumps(fields)))
        assert isinstance(done, Draft)
        return done

    def asked(self, choice: str = "left", *, model: str = "a-model", status: str = "completed", **ended: str) -> str:
        """A judging in which the model preferred the tuned answers, but for one pair that it chose by its place."""
        store = self.world.store
        row = machine.start_judging(self.world.settings, store, self.id, "local", JudgeSettings(model, URL))
        rows: list[MachineRatingRow] = []
        for one in machine.questions_left(store, row):
            better = choice if one.left == "tuned" or one.prompt_id == "p000" else "right"
            rows.append(MachineRatingRow(row.id, one.prompt_id, one.left, one.right, "local", better))  # type: ignore[arg-type]
        store.machine.keep(rows)
        store.jobs.move(row.id, status, **ended)  # type: ignore[arg-type]
        return row.id

    @property
    def page(self) -> str:
        return str(machine_judge.part(self.world.store, blind.state(self.world.store, self.id, "local"), "local"))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def session(world: World) -> Session:
    return Session(world)


def test_how_much_is_asked_is_said_before(session: Session):
    work = machine.work_of(session.world.store, session.id, "local")
    assert f"24 pairs, each in both orders: 48 requests with {work.characters:,} characters" in session.page
    assert 'type="password"' in session.page


def test_the_key_goes_to_the_process_and_nowhere_else(session: Session):
    world = session.world
    draft = session.press("machine_ask", endpoint=f" {URL} ", model="a-model", key=KEY)
    (row,) = world.store.machine.of_session(session.id, "local")
    # Lent before the job is there, since what is queued may start at any moment.
    assert world.supervisor.asked == [("lend", row.id), ("submit", row.id)]
    assert world.supervisor.lent[row.id].reveal() == KEY
    assert KEY not in draft.to_query() + row.settings_json + session.page + repr(world.supervisor.lent)
    assert machine_judge.busy(world.store, session.id, "local")
    session.press("machine_stop", row.id)
    assert world.supervisor.asked[-1] == ("stop", row.id)
    # Pressing twice asks once.
    session.press("machine_ask", endpoint=URL, model="a-model", key="")
    assert len(world.store.machine.of_session(session.id, "local")) == 1


def test_an_address_or_model_that_cannot_work_is_refused(session: Session):
    for fields in ({"endpoint": "https://me:pw@x/v1", "model": "m"}, {"endpoint": URL, "model": ""}, {"model": "unknown/x"}):
        with pytest.raises(SettingError):
            session.press("machine_ask", **fields)
    assert session.world.store.machine.of_session(session.id, "local") == ()
    assert machine_judge.pressed(session.world.ctx, session.visit, Said("close")) is None


def test_its_opinion_has_its_label_its_interval_and_its_agreement(session: Session):
    world = session.world
    world.rate(world.seat(session.id, "Ana"), ["tuned"] * 12 + ["base"] * 12)
    session.asked()
    page = session.page
    assert "a model&#39;s opinion, not counted" in page
    # 23 of 24 and one tie.
    assert "98 %" in page
    assert "On 1 of 24 pairs its choice changed with the order" in page
    assert "agrees with the majority of the people on" in page
    assert "of 24 pairs that both judged" in page
    assert "Of 48 choices, 25 went to the answer that was shown first" in page
    assert "Ask the model again" not in page


def test_an_owner_who_still_rates_is_told_nothing(session: Session):
    session.world.seat(session.id)
    session.asked()
    assert "stays sealed" in session.page
    assert "98 %" not in session.page
    assert "agrees" not in session.page


def test_a_failure_says_why_and_asks_for_the_key_again(session: Session):
    store = session.world.store
    row = machine.start_judging(session.world.settings, store, session.id, "local", JudgeSettings("m", URL))
    store.jobs.move(row.id, "failed", reason="The endpoint does not accept the key.", next_step="Check it.")
    assert "The endpoint does not accept the key." in session.page
    assert "48 of 48 questions have no answer yet" in session.page
    session.press(f"machine_again:{row.id}", key=KEY)
    assert session.world.supervisor.asked == [("lend", row.id), ("submit", row.id)]
    assert store.jobs.get(row.id).status == "queued"


def test_names_are_text_and_never_markup(session: Session):
    session.asked(model="<img src=x onerror=alert(1)>${1}")
    assert "<img" not in session.page
    assert "${1}" not in session.page


def test_somebody_elses_judging_is_not_there(session: Session):
    other = new_id("jdg")
    with pytest.raises(Exception, match="gone"):
        session.press("machine_stop", other)
