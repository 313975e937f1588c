"""The words of a verdict: the sentence that can be quoted, and the caveats that belong under it.

Guarantees: no sentence names a winner unless the state does; every sentence carries its numbers; rounding never moves a number
onto or across 50 %; a name from outside is one short line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from studio.compare.evidence import THRESHOLD
from studio.compare.reference import coin_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from studio.compare.record import Arm
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
_LONGEST_NAME = 80
# Evidence at which a side effect is worth a sentence.
_SURE = THRESHOLD


@dataclass(frozen=True, slots=True)
class About:
    """How the two arms of a verdict are called in a sentence, with their article: “the tuned model”, “the base model”."""

    challenger: str = "the tuned model"
    reference: str = "the base model"

    @classmethod
    def of(cls, challenger: Arm, reference: Arm) -> About:
        """What to call these two."""
        return cls(called(challenger), called(reference))

    @property
    def models(self) -> str:
        """Both, where a sentence speaks of the two."""
        return "both models" if self == About() else "both"


def called(arm: Arm) -> str:
    """An arm as a sentence calls it: base and tuned by what they are, every other by its label in quotes."""
    if arm.name in {"base", "tuned"}:
        return f"the {arm.name} model"
    return f"“{plain(arm.label or arm.name)}”"


def plain(name: str) -> str:
    """A name from outside as one short line without characters that steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in name[:_LONGEST_NAME]).strip()


def start(text: str) -> str:
    """The text with a capital, to start a sentence with."""
    return f"{text[:1].upper()}{text[1:]}"


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


def headline(verdict: Verdict) -> str:
    """The state in a few words."""
    match verdict.state:
        case "tuned_better":
            return f"{start(verdict.about.challenger)} is better"
        case "base_better":
            return f"{start(verdict.about.reference)} is better"
        case other:
            return HEADLINES[other]


def sentence(verdict: Verdict) -> str:
    """The verdict in one plain sentence with its numbers."""
    about = verdict.about
    if verdict.win_rate is None:
        return f"Nobody has voted yet; a verdict needs at least {verdict.fewest} prompts."
    rate = f"{percent(verdict.win_rate)} (with 95 % certainty between {percent(verdict.low)} and {percent(verdict.high)})"
    if not verdict.n_votes:
        return f"Nobody has voted yet; {about.models} gave the same answer on {prompts(verdict.n_automatic_ties)}."
    counts = lead(verdict)
    whose = f"{about.challenger}'s win rate is {rate}"
    match verdict.state:
        case "too_early":
            return f"Too early to say: {counts[0].lower()}{counts[1:]}, and a verdict needs at least {verdict.fewest}."
        case "tuned_better":
            return f"{counts}: {about.challenger} is better, its win rate is {rate}."
        case "base_better":
            return f"{counts}: {about.reference} is better, {whose}."
        case "no_difference":
            return f"{counts}: there is no meaningful difference, {whose}."
        case "leaning":
            return f"{counts}: this leans towards {leaning(verdict)} and is not settled, {whose}."
        case "no_evidence":
            return f"{counts}: this is no evidence of a difference, {whose}."
        case "stopped":
            return f"{counts}: rating has ended without settling it, {whose}."


def leaning(verdict: Verdict) -> str:
    """The arm that is ahead. Needs a win rate."""
    assert verdict.win_rate is not None  # noqa: S101 - the caller has votes
    return verdict.about.challenger if verdict.win_rate > 0.5 else verdict.about.reference


def caveats(verdict: Verdict) -> Iterator[str]:
    """What has to stand under the sentence, most important first."""
    about = verdict.about
    yield from (plain_sentence(stamp) for stamp in verdict.stamps)
    if verdict.n_raters == 1:
        yield "This is one person's preference."
    if verdict.challengers > 1:
        yield (
            f"{verdict.challengers:,} are compared with {about.reference}, so each needs evidence of "
            f"{verdict.threshold:,.0f} : 1: the more are tried, the easier one of them looks better by chance."
        )
    if verdict.state == "stopped" and verdict.n_items < verdict.fewest:
        yield f"{start(prompts(verdict.n_items))} cannot settle it; a verdict needs at least {verdict.fewest}."
    yield from hanging(verdict)
    yield from could_tell(verdict)
    yield from _one_sided(verdict)
    if verdict.n_automatic_ties and verdict.win_rate_rated is not None:
        yield (
            f"{start(about.models)} gave the same answer on {prompts(verdict.n_automatic_ties)}, of which "
            f"{verdict.n_items - verdict.n_rated:,} count here as ties. On the {prompts(verdict.n_rated)} that people rated, "
            f"{about.challenger}'s win rate is {percent(verdict.win_rate_rated)}."
        )
    if verdict.n_open:
        yield f"{start(prompts(verdict.n_open))} with ratings still to come {_are(verdict.n_open)} not counted yet."
    if verdict.n_unblinded:
        votes = "1 vote" if verdict.n_unblinded == 1 else f"{verdict.n_unblinded:,} votes"
        yield f"{votes} came after that rater's reveal and {_are(verdict.n_unblinded)} left out."
    if verdict.more_prompts_needed and verdict.state != "too_early":
        yield f"About {verdict.more_prompts_needed:,} more prompts would settle it, if the votes go on like this."


def hanging(verdict: Verdict) -> Iterator[str]:
    """One sentence for each rater without whom the verdict would be another."""
    says = {
        "tuned": f"that {verdict.about.challenger} is better",
        "base": f"that {verdict.about.reference} is better",
        "undecided": "not settled",
    }
    for share in verdict.raters if verdict.n_raters > 1 else ():
        without = share.verdict_without if share.n_without >= verdict.fewest else "undecided"
        if without != verdict.winner:
            yield f"Without {plain(share.rater)} the verdict would be {says[without]}; with them it is {says[verdict.winner]}."


def could_tell(verdict: Verdict) -> Iterator[str]:
    """Whether raters knew the sides more often than by luck, from what they said before the reveal."""
    told = verdict.blinding
    if told.right > told.wrong and told.evidence >= _SURE:
        asked = told.right + told.wrong + told.unsure
        yield (
            f"Asked at the end which side was {verdict.about.challenger}'s, {told.right:,} of {asked:,} were right, so the "
            "rating was not fully blind."
        )


def _one_sided(verdict: Verdict) -> Iterator[str]:
    """Whether one side of the screen was preferred, where the sides were dealt as they should be."""
    left, right = verdict.sides_chosen
    if coin_evidence(*verdict.sides_shown) >= _SURE:
        on_left = verdict.sides_shown[0]
        yield (
            f"{start(verdict.about.challenger)}'s answer stood on the left in {on_left:,} of {verdict.n_votes:,} votes. "
            "That is not half and half, so the place on the screen may have decided."
        )
    elif coin_evidence(left, right) >= _SURE:
        side, share = ("left", left) if left > right else ("right", right)
        yield (
            f"The {side} answer was chosen in {percent(share / (left + right))} of the votes for a side. Sides are dealt half "
            "and half, so this favours neither model, but it hides part of a difference."
        )


def plain_sentence(text: str) -> str:
    """A stamp as a sentence: one line, a capital at the start, a full stop at the end."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[:400]).strip()
    return start(line if line.endswith((".", "?")) else f"{line}.")


def prompts(count: int) -> str:
    """``1 prompt``, ``50 prompts``."""
    return "1 prompt" if count == 1 else f"{count:,} prompts"


def people(count: int) -> str:
    """``One person``, ``3 people``."""
    return "One person" if count == 1 else f"{count:,} people"


def lead(verdict: Verdict) -> str:
    """Who preferred which on how many prompts, the start of a sentence."""
    first, second = (verdict.about.challenger, verdict.leaned_tuned), (verdict.about.reference, verdict.leaned_base)
    if verdict.state == "base_better":
        first, second = second, first
    told = f"{people(verdict.n_raters)} preferred {first[0]} on {first[1]:,} of {prompts(verdict.n_items)}"
    if verdict.leaned_even:
        return f"{told}, {second[0]} on {second[1]:,} and neither on {verdict.leaned_even:,}"
    return f"{told} and {second[0]} on {second[1]:,}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
