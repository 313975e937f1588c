"""Notices that a server makes the work wait, so that it can be said while it lasts.

The SDK repeats what a server refuses for the moment, for minutes and without a word. Guarantees: a refusal is known within the
half second in which somebody looks, with the time it began; it is forgotten as soon as the server serves the same address
again; a server that answers nothing at all is noticed, because the SDK sends a sign of life every ten seconds; nothing but
addresses, status codes and times is looked at.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

_HTTP: Final = "httpx"
_SDK: Final = "tinker"
#: What the library says about every answer: method, address, version, status and phrase.
_ANSWER: Final = re.compile(r'HTTP Request: \S+ (?:[^\s?]*/)?(?P<path>[^\s?/]*)\S* "\S+ (?P<status>\d{3})')
#: A trouble counts as over when it has not come back for this long: the SDK tries again after half a minute at most. Seconds.
_PASSED: Final = 60.0
#: The SDK says that a pause lasts once a minute. Seconds.
_PAUSED: Final = 90.0
#: No answer at all for this long is silence; a sign of life is due every ten seconds. Seconds.
_SILENCE: Final = 30.0
#: Who has not looked for this long was busy elsewhere, and the SDK with nothing: what came before says no more. Seconds.
_ASIDE: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Trouble:
    words: str
    since: float
    last: float


class Waiting(logging.Handler):
    """Listens to what the HTTP library says about every answer, and to the SDK's own warnings. A context manager."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(logging.INFO)
        self._clock = clock
        self._guard = threading.Lock()
        self._troubles: dict[str, _Trouble] = {}
        self._pause: tuple[str, float] | None = None
        self._answered: float | None = None
        self._looked = clock()
        self._before = (logging.NOTSET, True)

    def __enter__(self) -> Self:
        http = logging.getLogger(_HTTP)
        self._before = (http.level, http.propagate)
        for name in (_HTTP, _SDK):
            logging.getLogger(name).addHandler(self)
        # A job's process switches everything of this level off, for all libraries at once; this one is needed.
        logging.getLogger(_HTTP).isEnabledFor = _from_info_on
        self._open_ears()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name in (_HTTP, _SDK):
            logging.getLogger(name).removeHandler(self)
        http = logging.getLogger(_HTTP)
        http.setLevel(self._before[0])
        http.propagate = self._before[1]
        del http.isEnabledFor

    def words(self) -> str | None:
        """What the work waits for, in a few plain words, or ``None`` while it goes on."""
        self._open_ears()
        now = self._clock()
        with self._guard:
            if now - self._looked > _ASIDE:
                self._answered = None
            self._looked = now
            self._troubles = {path: one for path, one in self._troubles.items() if now - one.last <= _PASSED}
            worst = min(self._troubles.values(), key=lambda one: one.since, default=None)
            if worst is not None:
                return f"{worst.words}, since {_hour(worst.since)}"
            if self._pause is not None and now - self._pause[1] <= _PAUSED:
                return f"the server says: {self._pause[0]}"
            if self._answered is not None and now - self._answered > _SILENCE:
                return f"the server does not answer, since {_hour(self._answered)}"
        return None

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of one answer. Read as text, because a job's process redacts records and puts text in place of values."""
        said = record.getMessage()
        if record.name == _HTTP:
            if (found := _ANSWER.match(said)) is not None:
                self._note(found["path"], int(found["status"]))
        elif record.levelno >= logging.WARNING and "is paused. Reason: " in said:
            with self._guard:
                self._pause = (said.partition("is paused. Reason: ")[2].rstrip("."), self._clock())

    def _note(self, path: str, status: int) -> None:
        now = self._clock()
        words = _words(status)
        with self._guard:
            self._answered = now
            known = self._troubles.pop(path, None)
            if words is not None:
                self._troubles[path] = _Trouble(words, known.since if known else now, now)

    def _open_ears(self) -> None:
        """Hear every answer; a loop that sets up its own logging may have silenced the library. Nothing of it is printed."""
        http = logging.getLogger(_HTTP)
        http.setLevel(logging.INFO)
        http.propagate = False


def _from_info_on(level: int) -> bool:
    return level >= logging.INFO


def _words(status: int) -> str | None:
    """What a status means for somebody who waits; a poll that found nothing yet (408) is no trouble."""
    if status == 429:
        return "the server asks for patience (429)"
    if status == 402:
        return "the server wants the account to be paid (402)"
    if status >= 500:
        return f"the server has trouble ({status})"
    return None


def _hour(moment: float) -> str:
    return time.strftime("%H:%M", time.localtime(moment))
