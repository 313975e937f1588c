"""Each trial's value against each setting that was varied, drawn in the page itself.

Guarantees: pure; everything in it is also said in the table below it, by the same trial numbers; a trial that was stopped early
is told from a finished one by its form, not by colour alone; a value that is no number is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.recipe import Value, spec_of
from studio.sweeps.plan import Axis
from studio.sweeps.standing import Standing, TrialView
from wizards.widgets import Html, tag

#: The part of the width and of the height, in percent, that stays free at each end, so that no mark is cut.
_EDGE = 8.0
#: Labels below need this much of the width between them, in percent.
_ROOM = 20.0
#: Marks nearer than this to each other, in percent, are moved this many pixels aside.
_CLOSE = 9.0
_STEP = 18
#: Trials that were stopped early may lie this many times the finished ones' spread away; further ones stand at the edge.
_FAR = 1.0
#: Values further apart than this are placed by their factors.
_WIDE = 4.0


@dataclass(frozen=True, slots=True)
class Range:
    """The values from ``low`` to ``high`` that the height of the picture covers."""

    low: float
    high: float

    def place(self, value: float) -> float:
        """Percent from the bottom. What lies outside stands at the edge."""
        share = 0.5 if self.high == self.low else (value - self.low) / (self.high - self.low)
        return _EDGE + (100 - 2 * _EDGE) * min(max(share, 0.0), 1.0)


def picture(now: Standing) -> Html | None:
    """One figure for each varied setting; ``None`` before a trial has a number."""
    drawn = [one for one in now.trials if _value(one) is not None]
    if not drawn:
        return None
    heights = range_of(drawn)
    figures = (_figure(now, axis, drawn, heights) for axis in now.plan.axes)
    keys = [("", "finished"), ("is-best", "best")]
    if any(one.state != "completed" for one in drawn):
        keys.append(("is-early", "ended early, at its last check"))
    legend = (tag("li", tag("span", cls=f"tf-dot-key {cls}"), text) for cls, text in keys)
    return tag(
        "div",
        tag("div", *figures, cls="tf-dots-figures"),
        tag("ul", *legend, cls="tf-legend"),
        cls="tf-dots",
    )


def _value(one: TrialView) -> float | None:
    """The number of a trial at rest."""
    return one.value if one.state != "running" and one.value is not None and math.isfinite(one.value) else None


def range_of(drawn: Sequence[TrialView]) -> Range:
    """What the finished trials cover, and a little more where others lie outside of it."""
    finished = [one.value for one in drawn if one.state == "completed" and one.value is not None]
    values = finished or [one.value for one in drawn if one.value is not None]
    low, high = min(values), max(values)
    spread = (high - low) or abs(high) * 0.05 or 1.0
    others = [one.value for one in drawn if one.value is not None]
    return Range(max(min(others), low - _FAR * spread), min(max(others), high + _FAR * spread))


def places(axis: Axis, drawn: Sequence[Mapping[str, Value]]) -> dict[Value, float]:
    """Where each value of a setting stands, in percent from the left: by its size, or one after the other."""
    known = list(dict.fromkeys((*axis.ends, *(each[axis.name] for each in drawn))))
    numbers = [value for value in known if isinstance(value, (int, float))]
    if len(numbers) < len(known) or min(numbers) == max(numbers):
        step = 100 / len(known)
        return {value: step * (index + 0.5) for index, value in enumerate(known)}
    low, high = min(numbers), max(numbers)
    factors = low > 0 and (axis.by_factors or high / low >= _WIDE)
    found: dict[Value, float] = {}
    for value in sorted(numbers):
        share = math.log(value / low) / math.log(high / low) if factors else (value - low) / (high - low)
        found[value] = _EDGE + (100 - 2 * _EDGE) * share
    return found


def _figure(now: Standing, axis: Axis, drawn: Sequence[TrialView], heights: Range) -> Html:
    aim, spec = now.plan.aim, spec_of(axis.name)
    across = places(axis, [one.settings for one in drawn])
    aside = shifts([(across[one.settings[axis.name]], heights.place(one.value or 0.0)) for one in drawn])
    dots = (_dot(now, one, across[one.settings[axis.name]], shift, heights) for one, shift in zip(drawn, aside, strict=True))
    below = (
        tag("span", spec.show(value), style=f"left:{across[value]:.1f}%", cls=_side(across[value])) for value in labels(across)
    )
    said = f"{aim.words.capitalize()} of each trial against its {spec.term}. The numbers are in the table of trials."
    return tag(
        "figure",
        tag("figcaption", tag("strong", spec.label), tag("span", f" ({spec.term})", cls="tf-remark")),
        tag("p", f"{aim.words}, {'more' if aim.up else 'less'} is better", cls="tf-dots-measure", aria_hidden="true"),
        tag(
            "div",
            tag("div", *_heights(now, drawn, heights), cls="tf-dots-left", aria_hidden="true"),
            tag("div", *dots, cls="tf-dots-field", role="img", aria_label=said),
            tag("div", *below, cls="tf-dots-below", aria_hidden="true"),
            cls="tf-dots-plot",
        ),
        cls="tf-dots-figure",
    )


def labels(across: Mapping[Value, float]) -> list[Value]:
    """The values that are written below: the first, the last, and those between that have room."""
    inner = sorted(across, key=lambda value: across[value])
    first, last = inner[0], inner[-1]
    kept = [first]
    for value in inner[1:-1]:
        if across[value] - across[kept[-1]] >= _ROOM and across[last] - across[value] >= _ROOM:
            kept.append(value)
    return kept if last == first else [*kept, last]


def shifts(spots: Sequence[tuple[float, float]]) -> list[int]:
    """Pixels to the side for each mark, so that marks at nearly the same spot can be told apart."""
    found: list[int] = []
    for index, (left, bottom) in enumerate(spots):
        near = sum(abs(left - x) < _CLOSE and abs(bottom - y) < _CLOSE for x, y in spots[:index])
        found.append(_STEP * ((near + 1) // 2) * (1 if near % 2 else -1) if near else 0)
    return found


def _heights(now: Standing, drawn: Sequence[TrialView], heights: Range) -> list[Html]:
    """The best and the worst number of a finished trial, beside the place where they stand."""
    values = [one.value or 0.0 for one in drawn if one.state == "completed"] or [one.value or 0.0 for one in drawn]
    ends = dict.fromkeys((max(values), min(values)))
    places = {value: heights.place(value) for value in ends}
    crowded = len(ends) == 2 and abs(places[max(values)] - places[min(values)]) < _CLOSE
    shown = [max(values) if now.plan.aim.up else min(values)] if crowded else list(ends)
    return [tag("span", now.plan.aim.show(value), style=f"bottom:{places[value]:.1f}%") for value in shown]


def _dot(now: Standing, one: TrialView, left: float, shift: int, heights: Range) -> Html:
    kind = "is-best" if one.number == now.best else "is-done" if one.state == "completed" else "is-early"
    value = one.value or 0.0
    return tag(
        "span",
        str(one.number),
        cls=f"tf-dot {kind}",
        title=f"Trial {one.number}: {now.plan.aim.show(value)}",
        style=f"left:calc({left:.1f}% + {shift}px);bottom:{heights.place(value):.1f}%",
    )


def _side(left: float) -> str | None:
    """A label near an end must not hang over it."""
    return "is-left" if left <= _EDGE else "is-right" if left >= 100 - _EDGE else None
