"""The page ``/try``: talk to a finished run and the model it started from, and say which answers are good.

Guarantees: the page never waits for a model: a question is kept, a process answers, a heartbeat fetches; what is typed or
pressed is on disk before the page shows it; a refusal takes nothing away that was typed; which run it is about is in the
address, so a reload and a second tab show the same; while the owner still rates the run blind, the page says what it may cost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import gradio as gr
from gradio import context as building

from studio import playground
from studio.assets import asset
from studio.compare import blind
from studio.errors import NotFoundError, SettingError, StudioError
from studio.playground import Exchange, Wanted
from studio.store import RunRow
from studio.store.talks import Thumb
from wizards import afterwards, chrome, forms, judging, widgets
from wizards import playground_html as markup
from wizards.draft import Draft
from wizards.playground_html import PAGE, Known, Screen
from wizards.runs import ago
from wizards.shell import Context, Said, Visit, listen, said_by
from wizards.turns import Turns
from wizards.widgets import Html, tag

_log = logging.getLogger(__name__)
_THUMBS: Final[dict[str, Thumb]] = {"up": "up", "down": "down"}
#: More conversations than this are not drawn, whatever an address asks for.
_MOST: Final = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What the address says: the run, and how many conversations are shown."""

    run: str = ""
    shown: int = PAGE

    @classmethod
    def from_query(cls, text: str) -> Asked:
        """Read an address. Any text is one; unknown parts are ignored."""
        pairs = dict(parse_qsl(text.removeprefix("?"), max_num_fields=20))
        shown = pairs.get("shown", "")
        known = shown.isascii() and shown.isdecimal() and len(shown) < 6
        return cls(pairs.get("run", "")[:64], min(max(PAGE, int(shown)), _MOST) if known else PAGE)


def runs(ctx: Context, owner: str) -> tuple[Known, ...]:
    """The runs that left a model, newest first."""
    found = [run for run in ctx.store.runs.all(owner) if run.sampler_path and ctx.store.jobs.get(run.id).ended]
    return tuple(Known(run.id, run.name, f"{run.model}, {ago(time.time() - run.created_at)}") for run in found)


def screen(ctx: Context, asked: Asked, owner: str) -> Screen:
    """The page about one run. Raises ``NotFoundError`` and ``RunError`` as ``playground.sides_of`` does, ``StoreError``."""
    sides = playground.sides_of(ctx.settings, ctx.store, asked.run, owner)
    run = ctx.store.runs.get(asked.run, owner)
    harvest = playground.harvest(ctx.store, run.id, owner)
    return Screen(
        run=run.id,
        name=run.name,
        sides=sides,
        room=playground.read(ctx.settings, ctx.store, run.id, owner),
        harvest=harvest,
        system=playground.system_of(ctx.settings, ctx.store, run.id, owner),
        place=ctx.settings.place,
        blind_at=_blind_at(ctx, run, owner),
        shown=asked.shown,
        learn=_learn(ctx, run, owner, harvest.dataset),
    )


def _learn(ctx: Context, run: RunRow, owner: str, dataset: str) -> tuple[str, str]:
    """Where a run that learns from the pairs is set up: by DPO, and by a judge."""
    if not dataset:
        return "", ""
    visit = Visit(Draft(run=run.id, model=run.model), owner)
    dpo, judge = (afterwards.learning(ctx.store, visit, dataset, method) for method in ("dpo", "rlhf"))
    return "/?" + dpo.to_query(), "/?" + judge.to_query()


def _blind_at(ctx: Context, run: RunRow, owner: str) -> str:
    """Where the owner's verdict on this run stands while they still rate it, else nothing."""
    place = judging.place_of(ctx.store, Draft(run=run.id), owner)
    if place.comparison is None or place.session is None:
        return ""
    if judging.own_seat(blind.state(ctx.store, place.session.id, owner)) is None:
        return ""
    draft = Draft(run=run.id, comparison=place.comparison.id, session=place.session.id)
    return "/?" + draft.at("verdict").to_query()


def pressed(ctx: Context, asked: Asked, owner: str, said: Said) -> bool:
    """Do what a press asks for; whether the field for a new question is to be empty then. Raises what the domain raises."""
    match said.name:
        case "ask":
            sent = forms.sent(said.value)
            playground.ask(ctx.settings, ctx.store, asked.run, owner, wanted(sent))
            return True
        case "further":
            sent = forms.sent(said.value)
            known = {one.id: one.exchanges[-1] for one in playground.read(ctx.settings, ctx.store, asked.run, owner).talks}
            last = known.get(sent.get("talk", ""))
            playground.ask(ctx.settings, ctx.store, asked.run, owner, wanted({**_terms(last), **sent}))
        case "repeat":
            found = playground.read(ctx.settings, ctx.store, asked.run, owner)
            once = next((one for talk in found.talks for one in talk.exchanges if one.id == said.value), None)
            playground.ask(ctx.settings, ctx.store, asked.run, owner, wanted(_terms(once)))
        case "again":
            playground.again(ctx.settings, ctx.store, said.value, owner)
        case "go-on":
            playground.go_on(ctx.settings, ctx.store, asked.run, owner)
        case "stop":
            playground.stop(ctx.settings, ctx.store, asked.run, owner)
        case "thumb":
            question, side, thumb = (*said.value.split(":"), "", "")[:3]
            playground.think(ctx.store, question, side, owner, thumb=_THUMBS.get(thumb, ""))
        case "better":
            sent = forms.sent(said.value)
            question, _, side = sent.get("place", "").partition(":")
            playground.think(ctx.store, question, side, owner, better=sent.get("text", ""))
        case "make":
            playground.keep(ctx.settings, ctx.store, asked.run, owner)
        case _:
            pass
    return False


def _terms(one: Exchange | None) -> dict[str, str]:
    """A question and its terms as a form would send them. Raises ``NotFoundError`` for one that is not there."""
    if one is None:
        raise NotFoundError("This question is not here any more.", next_step="Type it again.")
    found = {name: str(one.terms[name]) for name in ("temperature", "max_tokens", "system")}
    return {**found, "text": one.text, "sides": "+".join(one.terms["sides"])}


def wanted(sent: Mapping[str, str]) -> Wanted:
    """What a form asks for. Raises ``SettingError`` for a field that holds no number, or one that cannot work."""
    return Wanted(
        text=sent.get("text", ""),
        sides=tuple(one for one in sent.get("sides", "").split("+") if one),
        system=sent.get("system", ""),
        temperature=_number(sent.get("temperature", ""), "temperature", "a number from 0 to 2"),
        max_tokens=int(_number(sent.get("max_tokens", ""), "longest answer", "a whole number of tokens", whole=True)),
        talk=sent.get("talk", ""),
    )


def _number(text: str, where: str, what: str, *, whole: bool = False) -> float:
    """A decimal comma is read as what it is."""
    try:
        return int(text.strip()) if whole else float(text.strip().replace(",", "."))
    except ValueError:
        raise SettingError(f"{text!r} is not {what}.", where=where, next_step=f"Type {what}.") from None


# --- page ------------------------------------------------------------------------------------------------------------------


def build(ctx: Context) -> None:
    """Put the page into the route that is open."""
    query = gr.Textbox(visible="hidden", elem_id="tf-query")
    widgets.panel(chrome.header(ctx.settings, markup.HERE), elem_id="tf-top")
    place = widgets.panel(elem_id="tf-address")
    gr.HTML("", js_on_load=(asset("theme") / "try.js").read_text(encoding="utf-8"), visible="hidden")
    with gr.Column(elem_id="tf-wide", min_width=0, elem_classes="tf-step"):
        widgets.panel(tag("p", tag("span", "", id="tf-phase"), cls="tf-phase", role="status"), elem_id="tf-status")
        above, notice = widgets.panel(elem_id="tf-main"), widgets.panel(elem_id="tf-notice")
        with gr.Row(elem_id="tf-try"):
            with gr.Column(min_width=0, elem_id="tf-try-left"):
                question, talks = widgets.panel(), widgets.panel()
            with gr.Column(min_width=0, elem_id="tf-try-right"):
                aside = widgets.panel()
    outputs = [query, place, above, notice, question, talks, aside]
    turns: Turns[Asked] = Turns()

    def opened(request: gr.Request) -> list[Any]:
        return drawn(ctx, Asked.from_query(str(request.query_params)), ctx.owner_of(request))

    def acted(text: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        asked, said, owner = Asked.from_query(text), said_by(event), ctx.owner_of(request)
        with turns.take(request, owner, said.after, edits=said.edits):
            return after(ctx, asked, owner, said)

    def returned(request: gr.Request, event: gr.EventData) -> list[Any]:
        return drawn(ctx, Asked.from_query(said_by(event).value), ctx.owner_of(request))

    def again(text: str, request: gr.Request, event: gr.EventData) -> list[Any]:
        asked, owner = Asked.from_query(text), ctx.owner_of(request)
        turn = turns.of(request, owner)
        acts = turn.done
        try:
            room = playground.read(ctx.settings, ctx.store, asked.run, owner)
        except StudioError as error:
            return [str(widgets.problem(error)), gr.skip()]
        shown = (asked.run, room, asked.shown)
        if turn.done != acts or (room.waits and markup.seen(*shown) == said_by(event).value and not room.left):
            # Nothing new, or what the person has done meanwhile is on the page already.
            return [gr.skip(), gr.skip()]
        return [gr.skip(), str(markup.talks(*shown))]

    page = building.Context.root_block
    assert page is not None  # noqa: S101 - a page is built inside its application
    listen(page.load, opened, None, outputs)
    for panel in (question, talks, aside):
        listen(_named(panel, "pick"), acted, [query], outputs)
    listen(_named(place, "pick"), returned, None, outputs)
    listen(_named(talks, "tick"), again, [query], [notice, talks], queue=False)


def _named(component: gr.HTML, event: str) -> Callable[..., Any]:
    return getattr(component, event)


def after(ctx: Context, asked: Asked, owner: str, said: Said) -> list[Any]:
    """The page after a press: all of it, or only what went wrong, so that nothing that was typed is lost."""
    try:
        fresh = pressed(ctx, asked, owner, said)
        values = drawn(ctx, asked, owner)
    except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and shown as our own mistake
        return [
            "" if not asked.run else markup.query(asked.run, asked.shown),
            str(_address(asked, "")),
            gr.skip(),
            _told(error),
        ] + [gr.skip() for _ in range(3)]
    if not fresh:
        values[4] = gr.skip()
    return values


def drawn(ctx: Context, asked: Asked, owner: str) -> list[Any]:
    """Every part of the page."""
    values: list[Html | str]
    name = ""
    try:
        if not asked.run:
            values = [markup.door(runs(ctx, owner)), "", "", "", ""]
        else:
            now = screen(ctx, asked, owner)
            name = now.name
            values = [markup.top(now), "", markup.composer(now), markup.talks(now.run, now.room, now.shown), markup.beside(now)]
    except NotFoundError as error:
        values = [markup.door(runs(ctx, owner)), _told(error), "", "", ""]
    except Exception as error:  # noqa: BLE001 - as above
        values = [markup.top_of_nothing(asked.run), _told(error), "", "", ""]
    return [markup.query(asked.run, asked.shown), str(_address(asked, name)), *(str(value) for value in values)]


def _told(error: Exception) -> str:
    if isinstance(error, StudioError):
        return str(widgets.problem(error))
    _log.error("The playground failed.", exc_info=error)
    return str(chrome.fault(error))


def _address(asked: Asked, name: str) -> Html:
    """From here the page copies its address."""
    return tag(
        "span",
        hidden=True,
        data_serial=time.time_ns(),
        data_query=markup.query(asked.run, asked.shown),
        data_push="no",
        data_step="try",
        data_title=f"Talk to {name} · Tuning Fork" if name else "Talk to your model · Tuning Fork",
    )
