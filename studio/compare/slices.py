"""The same interval on a part of the session: on some of the prompts, or on another question that was asked beside.

Guarantees: a part is judged by the very rule of the whole, and is *exploratory*: nobody said beforehand which part would
matter, and among twenty parts one looks special by chance. Parts below ten prompts are not judged at all.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from studio.compare.evidence import Conclusion, Spread, conclude, held, interval, log_evidence
from studio.compare.record import pair_of
from studio.compare.votes import tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studio.compare.record import Record
    from studio.compare.votes import Tally

LABEL: Final = "exploratory: chosen after the fact, so it cannot settle anything"
FEWEST: Final = 10
"""Prompts below which a part is hidden."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the votes say on a part. ``n`` counts its prompts, ``n_rated`` those of them that people saw.

    The numbers are those of a ``Verdict``: mean prompt score of the challenger, always-valid 95 % interval, evidence against
    "no difference", and what the interval alone says.
    """

    n: int
    n_rated: int
    win_rate: float
    low: float
    high: float
    evidence: float
    log_evidence: float
    verdict: Conclusion


@dataclass(frozen=True, slots=True)
class Slice:
    """The prompts on which ``name`` has this ``value``. ``part`` is ``None`` below ten prompts: too few to show."""

    name: str
    value: str
    n: int
    part: Part | None


@dataclass(frozen=True, slots=True)
class Criterion:
    """A question beside the overall one. ``part`` is ``None`` below ten prompts."""

    name: str
    n: int
    part: Part | None


def part_of(rated: Sequence[float], ties: int = 0) -> Part | None:
    """Judge prompt scores and automatic ties; ``None`` when there are fewer than ten."""
    n = len(rated) + ties
    if n < FEWEST:
        return None
    spread = Spread.of([*rated, *[0.5] * ties])
    (low, high), log_e = interval(spread), log_evidence(spread)
    return Part(n, len(rated), spread.mean, low, high, held(log_e), log_e, conclude(spread))


def slices_of(record: Record, challenger: str, counted: Tally) -> Iterator[Slice]:
    """Every value of every slice that has a closed prompt, by name, largest first.

    While a session runs its automatic ties count at the pace of the rating; a slice takes its share of them, rounded down.
    """
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    ties: dict[tuple[str, str], int] = defaultdict(int)
    for prompt, score in counted.rated:
        for kind in record.slices.get(prompt, {}).items():
            groups[kind].append(score)
    for prompt in set(record.automatic_ties.get(pair_of(challenger, record.reference), ())):
        for kind in record.slices.get(prompt, {}).items():
            ties[kind] += 1
    found: list[Slice] = []
    for name, value in {**groups, **ties}:
        scores, same = groups.get((name, value), []), ties.get((name, value), 0)
        so_far = same * counted.n_ties_counted // counted.n_automatic_ties if same else 0
        if scores or so_far:
            found.append(Slice(name, value, len(scores) + so_far, part_of(scores, so_far)))
    yield from sorted(found, key=lambda one: (one.name, -one.n, one.value))


def criteria_of(record: Record, challenger: str) -> Iterator[Criterion]:
    """Every further question, in the order of the alphabet. Automatic ties are ties by every question and are left out."""
    pair = pair_of(challenger, record.reference)
    ties, closed = record.automatic_ties.get(pair, ()), record.closed_of(pair)
    for name in sorted({name for ballot in record.ballots for name in ballot.criteria}):
        votes = record.votes(challenger, record.reference, name)
        scores = [score for _, score in tally(votes, automatic_ties=ties, closed=closed).rated]
        if scores:
            yield Criterion(name, len(scores), part_of(scores))
