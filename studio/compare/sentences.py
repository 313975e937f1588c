"""The words of a verdict: one sentence that can be quoted, and the caveats that belong under it.

Guarantees: no sentence names a winner unless the state does; every sentence carries its numbers; rounding never moves a number
onto or across 50 %.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from studio.compare.verdict import State, Verdict

HEADLINES: Mapping[State, str] = {
    "too_early": "Too early to say",
    "tuned_better": "The tuned model is better",
    "base_better": "The base model is better",
    "no_difference": "No meaningful difference",
    "leaning": "Leaning, not settled",
    "no_evidence": "No evidence of a difference",
    "stopped": "Stopped, not settled",
}

# Percentages that say something in themselves; a number close to one of them gets decimals rather than becoming it.
_LANDMARKS = (0.0, 50.0, 100.0)


def percent(share: float) -> str:
    """``0.662`` as ``66 %``; near 0, 50 and 100 with as many decimals as it takes not to read as exactly that."""
    value = 100 * share
    for digits in range(4):
        if value in _LANDMARKS or round(value, digits) not in _LANDMARKS:
            return f"{value:.{digits}f} %"
    return f"{value:.4f} %"


def odds(evidence: float) -> str:
    """Evidence as people read it, ``31 : 1``, rounded down so that it never looks stronger than it is."""
    if evidence >= 1e6:
        return "more than 1,000,000 : 1"
    if evidence >= 10:
        return f"{math.floor(evidence):,} : 1"
    if evidence >= 0.1:
        # The tiny lift keeps a tie's 1 from printing as 0.9 when the integral misses it by the last bit.
        return f"{math.floor(evidence * 10 + 1e-9) / 10:.1f} : 1"
    return "less than 0.1 : 1"


def sentence(verdict: Verdict) -> str:
    """The verdict in one plain sentence with its numbers."""
    if verdict.win_rate is None:
        return f"Nobody has voted yet; a verdict needs at least {verdict.fewest} prompts."
    rate = f"{percent(verdict.win_rate)} (with 95 % certainty between {percent(verdict.low)} and {percent(verdict.high)})"
    if not verdict.n_votes:
        return f"Nobody has voted yet; both models gave the same answer on {prompts(verdict.n_automatic_ties)}."
    counts = _counts(verdict)
    match verdict.state:
        case "too_early":
            return f"Too early to say: {counts[0].lower()}{counts[1:]}, and a verdict needs at least {verdict.fewest}."
        case "tuned_better":
            return f"{counts}: the tuned model is better, its win rate is {rate}."
        case "base_better":
            return f"{counts}: the base model is better, the tuned model's win rate is {rate}."
        case "no_difference":
            return f"{counts}: there is no meaningful difference, the tuned model's win rate is {rate}."
        case "leaning":
            side = "tuned" if verdict.win_rate > 0.5 else "base"
            return f"{counts}: this leans towards the {side} model and is not settled, the tuned model's win rate is {rate}."
        case "no_evidence":
            return f"{counts}: this is no evidence of a difference, the tuned model's win rate is {rate}."
        case "stopped":
            return f"{counts}: rating has ended without settling it, the tuned model's win rate is {rate}."


def caveats(verdict: Verdict) -> Iterator[str]:
    """What has to stand under the sentence, most important first."""
    if verdict.n_raters == 1:
        yield "This is one person's preference."
    if verdict.state == "stopped" and verdict.n_items < verdict.fewest:
        yield f"{prompts(verdict.n_items).capitalize()} cannot settle it; a verdict needs at least {verdict.fewest}."
    for share in verdict.raters:
        if verdict.n_raters > 1 and share.verdict_without != verdict.verdict:
            yield f"Without {share.rater} the verdict would be {_SAYS[share.verdict_without]}, not {_SAYS[verdict.verdict]}."
    if verdict.n_automatic_ties and verdict.win_rate_rated is not None:
        yield (
            f"Both models gave the same answer on {prompts(verdict.n_automatic_ties)}, of which "
            f"{verdict.n_items - verdict.n_rated:,} count here as ties. On the {prompts(verdict.n_rated)} that people rated, "
            f"the tuned model's win rate is {percent(verdict.win_rate_rated)}."
        )
    if verdict.n_open:
        yield f"{prompts(verdict.n_open).capitalize()} with ratings still to come {_are(verdict.n_open)} not counted yet."
    if verdict.n_unblinded:
        votes = "1 vote" if verdict.n_unblinded == 1 else f"{verdict.n_unblinded:,} votes"
        yield f"{votes.capitalize()} came after that rater's reveal and {_are(verdict.n_unblinded)} left out."
    if verdict.more_prompts_needed and verdict.state != "too_early":
        yield f"About {verdict.more_prompts_needed:,} more prompts would settle it, if the votes go on like this."


_SAYS = {"tuned": "that the tuned model is better", "base": "that the base model is better", "undecided": "not settled"}


def prompts(count: int) -> str:
    """``1 prompt``, ``50 prompts``."""
    return "1 prompt" if count == 1 else f"{count:,} prompts"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _counts(verdict: Verdict) -> str:
    who = "One person" if verdict.n_raters == 1 else f"{verdict.n_raters:,} people"
    first, second = ("tuned", verdict.leaned_tuned), ("base", verdict.leaned_base)
    if verdict.state == "base_better":
        first, second = second, first
    lead = f"{who} preferred the {first[0]} model on {first[1]:,} of {prompts(verdict.n_items)}"
    if verdict.leaned_even:
        return f"{lead}, the {second[0]} model on {second[1]:,} and neither on {verdict.leaned_even:,}"
    return f"{lead} and the {second[0]} model on {second[1]:,}"
