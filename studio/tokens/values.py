"""What counting tokens gives: plain frozen values, each of which goes to JSON and comes back equal.

Guarantees: a number that was not counted for every row says so in ``measured`` and in ``note``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from studio.histograms import Bar

Measured = Literal["every row", "sample", "estimate"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Rows that this model's format cannot hold: the stable code of the reason, the reason in words, and which rows."""

    code: str
    what: str
    next_step: str
    count: int
    lines: tuple[int, ...]
    row_ids: tuple[int, ...]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The refusal that ``asdict`` wrote."""
        fields: dict[str, Any] = {**value, "lines": tuple(value["lines"]), "row_ids": tuple(value["row_ids"])}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class TokenProfile:
    """How long the examples of one data set are for one model, and how much of them is learned.

    An example is what training reads at once: a conversation, one side of a pair, or the prompt of a task. ``rows`` were
    counted, of ``rows_all``. ``p50``, ``p95``, ``max``, ``mean`` and ``total`` are tokens before anything is cut; ``trained``
    are those that the loss would count if nothing were cut. With ``max_length``, ``too_long`` rows are cut by
    ``cut_tokens`` in all, ``cut_trained`` of them tokens that the loss would count, and ``nothing_left`` rows have nothing
    to learn from (cut off, or told so by a weight of 0 in the file). In a sample ``total``, ``trained``, ``too_long`` and
    the others that add up are projected to all rows.
    """

    model: str
    renderer: str
    train_on: str
    max_length: int
    measured: Measured
    rows: int
    rows_all: int
    examples: int
    p50: int
    p95: int
    max: int
    mean: float
    total: int
    trained: int
    too_long: int
    cut_tokens: int
    cut_trained: int
    nothing_left: int
    long_lines: tuple[int, ...]
    long_row_ids: tuple[int, ...]
    bare_lines: tuple[int, ...]
    bare_row_ids: tuple[int, ...]
    refusals: tuple[Refusal, ...]
    bars: tuple[Bar, ...]
    note: str

    @property
    def share_trained(self) -> float:
        """Which part of all tokens the loss counts, before anything is cut."""
        return self.trained / self.total if self.total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "share_trained": self.share_trained}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The profile that ``to_dict`` wrote."""
        fields: dict[str, Any] = {name: content for name, content in value.items() if name != "share_trained"}
        for name in ("long_lines", "long_row_ids", "bare_lines", "bare_row_ids"):
            fields[name] = tuple(fields[name])
        fields["refusals"] = tuple(Refusal.from_dict(one) for one in value["refusals"])
        fields["bars"] = tuple(Bar(**one) for one in value["bars"])
        return cls(**fields)
