"""Promises: what a request answers at once, and the result that is fetched later by long poll.

Guarantees: the same request sent twice (the SDK resends after a broken connection) gets the same promise and is done once; a
result is kept until it was fetched and a minute longer, in case the answer was lost on the way; nothing is kept for ever.
Belongs to the event loop's thread; only ``Promise.resolve`` and ``Promise.reject`` may be called from another one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from studio.engine.protocol import PROTOBUF
from studio.engine.refusals import RefusalError
from studio.errors import StudioError

logger = logging.getLogger(__name__)

JSON: Final = "application/json"
#: How long one poll is held; the SDK gives up on a poll after 45 s. Seconds.
POLL: Final = 30.0
#: Seconds that a result stays after it was fetched, and when nobody fetches it.
_FETCHED: Final = 60.0
_FORGOTTEN: Final = 1800.0


@dataclass(slots=True, eq=False)
class Promise:
    """One pending result. ``extra`` is what the promise itself tells besides its id."""

    id: str
    loop: asyncio.AbstractEventLoop
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    done: asyncio.Event = field(default_factory=asyncio.Event)
    body: bytes = b""
    media: str = JSON
    expires: float = float("inf")
    cancel: Callable[[], None] | None = None

    def resolve(self, result: bytes | dict[str, Any]) -> None:
        """Deliver protobuf bytes or a JSON object."""
        if isinstance(result, bytes):
            self._settle(result, PROTOBUF)
        else:
            self._settle(orjson.dumps(result), JSON)

    def reject(self, error: Exception) -> None:
        """Deliver a failure; what is not a ``StudioError`` is a defect of the engine, logged with its traceback."""
        if isinstance(error, RefusalError):
            failure = {"error": str(error), "category": "user", "type": error.kind}
        elif isinstance(error, StudioError):
            failure = {"error": str(error), "category": "server", "type": "engine_failure"}
        else:
            logger.error("Request %s failed", self.id, exc_info=error)
            text = f"The embedded engine failed: {type(error).__name__}: {error}"
            failure = {"error": text, "category": "server", "type": "engine_failure"}
        self._settle(orjson.dumps(failure), JSON)

    def answer(self) -> dict[str, Any]:
        """The body of the request's immediate answer."""
        return {"request_id": self.id, **self.extra}

    def _settle(self, body: bytes, media: str) -> None:
        def set_result() -> None:
            if not self.done.is_set():
                self.body, self.media = body, media
                self.expires = time.monotonic() + _FORGOTTEN
                self.done.set()

        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(set_result)


class Promises:
    """All promises that somebody may still ask for."""

    def __init__(self) -> None:
        self._all: dict[str, Promise] = {}
        self._swept = time.monotonic()

    def find(self, request_id: str) -> Promise | None:
        """The promise of this id, if it is still known."""
        return self._all.get(request_id)

    def make(self, request_id: str, **extra: Any) -> Promise:
        """A new promise under this id."""
        self._sweep()
        promise = self._all[request_id] = Promise(request_id, asyncio.get_running_loop(), extra)
        return promise

    async def fetch(self, request_id: str, hold: float = POLL) -> Promise | None:
        """Wait up to ``hold`` seconds; ``None`` when there is no result yet. Raises ``RefusalError`` for an unknown id."""
        promise = self._all.get(request_id)
        if promise is None:
            raise RefusalError(
                f"The engine knows no request {request_id}.",
                status=410,
                kind="expired",
                next_step="Its result was fetched long ago, or the engine was restarted. Send the request again.",
            )
        try:
            await asyncio.wait_for(promise.done.wait(), timeout=hold)
        except TimeoutError:
            return None
        promise.expires = min(promise.expires, time.monotonic() + _FETCHED)
        return promise

    def __contains__(self, request_id: object) -> bool:
        return request_id in self._all

    def __len__(self) -> int:
        return len(self._all)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept > 5.0:
            self._swept = now
            self._all = {name: promise for name, promise in self._all.items() if promise.expires > now}
