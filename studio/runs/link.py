"""A job's connection to the place that trains and samples: its own engine, or the server named in the environment.

Guarantees: the SDK and the cookbook find address and key in this process's environment only; the engine ends with the block; an
engine that dies meanwhile is noticed within a second, whatever the SDK is busy with, and told apart from a server that is
merely slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

from studio.engine.launch import start_engine
from studio.errors import BackendError, EngineError
from studio.runs.again import again
from studio.runs.desk import Desk
from studio.runs.waiting import Waiting
from studio.settings import Settings

if TYPE_CHECKING:
    import tinker

Result = TypeVar("Result")

_LOOK_SECONDS: Final = 0.5
_FAREWELL_SECONDS: Final = 2.0


class _Process(Protocol):
    def poll(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Link:
    """Where this job trains and samples. ``process`` is the engine's, ``None`` when the server is somebody else's.

    ``again`` says how a person repeats the work, as the end of a sentence. ``look`` is called about twice a second while the
    work goes on, to say when it has to wait.
    """

    base_url: str | None
    process: _Process | None
    again: str = "try again"
    look: Callable[[], None] = lambda: None

    def check(self) -> None:
        """Raise ``EngineError`` when the engine is gone."""
        if self.process is not None and self.process.poll() is not None:
            raise EngineError(
                "The embedded engine stopped in the middle of the work.",
                next_step=f"It may have run out of memory. Close other programs, then {self.again}.",
            )


@contextmanager
def connected(desk: Desk, models: Sequence[str]) -> Generator[Link]:
    """A link for as long as the block runs; ``models`` are catalogue names. Raises ``BackendError`` when there is none."""
    settings, repeat = desk.settings, again(desk.job.kind)
    if settings.place != "embedded":
        if settings.api_key is None:
            raise BackendError(
                "There is no key for the server that should do this.",
                next_step=f"Set TINKER_API_KEY, start the studio again, and {repeat}.",
            )
        with Waiting() as waiting:
            yield Link(settings.base_url, None, repeat, lambda: desk.waits(waiting.words()))
        return
    desk.phase("starting the engine")
    with start_engine(settings, models=tuple(models), log=desk.folder / "engine.log") as engine:
        desk.hide(engine.api_key.reveal())
        os.environ["TINKER_BASE_URL"] = engine.base_url
        os.environ["TINKER_API_KEY"] = engine.api_key.reveal()
        with Waiting() as waiting:
            yield Link(engine.base_url, engine.process, repeat, lambda: desk.waits(waiting.words()))


@contextmanager
def alone(settings: Settings, models: Sequence[str], log: Path | None = None) -> Generator[tuple[Link, str]]:
    """A link and its key outside any job, for as long as the block runs. Raises ``BackendError`` when there is none."""
    if settings.place == "embedded":
        with start_engine(settings, models=tuple(models), log=log) as engine:
            yield Link(engine.base_url, engine.process), engine.api_key.reveal()
        return
    if settings.api_key is None:
        raise BackendError("There is no key for the server that should answer.", next_step="Set TINKER_API_KEY.")
    yield Link(settings.base_url, None), settings.api_key.reveal()


def beside(link: Link, work: Coroutine[Any, Any, Result], *, check: Callable[[], None] = lambda: None) -> Result:
    """Do ``work`` to its end, and give it up with ``EngineError`` as soon as the engine dies.

    ``check`` is called about twice a second; what it raises gives the work up, too. An error of the SDK comes out as a
    ``BackendError`` in plain words. The work has a thread and a loop of its own: the SDK opens its session in blocking code and
    repeats that for minutes when nobody answers.
    """
    import tinker  # by now something else has paid for it

    apart = _Apart(work)
    try:
        while not apart.ended(_LOOK_SECONDS):
            link.check()
            link.look()
            check()
    finally:
        apart.give_up()
    error = apart.outcome.exception()
    if error is not None:
        link.check()  # what the SDK says about a dead engine is only that nobody answers
    if isinstance(error, tinker.TinkerError):
        raise explain(error, link.again) from error
    return apart.outcome.result()


class _Apart(Generic[Result]):
    """A coroutine on a thread that nobody has to wait for: neither to look up from it nor to end the process."""

    def __init__(self, work: Coroutine[Any, Any, Result]) -> None:
        self.outcome: futures.Future[Result] = futures.Future()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._run, args=(work,), name="work", daemon=True).start()

    def ended(self, seconds: float) -> bool:
        """Whether it has come to an end within this time."""
        return bool(futures.wait([self.outcome], timeout=seconds).done)

    def give_up(self) -> None:
        """Cancel what has not ended, and leave it alone when it does not listen."""
        if not self.outcome.done():
            with contextlib.suppress(RuntimeError):  # it has closed its loop meanwhile
                self._loop.call_soon_threadsafe(self._cancel)
            self.ended(_FAREWELL_SECONDS)

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, Result]) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                result = runner.run(work)
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


def explain(error: tinker.TinkerError, repeat: str = "try again") -> BackendError:
    """What the SDK's error means for a person; ``repeat`` says how to try again, as the end of a sentence."""
    import tinker

    body = getattr(error, "body", None)
    answer = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    said = str(answer.get("detail") or error).strip().splitlines()
    detail = said[0][:300] if said else type(error).__name__
    if isinstance(error, tinker.RequestFailedError):
        # The SDK wraps the server's words into its own bookkeeping.
        detail = detail.removeprefix("Request failed: ").partition(" for self.request_id=")[0]
        if os.strerror(errno.ENOSPC) in detail or os.strerror(errno.EDQUOT) in detail:
            return BackendError(
                "The disk is full, so the training server could not save.",
                next_step=f"Free some space, then {repeat}. What was saved before is safe.",
            )
        return BackendError(f"The server could not go on: {detail}", next_step=f"Look at the log, then {repeat}.")
    if answer.get("type") == "base_changed":
        return BackendError(
            "The base model has changed since this model was trained.", next_step="Start a new run to train again."
        )
    if answer.get("type") == "session_over" or getattr(error, "status_code", 0) == 410:
        return BackendError(
            "The server ended the session in the middle of the work.",
            next_step=f"What was saved is safe. To go on from the last checkpoint, {repeat}.",
        )
    if isinstance(error, tinker.AuthenticationError):
        return BackendError("The server does not accept the key.", next_step=f"Check the key, then {repeat}.")
    if isinstance(error, tinker.PermissionDeniedError):
        return BackendError(f"The server does not allow this: {detail}", next_step="Check your account's rights.")
    if isinstance(error, tinker.RateLimitError):
        return BackendError(f"The server is too busy: {detail}", next_step=f"Wait a few minutes, then {repeat}.")
    if isinstance(error, tinker.APITimeoutError):
        return BackendError("The server did not answer in time.", next_step=f"Check the network, then {repeat}.")
    if isinstance(error, tinker.APIConnectionError):
        return BackendError("The server cannot be reached.", next_step=f"Check the network and the address, then {repeat}.")
    return BackendError(f"The server refused: {detail}", next_step=f"Change what it names, then {repeat}.")
