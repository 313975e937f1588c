"""What a job's process does around its work, without a process: output, words for errors, the link to a server."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import threading
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import httpx
import pytest

from studio.errors import BackendError, EngineError, StoreError
from studio.runs import files
from studio.runs.again import again
from studio.runs.desk import Desk, StopAsked, at_desk, explain_os_error
from studio.runs.link import Link, beside, connected, explain
from studio.settings import Secret, Settings
from studio.store import Store


@pytest.fixture
def desk(house):
    return Desk(house.settings, house.store, house.job(house.run()))


@pytest.fixture
def claimed(house, monkeypatch):
    """A job that a supervisor has claimed, worked on in this very process with its output caught."""
    run = house.run()
    assert house.store.jobs.claim(run)
    shown = StringIO()
    factory = logging.getLogRecordFactory()
    monkeypatch.setattr("studio.runs.desk.Desk.listen", lambda self: None)
    for name in ("TINKER_BASE_URL", "TINKER_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def work(body):
        with redirect_stdout(shown), redirect_stderr(shown):
            return at_desk("train", body, ["--home", str(house.settings.home), "--job", run])

    yield run, work, shown
    logging.setLogRecordFactory(factory)


def test_no_secret_leaves_by_print_log_or_traceback(house, claimed):
    run, work, shown = claimed
    handler = logging.StreamHandler()

    def body(desk):
        desk.hide("plain words secret")
        print("half a tml-abc", end="")
        print("def123456 line with plain words secret")
        logger = logging.getLogger("somebody.else")
        handler.setStream(shown)
        logger.addHandler(handler)
        try:
            raise ValueError("hf_abcdefghijk")
        except ValueError:
            logger.exception("refused %s", "Bearer abcdef123456")
        raise BackendError("The key tml-zzzzzzzz is wrong.", next_step="Ask plain words secret.")

    assert work(body) == 1
    logging.getLogger("somebody.else").removeHandler(handler)
    job = house.job(run)
    assert (job.reason, job.next_step) == ("The key [hidden] is wrong.", "Ask [hidden].")
    assert "half a [hidden] line with [hidden]" in shown.getvalue()
    assert "refused Bearer [hidden]" in shown.getvalue()
    for secret in ("def123456", "plain words", "hf_abc", "abcdef123456", "tml-zzz"):
        assert secret not in shown.getvalue()


def test_a_log_record_that_does_not_fit_its_words_fails_nothing(claimed, caplog):
    _, work, _ = claimed
    words = "%d steps with %s"
    assert work(lambda desk: logging.getLogger("somebody.else").warning(words, "tml-abcdef123456")) == 0
    assert words in caplog.text
    assert "abcdef123456" not in caplog.text


def test_lines_of_several_threads_stay_whole(claimed):
    _, work, shown = claimed

    def body(_desk):
        def talk(word):
            for _ in range(300):
                print(f"{word} tml-{word * 8} end")

        threads = [threading.Thread(target=talk, args=(word,)) for word in ("aa", "bb", "cc")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert work(body) == 0
    said = shown.getvalue()
    assert [said.count(f"{word} [hidden] end") for word in ("aa", "bb", "cc")] == [300] * 3
    assert "tml-" not in said


def test_a_job_of_somebody_else_is_left_alone(house, claimed):
    run, work, shown = claimed
    house.store.jobs.update(run, pid=1, pid_started=1.0)
    assert work(lambda desk: pytest.fail("worked on a job that is not its own")) == 3
    assert house.job(run).status == "starting"
    assert "not for this process" in shown.getvalue()


def test_an_outcome_that_the_store_refuses_is_kept_beside_the_files(house, claimed, monkeypatch):
    run, work, _ = claimed

    def body(desk):
        def refuse(*_args, **_more):
            raise StoreError("The disk is full.")

        monkeypatch.setattr(type(desk.store.jobs), "move", refuse)
        monkeypatch.setattr("studio.runs.desk.time.sleep", lambda _: None)

    pids = []
    assert work(lambda desk: (pids.append(desk.store.jobs.get(run).pid), body(desk))) == 0
    words = files.read_outcome(house.folder(run), pids[0])
    assert words is not None
    assert words.status == "completed"


def test_phases_and_progress_reach_the_store(house, claimed):
    run, work, _ = claimed
    seen = []

    def body(desk):
        desk.phase("loading the model")
        desk.progress(3, 10)
        seen.append(house.job(run))
        files.ask_to_stop(desk.folder)
        desk.check()

    assert work(body) == 0
    assert (seen[0].phase, seen[0].done, seen[0].total, seen[0].status) == ("loading the model", 3, 10, "running")
    assert (house.job(run).status, house.job(run).phase) == ("stopped", "")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_named(code):
    assert "disk is full" in explain_os_error(OSError(code, "no"), "choose Resume").what
    assert "Permission denied" in explain_os_error(OSError(errno.EACCES, "Permission denied", "/x"), "try again").what


class Engine:
    def __init__(self, looks: int) -> None:
        self.looks = looks

    def poll(self) -> int | None:
        self.looks -= 1
        return None if self.looks > 0 else -9


def test_a_dead_engine_ends_the_work(monkeypatch):
    monkeypatch.setattr("studio.runs.link._LOOK_SECONDS", 0.01)
    with pytest.raises(EngineError, match="stopped in the middle"):
        beside(Link("http://x", Engine(3)), asyncio.sleep(60))

    async def refused():
        raise httpx.ConnectError("nobody answers")

    with pytest.raises(EngineError):
        beside(Link("http://x", Engine(1)), refused())


def test_a_dead_engine_ends_work_that_blocks(monkeypatch):
    """As the SDK does while it opens its session: for minutes, and without a look at its loop."""
    monkeypatch.setattr("studio.runs.link._LOOK_SECONDS", 0.01)
    monkeypatch.setattr("studio.runs.link._FAREWELL_SECONDS", 0.05)
    stuck = threading.Event()

    async def opening():
        stuck.wait(20.0)

    began = time.monotonic()
    with pytest.raises(EngineError, match="stopped in the middle"):
        beside(Link("http://x", Engine(3)), opening())
    assert time.monotonic() - began < 5
    stuck.set()


def test_a_stop_ends_work_that_has_nothing_to_save(desk, monkeypatch):
    monkeypatch.setattr("studio.runs.link._LOOK_SECONDS", 0.01)
    files.ask_to_stop(desk.folder)
    ended = []

    async def long():
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("in order")

    with pytest.raises(StopAsked):
        beside(Link(None, None), long(), check=desk.check)
    assert ended == ["in order"]
    assert beside(Link(None, None), asyncio.sleep(0.05, "done")) == "done"


@pytest.mark.parametrize(("kind", "button"), [("train", "Resume"), ("answers", "Ask again")])
def test_next_steps_name_the_button_of_their_page(house, kind, button):
    import tinker

    run = house.run()
    job = house.job(run if kind == "train" else house.answers(run))
    at_work = Desk(Settings(home=house.settings.home, place="hosted"), house.store, job)
    with pytest.raises(BackendError) as refused, connected(at_work, ["nano"]):
        pass
    link = Link("http://x", Engine(0), again(kind))
    with pytest.raises(EngineError) as dead:
        link.check()
    slow = explain(tinker.APITimeoutError(httpx.Request("POST", "http://x")), again(kind))
    full = explain_os_error(OSError(errno.ENOSPC, "no"), again(kind))
    for error in (refused.value, dead.value, slow, full):
        assert f"choose {button}" in error.next_step


def test_the_sdks_errors_come_out_in_plain_words():
    import tinker

    request = httpx.Request("POST", "http://x/api/v1/create_model")

    def answer(status):
        return httpx.Response(status, request=request)

    said = {
        tinker.AuthenticationError("no", response=answer(401), body=None): "does not accept the key",
        tinker.PermissionDeniedError("no", response=answer(403), body=None): "does not allow",
        tinker.RateLimitError("slow", response=answer(429), body=None): "too busy",
        tinker.APITimeoutError(request): "in time",
        tinker.APIConnectionError(request=request): "cannot be reached",
        tinker.BadRequestError("there is no model X", response=answer(400), body=None): "there is no model X",
    }
    changed = {"detail": "The base model m has changed since x was trained. Please train again.", "type": "base_changed"}
    said[tinker.BadRequestError("Error code: 400", response=answer(400), body=changed)] = "base model has changed"
    tail = " for self.request_id='c5:train:0:55' and expected type self.model_cls=<class 'x'>"
    full = f"Request failed: The embedded engine failed: OSError: [Errno 28] {os.strerror(errno.ENOSPC)}{tail}"
    said[tinker.RequestFailedError(full, request_id="1", category=tinker.types.RequestErrorCategory.Server)] = "disk is full"
    odd = f"Request failed: Out of memory.{tail}"
    odd_error = tinker.RequestFailedError(odd, request_id="1", category=tinker.types.RequestErrorCategory.Server)
    assert explain(odd_error).what == "The server could not go on: Out of memory."
    for error, words in said.items():
        assert words in explain(error).what
        assert explain(error).next_step

    async def refused():
        raise tinker.APITimeoutError(request)

    with pytest.raises(BackendError, match="in time"):
        beside(Link(None, None), refused())


def test_a_server_without_a_key_is_refused_before_anything_is_sent(tmp_path, house):
    settings = Settings(home=house.settings.home, place="hosted")
    hosted = Desk(settings, Store(settings.database), house.job(house.run()))
    with pytest.raises(BackendError, match="no key"), connected(hosted, ["nano"]):
        pass
    keyed = Settings(home=house.settings.home, place="cluster", base_url="http://x", api_key=Secret("tml-x"))
    with connected(Desk(keyed, house.store, house.job(house.run())), ["nano"]) as link:
        assert (link.base_url, link.process) == ("http://x", None)
        link.check()
