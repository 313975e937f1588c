"""A model of the catalogue as a judge, through the Tinker SDK: questions out, replies back.

Guarantees: each reply is the most likely one, in the chat format that the model was made for; what arrived before an error is
passed on; a question that leaves no room for a reply is said to be too long, and none is made up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import tinker

from studio.compare.generate_arms import Questioner
from studio.compare.machine import JudgeSettings, Question
from studio.compare.machine_client import NoReplyError, Reply
from studio.compare.plan import CompareSettings
from studio.data import Message
from studio.models import Model

#: Questions under way at once: enough for a server to batch, few enough that a stop loses little.
_AT_ONCE: Final = 32


async def reply_all(
    model: Model,
    wanted: JudgeSettings,
    questions: Sequence[Question],
    take: Callable[[Question, Reply | NoReplyError], None],
) -> None:
    """Ask everything and hand each reply to ``take`` as it arrives.

    Address and key are those of this process's environment. Raises what the SDK and ``take`` raise.
    """
    service = tinker.ServiceClient()
    sampler = await service.create_sampling_client(base_model=model.wire_name)
    questioner, gate = Questioner(model, ""), asyncio.Semaphore(_AT_ONCE)
    terms = CompareSettings(max_tokens=wanted.max_tokens)

    async def one(question: Question) -> None:
        async with gate:
            take(question, await _reply(sampler, questioner, terms, question))

    tasks = [asyncio.ensure_future(one(question)) for question in questions]
    try:
        for finished in asyncio.as_completed(tasks):
            await finished
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await service.close("success")


async def _reply(
    sampler: tinker.SamplingClient, questioner: Questioner, terms: CompareSettings, question: Question
) -> Reply | NoReplyError:
    prompt = questioner.prompt([Message(one.role, one.content) for one in question.messages])
    params = questioner.params(prompt, terms, terms.seed)
    if params is None:
        return NoReplyError("The prompt and both answers are longer than this model can read.")
    sampled = await sampler.sample(prompt=prompt, num_samples=1, sampling_params=params).coroutine()
    sequence = sampled.sequences[0]
    ending = "length" if sequence.stop_reason == "length" else "stop"
    return Reply(questioner.text(sequence.tokens), ending, prompt.length, len(sequence.tokens))
