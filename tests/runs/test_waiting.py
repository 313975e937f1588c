"""A server that makes a run wait, and one that ends its session: the run says so, goes on, or fails with a way back."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from studio.engine.launch import start_engine
from studio.runs import progress
from studio.runs.launch import create_run
from studio.runs.supervisor import Supervisor
from studio.runs.waiting import Waiting
from studio.settings import Settings
from tests.engine.fault_proxy import fault_proxy
from tests.runs.test_training import OWNER, dataset_id, reach, recipe  # noqa: F401 - fixtures

PATIENCE = 90.0


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def answer(status: int, path: str = "optim_step") -> None:
    """What the HTTP library says about one answer."""
    form = 'HTTP Request: %s %s "%s %d %s"'
    logging.getLogger("httpx").info(form, "POST", f"https://server/api/v1/{path}?x=1", "HTTP/1.1", status, "Phrase")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("status", "words"), [(429, "patience"), (503, "trouble (503)"), (402, "paid")])
def test_a_refusal_is_said_until_the_same_address_is_served(clock: Clock, status: int, words: str) -> None:
    with Waiting(clock) as waiting:
        answer(200)
        assert waiting.words() is None
        answer(status)
        assert words in (waiting.words() or "")
        answer(200, "session_heartbeat")
        assert words in (waiting.words() or ""), "another address proves nothing"
        answer(408)
        assert waiting.words() is None, "a poll that found nothing yet is an answer"


def test_the_words_tell_since_when(clock: Clock) -> None:
    with Waiting(clock) as waiting:
        answer(500)
        first = waiting.words()
        for _ in range(5):
            clock.now += 25
            answer(500)
            assert waiting.words() == first
        for _ in range(8):
            clock.now += 9
            answer(200, "session_heartbeat")
            waiting.words()
        assert waiting.words() is None, "nobody asks for it any more"


def test_silence_is_noticed_but_not_while_nobody_looked(clock: Clock) -> None:
    with Waiting(clock) as waiting:
        answer(200)
        for _ in range(5):
            clock.now += 8
            said = waiting.words()
        assert "does not answer" in (said or "")
        answer(200)
        assert waiting.words() is None
        clock.now += 300
        assert waiting.words() is None


def test_a_pause_that_the_sdk_reports_is_passed_on(clock: Clock) -> None:
    with Waiting(clock) as waiting:
        logging.getLogger("tinker.lib.queue_state_logger").warning("Training for x is paused. Reason: others come first.")
        assert waiting.words() == "the server says: others come first"
        clock.now += 9
        waiting.words()
        clock.now += 91
        assert waiting.words() is None


def test_the_library_is_heard_even_when_somebody_silenced_it_and_is_left_as_it_was() -> None:
    http = logging.getLogger("httpx")
    before = (http.level, http.propagate, list(http.handlers))
    with Waiting() as waiting:
        http.setLevel(logging.WARNING)
        waiting.words()
        logging.disable(logging.INFO)
        try:
            answer(500)
        finally:
            logging.disable(logging.NOTSET)
        assert waiting.words() is not None
    assert (http.level, http.propagate, list(http.handlers)) == before


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_run_waits_and_says_so_and_comes_back_from_an_ended_session(house, dataset_id, recipe, tmp_path):  # noqa: F811
    with start_engine(Settings(home=tmp_path / "server"), ["nano"], threads=1) as engine, fault_proxy(engine.base_url) as proxy:
        settings = replace(house.settings, place="cluster", base_url=proxy.url, api_key=engine.api_key)
        supervisor = Supervisor(settings, house.store)
        short = replace(recipe, max_steps=20, save_every=5, eval_every=0)
        # The list of a server names no nano; what the run does is the same.
        run = create_run(house.settings, house.store, dataset_id=dataset_id, recipe=short, name="", owner=OWNER)
        proxy.fail(503, "create_session")
        supervisor.submit(run.id)
        reach(house, supervisor, run.id, 4)
        proxy.fail(429, "forward_backward", times=3)
        proxy.lose("optim_step")

        def waits():
            return house.job(run.id).phase.startswith("waiting: the server asks for patience (429)")

        house.eventually(waits, supervisor, PATIENCE, lambda: f"{proxy.counts}\n{house.told(run.id)}")
        reach(house, supervisor, run.id, 7)
        assert not house.job(run.id).phase.startswith("waiting")
        proxy.end_session()
        job = house.until(run.id, "failed", "interrupted", "completed", ticking=supervisor, seconds=PATIENCE)
        assert (job.status, job.reason) == ("failed", "The server ended the session in the middle of the work.")
        assert "last checkpoint" in job.next_step
        supervisor.resume(run.id)
        job = house.until(run.id, "failed", "interrupted", "completed", ticking=supervisor, seconds=PATIENCE)
        assert job.status == "completed", house.told(run.id)
        assert [point.step for point in progress.read(house.folder(run.id), job).train] == list(range(1, 21))
        supervisor.close()
