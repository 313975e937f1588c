"""What the data room hands out: plain frozen values, each of which goes to JSON and comes back equal.

Guarantees: nothing here touches a file or a database; every text in these values is the person's own text, unescaped (whoever
shows it escapes it); line numbers are those a text editor shows, counted from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from studio.errors import DataError

Format = Literal["csv", "json", "jsonl"]
Severity = Literal["error", "warning", "info"]
Kind = Literal["prompt_completion", "messages", "alpaca"]

#: How many line numbers a finding carries; its ``count`` always covers all of them.
SHOWN_LINES = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing noticed about the file. ``code`` is stable; the sentences may change.

    ``error``: the rows (or the file) cannot be used. ``warning``: used, but look. ``info``: good to know.
    """

    code: str
    severity: Severity
    count: int
    lines: tuple[int, ...]
    message: str
    next_step: str = ""
    example: str = ""

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The finding that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "lines": tuple(value["lines"])}
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
    """One turn of a conversation; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """One row as the model will see it, and the line it starts on."""

    line: int
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """Which known form the file has, and which column plays which part.

    ``columns`` pairs a role (prompt, completion, system, messages, instruction, input, output) with a column of the file.
    ``exact`` is false when the names only resemble the ones expected: then a person should confirm. ``why`` says it in words.
    """

    kind: Kind
    columns: tuple[tuple[str, str], ...]
    exact: bool
    why: str

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
    ``delimiter`` is set for CSV only. ``shape`` is None when the columns were not recognised and none were chosen.
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
        }
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """Shares of the prompts in per cent; they add up to 100 and none is zero."""

    name: str
    train: float
    validation: float
    test: float

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
    """One row of a part. ``prompt_id`` depends on the text alone, so it survives reordering and added rows."""

    prompt_id: str
    line: int
    prompt: str
    completion: str
    messages: tuple[Message, ...]


def messages_from(turns: list[dict[str, str]]) -> tuple[Message, ...]:
    """Messages from plain dictionaries with ``role`` and ``content``."""
    return tuple(Message(turn["role"], turn["content"]) for turn in turns)
