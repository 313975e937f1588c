"""The textbook numbers, for the details drawer and the export.

They are right for one look that was planned in advance and misleading on a page that people watch: looking after each of 200
prompts at a fair coin, a binomial test declares a winner in about a quarter of all sessions and Wilson's interval in a third.
So none of them decides anything here. ``LABEL`` goes wherever they are shown. The prompt is the unit throughout, never the
vote; a number that the votes do not determine is ``None`` and never a zero-width interval or a NaN.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from studio.compare.evidence import held
from studio.compare.resampling import CONFIDENCE, bootstrap_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from studio.compare.votes import Tally, Vote

Interval = tuple[float, float]

LABEL = "valid only for one look planned in advance"


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far raters who saw the same prompt agree. Shares are over pairs of raters on a prompt.

    ``raw`` counts tie and both bad as the same answer; ``decisive`` leaves out pairs in which either said one of them.
    ``alpha`` is Krippendorff's, on scores 0, 0.5, 1 with interval distance: 1 perfect, 0 as good as chance.
    """

    n_pairs: int
    raw: float | None
    decisive: float | None
    alpha: float | None


@dataclass(frozen=True, slots=True)
class Position:
    """Whether the side mattered: of the ``decisive`` votes ``left_chosen`` went left; ``p`` is two-sided against one half.

    ``evidence`` is the e-value against "left half of the time". Sides are drawn anew for each rater and prompt, so here the
    vote is the unit, and like every evidence it may be looked at at any time. The win rates are over the votes cast while the
    tuned answer stood on that side; ``side_balanced`` is their mean.
    """

    left_chosen: int
    decisive: int
    left_share: float | None
    p: float | None
    evidence: float
    win_rate_tuned_left: float | None
    win_rate_tuned_right: float | None
    side_balanced: float | None


@dataclass(frozen=True, slots=True)
class Reference:
    """Fixed-sample numbers of one session. Intervals are 95 %.

    ``wilson95`` and ``sign_test_p`` (two-sided) are over the prompts that leaned one way, ``leaned_tuned`` of ``leaned``;
    ``t95`` and ``bootstrap_bca95`` are for the mean prompt score.
    """

    leaned_tuned: int
    leaned: int
    wilson95: Interval | None
    sign_test_p: float | None
    t95: Interval | None
    bootstrap_bca95: Interval | None
    agreement: Agreement
    position: Position


@dataclass(frozen=True, slots=True)
class Blinding:
    """Could raters tell which model was the tuned one? From the question that each rater is asked before the reveal.

    ``index`` is Bang's: (right - wrong) / all, 0 for perfect blindness, 1 when everyone knew. ``right_share`` and its interval
    are over those who named a side; ``evidence`` is the e-value against naming the right side half of the time.
    """

    right: int
    wrong: int
    unsure: int
    index: float | None
    right_share: float | None
    wilson95: Interval | None
    p: float | None
    evidence: float


@lru_cache(maxsize=32)
def reference_numbers(tally: Tally) -> Reference:
    """Compute everything in the details drawer, in about a tenth of a second; for equal votes only once."""
    scores = tally.scores
    tuned, base = sum(score > 0.5 for score in scores), sum(score < 0.5 for score in scores)
    return Reference(
        leaned_tuned=tuned,
        leaned=tuned + base,
        wilson95=wilson(tuned, tuned + base),
        sign_test_p=sign_test(tuned, tuned + base),
        t95=_t_interval(scores),
        bootstrap_bca95=bootstrap_interval((np.array(scores),), np.mean),
        agreement=agreement_of(tally.votes),
        position=position_of(tally.votes),
    )


def wilson(successes: int, trials: int) -> Interval | None:
    """Wilson's score interval for a share."""
    if not trials:
        return None
    from scipy.stats import binomtest

    ends = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return float(ends.low), float(ends.high)


def sign_test(successes: int, trials: int) -> float | None:
    """Two-sided exact binomial p-value against one half."""
    if not trials:
        return None
    from scipy.stats import binomtest

    return float(binomtest(successes, trials).pvalue)


def blinding(right: int, wrong: int, unsure: int) -> Blinding:
    """Judge the guesses: how many named the tuned side rightly, wrongly, or were unsure."""
    asked, named = right + wrong + unsure, right + wrong
    return Blinding(
        right=right,
        wrong=wrong,
        unsure=unsure,
        index=(right - wrong) / asked if asked else None,
        right_share=right / named if named else None,
        wilson95=wilson(right, named),
        p=sign_test(right, named),
        evidence=coin_evidence(right, wrong),
    )


def coin_evidence(heads: int, tails: int) -> float:
    """The e-value against a fair coin: 2^(h+t)·h!·t!/(h+t+1)!, held at the largest float."""
    total = heads + tails
    return held(total * math.log(2) + math.lgamma(heads + 1) + math.lgamma(tails + 1) - math.lgamma(total + 2))


def _t_interval(scores: Sequence[float]) -> Interval | None:
    if len(set(scores)) < 2:  # no spread to estimate from, so no width to give
        return None
    from scipy.stats import t

    middle = math.fsum(scores) / len(scores)
    reach = float(t.ppf(0.5 + CONFIDENCE / 2, len(scores) - 1)) * float(np.std(scores, ddof=1)) / math.sqrt(len(scores))
    return middle - reach, middle + reach


def agreement_of(votes: Sequence[Vote]) -> Agreement:
    """How far the raters of these votes agree; one vote per rater and prompt."""
    by_prompt: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        by_prompt[vote.prompt_id].append(vote)
    pairs = [(a.half_points, b.half_points) for group in by_prompt.values() for a, b in combinations(group, 2)]
    decisive = [pair for pair in pairs if 1 not in pair]
    return Agreement(
        n_pairs=len(pairs),
        raw=_share(a == b for a, b in pairs),
        decisive=_share(a == b for a, b in decisive),
        alpha=_alpha(votes) if pairs else None,
    )


def _alpha(votes: Sequence[Vote]) -> float | None:
    import pandas as pd
    from evalica import alpha

    table = pd.DataFrame(
        [(vote.rater, vote.prompt_id, vote.half_points / 2) for vote in votes], columns=["rater", "prompt", "score"]
    ).pivot(index="rater", columns="prompt", values="score")
    result = alpha(table, "interval")
    # All scores alike: agreement beyond chance cannot be told from chance. evalica answers 1 here.
    return float(result.alpha) if result.expected > 0 else None


def position_of(votes: Sequence[Vote]) -> Position:
    """Whether the side mattered in these votes."""
    decisive = [vote for vote in votes if vote.choice in {"left", "right"}]
    left = sum(vote.choice == "left" for vote in decisive)
    tuned_left = _share(vote.half_points / 2 for vote in votes if vote.tuned_side == "left")
    tuned_right = _share(vote.half_points / 2 for vote in votes if vote.tuned_side == "right")
    return Position(
        left_chosen=left,
        decisive=len(decisive),
        left_share=left / len(decisive) if decisive else None,
        p=sign_test(left, len(decisive)),
        evidence=coin_evidence(left, len(decisive) - left),
        win_rate_tuned_left=tuned_left,
        win_rate_tuned_right=tuned_right,
        side_balanced=(tuned_left + tuned_right) / 2 if tuned_left is not None and tuned_right is not None else None,
    )


def _share(values: Iterable[float]) -> float | None:
    listed = list(values)
    return math.fsum(listed) / len(listed) if listed else None
