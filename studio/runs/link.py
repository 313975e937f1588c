"""A job's connection to the place that trains and samples: its own engine, or the server named in the environment.

Guarantees: the SDK and the cookbook find address and key in this process's environment only; the engine ends with the block; an
engine that dies meanwhile is noticed within a second and told apart from a server that is merely slow.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from studio.engine.launch import start_engine
from studio.errors import BackendError, EngineError
from studio.runs.desk import Desk

if TYPE_CHECKING:
    import tinker

Result = TypeVar("Result")

_LOOK_SECONDS: Final = 0.5


class _Process(Protocol):
    def poll(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Link:
    """Where this job trains and samples. ``process`` is the engine's, ``None`` when the server is somebody else's."""

    base_url: str | None
    process: _Process | None

    def check(self) -> None:
        """Raise ``EngineError`` when the engine is gone."""
        if self.process is not None and self.process.poll() is not None:
            raise EngineError(
                "The embedded engine stopped in the middle of the work.",
                next_step="It may have run out of memory. Close other programs, then choose Resume.",
            )


@contextmanager
def connected(desk: Desk, models: Sequence[str]) -> Generator[Link]:
    """A link for as long as the block runs; ``models`` are catalogue names. Raises ``BackendError`` when there is none."""
    settings = desk.settings
    if settings.place != "embedded":
        if settings.api_key is None:
            raise BackendError(
                "There is no key for the server that should train.",
                next_step="Set TINKER_API_KEY, start the studio again, and choose Resume.",
            )
        yield Link(settings.base_url, None)
        return
    desk.phase("starting the engine")
    with start_engine(settings, models=tuple(models), log=desk.folder / "engine.log") as engine:
        desk.hide(engine.api_key.reveal())
        os.environ["TINKER_BASE_URL"] = engine.base_url
        os.environ["TINKER_API_KEY"] = engine.api_key.reveal()
        yield Link(engine.base_url, engine.process)


async def beside(
    link: Link, desk: Desk, work: Coroutine[Any, Any, Result], *, stop_now: bool | Callable[[], bool] = False
) -> Result:
    """Await ``work``, and give it up with ``EngineError`` as soon as the engine dies.

    An error of the SDK comes out as a ``BackendError`` in plain words. ``stop_now`` also gives it up with ``StopAsked`` when
    somebody asks to stop: for work that has nothing to save, or while it is asked and says so.
    """
    import tinker  # by now something else has paid for it

    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_SECONDS)
            if not task.done():
                link.check()
                if stop_now is True or (callable(stop_now) and stop_now()):
                    desk.check()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=2.0)
    error = task.exception()
    if error is not None:
        link.check()  # what the SDK says about a dead engine is only that nobody answers
    if isinstance(error, tinker.TinkerError):
        raise explain(error) from error
    return task.result()


def explain(error: tinker.TinkerError) -> BackendError:
    """What the SDK's error means for a person."""
    import tinker

    said = str(error).strip().splitlines()
    detail = said[0][:300] if said else type(error).__name__
    if isinstance(error, tinker.AuthenticationError):
        return BackendError("The server does not accept the key.", next_step="Check the key, then choose Resume.")
    if isinstance(error, tinker.PermissionDeniedError):
        return BackendError(f"The server does not allow this: {detail}", next_step="Check your account's rights.")
    if isinstance(error, tinker.RateLimitError):
        return BackendError(f"The server is too busy: {detail}", next_step="Wait a few minutes, then choose Resume.")
    if isinstance(error, tinker.APITimeoutError):
        return BackendError("The server did not answer in time.", next_step="Check the network, then choose Resume.")
    if isinstance(error, tinker.APIConnectionError):
        return BackendError("The server cannot be reached.", next_step="Check the network and the address, then choose Resume.")
    return BackendError(f"The server refused: {detail}", next_step="Change what it names, or choose Resume to try again.")
