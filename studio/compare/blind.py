"""Blind rating: what a rater sees, and when they learn which side was which. A token is all they have.

Guarantees, whatever a browser sends:
- nothing that ``item``, ``vote`` or ``progress`` returns knows of the arms or of gold items, and each does the same work for
  both sides;
- only the hash of a token is kept; a token reaches its own rater's pairs and nobody else's, and none once it has expired;
- an order once dealt never changes but at its end; a vote is on disk when ``vote`` returns; the same vote twice is one vote;
- a rater learns the sides once every pair has an answer from them (or the session is closed), and what they vote afterwards is
  kept, marked and left out of every number.
What a pair looks like is in ``seeing``, its telling in ``reveal``. The owner's side is in ``sessions``, ``seats`` and
``standing``, and is named here too; ``outcome`` says what the votes come to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from studio.compare.reveal import GUESSES, Guess, Question, Reveal, RevealedItem, finish, outcome_of, question, tuned_side
from studio.compare.seats import Invite, invite, login_seat, own_seat, withdraw
from studio.compare.seeing import Item, Message, SeatGoneError, Visit, item_of, messages_of, place_of, seat_of, visit_of
from studio.compare.sessions import (
    MOST_PAIRS,
    SessionOptions,
    SessionPlan,
    answer_pairs,
    close,
    extend,
    open_session,
    owned_session,
    pause,
    resume,
)
from studio.compare.standing import RaterProgress, SessionState, labels, raters, state
from studio.compare.tokens import fingerprint
from studio.errors import SettingError
from studio.store import CHOICES, Choice, Store
from studio.store.ratings import Ballot

__all__ = [
    "CRITERION_CHOICES",
    "GUESSES",
    "LONGEST_COMMENT",
    "MOST_PAIRS",
    "Guess",
    "Invite",
    "Item",
    "Message",
    "Progress",
    "Question",
    "RaterProgress",
    "Remarks",
    "Reveal",
    "RevealedItem",
    "SeatGoneError",
    "SessionOptions",
    "SessionPlan",
    "SessionState",
    "answer_pairs",
    "close",
    "extend",
    "fingerprint",
    "finish",
    "invite",
    "item",
    "labels",
    "login_seat",
    "messages_of",
    "open_session",
    "outcome_of",
    "own_seat",
    "owned_session",
    "pause",
    "progress",
    "question",
    "rate",
    "raters",
    "resume",
    "seat_of",
    "state",
    "tuned_side",
    "vote",
    "withdraw",
]

#: The answers to a question beside the overall one.
CRITERION_CHOICES: Final = ("left", "right", "tie")
LONGEST_COMMENT: Final = 2_000
_LONGEST_PAUSE: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Remarks:
    """What may come with a choice.

    ``criteria`` holds answers to the session's own questions, ``left``, ``right`` or ``tie``; who does not answer one says
    nothing about it. ``seconds`` is how long the pair was shown, as the browser measured it.
    """

    criteria: Mapping[str, str] = field(default_factory=dict[str, str])
    comment: str = ""
    seconds: float | None = None


NO_REMARKS: Final = Remarks()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the rater is. ``saved`` is ``False`` when the same vote was there already, or came ``wait`` seconds too early."""

    done: int
    total: int
    finished: bool
    saved: bool = False
    wait: float = 0.0


def item(store: Store, token: str, position: int | None = None) -> Item:
    """The pair at ``position`` in this rater's order, or by default the first without a vote (the last when all have one).

    Raises ``NotFoundError`` for a token that is unknown or forged, or for a position that was not dealt, and its kind
    ``SeatGoneError`` for a seat that has expired or was taken back.
    """
    return item_of(store, visit_of(store, token), position)


def vote(store: Store, token: str, position: int, choice: str, remarks: Remarks = NO_REMARKS) -> Progress:
    """Record one vote; it is on disk when this returns. The last vote on a pair is the one that counts.

    A vote that comes before the session's least time has passed is not taken, and ``wait`` says how long that is.
    Raises ``NotFoundError`` as ``item`` does, ``SettingError`` for an answer that does not exist or a comment where none is
    asked for, ``RunError`` when the session is closed or paused.
    """
    return _vote(store, visit_of(store, token), position, choice, remarks)


def rate(store: Store, token: str, position: int, choice: str, remarks: Remarks = NO_REMARKS) -> Item:
    """``vote``, and the pair that comes next; the same pair, with ``wait``, when the vote came too early.

    Of somebody who knows the sides, or in a session that is not open, no vote is taken. For a page that answers many people at
    once: it asks the store half as often as ``vote`` and ``item`` do. Raises as ``vote`` does.
    """
    visit = visit_of(store, token)
    if visit.rater.revealed_at is not None or visit.session.state != "open":
        return item_of(store, visit, None)
    told = _vote(store, visit, position, choice, remarks)
    return replace(item_of(store, visit, position), wait=told.wait) if told.wait else item_of(store, visit, None)


def progress(store: Store, token: str) -> Progress:
    """How far this rater is. Raises as ``item`` does."""
    place = place_of(store, visit_of(store, token).rater, None)
    return Progress(place.done, place.total, place.done == place.total)


def _vote(store: Store, visit: Visit, position: int, choice: str, remarks: Remarks) -> Progress:
    place = place_of(store, visit.rater, position)
    if choice not in CHOICES:
        raise SettingError("This is not one of the five answers.", where="choice", next_step="Press one of the five buttons.")
    options = SessionPlan.of(visit.session).options
    said = _ballot(options, choice, remarks)
    saved, wait = store.ratings.vote(visit.rater, place.deal, said, least_seconds=options.min_seconds)
    done = place.done + (place.choice is None and not wait)
    return Progress(done, place.total, done == place.total, saved, wait)


def _ballot(options: SessionOptions, choice: Choice, remarks: Remarks) -> Ballot:
    for name, answer in remarks.criteria.items():
        if name not in options.criteria or answer not in CRITERION_CHOICES:
            raise SettingError("This is not an answer to one of the questions.", where="criteria", next_step="Reload the page.")
    if remarks.comment and not options.comments:
        raise SettingError("This session asks for no comments.", where="comment", next_step="Leave it empty.")
    text = remarks.comment.encode("utf-8", "replace").decode().strip()[:LONGEST_COMMENT]
    measured = None if remarks.seconds is None or not 0 <= remarks.seconds <= _LONGEST_PAUSE else float(remarks.seconds)
    return Ballot(choice, json.dumps(dict(remarks.criteria), sort_keys=True, ensure_ascii=False), text, measured)
