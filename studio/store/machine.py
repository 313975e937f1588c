"""What models said about the pairs of a session, apart from what people said.

Guarantees: a judging and its job are made together; a rating is on disk when ``keep`` returns; a pair in one order has one
rating, and only one that failed on the way is ever replaced; nothing here is in the tables of votes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal, get_args

from studio.errors import NotFoundError
from studio.store.database import Database, insert
from studio.store.ids import checked_id, new_id
from studio.store.jobs import new_job_values
from studio.store.rows import Choice

#: Why there is no choice: no answer arrived, the model would not say, or what it said names no side.
Missing = Literal["failed", "refused", "unreadable"]

MISSING: Final[tuple[Missing, ...]] = get_args(Missing)

_KEEP: Final = """
INSERT INTO machine_ratings
  (judge_id, prompt_id, left_arm, right_arm, owner, choice, missing, detail, reply, tokens_in, tokens_out, at)
VALUES
  (:judge_id, :prompt_id, :left_arm, :right_arm, :owner, :choice, :missing, :detail, :reply, :tokens_in, :tokens_out, :at)
ON CONFLICT (judge_id, prompt_id, left_arm, right_arm) DO UPDATE SET
  choice = excluded.choice, missing = excluded.missing, detail = excluded.detail, reply = excluded.reply,
  tokens_in = excluded.tokens_in, tokens_out = excluded.tokens_out, at = excluded.at
WHERE machine_ratings.missing = 'failed'
"""


@dataclass(frozen=True, slots=True)
class MachineJudgeRow:
    """One model that was asked about one session; its job has the same id. ``settings_json`` holds no key."""

    id: str
    owner: str
    session_id: str
    created_at: float
    settings_json: str


@dataclass(frozen=True, slots=True)
class MachineRatingRow:
    """What a model said about one pair in one order.

    ``choice`` is ``None`` when there is none; then ``missing`` says why, and ``detail`` in which words. ``reply`` is what the
    model wrote. ``tokens_in`` and ``tokens_out`` are as the server counted them, ``None`` where it did not say.
    """

    judge_id: str
    prompt_id: str
    left_arm: str
    right_arm: str
    owner: str
    choice: Choice | None
    missing: Missing | Literal[""] = ""
    detail: str = ""
    reply: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class MachineRatings:
    """Reads and writes ``machine_judges`` and ``machine_ratings``."""

    database: Database

    def add(self, *, owner: str, session_id: str, settings_json: str, judge_id: str = "") -> MachineJudgeRow:
        """A new judging with a queued job of the same id. One that this owner has under ``judge_id`` already is given back.

        Raises ``StoreError`` for the id of somebody else's.
        """
        name = checked_id(judge_id) if judge_id else new_id("jdg")
        row = MachineJudgeRow(name, owner, session_id, time.time(), settings_json)
        with self.database.write() as con:
            # Inside the transaction: two presses at once must not both find nothing.
            known = self.database.one(
                MachineJudgeRow, "SELECT * FROM machine_judges WHERE id = ? AND owner = ?", (row.id, owner)
            )
            if known is not None:
                return known
            insert(con, "jobs", new_job_values(row.id, "judge", owner))
            insert(con, "machine_judges", asdict(row))
        return row

    def get(self, judge_id: str, owner: str) -> MachineJudgeRow:
        """The judging, if it is this owner's. Raises ``NotFoundError``."""
        row = self.database.one(MachineJudgeRow, "SELECT * FROM machine_judges WHERE id = ? AND owner = ?", (judge_id, owner))
        if row is None:
            raise NotFoundError("This opinion of a model is gone.", next_step="Ask a model again.")
        return row

    def of_session(self, session_id: str, owner: str) -> tuple[MachineJudgeRow, ...]:
        """Every judging of a session, oldest first."""
        sql = "SELECT * FROM machine_judges WHERE session_id = ? AND owner = ? ORDER BY created_at, rowid"
        return self.database.all(MachineJudgeRow, sql, (session_id, owner))

    def keep(self, rows: Sequence[MachineRatingRow]) -> None:
        """Write ratings. One that is there stays as it is, unless it had failed on the way. Raises ``StoreError``."""
        now = time.time()
        with self.database.write() as con:
            con.executemany(_KEEP, [asdict(row) | {"at": now} for row in rows])

    def ratings(self, judge_id: str) -> tuple[MachineRatingRow, ...]:
        """What this judging found so far, pair by pair."""
        sql = "SELECT * FROM machine_ratings WHERE judge_id = ? ORDER BY prompt_id, left_arm, right_arm"
        return self.database.all(MachineRatingRow, sql, (judge_id,))
