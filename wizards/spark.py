"""A curve as small as a word.

Guarantees: pure; a value that is no number leaves no mark; its numbers always stand beside it, so it is silent for readers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from studio.runs.progress import Point
from wizards.widgets import Html, tag

_WIDTH: Final = 120
_HEIGHT: Final = 32


def spark(points: Sequence[Point]) -> Html | None:
    """The curve as a line of a word's height; its numbers stand beside it."""
    drawn = [point for point in points if math.isfinite(point.value)]
    if len(drawn) < 2:
        return None
    drawn = drawn[:: max(1, len(drawn) // 60)]
    low, high = min(point.value for point in drawn), max(point.value for point in drawn)
    last = max(1, drawn[-1].step - drawn[0].step)
    places = (
        f"{2 + (_WIDTH - 4) * (point.step - drawn[0].step) / last:.1f} "
        f"{3 + (_HEIGHT - 6) * (high - point.value) / ((high - low) or 1):.1f}"
        for point in drawn
    )
    return tag(
        "svg",
        tag("path", d="M" + "L".join(places), fill="none", stroke="currentColor", stroke_width="1.8", stroke_linejoin="round"),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        cls="tf-spark",
        aria_hidden="true",
        focusable="false",
    )
