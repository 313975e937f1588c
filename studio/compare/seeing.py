"""What a rater sees: who comes with a token, what they were dealt, and one pair as it is shown.

Guarantees: an ``Item`` knows nothing of the arms or of gold items, and making one does the same work for both sides; a token
that is unknown or forged leads nowhere, one that has expired or was taken back says so and nothing more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from studio.compare.dealing import BETTER
from studio.compare.giveaways import shown
from studio.compare.seats import gone
from studio.compare.sessions import SessionPlan
from studio.compare.tokens import fingerprint, forged
from studio.data.types import messages_from
from studio.errors import NotFoundError
from studio.models.rendering import spoken
from studio.store import AnswerRow, Choice, DealRow, RaterRow, SessionRow, SessionStatus, Store
from studio.store.ratings import Place

# Far beyond any order, and far below what SQLite's whole numbers hold.
_FARTHEST: Final = 1_000_000


class SeatGoneError(NotFoundError):
    """The token is real, but its seat takes no votes any more: its time is over, or it was ``withdrawn``."""

    def __init__(self, *, withdrawn: bool) -> None:
        what = "This seat was taken back." if withdrawn else "This link has expired."
        super().__init__(what, next_step="Ask for a new link.")
        self.withdrawn = withdrawn


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the prompt."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Item:
    """One pair as a rater sees it. ``choice``, ``answers`` and ``comment`` are what this rater said about it before.

    ``criteria`` are the questions beside the overall one, ``comments`` whether a comment is asked for; ``min_seconds`` is the
    least time between two votes. ``wait`` is how many seconds too early the
    vote came that this answers. ``status`` is the session's: votes are taken while it is ``open``.
    """

    position: int
    total: int
    done: int
    messages: tuple[Message, ...]
    left: str
    right: str
    choice: Choice | None
    revealed: bool
    open: bool
    status: SessionStatus = "open"
    criteria: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    comments: bool = False
    comment: str = ""
    min_seconds: float = 0.0
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Visit:
    """Whose token it is, and where they rate."""

    rater: RaterRow
    session: SessionRow


@dataclass(frozen=True, slots=True)
class Seat:
    """All that one rater was dealt, and what they said while blind, by position."""

    rater: RaterRow
    session: SessionRow
    plan: SessionPlan
    deals: tuple[DealRow, ...]
    said: Mapping[int, Choice]


def visit_of(store: Store, token: str) -> Visit:
    """Who comes with this token. Raises ``NotFoundError`` when nobody does, ``SeatGoneError`` when their time is over."""
    rater = None if forged(store.ratings.signing_key(), token) else store.ratings.rater_of(fingerprint(token))
    if rater is None:
        raise NotFoundError("This link does not lead to a rating.", next_step="Ask for a new link.")
    # Somebody who has finished may look at their own votes for ever.
    if rater.revealed_at is None and gone(rater, time.time()):
        raise SeatGoneError(withdrawn=rater.withdrawn_at is not None)
    return Visit(rater, store.ratings.session(rater.session_id))


def seat_of(store: Store, token: str) -> Seat:
    """The whole of a rater's work. Raises as ``visit_of`` does."""
    visit = visit_of(store, token)
    said: dict[int, Choice] = {one.position: one.choice for one in store.ratings.votes_of(visit.rater.id) if not one.unblinded}
    return Seat(visit.rater, visit.session, SessionPlan.of(visit.session), store.ratings.deals(visit.rater.id), said)


def place_of(store: Store, rater: RaterRow, position: int | None) -> Place:
    """Where a rater is. Raises ``NotFoundError`` for a position that was not dealt."""
    known = (
        None if isinstance(position, bool) or not -1 < (position or 0) < _FARTHEST else store.ratings.place(rater.id, position)
    )
    if known is None:
        raise NotFoundError("There is no such pair.", next_step="Reload the page.")
    return known


def item_of(store: Store, visit: Visit, position: int | None) -> Item:
    """One pair as this rater sees it; by default the first without a vote. Raises ``NotFoundError``."""
    place, options = place_of(store, visit.rater, position), SessionPlan.of(visit.session).options
    messages, left, right = as_dealt(store, visit.session, place.deal)
    answers: dict[str, str] = json.loads(place.criteria_json or "{}")
    return Item(
        position=place.position,
        total=place.total,
        done=place.done,
        messages=messages,
        left=left,
        right=right,
        choice=place.choice,
        revealed=visit.rater.revealed_at is not None,
        open=visit.session.state == "open",
        status=visit.session.state,
        criteria=options.criteria,
        answers=tuple(sorted(answers.items())),
        comments=options.comments,
        comment=place.comment or "",
        min_seconds=options.min_seconds,
    )


def as_dealt(store: Store, session: SessionRow, dealt: DealRow) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, left and right. Of a gold item and of a pair alike both texts come with one question to the store."""
    if dealt.kind == "gold":
        gold = {one.gold_id: one for one in store.ratings.gold(session.id)}[dealt.prompt_id]
        texts = (gold.better, gold.worse) if dealt.left_arm == BETTER else (gold.worse, gold.better)
        return _messages(gold.prompt_json), shown(texts[0]), shown(texts[1])
    answers = {one.arm: one for one in store.comparisons.pair(session.comparison_id, dealt.prompt_id)}
    left, right = answers[dealt.left_arm], answers[dealt.right_arm]
    return messages_of(left), shown(left.text), shown(right.text)


def messages_of(answer: AnswerRow) -> tuple[Message, ...]:
    """The prompt of an answer, turn by turn, tool calls in words."""
    return _messages(answer.prompt_json)


def _messages(prompt_json: str) -> tuple[Message, ...]:
    return tuple(Message(turn.role, spoken(turn)) for turn in messages_from(json.loads(prompt_json)))
