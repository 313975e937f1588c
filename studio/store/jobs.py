"""Jobs and their history: the one place where the state of work in progress is kept.

Guarantees: a status change and the event that explains it are one transaction; a job that is claimed is claimed once, even
when two studios look at the same home folder.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from studio.errors import NotFoundError
from studio.store.database import Database, Value, insert, update
from studio.store.rows import LIVE, Event, Job, JobKind, JobStatus

_LIVE_LIST: Final = ", ".join(f"'{status}'" for status in sorted(LIVE))


@dataclass(frozen=True, slots=True)
class Jobs:
    """Reads and writes the ``jobs`` and ``events`` tables."""

    database: Database

    def add(self, job_id: str, kind: JobKind, owner: str) -> Job:
        """A new job, queued. Use ``studio.store.ids.new_id`` for the id."""
        with self.database.write() as con:
            insert(con, "jobs", new_job_values(job_id, kind, owner))
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """The job. Raises ``NotFoundError``."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {job_id!r}.", next_step="Choose one from the list of runs.")
        return job

    def find(self, job_id: str) -> Job | None:
        """The job, or ``None``."""
        return self.database.one(Job, "SELECT * FROM jobs WHERE id = ?", (job_id,))

    def live(self) -> tuple[Job, ...]:
        """Every job that should have a process now, oldest first."""
        return self.database.all(Job, f"SELECT * FROM jobs WHERE status IN ({_LIVE_LIST}) ORDER BY created_at")  # noqa: S608

    def waiting(self) -> tuple[Job, ...]:
        """Every queued job, oldest first."""
        return self.database.all(Job, "SELECT * FROM jobs WHERE status = 'queued' ORDER BY created_at, rowid")

    def claim(self, job_id: str, *, most_live_of_kind: int = 1) -> bool:
        """Move a queued job to ``starting``; ``False`` when it is not queued, or enough of its kind are live already."""
        with self.database.write() as con:
            changed = con.execute(
                "UPDATE jobs SET status = 'starting', phase = 'starting', "  # noqa: S608
                "started_at = COALESCE(started_at, :now), ended_at = NULL "
                "WHERE id = :id AND status = 'queued' AND "
                f"(SELECT count(*) FROM jobs AS other WHERE other.kind = jobs.kind AND other.status IN ({_LIVE_LIST})) < :most",
                {"id": job_id, "now": time.time(), "most": most_live_of_kind},
            ).rowcount
        return changed == 1

    def update(self, job_id: str, **changes: Value) -> None:
        """Change columns that describe progress (``phase, done, total, pid, pid_started``). Raises ``NotFoundError``."""
        with self.database.write() as con:
            if changes and update(con, "jobs", job_id, changes) == 0:
                raise NotFoundError(f"There is no job {job_id!r}.")

    def move(
        self,
        job_id: str,
        status: JobStatus,
        *,
        only_from: Sequence[JobStatus] = (),
        reason: str = "",
        next_step: str = "",
        event: str = "",
    ) -> bool:
        """Change the status, with why and what next; ``False`` when the job is in none of the ``only_from`` states.

        Coming to rest stamps ``ended_at`` and forgets the process, and the phase too, but for one that failed: it says where.
        """
        now = time.time()
        rest: dict[str, Value] = {"ended_at": now, "pid": None, "pid_started": None} if status not in LIVE | {"queued"} else {}
        if status in ("completed", "stopped"):
            rest["phase"] = ""
        if status == "queued":
            rest = {"ended_at": None, "pid": None, "pid_started": None}
        with self.database.write() as con:
            found = con.execute("SELECT status, owner FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise NotFoundError(f"There is no job {job_id!r}.")
            if only_from and found[0] not in only_from:
                return False
            update(con, "jobs", job_id, {"status": status, "reason": reason, "next_step": next_step, **rest})
            insert(con, "events", {"owner": found[1], "job_id": job_id, "at": now, "text": event or reason or status})
        return True

    def tell(self, job_id: str, text: str) -> None:
        """Add a line to the job's history. Raises ``NotFoundError``."""
        job = self.get(job_id)
        with self.database.write() as con:
            insert(con, "events", {"owner": job.owner, "job_id": job_id, "at": time.time(), "text": text})

    def events(self, job_id: str) -> tuple[Event, ...]:
        """The job's history, oldest first."""
        return self.database.all(Event, "SELECT at, text FROM events WHERE job_id = ? ORDER BY id", (job_id,))


def new_job_values(job_id: str, kind: JobKind, owner: str) -> dict[str, Value]:
    """Column values of a job that waits, for whoever inserts it together with the row that it is about."""
    return {"id": job_id, "owner": owner, "kind": kind, "status": "queued", "phase": "waiting", "created_at": time.time()}
