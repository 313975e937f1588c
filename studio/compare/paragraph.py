"""The verdict as one paragraph in plain words, fit to be quoted in a report or read out in a class.

Guarantees: it says what was compared, by whom, on what, what came out, how sure that is, and what it does not say, in this
order; it draws no conclusion that the state does not draw; every number in it is one of the verdict's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.compare.sentences import could_tell, hanging, leaning, people, percent, plain_sentence, prompts, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studio.compare.verdict import Verdict


def paragraph(verdict: Verdict) -> str:
    """All of it, as one line of text."""
    return " ".join(_sentences(verdict))


def _sentences(verdict: Verdict) -> Iterator[str]:
    about = verdict.about
    if not verdict.n_votes or verdict.win_rate is None:
        yield f"Nobody has compared {about.challenger} with {about.reference} yet."
        yield from _others(verdict)
        return
    yield _done(verdict)
    yield _counts(verdict)
    if verdict.state != "too_early":
        yield (
            f"With ties counted as one half, {about.challenger}'s win rate is {percent(verdict.win_rate)}; with 95 % certainty "
            f"it lies between {percent(verdict.low)} and {percent(verdict.high)}, however often one looks at it."
        )
    yield _conclusion(verdict)
    yield from _others(verdict)
    yield from _limits(verdict)


def _done(verdict: Verdict) -> str:
    who = people(verdict.n_raters)
    source = verdict.record.source if verdict.record else ""
    on = prompts(verdict.n_rated) + (f" {source}" if source else "")
    told = f"{who} compared the answers of {verdict.about.challenger} and {verdict.about.reference} to {on}"
    return f"{told}, without being told which answer was whose."


def _counts(verdict: Verdict) -> str:
    about = verdict.about
    ties = verdict.n_items - verdict.n_rated
    they = "That person" if verdict.n_raters == 1 else "They"
    told = f"{they} preferred {about.challenger} on {prompts(verdict.leaned_tuned)} and {about.reference} on "
    told += f"{verdict.leaned_base:,}"
    even = verdict.leaned_even - ties
    if even:
        told += f"; on {even:,} neither was ahead"
    if ties:
        told += f"; on {ties:,} more both answers were the same, so nobody was asked"
    return f"{told}."


def _conclusion(verdict: Verdict) -> str:
    about = verdict.about
    whose = "this person" if verdict.n_raters == 1 else "these people"
    match verdict.state:
        case "too_early":
            return f"That is too little to say which is better: it takes at least {prompts(verdict.fewest)}."
        case "tuned_better":
            return f"So {about.challenger} is better on prompts like these, in the eyes of {whose}."
        case "base_better":
            return f"So {about.reference} is better on prompts like these, in the eyes of {whose}."
        case "no_difference":
            return f"So on prompts like these, in the eyes of {whose}, there is no difference worth having."
        case "leaning":
            return f"This leans towards {leaning(verdict)} but does not settle it{_more(verdict, 'would')}."
        case "no_evidence":
            return f"This is no evidence that either is better{_more(verdict, 'would settle it')}."
        case "stopped":
            return "Rating has ended without settling which is better: every number in that range is still possible."


def _more(verdict: Verdict, would: str) -> str:
    if verdict.more_prompts_needed is None:
        return ""
    return f"; about {verdict.more_prompts_needed:,} more prompts {would}, if the votes go on like this"


def _others(verdict: Verdict) -> Iterator[str]:
    """The other challengers, each in one sentence."""
    for one in verdict.checkpoints if verdict.challengers > 1 else ():
        if one.arm.name != verdict.challenger:
            yield _in_short(one.verdict)


def _in_short(verdict: Verdict) -> str:
    name, against = start(verdict.about.challenger), verdict.about.reference
    if verdict.win_rate is None or verdict.state == "too_early":
        return f"{name} has been compared with {against} on {prompts(verdict.n_rated)}, too few to say anything."
    rate = f"its win rate is {percent(verdict.win_rate)}, between {percent(verdict.low)} and {percent(verdict.high)}"
    match verdict.state:
        case "tuned_better":
            return f"{name} is better than {against}: {rate}."
        case "base_better":
            return f"{name} is worse than {against}: {rate}."
        case "no_difference":
            return f"{name} and {against} do not differ by anything worth having: {rate}."
        case _:
            return f"Whether {verdict.about.challenger} is better than {against} is not settled: {rate}."


def _limits(verdict: Verdict) -> Iterator[str]:
    yield from (plain_sentence(stamp) for stamp in verdict.stamps)
    if verdict.n_raters == 1:
        yield "Other people may see it differently."
    yield from hanging(verdict)
    yield from could_tell(verdict)
    if verdict.challengers > 1:
        yield (
            f"{verdict.challengers:,} were compared with {verdict.about.reference}, and each had to pass "
            f"{verdict.threshold:,.0f} : 1 instead of 20 : 1 to be called better."
        )
