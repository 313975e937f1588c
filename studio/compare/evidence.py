"""One evidence number and one interval, both valid however often they are looked at.

For prompt scores s₁ … sₙ in [0, 1] and a supposed mean m,

    E(m) = ∫₀¹ ∏ᵢ [ sᵢ·p/m + (1 - sᵢ)·(1 - p)/(1 - m) ] dp

is an e-value against "the mean score is m": the wealth of a gambler who spreads one coin evenly over all constant bets
(Robbins' uniform mixture; Waudby-Smith & Ramdas 2023). If m is true, E(m) reaches 20 with a chance of at most 1 in 20 over the
whole life of a session. So *evidence* is E(1/2), and {m : E(m) < 20} is a 95 % interval that may be read after each vote.

Three facts that the code rests on. The integrand is a polynomial of degree n in p, so Gauss-Legendre with ⌊n/2⌋ + 1 nodes or
more is exact. A tie's factor at m = 1/2 is exactly 1. E is log-convex in m (1/m and 1/(1 - m) are, and sums, products and
integrals keep it) and at most 1 at the sample mean (Jensen), so the interval is connected and the mean brackets both ends.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

Conclusion = Literal["tuned", "base", "undecided"]

THRESHOLD = 20.0
"""Evidence at which a session is decided: 1 / 0.05."""
SAME_LOW, SAME_HIGH = 0.45, 0.55
"""An interval inside these ends says that there is no difference worth having."""

# Exact for 8,190 prompts. Beyond that the integrand is still far wider (≈ 1/√n) than the gaps between nodes (≈ 1/2,600).
_MOST_NODES = 4096
# logit of 1e-300: E of a single win exceeds the threshold long before this.
_FARTHEST = -690.0


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Distinct scores in rising order and how often each occurs: whole counts in sessions, fractional in forecasts."""

    values: Floats
    counts: Floats

    @classmethod
    def of(cls, scores: Iterable[float]) -> Spread:
        """Group prompt scores, each in [0, 1]. The order of ``scores`` leaves no trace, not even in the last bit."""
        values, counts = np.unique(np.fromiter(scores, dtype=np.float64), return_counts=True)
        return cls(values, counts.astype(np.float64))

    @property
    def n(self) -> float:
        """Number of prompts."""
        return float(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean score: the win rate. Asks for at least one prompt."""
        return math.fsum(self.values * self.counts) / self.n

    def flipped(self) -> Spread:
        """The same session seen from the base model's side."""
        return Spread(1.0 - self.values[::-1], self.counts[::-1])

    def scaled(self, factor: float) -> Spread:
        """The same mix of scores over ``factor`` times as many prompts."""
        return Spread(self.values, self.counts * factor)


def log_evidence(spread: Spread, mean: float = 0.5) -> float:
    """Natural logarithm of E(mean), for a mean strictly between 0 and 1; 0 when there are no prompts."""
    return _log_e(spread, math.log(mean), math.log1p(-mean)) if spread.n else 0.0


def evidence_path(scores: Sequence[float]) -> tuple[float, ...]:
    """``log_evidence`` after each of these scores, in their order: what somebody saw who looked after every prompt."""
    if not scores:
        return ()
    # The nodes that are exact for the longest stretch are exact for every shorter one.
    nodes, given = _nodes(len(scores)), np.asarray(scores, dtype=np.float64)[:, None]
    with np.errstate(divide="ignore"):  # as in _log_e
        won = np.log(given) + (nodes.log_p + math.log(2.0))
        lost = np.log1p(-given) + (nodes.log_rest + math.log(2.0))
    terms = nodes.log_weight + np.cumsum(np.logaddexp(won, lost), axis=0)
    peaks = terms.max(axis=1)
    return tuple(float(each) for each in peaks + np.log(np.exp(terms - peaks[:, None]).sum(axis=1)))


def conclude(spread: Spread, threshold: float = THRESHOLD) -> Conclusion:
    """Say who won: ``tuned`` when the interval lies above 1/2, ``base`` when below, without the cost of finding its ends.

    The interval is connected and holds the mean, so it lies to one side of 1/2 exactly when E(1/2) has passed the threshold.
    """
    if not spread.n or log_evidence(spread) <= math.log(threshold):
        return "undecided"
    return "tuned" if spread.mean > 0.5 else "base"


def interval(spread: Spread, threshold: float = THRESHOLD) -> tuple[float, float]:
    """Ends of {m : E(m) < threshold}: the win rates that the votes have not ruled out. ``(0, 1)`` when there are none.

    At 20 it is a 95 % interval. k intervals at 20·k each hold together with 95 %, whichever of them one looks at.
    """
    if not spread.n:
        return 0.0, 1.0
    log_threshold = math.log(threshold)
    return _low_end(spread, log_threshold), 1.0 - _low_end(spread.flipped(), log_threshold)


def no_difference(spread: Spread, threshold: float = THRESHOLD) -> bool:
    """Whether the whole interval lies inside [0.45, 0.55]."""
    if not spread.n or not SAME_LOW < spread.mean < SAME_HIGH:
        return False
    return all(log_evidence(spread, end) >= math.log(threshold) for end in (SAME_LOW, SAME_HIGH))


def held(log_e: float) -> float:
    """Evidence from its logarithm, held at the largest float where it would overflow: JSON knows no infinity."""
    return math.exp(log_e) if log_e < math.log(sys.float_info.max) else sys.float_info.max


def more_prompts_needed(spread: Spread, *, at_least: int, most: int, threshold: float = THRESHOLD) -> int | None:
    """Further prompts until the session is settled, if the mix of scores stays as it is.

    Settled means decided for one side or shown to make no meaningful difference. At least ``at_least``, ``None`` when more than
    ``most`` would be needed or there is nothing to go by. A forecast, not a promise: it takes the present win rate as true.
    """
    if not spread.n:
        return None

    def settled(more: int) -> bool:
        future = spread.scaled((spread.n + more) / spread.n)
        return conclude(future, threshold) != "undecided" or no_difference(future, threshold)

    if settled(at_least):
        return at_least
    if not settled(most):
        return None
    too_few, enough = at_least, most
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if settled(middle) else (middle, enough)
    return enough


def _log_e(spread: Spread, log_mean: float, log_rest: float) -> float:
    """Compute log E(m) from log m and log(1 - m), which keep their precision where m itself would round to 0 or 1."""
    nodes = _nodes(spread.n)
    with np.errstate(divide="ignore"):  # log 0 = -∞ is right: a clean win or loss has only one of the two terms
        won = np.log(spread.values)[:, None] + (nodes.log_p - log_mean)
        lost = np.log1p(-spread.values)[:, None] + (nodes.log_rest - log_rest)
    terms = nodes.log_weight + spread.counts @ np.logaddexp(won, lost)
    peak = float(terms.max())
    return peak + math.log(math.fsum(np.exp(terms - peak)))


def _low_end(spread: Spread, log_threshold: float) -> float:
    """The m below the sample mean at which E falls to the threshold."""
    from scipy.optimize import brentq  # a quarter of a second that only whoever asks for an interval pays

    mean = spread.mean
    if mean <= 0.0:
        return 0.0

    def excess(logit: float) -> float:
        return _log_e(spread, -math.log1p(math.exp(-logit)), -math.log1p(math.exp(logit))) - log_threshold

    # At a mean of 1 the upper bracket must stop short of m = 1; E(m) → 1/(n + 1) there, far below the threshold.
    top = math.log(mean) - math.log1p(-mean) if mean < 1.0 else 36.0
    logit = cast("float", brentq(excess, _FARTHEST, top, xtol=1e-13))
    return 1.0 / (1.0 + math.exp(-logit))


@dataclass(frozen=True, slots=True, eq=False)
class _Nodes:
    log_p: Floats
    log_rest: Floats
    log_weight: Floats


def _nodes(n: float) -> _Nodes:
    # Powers of two, so that a growing session meets a new set of nodes eight times and not after every second vote.
    wanted = int(n) // 2 + 1
    return _gauss_legendre(min(_MOST_NODES, max(32, 1 << (wanted - 1).bit_length())))


@cache
def _gauss_legendre(count: int) -> _Nodes:
    from scipy.special import roots_legendre

    points, weights = roots_legendre(count)  # on [-1, 1]
    return _Nodes(np.log1p(points) - math.log(2.0), np.log1p(-points) - math.log(2.0), np.log(weights) - math.log(2.0))
