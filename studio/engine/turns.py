"""The order of one training run's requests.

Guarantees: requests are done by ascending number, each number once, whatever order they arrive in; a number that was refused or
that never arrives does not hold up the rest for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

Task = Callable[[], None]

#: How long a request may wait for one with a lower number that has not arrived. Seconds.
GAP: Final = 300.0


class Turns:
    """Holds back what came too early and passes on what is due to ``submit``."""

    def __init__(self, submit: Callable[[Task], None]) -> None:
        self._submit = submit
        self._waiting: dict[int, Task] = {}
        self._since = 0.0
        #: The number that is due. The SDK counts from one; creating the run was number zero.
        self.due = 1

    def take(self, number: int, task: Task) -> None:
        """Do ``task`` when every lower number has been passed on."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting[number] = task
        self._release()

    def skip(self, number: int) -> None:
        """Count a number as done that was refused before it became a task."""
        if number >= self.due and number not in self._waiting:
            self.take(number, lambda: None)

    def unblock(self) -> int | None:
        """Give up on a number that has been missing for ``GAP`` seconds. Returns it, or ``None`` when nothing waits in vain."""
        if not self._waiting or time.monotonic() - self._since <= GAP:
            return None
        missing, self.due = self.due, min(self._waiting)
        self._release()
        return missing

    def _release(self) -> None:
        while (task := self._waiting.pop(self.due, None)) is not None:
            self.due += 1
            self._since = time.monotonic()
            self._submit(task)
