"""Asks a prompted teacher for the answers that a student is to give without the prompt.

Guarantees: the student never sees the prompt; an answer is on disk as soon as it is there, so that a stopped run asks nobody
twice; an answer that did not end is no example, and an example that stands twice takes its place, so that the number of steps
stays what was promised. As the cookbook's ``recipes.prompt_distillation.create_data`` does, for any prompt and any data.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import tinker
from tinker_cookbook import renderers

from studio.data.types import Message
from studio.errors import RunError
from studio.models import Model
from studio.models.rendering import Template, template
from studio.runs.desk import StopAsked

if TYPE_CHECKING:
    from studio.runs.desk import Desk
    from studio.runs.envs import Question
    from studio.runs.meter import Meter
    from studio.runs.work import Work

#: What the teacher has answered, one line each, in the order in which the answers came.
ANSWERS: Final = "teacher.jsonl"
#: More unfinished answers than this, and what is left says little about the prompt.
_MOST_UNFINISHED: Final = 0.5
_AT_ONCE: Final = 64
_TOLD_EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class Taught:
    """A question as the student sees it, and the teacher's answer. ``cut``: it did not end."""

    turns: tuple[Message, ...]
    answer: str
    cut: bool

    @property
    def conversation(self) -> tuple[Message, ...]:
        """What the student learns from."""
        return (*self.turns, Message("assistant", self.answer))


class Teacher:
    """A model with a prompt in front. ``client`` answers for it."""

    def __init__(self, model: Model, client: tinker.SamplingClient, prompt: str, meter: Meter) -> None:
        self._written: Template = template(model)
        self._client = client
        self._prompt = prompt
        self._meter = meter

    @property
    def meter(self) -> Meter:
        """What counts its tokens."""
        return self._meter

    async def answer(self, turns: Sequence[Message], *, max_tokens: int, temperature: float, seed: int) -> Taught:
        """One answer to a question that comes without the prompt. Raises what the SDK raises."""
        asked = self._written.prompt(prompted(self._prompt, turns))
        limits = tinker.SamplingParams(max_tokens=max_tokens, temperature=temperature, seed=seed, stop=self._written.stop)
        found = (await self._client.sample(prompt=asked, num_samples=1, sampling_params=limits)).sequences[0]
        self._meter.count_teacher("prefill", asked.length)
        self._meter.count_teacher("sample", len(found.tokens))
        message, ended = self._written.renderer.parse_response(found.tokens)
        return Taught(tuple(turns), renderers.get_text_content(message).strip(), not ended.is_clean)


def prompted(prompt: str, turns: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation with the prompt in front; a system message that is there already follows it."""
    if turns and turns[0].role == "system":
        return (Message("system", f"{prompt}\n\n{turns[0].content}", turns[0].more), *turns[1:])
    return (Message("system", prompt), *turns)


def model_of(work: Work) -> Model:
    """The model that teaches; the tuned one itself where the recipe names no other."""
    return work.teacher or work.model


async def client_of(work: Work) -> tinker.SamplingClient:
    """A client that answers as the teacher does, without any prompt: a model, or a run of this studio."""
    service = tinker.ServiceClient()
    if work.teacher_path:
        return await service.create_sampling_client(model_path=work.teacher_path)
    return await service.create_sampling_client(base_model=model_of(work).wire_name)


async def ask_all(
    desk: Desk, work: Work, one: Teacher, part: str, asked: Sequence[Question], temperature: float
) -> list[Taught]:
    """The teacher's answers to all questions of a part, in their order; those of an earlier process are not asked for again.

    Raises ``RunError`` when most answers do not end within the recipe's limit, and ``StopAsked`` when the budget is used up:
    then nothing more is asked, and the answers under way are waited for, because they are paid for.
    """
    path = work.folder / ANSWERS
    known = _known(path, part)
    missing = [place for place in range(len(asked)) if place not in known]
    gate, recipe, meter = asyncio.Semaphore(_AT_ONCE), work.recipe, one.meter
    ending: list[StopAsked] = []
    if path.is_file() and not path.read_bytes().endswith(b"\n"):
        path.write_bytes(path.read_bytes() + b"\n")  # a killed process left half a line

    async def ask(place: int) -> None:
        async with gate:
            if not ending and (stop := meter.why_stop("Its teacher's answers so far are kept.")) is not None:
                ending.append(stop)
            if ending:
                return
            found = await one.answer(
                asked[place].turns, max_tokens=recipe.max_tokens, temperature=temperature, seed=recipe.seed + place
            )
        known[place] = found
        with path.open("a", encoding="utf-8") as file:
            record = {"part": part, "place": place, "answer": found.answer, "cut": found.cut}
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
        if len(known) % _TOLD_EVERY == 0 or len(known) == len(asked):
            desk.phase(f"asking the teacher ({len(known):,} of {len(asked):,})")

    try:
        await asyncio.gather(*(ask(place) for place in missing))
    finally:
        meter.write()
    if ending:
        raise ending[0]
    answers = [Taught(asked[place].turns, known[place].answer, known[place].cut) for place in range(len(asked))]
    _require_ended(answers, recipe.max_tokens)
    return answers


def complete(answers: Sequence[Taught]) -> list[Taught]:
    """As many examples as there were questions: those that ended, from the beginning again until there are enough."""
    ended = [one for one in answers if not one.cut and one.answer]
    return [ended[place % len(ended)] for place in range(len(answers))] if ended else []


def write_conversations(path: Path, taught: Sequence[Taught]) -> None:
    """The file that the cookbook's ``FromConversationFileBuilder`` reads. Raises ``OSError``."""
    lines = (
        json.dumps({"messages": [_as_record(turn) for turn in one.conversation]}, ensure_ascii=False) + "\n" for one in taught
    )
    draft = path.with_suffix(".draft")
    draft.write_text("".join(lines), "utf-8")
    draft.replace(path)


def _as_record(turn: Message) -> Mapping[str, str]:
    return {"role": turn.role, "content": turn.content}


def _known(path: Path, part: str) -> dict[int, Taught]:
    try:
        # Not ``splitlines``: an answer may hold U+2028 or U+0085, which JSON leaves as they are.
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return {}
    found: dict[int, Taught] = {}
    for line in lines:
        try:
            parsed = json.loads(line)
        except ValueError:
            continue  # half a line of a process that was killed: it is asked again
        record = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
        if record.get("part") == part:
            found[int(record["place"])] = Taught((), str(record["answer"]), bool(record["cut"]))
    return found


def _require_ended(answers: Sequence[Taught], limit: int) -> None:
    unfinished = sum(one.cut or not one.answer for one in answers)
    if answers and unfinished > _MOST_UNFINISHED * len(answers):
        raise RunError(
            f"{unfinished:,} of the teacher's {len(answers):,} answers did not end within {limit:,} tokens, or were empty.",
            where="max_tokens",
            next_step="Allow longer answers, or ask for shorter ones in the teacher's prompt.",
        )
