"""Step 4, *Train*: the stages, one curve, four numbers, one sentence of diagnosis, what it answers, and what can be done now.

Guarantees: the page only reads; everything on it comes from the store and the run's files, so that a reload, a second tab or a
studio that was killed and started again show the same; a time or a price that is not known is not guessed; a run that ended
early says why, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal
from zlib import crc32

import gradio as gr

from studio.errors import NotFoundError
from studio.recipe import Recipe
from studio.runs import cookbook_recipes, files, progress
from studio.runs.diagnosis import Level
from studio.runs.progress import Progress
from studio.runs.supervisor import can_resume, can_stop
from studio.settings import Place
from studio.store import Job, JobStatus, RunRow
from wizards import charts, curve, gauges, judging, playground_html, rollouts, stages_strip, widgets
from wizards.card import JOB_WORDS
from wizards.curve import Curve
from wizards.draft import Draft
from wizards.gauges import Bill, Gauge
from wizards.shell import Action, Context, Once, Said, StepParts, Visit
from wizards.spark import spark
from wizards.train_view import View
from wizards.widgets import Html, State, tag

_PULSE: Final = 1_000
#: As many small pictures fit beside each other.
_ACROSS: Final = 6


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows of one run. ``curve`` is drawn big, ``curves`` are all that can be.

    ``talk`` is the address where its model can be talked to, empty while it cannot.
    """

    status: JobStatus
    name: str
    pill: str
    state: State
    heading: str
    lead: str
    reason: str
    next_step: str
    gauges: tuple[Gauge, ...]
    bill: Bill
    curve: Curve
    curves: tuple[Curve, ...]
    progress: Progress
    can_stop: bool
    can_resume: bool
    can_compare: bool
    tried: rollouts.Tried | None = None
    talk: str = ""

    @property
    def has_curve(self) -> bool:
        """Whether there is, or may soon be, something to draw."""
        return self.moving or not all(each.empty for each in self.curves)

    @property
    def moving(self) -> bool:
        """Whether anything may still change by itself."""
        return self.status in ("queued", "starting", "running", "stopping")

    @property
    def drawn(self) -> str:
        """Names what head, curve and answers show, as ``head|curve|answers``.

        None of them is sent to a browser that has it already: somebody may be reading there.
        """
        shown = self.curve
        ends = [(len(points), f"{points[-1].value:.6g}") for points in shown.raw if points]
        return f"{_name(head(self))}|{shown.chart.id}:{shown.total}:{ends}|{_name(answers(self))}"


def _name(part: Html) -> int:
    return crc32(str(part).encode())


_PHASE: Final[dict[str, str]] = {
    "waiting": "waiting for its turn",
    "starting": "starting the training process",
}

#: What a run does before its first step, and again when it is resumed.
_BEFORE_STEPS: Final = frozenset({"starting the engine", "loading the model"})

#: How a phase begins in which the server makes the run wait.
_PATIENCE: Final = "waiting:"

#: Why the curve alone settles nothing.
_NOT_ENOUGH: Final[dict[str, str]] = {
    "sl": "The loss does not say whether it helped.",
    "dpo": "Leaning to the better answers does not yet mean writing them.",
    "rl": "A higher score does not yet say that people find the answers better.",
    "rlhf": "Pleasing the judge does not yet mean pleasing people.",
    "distill": "Being close to the teacher does not yet say that the answers are good.",
}

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


def screen(
    run: RunRow, job: Job, now: Progress, place: Place, view: View | None = None, *, of_cookbook: bool = False
) -> Screen:
    """The step for this run as it stands. One of the cookbook's recipes has nothing held out that it could be compared on."""
    recipe = Recipe.from_json(run.recipe_json)
    distillation = recipe.distillation if recipe.method == "distill" else ""
    found = charts.of(now, distillation)
    main = curve.of(now, charts.chosen(found, now, ""))
    bill = Bill(place, now.cost, recipe.budget_usd, now.tokens)
    words, state = JOB_WORDS[job.status]
    return Screen(
        status=job.status,
        name=run.name,
        pill=words,
        state=state,
        heading=_HEADINGS[job.status],
        lead=_lead(job, now, of_cookbook=of_cookbook),
        reason=job.reason,
        next_step=job.next_step,
        gauges=gauges.of(job, now, main, bill, _phase(job)),
        bill=bill,
        curve=curve.of(now, charts.chosen(found, now, view.chart if view is not None else "")),
        curves=tuple(curve.of(now, chart) for chart in found),
        progress=now,
        can_stop=can_stop(job),
        can_resume=can_resume(job),
        can_compare=job.ended and bool(run.sampler_path) and not of_cookbook,
        talk=playground_html.href(run.id) if job.ended and run.sampler_path else "",
    )


def _lead(job: Job, now: Progress, *, of_cookbook: bool) -> str:
    match job.status:
        case "queued":
            return "Another run is training. Yours starts by itself; you can close this page."
        case "starting":
            return f"Now: {_phase(job)}. The first step follows in a moment."
        case "running" if not now.step:
            return f"Now: {_phase(job)}. The curve begins with the first step."
        case "running" if job.phase in _BEFORE_STEPS:
            return f"Now: {_phase(job)}. It goes on from its last checkpoint; the steps after that are done again."
        case "running" if job.phase.startswith(_PATIENCE):
            return f"Now: {_phase(job)}. Nothing is lost; it goes on by itself."
        case "running":
            return "You can close this page. The run goes on, and this address brings it back."
        case "stopping":
            return "It finishes the step it is on, saves, and ends."
        case "completed":
            what = _NOT_ENOUGH.get(now.method, _NOT_ENOUGH["sl"])
            return what if of_cookbook else f"{what} Next: compare it with the model it started from."
        case _:
            return ""


def _phase(job: Job) -> str:
    return _PHASE.get(job.phase, job.phase) or "starting"


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
    strip = stages_strip.html(now.progress.stages)
    return widgets.join(
        (
            widgets.pill(now.pill, now.state),
            widgets.title(now.heading, now.lead),
            trouble,
            strip,
            _caption(now) if now.has_curve else None,
        )
    )


def _caption(now: Screen) -> Html:
    """What the big curve shows, in words, and what its lines are."""
    chart = now.curve.chart
    return tag(
        "div",
        tag("h2", chart.title, tag("span", f" ({chart.term})", cls="tf-remark")),
        tag("p", chart.explains, cls="tf-remark"),
        curve.legend(now.curve),
        cls="tf-curve-caption",
    )


_LEVELS: Final[dict[Level, tuple[State, str]]] = {
    "wait": ("quiet", "Too early"),
    "good": ("good", "Good"),
    "warn": ("warn", "Look at this"),
    "bad": ("bad", "Act now"),
}


def middle(now: Screen) -> Html:
    """What stands below the curve: other curves, numbers, diagnosis and acts."""
    return widgets.join(
        (
            tag("p", curve.words(now.curve), cls="tf-unseen"),
            _others(now),
            gauges.html(now.gauges) if now.has_curve else None,
            gauges.meter(now.bill),
            _diagnosis(now),
            _acts(now),
        )
    )


def answers(now: Screen) -> Html:
    """What it answers while it practises, for the methods that practise."""
    return rollouts.html(now.tried) if now.tried is not None else widgets.join(())


def foot(now: Screen) -> Html:
    """What is folded, and the pulse of the page."""
    beat = widgets.heartbeat(_PULSE, seen=now.drawn) if now.moving else None
    numbers = curve.numbers(now.curve)
    folded = widgets.more("The curve as numbers", numbers, keep="train-numbers") if not now.curve.empty else None
    return widgets.join((folded, _log(now), beat))


def _others(now: Screen) -> Html | None:
    """All curves of the run as small pictures; a press shows one big."""
    if len(now.curves) < 2:
        return None
    count = len(now.curves)
    # Two rows as long as each other, and never one picture alone in a row of its own.
    across = count if count <= _ACROSS else (count + 1) // 2
    pictures = (_small(each, now.curve) for each in now.curves)
    return tag("div", *pictures, cls="tf-smalls", role="group", aria_label="Curves", style=f"--across:{across}")


def _small(each: Curve, shown: Curve) -> Html:
    points = each.main
    return tag(
        "button",
        tag("span", each.chart.short, cls="tf-small-name"),
        tag("strong", each.chart.say(points[-1].value) if points else "none yet"),
        spark(points),
        type="button",
        cls="tf-small",
        title=each.chart.title,
        aria_pressed="true" if each.chart.id == shown.chart.id else "false",
        data_pick="chart",
        data_value=each.chart.id,
    )


def _diagnosis(now: Screen) -> Html | None:
    told = now.progress.diagnosis
    if not now.progress.step:
        return None
    # What to do next after an end without a result stands in the notice above.
    early = now.status == "completed" and told.level == "wait"
    action = f" {told.action}" if (now.moving or now.can_compare) and not early else ""
    state, word = _LEVELS[told.level] if not early else ("quiet", "Not settled")
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
    if now.talk:
        acts.append(tag("a", "Talk to it", href=now.talk, cls="tf-button tf-secondary"))
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
            return replace(draft, view=View.from_text(draft.view).looking(said.name, said.value).to_text())
    return draft


def build(ctx: Context) -> StepParts:
    """Four panels, with the figure after the first; see ``shell`` for how they are plugged in."""
    above = widgets.panel()
    plot = gr.Plot(show_label=False, container=False, elem_id="tf-curve", visible=False)
    below, tried, last = widgets.panel(), widgets.panel(), widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        try:
            run, job = ctx.store.runs.get(visit.draft.run, visit.owner), ctx.store.jobs.get(visit.draft.run)
        except NotFoundError:
            return (missing(visit.draft.run), gr.update(value=None, visible=False), "", "", "")
        folder, view = files.folder_of(ctx.settings, job), View.from_text(visit.draft.view)
        now = screen(
            run, job, progress.read(folder, job), ctx.settings.place, view, of_cookbook=cookbook_recipes.is_of_cookbook(folder)
        )
        now = replace(now, tried=rollouts.read(folder, view, now.progress.method))
        seen, drawn = (*visit.seen.split("|"), "", "", "")[:3], now.drawn.split("|")
        figure = gr.skip() if seen[1] == drawn[1] else gr.update(value=curve.figure(now.curve), visible=now.has_curve)
        return (
            gr.skip() if seen[0] == drawn[0] else head(now),
            figure,
            middle(now),
            gr.skip() if seen[2] == drawn[2] else answers(now),
            foot(now),
        )

    def press(visit: Visit, said: Said) -> Draft | Once:
        return pressed(ctx, visit, said)

    return StepParts(
        outputs=(above, plot, below, tried, last),
        show=show,
        actions=(*(Action(panel.pick, press) for panel in (above, below, tried)), Action(tried.edit, press)),
        ticking=(last,),
    )
