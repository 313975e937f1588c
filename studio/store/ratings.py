"""Rating sessions: who was invited, what each was shown on which side, and every vote ever cast.

Guarantees: a vote is on disk when ``vote`` returns; the log is append-only; an order once dealt never changes.
This room stores; the rules of blindness live in ``studio.compare.blind``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from studio.errors import NotFoundError, RunError
from studio.store.database import Database, insert, update
from studio.store.ids import new_id
from studio.store.rows import Choice, DealRow, Pairing, RaterRow, SessionRow, VoteRow


@dataclass(frozen=True, slots=True)
class Ratings:
    """Reads and writes ``sessions, raters, deals, votes``."""

    database: Database

    def open_session(self, *, owner: str, comparison_id: str, settings_json: str) -> SessionRow:
        """A new open session over one comparison."""
        row = SessionRow(new_id("ses"), owner, comparison_id, "open", time.time(), None, settings_json)
        with self.database.write() as con:
            insert(con, "sessions", asdict(row))
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

    def close_session(self, session_id: str) -> None:
        """Take no more votes. Closing twice changes nothing."""
        with self.database.write() as con:
            con.execute(
                "UPDATE sessions SET state = 'closed', closed_at = ? WHERE id = ? AND state = 'open'", (time.time(), session_id)
            )

    def add_rater(self, session: SessionRow, name: str, token_hash: str, order: Sequence[Pairing]) -> RaterRow:
        """A rater with an own order: ``order`` is the pairs in the order of showing."""
        row = RaterRow(new_id("rat"), session.owner, session.id, name, token_hash, time.time(), None, "")
        with self.database.write() as con:
            insert(con, "raters", asdict(row))
            for position, pair in enumerate(order):
                insert(con, "deals", asdict(DealRow(row.id, position, session.owner, *pair)))
        return row

    def rater_of(self, token_hash: str) -> RaterRow | None:
        """The rater whose invite has this hash."""
        return self.database.one(RaterRow, "SELECT * FROM raters WHERE token_hash = ?", (token_hash,))

    def raters(self, session_id: str) -> tuple[RaterRow, ...]:
        """Everyone who was invited, in order of invitation."""
        return self.database.all(RaterRow, "SELECT * FROM raters WHERE session_id = ? ORDER BY created_at", (session_id,))

    def deals(self, rater_id: str) -> tuple[DealRow, ...]:
        """The rater's prompts in the order of showing."""
        return self.database.all(DealRow, "SELECT * FROM deals WHERE rater_id = ? ORDER BY position", (rater_id,))

    def vote(self, rater: RaterRow, deal: DealRow, choice: Choice) -> bool:
        """Write one vote; ``False`` when the rater's last vote on this prompt says the same, as after a double click.

        A vote after the rater's reveal is kept and flagged. Raises ``NotFoundError`` when the rater is gone and ``RunError``
        when the session is closed; both are looked up in the vote's own transaction, so no vote slips in behind a close.
        """
        with self.database.write() as con:
            state = con.execute(
                "SELECT raters.revealed_at, sessions.state FROM raters JOIN sessions ON sessions.id = raters.session_id "
                "WHERE raters.id = ?",
                (rater.id,),
            ).fetchone()
            if state is None:
                raise NotFoundError("This rater is not part of the session.")
            if state[1] != "open":
                raise RunError("This session is closed and takes no more votes.", next_step="What you rated before is kept.")
            last = con.execute(
                "SELECT choice FROM votes WHERE rater_id = ? AND position = ? ORDER BY id DESC LIMIT 1",
                (rater.id, deal.position),
            ).fetchone()
            if last is not None and last[0] == choice:
                return False
            insert(
                con,
                "votes",
                {
                    "owner": rater.owner,
                    "session_id": rater.session_id,
                    "rater_id": rater.id,
                    "position": deal.position,
                    "prompt_id": deal.prompt_id,
                    "choice": choice,
                    "unblinded": int(state[0] is not None),
                    "at": time.time(),
                },
            )
        return True

    def votes_of(self, rater_id: str) -> tuple[VoteRow, ...]:
        """The rater's log, oldest first."""
        return self.database.all(VoteRow, "SELECT * FROM votes WHERE rater_id = ? ORDER BY id", (rater_id,))

    def votes(self, session_id: str) -> tuple[VoteRow, ...]:
        """The session's log, oldest first."""
        return self.database.all(VoteRow, "SELECT * FROM votes WHERE session_id = ? ORDER BY id", (session_id,))

    def reveal(self, rater_id: str, guess: str = "") -> None:
        """Record, once and for good, that this rater has seen which side was which, and what they guessed before."""
        with self.database.write() as con:
            found = con.execute("SELECT revealed_at FROM raters WHERE id = ?", (rater_id,)).fetchone()
            if found is None:
                raise NotFoundError("This rater is not part of the session.")
            if found[0] is None:
                update(con, "raters", rater_id, {"revealed_at": time.time(), "guess": guess})
