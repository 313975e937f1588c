"""Did the longer answer win because it was longer? The win rate that is left when length is held equal.

Guarantees: an estimate only where the votes determine one. Where length and outcome cannot be told apart (every longer answer
won), where all lengths are equal, or where there are too few prompts, the reason is given instead of a number.

The model is that of length-controlled AlpacaEval (Dubois et al. 2024) without its terms per prompt: a binomial regression

    P(challenger wins) = 1 / (1 + exp(-(a + b·tanh(Δ / sd Δ))))

over votes, with scores 1, 0.5, 0 and Δ = length of the challenger's answer - length of the reference's. At Δ = 0 what is left
is 1 / (1 + exp(-a)). Standard errors are clustered by prompt (sandwich, Liang & Zeger 1986, with the small-sample factor
G/(G-1)·(n-1)/(n-2) that Stata and statsmodels use).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from studio.compare.resampling import CONFIDENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from studio.compare.votes import Vote

    Floats = npt.NDArray[np.float64]

FEWEST: Final = 10
"""Prompts below which nothing is estimated."""

_STEPS: Final = 200
_SMALL: Final = 1e-12


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """The length-controlled win rate with its 95 % interval, or ``missing``: why there is none.

    ``slope`` is the effect of length on the log-odds, positive when longer answers won; ``slope_p`` is two-sided. ``sd`` is the
    standard deviation of the length difference in characters. ``longer_won`` of ``longer_of`` decisive votes went to the longer
    answer. Everything is over ``n_votes`` votes on ``n_prompts`` prompts whose lengths are known.
    """

    n_votes: int
    n_prompts: int
    longer_won: int
    longer_of: int
    missing: str = ""
    win_rate: float | None = None
    low: float | None = None
    high: float | None = None
    intercept: float | None = None
    intercept_se: float | None = None
    slope: float | None = None
    slope_se: float | None = None
    slope_p: float | None = None
    sd: float | None = None


def length_controlled(votes: Sequence[Vote], lengths: Mapping[str, tuple[int, int]]) -> LengthControlled:
    """Fit the model. ``votes`` are those that count; ``lengths`` holds (challenger, reference) in characters per prompt."""
    known = [vote for vote in votes if vote.prompt_id in lengths]
    gaps = np.array([lengths[vote.prompt_id][0] - lengths[vote.prompt_id][1] for vote in known], dtype=np.float64)
    scores = np.array([vote.half_points / 2 for vote in known], dtype=np.float64)
    prompts, groups = np.unique([vote.prompt_id for vote in known], return_inverse=True)
    decisive = (scores != 0.5) & (gaps != 0)
    longer = int(np.sum((scores[decisive] > 0.5) == (gaps[decisive] > 0)))
    counts = (len(known), len(prompts), longer, int(decisive.sum()))
    sd = float(np.std(gaps, ddof=1)) if len(known) > 1 else 0.0
    if missing := _why_not(counts[1], scores, gaps, sd):
        return LengthControlled(*counts, missing=missing)
    design = np.column_stack([np.ones(len(known)), np.tanh(gaps / sd)])
    fitted = _fit(design, scores)
    if fitted is None:
        return LengthControlled(*counts, missing="Length and outcome cannot be told apart in these votes.")
    errors = _clustered_errors(design, scores, fitted, groups.reshape(-1))
    from scipy.stats import norm

    reach = float(norm.ppf(0.5 + CONFIDENCE / 2)) * float(errors[0])
    intercept, slope = float(fitted[0]), float(fitted[1])
    return LengthControlled(
        *counts,
        win_rate=_logistic(intercept),
        low=_logistic(intercept - reach),
        high=_logistic(intercept + reach),
        intercept=intercept,
        intercept_se=float(errors[0]),
        slope=slope,
        slope_se=float(errors[1]),
        slope_p=float(2 * norm.sf(abs(slope) / errors[1])) if errors[1] > _SMALL else None,
        sd=sd,
    )


def _why_not(n_prompts: int, scores: Floats, gaps: Floats, sd: float) -> str:
    """The reason why the votes do not determine the model, empty when they do (Albert & Anderson 1984: overlap)."""
    if not n_prompts:
        return "The lengths of the answers are not known."
    if n_prompts < FEWEST:
        return f"It takes at least {FEWEST} prompts; there are {n_prompts}."
    won, lost = gaps[scores > 0], gaps[scores < 1]
    if not won.size or not lost.size:
        return "One side won every vote."
    if sd <= 0 or np.tanh(gaps / sd).max() - np.tanh(gaps / sd).min() < _SMALL:
        return "The answers differ by the same length everywhere."
    if won.min() >= lost.max() or won.max() <= lost.min():
        return "Length alone explains every vote, so its part cannot be told from the rest."
    return ""


def _fit(design: Floats, scores: Floats) -> Floats | None:
    """Newton's method on the binomial likelihood, which is concave; a step that does not climb is halved. ``None``: no end."""
    at = np.zeros(2)
    height = _likelihood(design, scores, at)
    for _ in range(_STEPS):
        expected = _expected(design @ at)
        slope = design.T @ (scores - expected)
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design
        if not np.linalg.cond(curvature) < 1 / _SMALL:
            return None
        step = np.linalg.solve(curvature, slope)
        while (new := _likelihood(design, scores, at + step)) < height and np.abs(step).max() > _SMALL:
            step /= 2
        at, height = at + step, max(new, height)
        if np.abs(step).max() <= _SMALL * (1 + np.abs(at).max()):
            return at
    return None


def _likelihood(design: Floats, scores: Floats, at: Floats) -> float:
    odds = design @ at
    return float(np.sum(scores * odds - np.logaddexp(0, odds)))


def _clustered_errors(design: Floats, scores: Floats, at: Floats, groups: npt.NDArray[np.int64]) -> Floats:
    expected = _expected(design @ at)
    bread = np.linalg.inv((design * (expected * (1 - expected))[:, None]).T @ design)
    n, clusters = len(scores), int(groups.max()) + 1
    sums = np.zeros((clusters, 2))
    np.add.at(sums, groups, design * (scores - expected)[:, None])
    meat = sums.T @ sums * (clusters / (clusters - 1)) * ((n - 1) / (n - 2))
    return np.sqrt(np.maximum(np.diag(bread @ meat @ bread), 0.0))


def _expected(odds: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(odds / 2))


def _logistic(odds: float) -> float:
    return 0.5 * (1 + math.tanh(odds / 2))
