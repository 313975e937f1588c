"""Histograms and labelled bars, drawn in the page itself: no library, no request, the colours of the theme.

Guarantees: every picture says in words what it shows, and its numbers can be read as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from wizards import widgets
from wizards.widgets import Html, tag

_HEIGHT: Final = 100


def histogram(steps: Sequence[tuple[int, int, int]], *, unit: str, said: str, keep: str = "") -> Html | None:
    """Counts of rows by length, as ``low, high, count``. ``said`` is the picture in one sentence."""
    if not steps:
        return None
    most = max((count for _, _, count in steps), default=0) or 1
    drawn = (
        tag(
            "rect",
            x=f"{place + 0.06:.2f}",
            y=f"{_HEIGHT - _tall(count, most):.2f}",
            width="0.88",
            height=f"{_tall(count, most):.2f}",
        )
        for place, (_, _, count) in enumerate(steps)
        if count
    )
    picture = tag(
        "svg",
        *drawn,
        cls="tf-bars",
        viewBox=f"0 0 {len(steps)} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=said,
    )
    low, high = steps[0][0], steps[-1][1]
    middle = steps[len(steps) // 2][0]
    scale = tag(
        "div",
        tag("span", f"{low:,}"),
        tag("span", f"{middle:,}") if len(steps) > 2 else None,
        tag("span", f"{high:,} {unit}"),
        cls="tf-bars-scale",
        aria_hidden="true",
    )
    rows = [(f"{low:,} to {high:,}" if low != high else f"{low:,}", f"{count:,}") for low, high, count in steps if count]
    numbers = widgets.table((unit.capitalize(), "Rows"), rows, caption=f"{unit.capitalize()} and rows", numeric=(0, 1))
    return tag(
        "figure",
        picture,
        scale,
        tag("figcaption", said),
        widgets.more("As numbers", numbers, keep=f"bars-{keep}") if keep else None,
        cls="tf-figure",
    )


def _tall(count: int, most: int) -> float:
    """At least a line: a bar that is there must be seen."""
    return max(1.5, _HEIGHT * count / most)


@dataclass(frozen=True, slots=True)
class Bar:
    """One value with its count; pressing it sends ``pick`` and ``value``."""

    label: str
    count: int
    pick: str = ""
    value: str = ""


def labelled(bars: Sequence[Bar], *, name: str, total: int) -> Html:
    """Values as bars to the right, each a button that shows its rows."""
    most = max((bar.count for bar in bars), default=0) or 1
    return tag("ul", *(tag("li", _labelled(bar, most, total)) for bar in bars), cls="tf-label-bars", aria_label=name)


def _labelled(bar: Bar, most: int, total: int) -> Html:
    inside = (
        tag("span", bar.label, cls="tf-label-name", dir="auto"),
        tag("span", tag("span", style=f"width:{100 * bar.count / most:.1f}%"), cls="tf-label-bar", aria_hidden="true"),
        tag(
            "span",
            f"{bar.count:,}",
            tag("span", f" {100 * bar.count / max(1, total):.0f} %", cls="tf-remark"),
            cls="tf-label-count",
        ),
    )
    if not bar.pick:
        return tag("div", *inside, cls="tf-label")
    return tag("button", *inside, type="button", cls="tf-label", data_pick=bar.pick, data_value=bar.value)
