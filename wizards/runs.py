"""The page of runs: every run with its state, curve and verdict, and the way to each.

Guarantees: it only reads; a run is named by its id in every link; a verdict is shown only to an owner who has finished rating;
one run whose files are damaged does not hide the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import gradio as gr
from gradio import context as building

from studio.compare import blind, outcome
from studio.compare.sentences import percent
from studio.errors import NotFoundError, StudioError
from studio.runs import files, progress
from studio.runs.diagnosis import smooth, window_for
from studio.runs.progress import Point
from studio.settings import Settings
from studio.store import RunRow, Store
from wizards import charts, judging, playground_html, widgets
from wizards.card import JOB_WORDS
from wizards.chrome import header
from wizards.draft import Draft
from wizards.shell import Context, listen
from wizards.spark import spark
from wizards.widgets import Html, State, tag

_PULSE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Measure:
    """What tells best how a run went: its name, what it was measured on, first and last number in words, and its curve.

    ``change`` is empty while there are not two numbers.
    """

    name: str
    on: str
    change: str
    curve: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One run in the table. ``talk`` is where its model can be talked to, empty while it cannot."""

    id: str
    name: str
    created: str
    words: str
    state: State
    detail: str
    data: str
    model: str
    steps: str
    measure: Measure
    verdict: str
    verdict_href: str
    live: bool
    talk: str = ""


def lines(settings: Settings, store: Store, owner: str) -> tuple[Line, ...]:
    """Every run of this owner, newest first."""
    return tuple(_line(settings, store, run, owner) for run in store.runs.all(owner))


def _line(settings: Settings, store: Store, run: RunRow, owner: str) -> Line:
    job = store.jobs.get(run.id)
    now = progress.read(files.folder_of(settings, job), job, log_lines=0)
    words, state = JOB_WORDS[job.status]
    verdict, href = _verdict(store, run, owner)
    return Line(
        id=run.id,
        name=run.name,
        created=ago(time.time() - run.created_at),
        words=words,
        state=state,
        detail=job.phase if job.live and not now.step else "",
        data=_data(store, run, owner),
        model=run.model,
        steps=_steps(now.step, now.total),
        measure=measure(run, now),
        verdict=verdict,
        verdict_href=href,
        live=job.live or job.status == "queued",
        talk=playground_html.href(run.id) if job.ended and run.sampler_path else "",
    )


def measure(run: RunRow, now: progress.Progress) -> Measure:
    """The main number of this way of training: on held-out rows where it was measured there, else on those it trains on."""
    recipe = cast("dict[str, Any]", json.loads(run.recipe_json))
    kind = str(recipe.get("distillation", "prompt")) if run.method == "distill" else run.method
    chart = next(one for one in charts.CHARTS.get(kind, charts.CHARTS["sl"]) if one.stage == "train")
    held_out_first = sorted(chart.lines, key=lambda line: line.look != "check")
    name = chart.term[:1].upper() + chart.term[1:]
    curve = smooth(chart.points(now.series, chart.lines[0]), window_for(now.total))
    for line in held_out_first:
        if (ends := _ends(run, line.series, chart.points(now.series, line))) is not None:
            change = f"{chart.say(ends[0])} → {chart.say(ends[1])}"
            return Measure(name, _lower(line.label), change, curve)
    return Measure(name, "", "", curve)


def _ends(run: RunRow, name: str, points: Sequence[Point]) -> tuple[float, float] | None:
    """First and last of a series: as the finished run says, else from the curve."""
    result = cast("dict[str, Any]", json.loads(run.result_json))
    first, last = result.get(f"{name}_first"), result.get(f"{name}_last")
    if isinstance(first, float) and isinstance(last, float):
        return first, last
    return (points[0].value, points[-1].value) if len(points) > 1 else None


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _data(store: Store, run: RunRow, owner: str) -> str:
    try:
        return store.datasets.get(run.dataset_id, owner).name
    except NotFoundError:
        return "no longer here"


def _steps(step: int, total: int) -> str:
    return f"{step:,} of {total:,}" if total and step < total else f"{step:,}" if total else ""


def _verdict(store: Store, run: RunRow, owner: str) -> tuple[str, str]:
    """The verdict in a few words, and where it stands; empty while there is none."""
    draft = Draft(run=run.id)
    place = judging.place_of(store, draft, owner)
    if place.comparison is None:
        return "", ""
    draft = Draft(run=run.id, comparison=place.comparison.id)
    if place.session is None:
        return "not rated", _href(draft.at("compare"))
    href = _href(Draft(run=run.id, comparison=place.comparison.id, session=place.session.id).at("verdict"))
    try:
        state = blind.state(store, place.session.id, owner)
        if (own := judging.own_seat(state)) is not None:
            return f"you rated {own.done:,} of {own.total:,}", href
        told = outcome.verdict_of(store, place.session.id, owner)
    except StudioError as error:
        return error.what, href
    if told.win_rate is None or not told.n_votes:
        return "not rated", href
    return f"{told.headline}, {percent(told.win_rate)}", href


def _href(draft: Draft) -> str:
    return "/?" + draft.to_query()


def ago(seconds: float) -> str:
    """How long ago, in words."""
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(found: Sequence[Line]) -> Html:
    """The page's body."""
    if not found:
        start = tag("a", "Start your first run", widgets.icon("arrow"), href="/", cls="tf-button tf-primary")
        teach = "A run is one training: your data, a recipe, a curve, and in the end a verdict. All of them are kept here."
        return widgets.join((widgets.title("Runs"), widgets.empty("No runs yet", teach, start)))
    count = "1 run" if len(found) == 1 else f"{len(found):,} runs"
    columns = ("Run", "State", "Data", "Model", "Steps", "Main measure", "Verdict")
    head = tag("tr", *(tag("th", name, scope="col") for name in columns))
    whole = tag("table", tag("caption", "Runs, newest first"), tag("thead", head), tag("tbody", *map(_row, found)))
    sweeps = tag("a", "Sweeps", href="/sweeps", cls="tf-button tf-quiet")
    start = tag("a", "New run", widgets.icon("arrow"), href="/", cls="tf-button tf-secondary")
    return widgets.join(
        (
            tag(
                "div",
                widgets.title("Runs", f"{count}, newest first."),
                tag("div", sweeps, start, cls="tf-runs-acts"),
                cls="tf-runs-head",
            ),
            tag("div", whole, cls="tf-table tf-runs", tabindex="0", role="region", aria_label="Runs"),
            widgets.heartbeat(_PULSE) if any(one.live for one in found) else None,
        )
    )


def _row(one: Line) -> Html:
    name = tag("a", one.name, href=_href(Draft(run=one.id).at("train")), cls="tf-runs-name")
    talk = tag("a", "Talk to it", aria_label=f"Talk to {one.name}", href=one.talk, cls="tf-runs-talk") if one.talk else None
    state = (widgets.pill(one.words, one.state), tag("span", one.detail, cls="tf-remark") if one.detail else None)
    verdict = tag("a", one.verdict, href=one.verdict_href) if one.verdict else tag("span", "none yet", cls="tf-remark")
    return tag(
        "tr",
        tag("td", name, tag("span", one.created, cls="tf-remark"), tag("span", one.id, cls="tf-runs-id"), talk),
        tag("td", *state, data_label="State"),
        tag("td", one.data, data_label="Data"),
        tag("td", one.model, data_label="Model"),
        tag("td", one.steps, data_label="Steps", cls="tf-runs-number"),
        tag("td", *_measured(one.measure), data_label="Measure", cls="tf-runs-measure"),
        tag("td", verdict, data_label="Verdict"),
    )


def _measured(now: Measure) -> tuple[Html | None, ...]:
    if not now.change:
        return (spark(now.curve), tag("span", now.name, cls="tf-remark"))
    return (
        spark(now.curve),
        tag("span", now.change, cls="tf-runs-number"),
        tag("span", f"{now.name}, {now.on}", cls="tf-remark"),
    )


def build(ctx: Context) -> None:
    """Put the page into the route that is open."""
    widgets.panel(header(ctx.settings, "/runs"), elem_id="tf-top")
    with gr.Column(elem_id="tf-wide", min_width=0):
        panel = widgets.panel()

    def show(request: gr.Request) -> str:
        try:
            return str(html(lines(ctx.settings, ctx.store, ctx.owner_of(request))))
        except StudioError as error:
            return str(widgets.problem(error))

    page = building.Context.root_block
    assert page is not None  # noqa: S101 - a page is built inside its application
    listen(page.load, show, None, [panel])
    listen(getattr(panel, "tick"), show, None, [panel], queue=False)  # noqa: B009 - an event that the panel's script declares
