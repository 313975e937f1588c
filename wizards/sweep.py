"""The page of sweeps: put one together, see its price, start it, watch it, and take its best settings into the wizard.

Guarantees: everything that the page needs is in its address and in the store, so that a reload or a second tab shows the same;
a sweep is on disk before the page says so, and pressing start twice makes one; only what was on screen, with its price, is
started; somebody else's sweep is not found.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import parse_qs, urlencode

import gradio as gr
from gradio import context as building

from studio import models
from studio.errors import NotFoundError, StudioError
from studio.recipe import changed, facts_of, spec_of, with_field
from studio.recipe.cost import price
from studio.store import SweepRow
from studio.sweeps import plan as plans
from studio.sweeps import standing
from studio.sweeps.launch import create_sweep
from studio.sweeps.plan import Plan
from wizards import forms, runs, sweep_form, sweep_view, widgets
from wizards.chrome import fault, header
from wizards.draft import Draft
from wizards.plan import DIALS, noted, plan
from wizards.plan import Plan as Planned
from wizards.shell import Context, Said, listen, said_by
from wizards.sweep_asked import ADDRESS, Asked, Reading, around, read, searched
from wizards.turns import Turns
from wizards.widgets import Html, tag

_log = logging.getLogger(__name__)
#: A field that is left because a button is pressed asks twice at once; the answer to the press has to come last.
_TURNS: Final = Turns[str]()
_NOTHING: Final = Said()
_KINDS: Final = {each: each for each in ("grid", "tpe")}


@dataclass(frozen=True, slots=True)
class Answer:
    """What an act leads to: the address that is shown now, another page to leave for, and words beside the button."""

    query: str
    leave: str = ""
    said: str = ""


def shown(ctx: Context, query: str, owner: str, *, seen: str = "", said: str = "") -> Html | None:
    """The page at this address; ``None`` when ``seen`` says that it is on screen already. Raises ``StudioError``."""
    sweep_id = _sweep_of(query)
    if sweep_id:
        try:
            return sweep_view.html(_screen(ctx, ctx.store.sweeps.get(sweep_id, owner)), seen)
        except NotFoundError:
            return sweep_view.missing()
    if _asks(query):
        return _form(ctx, Asked.from_query(query), owner, said)
    return sweep_view.listed(lines(ctx, owner))


def _sweep_of(query: str) -> str:
    return parse_qs(query.removeprefix("?")).get("sweep", [""])[0]


def _asks(query: str) -> bool:
    """Whether the address puts a sweep together."""
    return bool(parse_qs(query.removeprefix("?")).get("dataset"))


def _screen(ctx: Context, row: SweepRow) -> sweep_view.Screen:
    found = standing.read(ctx.settings, ctx.store, row)
    recipe = found.plan.recipe
    return sweep_view.Screen(row, ctx.store.jobs.get(row.id), found, _label(recipe.model), _free(ctx, recipe.model))


def _label(model: str) -> str:
    """How people call this model; its name where the catalogue has it no more."""
    try:
        return models.get(model).label
    except StudioError:
        return model


def _free(ctx: Context, model: str) -> bool:
    """Whether nothing is paid where this model runs."""
    try:
        known = price(models.get(model), ctx.settings.home)
    except StudioError:
        return False
    return known is not None and not known.date


def lines(ctx: Context, owner: str) -> tuple[sweep_view.Line, ...]:
    """Every sweep of this owner, newest first, from the store alone."""
    found: list[sweep_view.Line] = []
    for row in ctx.store.sweeps.all(owner):
        asked, trials = Plan.from_json(row.plan_json), ctx.store.sweeps.trials(row.id)
        best = standing.best_of(asked, trials)
        words = (
            ("", "")
            if best is None
            else (standing.shown(json.loads(best.settings_json)), f"{asked.aim.words} {asked.aim.show(best.value)}")
        )
        ended = sum(trial.state != "running" for trial in trials)
        created = runs.ago(time.time() - row.created_at)
        found.append(sweep_view.Line(row, ctx.store.jobs.get(row.id), asked, ended, words, created))
    return tuple(found)


# --- putting one together --------------------------------------------------------------------------------------------------


def _reading(ctx: Context, asked: Asked, owner: str) -> tuple[Planned, Reading]:
    """The settings as they stand in the wizard, and what is asked of them; nothing is read while they have a problem."""
    now = plan(ctx.settings, ctx.store, asked.draft, owner)
    if now.recipe is None or now.dataset is None or not now.ready:
        return now, Reading()
    # The facts that the limits are held by later: what is shown here is what counts there.
    return now, read(asked, now.recipe, facts_of(now.dataset), ctx.settings.home)


def _form(ctx: Context, asked: Asked, owner: str, said: str) -> Html:
    now, found = _reading(ctx, asked, owner)
    if now.recipe is None or now.dataset is None or now.model is None or not now.ready:
        words = now.missing.words if now.missing is not None else "The settings are not in order."
        return sweep_form.unready(f"{words}. Then come back to vary them.", f"/?{asked.draft.to_query()}")
    offered = sweep_form.offered(asked, found, plans.variable(now.recipe), now.recipe.to_dict())
    data = now.dataset.inspection.file_name
    free = _free(ctx, now.recipe.model)
    return sweep_form.html(sweep_form.Screen(asked, found, offered, data, now.model.label, free, said))


def fresh(ctx: Context, query: str, owner: str) -> str:
    """The address with an id that no sweep has: who comes back to a form that was started puts another one together."""
    if _sweep_of(query) or not _asks(query):
        return query.removeprefix("?")
    asked = Asked.from_query(query)
    if any(row.id == asked.id for row in ctx.store.sweeps.all(owner)):
        asked = replace(asked, id=Asked.from_query("").id)
    return asked.to_query()


def typed(asked: Asked, name: str, text: str) -> Asked:
    """After a field was left with this text. A field that there is none of changes nothing."""
    if name in ("trials", "most", "steps"):
        return replace(asked, **{name: text.strip()})
    _, colon, setting = name.partition("over:")
    return asked.with_values(setting, text.strip()) if colon and asked.values(setting) is not None else asked


def pressed(ctx: Context, query: str, owner: str, said: Said) -> Answer:
    """What each press does. Raises ``NotFoundError`` for somebody else's sweep, ``SettingError`` and ``StoreError``."""
    sweep_id = _sweep_of(query)
    if sweep_id:
        return _on_sweep(ctx, query, owner, ctx.store.sweeps.get(sweep_id, owner), said.name)
    before = asked = Asked.from_query(query)
    sent = dict(forms.sent(said.value))
    press = sent.pop("pressed", "")
    for name, text in sent.items():
        asked = typed(asked, name, text)
    if press != "start":
        return Answer(_switched(ctx, asked, owner, press).to_query())
    if asked != before:
        return Answer(asked.to_query(), said="What you typed has changed what is tried. Look at the price, then start.")
    return _start(ctx, asked, owner)


def _switched(ctx: Context, asked: Asked, owner: str, press: str) -> Asked:
    """After a switch of the form was pressed."""
    what, _, rest = press.partition(":")
    now = plan(ctx.settings, ctx.store, asked.draft, owner)
    if now.recipe is None:
        return asked
    offered = {spec.name: spec for spec in plans.variable(now.recipe)}
    if what == "keep":
        return replace(asked, keep_all=not asked.keep_all)
    if what == "kind" and rest in _KINDS:
        return searched(asked, now.recipe, "tpe" if rest == "tpe" else "grid")
    name, _, choice = rest.partition(":")
    spec = offered.get(name)
    if spec is None:
        return asked
    if what == "choice":
        taken = {part.strip() for part in (asked.values(name) or "").split(",")} ^ {choice}
        return asked.with_values(name, ", ".join(one for one, _ in spec.choices if one in taken))
    usual = around(spec, getattr(now.recipe, name), asked.kind)
    return asked.with_values(name, None if asked.values(name) is not None else usual)


def _start(ctx: Context, asked: Asked, owner: str) -> Answer:
    """Record the sweep and set it going; one that was recorded under this id already is shown."""
    now, found = _reading(ctx, asked, owner)
    if found.plan is None or now.dataset is None:
        return Answer(asked.to_query())
    name = ctx.store.datasets.get(asked.draft.dataset, owner).name
    row = create_sweep(
        ctx.settings, ctx.store, dataset_id=asked.draft.dataset, plan=found.plan, owner=owner, sweep_id=asked.id,
        name=f"{name}, learning rate" if asked.kind == "probe" else name,
    )  # fmt: skip
    ctx.supervisor.submit(row.id)
    return Answer(urlencode({"sweep": row.id}))


# --- a sweep that exists ---------------------------------------------------------------------------------------------------


def _on_sweep(ctx: Context, query: str, owner: str, row: SweepRow, press: str) -> Answer:
    query = query.removeprefix("?")
    if press == "stop":
        ctx.supervisor.stop(row.id)
    elif press == "resume":
        ctx.supervisor.resume(row.id)
    elif press == "use":
        return Answer(query, f"/?{taken(ctx, row, owner, best=True).to_query()}")
    elif press == "again":
        return Answer(_again(taken(ctx, row, owner, best=False), Plan.from_json(row.plan_json)).to_query())
    return Answer(query)


def _again(draft: Draft, asked: Plan) -> Asked:
    """The same sweep to be put together anew, as it was typed."""
    made = Asked.from_query("")
    most = "" if asked.max_cost is None else f"{asked.max_cost:g}"
    if asked.kind == "probe":
        return replace(made, draft=draft, kind="probe", most=most, steps=str(asked.steps or made.steps))
    over = tuple(
        (axis.name, (", " if axis.choices else "..").join(spec_of(axis.name).show(value) for value in axis.ends))
        for axis in asked.axes
    )
    return replace(made, draft=draft, kind=asked.kind, over=over, trials=str(asked.trials), most=most, keep_all=not asked.prune)


def taken(ctx: Context, row: SweepRow, owner: str, *, best: bool) -> Draft:
    """The wizard's draft with the settings that all trials share, and with ``best`` those of the best trial.

    What differs from the recommendation stands there as changed; of the positions of the dial it is the one with the fewest
    changes. Raises ``NotFoundError`` when the data is gone or no trial is finished.
    """
    asked = Plan.from_json(row.plan_json)
    recipe = asked.recipe
    if best:
        won = standing.best_of(asked, ctx.store.sweeps.trials(row.id))
        if won is None:
            raise NotFoundError("No trial is finished yet, so there is nothing to use.", next_step="Wait for the first one.")
        for name, value in json.loads(won.settings_json).items():
            recipe = with_field(recipe, name, spec_of(name).show(value))
    kind = (("distillation", recipe.distillation),) if recipe.method == "distill" else ()
    start = Draft("settings", method=recipe.method, dataset=row.dataset_id, model=recipe.model, changes=kind)
    found: list[tuple[Draft, tuple[str, ...]]] = []
    for dial in sorted(DIALS, key=lambda each: each != "standard"):
        draft = replace(start, dial=dial)
        usual = plan(ctx.settings, ctx.store, draft, owner).recommendation
        if usual is not None:
            found.append((draft, changed(recipe, usual.recipe)))
    if not found:
        raise NotFoundError("The data of this sweep is not in this studio any more.", next_step="Add it again, then set it up.")
    draft, names = min(found, key=lambda each: len(each[1]))
    for name in names:
        if name not in ("method", "model", "distillation"):
            draft = noted(ctx.settings, draft, owner, name, spec_of(name).show(getattr(recipe, name)))
    return draft


# --- the page --------------------------------------------------------------------------------------------------------------


def build(ctx: Context) -> None:
    """Put the page into the route that is open."""
    query = gr.Textbox(visible="hidden", elem_id="tf-query")
    widgets.panel(header(ctx.settings, ADDRESS), elem_id="tf-top")
    place = widgets.panel(elem_id="tf-address")
    with gr.Column(elem_id="tf-wide", min_width=0, elem_classes="tf-step"):
        widgets.panel(tag("p", tag("span", "", id="tf-phase"), cls="tf-phase", role="status"), elem_id="tf-status")
        notice = widgets.panel(elem_id="tf-notice")
        live_notice = widgets.panel(elem_id="tf-live-notice")
        body = widgets.panel()
    outputs = [query, place, notice, body]

    def opened(request: gr.Request) -> list[Any]:
        asked = str(request.query_params)
        return _answered(ctx, request, asked, lambda owner, _: Answer(fresh(ctx, asked, owner)))

    def pick(known: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        said = said_by(event)
        return _answered(ctx, request, known, lambda owner, now: pressed(ctx, now, owner, said), said)

    def edit(known: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        said = said_by(event)

        def done(_: str, now: str) -> Answer:
            return Answer(typed(Asked.from_query(now), said.name, said.value).to_query())

        return _answered(ctx, request, known, done, said)

    def back(request: gr.Request, event: gr.EventData) -> list[Any]:
        said = said_by(event)
        return _answered(ctx, request, said.value, lambda owner, _: Answer(fresh(ctx, said.value, owner)), said)

    def again(known: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        try:
            drawn = shown(ctx, known, ctx.owner_of(request), seen=said_by(event).value)
        except StudioError as error:
            # What is on screen stays, and its heartbeat with it: a held database or a full disk passes.
            return [str(widgets.problem(error)), gr.skip()]
        return ["", gr.skip() if drawn is None else str(drawn)]

    page = building.Context.root_block
    assert page is not None  # noqa: S101 - a page is built inside its application
    listen(page.load, opened, None, outputs)
    listen(_named(body, "pick"), pick, [query], outputs)
    listen(_named(body, "edit"), edit, [query], outputs, each=True)
    listen(_named(place, "pick"), back, None, outputs)
    # Acts that lead to another view are only offered at rest, so no heartbeat can draw an earlier view over a later one.
    listen(_named(body, "tick"), again, [query], [live_notice, body], queue=False)


def _named(component: gr.HTML, event: str) -> Callable[..., Any]:
    return getattr(component, event)


def _answered(
    ctx: Context, request: gr.Request, known: str, act: Callable[[str, str], Answer], said: Said = _NOTHING
) -> list[Any]:
    """Do it after what was asked before, and draw, whatever it raises: address, hidden address, notice and body.

    ``act`` gets the owner and the address that the page's last act has left: the browser may not know that one yet.
    """
    owner = ctx.owner_of(request)
    with _TURNS.take(request, owner, said.after, edits=said.edits) as turn:
        now = turn.left or known
        drawn = _drawn(ctx, owner, now, lambda who: act(who, now))
        if isinstance(drawn[0], str):
            turn.left = drawn[0]
        return drawn


def _drawn(ctx: Context, owner: str, before: str, act: Callable[[str], Answer]) -> list[Any]:
    try:
        try:
            done = act(owner)
            drawn = shown(ctx, done.query, owner, said=done.said)
        except StudioError as error:
            return [before, str(_place(before, before)), str(widgets.problem(error)), str(shown(ctx, before, owner))]
        return [done.query, str(_place(done.query, before, done.leave)), "", str(drawn)]
    except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and shown as our own mistake
        _log.exception("The page of sweeps failed.")
        words = widgets.problem(error) if isinstance(error, StudioError) else fault(error)
        return [gr.skip(), str(_place(before, before)), str(words), gr.skip()]


def _place(query: str, before: str, leave: str = "") -> Html:
    """The hidden element from which the page copies its address; see ``chrome.address``."""
    other = _sweep_of(query) != _sweep_of(before)
    title = "Sweep" if _sweep_of(query) or _asks(query) else "Sweeps"
    return tag(
        "span",
        hidden=True,
        data_serial=time.time_ns(),
        data_query=query.removeprefix("?"),
        data_push="yes" if other else "no",
        data_step=f"sweep{_sweep_of(query)}",
        data_title=f"{title} · Tuning Fork",
        data_leave=leave or None,
    )
