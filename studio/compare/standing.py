"""How far a session is: who has rated how much, which prompts count already, and whether more is to come.

Guarantees: a prompt counts once it has all the ratings that it will get, so that no score that is counted is still being made;
nothing here says who is winning. Reads the store; changes nothing.

A prompt with two arms is *closed* when it has as many ratings as were planned, or when nobody will rate it any more: everyone
it was dealt to has answered, has finished, or holds a seat that has expired or was taken back. Where everybody rates
everything, there is no planned number, and an invitation that nobody has used yet holds nothing up.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from studio.compare.dealing import Unit
from studio.compare.seats import gone
from studio.compare.sessions import SessionOptions, SessionPlan, owned_session
from studio.store import DealRow, RaterRow, SessionRow, SessionStatus, Store, VoteRow

SeatState = Literal["waiting", "rating", "finished", "expired", "withdrawn", "closed"]
Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class RaterProgress:
    """How far one rater is, without what they said. ``label`` is the name that votes carry in numbers and exports."""

    label: str
    name: str
    done: int
    total: int
    revealed: bool
    rater_id: str = ""
    is_owner: bool = False
    seat: SeatState = "waiting"
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class SessionState:
    """How far a session is. ``ended``: closed by the owner, or everyone who was invited has finished.

    ``pairs`` counts prompts that are rated (with each two arms), ``closed_pairs`` those of them that count already, ``votes``
    pairs that somebody has answered, gold items included.
    """

    id: str
    comparison_id: str
    open: bool
    ended: bool
    pairs: int
    automatic_ties: int
    votes: int
    raters: tuple[RaterProgress, ...]
    status: SessionStatus = "open"
    closed_pairs: int = 0
    gold: int = 0
    options: SessionOptions = field(default_factory=SessionOptions)

    @property
    def finished(self) -> bool:
        """Whether somebody has rated here and nobody who could is still blind: then the answers may be opened."""
        return not self.open_seats and any(one.revealed for one in self.raters)

    @property
    def open_seats(self) -> int:
        """People who may still rate."""
        return sum(one.seat in ("waiting", "rating") for one in self.raters)


@dataclass(frozen=True, slots=True)
class Book:
    """Everything that was dealt and voted in one session, as it was when it was read at ``now``."""

    session: SessionRow
    plan: SessionPlan
    raters: tuple[RaterRow, ...]
    deals: Mapping[str, tuple[DealRow, ...]]
    log: tuple[VoteRow, ...]
    now: float

    @property
    def answered(self) -> dict[Place, VoteRow]:
        """(rater id, position) → the last vote there that was cast blind."""
        return {(one.rater_id, one.position): one for one in self.log if not one.unblinded}

    def at_work(self, rater: RaterRow) -> bool:
        """Whether this person may still vote blind."""
        return self.session.state != "closed" and rater.revealed_at is None and not gone(rater, self.now)


def book_of(store: Store, session: SessionRow) -> Book:
    """Read a session's record."""
    deals: dict[str, list[DealRow]] = defaultdict(list)
    for one in store.ratings.all_deals(session.id):
        deals[one.rater_id].append(one)
    raters = store.ratings.raters(session.id)
    dealt = {one.id: tuple(deals[one.id]) for one in raters}
    return Book(session, SessionPlan.of(session), raters, dealt, store.ratings.votes(session.id), time.time())


def state(store: Store, session_id: str, owner: str) -> SessionState:
    """How far the session is; says nothing about who is winning. Raises ``NotFoundError``."""
    session = owned_session(store, session_id, owner)
    book = book_of(store, session)
    rated: dict[str, set[int]] = defaultdict(set)
    for one in book.log:
        rated[one.rater_id].add(one.position)
    names = labels(book.raters)
    listed = tuple(_progress(book, one, names[one.id], len(rated[one.id])) for one in book.raters)
    return SessionState(
        id=session.id,
        comparison_id=session.comparison_id,
        open=session.state != "closed",
        ended=has_ended(book),
        pairs=len(book.plan.units),
        automatic_ties=len(book.plan.automatic_ties) * len(book.plan.pairs) + sum(len(p.identical) for p in book.plan.pairs),
        votes=sum(map(len, rated.values())),
        raters=listed,
        status=session.state,
        closed_pairs=len(closed_units(book)),
        gold=len(store.ratings.gold(session.id)),
        options=book.plan.options,
    )


def raters(store: Store, session_id: str, owner: str) -> tuple[RaterProgress, ...]:
    """Everyone who was invited, in order of invitation, and how far they are."""
    return state(store, session_id, owner).raters


def _progress(book: Book, one: RaterRow, label: str, done: int) -> RaterProgress:
    return RaterProgress(
        label=label,
        name=one.name,
        done=done,
        total=len(book.deals[one.id]),
        revealed=one.revealed_at is not None,
        rater_id=one.id,
        is_owner=one.is_owner,
        seat=_seat_state(book, one, done),
        expires_at=one.expires_at,
    )


def _seat_state(book: Book, one: RaterRow, done: int) -> SeatState:
    if one.revealed_at is not None:
        return "finished"
    if book.session.state == "closed":
        return "closed"
    if gone(one, book.now):
        return "expired" if one.withdrawn_at is None else "withdrawn"
    return "rating" if done else "waiting"


def labels(invited: Sequence[RaterRow]) -> dict[str, str]:
    """Rater id → the neutral name that votes carry in exports. Not in the order of invitation, and the same each time."""
    order = sorted(invited, key=lambda one: hashlib.sha256(one.id.encode()).digest())
    return {one.id: f"rater-{number}" for number, one in enumerate(order, start=1)}


def has_ended(book: Book) -> bool:
    """Whether no vote is to be expected: it is closed, or everyone who may rate has rated all that was planned."""
    if book.session.state == "closed":
        return True
    answered = book.answered
    waiting = any(
        (one.id, dealt.position) not in answered for one in book.raters if book.at_work(one) for dealt in book.deals[one.id]
    )
    if waiting or not answered:
        return False
    planned, shared = book.plan.options.ratings_per_prompt, set(book.plan.overlap)
    if planned is None:
        return True
    enough = _with_enough(book, planned)
    return all(unit in enough or unit.prompt_id in shared for unit in book.plan.units)


def closed_units(book: Book) -> frozenset[Unit]:
    """The prompts, each with two arms, that have all the ratings they will get, and at least one vote."""
    planned = book.plan.options.ratings_per_prompt
    answered = book.answered
    begun = {rater_id for rater_id, _ in answered}
    waiting: set[tuple[str, frozenset[str]]] = set()
    for one in book.raters:
        if not book.at_work(one) or (planned is None and one.id not in begun):
            continue
        waiting |= {_key(dealt) for dealt in book.deals[one.id] if (one.id, dealt.position) not in answered}
    seen = {_key(dealt) for dealt, _ in _voted(book, answered.values())}
    enough = _with_enough(book, planned) if planned is not None else frozenset[Unit]()
    return frozenset(
        unit
        for unit in book.plan.units
        if (unit.prompt_id, unit.arms) in seen and (unit in enough or (unit.prompt_id, unit.arms) not in waiting)
    )


def _with_enough(book: Book, planned: int) -> frozenset[Unit]:
    """Units with the planned number of ratings; what everybody is to see has no such number."""
    counts: dict[tuple[str, frozenset[str]], int] = defaultdict(int)
    for dealt, vote in _voted(book, book.answered.values()):
        counts[_key(dealt)] += vote.choice != "skip"
    shared = set(book.plan.overlap)
    return frozenset(
        unit for unit in book.plan.units if unit.prompt_id not in shared and counts[unit.prompt_id, unit.arms] >= planned
    )


def _voted(book: Book, votes: Iterable[VoteRow]) -> Iterable[tuple[DealRow, VoteRow]]:
    """Votes on pairs, gold items left out, each with what it was about."""
    for vote in votes:
        dealt = book.deals[vote.rater_id][vote.position]
        if dealt.kind == "pair":
            yield dealt, vote


def _key(dealt: DealRow) -> tuple[str, frozenset[str]]:
    return dealt.prompt_id, frozenset((dealt.left_arm, dealt.right_arm))
