"""Pictures beside a verdict: how the evidence grew, what each person says, and every challenger on one scale.

Guarantees: each picture is also said in words that stand under it; nothing is drawn that the votes do not determine; no
picture names a winner that the verdict does not name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from studio.compare.course import course
from studio.compare.reference import agreement_of
from studio.compare.sentences import About, odds, percent, plain, prompts, start
from studio.compare.strengths import LABEL as ELO_LABEL
from studio.compare.verdict import Checkpoint, RaterShare, Verdict
from studio.compare.verdict import State as VerdictState
from wizards import widgets
from wizards.strips import Strip, strips
from wizards.widgets import Html, State, join, tag

_NUMBERS: Final = re.compile(r"([\d,.]+ %|[\d,.]+ : 1)")
#: Evidence beyond this says no more than evidence of this; the curve leaves the picture there.
_HIGHEST: Final = math.log(1e6)
_LOWEST: Final = math.log(1 / 50)

STATES: Final[Mapping[VerdictState, tuple[State, str]]] = {
    "too_early": ("quiet", "Too early"),
    "tuned_better": ("good", "Settled"),
    "base_better": ("warn", "Settled"),
    "no_difference": ("quiet", "Settled"),
    "leaning": ("quiet", "Not settled"),
    "no_evidence": ("quiet", "Not settled"),
    "stopped": ("warn", "Not settled"),
}


def ends_of(about: About) -> tuple[str, str]:
    """What the ends of a scale mean: reference preferred, challenger preferred."""
    return f"{short(about.reference)} preferred", f"{short(about.challenger)} preferred"


def unbroken(text: str) -> Html:
    """The text, in which no line ends between a number and its ``%`` or inside odds."""
    parts = _NUMBERS.split(text)
    return join(tag("span", part, cls="tf-unbroken") if at % 2 else part for at, part in enumerate(parts))


def short(name: str) -> str:
    """A model as a picture calls it: “the tuned model” is ``tuned`` there."""
    return {About().challenger: "tuned", About().reference: "base"}.get(name, name)


# --- how the evidence grew -------------------------------------------------------------------------------------------------


def evidence(now: Verdict) -> Html | None:
    """The evidence after each prompt, on a scale of odds, with the line that settles it. Below two prompts there is none."""
    path = course(now)
    if len(path) < 2:
        return None
    line = math.log(now.threshold)
    top = min(max(*path, line + math.log(3)), _HIGHEST)
    bottom = max(min(*path, -math.log(3)), _LOWEST)

    def height(log_e: float) -> float:
        return 100 * (top - max(log_e, bottom)) / (top - bottom)

    points = " ".join(f"{at},{height(log_e):.2f}" for at, log_e in enumerate((0.0, *path)))
    drawing = tag(
        "svg",
        _gate(now.fewest) if len(path) > now.fewest else None,
        _rule(0, len(path), height(0.0), "tf-course-even"),
        _rule(now.fewest if len(path) > now.fewest else 0, len(path), height(line), "tf-course-line"),
        tag("polyline", points=points, cls="tf-course-path", vector_effect="non-scaling-stroke"),
        viewBox=f"0 0 {len(path)} 100",
        preserveAspectRatio="none",
        aria_hidden="true",
        focusable="false",
    )
    labels = (
        tag("span", f"{now.threshold:,.0f} : 1", tag("span", " settles it"), style=f"top:{height(line):.2f}%"),
        tag("span", "1 : 1", tag("span", " says nothing"), style=f"top:{height(0.0):.2f}%"),
    )
    return tag(
        "figure",
        tag("div", drawing, tag("div", *labels, cls="tf-course-labels", aria_hidden="true"), cls="tf-course-plot"),
        tag("div", tag("span", "0"), _tick(now.fewest, len(path)), tag("span", prompts(len(path))), **_FOOT),
        tag("figcaption", unbroken(evidence_words(now, path))),
        cls="tf-course",
    )


_FOOT: Final = {"cls": "tf-course-foot", "aria_hidden": "true"}


def _tick(fewest: int, width: int) -> Html | None:
    """Where the shade ends, when there is room to say so."""
    share = 100 * fewest / width
    return tag("span", f"{fewest}", style=f"left:{share:.2f}%", cls="tf-course-tick") if 8 < share < 72 else None


def evidence_words(now: Verdict, path: Sequence[float]) -> str:
    """The course in words."""
    line = math.log(now.threshold)
    first = next((at for at, log_e in enumerate(path, start=1) if log_e > line and at >= now.fewest), None)
    told = f"After {prompts(len(path))} the evidence against “no difference” is {odds(now.evidence)}."
    if first is not None:
        told += f" It first passed {now.threshold:,.0f} : 1 after {prompts(first)}."
    elif max(path) > line:
        told += f" It passed {now.threshold:,.0f} : 1 only below {now.fewest} prompts, which is too early."
    if max(path) > _HIGHEST:
        told += " The picture ends at 1,000,000 : 1."
    shade = f" In the shade, below {now.fewest} prompts, nobody is named." if len(path) > now.fewest else ""
    return (
        f"{told}{shade} Prompts stand in the order of their last vote. Between equal models this curve would ever reach the "
        f"line in at most 1 of {now.threshold:,.0f} sessions, so it may be looked at after every vote."
    )


def _rule(left: int, right: int, at: float, cls: str) -> Html:
    return tag("line", x1=left, x2=right, y1=f"{at:.2f}", y2=f"{at:.2f}", cls=cls, vector_effect="non-scaling-stroke")


def _gate(fewest: int) -> Html:
    """Left of this nobody is named, whatever the evidence."""
    return tag("rect", x=0, y=0, width=fewest, height=100, cls="tf-course-gate")


# --- what each person says -------------------------------------------------------------------------------------------------


def raters(now: Verdict, names: Mapping[str, str]) -> Html | None:
    """Every rater's own win rate, and what the others say without them. ``names`` tells who a neutral name is."""
    if now.n_raters < 2:
        return None
    rows = [
        Strip(
            name=_who(one.rater, names),
            value=percent(one.win_rate),
            remark=_without(now, one),
            rate=one.win_rate,
            low=now.low,
            high=now.high,
            other=one.win_rate_without,
        )
        for one in now.raters
    ]
    return tag(
        "section",
        tag("h2", "Person by person"),
        tag(
            "p",
            tag("span", cls="tf-track-key is-mark"),
            f"{start(now.about.challenger)}'s win rate as this person sees it, ",
            tag("span", cls="tf-track-key is-other"),
            "as everybody else does. The band is the interval of the whole session.",
            cls="tf-remark",
        ),
        strips(rows, name="Win rate per person", ends=ends_of(now.about)),
        tag("p", agreement(now), cls="tf-remark"),
        cls="tf-part",
    )


def _who(label: str, names: Mapping[str, str]) -> str:
    return f"{plain(names[label])} ({label})" if label in names else plain(label)


def _without(now: Verdict, one: RaterShare) -> Html | str:
    own = f"{start(prompts(one.n_prompts))} rated"
    if one.win_rate_without is None:
        return f"{own}; without this person nothing would be left"
    verdict = one.verdict_without if one.n_without >= now.fewest else "undecided"
    told = f"{own}; everybody else says {percent(one.win_rate_without)} on {prompts(one.n_without)}"
    if verdict == now.winner:
        return f"{told}, the same verdict"
    says = {"tuned": f"{now.about.challenger} is better", "base": f"{now.about.reference} is better"}
    return widgets.join((f"{told}, ", tag("strong", f"another verdict: {says.get(verdict, 'not settled')}")))


def agreement(now: Verdict) -> str:
    """How far people agree, in one sentence."""
    found = agreement_of(now.tally.votes)
    if not found.n_pairs or found.raw is None:
        return "No two people have rated the same prompt yet, so nothing says how far they agree."
    times = "the one time" if found.n_pairs == 1 else f"{found.n_pairs:,} times"
    told = f"Two people saw the same prompt {times} and said the same in {percent(found.raw)}"
    if found.decisive is not None:
        told += f", in {percent(found.decisive)} where both chose a side"
    if found.alpha is None:
        return f"{told}."
    return f"{told} (Krippendorff's alpha {found.alpha:.2f}; 1 is perfect, 0 is as good as chance)."


# --- every challenger on one scale -----------------------------------------------------------------------------------------


def ranking(now: Verdict) -> Html:
    """All challengers against the reference, the best win rate first, each with its own verdict. Needs three arms or more."""
    order = ranked(now)
    against = now.about.reference
    return tag(
        "figure",
        tag("figcaption", f"Each one against {against}, by its win rate", cls="tf-ranking-title"),
        strips(
            [_ranked(one) for one in order],
            name=f"Win rates against {plain(against)}",
            ends=(f"{short(against)} preferred", "the other preferred"),
            ranked=True,
        ),
        tag(
            "p",
            f"The place says who has the higher win rate, not who is surely better: bands that overlap leave that open. "
            f"All bands together hold with 95 %. Points are Elo: {ELO_LABEL}. {_unknown(order)}".strip(),
            cls="tf-remark",
        ),
        cls="tf-scale tf-ranking",
    )


def ranked(now: Verdict) -> list[Checkpoint]:
    """The challengers by win rate, those without a vote last."""
    return sorted(now.checkpoints, key=lambda one: -1.0 if one.verdict.win_rate is None else one.verdict.win_rate, reverse=True)


def leaders(now: Verdict) -> str:
    """Who of several is better than the reference, in a few words."""
    each, many = now.checkpoints, len(now.checkpoints)
    better = [one.verdict for one in each if one.verdict.state == "tuned_better"]
    worse = [one.verdict for one in each if one.verdict.state == "base_better"]
    against = now.about.reference
    rest = f", {len(worse)} {'is' if len(worse) == 1 else 'are'} worse" if worse else ""
    if len(better) == 1:
        return f"{start(better[0].about.challenger)} is better than {against}{rest}"
    if better:
        all_of = f"All {many}" if len(better) == many else f"{len(better)} of {many}"
        return f"{all_of} are better than {against}{rest}"
    if len(worse) == many:
        return f"{start(against)} is better than all {many}"
    if all(one.verdict.state == "no_difference" for one in each):
        return f"No meaningful difference between {against} and the others"
    if all(one.verdict.state == "too_early" for one in each):
        return "Too early to say"
    return f"None of {many} is better than {against} so far"


def settled(now: Verdict) -> tuple[str, State]:
    """How many of several have been decided, as a pill says it."""
    done = sum(one.verdict.state in ("tuned_better", "base_better", "no_difference") for one in now.checkpoints)
    if done == len(now.checkpoints):
        return "All settled", "good"
    return (f"{done} of {len(now.checkpoints)} settled", "quiet") if done else ("Not settled", "quiet")


def _ranked(one: Checkpoint) -> Strip:
    now, (state, word) = one.verdict, STATES[one.verdict.state]
    points = "no Elo points" if one.strength.elo is None else f"{one.strength.elo:,.0f} points"
    if now.win_rate is None:
        return Strip(plain(one.arm.label or one.arm.name), "no votes", mark=widgets.pill("Nobody has voted", "quiet"))
    return Strip(
        name=plain(one.arm.label or one.arm.name),
        value=percent(now.win_rate),
        remark=f"{percent(now.low)} to {percent(now.high)} · {prompts(now.n_items)} · evidence {now.odds} · {points}",
        rate=now.win_rate,
        low=now.low,
        high=now.high,
        mark=widgets.pill(_PLACED.get(now.state, word), state),
    )


_PLACED: Final[Mapping[VerdictState, str]] = {
    "tuned_better": "Better",
    "base_better": "Worse",
    "no_difference": "No difference",
    "leaning": "Leaning",
    "no_evidence": "No evidence",
}


def _unknown(order: Sequence[Checkpoint]) -> str:
    found = [f"{plain(one.arm.label or one.arm.name)}: {one.strength.missing}" for one in order if one.strength.missing]
    return " ".join(found)
