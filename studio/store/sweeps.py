"""Sweeps and their trials: which settings were tried, by which runs, and what came out.

Guarantees: a sweep and its job are made together; a trial is on disk before its run is made; numbers count from 1 without gaps.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from studio.errors import NotFoundError
from studio.store.database import Database, insert, update
from studio.store.ids import checked_id, new_id
from studio.store.jobs import new_job_values
from studio.store.rows import SweepRow, TrialRow, TrialState


@dataclass(frozen=True, slots=True)
class Sweeps:
    """Reads and writes ``sweeps`` and ``sweep_trials``."""

    database: Database

    def add(self, *, owner: str, name: str, dataset_id: str, plan_json: str, sweep_id: str = "") -> SweepRow:
        """A new sweep with a queued job of the same id. One that this owner has under ``sweep_id`` already is given back.

        Raises ``StoreError`` for the id of somebody else's.
        """
        row = SweepRow(checked_id(sweep_id) if sweep_id else new_id("swp"), owner, name, dataset_id, plan_json, time.time(), "")
        with self.database.write() as con:
            # Inside the transaction: two presses at once must not both find nothing.
            known = self.database.one(SweepRow, "SELECT * FROM sweeps WHERE id = ? AND owner = ?", (row.id, owner))
            if known is not None:
                return known
            insert(con, "jobs", new_job_values(row.id, "sweep", owner))
            insert(con, "sweeps", asdict(row))
        return row

    def get(self, sweep_id: str, owner: str) -> SweepRow:
        """The sweep, if it is this owner's. Raises ``NotFoundError``."""
        row = self.database.one(SweepRow, "SELECT * FROM sweeps WHERE id = ? AND owner = ?", (sweep_id, owner))
        if row is None:
            raise NotFoundError(f"There is no sweep {sweep_id!r}.", next_step="Start one from the settings.")
        return row

    def all(self, owner: str) -> tuple[SweepRow, ...]:
        """This owner's sweeps, newest first."""
        return self.database.all(SweepRow, "SELECT * FROM sweeps WHERE owner = ? ORDER BY created_at DESC", (owner,))

    def note(self, sweep_id: str, text: str) -> None:
        """Keep why the sweep ended early; an empty text forgets it. Raises ``NotFoundError``."""
        with self.database.write() as con:
            if update(con, "sweeps", sweep_id, {"note": text}) == 0:
                raise NotFoundError(f"There is no sweep {sweep_id!r}.")

    def add_trial(self, sweep: SweepRow, settings_json: str) -> TrialRow:
        """The next trial, running, with the id that its run is to have."""
        with self.database.write() as con:
            last = con.execute("SELECT COALESCE(MAX(number), 0) FROM sweep_trials WHERE sweep_id = ?", (sweep.id,)).fetchone()
            row = TrialRow(sweep.id, int(last[0]) + 1, sweep.owner, new_id("run"), settings_json, "running", None, "")
            insert(con, "sweep_trials", asdict(row))
        return row

    def end_trial(self, trial: TrialRow, state: TrialState, value: float | None, reason: str = "") -> None:
        """Record how the trial ended."""
        with self.database.write() as con:
            con.execute(
                "UPDATE sweep_trials SET state = ?, value = ?, reason = ? WHERE sweep_id = ? AND number = ?",
                (state, value, reason, trial.sweep_id, trial.number),
            )

    def trials(self, sweep_id: str) -> tuple[TrialRow, ...]:
        """Every trial in the order they were made."""
        return self.database.all(TrialRow, "SELECT * FROM sweep_trials WHERE sweep_id = ? ORDER BY number", (sweep_id,))
