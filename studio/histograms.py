"""Histograms that people can read: equal steps of round width, and one last bar for the few that are much longer.

Guarantees: every count is in exactly one bar; at most ``BARS`` bars and the last one, whatever the numbers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

#: Bars before the last one, which takes all that is longer.
BARS: Final = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """How many have a length from ``low`` to ``high``, both included."""

    low: int
    high: int
    count: int


def step_for(p95: int, longest: int) -> int:
    """The width of a bar, 1, 2 or 5 times a power of ten: ``BARS`` of them reach half as far again as the 95th percentile."""
    reach, size = min(longest, max(1, p95 * 3 // 2)), 1
    while True:
        for factor in (1, 2, 5):
            if size * factor * BARS >= reach:
                return size * factor
        size *= 10


def bars(found: Mapping[int, int], step: int, longest: int) -> tuple[Bar, ...]:
    """The bars for counts by place, where a length stands at the place ``min((length - 1) // step, BARS)``."""
    last = max(found, default=0)
    return tuple(
        Bar(place * step + 1, longest if place == last else (place + 1) * step, found.get(place, 0))
        for place in range(last + 1)
    )
