"""What models said about a session, as its owner may see it.

Guarantees: while the owner still rates, nothing tells what a model said; the numbers are those that the exported file gives.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.compare.machine import JudgeSettings, section
from studio.compare.machine_opinion import Opinion, opinion
from studio.compare.outcome import record_of
from studio.compare.sessions import SessionPlan, owned_session
from studio.compare.standing import state
from studio.store import Job, Store


@dataclass(frozen=True, slots=True)
class Judging:
    """One model's part as its owner may see it.

    ``opinion`` is ``None`` while nothing is judged yet, or ``sealed`` because the owner still rates. ``tokens`` are those that
    the server counted, in and out, ``None`` where it did not.
    """

    id: str
    asked: JudgeSettings
    job: Job
    sealed: bool
    requests: int
    done: int
    tokens: tuple[int, int] | None
    opinion: Opinion | None


def judgings(store: Store, session_id: str, owner: str) -> tuple[Judging, ...]:
    """Every model that was asked about this session, oldest first. Raises ``NotFoundError``."""
    session = owned_session(store, session_id, owner)
    rows = store.machine.of_session(session.id, owner)
    if not rows:
        return ()
    sealed = owner_rates(store, session.id, owner)
    people = None if sealed else record_of(store, session.id, owner)
    asked_in_all = 2 * len(SessionPlan.of(session).units)
    found: list[Judging] = []
    for row in rows:
        ratings = store.machine.ratings(row.id)
        done = sum(one.missing != "failed" for one in ratings)
        counted = [
            (one.tokens_in, one.tokens_out) for one in ratings if one.tokens_in is not None and one.tokens_out is not None
        ]
        tokens = (sum(one for one, _ in counted), sum(one for _, one in counted)) if counted else None
        told = opinion(section(store, session, row), people) if people is not None and done else None
        found.append(Judging(row.id, JudgeSettings.of(row), store.jobs.get(row.id), sealed, asked_in_all, done, tokens, told))
    return tuple(found)


def owner_rates(store: Store, session_id: str, owner: str) -> bool:
    """Whether the owner has a seat in which they still rate blind: then nothing may tell them what a model said."""
    return any(one.is_owner and one.seat in ("waiting", "rating") for one in state(store, session_id, owner).raters)
