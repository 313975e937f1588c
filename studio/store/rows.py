"""The rows of the store as frozen values. A field is a column of the same name; times are seconds since the epoch, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, get_args

JobKind = Literal["train", "answers", "sweep", "judge"]
JobStatus = Literal["queued", "starting", "running", "stopping", "stopped", "completed", "failed", "interrupted"]
TrialState = Literal["running", "completed", "pruned", "failed", "stopped"]
ArmKind = Literal["base", "run", "checkpoint", "model", "imported"]
SessionStatus = Literal["open", "paused", "closed"]
DealKind = Literal["pair", "gold"]
Via = Literal["invite", "login", "owner"]
#: The name of an arm: unique in its comparison.
Arm = str
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
    """Answers of two or more arms to the same prompts; its job has the same id. ``run_id`` is ``None`` without a run."""

    id: str
    owner: str
    run_id: str | None
    created_at: float
    settings_json: str
    measures_json: str


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One of the systems that are compared.

    ``name`` is neutral and unique in the comparison (``base``, ``tuned``, ``run-2``, ``file-1``); ``label`` is what people read
    once they may know. ``path`` is the sampler path or the name of the imported file, empty for a base model.
    """

    comparison_id: str
    name: str
    position: int
    owner: str
    kind: ArmKind
    label: str
    run_id: str | None = None
    path: str = ""
    details_json: str = "{}"

    @property
    def reference(self) -> bool:
        """Whether the others are compared with it: the arm at position 0, normally the base model."""
        return self.position == 0


@dataclass(frozen=True, slots=True)
class PromptRow:
    """What is known of a prompt besides its text.

    ``slices_json`` maps a slice's name to this prompt's value (source, label, length band); ``stamp`` is empty for a prompt
    that was held out, and otherwise says what it is (``not held out``, ``trained on``).
    """

    comparison_id: str
    prompt_id: str
    owner: str
    position: int
    slices_json: str = "{}"
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer of one arm.

    ``nll`` is the mean negative log-likelihood of the reference in nats per token; ``seconds`` the time until the whole answer
    was there, ``None`` where nobody measured it; ``details_json`` is for other things that were measured with it.
    """

    comparison_id: str
    prompt_id: str
    arm: str
    owner: str
    position: int
    prompt_json: str
    reference: str
    text: str
    tokens: int
    stop_reason: str
    nll: float | None
    nll_tokens: int
    seconds: float | None = None
    details_json: str = "{}"


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One rating session over one comparison."""

    id: str
    owner: str
    comparison_id: str
    state: SessionStatus
    created_at: float
    closed_at: float | None
    settings_json: str


@dataclass(frozen=True, slots=True)
class RaterRow:
    """A person who rates in one session; only the hash of the token is kept.

    ``login`` is the name of somebody who came in by signing in, empty for everybody else. ``expires_at`` is ``None`` for a
    seat that does not expire, ``withdrawn_at`` for one that the owner has not taken back.
    """

    id: str
    owner: str
    session_id: str
    name: str
    token_hash: str
    created_at: float
    revealed_at: float | None
    guess: str
    via: Via = "invite"
    login: str = ""
    expires_at: float | None = None
    withdrawn_at: float | None = None

    @property
    def is_owner(self) -> bool:
        """Whether the owner of the session sits here."""
        return self.via == "owner"


class Pairing(NamedTuple):
    """One pair before it has a place in somebody's order: see ``DealRow``."""

    prompt_id: str
    left_arm: str
    right_arm: str
    kind: DealKind = "pair"


@dataclass(frozen=True, slots=True)
class DealRow:
    """One pair in one rater's order, with the arm that stands on each side.

    Of a gold item ``prompt_id`` is its id, and the two arms are called ``better`` and ``worse``.
    """

    rater_id: str
    position: int
    owner: str
    prompt_id: str
    left_arm: str
    right_arm: str
    kind: DealKind = "pair"

    def side_of(self, arm: str) -> Side | None:
        """Where this arm stands, ``None`` when it is not in this pair."""
        return "left" if arm == self.left_arm else "right" if arm == self.right_arm else None


@dataclass(frozen=True, slots=True)
class GoldRow:
    """A pair of which the better answer is known."""

    session_id: str
    gold_id: str
    owner: str
    prompt_json: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class VoteRow:
    """One line of the vote log.

    ``criteria_json`` maps a criterion to ``left``, ``right`` or ``tie``; ``seconds`` is the time from showing to voting as the
    browser measured it, ``None`` when it did not say.
    """

    id: int
    owner: str
    session_id: str
    rater_id: str
    position: int
    prompt_id: str
    choice: Choice
    unblinded: int
    at: float
    criteria_json: str = "{}"
    comment: str = ""
    seconds: float | None = None


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
