"""What a sweep looks like before it starts: what is varied, how it is searched, how far it may go, what it may cost.

Guarantees: pure; the price stands above the button that starts; every control sends all that is typed, so that nothing is lost
by pressing another one, and nothing is started that was not on screen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from studio.recipe import FieldSpec, Value, about, spec_of
from studio.sweeps.plan import Kind, Plan
from wizards import forms, widgets
from wizards.sweep_asked import Asked, Reading
from wizards.widgets import Html, tag

_SEARCHES: Final[tuple[tuple[Kind, str, str], ...]] = (
    (
        "grid",
        "Every combination (grid)",
        "You list the values, and each combination becomes one run. Good for one or two settings.",
    ),
    (
        "tpe",
        "Learn from each run (TPE)",
        "You give ranges, and each run is placed where the runs before it promise most. Good for several settings at once.",
    ),
)


@dataclass(frozen=True, slots=True)
class Offered:
    """A setting that can be varied, with its present value, and the values typed for it where it is."""

    spec: FieldSpec
    now: Value
    text: str | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """A sweep that is being put together. ``free``: nothing is paid where it runs. ``said`` is why it was not started."""

    asked: Asked
    reading: Reading
    offered: tuple[Offered, ...]
    data: str
    model: str
    free: bool
    said: str = ""


def html(now: Screen) -> Html:
    """The whole page."""
    probe = now.asked.kind == "probe"
    title = (
        widgets.title(
            "Find the learning rate",
            "How strongly each step changes the model (learning rate) is the setting to get right first. Three short runs show "
            "which rate suits your data.",
        )
        if probe
        else widgets.title(
            "Which settings work best?",
            "Choose what to vary. Each try (trial) is a run of its own, and all are compared on rows that none of them learns "
            "from.",
        )
    )
    trouble = now.reading.problems.get("", "")
    return tag(
        "div",
        tag("p", f"{now.data}, {now.model}", cls="tf-eyebrow"),
        title,
        widgets.notice(trouble, state="warn") if trouble else None,
        forms.form("sweep", *(_probe(now) if probe else _search(now)), _bill(now), label="What is tried"),
        cls="tf-sweep",
    )


def _probe(now: Screen) -> tuple[Html, ...]:
    rates = now.offered[0].spec
    cards = (
        tag("li", tag("span", words), tag("strong", rates.show(value)), tag("span", note, cls="tf-remark"))
        for value, words, note in zip(_rates(now.reading.plan), _WORDS, _NOTES, strict=False)
    )
    steps = _typed(now, "steps", "Steps of each run", "Enough to see the loss fall. A run never takes more steps than in full.")
    return (
        tag(
            "section",
            tag("h2", "Three runs that differ in the learning rate only"),
            tag("ul", *cards, cls="tf-rates") if now.reading.plan is not None else None,
            cls="tf-part",
        ),
        tag("section", tag("h2", "How far it may go"), tag("div", steps, _most(now), cls="tf-fields"), cls="tf-part"),
    )


_WORDS: Final = ("Smaller", "As it stands", "Larger")
_NOTES: Final = ("a third of it", "your present setting", "three times it")


def _rates(plan: Plan | None) -> Sequence[Value]:
    return () if plan is None else plan.axes[0].choices


def _search(now: Screen) -> tuple[Html, ...]:
    first = [each for each in now.offered if not each.spec.advanced or each.text is not None]
    rest = [each for each in now.offered if each not in first]
    how = (
        tag("h2", "How it is searched"),
        tag(
            "div",
            *(_way(now, *each) for each in _SEARCHES),
            cls="tf-choices is-small",
            role="group",
            aria_label="How it is searched",
        ),
    )
    vary = (
        tag("h2", "What is varied"),
        tag("div", *(_axis(each, now.asked.kind) for each in first), cls="tf-axes"),
        widgets.more(
            f"The other {len(rest)} settings",
            tag("div", *(_axis(each, now.asked.kind) for each in rest), cls="tf-axes"),
            keep="sweep-rest",
        )
        if rest
        else None,
    )
    far = (
        tag("h2", "How far it may go"),
        tag("div", _typed(now, "trials", "Most runs (trials)", "No more are ever made."), _most(now), cls="tf-fields"),
        _toggle(
            "keep",
            "Stop runs early that are clearly behind (pruning)",
            "It saves time; they are marked.",
            on=not now.asked.keep_all,
        ),
    )
    return (tag("section", *vary, cls="tf-part"), tag("section", *how, cls="tf-part"), tag("section", *far, cls="tf-part"))


def _way(now: Screen, kind: Kind, label: str, says: str) -> Html:
    return widgets.choice(label, says, chosen=now.asked.kind == kind, data_send=f"kind:{kind}")


def _axis(each: Offered, kind: Kind) -> Html:
    """One setting: a switch, and its values once it is on."""
    spec = each.spec
    on = each.text is not None
    switch = tag(
        "button",
        _box(on=on),
        tag("span", tag("strong", spec.label), tag("span", f" ({spec.term})", cls="tf-remark")),
        tag("span", f"now {spec.show(each.now)}", cls="tf-axis-now"),
        type="button",
        cls="tf-axis-switch",
        aria_pressed="true" if on else "false",
        data_send=f"vary:{spec.name}",
    )
    return tag("div", switch, _values(each, kind) if on else None, cls="tf-axis is-on" if on else "tf-axis")


def _values(each: Offered, kind: Kind) -> Html:
    spec, text = each.spec, each.text or ""
    ident = f"tf-over-{spec.name}"
    problem = tag("p", each.problem, cls="tf-field-problem", id=f"{ident}-says") if each.problem else None
    if spec.kind == "choice":
        taken = {part.strip() for part in text.split(",")}
        switches = (
            tag(
                "button",
                _box(on=choice in taken),
                tag("span", words),
                type="button",
                cls="tf-plan tf-axis-choice",
                aria_pressed="true" if choice in taken else "false",
                data_send=f"choice:{spec.name}:{choice}",
            )
            for choice, words in spec.choices
        )
        kept = tag("input", type="hidden", name=f"over:{spec.name}", value=text)
        return tag(
            "div",
            kept,
            tag("div", *switches, cls="tf-axis-choices", role="group", aria_label=spec.term),
            problem,
            cls="tf-field",
        )
    example = "a range such as 4..64, or values with commas between" if kind == "tpe" else "values with commas between"
    field = forms.text(
        ident,
        text,
        name=f"over:{spec.name}",
        data_field=f"over:{spec.name}",
        aria_invalid="true" if each.problem else None,
        aria_describedby=f"{ident}-says" if each.problem else f"{ident}-note",
    )
    label = tag("label", f"Values of the {spec.term}", for_=ident)
    return tag("div", label, field, problem or tag("p", example, cls="tf-field-note", id=f"{ident}-note"), cls="tf-field")


def _box(*, on: bool) -> Html:
    return tag("span", widgets.icon("check", 14) if on else None, cls="tf-box")


def _typed(now: Screen, name: str, label: str, note: str) -> Html:
    ident, problem = f"tf-sweep-{name}", now.reading.problems.get(name, "")
    field = forms.text(
        ident,
        getattr(now.asked, name),
        name=name,
        data_field=name,
        inputmode="decimal",
        aria_invalid="true" if problem else None,
        aria_describedby=f"{ident}-says",
    )
    says = tag("p", problem or note, cls="tf-field-problem" if problem else "tf-field-note", id=f"{ident}-says")
    return tag("div", tag("label", label, for_=ident), field, says, cls="tf-field")


def _most(now: Screen) -> Html | None:
    """A limit on money where money is paid."""
    if now.free and not now.asked.most:
        return None
    return _typed(now, "most", "Most that all may cost together (USD)", "Empty means no limit but the number of runs.")


def _toggle(name: str, label: str, says: str, *, on: bool) -> Html:
    return tag(
        "button",
        _box(on=on),
        tag("span", tag("strong", label), tag("span", f" {says}", cls="tf-remark")),
        type="button",
        cls="tf-axis-switch tf-toggle",
        aria_pressed="true" if on else "false",
        data_send=name,
    )


def _bill(now: Screen) -> Html:
    """The price, and below it the button that starts."""
    cost, plan = now.reading.cost, now.reading.plan
    if cost is None or plan is None:
        return tag(
            "section",
            tag("h2", "What it may cost"),
            tag(
                "p",
                "It is worked out as soon as "
                + ("the above is corrected." if now.reading.problems else "a setting is varied."),
            ),
            tag("div", _back(now), cls="tf-acts"),
            cls="tf-part tf-sheet",
        )
    time = f"Training takes {about(cost.minutes)} in all. " if cost.minutes is not None else "How long it takes is not known. "
    judged = f"The runs are judged by their {plan.aim.words}; {'more' if plan.aim.up else 'less'} is better."
    count = (
        "three runs" if plan.kind == "probe" else f"up to {cost.trials} runs" if plan.kind == "tpe" else f"{cost.trials} runs"
    )
    start = tag(
        "button",
        tag("span", f"Start {'the ' if plan.kind == 'probe' else ''}{count}"),
        type="button",
        cls="tf-button tf-primary",
        data_send="start",
        data_phase="Starting",
    )
    return tag(
        "section",
        tag("h2", "What it may cost"),
        tag("p", cost.sentence, cls="tf-strong"),
        tag("p", time, judged, cls="tf-remark"),
        tag("p", now.said, cls="tf-field-warning tf-sweep-said", role="status") if now.said else None,
        tag("div", start, _back(now), cls="tf-acts"),
        cls="tf-part tf-sheet",
    )


def _back(now: Screen) -> Html:
    return tag(
        "a", widgets.icon("back"), "Back to the settings", href=f"/?{now.asked.draft.to_query()}", cls="tf-button tf-quiet"
    )


def unready(what: str, href: str) -> Html:
    """The draft in the address cannot be trained with, so nothing can be varied."""
    back = tag("a", "Go to the settings", widgets.icon("arrow"), href=href, cls="tf-button tf-primary")
    return widgets.join((widgets.title("Which settings work best?"), widgets.empty("Something is missing first", what, back)))


def offered(asked: Asked, reading: Reading, specs: Sequence[FieldSpec], values: dict[str, Value]) -> tuple[Offered, ...]:
    """Every setting that can be varied, as it stands; for a probe the learning rate alone."""
    if asked.kind == "probe":
        return (Offered(spec_of("learning_rate"), values["learning_rate"], ""),)
    return tuple(
        Offered(spec, values[spec.name], asked.values(spec.name), reading.problems.get(spec.name, "")) for spec in specs
    )
