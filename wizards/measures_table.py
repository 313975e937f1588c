"""The automatic measures as a table: base, tuned, and their difference with its interval.

Guarantees: a difference whose interval does not exclude zero is not called better; which side is better follows from the
measure, not from the sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio.compare.measures import Measure
from wizards import widgets
from wizards.widgets import Html, tag


def table(measures: Sequence[Measure]) -> Html:
    """One row for each measure."""
    rows = [
        (_name(one), value(one, one.base), value(one, one.tuned), difference(one), reading(one), f"{one.n:,}")
        for one in measures
    ]
    columns = ("Measure", "Base", "Tuned", "Difference (95 %)", "Reading", "Prompts")
    return widgets.table(columns, rows, caption="What a program can count", numeric=(1, 2, 5), cls="tf-measures")


def overview(found: Sequence[tuple[str, Sequence[Measure]]], reference: str) -> Html:
    """Several arms against one reference: one row for each measure, one column for each arm, named by ``found``."""
    known: dict[str, Measure] = {}
    for _, measures in found:
        for one in measures:
            known.setdefault(one.name, one)
    by_arm = [{one.name: one for one in measures} for _, measures in found]
    rows = [
        (_name(one), value(one, one.base), *(_cell(measures.get(one.name)) for measures in by_arm), f"{one.n:,}")
        for one in known.values()
    ]
    columns = ("Measure", reference, *(label for label, _ in found), "Prompts")
    numbers = (1, len(columns) - 1)
    return widgets.table(columns, rows, caption="What a program can count", numeric=numbers, cls="tf-measures")


def _cell(measure: Measure | None) -> Html:
    if measure is None:
        return tag("span", "not measured", cls="tf-remark")
    return widgets.join(
        (
            tag("strong", value(measure, measure.tuned)),
            tag("span", difference(measure), cls="tf-measures-gain"),
            _against(measure),
        )
    )


def _against(measure: Measure) -> Html:
    """Better or worse than the reference, in words; nothing where there is no better side or no clear difference."""
    better = side(measure)
    if better is None:
        return tag("span", "no better side" if measure.better == "neither" else "no clear difference", cls="tf-remark")
    return widgets.pill("better" if better else "worse", "good" if better else "warn")


def side(measure: Measure) -> bool | None:
    """Whether the arm is clearly better than the reference; ``None`` when that is not clear, or there is no better."""
    low, high = measure.low, measure.high
    if low is None or high is None:
        low = high = measure.difference
    if measure.better == "neither" or low <= 0 <= high:
        return None
    return (measure.difference > 0) == (measure.better == "higher")


def _name(measure: Measure) -> Html:
    unit = measure.unit if measure.unit not in ("share", measure.name) else ""
    return widgets.join((tag("strong", measure.label), tag("span", unit, cls="tf-remark") if unit else None))


def value(measure: Measure, number: float) -> str:
    """A number in the measure's unit."""
    match measure.unit:
        case "share":
            return f"{100 * number:.0f} %"
        case "characters":
            return f"{number:,.0f}"
        case _:
            return f"{number:,.2f}"


def difference(measure: Measure) -> str:
    """Tuned minus base, and between which values it lies."""
    mean = _signed(measure, measure.difference)
    if measure.low is None or measure.high is None:
        return f"{mean}, the same on every prompt"
    return f"{mean} ({_signed(measure, measure.low)} to {_signed(measure, measure.high)})"


def _signed(measure: Measure, number: float) -> str:
    match measure.unit:
        case "share":
            text = f"{100 * number:+.0f}"
        case "characters":
            text = f"{number:+,.0f}"
        case _:
            text = f"{number:+,.2f}"
    return text.replace("-", "−")  # noqa: RUF001 - a true minus sign, for people


def reading(measure: Measure) -> Html:
    """What the difference says, in words."""
    better = side(measure)
    if better is None:
        return tag("span", "no better side" if measure.better == "neither" else "no clear difference", cls="tf-remark")
    return widgets.pill("tuned is better" if better else "base is better", "good" if better else "warn")
