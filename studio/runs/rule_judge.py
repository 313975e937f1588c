"""A model as a judge of rules, for rewards: how likely it finds "yes" against "no" when asked whether an answer follows a rule.

Guarantees: nothing is sampled, so the same question has the same number, and every model gives one; the model is asked through
its own chat format; a question that does not fit into the model's context has no number (it counts as missing).

The number is p(yes) / (p(yes) + p(no)), where p is the probability of that whole reply, as the format writes it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import tinker

from studio.data import Message
from studio.models import Model
from studio.models.rendering import template
from studio.rewards import Ask, question

_REPLIES: Final = ("yes", "no")
#: Questions under way at once. Each is two requests.
_AT_ONCE: Final = 64


class RuleJudge:
    """Asks ``usual`` unless an ask names another model.

    ``find`` gives a catalogue model by its name, ``client`` a sampling client for it; ``count`` is told which
    model read how many tokens for each reply. It may be used from several event loops, one after the other.
    """

    def __init__(
        self,
        usual: Model,
        find: Callable[[str], Model],
        client: Callable[[Model], Awaitable[tinker.SamplingClient]],
        *,
        count: Callable[[Model, int], None] | None = None,
    ) -> None:
        self._usual, self._find, self._client, self._count = usual, find, client, count
        self._clients: dict[str, tinker.SamplingClient] = {}
        self._gates: WeakKeyDictionary[asyncio.AbstractEventLoop, _Gates] = WeakKeyDictionary()

    async def __call__(self, asks: Sequence[Ask]) -> Sequence[float | None]:
        """One number from 0 to 1 for each ask. Raises what the SDK raises, and ``NotFoundError`` for an unknown model."""
        return await asyncio.gather(*(self._judge(ask) for ask in asks))

    async def _judge(self, ask: Ask) -> float | None:
        model = self._find(ask.judge) if ask.judge else self._usual
        client = await self._client_of(model)
        async with self._here.places:
            yes, no = await asyncio.gather(*(self._likelihood(client, model, ask, reply) for reply in _REPLIES))
        if yes is None or no is None:
            return None
        return 1 / (1 + math.exp(max(-700.0, min(700.0, no - yes))))

    async def _client_of(self, model: Model) -> tinker.SamplingClient:
        async with self._here.starting:
            if model.name not in self._clients:
                self._clients[model.name] = await self._client(model)
            return self._clients[model.name]

    async def _likelihood(self, client: tinker.SamplingClient, model: Model, ask: Ask, reply: str) -> float | None:
        """The log-probability (natural) of the whole reply; ``None`` when it cannot be had."""
        turns = [Message("user", question(ask)), Message("assistant", reply)]
        whole, counted = template(model).example(turns, "last_assistant_message")
        places = [place for place, counts in enumerate(counted) if counts]
        # Scoring a prompt also samples one token.
        if not places or whole.length >= model.context:
            return None
        found = await client.compute_logprobs(whole)
        if self._count is not None:
            self._count(model, whole.length)
        values = [found[place] for place in places]
        known = [value for value in values if value is not None and math.isfinite(value)]
        return math.fsum(known) if len(known) == len(values) else None

    @property
    def _here(self) -> _Gates:
        """Locks belong to one event loop."""
        return self._gates.setdefault(asyncio.get_running_loop(), _Gates(asyncio.Lock(), asyncio.Semaphore(_AT_ONCE)))


@dataclass(frozen=True, slots=True)
class _Gates:
    starting: asyncio.Lock
    places: asyncio.Semaphore
