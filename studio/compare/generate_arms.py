"""The two models at work, through the Tinker SDK: tokens out, tokens back, text stored.

Guarantees: both arms get token for token the same prompt and the same sampling parameters; only what a server really answered
becomes a row; answers that arrived before an error are kept, the rest is missing and never made up.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import tinker

from studio.compare.generate import CompareSettings, Plan, Question
from studio.data import Message
from studio.errors import RunError
from studio.models import Model
from studio.models.rendering import template, uses_tools
from studio.runs.environment import settle_down
from studio.runs.link import alone, beside
from studio.settings import Settings
from studio.store import AnswerRow, Arm

#: Answers written together. Small enough that a killed job loses little, large enough that the disk is no bottleneck.
_BATCH: Final = 16
#: Room without which an answer is not worth asking for.
_LEAST_TOKENS: Final = 8

ARMS: Final[tuple[Arm, ...]] = ("base", "tuned")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One question as tokens. ``scored`` is prompt and reference together with the positions of the reference in it.

    ``reference_at`` is empty when prompt and reference do not fit into the model's context.
    """

    question: Question
    prompt: tinker.ModelInput
    params: tinker.SamplingParams
    scored: tinker.ModelInput
    reference_at: tuple[int, ...]


class Questioner:
    """Turns held-out questions into tokens as the run's training did, and answers into text."""

    def __init__(self, model: Model, renderer: str) -> None:
        self._template = template(model, renderer)
        self._context = model.context

    def prompt(self, messages: Sequence[Message]) -> tinker.ModelInput:
        """The tokens up to the point where the answer begins. Raises ``CannotRender``."""
        return self._template.prompt(messages)

    def params(self, prompt: tinker.ModelInput, wanted: CompareSettings | Plan, seed: int) -> tinker.SamplingParams | None:
        """Sampling parameters whose limit fits the context; ``None`` when the prompt leaves no room for an answer."""
        room = self._context - prompt.length
        if room < _LEAST_TOKENS:
            return None
        limit = min(wanted.max_tokens or room, room)
        return tinker.SamplingParams(
            max_tokens=limit,
            temperature=wanted.temperature,
            top_p=wanted.top_p,
            top_k=wanted.top_k,
            seed=seed,
            stop=self._template.stop,
        )

    def prepare(self, question: Question, plan: Plan) -> Prepared | None:
        """The question as tokens; ``None`` when it leaves no room for an answer. Raises ``CannotRender``."""
        prompt = self.prompt(question.messages)
        # Each prompt has a seed of its own, the same one for both models.
        params = self.params(prompt, plan, plan.seed + question.position)
        if params is None:
            return None
        if not (question.reference or question.more):
            # Nothing is known to be right, so there is nothing to score.
            return Prepared(question, prompt, params, prompt, ())
        answer = Message("assistant", question.reference, question.more)
        scored, counted = self._template.example((*question.messages, answer), "last_assistant_message")
        at = tuple(place for place, counts in enumerate(counted) if counts)
        if at and uses_tools([answer]):
            # Shown and measured as a model writes it: the call is part of the answer's text.
            ids = scored.to_ints()
            question = replace(question, reference=self.text([ids[place] for place in at]))
        # Scoring a prompt also samples one token.
        return Prepared(question, prompt, params, scored, at if scored.length < self._context else ())

    def text(self, tokens: Sequence[int]) -> str:
        """The answer as text, up to where it ends and without special tokens."""
        return self._template.text(tokens)


@dataclass(frozen=True, slots=True)
class Answering:
    """One job's share of work: what is asked, whose answers are there already, and where finished rows go.

    ``store`` gets rows in small batches as they arrive; an error inside it ends the work.
    """

    comparison_id: str
    owner: str
    questions: tuple[Prepared, ...]
    known: frozenset[tuple[str, Arm]]
    store: Callable[[Sequence[AnswerRow]], None]


async def answer_all(work: Answering, plan: Plan, questioner: Questioner) -> None:
    """Ask both models everything that is not answered yet, and store the rows as they come.

    Address and key are those of this process's environment. All requests are under way together, so that the server can batch
    them. Raises what the SDK raises, after the answers that had arrived were stored.
    """
    service = tinker.ServiceClient()
    base = service.create_sampling_client(base_model=plan.wire_name)
    tuned = service.create_sampling_client(model_path=plan.sampler_path)
    arms: dict[Arm, tinker.SamplingClient] = {"base": await base, "tuned": await tuned}
    await _answer_all(work, arms, questioner)
    # Only after success: closing asks the server once more, and a dead one would be waited for.
    await service.close("success")


async def _answer_all(work: Answering, arms: Mapping[Arm, tinker.SamplingClient], questioner: Questioner) -> None:
    tasks = [
        asyncio.ensure_future(_answer(arms[arm], arm, prepared, questioner, work))
        for prepared in work.questions
        for arm in ARMS
        if (prepared.question.prompt_id, arm) not in work.known
    ]
    waiting: list[AnswerRow] = []
    try:
        for finished in asyncio.as_completed(tasks):
            waiting.append(await finished)
            if len(waiting) >= _BATCH:
                work.store(waiting)
                waiting = []
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if waiting:
            work.store(waiting)


async def _answer(
    sampler: tinker.SamplingClient, arm: Arm, prepared: Prepared, questioner: Questioner, work: Answering
) -> AnswerRow:
    sampled, loss = await asyncio.gather(
        sampler.sample(prompt=prepared.prompt, num_samples=1, sampling_params=prepared.params).coroutine(),
        reference_loss(sampler, prepared),
    )
    sequence = sampled.sequences[0]
    question = prepared.question
    return AnswerRow(
        comparison_id=work.comparison_id,
        prompt_id=question.prompt_id,
        arm=arm,
        owner=work.owner,
        position=question.position,
        prompt_json=json.dumps([asdict(turn) for turn in question.messages], ensure_ascii=False),
        reference=question.reference,
        text=questioner.text(sequence.tokens),
        tokens=len(sequence.tokens),
        stop_reason=str(sequence.stop_reason),
        nll=loss,
        nll_tokens=len(prepared.reference_at) if loss is not None else 0,
    )


async def reference_loss(sampler: tinker.SamplingClient, prepared: Prepared) -> float | None:
    """Mean negative log-likelihood of the reference in nats per token, over the tokens that training counts.

    ``None`` when it does not fit the context or a diverged model gives no finite number.
    """
    if not prepared.reference_at:
        return None
    found = await sampler.compute_logprobs(prepared.scored)
    logprobs = [found[i] for i in prepared.reference_at]
    known = [logprob for logprob in logprobs if logprob is not None and math.isfinite(logprob)]
    return -math.fsum(known) / len(known) if len(known) == len(logprobs) else None


def answer_alone(
    settings: Settings, model: Model, renderer: str, sampler_path: str, prompt: str, wanted: CompareSettings
) -> str:
    """One answer outside any job; ``sampler_path`` is empty for the base model itself. Raises ``BackendError``."""
    settle_down(settings, offline=model.local)
    questioner = Questioner(model, renderer)
    tokens = questioner.prompt([Message("user", prompt)])
    params = questioner.params(tokens, wanted, wanted.seed)
    if params is None:
        raise RunError("The prompt is too long for this model.", where="prompt", next_step="Shorten it.")

    async def ask(address: str | None, key: str) -> Sequence[int]:
        service = tinker.ServiceClient(base_url=address, api_key=key)
        sampler = await (
            service.create_sampling_client(model_path=sampler_path)
            if sampler_path
            else service.create_sampling_client(base_model=model.wire_name)
        )
        answer = await sampler.sample(prompt=tokens, num_samples=1, sampling_params=params).coroutine()
        await service.close("success")
        return answer.sequences[0].tokens

    with alone(settings, (model.name,)) as (link, key):
        return questioner.text(beside(link, ask(link.base_url, key)))
