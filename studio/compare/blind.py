"""Blind rating: what a rater sees, and when they learn which side was which. A token is all they have.

Guarantees, whatever a browser sends:
- nothing that ``item``, ``vote`` or ``progress`` returns knows of the arms or of gold items, and each does the same work for
  both sides;
- only the hash of a token is kept; a token reaches its own rater's pairs and nobody else's, and none once it has expired;
- an order once dealt never changes but at its end; a vote is on disk when ``vote`` returns; the same vote twice is one vote;
- a rater learns the sides once every pair has an answer from them (or the session is closed), and what they vote afterwards is
  kept, marked and left out of every number.
The owner's side is in ``sessions``, ``seats`` and ``standing``, and is named here too; ``outcome`` says what the votes come to.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, cast, get_args

from studio.compare.dealing import BETTER
from studio.compare.giveaways import shown
from studio.compare.seats import Invite, gone, invite, login_seat, own_seat, withdraw
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
from studio.compare.tokens import fingerprint, forged
from studio.data.types import messages_from
from studio.errors import NotFoundError, RunError, SettingError
from studio.models.rendering import spoken
from studio.store import (
    CHOICES,
    AnswerRow,
    ArmRow,
    Choice,
    DealRow,
    RaterRow,
    SessionRow,
    SessionStatus,
    Side,
    Store,
)
from studio.store.ratings import Ballot, Place

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
    "Reveal",
    "RevealedItem",
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
    "own_seat",
    "owned_session",
    "pause",
    "progress",
    "question",
    "rate",
    "raters",
    "resume",
    "state",
    "tuned_side",
    "vote",
    "withdraw",
]

Guess = Literal["left", "right", "unsure"]

GUESSES: Final[tuple[Guess, ...]] = get_args(Guess)
#: The answers to a question beside the overall one.
CRITERION_CHOICES: Final = ("left", "right", "tie")
LONGEST_COMMENT: Final = 2_000
_LONGEST_PAUSE: Final = 86_400.0
# Far beyond any order, and far below what SQLite's whole numbers hold.
_FARTHEST: Final = 1_000_000


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
class Progress:
    """How far the rater is. ``saved`` is ``False`` when the same vote was there already, or came ``wait`` seconds too early."""

    done: int
    total: int
    finished: bool
    saved: bool = False
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What a rater is asked before the reveal: on which side of this pair the ``challenger`` stands.

    ``base_and_tuned`` says that the two are a base model and the same model tuned, for which there are plainer words.
    """

    item: Item
    challenger: str
    against: str
    base_and_tuned: bool


@dataclass(frozen=True, slots=True)
class RevealedItem:
    """One pair with the arms that this rater saw left and right. ``tuned_side`` is the side of the challenger."""

    position: int
    messages: tuple[Message, ...]
    left: str
    right: str
    choice: Choice | None
    tuned_side: Side
    left_label: str = ""
    right_label: str = ""


@dataclass(frozen=True, slots=True)
class Reveal:
    """Which side was which, and this rater's own votes. ``guessed_right`` is ``None`` for ``unsure``.

    Gold items are not among the ``items``: of ``gold`` that this rater answered they got ``gold_right`` right. ``several``
    says that there were more than two arms, so that ``tuned_won`` counts all challengers.
    """

    items: tuple[RevealedItem, ...]
    guess: Guess
    guessed_right: bool | None
    tuned_won: int
    base_won: int
    ties: int
    both_bad: int
    skipped: int
    gold: int = 0
    gold_right: int = 0
    several: bool = False
    base_and_tuned: bool = True


def item(store: Store, token: str, position: int | None = None) -> Item:
    """The pair at ``position`` in this rater's order, or by default the first without a vote (the last when all have one).

    Raises ``NotFoundError`` for a token that is unknown, forged or expired, and for a position that was not dealt.
    """
    return _item(store, _visit(store, token), position)


def vote(
    store: Store,
    token: str,
    position: int,
    choice: str,
    *,
    criteria: Mapping[str, str] | None = None,
    comment: str = "",
    seconds: float | None = None,
) -> Progress:
    """Record one vote; it is on disk when this returns. The last vote on a pair is the one that counts.

    ``criteria`` holds answers to the session's own questions; who does not answer one says nothing about it. ``seconds`` is
    how long the pair was shown, as the browser measured it. A vote that comes before the session's least time has passed is
    not taken, and ``wait`` says how long that is.
    Raises ``NotFoundError`` as ``item`` does, ``SettingError`` for an answer that does not exist or a comment where none is
    asked for, ``RunError`` when the session is closed or paused.
    """
    return _vote(store, _visit(store, token), position, choice, criteria or {}, comment, seconds)


def rate(
    store: Store,
    token: str,
    position: int,
    choice: str,
    *,
    criteria: Mapping[str, str] | None = None,
    comment: str = "",
    seconds: float | None = None,
) -> Item:
    """``vote``, and the pair that comes next; the same pair, with ``wait``, when the vote came too early.

    Of somebody who knows the sides, or in a session that is not open, no vote is taken. For a page that answers many people at
    once: it asks the store half as often as ``vote`` and ``item`` do. Raises as ``vote`` does.
    """
    visit = _visit(store, token)
    if visit.rater.revealed_at is not None or visit.session.state != "open":
        return _item(store, visit, None)
    told = _vote(store, visit, position, choice, criteria or {}, comment, seconds)
    return replace(_item(store, visit, position), wait=told.wait) if told.wait else _item(store, visit, None)


def progress(store: Store, token: str) -> Progress:
    """How far this rater is. Raises ``NotFoundError``."""
    place = _place(store, _visit(store, token).rater, None)
    return Progress(place.done, place.total, place.done == place.total)


def question(store: Store, token: str) -> Question:
    """The question before the reveal, about the last pair of this rater's order. Raises as ``finish`` does."""
    seat = _seat(store, token)
    _require_done(seat)
    dealt = seat.deals[-1]
    arms = _arms(store, seat)
    challenger, against = (arms[name] for name in _roles(seat, dealt))
    return Question(
        _item(store, _Visit(seat.rater, seat.session), dealt.position),
        challenger.label,
        against.label,
        _base_and_tuned(arms.values()),
    )


def finish(store: Store, token: str, guess: str) -> Reveal:
    """Reveal the sides to a rater who is done, and record what they guessed before.

    ``guess`` is about the last pair of this rater's order (sides change from pair to pair): on which side the tuned model's
    answer was. The first guess stays; asking again reveals again. Raises ``RunError`` while pairs are open in a session that
    is not closed, ``SettingError`` for an unknown guess, ``NotFoundError`` for an unknown token.
    """
    seat = _seat(store, token)
    _require_done(seat)
    if guess not in GUESSES:
        raise SettingError("This is not an answer to the question.", where="guess", next_step="Say left, right or not sure.")
    store.ratings.reveal(seat.rater.id, guess)
    return _reveal(store, _seat(store, token))


def messages_of(answer: AnswerRow) -> tuple[Message, ...]:
    """The prompt of an answer, turn by turn, tool calls in words."""
    return _messages(answer.prompt_json)


def tuned_side(dealt: DealRow, challenger: str = "tuned") -> Side:
    """On which side the challenger's answer stands."""
    return "left" if dealt.left_arm == challenger else "right"


def outcome_of(choice: Choice, side: Side) -> str:
    """``tuned``, ``base``, or the choice itself where no side was chosen. ``side`` is the challenger's."""
    if choice in ("left", "right"):
        return "tuned" if choice == side else "base"
    return choice


@dataclass(frozen=True, slots=True)
class _Visit:
    """Whose token it is, and where they rate."""

    rater: RaterRow
    session: SessionRow


@dataclass(frozen=True, slots=True)
class _Seat:
    """All that one rater was dealt, and what they said while blind, by position."""

    rater: RaterRow
    session: SessionRow
    plan: SessionPlan
    deals: tuple[DealRow, ...]
    said: Mapping[int, Choice]


def _visit(store: Store, token: str) -> _Visit:
    rater = None if forged(store.ratings.signing_key(), token) else store.ratings.rater_of(fingerprint(token))
    if rater is None:
        raise NotFoundError("This link does not lead to a rating.", next_step="Ask for a new link.")
    # Somebody who has finished may look at their own votes for ever.
    if rater.revealed_at is None and gone(rater, time.time()):
        raise NotFoundError("This link has expired.", next_step="Ask for a new link.")
    return _Visit(rater, store.ratings.session(rater.session_id))


def _seat(store: Store, token: str) -> _Seat:
    visit = _visit(store, token)
    said: dict[int, Choice] = {one.position: one.choice for one in store.ratings.votes_of(visit.rater.id) if not one.unblinded}
    return _Seat(visit.rater, visit.session, SessionPlan.of(visit.session), store.ratings.deals(visit.rater.id), said)


def _place(store: Store, rater: RaterRow, position: int | None) -> Place:
    known = (
        None if isinstance(position, bool) or not -1 < (position or 0) < _FARTHEST else store.ratings.place(rater.id, position)
    )
    if known is None:
        raise NotFoundError("There is no such pair.", next_step="Reload the page.")
    return known


def _item(store: Store, visit: _Visit, position: int | None) -> Item:
    place, options = _place(store, visit.rater, position), SessionPlan.of(visit.session).options
    messages, left, right = _as_dealt(store, visit.session, place.deal)
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


def _vote(
    store: Store,
    visit: _Visit,
    position: int,
    choice: str,
    criteria: Mapping[str, str],
    comment: str,
    seconds: float | None,
) -> Progress:
    place = _place(store, visit.rater, position)
    if choice not in CHOICES:
        raise SettingError("This is not one of the five answers.", where="choice", next_step="Press one of the five buttons.")
    options = SessionPlan.of(visit.session).options
    said = _ballot(options, choice, criteria, comment, seconds)
    saved, wait = store.ratings.vote(visit.rater, place.deal, said, least_seconds=options.min_seconds)
    done = place.done + (place.choice is None and not wait)
    return Progress(done, place.total, done == place.total, saved, wait)


def _ballot(
    options: SessionOptions, choice: Choice, criteria: Mapping[str, str], comment: str, seconds: float | None
) -> Ballot:
    for name, answer in criteria.items():
        if name not in options.criteria or answer not in CRITERION_CHOICES:
            raise SettingError("This is not an answer to one of the questions.", where="criteria", next_step="Reload the page.")
    if comment and not options.comments:
        raise SettingError("This session asks for no comments.", where="comment", next_step="Leave it empty.")
    text = comment.encode("utf-8", "replace").decode().strip()[:LONGEST_COMMENT]
    measured = None if seconds is None or not 0 <= seconds <= _LONGEST_PAUSE else float(seconds)
    return Ballot(choice, json.dumps(dict(criteria), sort_keys=True, ensure_ascii=False), text, measured)


def _require_done(seat: _Seat) -> None:
    missing = len(seat.deals) - len(seat.said)
    if missing and seat.session.state != "closed" and seat.rater.revealed_at is None:
        raise RunError(f"You have {missing} left to rate.", next_step="Rate or skip them first.")


def _as_dealt(store: Store, session: SessionRow, dealt: DealRow) -> tuple[tuple[Message, ...], str, str]:
    """Prompt, left and right. Of a gold item and of a pair alike both texts come with one question to the store."""
    if dealt.kind == "gold":
        gold = {one.gold_id: one for one in store.ratings.gold(session.id)}[dealt.prompt_id]
        texts = (gold.better, gold.worse) if dealt.left_arm == BETTER else (gold.worse, gold.better)
        return _messages(gold.prompt_json), shown(texts[0]), shown(texts[1])
    answers = {one.arm: one for one in store.comparisons.pair(session.comparison_id, dealt.prompt_id)}
    left, right = answers[dealt.left_arm], answers[dealt.right_arm]
    return messages_of(left), shown(left.text), shown(right.text)


def _messages(prompt_json: str) -> tuple[Message, ...]:
    return tuple(Message(turn.role, spoken(turn)) for turn in messages_from(json.loads(prompt_json)))


def _arms(store: Store, seat: _Seat) -> dict[str, ArmRow]:
    return {arm.name: arm for arm in store.comparisons.arms(seat.session.comparison_id)}


def _roles(seat: _Seat, dealt: DealRow) -> tuple[str, str]:
    """The challenger and what it is compared with."""
    both = frozenset((dealt.left_arm, dealt.right_arm))
    pair = next(pair for pair in seat.plan.pairs if pair.arms == both)
    return pair.challenger, pair.against


def _base_and_tuned(arms: Iterable[ArmRow]) -> bool:
    return [(one.name, one.kind) for one in arms] == [("base", "base"), ("tuned", "run")]


def _reveal(store: Store, seat: _Seat) -> Reveal:
    arms = _arms(store, seat)
    items: list[RevealedItem] = []
    gold: list[bool] = []
    for dealt in seat.deals:
        choice = seat.said.get(dealt.position)
        if dealt.kind == "gold":
            if choice and choice != "skip":
                gold.append(choice == dealt.side_of(BETTER))
            continue
        side = tuned_side(dealt, _roles(seat, dealt)[0])
        messages, left, right = _as_dealt(store, seat.session, dealt)
        names = (arms[dealt.left_arm].label, arms[dealt.right_arm].label)
        items.append(RevealedItem(dealt.position, messages, left, right, choice, side, *names))
    counts = Counter(outcome_of(one.choice, one.tuned_side) for one in items if one.choice)
    guess = cast("Guess", seat.rater.guess)
    last = tuned_side(seat.deals[-1], _roles(seat, seat.deals[-1])[0])
    return Reveal(
        items=tuple(items),
        guess=guess,
        guessed_right=None if guess == "unsure" else guess == last,
        tuned_won=counts["tuned"],
        base_won=counts["base"],
        ties=counts["tie"],
        both_bad=counts["both_bad"],
        skipped=counts["skip"],
        gold=len(gold),
        gold_right=sum(gold),
        several=len(arms) > 2,
        base_and_tuned=_base_and_tuned(arms.values()),
    )
