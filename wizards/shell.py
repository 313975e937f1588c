"""The frame around the steps: header, dial, run card, notices, address. It knows no step's module.

How a step is plugged in
------------------------
A step file has a pure half (plain values in, a frozen ``Screen`` out, and functions from ``Screen`` to ``Html``) and one

    def build(ctx: Context) -> StepParts

which is called once, inside the step's column, creates its components (most need one ``widgets.panel()``) and returns

    StepParts(outputs=(panel, …), show=show, actions=(Action(panel.pick, run), …))

* ``show(visit) -> Sequence`` gives one value for each of ``outputs`` (``gr.skip()`` leaves one alone). It is called whenever
  the step is shown and after each of its actions. It reads the store and files; it never does the work.
* ``Action(on, run, inputs=(), phase="")``: ``run(visit, said, *values) -> Draft``. ``said.name`` and ``said.value`` are what
  was pressed (``data-pick``, ``data-value``) or edited (``data-field``, value). The returned draft decides what is next:
  ``visit.draft.at("compare")`` moves on, the same draft redraws. To start work, hand it to a function of ``ctx`` that starts a
  process, and return a draft with its id.
* ``run`` may return a ``Once`` to open another page of the studio, or to say something that must not stand in the address.
* Raise a ``StudioError`` and the frame shows it (what, where, next step). Anything else is logged with its traceback and shown
  as a fault of the studio; nothing is swallowed.
* Polling: put ``widgets.heartbeat(1000)`` into the panel's HTML and name the panel in ``StepParts.ticking``. ``show`` is then
  called at that pace (and the run card redrawn), unqueued, only while the step is on screen and the tab is visible. It stops
  when the HTML no longer holds a heartbeat; no ``gr.Timer`` is needed. ``heartbeat(1000, seen="…")`` hands ``visit.seen`` to
  the ``show`` that it causes; return ``gr.skip()`` for what that says is on screen already.
* The id of the run is ``visit.draft.run`` (from ``?run=ID``), of the comparison ``visit.draft.comparison``, of the rating
  session ``visit.draft.session``. All three are in the address, so a reload or a second tab shows the same.
* ``visit.owner`` is who asks; pass it to every read of the store.
* A link to another address of the studio is ``widgets.link(label, href)``; rating opens at ``/rate?…``.

Every listener is private (``api_visibility="private"``); a test holds that no endpoint has a public name.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component, Navbar

from studio.errors import NotFoundError, StudioError
from studio.recipe import Recipe
from studio.settings import Secret, Settings
from studio.store import Store
from wizards import card, widgets
from wizards.chrome import address, dial, fault, header, reachable
from wizards.draft import STEPS, Draft, StepId
from wizards.plan import plan
from wizards.turns import Turns
from wizards.widgets import Html, tag

_log = logging.getLogger(__name__)


class Starter(Protocol):
    """Starts a training run in a process of its own and returns its id."""

    def __call__(self, *, owner: str, dataset_id: str, recipe: Recipe, name: str) -> str:
        """Raises ``SettingError`` or ``StoreError``; the run is recorded when this returns."""
        ...


class Conductor(Protocol):
    """What pages may ask of the supervisor of processes."""

    def submit(self, job_id: str) -> object:
        """Set a queued job going."""
        ...

    def lend(self, job_id: str, key: Secret) -> None:
        """Give the process of a job a key of its own, kept in memory only; called before the job is there."""
        ...

    def stop(self, job_id: str) -> object:
        """Ask a job to save and end."""
        ...

    def resume(self, job_id: str) -> object:
        """Go on from the last checkpoint."""
        ...


@dataclass(frozen=True, slots=True)
class Context:
    """What the composition root hands to every page. ``owner_of`` says who a request belongs to."""

    settings: Settings
    store: Store
    supervisor: Conductor
    start: Starter
    owner_of: Callable[[gr.Request | None], str]


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, and how far they are. ``seen`` is what the heartbeat that asks says is on screen already."""

    draft: Draft
    owner: str
    seen: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What the person did in a panel; empty for other components. ``after`` and ``edits`` order the acts, see ``turns``."""

    name: str = ""
    value: str = ""
    after: int = 0
    edits: int = 0


@dataclass(frozen=True, slots=True)
class Once:
    """What an action may return in the place of a draft, to say or do something once that no address may hold.

    ``said`` stands above the step until the next act. ``leave`` is a page of the studio to open at once, and ``back`` where
    that page may lead back to; both stay in the browser.
    """

    draft: Draft
    said: Html | None = None
    leave: str = ""
    back: str = ""


#: A listener of a Gradio component, such as ``upload.upload``.
Listener = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do in a step: see the module's text. ``phase`` is said while it runs."""

    on: Listener
    run: Callable[..., Draft | Once]
    inputs: tuple[Component, ...] = ()
    phase: str = ""


@dataclass(frozen=True, slots=True)
class StepParts:
    """What a step gives to the frame: see the module's text."""

    outputs: tuple[Block, ...]
    show: Callable[[Visit], Sequence[object]]
    actions: tuple[Action, ...] = ()
    ticking: tuple[gr.HTML, ...] = ()


Builder = Callable[[Context], StepParts]


@dataclass(slots=True)
class _Frame:
    """The components around the steps and what they show for a visit. One per built page, never per visitor."""

    ctx: Context
    parts: Mapping[StepId, StepParts]
    columns: Mapping[StepId, gr.Column]
    draft: gr.State
    query: gr.Textbox
    address: gr.HTML
    dial: gr.HTML
    notice: gr.HTML
    live_notice: gr.HTML
    card: gr.HTML
    turns: Turns[Draft] = field(default_factory=Turns[Draft])

    @property
    def outputs(self) -> list[Any]:
        """Every component that an action may change, in the order of ``answer``."""
        fixed: list[Any] = [self.draft, self.query, self.address, self.dial, self.notice, self.card]
        steps = [component for step in STEPS for component in self.parts[step].outputs]
        return [*fixed, *(self.columns[step] for step in STEPS), *steps]

    def answer(self, visit: Visit, before: Draft | None, said: Html | None, leave: str = "", back: str = "") -> list[Any]:
        """One value for each of ``outputs``: the frame for this visit and the step on screen."""
        shown: dict[StepId, Sequence[object]] = {}
        notice = said
        try:
            shown[visit.draft.step] = tuple(self.parts[visit.draft.step].show(visit))
        except StudioError as error:
            notice = widgets.problem(error)
        steps: list[object] = []
        for step in STEPS:
            steps.extend(shown.get(step, [gr.skip() for _ in self.parts[step].outputs]))
        at = visit.draft.step
        return [
            visit.draft,
            visit.draft.to_query(),
            str(address(visit.draft, before, leave, back)),
            str(dial(at, reachable(visit.draft))),
            str(notice or ""),
            str(card.of(self.ctx.settings, self.ctx.store, visit.draft, visit.owner)),
            *(gr.update(visible=step == at) for step in STEPS),
            *(str(value) if isinstance(value, Html) else value for value in steps),
        ]

    def guarded(self, draft: Draft, request: gr.Request | None, run: Callable[[Visit], Draft | Once]) -> list[Any]:
        """Run an action and answer, whatever it raises."""
        visit = Visit(draft, self.ctx.owner_of(request))
        try:
            try:
                done = run(visit)
                once = done if isinstance(done, Once) else Once(done)
                return self.answer(replace(visit, draft=once.draft), draft, once.said, once.leave, once.back)
            except StudioError as error:
                return self.answer(visit, draft, widgets.problem(error))
        except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and shown as our own mistake
            _log.exception("An action of step %s failed.", draft.step)
            return self._refused(visit, fault(error))

    def _refused(self, visit: Visit, notice: Html) -> list[Any]:
        """Only the notice and the address change: the rest of the page stays as it was."""
        values: list[Any] = [gr.skip() for _ in self.outputs]
        values[2] = str(address(visit.draft, visit.draft))
        values[4] = str(notice)
        return values


def build(ctx: Context, builders: Mapping[StepId, Builder]) -> gr.Blocks:
    """The wizard as one Gradio page. ``builders`` has one entry for each step."""
    # An upload is copied as soon as it arrives; what Gradio keeps of it is swept away within two hours.
    with gr.Blocks(title="Tuning Fork", analytics_enabled=False, fill_width=True, delete_cache=(3600, 3600)) as page:
        Navbar(visible=False)
        # A studio that was started again has forgotten every State; the page has not, so it sends its address along.
        draft = gr.State(None)
        query = gr.Textbox(visible="hidden", elem_id="tf-query")
        widgets.panel(header(ctx.settings, "/"), elem_id="tf-top")
        dial_panel = widgets.panel(elem_id="tf-dial")
        place = widgets.panel(elem_id="tf-address")
        with gr.Row(elem_id="tf-bench"):
            with gr.Column(elem_id="tf-main", min_width=0):
                widgets.panel(tag("p", tag("span", "", id="tf-phase"), cls="tf-phase", role="status"), elem_id="tf-status")
                notice = widgets.panel(elem_id="tf-notice")
                live_notice = widgets.panel(elem_id="tf-live-notice")
                columns: dict[StepId, gr.Column] = {}
                parts: dict[StepId, StepParts] = {}
                for step in STEPS:
                    with gr.Column(visible=False, elem_id=f"tf-step-{step}", elem_classes="tf-step") as columns[step]:
                        parts[step] = builders[step](ctx)
            with gr.Column(elem_id="tf-side", min_width=0):
                run_card = widgets.panel(elem_id="tf-card")
        frame = _Frame(ctx, parts, columns, draft, query, place, dial_panel, notice, live_notice, run_card)
        _bind(page, frame)
    page.queue(default_concurrency_limit=None, api_open=False)
    return page


def go(visit: Visit, said: Said) -> Draft:
    """To the step that was pressed, when it is open."""
    step = next((step for step in STEPS if step == said.value), visit.draft.step)
    return visit.draft.at(step) if step in reachable(visit.draft) else visit.draft


def start(ctx: Context, visit: Visit) -> Draft:
    """Start the planned run, or go to the step where something is missing. The second press of two starts nothing."""
    if visit.draft.step == "train" and visit.draft.run:
        return visit.draft
    now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
    if now.missing is not None or now.recipe is None or now.dataset is None:
        return visit.draft.at(now.missing.step if now.missing else "settings")
    run_id = ctx.start(owner=visit.owner, dataset_id=visit.draft.dataset, recipe=now.recipe, name=now.dataset.name)
    return replace(visit.draft, run=run_id, comparison="", session="").at("train")


def remembered(store: Store, visit: Visit) -> Draft:
    """The draft with what its run knows. An address may hold no more than the run: the rest then comes from the store."""
    draft = visit.draft
    if not draft.run or draft.dataset:
        return draft
    try:
        run = store.runs.get(draft.run, visit.owner)
    except NotFoundError:
        return draft  # the step on screen says that there is no such run
    return replace(draft, method=run.method, dataset=run.dataset_id, model=run.model)


def _bind(page: gr.Blocks, frame: _Frame) -> None:
    """Connect the frame's own events and every action and heartbeat of the steps."""

    def opened(request: gr.Request) -> list[Any]:
        asked = Draft.from_query(str(request.query_params))
        return frame.guarded(Draft(), request, lambda visit: remembered(frame.ctx.store, replace(visit, draft=asked)))

    listen(page.load, opened, None, frame.outputs)

    def pressed(visit: Visit, said: Said) -> Draft:
        return start(frame.ctx, visit) if said.name == "start" else go(visit, said)

    _act(frame, Action(_named(frame.dial, "pick"), go))
    _act(frame, Action(_named(frame.card, "pick"), pressed))
    _act(frame, Action(_named(frame.address, "pick"), lambda _, said: Draft.from_query(said.value)))
    for step in STEPS:
        for action in frame.parts[step].actions:
            _act(frame, action)
        for ticking in frame.parts[step].ticking:
            _tick(frame, frame.parts[step], ticking)


def _named(component: gr.HTML, event: str) -> Listener:
    return getattr(component, event)


def _act(frame: _Frame, action: Action) -> None:
    def run(draft: Draft | None, query: str, request: gr.Request, event: gr.EventData, *values: object) -> list[Any]:
        said = said_by(event)
        with frame.turns.take(request, frame.ctx.owner_of(request), said.after, edits=said.edits) as turn:
            now = turn.left or draft or Draft.from_query(query)
            drawn = frame.guarded(now, request, lambda visit: action.run(visit, said, *values))
            if isinstance(drawn[0], Draft):
                turn.left = drawn[0]
        return drawn

    if action.phase:
        listen(action.on, None, None, None, js=f"() => window.tuningFork.busy({action.phase!r})")
    typed = getattr(action.on, "event_name", "") == "edit"
    listen(action.on, run, [frame.draft, frame.query, *action.inputs], frame.outputs, each=typed)


def said_by(event: gr.EventData) -> Said:
    """What a panel sent along. Other components send other things, or nothing."""
    data: object = vars(event).get("_data")
    if not isinstance(data, dict):
        return Said()
    fields = cast("dict[str, object]", data)
    after, edits = (value if isinstance(value, int) else 0 for value in (fields.get("after"), fields.get("edits")))
    return Said(str(fields.get("name", "")), str(fields.get("value", "")), after, edits)


def _tick(frame: _Frame, parts: StepParts, ticking: gr.HTML) -> None:
    def again(draft: Draft | None, query: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        owner = frame.ctx.owner_of(request)
        turn = frame.turns.of(request, owner)
        acts, known = turn.done, turn.left or draft or Draft.from_query(query)
        visit = Visit(known, owner, seen=said_by(event).value)
        try:
            values = parts.show(visit)
            run_card = card.of(frame.ctx.settings, frame.ctx.store, known, visit.owner)
        except StudioError as error:
            return [str(widgets.problem(error)), gr.skip(), *(gr.skip() for _ in parts.outputs)]
        if turn.done != acts:
            # What the person has done meanwhile is on the page already; this would draw over it what was before.
            return [gr.skip() for _ in outputs]
        return ["", str(run_card), *(str(value) if isinstance(value, Html) else value for value in values)]

    outputs = [frame.live_notice, frame.card, *parts.outputs]
    listen(_named(ticking, "tick"), again, [frame.draft, frame.query], outputs, queue=False)


def listen(
    on: Listener,
    run: Callable[..., Any] | None,
    inputs: Sequence[Any] | None,
    outputs: Sequence[Any] | None,
    *,
    queue: bool = True,
    each: bool = False,
    js: str | None = None,
) -> None:
    """Bind one listener the only way this studio does: private, without Gradio's own progress overlay.

    Gradio drops what comes while the same listener is at work, unless ``each`` one counts. That is right for the second half of
    a double click, and loses what was typed into the next field, or said by a page that keeps its own order.
    """
    mode = "multiple" if each else "once"
    on(run, inputs, outputs, queue=queue, js=js, trigger_mode=mode, show_progress="hidden", api_visibility="private")
