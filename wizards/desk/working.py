"""While a file is read: the named phase, how far, how fast, and a way to stop at once.

Guarantees: pure; a number that is not known yet is left out, not guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from wizards import widgets
from wizards.desk.words import size
from wizards.widgets import Html, tag

_PHASES: Final = {
    "starting": "Starting",
    "copying the file": "Copying the file",
    "fetching": "Fetching from the Hub",
    "staging": "Checking every row",
    "checking": "Putting together what was found",
    "near-duplicates": "Looking for rows that are nearly the same",
    "splitting": "Dividing the rows",
}
#: Milliseconds between two looks.
PULSE: Final = 500


@dataclass(frozen=True, slots=True)
class Work:
    """What the studio is doing to a file. ``total`` is 0 while it is unknown; ``unit`` is bytes, rows or per cent.

    ``speed`` is bytes or rows per second, 0 while it is not measured.
    """

    name: str
    phase: str
    done: int = 0
    total: int = 0
    unit: str = ""
    speed: float = 0.0
    task: str = ""


def phase(name: str) -> str:
    """What is being done, in words."""
    return _PHASES.get(name, f"{name[:1].upper()}{name[1:]}")


def amount(count: float, unit: str) -> str:
    """In words: "48 MB", "120,000 rows", "40 %"."""
    if unit == "bytes":
        return size(int(count))
    return f"{count:,.0f} %" if unit == "per cent" else f"{count:,.0f} {unit}".strip()


def told(now: Work) -> str:
    """How far and how fast, in one line."""
    parts: list[str] = []
    if now.total:
        done = f"{now.done:,}" if now.unit == "rows" else amount(now.done, now.unit)
        parts.append(f"{done} of {amount(now.total, now.unit)}")
    elif now.done:
        parts.append(amount(now.done, now.unit))
    if now.speed >= 1:
        parts.append(f"{amount(now.speed, now.unit)} per second")
    return " · ".join(parts)


def bar(now: Work, seen: str) -> Html:
    """Progress with a button that stops it. It beats, so that the page asks again."""
    label = phase(now.phase)
    meter = tag(
        "div",
        tag("span", style=f"width:{100 * now.done / now.total:.1f}%" if now.total else "width:100%"),
        cls="tf-meter" if now.total else "tf-meter is-unknown",
        role="progressbar",
        aria_label=label,
        aria_valuemin="0",
        aria_valuemax=str(now.total) if now.total else None,
        aria_valuenow=str(now.done) if now.total else None,
        aria_valuetext=told(now) or None,
    )
    stop = widgets.button("Stop", "stop", kind="secondary", sign="cross")
    return tag(
        "section",
        tag("div", tag("p", tag("strong", label), cls="tf-work-phase"), stop, cls="tf-part-head"),
        meter,
        tag("p", told(now), cls="tf-work-told"),
        widgets.heartbeat(PULSE, seen=seen),
        cls="tf-sheet tf-work",
        aria_label=f"Reading {now.name}",
    )
