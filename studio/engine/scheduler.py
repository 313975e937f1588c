"""One compute thread for everything that touches a model.

Guarantees: training operations run one at a time in the order in which they were submitted; between any two of them the
sampling batches move on, so training never holds back sampling for longer than one operation; sampling requests that arrive
together are answered together, grouped by the weights they ask for; an error in one piece of work never stops the thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from studio.engine.base import Adapter, Base
from studio.engine.sampler import Generation, Ticket

logger = logging.getLogger(__name__)

#: A lone request waits this long for company; as long as others keep coming, up to the second value. Seconds.
QUIET: Final = 0.003
PATIENCE: Final = 0.040
#: Sequences decoded together per adapter; more wait for a place.
MAX_ROWS: Final = 256
#: Prompt tokens per prefill, padding included.
PREFILL_TOKENS: Final = 16_384
#: Decode steps between two looks at the training queue.
STEPS: Final = 8


class Weights(Protocol):
    """Where a sampling request's weights come from; resolved on the compute thread, when the batch is formed."""

    @property
    def base(self) -> Base:
        """The base model."""
        ...

    def adapter(self) -> Adapter | None:
        """The adapter, loaded if need be; ``None`` samples the base. Raises ``RefusalError``."""
        ...


@dataclass(slots=True, eq=False)
class Pending:
    """A sampling request that waits for its batch. ``fail`` takes the error when it cannot be served."""

    weights: Weights
    ticket: Ticket
    fail: Callable[[Exception], None]


@dataclass(slots=True, eq=False)
class _Lane:
    """The running batch of one set of weights."""

    weights: Weights
    generation: Generation
    waiting: deque[Pending] = field(default_factory=deque[Pending])
    flying: list[Pending] = field(default_factory=list[Pending])


class Scheduler:
    """Owns the compute thread. ``submit`` and ``sample`` may be called from any thread and never block."""

    def __init__(self) -> None:
        self._wake = threading.Condition()
        self._work: deque[Callable[[], None]] = deque()
        self._arrivals: deque[Pending] = deque()
        self._last_arrival = 0.0
        self._lanes: dict[Weights, _Lane] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="compute", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def submit(self, work: Callable[[], None]) -> None:
        """Queue a training operation; ``work`` reports its own outcome."""
        with self._wake:
            self._work.append(work)
            self._wake.notify()

    def sample(self, pending: Pending) -> None:
        """Queue a sampling request."""
        with self._wake:
            self._arrivals.append(pending)
            self._last_arrival = time.monotonic()
            self._wake.notify()

    def close(self) -> None:
        """Finish the current operation, drop the rest, and end the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout=30)

    @property
    def in_use(self) -> frozenset[Weights]:
        """Weights that a batch is running with; call it on the compute thread."""
        return frozenset(self._lanes)

    def _run(self) -> None:
        while self._wait():
            self._sort_arrivals()
            for lane in list(self._lanes.values()):
                self._move(lane)
            if self._work:
                self._attempt(self._work.popleft())

    def _wait(self) -> bool:
        """Sleep until there is work. Returns false when the engine closes."""
        with self._wake:
            while not self._closing and not self._work and not self._arrivals and not self._lanes:
                self._wake.wait()
            if self._arrivals and not self._work and not self._lanes:
                self._gather(time.monotonic() + PATIENCE)
            return not self._closing

    def _gather(self, deadline: float) -> None:
        """Let requests that were sent together arrive together. Holds the condition."""
        while not self._closing and not self._work:
            now = time.monotonic()
            until = min(deadline, self._last_arrival + QUIET)
            if now >= until or len(self._arrivals) >= MAX_ROWS:
                return
            self._wake.wait(timeout=until - now)

    def _sort_arrivals(self) -> None:
        while self._arrivals:
            pending = self._arrivals.popleft()
            lane = self._lanes.get(pending.weights)
            if lane is None:
                lane = self._lanes[pending.weights] = _Lane(pending.weights, Generation(pending.weights.base))
            lane.waiting.append(pending)

    def _move(self, lane: _Lane) -> None:
        """Admit what fits and decode a few steps; the lane disappears when nothing is left in it."""
        try:
            lane.weights.base.use(lane.weights.adapter())
            for _ in range(STEPS):
                while lane.waiting and (batch := self._next_batch(lane)):
                    lane.generation.admit([pending.ticket for pending in batch])
                if not lane.generation.rows:
                    break
                lane.generation.advance()
                if self._arrivals:
                    break
        except Exception as error:  # noqa: BLE001  whatever went wrong belongs to these requests; the thread has to live on
            self._give_up(lane, error)
        lane.flying = [pending for pending in lane.flying if not all(row.done for row in pending.ticket.rows)]
        if not lane.waiting and not lane.generation.rows:
            del self._lanes[lane.weights]

    def _next_batch(self, lane: _Lane) -> list[Pending]:
        """Waiting requests that are prefilled together: of similar length, within the row and token limits."""
        room = MAX_ROWS - lane.generation.rows
        if lane.generation.rows and not lane.generation.joinable:
            return []
        waiting = sorted(lane.waiting, key=lambda pending: pending.ticket.request.prompt.size)
        batch: list[Pending] = []
        rows = 0
        for pending in waiting:
            request = pending.ticket.request
            if pending.ticket.cancelled:
                lane.waiting.remove(pending)
                continue
            padded = request.prompt.size * (len(batch) + 1)
            alone = not batch and not lane.generation.rows
            if not alone and (rows + request.samples > room or padded > PREFILL_TOKENS):
                break
            batch.append(pending)
            rows += request.samples
        taken = set(map(id, batch))
        lane.waiting = deque(pending for pending in lane.waiting if id(pending) not in taken)
        lane.flying.extend(batch)
        return batch

    def _give_up(self, lane: _Lane, error: Exception) -> None:
        lane.generation.abandon()
        for pending in (*lane.flying, *lane.waiting):
            if not pending.ticket.rows or not all(row.done for row in pending.ticket.rows):
                pending.fail(error)
        lane.waiting.clear()
        lane.flying.clear()

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            logger.exception("A piece of work failed without reporting it")
