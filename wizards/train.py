"""Step 4, *Train*: one curve, four numbers, one sentence of diagnosis, and what can be done now.

Guarantees: the page only reads; everything on it comes from the store and the run's files, so that a reload, a second tab or a
studio that was killed and started again show the same; a time that is not known is not guessed; a run that ended early says
why, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

import gradio as gr

from studio.errors import NotFoundError
from studio.runs import files, progress
from studio.runs.diagnosis import Level
from studio.runs.progress import Progress
from studio.runs.supervisor import can_resume, can_stop
from studio.store import Job, JobStatus, RunRow
from wizards import curve, judging, widgets
from wizards.card import JOB_WORDS
from wizards.draft import Draft
from wizards.shell import Action, Context, Once, Said, StepParts, Visit
from wizards.widgets import Html, State, tag

_PULSE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows of one run."""

    status: JobStatus
    name: str
    pill: str
    state: State
    heading: str
    lead: str
    reason: str
    next_step: str
    numbers: tuple[tuple[str, str, str], ...]
    progress: Progress
    can_stop: bool
    can_resume: bool
    can_compare: bool

    @property
    def has_curve(self) -> bool:
        """Whether there is, or may soon be, something to draw."""
        return self.moving or bool(self.progress.train or self.progress.validation)

    @property
    def moving(self) -> bool:
        """Whether anything may still change by itself."""
        return self.status in ("queued", "starting", "running", "stopping")

    @property
    def drawn(self) -> str:
        """Names what head and curve show, as ``head|curve``, so that neither is sent to a browser that has it already."""
        now = self.progress
        last = now.train[-1].value if now.train else 0.0
        return f"{crc32(str(head(self)).encode())}|{now.total}:{now.step}:{len(now.train)}:{len(now.validation)}:{last:.6g}"


_PHASE: Final[dict[str, str]] = {
    "waiting": "waiting for its turn",
    "starting": "starting the training process",
}

#: What a run does before its first step, and again when it is resumed.
_BEFORE_STEPS: Final = frozenset({"starting the engine", "loading the model"})

_HEADINGS: Final[dict[JobStatus, str]] = {
    "queued": "Waiting for its turn",
    "starting": "Getting ready to train",
    "running": "Your model is learning",
    "stopping": "Saving what it learned",
    "stopped": "Training was stopped",
    "completed": "Training is done",
    "failed": "Training has failed",
    "interrupted": "Training was interrupted",
}


def screen(run: RunRow, job: Job, now: Progress) -> Screen:
    """The step for this run as it stands."""
    words, state = JOB_WORDS[job.status]
    return Screen(
        status=job.status,
        name=run.name,
        pill=words,
        state=state,
        heading=_HEADINGS[job.status],
        lead=_lead(job, now),
        reason=job.reason,
        next_step=job.next_step,
        numbers=_numbers(job, now),
        progress=now,
        can_stop=can_stop(job),
        can_resume=can_resume(job),
        can_compare=job.ended and bool(run.sampler_path),
    )


def _lead(job: Job, now: Progress) -> str:
    match job.status:
        case "queued":
            return "Another run is training. Yours starts by itself; you can close this page."
        case "starting":
            return f"Now: {_phase(job)}. The first step follows in a moment."
        case "running" if not now.step:
            return f"Now: {_phase(job)}. The curve begins with the first step."
        case "running" if job.phase in _BEFORE_STEPS:
            return f"Now: {_phase(job)}. It goes on from its last checkpoint; the steps after that are done again."
        case "running":
            return "You can close this page. The run goes on, and this address brings it back."
        case "stopping":
            return "It finishes the step it is on, saves, and ends."
        case "completed":
            return "The loss does not say whether it helped. Next: compare it with the model it started from."
        case _:
            return ""


def _phase(job: Job) -> str:
    return _PHASE.get(job.phase, job.phase) or "starting"


def _numbers(job: Job, now: Progress) -> tuple[tuple[str, str, str], ...]:
    """Name, value and remark of the four numbers."""
    loss = f"{now.smoothed[-1].value:.3f}" if now.smoothed else "none yet"
    start = f"from {now.smoothed[0].value:.3f}" if len(now.smoothed) > 1 else "nats per token"
    return (
        ("Step", f"{now.step:,}", f"of {now.total:,}" if now.total else ""),
        ("Loss now", loss, start),
        _time(job, now),
        ("Tokens", _short(now.tokens), "shown to the model"),
    )


def _time(job: Job, now: Progress) -> tuple[str, str, str]:
    if job.ended:
        took = (job.ended_at or 0.0) - (job.started_at or 0.0)
        return ("Time taken", _duration(took) if job.started_at and took > 0 else "not known", "from start to end")
    if now.eta_seconds is None:
        return "Time left", "not known yet", _phase(job)
    pace = f"{now.steps_per_second:.1f} steps a second" if now.steps_per_second else ""
    return "Time left", f"about {_duration(now.eta_seconds)}", pace


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _short(count: int) -> str:
    if count < 10_000:
        return f"{count:,}"
    return f"{count / 1_000:,.0f} thousand" if count < 1_000_000 else f"{count / 1_000_000:,.1f} million"


# --- markup ----------------------------------------------------------------------------------------------------------------


def head(now: Screen) -> Html:
    """What stands above the curve. It changes only when the run's state does."""
    trouble = None
    if now.status in ("stopped", "failed", "interrupted"):
        step, total = now.progress.step, now.progress.total
        trouble = widgets.notice(
            now.reason or f"The run is {now.status}.",
            where=f"after step {step:,} of {total:,}" if step else "before the first step",
            next_step=now.next_step,
            state="quiet" if now.status == "stopped" else "bad",
        )
    legend = curve.legend(now.progress) if now.has_curve else None
    return widgets.join((widgets.pill(now.pill, now.state), widgets.title(now.heading, now.lead), trouble, legend))


_LEVELS: Final[dict[Level, tuple[State, str]]] = {
    "wait": ("quiet", "Too early"),
    "good": ("good", "Good"),
    "warn": ("warn", "Look at this"),
    "bad": ("bad", "Act now"),
}


def foot(now: Screen) -> Html:
    """What stands below the curve: numbers, diagnosis, acts, and what is folded."""
    beat = widgets.heartbeat(_PULSE, seen=now.drawn) if now.moving else None
    return widgets.join(
        (
            tag("p", curve.words(now.progress), cls="tf-unseen"),
            tag("dl", *(_number(*each) for each in now.numbers), cls="tf-gauges") if now.has_curve else None,
            _diagnosis(now),
            _acts(now),
            widgets.more("The curve as numbers", curve.numbers(now.progress), keep="train-numbers")
            if now.progress.train
            else None,
            _log(now),
            beat,
        )
    )


def _number(name: str, value: str, remark: str) -> Html:
    return tag("div", tag("dt", name), tag("dd", tag("strong", value), tag("span", remark)))


def _diagnosis(now: Screen) -> Html | None:
    told = now.progress.diagnosis
    if not now.progress.train:
        return None
    # What to do next after an end without a result stands in the notice above.
    action = f" {told.action}" if now.moving or now.can_compare else ""
    state, word = _LEVELS[told.level]
    return tag("p", widgets.pill(word, state), tag("span", tag("strong", told.sentence), action), cls="tf-diagnosis")


def _acts(now: Screen) -> Html | None:
    acts: list[Html] = []
    if now.can_compare:
        acts.append(
            widgets.button(
                "Compare with the base model",
                "compare",
                kind="secondary" if now.can_resume and now.status != "stopped" else "primary",
                sign="arrow",
                phase="Asking both models",
            )
        )
    if now.can_resume:
        kind: Literal["primary", "secondary"] = "secondary" if acts else "primary"
        acts.append(widgets.button("Resume training", "resume", kind=kind, sign="undo", phase="Resuming"))
    if now.can_stop:
        label = "Stop and keep what it learned" if now.progress.step else "Stop"
        acts.append(widgets.button(label, "stop", phase="Asking it to stop"))
        if now.progress.step:
            acts.append(tag("span", "It saves first. You can resume later.", cls="tf-remark"))
    return tag("div", *acts, cls="tf-acts") if acts else None


def _log(now: Screen) -> Html | None:
    lines = now.progress.log_tail
    if not lines:
        return None
    log = tag("pre", "\n".join(lines), cls="tf-sample tf-log", id="tf-log", tabindex="0", role="region", aria_label="Log")
    copy = tag("button", "Copy", type="button", cls="tf-button tf-quiet", data_copy="tf-log")
    label = "The last line of the log" if len(lines) == 1 else f"The last {len(lines)} lines of the log"
    return widgets.more(label, log, copy, keep="train-log")


def missing(run_id: str) -> Html:
    """There is no such run here."""
    what = "This run is not in this studio." if run_id else "No run yet."
    teach = (
        "Its address may be from another computer." if run_id else "Choose your data and settings; training starts from there."
    )
    goal = widgets.button("Start from your goal", "goal", kind="primary")
    return widgets.join((widgets.title("Train"), widgets.empty(what, teach, goal)))


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """What each press on this step does. Raises ``NotFoundError`` for somebody else's run, ``RunError``."""
    draft = visit.draft
    if said.name == "goal":
        return Draft()
    run = ctx.store.runs.get(draft.run, visit.owner)
    match said.name:
        case "stop":
            ctx.supervisor.stop(run.id)
        case "resume":
            ctx.supervisor.resume(run.id)
        case "compare":
            return judging.begin(ctx, visit)
        case _:
            pass
    return draft


def build(ctx: Context) -> StepParts:
    """Two panels with the figure between them; see ``shell`` for how they are plugged in."""
    above = widgets.panel()
    plot = gr.Plot(show_label=False, container=False, elem_id="tf-curve", visible=False)
    below = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        try:
            run, job = ctx.store.runs.get(visit.draft.run, visit.owner), ctx.store.jobs.get(visit.draft.run)
        except NotFoundError:
            return (missing(visit.draft.run), gr.update(value=None, visible=False), "")
        now = screen(run, job, progress.read(files.folder_of(ctx.settings, job), job))
        seen, drawn = visit.seen.partition("|"), now.drawn.partition("|")
        figure = gr.skip() if seen[2] == drawn[2] else gr.update(value=curve.figure(now.progress), visible=now.has_curve)
        return (gr.skip() if seen[0] == drawn[0] else head(now), figure, foot(now))

    def press(visit: Visit, said: Said) -> Draft | Once:
        return pressed(ctx, visit, said)

    return StepParts(
        outputs=(above, plot, below),
        show=show,
        actions=(Action(above.pick, press), Action(below.pick, press)),
        ticking=(below,),
    )
