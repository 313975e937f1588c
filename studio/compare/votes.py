"""From button presses to prompt scores.

Guarantees: one vote counts per rater and prompt, the last one before that rater saw which side was which; the side that was
shown is taken out here and nowhere else; the order in which votes arrive changes nothing but which of two votes of the same
rater on the same prompt is the last.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from studio.errors import DataError
from studio.store import CHOICES, Choice, Side

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

Outcome = Literal["tuned", "base", "tie", "both_bad", "skip"]

SIDES: tuple[str, ...] = get_args(Side)

# Twice the score, so that sums stay whole numbers and 2 of 3 is the same float as 4 of 6.
_HALF_POINTS: Mapping[Outcome, int] = {"tuned": 2, "base": 0, "tie": 1, "both_bad": 1}


@dataclass(frozen=True, slots=True)
class Vote:
    """One button press. ``tuned_side`` is the side on which this rater saw the tuned model's answer.

    ``unblinded`` marks a vote cast after this rater's reveal: it is kept in the log and left out of every number.
    Raises ``DataError`` for a choice or side that does not exist.
    """

    prompt_id: str
    rater: str
    choice: Choice
    tuned_side: Side
    unblinded: bool = False

    def __post_init__(self) -> None:
        if self.choice not in CHOICES:
            raise DataError(f"{self.choice!r} is not a vote.", where="choice", next_step=f"Use one of {', '.join(CHOICES)}.")
        if self.tuned_side not in SIDES:
            raise DataError(f"{self.tuned_side!r} is not a side.", where="tuned_side", next_step="Use left or right.")

    @property
    def outcome(self) -> Outcome:
        """Who won, with the shuffled sides taken out."""
        if self.choice in SIDES:
            return "tuned" if self.choice == self.tuned_side else "base"
        return cast("Outcome", self.choice)

    @property
    def half_points(self) -> int:
        """Twice the score of the tuned model: won 2, tie or both bad 1, lost 0. A skip has none and raises ``KeyError``."""
        return _HALF_POINTS[self.outcome]


@dataclass(frozen=True, slots=True)
class Tally:
    """The votes that count, and what they add up to.

    ``votes`` holds one vote per rater and prompt, skips removed, sorted by prompt and rater, so that equal sessions are equal
    values. ``rated`` pairs each closed prompt that people saw with the mean score of its raters (tuned 1, tie and both bad 0.5,
    base 0), sorted by prompt. Of the ``n_automatic_ties`` prompts that nobody sees, ``n_ties_counted`` count so far.
    """

    votes: tuple[Vote, ...]
    rated: tuple[tuple[str, float], ...]
    n_automatic_ties: int
    n_ties_counted: int
    n_skipped: int
    n_unblinded: int
    n_open: int

    @property
    def scores(self) -> tuple[float, ...]:
        """Scores of all closed prompts: the rated ones, and one half for each automatic tie that counts."""
        return (*(score for _, score in self.rated), *[0.5] * self.n_ties_counted)

    @property
    def outcomes(self) -> Counter[Outcome]:
        """How many votes say tuned, base, tie, both_bad."""
        return Counter(vote.outcome for vote in self.votes)


def tally(
    votes: Iterable[Vote],
    *,
    automatic_ties: Collection[str] = (),
    closed: Collection[str] | None = None,
    planned: int | None = None,
) -> Tally:
    """Reduce a vote log, oldest first, to the votes that count.

    ``automatic_ties`` are prompts on which both models gave the identical text; nobody is asked about them, and a vote on one
    is left out. ``closed`` names the prompts that have all the ratings they will get; votes on others wait, because a score
    that is still changing must not be looked at. ``None`` says that every prompt with a vote is closed. ``planned`` is the
    number of prompts that the whole session covers, automatic ties included. They then count at the pace at which the others
    are rated: all at once they would make a session that has just begun look like one without a difference. ``None`` counts
    all.
    """
    ties = frozenset(automatic_ties)
    last: dict[tuple[str, str], Vote] = {}
    unblinded: set[tuple[str, str]] = set()
    for vote in votes:
        if vote.prompt_id in ties:
            continue
        key = (vote.prompt_id, vote.rater)
        if vote.unblinded:
            unblinded.add(key)
        else:
            last[key] = vote
    rated = [last[key] for key in sorted(last) if last[key].choice != "skip"]
    counted = tuple(vote for vote in rated if closed is None or vote.prompt_id in closed)
    scores = prompt_scores(counted)
    return Tally(
        votes=counted,
        rated=tuple(sorted(scores.items())),
        n_automatic_ties=len(ties),
        n_ties_counted=_ties_so_far(len(ties), len(scores), planned),
        n_skipped=len(last) - len(rated),
        n_unblinded=len(unblinded),
        n_open=len({vote.prompt_id for vote in rated}) - len(scores),
    )


def prompt_scores(votes: Iterable[Vote]) -> dict[str, float]:
    """Mean score of the tuned model on each prompt, over the raters who rated it. Expects no skips."""
    points: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for vote in votes:
        points[vote.prompt_id] += vote.half_points
        counts[vote.prompt_id] += 1
    return {prompt: points[prompt] / (2 * counts[prompt]) for prompt in points}


def _ties_so_far(ties: int, rated: int, planned: int | None) -> int:
    to_rate = planned - ties if planned is not None else 0
    return ties if rated >= to_rate else ties * rated // to_rate
