"""The models at work, through the Tinker SDK: tokens out, tokens back, text stored.

Guarantees: all arms of one base model get token for token the same prompt, and all arms the same sampling parameters and the
same limit; a prompt that is too long for one of them is asked of none; only what a server really answered becomes a row;
answers that arrived before an error are kept, the rest is missing and never made up.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Final

import tinker

from studio import models
from studio.compare.plan import ArmPlan, CompareSettings, Plan
from studio.compare.prompts import Question
from studio.data import Message
from studio.errors import RunError
from studio.models import Model
from studio.models.rendering import template, uses_tools
from studio.runs.environment import settle_down
from studio.runs.link import alone, beside
from studio.settings import Settings
from studio.store import AnswerRow

#: Answers written together. Small enough that a killed job loses little, large enough that the disk is no bottleneck.
_BATCH: Final = 16
#: Room without which an answer is not worth asking for.
_LEAST_TOKENS: Final = 8
#: Prompts on which the time for an answer is measured.
_TIMED: Final = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """One question as tokens. ``scored`` is prompt and reference together with the positions of the reference in it.

    ``reference_at`` is empty when prompt and reference do not fit into the model's context. ``worse`` and ``worse_at`` are the
    same for the worse answer of a pair.
    """

    question: Question
    prompt: tinker.ModelInput
    params: tinker.SamplingParams
    scored: tinker.ModelInput
    reference_at: tuple[int, ...]
    worse: tinker.ModelInput | None = None
    worse_at: tuple[int, ...] = ()


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
        scored, at = self._scored(question, answer)
        if at and uses_tools([answer]):
            # Shown and measured as a model writes it: the call is part of the answer's text.
            ids = scored.to_ints()
            question = replace(question, reference=self.text([ids[place] for place in at]))
        worse, worse_at = self._scored(question, Message("assistant", question.worse)) if question.worse else (None, ())
        # Scoring a prompt also samples one token.
        fits = scored.length < self._context
        fits_too = worse is not None and worse.length < self._context
        return Prepared(question, prompt, params, scored, at if fits else (), worse, worse_at if fits_too else ())

    def _scored(self, question: Question, answer: Message) -> tuple[tinker.ModelInput, tuple[int, ...]]:
        scored, counted = self._template.example((*question.messages, answer), "last_assistant_message")
        return scored, tuple(place for place, counts in enumerate(counted) if counts)

    def text(self, tokens: Sequence[int]) -> str:
        """The answer as text, up to where it ends and without special tokens."""
        return self._template.text(tokens)


class Questioners:
    """A questioner for each arm that is asked; arms of one base model and one template share it."""

    def __init__(self, plan: Plan) -> None:
        ways = {arm.name: (arm.model, arm.renderer) for arm in plan.arms if arm.asked}
        made = {way: Questioner(models.get(way[0]), way[1]) for way in dict.fromkeys(ways.values())}
        self._plan = plan
        self._ways = ways
        self._made = made

    def of(self, arm: str) -> Questioner:
        """The questioner of an arm."""
        return self._made[self._ways[arm]]

    def prepare(self, question: Question) -> dict[str, Prepared] | None:
        """Arm → the question as its tokens, with one limit for all; ``None`` when it leaves one of them no room."""
        each = {way: one.prepare(question, self._plan) for way, one in self._made.items()}
        whole = {way: one for way, one in each.items() if one is not None}
        if len(whole) < len(each):
            return None
        limit = min((one.params.max_tokens or 0 for one in whole.values()), default=0)
        alike = {way: replace(one, params=one.params.model_copy(update={"max_tokens": limit})) for way, one in whole.items()}
        return {arm: alike[way] for arm, way in self._ways.items()}


@dataclass(frozen=True, slots=True)
class Answering:
    """One job's share of work: what is asked, whose answers are there already, and where finished rows go.

    ``questions`` maps an arm to a question as its tokens. ``store`` gets rows in small batches as they arrive; an error inside
    it ends the work. ``tell`` hears what is done now.
    """

    comparison_id: str
    owner: str
    questions: tuple[Mapping[str, Prepared], ...]
    known: frozenset[tuple[str, str]]
    store: Callable[[Sequence[AnswerRow]], None]
    tell: Callable[[str], None] = lambda _: None


@dataclass(slots=True)
class Clock:
    """How long answers took: arm → prompt id → seconds."""

    seconds: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])


async def answer_all(work: Answering, arms: Sequence[ArmPlan], questioners: Questioners, clock: Clock) -> None:
    """Ask every arm everything that it has not answered yet, store the rows as they come, and time a few answers.

    Address and key are those of this process's environment. All requests are under way together, so that the server can batch
    them; those for ``clock`` follow one by one, because a request that waits for others says nothing about a model. Raises what
    the SDK raises, after the answers that had arrived were stored.
    """
    service = tinker.ServiceClient()
    samplers = {arm.name: await _sampler(service, arm) for arm in arms if arm.asked}
    await _answer_all(work, samplers, questioners)
    work.tell("timing a few answers")
    await _time(work, samplers, clock)
    # Only after success: closing asks the server once more, and a dead one would be waited for.
    await service.close("success")


async def _sampler(service: tinker.ServiceClient, arm: ArmPlan) -> tinker.SamplingClient:
    if arm.path:
        return await service.create_sampling_client(model_path=arm.path)
    return await service.create_sampling_client(base_model=arm.wire_name)


async def _answer_all(work: Answering, samplers: Mapping[str, tinker.SamplingClient], questioners: Questioners) -> None:
    tasks = [
        asyncio.ensure_future(_answer(samplers[arm], arm, prepared, questioners.of(arm), work))
        for question in work.questions
        for arm, prepared in question.items()
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


async def _time(work: Answering, samplers: Mapping[str, tinker.SamplingClient], clock: Clock) -> None:
    """Ask a few questions again, one request at a time, the arms in turn and each of them first equally often."""
    names = list(samplers)
    for place, question in enumerate(work.questions[:_TIMED]):
        turn = place % len(names)
        for arm in (*names[turn:], *names[:turn]):
            prepared = question[arm]
            begun = time.perf_counter()
            await samplers[arm].sample(prompt=prepared.prompt, num_samples=1, sampling_params=prepared.params).coroutine()
            clock.seconds.setdefault(arm, {})[prepared.question.prompt_id] = time.perf_counter() - begun


async def _answer(
    sampler: tinker.SamplingClient, arm: str, prepared: Prepared, questioner: Questioner, work: Answering
) -> AnswerRow:
    sampled, loss, worse = await asyncio.gather(
        sampler.sample(prompt=prepared.prompt, num_samples=1, sampling_params=prepared.params).coroutine(),
        _loss(sampler, prepared.scored, prepared.reference_at),
        _loss(sampler, prepared.worse, prepared.worse_at),
    )
    sequence = sampled.sequences[0]
    question = prepared.question
    details = {} if worse is None else {"worse_nll": worse, "worse_tokens": len(prepared.worse_at)}
    return replace(
        answer_row(work, arm, question, questioner.text(sequence.tokens)),
        tokens=len(sequence.tokens),
        stop_reason=str(sequence.stop_reason),
        nll=loss,
        nll_tokens=len(prepared.reference_at) if loss is not None else 0,
        details_json=json.dumps(details, sort_keys=True),
    )


def answer_row(work: Answering, arm: str, question: Question, text: str) -> AnswerRow:
    """An answer of which nothing but its text is known."""
    prompt = json.dumps([asdict(turn) for turn in question.messages], ensure_ascii=False)
    told = (question.prompt_id, arm, work.owner, question.position, prompt, question.reference, text)
    return AnswerRow(work.comparison_id, *told, 0, "", None, 0)


async def _loss(sampler: tinker.SamplingClient, scored: tinker.ModelInput | None, at: Sequence[int]) -> float | None:
    """Mean negative log-likelihood in nats per token of the tokens at these places of ``scored``.

    ``None`` when there are none, or a diverged model gives no finite number.
    """
    if scored is None or not at:
        return None
    found = await sampler.compute_logprobs(scored)
    logprobs = [found[i] for i in at]
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
