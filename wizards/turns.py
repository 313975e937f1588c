"""The acts of one open page, one after the other.

Guarantees: of two acts that a browser sends in one breath (a field is left because a button is pressed), the second begins when
the first is done and knows what it left, also when the network brings the second one first; a heartbeat can tell that an act
has overtaken it. Pages never wait for each other.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import gradio as gr

T = TypeVar("T")

#: Open pages that are remembered; one that is forgotten begins anew with what its browser sends along.
_PAGES: Final = 10_000
#: Seconds that an act waits for an edit that was sent before it. One that was lost on the way never comes.
_PATIENCE: Final = 3.0
#: More edits than this are not on the way at once: a studio that was started again has not heard the earlier ones.
_MOST_AHEAD: Final = 4


@dataclass(slots=True)
class Turn(Generic[T]):
    """One page's own: how many acts are done, how many edits were heard, and what the last act left (``None`` before it)."""

    done: int = 0
    heard: int = 0
    left: T | None = None
    free: threading.Condition = field(default_factory=threading.Condition)

    def has_heard(self, edits: int) -> bool:
        """Whether an act that the page sent after so many edits need not wait for one of them."""
        return edits <= self.heard or edits > self.heard + _MOST_AHEAD


class Turns(Generic[T]):
    """What is remembered of every open page, by the name that Gradio gives to it and by its owner."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, str], Turn[T]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, request: gr.Request | None, owner: str) -> Turn[T]:
        """The page that asks; one of its own for a request that does not say which page it is from."""
        name = str(request.session_hash or "") if request is not None else ""
        if not name:
            return Turn()
        with self._lock:
            turn = self._pages.pop((owner, name), None) or Turn()
            self._pages[owner, name] = turn
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return turn

    @contextmanager
    def take(self, request: gr.Request | None, owner: str, after: int = 0, *, edits: int = 0) -> Generator[Turn[T]]:
        """Wait until the page's earlier acts are done; put what this one leaves into ``left``.

        ``after`` is how many edits the page had sent before, ``edits`` whether this act is one more. Presses are not counted:
        a browser drops the second half of a double click.
        """
        turn = self.of(request, owner)
        with turn.free:
            turn.free.wait_for(lambda: turn.has_heard(after), _PATIENCE)
            turn.heard = max(turn.heard, after + edits)
            yield turn
            turn.done += 1
            turn.free.notify_all()
