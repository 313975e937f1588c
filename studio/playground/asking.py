"""Who can be asked about a run, and asking them.

Guarantees: only a finished run of this owner answers, and only where this studio works; a question is on disk before anybody
looks for the process that answers; that process is one for each base model, ends by itself when nobody asks any more, and ends
with the studio; a question that it leaves behind is said to be unanswered and is never lost.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

from studio import data, models, work
from studio.compare.choosing import Desk, steps_of, tuned_model
from studio.compare.giveaways import visible
from studio.compare.plan import CompareSettings
from studio.data import Message
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.recipe import Recipe
from studio.runs.environment import child_environment
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id, new_id
from studio.store.talks import TalkAnswerRow, TalkQuestionRow, Thumb
from studio.work import Limits, Ticket, Working

TASK: Final = "talk"
PROGRAM: Final = "studio.playground.job"
#: Characters of one question, or one better answer. More than this is a file.
LONGEST: Final = 50_000
#: Tokens of an answer unless something else is wanted, and the most that can be.
USUAL_TOKENS: Final = 256
MOST_TOKENS: Final = 4_096
#: Temperature unless something else is wanted: enough that asking again gives another answer.
USUAL_TEMPERATURE: Final = 0.7
#: Rows of the data that are looked at for a system prompt.
_LOOKED_AT: Final = 50
#: Longer than anybody talks: the process itself ends when nobody asks.
_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Side:
    """One model that can answer: ``base``, ``tuned``, or ``step-N`` for a checkpoint. ``path`` is empty for the base model."""

    name: str
    label: str
    path: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question and on which terms it is asked.

    ``sides`` are one or two names of ``sides_of``; ``talk`` is the conversation that it goes on with, empty for a new one. A
    conversation that goes on keeps its sides and its system prompt. Raises ``SettingError`` for a value that cannot work.
    """

    text: str
    sides: tuple[str, ...] = ("base", "tuned")
    system: str = ""
    temperature: float = USUAL_TEMPERATURE
    max_tokens: int = USUAL_TOKENS
    talk: str = ""

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise SettingError("There is no question yet.", where="question", next_step="Type one, then ask.")
        if len(self.text) > LONGEST or len(self.system) > LONGEST:
            raise SettingError(f"This is longer than {LONGEST:,} characters.", where="question", next_step="Shorten it.")
        if not 1 <= self.max_tokens <= MOST_TOKENS:
            raise SettingError(
                f"{self.max_tokens:,} is no length of an answer.",
                where="longest answer",
                next_step=f"Use a whole number from 1 to {MOST_TOKENS:,}.",
            )
        CompareSettings(temperature=self.temperature)


def sides_of(settings: Settings, store: Store, run_id: str, owner: str) -> tuple[Side, ...]:
    """Base, tuned, and the checkpoints that can answer.

    Raises ``NotFoundError`` for somebody else's run or a model of another place, ``RunError`` for a run without a result.
    """
    at = Desk(settings, store, owner)
    run, _, model = tuned_model(at, run_id)
    steps = tuple(Side(f"step-{one.step}", f"{run.name}, step {one.step:,}", one.sampler_path) for one in _steps(at, run_id))
    return (Side("base", model.label, ""), Side("tuned", run.name, run.sampler_path), *steps)


def _steps(at: Desk, run_id: str) -> Sequence[Any]:
    try:
        return steps_of(at, run_id)
    except (NotFoundError, DataError):
        # Its data is gone, and with it what a pass is. The result can be talked to all the same.
        return ()


def ask(settings: Settings, store: Store, run_id: str, owner: str, wanted: Wanted) -> str:
    """Note the question and see to it that somebody answers; its id.

    Raises as ``sides_of``; ``RunError`` when the conversation to go on with waits for an answer; ``StoreError``.
    """
    known = {one.name: one for one in sides_of(settings, store, run_id, owner)}
    run = store.runs.get(run_id, owner)
    recipe = Recipe.from_json(run.recipe_json)
    ident = new_id("tlk")
    if wanted.talk:
        rows = _further(store, run, wanted)
        talk = wanted.talk
    else:
        rows, talk = _first(known, wanted), ident
    terms = {"temperature": wanted.temperature, "max_tokens": wanted.max_tokens, "seed": secrets.randbelow(2**31)}
    terms |= {"renderer": recipe.renderer, "sides": [row.side for row in rows], "system": wanted.system}
    question = TalkQuestionRow(
        ident, owner, talk, run.id, recipe.model, time.time(), wanted.text, json.dumps(terms, ensure_ascii=False)
    )
    store.talks.ask(question, rows)
    _see_to_it(settings, store, recipe.model, but=ident)
    return ident


def _first(known: dict[str, Side], wanted: Wanted) -> tuple[TalkAnswerRow, ...]:
    names = tuple(dict.fromkeys(wanted.sides))
    unknown = [name for name in names if name not in known]
    if unknown or not 1 <= len(names) <= 2:
        raise SettingError("Choose one or two models that should answer.", where="who answers")
    system = (Message("system", wanted.system),) if wanted.system.strip() else ()
    prompt = turns_json((*system, Message("user", wanted.text)))
    sides = [known[name] for name in names]
    return tuple(TalkAnswerRow("", one.name, "", 0, one.label, one.path, prompt) for one in sides)


def _further(store: Store, run: RunRow, wanted: Wanted) -> tuple[TalkAnswerRow, ...]:
    """Each side goes on from its own answer."""
    of_talk = [one for one in store.talks.questions(run.id, run.owner) if one.talk_id == wanted.talk]
    if not of_talk:
        raise NotFoundError("This conversation is not here.", next_step="Begin a new one.")
    before = [one for one in store.talks.answers(run.id, run.owner) if one.question_id == of_talk[-1].id]
    if any(one.state != "answered" for one in before):
        raise RunError("The last question has not been answered.", next_step="Wait for the answer, or ask that one again.")
    rows: list[TalkAnswerRow] = []
    for one in before:
        said = (*turns_of(one.prompt_json), Message("assistant", visible(one.text)), Message("user", wanted.text))
        rows.append(TalkAnswerRow("", one.side, "", 0, one.label, one.path, turns_json(said)))
    return tuple(rows)


def again(settings: Settings, store: Store, question_id: str, owner: str) -> None:
    """Ask once more for the answers that failed or that nobody is at work on. Raises ``NotFoundError``, ``StoreError``."""
    question = store.talks.question(question_id, owner)
    store.talks.again(question_id, owner)
    _see_to_it(settings, store, question.model, but=question_id)


def go_on(settings: Settings, store: Store, run_id: str, owner: str) -> None:
    """See to it that somebody answers what the process left behind when it ended because nobody had asked for a while."""
    recipe = Recipe.from_json(store.runs.get(run_id, owner).recipe_json)
    if store.talks.waiting(recipe.model):
        begin(settings, recipe.model)


def stop(settings: Settings, store: Store, run_id: str, owner: str) -> None:
    """End the process that answers, and what it had not answered. Raises ``NotFoundError``, ``StoreError``."""
    model = Recipe.from_json(store.runs.get(run_id, owner).recipe_json).model
    work.cancel(ticket(settings, model))
    give_up(store, model, RunError("You stopped it before it was answered.", next_step="Ask again when you like."))


def think(
    store: Store, question_id: str, side: str, owner: str, *, thumb: Thumb | None = None, better: str | None = None
) -> None:
    """Keep what is thought of an answer: on disk when this returns. ``None`` leaves what was thought before.

    Raises ``NotFoundError`` for an answer that is not there, ``SettingError`` for a text that is too long.
    """
    if better is not None and len(better) > LONGEST:
        raise SettingError(f"This is longer than {LONGEST:,} characters.", where="a better answer", next_step="Shorten it.")
    store.talks.think(question_id, side, owner, thumb=thumb, better=better.strip() if better is not None else None)


def system_of(settings: Settings, store: Store, run_id: str, owner: str) -> str:
    """The system prompt that most rows of the run's data begin with; empty where there is none, or the data is gone."""
    run = store.runs.get(run_id, owner)
    try:
        path = data.load(settings.datasets / checked_id(run.dataset_id)).train.path
        return _system_of(path, path.stat().st_mtime_ns)
    except (NotFoundError, DataError, OSError):
        return ""


@lru_cache(maxsize=32)
def _system_of(path: Path, stamp: int) -> str:
    del stamp
    found = [row.messages[0].content if row.messages and row.messages[0].role == "system" else "" for row in _rows(path)]
    likely = max(set(found), key=found.count, default="")
    return likely if 2 * found.count(likely) > len(found) else ""


def _rows(path: Path) -> Sequence[data.Row]:
    return list(data.rows(path, _LOOKED_AT))


def turns_json(messages: Sequence[Message]) -> str:
    """Turns as they are stored; equal turns are equal texts."""
    return json.dumps([{"role": one.role, "content": one.content} for one in messages], ensure_ascii=False)


def turns_of(text: str) -> tuple[Message, ...]:
    """What ``turns_json`` wrote."""
    return tuple(Message(**turn) for turn in cast("list[dict[str, Any]]", json.loads(text)))


def ticket(settings: Settings, model: str) -> Ticket:
    """Where the process of a base model keeps its small files. A model's name may hold a slash, so its fingerprint is used."""
    return Ticket(settings.playground / hashlib.sha256(model.encode()).hexdigest()[:16], "talk")


def begin(settings: Settings, model: str) -> None:
    """Start the process that answers for this base model, unless it is there. Raises ``StoreError``."""
    place = ticket(settings, model)
    if isinstance(work.state(place), Working):
        return
    asked = {"home": str(settings.home), "model": model}
    # The connection, the key with it, travels in the environment only.
    secret, online = child_environment(settings, {}), not models.get(model).local
    try:
        work.start(
            TASK, place, asked, limits=Limits(seconds=_SECONDS), secrets=secret, online=online, tied=True, program=PROGRAM
        )
    except DataError:
        # Another press was faster. Anything else is no reason to be silent.
        if not isinstance(work.state(place), Working):
            raise


def _see_to_it(settings: Settings, store: Store, model: str, *, but: str) -> None:
    """Begin. What an earlier process broke off at is given up first: it might be what broke it."""
    if not isinstance(work.state(ticket(settings, model)), Working):
        left = "The process that answers ended before it came to this question."
        give_up(store, model, RunError(left, next_step="Ask again."), but=but)
    begin(settings, model)


def give_up(store: Store, model: str, error: Exception, *, but: str = "") -> None:
    """Write down for everything that waits, except the question ``but``, that there is no answer, and why."""
    for row in store.talks.waiting(model):
        if row.question_id != but:
            store.talks.failed(row, getattr(error, "what", str(error)), getattr(error, "next_step", ""))


def terms_of(question: TalkQuestionRow) -> dict[str, Any]:
    """Temperature, most tokens, seed, renderer, sides and system prompt of a question."""
    return cast("dict[str, Any]", json.loads(question.settings_json))
