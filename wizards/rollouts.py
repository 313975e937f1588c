"""What the model answered while it practised, and to held-out questions at each check: one question, its tries, their scores.

Guarantees: everything that a model or a file said is text and never markup; an answer that could not be scored says so; nothing
is read but the step that is looked at; the same held-out question has the same number at every check.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from studio.runs import rollouts
from studio.runs.rollouts import Answer, Group, Part
from wizards import forms, widgets
from wizards.train_view import View
from wizards.widgets import Html, tag

#: Two scores or advantages closer than this are the same.
_SAME: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Tried:
    """The steps that have answers, the one on screen, and its questions; ``group`` is the open one.

    ``held``: they are held-out questions, and a step is a check. ``both``: there are answers of the other sort as well.
    """

    steps: tuple[int, ...]
    step: int
    groups: tuple[Group, ...]
    group: int
    method: str = "rl"
    held: bool = False
    both: bool = False


#: How a step of practice goes.
_PRACTICE: Final = {
    "rl": "Each step it tries every question several times. What scored above the others is made likelier.",
    "rlhf": "Each step it tries every question several times, and the judge compares the answers with each other. What wins "
    "more often is made likelier.",
    "distill": "Each step it answers a few questions, and the teacher says at every word what it would have written. There is "
    "no score: the student is pulled towards those words.",
}
#: What the answers of a check were weighed against.
_COMPARED: Final = {"rlhf": "What the judge compares with, its answer before training", "distill": "The teacher's answer"}
#: What a check shows.
_CHECKS: Final = {
    "rl": "Questions that it never practises on, answered at each check. Nothing is learned from them.",
    "rlhf": "Questions that it never practises on, answered at each check. The judge compares each answer with the one from "
    "before training: 1 is better, 0 is worse, 0.50 is neither. Nothing is learned from them.",
    "distill": "Questions that it never learns from, answered at each check without the teacher's help.",
}


def read(folder: Path, view: View, method: str = "rl") -> Tried | None:
    """What there is to read of this run, ``None`` for one that has (so far) written no answers."""
    practised, checks = rollouts.steps(folder), rollouts.steps(folder / rollouts.HELD_OUT)
    held = bool(checks) and (view.held or not practised)
    steps = checks if held else practised
    if not steps:
        return None
    step = view.step if view.step in steps else steps[-1]
    groups = rollouts.read(folder / rollouts.HELD_OUT, step) if held else rollouts.read(folder, step)
    if held:
        # They are written in the order in which their scores came, which is another one at every check.
        groups = tuple(sorted(groups, key=lambda group: (group.prompt, group.reference)))
    at = min(view.group, max(0, len(groups) - 1))
    return Tried(steps, step, groups, at, method, held, bool(practised and checks))


def html(now: Tried) -> Html:
    """The reader: a step or a check, its questions, and the answers to one of them."""
    group = now.groups[now.group] if now.groups else None
    nothing = "No answers were kept of this check." if now.held else "No answers were kept of this step."
    return tag(
        "section",
        tag("div", tag("h2", "What it answers"), _kinds(now), tag("p", _lead(now)), cls="tf-tried-head"),
        _steps(now),
        _sum(now.groups) if now.held else None,
        _questions(now),
        _group(group, now) if group is not None else tag("p", nothing, cls="tf-remark"),
        cls="tf-part tf-tried",
    )


def _lead(now: Tried) -> str:
    known = _CHECKS if now.held else _PRACTICE
    return known.get(now.method, known["rl"])


def _kinds(now: Tried) -> Html | None:
    """The way from the answers of practice to those of the checks, and back."""
    if not now.both:
        return None
    kinds = (("practice", "While practising", not now.held), ("held-out", "On held-out questions", now.held))
    return tag(
        "div",
        *(
            tag("button", label, type="button", aria_pressed="true" if on else "false", data_pick="answers", data_value=value)
            for value, label, on in kinds
        ),
        cls="tf-switch",
        role="group",
        aria_label="Which answers",
    )


def _sum(groups: Sequence[Group]) -> Html | None:
    """A check in one line: the numbers that its point on the curve came from."""
    found = rollouts.summary(groups)
    if found is None:
        return None
    each = max(len(group.answers) for group in groups)
    parts = [
        f"{_counted(len(groups), 'question')}, {_counted(each, 'answer')} each",
        "" if math.isnan(found.reward) else f"Mean score {found.reward:.2f}",
        f"{found.answer_tokens:.0f} tokens an answer",
    ]
    return tag("p", " · ".join(part for part in parts if part), cls="tf-remark")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _steps(now: Tried) -> Html:
    at = now.steps.index(now.step)
    names = [(str(step), _name(step, held=now.held)) for step in now.steps]
    # Another name for another list: a list whose entries are exchanged under it would show none of them.
    ident = "tf-tried-check" if now.held else "tf-tried-step"
    chosen = forms.choice(ident, names, str(now.step), data_field="step")
    return tag(
        "div",
        _turn("First", now.steps[0], off=at == 0),
        _turn("Earlier", now.steps[max(0, at - 1)], off=at == 0),
        tag("span", tag("label", "Step to read", for_=ident, cls="tf-unseen"), chosen, cls="tf-field"),
        _turn("Later", now.steps[min(len(now.steps) - 1, at + 1)], off=at == len(now.steps) - 1),
        _turn("Latest", now.steps[-1], off=at == len(now.steps) - 1, latest=True),
        cls="tf-tried-steps",
    )


def _name(step: int, *, held: bool) -> str:
    if not held:
        return f"Step {step:,}"
    return f"After step {step:,}" if step else "Before training"


def _turn(label: str, step: int, *, off: bool, latest: bool = False) -> Html:
    """A press that goes to a step; the latest one is kept up with, so it is no number."""
    return widgets.button(label, "step", value="latest" if latest else str(step), kind="secondary", disabled=off)


def _questions(now: Tried) -> Html | None:
    if len(now.groups) < 2:
        return None
    return tag(
        "div",
        *(_question(at, _worth(group, now), at == now.group) for at, group in enumerate(now.groups)),
        cls="tf-tried-questions",
        role="group",
        aria_label="Questions of this step",
    )


def _worth(group: Group, now: Tried) -> str:
    """What there is to say of a question beside its number; empty where nobody scores."""
    mean = _mean(group)
    if mean is None:
        if any(answer.error for answer in group.answers):
            return "not scored"
        met = [part.name for answer in group.answers for part in answer.parts if part.value == 1]
        return met[0] if met else ("other form" if any(answer.parts for answer in group.answers) else "")
    if _zero_sum(now):
        return "all equal" if group.flat else "they differ"
    return f"{mean:.2f}"


def _question(at: int, worth: str, chosen: bool) -> Html:
    return tag(
        "button",
        tag("span", f"Question {at + 1}"),
        tag("strong", worth) if worth else None,
        type="button",
        cls="tf-tried-question",
        aria_pressed="true" if chosen else "false",
        data_pick="group",
        data_value=str(at),
    )


def _mean(group: Group) -> float | None:
    scored = [answer.reward for answer in group.answers if answer.reward is not None]
    return sum(scored) / len(scored) if scored else None


def _group(group: Group, now: Tried) -> Html:
    scores = [answer.reward for answer in group.answers if answer.reward is not None]
    lowest, highest = _ends(now)
    same = group.flat and len(scores) > 1 and not now.held
    flat = "All answers scored the same, so this question taught nothing here." if same else ""
    count = len(group.answers)
    return tag(
        "div",
        tag("h3", "The question"),
        tag("pre", group.prompt, cls="tf-sample", tabindex="0", role="region", aria_label="The question"),
        _beside("In your data", group.reference),
        _beside(_COMPARED.get(now.method, "Compared with"), group.compared),
        tag("h3", f"Its {count:,} answers" if count > 1 else "Its answer"),
        tag("p", flat, cls="tf-remark") if flat else None,
        tag("ol", *(_answer(each, lowest, highest, now) for each in group.answers), cls="tf-tried-answers"),
        cls="tf-tried-group",
    )


def _ends(now: Tried) -> tuple[float, float]:
    """Between which scores the bars of this step lie: the same for all of its questions, so that they can be compared."""
    scores = [answer.reward for group in now.groups for answer in group.answers if answer.reward is not None]
    return min((-1.0 if _zero_sum(now) else 0.0, *scores)), max((1.0, *scores))


def _zero_sum(now: Tried) -> bool:
    """Whether what one answer wins the others of its question lose: then their mean says nothing."""
    return now.method == "rlhf" and not now.held


def _bar(reward: float, lowest: float, highest: float) -> Html:
    """A score as a bar from zero, to the left where it is below."""
    share, zero = (100 * (value - lowest) / (highest - lowest) for value in (reward, 0.0))
    drawn = tag("span", style=f"left:{min(share, zero):.0f}%;width:{abs(share - zero):.0f}%")
    below = {"cls": "tf-score-bar has-zero", "style": f"--zero:{zero:.0f}%"} if lowest < 0 else {"cls": "tf-score-bar"}
    return tag("span", drawn, aria_hidden="true", **below)


def _beside(label: str, text: str) -> Html | None:
    """A text that the answers are read against."""
    return tag("p", tag("strong", f"{label}: "), tag("code", text), cls="tf-tried-beside") if text else None


def _score(answer: Answer, lowest: float, highest: float) -> tuple[Html, ...]:
    """The score in figures and as a bar; nothing where nobody scores."""
    if answer.reward is None:
        return (tag("strong", "not scored", cls="tf-score"),) if answer.error else ()
    return tag("strong", f"{answer.reward:.2f}", cls="tf-score"), _bar(answer.reward, lowest, highest)


def _answer(answer: Answer, lowest: float, highest: float, now: Tried) -> Html:
    pushed = "" if now.held else _pushed(answer)
    said = (pushed, _counted(answer.tokens, "token"), "cut at the longest answer" if answer.cut else "")
    head = tag(
        "p",
        *_score(answer, lowest, highest),
        tag("span", " · ".join(each for each in said if each), cls="tf-remark"),
        cls="tf-tried-score",
    )
    trouble = tag("p", answer.error, cls="tf-field-problem") if answer.error else None
    return tag("li", head, tag("pre", answer.text or "(an empty answer)", cls="tf-tried-text"), trouble, _parts(answer))


def _pushed(answer: Answer) -> str:
    """What the step made of this answer."""
    if answer.advantage is None:
        return ""
    if abs(answer.advantage) < _SAME:
        return "left as it is"
    return "made likelier" if answer.advantage > 0 else "made less likely"


def _parts(answer: Answer) -> Html | None:
    """What the score is made of, where it has parts worth telling."""
    return tag("ul", *(_part(part, answer) for part in answer.parts), cls="tf-tried-parts") if answer.parts else None


def _part(part: Part, answer: Answer) -> Html:
    value = "not worked out" if part.value is None else f"{part.value:.2f}"
    if answer.reward is None and not answer.error and part.value in (0, 1):
        value = "yes" if part.value else "no"  # where nobody scores, a part is a mark
    return tag(
        "li", tag("strong", part.name), f" {value}", tag("span", f" ({part.why})", cls="tf-remark") if part.why else None
    )
