"""The conversations about a run as a page shows them.

Guarantees: reads only; an answer that nobody is at work on is shown as failed, with why, and never as on its way; the text of
an answer is what a rater would be shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from studio import work
from studio.compare.giveaways import visible
from studio.errors import RunError, StudioError
from studio.playground.asking import terms_of, ticket
from studio.recipe import Recipe
from studio.settings import Settings
from studio.store import Store
from studio.store.talks import AnswerState, OpinionRow, TalkAnswerRow, Thumb
from studio.work import Cancelled, Failed, State, Working


@dataclass(frozen=True, slots=True)
class Answer:
    """One side's answer and what is thought of it. ``thought`` says that thinking aloud was taken out of the text."""

    side: str
    label: str
    state: AnswerState
    text: str
    tokens: int
    cut_off: bool
    thought: bool
    trained_on: bool | None
    reason: str
    next_step: str
    thumb: Thumb
    better: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and its answers. ``terms`` are those of ``asking.terms_of``."""

    id: str
    text: str
    terms: dict[str, Any]
    answers: tuple[Answer, ...]

    @property
    def waits(self) -> bool:
        """Whether an answer is on its way."""
        return any(one.state == "waiting" for one in self.answers)

    @property
    def failed(self) -> bool:
        """Whether an answer is missing and on no way."""
        return any(one.state == "failed" for one in self.answers)


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation, oldest question first."""

    id: str
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """Everything that was said, the newest conversation first.

    ``phase`` is what the process that answers is doing now, empty when it does nothing. ``left`` says that it ended as it
    should, a moment before a question came that still waits: somebody has to set it going again.
    """

    talks: tuple[Talk, ...]
    phase: str = ""
    left: bool = False

    @property
    def waits(self) -> bool:
        """Whether an answer is on its way."""
        return any(one.waits for talk in self.talks for one in talk.exchanges)


def read(settings: Settings, store: Store, run_id: str, owner: str) -> Room:
    """The conversations about a run. Raises ``NotFoundError`` when it is not this owner's, ``StoreError``."""
    model = Recipe.from_json(store.runs.get(run_id, owner).recipe_json).model
    # Looked at before the answers: one that comes in between is then merely shown a moment early.
    state = work.state(ticket(settings, model))
    answers: dict[str, list[TalkAnswerRow]] = {}
    for row in store.talks.answers(run_id, owner):
        answers.setdefault(row.question_id, []).append(row)
    opinions = {(one.question_id, one.side): one for one in store.talks.opinions(run_id, owner)}
    broken = _broken(state)
    talks: dict[str, list[Exchange]] = {}
    for question in store.talks.questions(run_id, owner):
        rows = answers.get(question.id, [])
        told = tuple(_answer(row, opinions.get((row.question_id, row.side)), broken) for row in rows)
        talks.setdefault(question.talk_id, []).append(Exchange(question.id, question.text, terms_of(question), told))
    listed = tuple(Talk(ident, tuple(exchanges)) for ident, exchanges in reversed(talks.items()))
    room = Room(listed, state.progress.phase or "starting" if isinstance(state, Working) else "")
    return Room(room.talks, room.phase if room.waits else "", room.waits and not isinstance(state, Working))


def latest(room: Room) -> Exchange | None:
    """What was asked last in the newest conversation."""
    return room.talks[0].exchanges[-1] if room.talks else None


def _broken(state: State | None) -> StudioError | None:
    """Why what waits will never be answered; ``None`` when somebody is at work or has ended as they should."""
    if isinstance(state, Failed):
        return in_words(state.error)
    if isinstance(state, Cancelled):
        return RunError("You stopped it before it was answered.", next_step="Ask again when you like.")
    return None


def in_words(error: StudioError) -> StudioError:
    """What ended the process, about a conversation and not about a file."""
    match getattr(error, "code", ""):
        case "too_much_memory" | "ended_by_system":
            return RunError(
                "There was too little memory to answer.", next_step="Close other programs or stop a run, then ask again."
            )
        case "broke_off" | "took_too_long":
            return RunError("The process that answers ended in the middle of it.", next_step="Ask again.")
        case _ if type(error) is StudioError:
            # A fault of ours, as the process says it of the files that it works on otherwise.
            what = error.what.replace("while it worked on this file", "while it was answering")
            return RunError(what, next_step="Ask again. If it happens again, please report this.")
        case _:
            return error


def _answer(row: TalkAnswerRow, opinion: OpinionRow | None, broken: StudioError | None) -> Answer:
    lost = row.state == "waiting" and broken is not None
    text = visible(row.text)
    return Answer(
        side=row.side,
        label=row.label,
        state="failed" if lost else row.state,
        text=text,
        tokens=row.tokens,
        cut_off=row.stop_reason == "length",
        thought="</think>" in row.text or "<think" in row.text,
        trained_on=None if row.trained_on is None else bool(row.trained_on),
        reason=broken.what if lost and broken is not None else row.reason,
        next_step=broken.next_step if lost and broken is not None else row.next_step,
        thumb=opinion.thumb if opinion else "",
        better=opinion.better if opinion else "",
    )
