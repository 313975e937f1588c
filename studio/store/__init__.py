"""What must not be lost, in one SQLite file: jobs, data sets, runs, sweeps, comparisons, sessions, votes, talks.

The only room that imports sqlite3. Guarantees: migrations are applied by the constructor; a write is durable when the call
returns; rows come back as frozen typed values; every row has an owner.
"""

from __future__ import annotations

from pathlib import Path

from studio.store.database import Database
from studio.store.ids import checked_id, new_id
from studio.store.jobs import Jobs
from studio.store.library import Comparisons, Datasets, Runs
from studio.store.machine import MISSING, MachineJudgeRow, MachineRatingRow, MachineRatings, Missing
from studio.store.ratings import Ratings
from studio.store.rows import (
    CHOICES,
    ENDED,
    LIVE,
    AnswerRow,
    Arm,
    ArmKind,
    ArmRow,
    Choice,
    ComparisonRow,
    DatasetRow,
    DealKind,
    DealRow,
    Event,
    GoldRow,
    Job,
    JobKind,
    JobStatus,
    Pairing,
    PromptRow,
    RaterRow,
    RunRow,
    SessionRow,
    SessionStatus,
    Side,
    SweepRow,
    TrialRow,
    TrialState,
    Via,
    VoteRow,
)
from studio.store.sweeps import Sweeps
from studio.store.talks import Talks

__all__ = [
    "CHOICES",
    "ENDED",
    "LIVE",
    "MISSING",
    "AnswerRow",
    "Arm",
    "ArmKind",
    "ArmRow",
    "Choice",
    "ComparisonRow",
    "DatasetRow",
    "DealKind",
    "DealRow",
    "Event",
    "GoldRow",
    "Job",
    "JobKind",
    "JobStatus",
    "MachineJudgeRow",
    "MachineRatingRow",
    "Missing",
    "Pairing",
    "PromptRow",
    "RaterRow",
    "RunRow",
    "SessionRow",
    "SessionStatus",
    "Side",
    "Store",
    "SweepRow",
    "TrialRow",
    "TrialState",
    "Via",
    "VoteRow",
    "checked_id",
    "new_id",
]


class Store:
    """The studio's memory. Safe to share between threads; other processes open their own on the same file.

    Raises ``StoreError`` when the file cannot be opened or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.jobs = Jobs(self._database)
        self.datasets = Datasets(self._database)
        self.runs = Runs(self._database)
        self.sweeps = Sweeps(self._database)
        self.comparisons = Comparisons(self._database)
        self.ratings = Ratings(self._database)
        self.machine = MachineRatings(self._database)
        self.talks = Talks(self._database)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()
