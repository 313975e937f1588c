"""Gold items: pairs with a known better answer, shown among the others to see whether a rater reads.

Guarantees: they never count in a verdict, and nobody is left out because of them; they are shown beside it for people to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.compare.reference import Interval, wilson

if TYPE_CHECKING:
    from studio.compare.record import Gold


@dataclass(frozen=True, slots=True)
class GoldShare:
    """How one rater did on gold items: ``right`` of ``n`` named the better side. Ties and both bad are not right."""

    rater: str
    n: int
    right: int
    skipped: int

    @property
    def share(self) -> float | None:
        """Part that was right, ``None`` when all were skipped."""
        return self.right / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class GoldCheck:
    """How all raters did, and each. ``wilson95`` is the interval of the share of right answers."""

    n: int
    right: int
    skipped: int
    share: float | None
    wilson95: Interval | None
    raters: tuple[GoldShare, ...]


def gold_check(answers: Sequence[Gold]) -> GoldCheck | None:
    """Count the answers to gold items, the last one of a rater on each; ``None`` when there were none."""
    if not answers:
        return None
    last = {(one.rater, one.item): one for one in answers}
    shares: list[GoldShare] = []
    for rater in sorted({rater for rater, _ in last}):
        own = [one for (who, _), one in last.items() if who == rater]
        answered = [one.right for one in own if one.right is not None]
        right = sum(answered)
        shares.append(GoldShare(rater, len(answered), right, len(own) - len(answered)))
    n, right = sum(one.n for one in shares), sum(one.right for one in shares)
    return GoldCheck(n, right, sum(one.skipped for one in shares), right / n if n else None, wilson(right, n), tuple(shares))
