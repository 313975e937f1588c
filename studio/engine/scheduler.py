"""One compute thread for everything that touches a model.

Guarantees: training operations run one at a time in the order in which they were submitted; between any two of them the
sampling batches move on, so training never holds back sampling for longer than one operation; sampling requests that arrive
together are answered together, whatever adapters of a base they ask for; an error in one piece of work never stops the thread,
and weights that cannot be had fail only the requests for them.

A model that cannot compute several adapters in one pass (``Base.mixes``) gets a batch for each instead, and they take turns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
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
    """Where a sampling request's weights come from; hashable, resolved on the compute thread while a batch needs them."""

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
    """The running batch of one base, or of one set of weights where a base cannot mix them."""

    base: Base
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
        self._lanes: dict[Base | Weights, _Lane] = {}
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
        """Weights that a batch runs with or that are asked for; call it on the compute thread."""
        return frozenset(pending.weights for lane in self._lanes.values() for pending in (*lane.flying, *lane.waiting))

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
            base = pending.weights.base
            key = base if base.mixes else pending.weights
            lane = self._lanes.setdefault(key, _Lane(base, Generation(base)))
            lane.waiting.append(pending)

    def _move(self, lane: _Lane) -> None:
        """Admit what fits and decode a few steps."""
        try:
            self._find_weights(lane.flying)
            for _ in range(STEPS):
                while lane.waiting and (batch := self._next_batch(lane)):
                    lane.flying.extend(batch)
                    if found := self._find_weights(batch):
                        lane.generation.admit([pending.ticket for pending in found])
                if not lane.generation.rows:
                    break
                lane.generation.advance()
                if self._arrivals:
                    break
        except Exception as error:  # noqa: BLE001  whatever went wrong belongs to these requests; the thread has to live on
            self._give_up(lane, error)
        for pending in lane.flying:
            if pending.ticket.failed is not None:
                pending.fail(pending.ticket.failed)
        lane.flying = [pending for pending in lane.flying if pending.ticket.failed is None and not pending.ticket.done]
        if not lane.waiting and not lane.generation.rows:
            self._lanes = {key: other for key, other in self._lanes.items() if other is not lane}

    def _find_weights(self, flying: Sequence[Pending]) -> list[Pending]:
        """Give each request the adapter that it asks for. Returns those that have theirs; the others fail.

        Asked before every few steps, because a session that ends takes weights along that a batch may be running with.
        """
        found: dict[Weights, Adapter | Exception | None] = {}
        for pending in flying:
            if pending.weights not in found:
                try:
                    found[pending.weights] = pending.weights.adapter()
                except Exception as error:  # noqa: BLE001  it belongs to the requests for these weights
                    found[pending.weights] = error
            adapter = found[pending.weights]
            if isinstance(adapter, Exception):
                pending.ticket.adapter = None
                pending.ticket.stop(adapter)
            else:
                pending.ticket.adapter = adapter
        return [pending for pending in flying if pending.ticket.failed is None]

    def _next_batch(self, lane: _Lane) -> list[Pending]:
        """Waiting requests that are prefilled together: of similar length, within the row and token limits."""
        if lane.generation.rows and not lane.generation.joinable:
            return []
        rows: Counter[Weights] = Counter()
        for pending in lane.flying:
            rows[pending.weights] += sum(not row.done for row in pending.ticket.rows)
        batch: list[Pending] = []
        full: set[Weights] = set()
        left: deque[Pending] = deque()
        for pending in sorted(lane.waiting, key=lambda pending: pending.ticket.request.prompt.size):
            request, weights = pending.ticket.request, pending.weights
            if pending.ticket.cancelled:
                continue
            # One request alone may be larger than either limit.
            if rows[weights] and rows[weights] + request.samples > MAX_ROWS:
                full.add(weights)
            if weights in full or (batch and request.prompt.size * (len(batch) + 1) > PREFILL_TOKENS):
                left.append(pending)
                continue
            batch.append(pending)
            rows[weights] += request.samples
        lane.waiting = left
        return batch

    def _give_up(self, lane: _Lane, error: Exception) -> None:
        lane.generation.abandon()
        for pending in (*lane.flying, *lane.waiting):
            if pending.ticket.failed is not None or not pending.ticket.done:
                pending.fail(pending.ticket.failed or error)
        lane.waiting.clear()
        lane.flying.clear()

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            logger.exception("A piece of work failed without reporting it")
