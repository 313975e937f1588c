"""What the data room hands out: plain frozen values, each of which goes to JSON and comes back equal.

Guarantees: nothing here touches a file or a database; every text in these values is the person's own text, unescaped (whoever
shows it escapes it); line numbers are those a text editor shows, counted from 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from studio.errors import DataError, StudioError

Format = Literal["csv", "json", "jsonl", "parquet"]
Container = Literal["csv", "json_array", "json_object", "jsonl", "parquet"]
Severity = Literal["error", "warning", "info"]
#: The known forms. ``preference_hh`` has the prompt inside both answers, ``preference_messages`` has whole chats as answers,
#: ``prompts`` has questions and no answers.
Kind = Literal[
    "prompt_completion",
    "messages",
    "sharegpt",
    "alpaca",
    "mixed",
    "text",
    "preference",
    "preference_hh",
    "preference_messages",
    "rl_answer",
    "rl_reward",
    "prompts",
]
#: How a form trains: supervised, reinforcement, or from pairs.
TrainingType = Literal["SL", "RL", "DPO"]

#: How many line numbers a finding carries; its ``count`` always covers all of them.
SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class Fix:
    """One recorded transformation: which one, and its argument (an encoding, a column, a code), if it takes one."""

    id: str
    value: str = ""

    @classmethod
    def from_dict(cls, value: Mapping[str, str]) -> Self:
        """The fix that ``asdict`` wrote."""
        return cls(**value)


@dataclass(frozen=True, slots=True)
class Reading:
    """How a person wants one file read; everything left out is decided from the content.

    ``mapping`` names columns by part, ``kind`` the form, ``fixes`` the repairs in the order in which they are applied.
    ``encoding`` overrules what the bytes suggest, ``header`` whether the first line names the columns, ``key`` which list of a
    wrapped JSON holds the rows.
    """

    mapping: Mapping[str, str] | None = None
    kind: Kind | None = None
    fixes: tuple[Fix, ...] = ()
    encoding: str = ""
    header: bool | None = None
    key: str = ""

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The reading that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "fixes": tuple(Fix.from_dict(fix) for fix in value.get("fixes", ()))}
        return cls(**fields)


class Cancelled(StudioError):  # noqa: N818 - it names what happened, the base class says that it is an error
    """The person stopped the work. Nothing half-done is left behind."""


class Watch(Protocol):
    """Whoever wants to know how far the work is, and may stop it."""

    def at(self, phase: str, done: int, total: int, unit: str) -> None:
        """Called some times a second: ``done`` of ``total`` (0 when unknown) in ``unit`` (bytes, rows, per cent).

        Raising ``Cancelled`` stops the work at once.
        """
        ...


@dataclass(frozen=True, slots=True)
class FixOffer:
    """A fix that a finding offers: what the button says, how many rows it concerns, and one text before and after.

    ``after`` is empty when the fix leaves the row out. ``ask`` is true when a person should look before agreeing.
    """

    fix: Fix
    label: str
    rows: int
    before: str = ""
    after: str = ""
    ask: bool = False

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The offer that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "fix": Fix.from_dict(value["fix"])}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed about the file. ``code`` is stable; the sentences may change.

    ``error``: the rows (or the file) cannot be used. ``warning``: used, but look. ``info``: good to know. ``fixes`` are the
    one-click repairs on offer, the best one first.
    """

    code: str
    severity: Severity
    count: int
    lines: tuple[int, ...]
    message: str
    next_step: str = ""
    example: str = ""
    fixes: tuple[FixOffer, ...] = ()

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The finding that ``asdict`` wrote."""
        offers = tuple(FixOffer.from_dict(offer) for offer in value.get("fixes", ()))
        fields: dict[str, Any] = {**value, "lines": tuple(value["lines"]), "fixes": offers}
        return cls(**fields)


class RefusedFile(DataError):  # noqa: N818 - it names the file, the base class says that it is an error
    """The file has no table that could be shown: a workbook, a PDF, an empty file, a JSON without rows.

    ``code`` is the stable code of the reason (``empty_file``, ``not_text_excel``, ``rows_not_found``, ...).
    """

    def __init__(self, code: str, what: str, *, where: str = "", next_step: str = "") -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.code = code

    @property
    def finding(self) -> Finding:
        """The refusal in the form of every other finding."""
        return Finding(self.code, "error", 1, (), self.what, self.next_step)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; ``role`` is system, user, assistant or tool.

    ``more`` is what else the turn carries, as the JSON text of one object (``tool_calls``, ``tool_call_id``, ``name``), or
    empty.
    """

    role: str
    content: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """One row as the model will see it, and the line it starts on."""

    line: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which known form the file has, which column plays which part, and how it trains.

    ``columns`` pairs a part (prompt, completion, system, messages, instruction, input, output, chosen, rejected, answer,
    reward, reward_name, test, text) with a column of the file. ``exact`` is false when the names only resemble the ones
    expected: then a person should confirm. ``why`` says it in words. ``method_why`` says why this training type fits, and how
    sure that is.
    """

    kind: Kind
    columns: tuple[tuple[str, str], ...]
    exact: bool
    why: str
    training: TrainingType = "SL"
    method_why: str = ""

    def column(self, role: str) -> str | None:
        """The column that plays this role, if any."""
        return dict(self.columns).get(role)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The shape that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "columns": tuple((role, column) for role, column in value["columns"])}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Lengths:
    """Characters per row of one text: median, 95th percentile, longest, and the sum over all usable rows."""

    p50: int = 0
    p95: int = 0
    max: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class LengthStats:
    """Lengths in characters over the usable rows. For a conversation the prompt is all that comes before the last answer."""

    prompt: Lengths = field(default_factory=Lengths)
    completion: Lengths = field(default_factory=Lengths)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The statistics that ``asdict`` wrote."""
        return cls(Lengths(**value["prompt"]), Lengths(**value["completion"]))


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything known about one file after every row was read. The rows themselves lie in ``folder/stage.parquet``.

    ``rows_total = rows_usable + rows_rejected``; duplicates are usable (the split keeps one of each). ``fingerprint`` is the
    SHA-256 of the original file. ``preview`` holds the first rows as they stand in the file, one text per preview column.
    ``delimiter`` is set for CSV only. ``shape`` is None when the columns were not recognised and none were chosen. ``fixes``
    were applied in this order. ``extras`` are the columns that are not part of the form but kept for grouping and filters, in
    the order of the stage's columns ``x0, x1, ...``. ``header`` says whether the first line of a table was read as the names of
    its columns; None for what is no table of cells.
    """

    file_name: str
    format: Format
    encoding: str
    delimiter: str | None
    columns: tuple[str, ...]
    shape: Shape | None
    rows_total: int
    rows_usable: int
    rows_rejected: int
    duplicate_rows: int
    findings: tuple[Finding, ...]
    preview_columns: tuple[str, ...]
    preview: tuple[tuple[str, ...], ...]
    example: Example | None
    lengths: LengthStats
    fingerprint: str
    bytes: int
    folder: Path
    rules: tuple[str, ...] = ()
    container: Container = "csv"
    near_duplicate_rows: int = 0
    fixes: tuple[Fix, ...] = ()
    extras: tuple[str, ...] = ()
    header: bool | None = None

    @property
    def ready(self) -> bool:
        """True when there is something to split: the shape is known and at least one row can be used."""
        return self.shape is not None and self.rows_usable > 0

    @property
    def needs_confirmation(self) -> bool:
        """True when the columns were guessed from names that only resemble the expected ones."""
        return self.shape is not None and not self.shape.exact

    @property
    def outcome(self) -> Literal["accepted", "accepted_with_warnings", "rejected"]:
        """The whole file in one word."""
        if not self.ready:
            return "rejected"
        told = self.rows_rejected > 0 or any(finding.severity != "info" for finding in self.findings)
        return "accepted_with_warnings" if told else "accepted"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "folder": str(self.folder), "outcome": self.outcome}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The inspection that ``to_dict`` wrote."""
        example = value["example"]
        fields: dict[str, Any] = {
            **{name: content for name, content in value.items() if name != "outcome"},
            "columns": tuple(value["columns"]),
            "shape": Shape.from_dict(value["shape"]) if value["shape"] else None,
            "findings": tuple(Finding.from_dict(finding) for finding in value["findings"]),
            "preview_columns": tuple(value["preview_columns"]),
            "preview": tuple(tuple(row) for row in value["preview"]),
            "example": Example(example["line"], messages_from(example["messages"])) if example else None,
            "lengths": LengthStats.from_dict(value["lengths"]),
            "folder": Path(value["folder"]),
            "rules": tuple(value["rules"]),
            "fixes": tuple(Fix.from_dict(fix) for fix in value.get("fixes", ())),
            "extras": tuple(value.get("extras", ())),
        }
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Shares of the prompts in per cent; they add up to 100 and none is zero.

    ``group`` names a column whose equal values stay in one part, ``stratify`` one whose values are shared out evenly, ``order``
    what the training rows are sorted by (curriculum): empty for file order, ``length``, or a column. ``near`` keeps
    near-duplicate prompts in one part.
    """

    name: str
    train: float
    validation: float
    test: float
    group: str = ""
    stratify: str = ""
    order: str = ""
    near: bool = True

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) <= 0 or abs(sum(shares) - 100) > 1e-6:
            raise DataError(
                f"{self.train:g}, {self.validation:g} and {self.test:g} are not three positive shares that add up to 100.",
                where="split",
                next_step="Choose shares such as 80, 15 and 5.",
            )


@dataclass(frozen=True, slots=True)
class Part:
    """One of the three parts on disk: a Parquet file and its number of rows."""

    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """A file that was read, checked and split. ``details`` is all of ``dataset.json``: mapping, counts, rules, versions.

    ``moved_prompts`` counts prompts that were moved between parts to keep a part from being (nearly) empty; while it is 0 for
    the same plan, adding rows never moves an old one.
    """

    folder: Path
    name: str
    inspection: Inspection
    plan: SplitPlan
    train: Part
    validation: Part
    test: Part
    duplicates_dropped: int
    moved_prompts: int
    details: Mapping[str, Any] = field(repr=False)

    @property
    def rows(self) -> int:
        """Rows in all three parts together."""
        return self.train.rows + self.validation.rows + self.test.rows


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a part. ``prompt_id`` depends on the text alone, so it survives reordering and added rows.

    ``completion`` is the good answer (the chosen one of a pair; empty for a task that only a reward judges), ``rejected`` the
    worse answer of a pair, ``reference`` what a grader compares with, ``source`` the name of the file in a mixture. ``extra``
    are the columns beside the form that the row fills in, by the names that they have in the person's file.
    """

    prompt_id: str
    line: int
    prompt: str
    completion: str
    messages: tuple[Message, ...]
    rejected: str = ""
    reference: str = ""
    reward: float | None = None
    reward_name: str = ""
    source: str = ""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


def messages_from(turns: Sequence[Mapping[str, str | None]]) -> tuple[Message, ...]:
    """Messages from plain dictionaries with ``role``, ``content`` and perhaps ``more``."""
    return tuple(Message(turn["role"] or "", turn["content"] or "", turn.get("more") or "") for turn in turns)
