"""The rows of the store as frozen values. A field is a column of the same name; times are seconds since the epoch, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

JobKind = Literal["train", "answers", "sweep"]
JobStatus = Literal["queued", "starting", "running", "stopping", "stopped", "completed", "failed", "interrupted"]
TrialState = Literal["running", "completed", "pruned", "failed", "stopped"]
Arm = Literal["base", "tuned"]
Side = Literal["left", "right"]
Choice = Literal["left", "right", "tie", "both_bad", "skip"]

CHOICES: Final[tuple[Choice, ...]] = get_args(Choice)

#: A job in one of these has, or should have, a living process.
LIVE: Final[frozenset[JobStatus]] = frozenset({"starting", "running", "stopping"})
#: A job in one of these will not change again unless somebody resumes it.
ENDED: Final[frozenset[JobStatus]] = frozenset({"stopped", "completed", "failed", "interrupted"})


@dataclass(frozen=True, slots=True)
class Job:
    """Work that a process of its own does. ``done`` of ``total`` is in the job's own unit: steps, or answers."""

    id: str
    owner: str
    kind: JobKind
    status: JobStatus
    phase: str
    reason: str
    next_step: str
    done: int
    total: int
    pid: int | None
    pid_started: float | None
    created_at: float
    started_at: float | None
    ended_at: float | None

    @property
    def live(self) -> bool:
        """Whether a process should be working on it now."""
        return self.status in LIVE

    @property
    def ended(self) -> bool:
        """Whether it has come to rest."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A data set that has been checked and split; its files lie in ``settings.datasets / id``."""

    id: str
    owner: str
    name: str
    created_at: float
    rows: int
    fingerprint: str
    manifest_json: str


@dataclass(frozen=True, slots=True)
class RunRow:
    """What was asked for and what came out; whether it is running is its job's business (same id).

    ``seal`` is the digest of the record of what it is trained on; empty for runs of a version that kept none.
    """

    id: str
    owner: str
    name: str
    dataset_id: str
    method: str
    model: str
    recipe_json: str
    created_at: float
    sampler_path: str
    checkpoint_path: str
    result_json: str
    seal: str = ""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """Answers of base and tuned to the same held-out prompts; its job has the same id."""

    id: str
    owner: str
    run_id: str
    created_at: float
    settings_json: str
    measures_json: str


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer of one arm. ``nll`` is the mean negative log-likelihood of the reference in nats per token."""

    comparison_id: str
    prompt_id: str
    arm: Arm
    owner: str
    position: int
    prompt_json: str
    reference: str
    text: str
    tokens: int
    stop_reason: str
    nll: float | None
    nll_tokens: int


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One rating session over one comparison."""

    id: str
    owner: str
    comparison_id: str
    state: Literal["open", "closed"]
    created_at: float
    closed_at: float | None
    settings_json: str


@dataclass(frozen=True, slots=True)
class RaterRow:
    """A person who rates in one session; only the hash of the invite token is kept."""

    id: str
    owner: str
    session_id: str
    name: str
    token_hash: str
    created_at: float
    revealed_at: float | None
    guess: str


@dataclass(frozen=True, slots=True)
class DealRow:
    """One prompt in one rater's order, with the side on which the tuned answer is shown."""

    rater_id: str
    position: int
    owner: str
    prompt_id: str
    tuned_side: Side


@dataclass(frozen=True, slots=True)
class VoteRow:
    """One line of the vote log."""

    id: int
    owner: str
    session_id: str
    rater_id: str
    position: int
    prompt_id: str
    choice: Choice
    unblinded: int
    at: float


@dataclass(frozen=True, slots=True)
class SweepRow:
    """A search for settings; its job has the same id. ``note`` says why it ended before all trials were made."""

    id: str
    owner: str
    name: str
    dataset_id: str
    plan_json: str
    created_at: float
    note: str


@dataclass(frozen=True, slots=True)
class TrialRow:
    """One trial: the settings that were varied, the run that tried them, and the number that came out."""

    sweep_id: str
    number: int
    owner: str
    run_id: str
    settings_json: str
    state: TrialState
    value: float | None
    reason: str
