"""The models in conversation, through the Tinker SDK: one question in, one answer out, over a connection that stays open.

Guarantees: a question becomes tokens in the template that the run was trained in; base and tuned are asked with the same
parameters; what a server refuses comes out as an error of ours, in words; nothing is stored here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import tinker

from studio.compare.generate_arms import Questioner
from studio.compare.plan import CompareSettings
from studio.data import Message
from studio.errors import RunError
from studio.models import Model
from studio.runs.environment import settle_down
from studio.runs.link import alone, beside, explain

__all__ = ["Asked", "Spoken", "Talker", "alone", "beside", "settle_down"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to one model: the turns so far, in ``renderer``, to the weights at ``path`` (empty: the base model)."""

    messages: tuple[Message, ...]
    renderer: str
    path: str
    wanted: CompareSettings


@dataclass(frozen=True, slots=True)
class Spoken:
    """An answer as text without the marks of its end, its length in tokens, and why it ended (``stop`` or ``length``)."""

    text: str
    tokens: int
    stop_reason: str


@dataclass(slots=True)
class Talker:
    """A base model and all that was tuned from it, at the server at ``address``."""

    model: Model
    address: str | None
    key: str = field(repr=False)
    _service: tinker.ServiceClient | None = None
    _clients: dict[str, asyncio.Task[tinker.SamplingClient]] = field(
        default_factory=dict[str, "asyncio.Task[tinker.SamplingClient]"]
    )
    _questioners: dict[str, Questioner] = field(default_factory=dict[str, Questioner])

    async def answer(self, asked: Asked) -> Spoken:
        """Ask. Raises ``BackendError`` for what the server says, ``RunError`` or ``CannotRender`` for what cannot be asked."""
        questioner = self._questioners.setdefault(asked.renderer, Questioner(self.model, asked.renderer))
        prompt = questioner.prompt(asked.messages)
        params = questioner.params(prompt, asked.wanted, asked.wanted.seed)
        if params is None:
            raise RunError(
                f"This conversation is too long for {self.model.label}: it has {prompt.length:,} tokens, "
                f"and {self.model.context:,} is the most.",
                next_step="Begin a new conversation, or shorten the question.",
            )
        try:
            client = await self._client(asked.path)
            given = await client.sample(prompt=prompt, num_samples=1, sampling_params=params).coroutine()
        except tinker.TinkerError as error:
            # A client that could not be made is asked for again the next time.
            self._clients.pop(asked.path, None)
            raise explain(error, "ask again") from error
        sequence = given.sequences[0]
        return Spoken(questioner.text(sequence.tokens), len(sequence.tokens), str(sequence.stop_reason))

    async def _client(self, path: str) -> tinker.SamplingClient:
        """Made once for each path, also when two questions ask for it at once."""
        if path not in self._clients:
            self._clients[path] = asyncio.ensure_future(self._made(path))
        return await self._clients[path]

    async def _made(self, path: str) -> tinker.SamplingClient:
        if self._service is None:
            self._service = tinker.ServiceClient(base_url=self.address, api_key=self.key)
        if path:
            return await self._service.create_sampling_client(model_path=path)
        return await self._service.create_sampling_client(base_model=self.model.wire_name)

    async def close(self) -> None:
        """Say goodbye to the server."""
        if self._service is not None:
            await self._service.close("success")
