"""Three systems or more on one scale: Bradley-Terry strengths, told as Elo points with the reference at 1000.

Guarantees: a tie is half a win for each; the prompt is the unit, so more raters who say the same change nothing; a strength
only where the votes determine one, otherwise the reason. It is a *translation* of win rates: 400 points are odds of 10 : 1.
There is no online Elo anywhere, because its result depends on the order of the votes.

When a group of arms never lost to the rest (or never won), its distance is infinite and its likelihood factors out, so the
others are estimated among themselves. Among arms that are strongly connected by wins the estimate exists and is unique
(Ford 1957).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Scores = Mapping[tuple[str, str], Sequence[float]]

LABEL: Final = "a translation of win rates, ties as half a win; the reference is 1000 and 400 points are odds of 10 : 1"
ANCHOR: Final = 1000.0

_TOLERANCE: Final = 1e-12
_LIMIT: Final = 100_000


@dataclass(frozen=True, slots=True)
class Strength:
    """Elo points with the reference at 1000, or ``missing``: why there is no number."""

    elo: float | None = None
    missing: str = ""


def strengths(names: Sequence[str], reference: str, scores: Scores) -> dict[str, Strength]:
    """Strength of each arm. ``scores`` holds per pair (first, second) the mean score of the first on each closed prompt."""
    if len(names) < 3:
        return {name: Strength(missing="With two the win rate says it all.") for name in names}
    wins = _wins(scores)
    reach = {name: _reached(name, wins) for name in names}
    group = [name for name in names if name in reach[reference] and reference in reach[name]]
    points = _fitted(group, wins) if len(group) > 1 else {reference: 1.0}
    found: dict[str, Strength] = {}
    for name in names:
        if name in points:
            found[name] = Strength(ANCHOR + 400 * math.log10(points[name] / points[reference]))
        else:
            found[name] = Strength(missing=_why_not(reference in reach[name], name in reach[reference]))
    return found


def _wins(scores: Scores) -> dict[str, dict[str, float]]:
    """Who beat whom how often, in prompts; only what is above zero."""
    wins: dict[str, dict[str, float]] = {}
    for (one, other), given in scores.items():
        won = math.fsum(given)
        for winner, loser, weight in ((one, other, won), (other, one, len(given) - won)):
            if weight > 0:
                wins.setdefault(winner, {})[loser] = weight
    return wins


def _reached(start: str, wins: Mapping[str, Mapping[str, float]]) -> set[str]:
    """Everybody whom ``start`` has beaten, or who was beaten by somebody it has beaten, and so on."""
    seen, waiting = {start}, [start]
    while waiting:
        for name in wins.get(waiting.pop(), {}):
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def _fitted(group: Sequence[str], wins: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    from evalica import Winner, bradley_terry

    rows = [(one, other, wins[one][other]) for one in group for other in group if wins.get(one, {}).get(other)]
    result = bradley_terry(
        [one for one, _, _ in rows],
        [other for _, other, _ in rows],
        [Winner.X] * len(rows),
        weights=[weight for _, _, weight in rows],
        tolerance=_TOLERANCE,
        limit=_LIMIT,
    )
    return {str(name): float(score) for name, score in result.scores.items()}


def _why_not(wins: bool, loses: bool) -> str:
    """``wins``: against the reference, directly or by way of others; ``loses`` likewise."""
    if wins:
        return "Not estimable: it never lost to the reference, not even by way of others."
    if loses:
        return "Not estimable: it never won against the reference, not even by way of others."
    return "Not estimable: no votes connect it with the reference."
