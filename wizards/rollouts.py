"""What the model answered while it practised: one step, one question, all its tries side by side with their scores.

Guarantees: everything that a model or a file said is text and never markup; an answer that could not be scored says so; nothing
is read but the step that is looked at.
"""

from __future__ import annotations

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
    """The steps that have answers, the one on screen, and its questions; ``group`` is the open one."""

    steps: tuple[int, ...]
    step: int
    groups: tuple[Group, ...]
    group: int


def read(folder: Path, view: View) -> Tried | None:
    """What there is to read of this run, ``None`` for one that has (so far) written no answers."""
    steps = rollouts.steps(folder)
    if not steps:
        return None
    step = view.step if view.step in steps else steps[-1]
    groups = rollouts.read(folder, step)
    return Tried(steps, step, groups, min(view.group, max(0, len(groups) - 1)))


def html(now: Tried) -> Html:
    """The reader: a step, its questions, and the answers to one of them."""
    group = now.groups[now.group] if now.groups else None
    return tag(
        "section",
        tag(
            "div",
            tag("h2", "What it answers"),
            tag("p", "Each step it tries every question several times. What scored above the others is made likelier."),
            cls="tf-tried-head",
        ),
        _steps(now),
        _questions(now),
        _group(group) if group is not None else tag("p", "No answers were kept of this step.", cls="tf-remark"),
        cls="tf-part tf-tried",
    )


def _steps(now: Tried) -> Html:
    at = now.steps.index(now.step)
    chosen = forms.choice(
        "tf-tried-step", [(str(step), f"Step {step:,}") for step in now.steps], str(now.step), data_field="step"
    )
    return tag(
        "div",
        _turn("First", now.steps[0], off=at == 0),
        _turn("Earlier", now.steps[max(0, at - 1)], off=at == 0),
        tag("span", tag("label", "Step to read", for_="tf-tried-step", cls="tf-unseen"), chosen, cls="tf-field"),
        _turn("Later", now.steps[min(len(now.steps) - 1, at + 1)], off=at == len(now.steps) - 1),
        _turn("Latest", now.steps[-1], off=at == len(now.steps) - 1, latest=True),
        cls="tf-tried-steps",
    )


def _turn(label: str, step: int, *, off: bool, latest: bool = False) -> Html:
    """A press that goes to a step; the latest one is kept up with, so it is no number."""
    return widgets.button(label, "step", value="latest" if latest else str(step), kind="secondary", disabled=off)


def _questions(now: Tried) -> Html | None:
    if len(now.groups) < 2:
        return None
    return tag(
        "div",
        *(_question(at, group, at == now.group) for at, group in enumerate(now.groups)),
        cls="tf-tried-questions",
        role="group",
        aria_label="Questions of this step",
    )


def _question(at: int, group: Group, chosen: bool) -> Html:
    mean = _mean(group)
    return tag(
        "button",
        tag("span", f"Question {at + 1}"),
        tag("strong", "not scored" if mean is None else f"{mean:.2f}"),
        type="button",
        cls="tf-tried-question",
        aria_pressed="true" if chosen else "false",
        data_pick="group",
        data_value=str(at),
    )


def _mean(group: Group) -> float | None:
    scored = [answer.reward for answer in group.answers if answer.reward is not None]
    return sum(scored) / len(scored) if scored else None


def _group(group: Group) -> Html:
    scores = [answer.reward for answer in group.answers if answer.reward is not None]
    lowest, highest = min((0.0, *scores)), max((1.0, *scores))
    flat = "All answers scored the same, so this question taught nothing here." if group.flat and len(scores) > 1 else ""
    reference = tag("p", tag("strong", "In your data: "), tag("code", group.reference)) if group.reference else None
    return tag(
        "div",
        tag("h3", "The question"),
        tag("pre", group.prompt, cls="tf-sample", tabindex="0", role="region", aria_label="The question"),
        reference,
        tag("h3", f"Its {len(group.answers)} answers"),
        tag("p", flat, cls="tf-remark") if flat else None,
        tag("ol", *(_answer(each, lowest, highest) for each in group.answers), cls="tf-tried-answers"),
        cls="tf-tried-group",
    )


def _answer(answer: Answer, lowest: float, highest: float) -> Html:
    share = 0.0 if answer.reward is None else (answer.reward - lowest) / (highest - lowest)
    bar = tag("span", tag("span", style=f"width:{100 * share:.0f}%"), cls="tf-score-bar", aria_hidden="true")
    said = (_pushed(answer), f"{answer.tokens:,} tokens", "cut at the longest answer" if answer.cut else "")
    head = tag(
        "p",
        tag("strong", "not scored" if answer.reward is None else f"{answer.reward:.2f}", cls="tf-score"),
        bar,
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
    return tag("ul", *(_part(part) for part in answer.parts), cls="tf-tried-parts") if answer.parts else None


def _part(part: Part) -> Html:
    value = "not worked out" if part.value is None else f"{part.value:.2f}"
    return tag("li", tag("strong", part.name), f" {value}", tag("span", f" {part.why}", cls="tf-remark") if part.why else None)
