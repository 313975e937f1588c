"""Seats: who may rate in a session, and by which way they came in.

Guarantees: everybody has an own order and own sides, drawn when they come in; the same signed-in person has one seat, however
often they come; the owner's seat is known as the owner's, whatever name it carries; a token is shown once and only its hash is
kept; a seat that was taken back or has expired takes no votes, and what was not rated there is free for others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio.compare.dealing import order, share, taken
from studio.compare.looked import has_looked
from studio.compare.sessions import DAY, SessionPlan, owned_session
from studio.compare.tokens import fingerprint, new_token, seat_token
from studio.errors import NotFoundError, RunError
from studio.store import DealRow, Pairing, RaterRow, SessionRow, Store

#: How the owner's own seat is named.
OWNER_NAME: Final = "You"
_LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Invite:
    """A way in for one rater. ``token`` is shown once: the store keeps only its hash. ``expires_at`` is in epoch seconds."""

    token: str
    rater_id: str
    name: str
    expires_at: float | None = None


def invite(store: Store, session_id: str, owner: str, name: str, *, days: float | None = None) -> Invite:
    """Let one more person rate, with an own order and own sides, for ``days`` (by default as the session's options say).

    Raises ``NotFoundError``; ``SettingError`` for a number of days that cannot work; ``RunError`` when the session is closed
    or every prompt has its planned raters.
    """
    session = owned_session(store, session_id, owner)
    options = SessionPlan.of(session).options
    lasting = options if days is None else replace(options, expires_days=days)
    expires_at = time.time() + lasting.expires_days * DAY
    token = new_token(store.ratings.signing_key())
    rater = store.ratings.add_rater(session, _named(name), fingerprint(token), _dealer(store), expires_at=expires_at)
    return Invite(token, rater.id, rater.name, rater.expires_at)


def own_seat(store: Store, session_id: str, owner: str) -> Invite:
    """The owner's own seat: the same one from every browser, and it does not expire.

    Raises as ``invite`` does, and ``RunError`` when the owner has looked at the answers with their names before taking a seat.
    """
    session = owned_session(store, session_id, owner)
    token = seat_token(store.ratings.signing_key(), session.id, "owner", owner)
    known = next((one for one in store.ratings.raters(session.id) if one.is_owner), None)
    if known is not None:
        if known.token_hash != fingerprint(token):
            # A seat of a version that drew the owner's token at random.
            store.ratings.change_token(known.id, fingerprint(token))
        return Invite(token, known.id, known.name)
    if has_looked(store, session.comparison_id, owner):
        raise RunError(
            "You have looked at these answers with the names of those who gave them, so your own votes would not be blind.",
            next_step="Invite somebody else, or compare on other prompts.",
        )
    rater = store.ratings.add_rater(session, OWNER_NAME, fingerprint(token), _dealer(store), via="owner")
    return Invite(token, rater.id, rater.name)


def login_seat(store: Store, session_id: str, login: str, *, owner: str = "") -> Invite:
    """The seat of a signed-in person, whose name the caller has from the server and not from the browser.

    ``owner`` is who the studio takes the visitor for, where it knows; the session's own owner gets the owner's seat. A login
    alone never does: anybody may have the name that an owner goes by here.
    Raises ``NotFoundError`` when there is no such session or it is not open to signed-in people, ``RunError`` as ``invite``
    does.
    """
    session = store.ratings.session(session_id)
    if owner and owner == session.owner:
        return own_seat(store, session_id, owner)
    plan = SessionPlan.of(session)
    if not plan.options.login or not login.strip():
        raise NotFoundError("This session is open to invited people only.", next_step="Ask its owner for a link.")
    token = seat_token(store.ratings.signing_key(), session.id, "login", login)
    known = store.ratings.rater_of(fingerprint(token))
    expires_at = time.time() + plan.options.expires_days * DAY
    rater = known or store.ratings.add_rater(
        session, _named(login), fingerprint(token), _dealer(store), via="login", login=login, expires_at=expires_at
    )
    return Invite(token, rater.id, rater.name, rater.expires_at)


def withdraw(store: Store, session_id: str, owner: str, rater_id: str) -> None:
    """Take a seat back. Its votes stay; what it had not rated is dealt to whoever comes next. Raises ``NotFoundError``."""
    session = owned_session(store, session_id, owner)
    rater = next((one for one in store.ratings.raters(session.id) if one.id == rater_id), None)
    if rater is None:
        raise NotFoundError("This rater is not part of the session.", next_step="Reload the page.")
    store.ratings.withdraw(rater, f"The seat of {rater.name} was taken back.")


def gone(rater: RaterRow, now: float) -> bool:
    """Whether this seat takes no more votes: it was taken back, or has expired."""
    return rater.withdrawn_at is not None or (rater.expires_at is not None and rater.expires_at <= now)


def _dealer(store: Store) -> Callable[[SessionRow, Sequence[DealRow]], Sequence[Pairing]]:
    def dealt(session: SessionRow, before: Sequence[DealRow]) -> Sequence[Pairing]:
        plan = SessionPlan.of(session)
        mine = share(
            plan.units,
            overlap=plan.overlap,
            load=taken(before),
            planned=plan.options.ratings_per_prompt,
            most=plan.options.per_rater,
        )
        if not mine:
            raise RunError(
                "Every prompt has all the raters that were planned.",
                next_step="Extend the session by more prompts, or take back a seat that nobody uses.",
            )
        return order(mine, [one.gold_id for one in store.ratings.gold(session.id)], reference=plan.pairs[0].against)

    return dealt


def _named(name: str) -> str:
    return name.strip()[:_LONGEST_NAME] or "Rater"
