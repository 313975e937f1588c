"""Who is compared on what, as it stands in the store: the sides, the terms, and what could give an answer away.

Guarantees: every side is asked on the same terms, and where one is not, it is said; what tells the sides apart is counted for
all of them together, so that nobody who has yet to rate learns which one it is. A part of the step *Compare*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from studio.compare.giveaways import Flag, flags, shown
from studio.compare.overlap import words
from studio.compare.plan import ArmPlan, Plan
from studio.compare.sessions import answered_by_all
from studio.store import AnswerRow, Job
from wizards import widgets
from wizards.widgets import Html, tag

FLAGS: Final[dict[Flag, str]] = {
    "names_model": "name a model",
    "special_tokens": "held special tokens",
    "thinking": "held thinking aloud",
    "truncated": "were cut off at the limit",
    "empty": "are empty",
}
_KINDS: Final = {
    "base": "the base model",
    "run": "a run",
    "checkpoint": "on the way",
    "model": "another base model",
    "imported": "from a file",
}


@dataclass(frozen=True, slots=True)
class Match:
    """One side against the reference: prompts that both answered, and those of them with the same answer twice."""

    name: str
    label: str
    prompts: int
    identical: int


@dataclass(frozen=True, slots=True)
class Told:
    """What came back. ``words`` are those of one pair on average, prompt included; ``flags`` by the name of the arm."""

    matches: tuple[Match, ...] = ()
    flags: Mapping[str, Mapping[Flag, int]] = field(default_factory=dict[str, Mapping[Flag, int]])
    answers: int = 0
    words: float = 0.0
    references: bool = False
    prompts: int = 0
    same: int = 0

    @property
    def pairs(self) -> int:
        """Pairs of answers that differ: what one person who rates everything sees."""
        return sum(one.prompts - one.identical for one in self.matches)

    @property
    def to_rate(self) -> int:
        """Prompts on which not everybody gave the same answer."""
        return self.prompts - self.same


def told(plan: Plan, answers: Sequence[AnswerRow], prompt_words: Mapping[str, int]) -> Told:
    """Look through all answers. ``prompt_words`` counts the words of each prompt."""
    names = [arm.name for arm in plan.arms]
    complete = answered_by_all(answers, names)
    texts = {prompt_id: {name: shown(one.text) for name, one in by_arm.items()} for prompt_id, by_arm in complete.items()}
    first = plan.reference.name
    matches = tuple(
        Match(arm.name, arm.label, len(texts), sum(by_arm[arm.name] == by_arm[first] for by_arm in texts.values()))
        for arm in plan.challengers
    )
    model_names = tuple({arm.model for arm in plan.arms} | {arm.label for arm in plan.arms if arm.kind in ("base", "model")})
    counts: dict[str, Counter[Flag]] = {name: Counter() for name in names}
    for by_arm in complete.values():
        for name in names:
            counts[name].update(flags(by_arm[name], [one for one in model_names if one]))
    lengths = {prompt_id: [len(words(by_arm[name])) for name in names] for prompt_id, by_arm in texts.items()}
    pair_words = [
        prompt_words.get(prompt_id, 0) + lengths[prompt_id][0] + other
        for prompt_id in texts
        for other in lengths[prompt_id][1:]
    ]
    return Told(
        matches,
        counts,
        len(complete) * len(names),
        sum(pair_words) / max(1, len(pair_words)),
        any(one.reference.strip() for one in answers),
        len(texts),
        sum(len(set(by_arm.values())) == 1 for by_arm in texts.values()),
    )


# --- markup ----------------------------------------------------------------------------------------------------------------


def every(plan: Plan) -> str:
    """All who are compared, in words."""
    return "both models" if len(plan.arms) == 2 else f"all {len(plan.arms)}"


def progress(plan: Plan, answered: Mapping[str, int], job: Job) -> Html | None:
    """How far each side is; nothing while it is not known how many prompts there are."""
    prompts = job.total // len(plan.arms)
    if not prompts:
        return None
    rows = (
        tag(
            "li",
            tag("span", arm.label),
            widgets.meter(min(answered.get(arm.name, 0), prompts), prompts, f"{answered.get(arm.name, 0):,} of {prompts:,}"),
        )
        for arm in plan.arms
    )
    return tag("ul", *rows, cls="tf-compare-progress", aria_label="Answers of each side")


def sides_table(plan: Plan) -> Html:
    """Who takes part."""
    rows = [
        (
            tag("strong", arm.label),
            _kind(arm, reference=arm is plan.reference),
            tag("code", arm.renderer) if arm.asked else "as it came",
        )
        for arm in plan.arms
    ]
    return widgets.table(("Who", "What it is", "Template"), rows, caption="Who takes part", cls="tf-compare-sides")


def _kind(arm: ArmPlan, *, reference: bool) -> str:
    what = _KINDS[arm.kind]
    return f"{what}; the others are compared with it" if reference else what


def terms(plan: Plan, job: Job, now: Told, stamped: int) -> Html:
    """What everybody is asked, and how; and what a reader of the verdict should know."""
    prompts = job.total // len(plan.arms) or now.prompts or plan.max_prompts
    sampling = "always the most likely answer" if plan.temperature == 0 else f"temperature {plan.temperature:g}, the same seed"
    renderers = dict.fromkeys(arm.renderer for arm in plan.arms if arm.asked)
    pairs: list[tuple[str, object]] = [
        ("prompts", f"{prompts:,} {plan.source.words}"),
        ("template", widgets.join((tag("code", one) for one in renderers), ", ")),
        ("answers", f"{sampling}; at most {plan.max_tokens:,} tokens"),
    ]
    if not renderers:
        pairs = pairs[:1]
    if now.matches:
        pairs += _ties(now)
    if marked := _giveaways(now):
        pairs.append(("giveaways", marked))
    if stamped:
        was = "1 prompt was" if stamped == 1 else f"{stamped:,} prompts were"
        pairs.append(("stamp", widgets.join((widgets.pill("Not held out", "warn"), f" {was} trained on by one of them."))))
    remarks = [remark for arm in plan.arms for remark in plan.remarks(arm)]
    if remarks:
        pairs.append(("limits", widgets.join(tag("span", one, cls="tf-compare-limit") for one in remarks)))
    return tag(
        "section",
        tag("h2", f"The same for {every(plan)}"),
        sides_table(plan) if len(plan.arms) > 2 else None,
        widgets.sheet(widgets.facts(pairs)),
        cls="tf-part tf-terms",
    )


def _ties(now: Told) -> list[tuple[str, object]]:
    if len(now.matches) == 1:
        found = now.matches[0].identical
        same = "1 prompt got" if found == 1 else f"{found:,} prompts got"
        return [("ties", f"{same} the same answer twice. They count as ties and are not shown.")] if found else []
    found = [f"{one.label} {one.identical:,}" for one in now.matches if one.identical]
    if not found:
        return []
    return [("ties", f"The same answer as the reference: {', '.join(found)}. They count as ties and are not shown.")]


def _giveaways(now: Told) -> str:
    """All sides together: apart, the counts would tell who is who."""
    total: Counter[Flag] = Counter()
    for one in now.flags.values():
        total.update(one)
    parts = [f"{total[flag]:,} {words}" for flag, words in FLAGS.items() if total[flag]]
    if not parts:
        return ""
    hidden = "Tokens and thinking are shown to nobody; the rest could tell who wrote it."
    return f"Of {now.answers:,} answers {', '.join(parts)}. {hidden}"


def giveaways_table(plan: Plan, now: Told) -> Html | None:
    """Side by side, for those who may know; nothing where nothing was found."""
    found: list[Flag] = [flag for flag in FLAGS if any(one.get(flag) for one in now.flags.values())]
    if not found:
        return None
    rows = [(arm.label, *(f"{_found(now, arm, flag):,}" for flag in found)) for arm in plan.arms]
    heads = ("Answers that", *(FLAGS[flag] for flag in found))
    return widgets.table(heads, rows, caption="What could give an answer away", numeric=tuple(range(1, len(heads))))


def _found(now: Told, arm: ArmPlan, flag: Flag) -> int:
    counts = now.flags.get(arm.name)
    return counts.get(flag, 0) if counts else 0
