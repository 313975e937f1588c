"""What a sweep looks like once it exists: how it stands, what is best, a picture, every trial; and the list of all sweeps.

Guarantees: pure; the page ticks only while something may change by itself; a failed trial or sweep says why and what to do
next; nothing is called best that is not finished.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from studio.recipe import Value, spec_of
from studio.runs.supervisor import can_resume, can_stop
from studio.store import Job, JobStatus, SweepRow
from studio.sweeps.plan import Axis, Plan
from studio.sweeps.standing import Standing, TrialView
from wizards import sweep_picture, widgets
from wizards.card import JOB_WORDS
from wizards.draft import Draft
from wizards.gauges import money
from wizards.spark import spark
from wizards.sweep_asked import ADDRESS, view_href
from wizards.widgets import Html, State, tag

_PULSE: Final = 1_500
_HEADINGS: Final[dict[JobStatus, str]] = {
    "queued": "Waiting for its turn",
    "starting": "Getting ready",
    "running": "Trying settings",
    "stopping": "Saving the run that is at work",
    "stopped": "The sweep was stopped",
    "completed": "The sweep is done",
    "failed": "The sweep has failed",
    "interrupted": "The sweep was interrupted",
}


@dataclass(frozen=True, slots=True)
class Screen:
    """One sweep. ``free`` says that nothing is paid where it runs."""

    row: SweepRow
    job: Job
    standing: Standing
    model: str
    free: bool

    @property
    def moving(self) -> bool:
        """Whether anything may still change by itself."""
        return not self.job.ended

    @property
    def finished(self) -> int:
        """Trials that have come to rest."""
        return sum(one.state != "running" for one in self.standing.trials)


def html(now: Screen, seen: str = "") -> Html | None:
    """The whole page; ``None`` when it is what ``seen`` says is on screen already."""
    body = widgets.join((_head(now), _best(now), _picture(now), _trials(now), _asked(now)))
    drawn = str(crc32(str(body).encode()))
    if seen == drawn:
        return None
    beat = widgets.heartbeat(_PULSE, seen=drawn) if now.moving else None
    return tag("div", body, beat, cls="tf-sweep")


def _head(now: Screen) -> Html:
    words, state = JOB_WORDS[now.job.status]
    most = now.standing.plan.most
    trouble = None
    if now.job.status in ("stopped", "failed", "interrupted"):
        trouble = widgets.notice(
            now.job.reason or f"The sweep is {now.job.status}.",
            next_step=now.job.next_step,
            state="quiet" if now.job.status == "stopped" else "bad",
        )
    elif now.job.status == "completed" and now.standing.best is None:
        trouble = widgets.notice(
            "No trial came to its end, so nothing is best.",
            next_step="Look below at what each of them says, then try other settings.",
        )
    count = f"{now.finished} of {'at most ' if now.moving else ''}{most} runs (trials) have ended"
    return widgets.join(
        (
            tag("p", f"{now.row.name}, {now.model}", cls="tf-eyebrow"),
            widgets.pill(words, state),
            widgets.title(_HEADINGS[now.job.status], _lead(now)),
            trouble,
            tag("div", widgets.meter(now.finished, most, count), cls="tf-wait") if now.moving else None,
            widgets.notice(now.standing.note, state="quiet") if now.standing.note else None,
            _acts(now),
        )
    )


def _lead(now: Screen) -> str:
    match now.job.status:
        case "queued":
            return "Another sweep is at work. Yours starts by itself; you can close this page."
        case "starting" | "running":
            phase = f"{now.job.phase[0].upper()}{now.job.phase[1:]}. " if now.job.phase and now.job.phase != "waiting" else ""
            return f"{phase}You can close this page. The runs go on, and this address brings you back."
        case "stopping":
            return "The run that is at work saves what it has learned, then the sweep ends."
        case "completed":
            return "Every run is kept. You can open each of them, and compare it with the model it started from."
        case _:
            return ""


def _acts(now: Screen) -> Html | None:
    acts: list[Html | None] = []
    if can_resume(now.job):
        acts.append(widgets.button("Resume", "resume", kind="primary", sign="undo", phase="Resuming"))
    if can_stop(now.job):
        acts.append(widgets.button("Stop", "stop", phase="Asking it to stop"))
        acts.append(tag("span", "What the runs have learned is kept. You can resume later.", cls="tf-remark"))
    if now.job.ended:
        acts.append(widgets.button("Change what is tried", "again", phase="Reading your data"))
    return tag("div", *acts, cls="tf-acts") if acts else None


def _best(now: Screen) -> Html | None:
    """What came out best, with the honest sentence about it, and the way into the wizard."""
    found = now.standing
    if found.best is None or found.best_settings is None:
        return None
    best = found.trial(found.best)
    pairs = [(spec_of(name).term, tag("strong", _in_words(name, value))) for name, value in found.best_settings.items()]
    pairs.append((found.plan.aim.words, tag("span", found.plan.aim.show(best.value))))
    use = widgets.button(
        "Use these settings",
        "use",
        kind="secondary" if now.moving or can_resume(now.job) else "primary",
        sign="arrow",
        phase="Bringing the settings",
    )
    return tag(
        "section",
        tag("h2", f"Best {'so far' if now.moving else 'of these'}: trial {best.number}"),
        widgets.facts(pairs),
        tag("p", found.caution, cls="tf-sweep-told"),
        tag(
            "div",
            use,
            tag("span", "They stand on Settings as changes, each one press from being taken back.", cls="tf-remark"),
            cls="tf-acts",
        ),
        cls="tf-part tf-sheet tf-sweep-best",
    )


def _in_words(name: str, value: Value) -> str:
    """A value as people read it; one of a list with its plain words first."""
    spec = spec_of(name)
    words = dict(spec.choices).get(str(value))
    return spec.show(value) if words is None else f"{words} ({value})"


def _picture(now: Screen) -> Html | None:
    drawn = sweep_picture.picture(now.standing)
    if drawn is None:
        return None
    head = "What came out, by setting" if len(now.standing.plan.axes) > 1 else "What came out"
    return tag("section", tag("h2", head), drawn, cls="tf-part")


_STATES: Final[dict[str, tuple[str, State]]] = {
    "completed": ("Finished", "good"),
    "pruned": ("Stopped early", "warn"),
    "failed": ("Failed", "bad"),
    "stopped": ("Stopped", "warn"),
}


def _trials(now: Screen) -> Html:
    found = now.standing
    if not found.trials:
        what = "The first run begins in a moment." if now.moving else "It ended before its first run."
        return tag("section", tag("h2", "The runs"), tag("p", what, cls="tf-remark"), cls="tf-part")
    names = [axis.name for axis in found.plan.axes]
    columns = ("Trial", *(spec_of(name).term for name in names), found.plan.aim.words, "On its way", "State")
    head = tag("tr", *(tag("th", name, scope="col") for name in columns))
    rows = (_trial(now, one, names) for one in found.trials)
    whole = tag("table", tag("caption", "The runs of this sweep"), tag("thead", head), tag("tbody", *rows))
    return tag(
        "section",
        tag("h2", "The runs"),
        tag("div", whole, cls="tf-table tf-runs tf-trials", tabindex="0", role="region", aria_label="The runs of this sweep"),
        cls="tf-part",
    )


def _trial(now: Screen, one: TrialView, names: Sequence[str]) -> Html:
    found = now.standing
    words, state = _STATES.get(one.state, ("", "quiet"))
    detail = one.reason
    if one.state == "running":
        words, state = (
            ("Training", "live")
            if now.moving and one.steps
            else ("Starting", "live")
            if now.moving
            else ("Unfinished", "quiet")
        )
        detail = f"step {one.steps:,} of {one.total:,}" if one.total else ""
    # A run that its sweep has written down but not made yet has nothing to open.
    name = f"Trial {one.number}"
    link = (
        tag("a", name, href="/?" + Draft(run=one.run_id).at("train").to_query(), cls="tf-runs-name")
        if one.total
        else tag("strong", name)
    )
    best = tag("span", "best", cls="tf-changed") if one.number == found.best else None
    value = one.value if one.value is not None else one.points[-1].value if one.points else None
    partly = tag("span", "at its last check", cls="tf-remark") if one.state != "completed" and value is not None else None
    return tag(
        "tr",
        tag("td", link, best),
        *(
            tag("td", tag("span", spec_of(each).show(one.settings[each]), cls="tf-runs-number"), data_label=spec_of(each).term)
            for each in names
        ),
        tag("td", tag("span", found.plan.aim.show(value), cls="tf-runs-number"), partly, data_label=found.plan.aim.words),
        tag("td", spark(one.points) or tag("span", "no curve yet", cls="tf-remark"), data_label="On its way"),
        tag("td", widgets.pill(words, state), tag("span", detail, cls="tf-remark") if detail else None, data_label="State"),
        cls="is-best" if one.number == found.best else None,
    )


def _asked(now: Screen) -> Html:
    plan = now.standing.plan
    limits = f"{plan.most} runs" + (f", {money(plan.max_cost)} together" if plan.max_cost is not None else "")
    spent = "free" if now.free else "not known" if now.standing.cost is None else money(now.standing.cost)
    pairs = [
        ("varied", "; ".join(_varied(axis) for axis in plan.axes)),
        ("search", _SEARCH[plan.kind]),
        ("at most", limits),
        ("pruning", "runs that are clearly behind are stopped" if plan.prune else "off: every run goes to its end"),
        ("cost so far", spent),
        ("terminal", tag("code", f"tuning-fork sweeps {now.row.id}")),
    ]
    if plan.steps:
        pairs.insert(2, ("each run", f"at most {plan.steps:,} steps"))
    return widgets.more("What was asked for", widgets.facts(pairs), keep="sweep-asked")


_SEARCH: Final = {
    "grid": "every combination (grid)",
    "tpe": "each run is placed where those before it promise most (TPE)",
    "probe": "a third of the learning rate, the rate itself and three times it (probe)",
}


def _varied(axis: Axis) -> str:
    spec = spec_of(axis.name)
    between = ", " if axis.choices else " to "
    return f"{spec.term}: {between.join(spec.show(value) for value in axis.ends)}"


def missing() -> Html:
    """There is no such sweep here."""
    every = tag("a", "All sweeps", widgets.icon("arrow"), href=ADDRESS, cls="tf-button tf-primary")
    teach = "Its address may be from another computer."
    return widgets.join((widgets.title("Sweep"), widgets.empty("This sweep is not in this studio.", teach, every)))


# --- the list --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One sweep in the list. ``best`` is the best settings and their number in words, both empty while none is finished."""

    row: SweepRow
    job: Job
    plan: Plan
    ended: int
    best: tuple[str, str]
    created: str


def listed(lines: Sequence[Line]) -> Html:
    """Every sweep, newest first."""
    back = tag("a", "All runs", href="/runs", cls="tf-button tf-secondary")
    if not lines:
        teach = (
            "A sweep is several runs that differ in a few settings, to find out which are best. It starts on the Settings step."
        )
        start = tag("a", "Start from your goal", widgets.icon("arrow"), href="/", cls="tf-button tf-primary")
        return widgets.join((widgets.title("Sweeps"), widgets.empty("No sweeps yet", teach, start)))
    columns = ("Sweep", "State", "Varied", "Runs", "Best so far")
    head = tag("tr", *(tag("th", name, scope="col") for name in columns))
    whole = tag("table", tag("caption", "Sweeps, newest first"), tag("thead", head), tag("tbody", *map(_line, lines)))
    count = "1 sweep" if len(lines) == 1 else f"{len(lines):,} sweeps"
    moving = any(not line.job.ended for line in lines)
    return widgets.join(
        (
            tag(
                "div",
                widgets.title("Sweeps", f"{count}, newest first. Each run of them is on Runs, too."),
                back,
                cls="tf-runs-head",
            ),
            tag("div", whole, cls="tf-table tf-runs", tabindex="0", role="region", aria_label="Sweeps"),
            widgets.heartbeat(2_000) if moving else None,
        )
    )


def _line(one: Line) -> Html:
    words, state = JOB_WORDS[one.job.status]
    name = tag("a", one.row.name, href=view_href(one.row.id), cls="tf-runs-name")
    varied = ", ".join(spec_of(axis.name).term for axis in one.plan.axes)
    best = (
        widgets.join((tag("span", one.best[0]), tag("span", one.best[1], cls="tf-remark")), " ")
        if one.best[0]
        else tag("span", "none yet", cls="tf-remark")
    )
    return tag(
        "tr",
        tag("td", name, tag("span", one.created, cls="tf-remark"), tag("span", one.row.id, cls="tf-runs-id")),
        tag("td", widgets.pill(words, state), data_label="State"),
        tag("td", varied, data_label="Varied"),
        tag("td", f"{one.ended} of {one.plan.most}", data_label="Runs", cls="tf-runs-number"),
        tag("td", tag("span", best), data_label="Best"),
    )
