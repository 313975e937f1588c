"""Rating sessions: who was invited, what each was shown on which side, and every vote ever cast.

Guarantees: a vote is on disk when ``vote`` returns; the log is append-only; an order once dealt only grows at its end; what a
new seat is dealt is decided in the transaction that makes the seat, so that two at once are not dealt the same work twice; a
change of state and the line of history that tells of it are one transaction.
This room stores; the rules of blindness live in ``studio.compare``.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from sqlite3 import Connection
from typing import Final

from studio.errors import NotFoundError, RunError
from studio.store.database import Database, insert, update
from studio.store.ids import new_id
from studio.store.rows import (
    Choice,
    DealKind,
    DealRow,
    Event,
    GoldRow,
    Pairing,
    RaterRow,
    SessionRow,
    SessionStatus,
    Via,
    VoteRow,
)

#: Pairs that are taken: somebody has rated them, or may still say something about them.
_TAKEN: Final = """
SELECT deals.* FROM deals JOIN raters ON raters.id = deals.rater_id
WHERE raters.session_id = :session AND deals.kind = 'pair' AND (
  EXISTS (SELECT 1 FROM votes WHERE votes.rater_id = deals.rater_id AND votes.position = deals.position
          AND votes.unblinded = 0 AND votes.choice <> 'skip')
  OR (raters.withdrawn_at IS NULL AND (raters.expires_at IS NULL OR raters.expires_at > :now)
      AND NOT EXISTS (SELECT 1 FROM votes WHERE votes.rater_id = deals.rater_id AND votes.position = deals.position)))
"""
_STANDING: Final = """
SELECT raters.revealed_at, raters.withdrawn_at, raters.expires_at, sessions.state
FROM raters JOIN sessions ON sessions.id = raters.session_id WHERE raters.id = ?
"""


#: One row about a rater at work. ``next`` is the first pair without a blind vote, or the last of all.
_PLACE: Final = """
WITH
  said AS (SELECT DISTINCT position FROM votes WHERE rater_id = :rater AND unblinded = 0),
  at AS (SELECT COALESCE(
    :position,
    (SELECT min(position) FROM deals WHERE rater_id = :rater AND position NOT IN (SELECT position FROM said)),
    (SELECT max(position) FROM deals WHERE rater_id = :rater)) AS position),
  last AS (SELECT max(id) AS id FROM votes JOIN at USING (position) WHERE rater_id = :rater AND unblinded = 0)
SELECT
  (SELECT count(*) FROM deals WHERE rater_id = :rater) AS total,
  (SELECT count(*) FROM said) AS done,
  deals.rater_id, deals.position, deals.owner, deals.prompt_id, deals.left_arm, deals.right_arm, deals.kind,
  votes.choice, votes.criteria_json, votes.comment
FROM deals JOIN at USING (position) LEFT JOIN votes ON votes.id = (SELECT id FROM last)
WHERE deals.rater_id = :rater
"""


@dataclass(frozen=True, slots=True)
class Place:
    """One place in a rater's order: what was dealt there, and what the rater last said about it while blind."""

    total: int
    done: int
    rater_id: str
    position: int
    owner: str
    prompt_id: str
    left_arm: str
    right_arm: str
    kind: DealKind
    choice: Choice | None
    criteria_json: str | None
    comment: str | None

    @property
    def deal(self) -> DealRow:
        """What was dealt there."""
        sides = (self.left_arm, self.right_arm)
        return DealRow(self.rater_id, self.position, self.owner, self.prompt_id, *sides, self.kind)


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a rater said about one pair. ``criteria_json`` is canonical, so that equal answers are equal texts."""

    choice: Choice
    criteria_json: str = "{}"
    comment: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Ratings:
    """Reads and writes ``sessions, session_events, gold_items, raters, deals, votes``."""

    database: Database
    _keys: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False, compare=False)

    # ---- sessions ----

    def open_session(
        self, *, owner: str, comparison_id: str, settings_json: str, gold: Sequence[GoldRow] = (), event: str = "Opened."
    ) -> SessionRow:
        """A new open session over one comparison. The gold items' ``session_id`` and ``owner`` are filled in here."""
        row = SessionRow(new_id("ses"), owner, comparison_id, "open", time.time(), None, settings_json)
        with self.database.write() as con:
            insert(con, "sessions", asdict(row))
            for item in gold:
                insert(con, "gold_items", asdict(replace(item, session_id=row.id, owner=owner)))
            insert(con, "session_events", _event(row.id, owner, event))
        return row

    def session(self, session_id: str) -> SessionRow:
        """The session, whoever asks: the caller checks the owner or the rater's token. Raises ``NotFoundError``."""
        row = self.database.one(SessionRow, "SELECT * FROM sessions WHERE id = ?", (session_id,))
        if row is None:
            raise NotFoundError(f"There is no session {session_id!r}.", next_step="Open the link that you were given.")
        return row

    def sessions(self, comparison_id: str, owner: str) -> tuple[SessionRow, ...]:
        """Every session over a comparison, newest first; closed and abandoned ones stay in the record."""
        sql = "SELECT * FROM sessions WHERE comparison_id = ? AND owner = ? ORDER BY created_at DESC"
        return self.database.all(SessionRow, sql, (comparison_id, owner))

    def all(self, owner: str) -> tuple[SessionRow, ...]:
        """Every session of this owner, newest first."""
        return self.database.all(SessionRow, "SELECT * FROM sessions WHERE owner = ? ORDER BY created_at DESC", (owner,))

    def move(self, session_id: str, state: SessionStatus, event: str) -> bool:
        """Change the state; ``False`` when it is that already, or closed, which is for good."""
        now = time.time()
        with self.database.write() as con:
            changed = con.execute(
                "UPDATE sessions SET state = :state, closed_at = :closed WHERE id = :id AND state NOT IN ('closed', :state)",
                {"id": session_id, "state": state, "closed": now if state == "closed" else None},
            ).rowcount
            if changed:
                owner = con.execute("SELECT owner FROM sessions WHERE id = ?", (session_id,)).fetchone()[0]
                insert(con, "session_events", _event(session_id, owner, event))
        return changed == 1

    def extend(
        self,
        session_id: str,
        event: str,
        change: Callable[[SessionRow], tuple[str, Callable[[Sequence[DealRow]], Sequence[Pairing]]]],
    ) -> None:
        """Change the plan and deal more to everybody who is still blind, in one transaction.

        ``change`` gives the new ``settings_json`` and, from one rater's deals so far, the pairs that are added at their end.
        Raises ``NotFoundError`` and ``RunError`` when the session is closed.
        """
        with self.database.write() as con:
            found = con.execute("SELECT * FROM sessions WHERE id = ?", (session_id,))
            session = _session(found.fetchone())
            settings_json, more = change(session)
            update(con, "sessions", session_id, {"settings_json": settings_json})
            blind = (
                "SELECT id FROM raters WHERE session_id = ? AND revealed_at IS NULL AND withdrawn_at IS NULL "
                "AND (expires_at IS NULL OR expires_at > ?)"
            )
            for (rater_id,) in con.execute(blind, (session_id, time.time())).fetchall():
                sql = "SELECT * FROM deals WHERE rater_id = ? ORDER BY position"
                before = [DealRow(*row) for row in con.execute(sql, (rater_id,))]
                for position, pair in enumerate(more(before), start=len(before)):
                    insert(con, "deals", asdict(DealRow(rater_id, position, session.owner, *pair)))
            insert(con, "session_events", _event(session_id, session.owner, event))

    def tell(self, session: SessionRow, text: str) -> None:
        """Add a line to the session's history."""
        with self.database.write() as con:
            insert(con, "session_events", _event(session.id, session.owner, text))

    def events(self, session_id: str) -> tuple[Event, ...]:
        """The session's history, oldest first."""
        return self.database.all(Event, "SELECT at, text FROM session_events WHERE session_id = ? ORDER BY id", (session_id,))

    def gold(self, session_id: str) -> tuple[GoldRow, ...]:
        """The pairs of which the better answer is known."""
        return self.database.all(GoldRow, "SELECT * FROM gold_items WHERE session_id = ? ORDER BY gold_id", (session_id,))

    # ---- raters ----

    def add_rater(
        self,
        session: SessionRow,
        name: str,
        token_hash: str,
        order: Callable[[SessionRow, Sequence[DealRow]], Sequence[Pairing]],
        *,
        via: Via = "invite",
        login: str = "",
        expires_at: float | None = None,
    ) -> RaterRow:
        """A rater with an own order. ``order`` is given the session and the pairs that are taken, and says what to show.

        Somebody who has a seat already, by token or by login, keeps it. Raises ``RunError`` when the session is closed.
        """
        row = RaterRow(
            new_id("rat"), session.owner, session.id, name, token_hash, time.time(), None, "",
            via=via, login=login, expires_at=expires_at,
        )  # fmt: skip
        with self.database.write() as con:
            now = _session(con.execute("SELECT * FROM sessions WHERE id = ?", (session.id,)).fetchone())
            known = con.execute(
                "SELECT * FROM raters WHERE token_hash = ? OR (session_id = ? AND login = ? AND login <> '')",
                (token_hash, session.id, login),
            ).fetchone()
            if known is not None:
                return RaterRow(*known)
            taken = [DealRow(*deal) for deal in con.execute(_TAKEN, {"session": session.id, "now": time.time()})]
            insert(con, "raters", asdict(row))
            for position, pair in enumerate(order(now, taken)):
                insert(con, "deals", asdict(DealRow(row.id, position, session.owner, *pair)))
        return row

    def rater_of(self, token_hash: str) -> RaterRow | None:
        """The rater whose token has this hash."""
        return self.database.one(RaterRow, "SELECT * FROM raters WHERE token_hash = ?", (token_hash,))

    def raters(self, session_id: str) -> tuple[RaterRow, ...]:
        """Everyone who was invited, in order of invitation."""
        sql = "SELECT * FROM raters WHERE session_id = ? ORDER BY created_at, rowid"
        return self.database.all(RaterRow, sql, (session_id,))

    def change_token(self, rater_id: str, token_hash: str) -> None:
        """Let another token lead to this seat, and the one before to nothing."""
        with self.database.write() as con:
            update(con, "raters", rater_id, {"token_hash": token_hash})

    def withdraw(self, rater: RaterRow, event: str) -> None:
        """Take a seat back: it takes no more votes, and what was not rated is free for others. Votes stay."""
        with self.database.write() as con:
            sql = "UPDATE raters SET withdrawn_at = ? WHERE id = ? AND withdrawn_at IS NULL"
            if con.execute(sql, (time.time(), rater.id)).rowcount:
                insert(con, "session_events", _event(rater.session_id, rater.owner, event))

    def prolong(self, session: SessionRow, expires_at: float, event: str) -> None:
        """Let every invite that expires and was not withdrawn lead in until ``expires_at``; one that lasts longer stays."""
        with self.database.write() as con:
            con.execute(
                "UPDATE raters SET expires_at = ? WHERE session_id = ? AND withdrawn_at IS NULL AND expires_at < ?",
                (expires_at, session.id, expires_at),
            )
            insert(con, "session_events", _event(session.id, session.owner, event))

    def reveal(self, rater_id: str, guess: str = "") -> None:
        """Record, once and for good, that this rater has seen which side was which, and what they guessed before."""
        with self.database.write() as con:
            found = con.execute("SELECT revealed_at FROM raters WHERE id = ?", (rater_id,)).fetchone()
            if found is None:
                raise NotFoundError("This rater is not part of the session.")
            if found[0] is None:
                update(con, "raters", rater_id, {"revealed_at": time.time(), "guess": guess})

    def place(self, rater_id: str, position: int | None = None) -> Place | None:
        """Where a rater is, and what they were dealt and said at ``position``, or at the first pair without a blind vote.

        When every pair has one, that is the last. ``None`` for a position that was not dealt. One question, one row: it is
        asked several times for each vote, and SQLite's rows are what fifty raters at once would wait for.
        """
        return self.database.one(Place, _PLACE, {"rater": rater_id, "position": position})

    def deals(self, rater_id: str) -> tuple[DealRow, ...]:
        """The rater's pairs in the order of showing."""
        return self.database.all(DealRow, "SELECT * FROM deals WHERE rater_id = ? ORDER BY position", (rater_id,))

    def all_deals(self, session_id: str) -> tuple[DealRow, ...]:
        """Every rater's pairs, each rater's in the order of showing."""
        sql = (
            "SELECT deals.* FROM deals JOIN raters ON raters.id = deals.rater_id WHERE raters.session_id = ? "
            "ORDER BY deals.rater_id, deals.position"
        )
        return self.database.all(DealRow, sql, (session_id,))

    # ---- votes ----

    def vote(self, rater: RaterRow, deal: DealRow, said: Ballot, *, least_seconds: float = 0.0) -> tuple[bool, float]:
        """Write one vote: whether it was written, and the seconds to wait when it came too early.

        Not written when the rater's last vote on this pair says the same, as after a double click, or when less than
        ``least_seconds`` have passed since this rater's last vote on another pair. A vote after the rater's reveal is kept and
        flagged. Raises ``NotFoundError`` when the rater is gone and ``RunError`` when the session is closed or paused, or the
        seat has expired or was withdrawn; all looked up in the vote's own transaction, so no vote slips in behind a close.
        """
        return self.database.write_together(lambda con: _write_vote(con, rater, deal, said, least_seconds))

    def votes_of(self, rater_id: str) -> tuple[VoteRow, ...]:
        """The rater's log, oldest first."""
        return self.database.all(VoteRow, "SELECT * FROM votes WHERE rater_id = ? ORDER BY id", (rater_id,))

    def votes(self, session_id: str) -> tuple[VoteRow, ...]:
        """The session's log, oldest first."""
        return self.database.all(VoteRow, "SELECT * FROM votes WHERE session_id = ? ORDER BY id", (session_id,))

    def mark(self, session_id: str) -> str:
        """A short text that is another one as soon as anything in the session is: for pages that ask again and again."""
        found = self.database.one(_Mark, _MARK, {"session": session_id, "now": time.time()})
        return "" if found is None else "-".join(str(each or 0) for each in astuple(found))

    # ---- the signing key ----

    def signing_key(self) -> bytes:
        """What signs the tokens of this studio: drawn once, and the same for every process on this file."""
        if "invites" not in self._keys:
            sql = "SELECT value FROM secrets WHERE name = 'invites'"
            if self.database.one(_Secret, sql) is None:
                with self.database.write() as con:
                    drawn = secrets.token_hex(32)
                    con.execute("INSERT OR IGNORE INTO secrets VALUES ('invites', 'studio', ?)", (drawn,))
            # Asked again: another process may have been first.
            self._keys["invites"] = bytes.fromhex("".join(one.value for one in self.database.all(_Secret, sql)))
        return self._keys["invites"]


@dataclass(frozen=True, slots=True)
class _Secret:
    value: str


@dataclass(frozen=True, slots=True)
class _Mark:
    """The last vote, the last change by the owner, and how many raters there are, have finished and have expired."""

    vote: int | None
    event: int | None
    raters: int
    revealed: int
    expired: int


_MARK: Final = """
SELECT (SELECT max(id) FROM votes WHERE session_id = :session) AS vote,
       (SELECT max(id) FROM session_events WHERE session_id = :session) AS event,
       count(*) AS raters, count(revealed_at) AS revealed, count(CASE WHEN expires_at <= :now THEN 1 END) AS expired
FROM raters WHERE session_id = :session
"""


def _event(session_id: str, owner: str, text: str) -> dict[str, str | float]:
    return {"session_id": session_id, "owner": owner, "at": time.time(), "text": text}


def _session(found: Sequence[str] | None) -> SessionRow:
    if found is None:
        raise NotFoundError("This session is gone.", next_step="Open the link that you were given.")
    session = SessionRow(*found)  # type: ignore[arg-type]
    if session.state == "closed":
        raise RunError("This session is closed.", next_step="Open a new session over the same answers.")
    return session


def _write_vote(con: Connection, rater: RaterRow, deal: DealRow, said: Ballot, least_seconds: float) -> tuple[bool, float]:
    standing = con.execute(_STANDING, (rater.id,)).fetchone()
    now = time.time()
    _require_open(standing, now)
    last = con.execute(
        "SELECT choice, criteria_json, comment FROM votes WHERE rater_id = ? AND position = ? ORDER BY id DESC LIMIT 1",
        (rater.id, deal.position),
    ).fetchone()
    if last is not None and tuple(last) == (said.choice, said.criteria_json, said.comment):
        return False, 0.0
    if last is None and least_seconds:
        before = con.execute("SELECT max(at) FROM votes WHERE rater_id = ?", (rater.id,)).fetchone()[0]
        wait = least_seconds - (now - before) if before is not None else 0.0
        if wait > 0:
            return False, wait
    vote = {"owner": rater.owner, "session_id": rater.session_id, "rater_id": rater.id}
    place = {"position": deal.position, "prompt_id": deal.prompt_id}
    insert(con, "votes", vote | place | asdict(said) | {"unblinded": int(standing[0] is not None), "at": now})
    return True, 0.0


def _require_open(standing: tuple[float | None, float | None, float | None, SessionStatus] | None, now: float) -> None:
    kept = "What you rated before is kept."
    if standing is None:
        raise NotFoundError("This rater is not part of the session.")
    _, withdrawn_at, expires_at, state = standing
    if state != "open":
        raise RunError(f"This session is {state} and takes no more votes.", next_step=kept)
    if withdrawn_at is not None or (expires_at is not None and expires_at <= now):
        raise RunError("This link has expired and takes no more votes.", next_step=kept)
