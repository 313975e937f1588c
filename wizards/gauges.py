"""Four numbers about a run: how far, how good, how long, how much.

Guarantees: pure; a time or a price that nobody knows is said to be unknown; money is compared with the budget if there is one.
"""

from __future__ import annotations

from dataclasses import dataclass

from studio.runs.progress import Progress
from studio.settings import Place
from studio.store import Job
from wizards import widgets
from wizards.curve import Curve
from wizards.widgets import Html, tag

#: Below this many units a meter cannot show the first cents.
_PARTS = 1_000


@dataclass(frozen=True, slots=True)
class Gauge:
    """A name, a value, and what to compare it with."""

    name: str
    value: str
    remark: str


@dataclass(frozen=True, slots=True)
class Bill:
    """What a run has cost so far and may cost, in US dollars. ``spent`` is ``None`` where the price is not known."""

    place: Place
    spent: float | None
    budget: float | None
    tokens: int

    @property
    def words(self) -> str:
        """The amount, or why there is none."""
        if self.place == "embedded":
            return "free"
        return "not known" if self.spent is None else money(self.spent)

    @property
    def remark(self) -> str:
        """What stands below the amount."""
        if self.place == "embedded" or self.spent is None or self.budget is None:
            return f"{short(self.tokens)} tokens trained on"
        return f"of {money(self.budget)} at most"


def of(job: Job, now: Progress, main: Curve, bill: Bill, phase: str) -> tuple[Gauge, ...]:
    """The four numbers."""
    points = main.main
    value = main.chart.say(points[-1].value) if points else "none yet"
    start = f"from {main.chart.say(points[0].value)}" if len(points) > 1 else main.chart.term
    return (
        Gauge("Step", f"{now.step:,}", f"of {now.total:,}" if now.total else ""),
        Gauge(f"{main.chart.short} now", value, start),
        _time(job, now, phase),
        Gauge("Cost", bill.words, bill.remark),
    )


def html(found: tuple[Gauge, ...]) -> Html:
    """The numbers in one line."""
    cells = (tag("div", tag("dt", each.name), tag("dd", tag("strong", each.value), tag("span", each.remark))) for each in found)
    return tag("dl", *cells, cls="tf-gauges")


def meter(bill: Bill) -> Html | None:
    """How much of the budget is used; nothing without a budget or a price."""
    if bill.spent is None or not bill.budget:
        return None
    used = min(1.0, bill.spent / bill.budget)
    label = f"{money(bill.spent)} of {money(bill.budget)} used. At the limit it saves and stops."
    return tag("div", widgets.meter(round(used * _PARTS), _PARTS, label), cls="tf-bill")


def money(amount: float) -> str:
    """US dollars with as many digits as say something: "0.0042 USD", "1.30 USD"."""
    if 0 < amount < 0.0001:
        return "below 0.0001 USD"
    return f"{amount:.4f} USD" if 0 < amount < 0.1 else f"{amount:,.2f} USD"


def _time(job: Job, now: Progress, phase: str) -> Gauge:
    if job.ended:
        took = (job.ended_at or 0.0) - (job.started_at or 0.0)
        return Gauge("Time taken", duration(took) if job.started_at and took > 0 else "not known", "from start to end")
    if now.eta_seconds is None:
        return Gauge("Time left", "not known yet", phase)
    return Gauge("Time left", f"about {duration(now.eta_seconds)}", _pace(now.steps_per_second))


def _pace(steps_per_second: float | None) -> str:
    if not steps_per_second:
        return ""
    if steps_per_second < 1:
        return f"{1 / steps_per_second:.1f} s a step"
    return f"{steps_per_second:.1f} steps a second"


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} hours"


def short(count: int) -> str:
    """A count with no more digits than matter."""
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1_000:,.0f} thousand" if count < 1_000_000 else f"{count / 1_000_000:,.1f} million"
