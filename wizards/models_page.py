"""The page of models: what can be trained where, what is known of each model, what it costs, and the way into a run with one.

Guarantees: our own list is on the page at once, and says whether the server has confirmed it; only one press or the first visit
of a day asks the server, and what it answers, or why it does not, is said with the next step; a price has its day and source
or is said to be unknown; the address holds what is sought and the run that is being set up, to which a model chosen here leads.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from gradio import context as building

from studio import models
from studio.errors import BackendError, SettingError, StudioError
from studio.models import Model, served
from studio.models.prices import OWN_TABLE, Storage, storage_price
from studio.recipe.cost import price
from studio.settings import Place, Settings
from wizards import chrome, models_table, widgets
from wizards.draft import Draft
from wizards.models_list import Prices, Sought
from wizards.plan import OF_THE_GOAL
from wizards.shell import Context, Said, listen, said_by
from wizards.widgets import Html, tag

_log = logging.getLogger(__name__)
_FIND: Final = "find"
_HERE: Final = "here"

#: How far the question to the server has come: nothing to ask on this computer; to be asked now; answered; no answer.
State = Literal["own", "asking", "answered", "failed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page's address says: what is sought, whether only among what the server has, and the run being set up."""

    sought: Sought = field(default_factory=Sought)
    here: bool = False
    draft: Draft = field(default_factory=Draft)

    @classmethod
    def from_query(cls, query: str) -> Asked:
        """Read an address. Any text is one; unknown parts are ignored."""
        pairs = dict(parse_qsl(query.removeprefix("?"), max_num_fields=200))
        return cls(Sought.from_text(pairs.get(_FIND, "")), bool(pairs.get(_HERE)), Draft.from_query(query))

    def to_query(self) -> str:
        """The address of this, without the question mark."""
        mine = [(_FIND, self.sought.to_text()), (_HERE, "yes" if self.here else "")]
        kept = (self.draft.to_query(), urlencode([pair for pair in mine if pair[1]]))
        return "&".join(part for part in kept if part)

    def edited(self, name: str, value: str) -> Asked:
        """After a field was left: one of the search, or ``models-here``."""
        if name == "models-here":
            return replace(self, here=value == "yes")
        return replace(self, sought=self.sought.looking(name, value))


@dataclass(frozen=True, slots=True)
class Screen:
    """The page as a value. ``offered`` are the models a run can begin with here, ``listed`` all of them, those first.

    ``unknown`` are models that the server trains and nothing is known of. ``faults`` are what could not be had: the server's
    answer, or the owner's table of prices.
    """

    place: Place
    server: str
    state: State
    asked_on: str
    offered: tuple[Model, ...]
    listed: tuple[Model, ...]
    unknown: tuple[str, ...]
    prices: Prices
    storage: Storage | None
    own_table: str
    faults: tuple[StudioError, ...] = ()


def screen(settings: Settings, fault: BackendError | None = None) -> Screen:
    """What is known now. ``fault`` is why the server, asked a moment ago, gave no answer. Never raises ``SettingError``."""
    answer = served.kept(settings) if settings.place != "embedded" else None
    offered = models.catalogue(settings)
    everything = models.everything()
    unknown: tuple[str, ...] = ()
    if answer is not None:
        # Where the server has nothing that we know, the catalogue falls back to our list; here nothing is offered.
        offered = served.offered(answer, everything)
        unknown = served.unknown(answer, everything)
    elif settings.place != "embedded":
        offered = tuple(model for model in offered if not model.retired)
    names = {model.name for model in offered}
    rest = sorted((model for model in everything if model.name not in names), key=lambda model: bool(model.retired))
    listed = (*offered, *rest)
    prices, storage, faults = _prices(settings, listed)
    return Screen(
        settings.place,
        served.host(settings) or "Hosted Tinker",
        _state(settings, answer, fault),
        answer.asked_on if answer is not None else "",
        offered,
        listed,
        unknown,
        prices,
        storage,
        str(settings.home / OWN_TABLE) if settings.paths_allowed else f"{OWN_TABLE} in the studio's home folder",
        (*((fault,) if fault is not None else ()), *faults),
    )


def _state(settings: Settings, answer: served.Served | None, fault: BackendError | None) -> State:
    if settings.place == "embedded":
        return "own"
    if fault is not None:
        return "failed"
    today = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return "answered" if answer is not None and answer.asked_on == today else "asking"


def _prices(settings: Settings, listed: Sequence[Model]) -> tuple[Prices, Storage | None, tuple[StudioError, ...]]:
    """Prices by name and that of storage. Where the owner's table cannot be read: ours, and what is wrong with theirs."""
    try:
        return {one.name: price(one, settings.home) for one in listed}, storage_price(settings.home), ()
    except SettingError as error:
        return {one.name: price(one) for one in listed}, storage_price(), (error,)


def way(draft: Draft, model: Model) -> Draft:
    """Into the wizard with this model: to Settings where there is data to set up a run for, else to what comes before."""
    kept = tuple(pair for pair in draft.changes if pair[0] in OF_THE_GOAL)
    chosen = replace(draft, model=model.name, changes=kept, run="", comparison="", session="")
    return chosen.at("settings" if draft.method and draft.dataset else "data" if draft.method else "goal")


# --- markup ----------------------------------------------------------------------------------------------------------------


def top(now: Screen, asked: Asked) -> Html:
    """What the page is, what the server says, and where to start."""
    lead = "What a run can begin with: what each model is, what it costs, and what the place you train at has."
    starts = models.start_here(now.offered)
    cards = tag(
        "section",
        tag("h2", "Start here"),
        tag(
            "ul",
            *(models_table.start(each, _href(asked.draft, each.model), asked.draft) for each in starts),
            cls="tf-advice",
            aria_label="Where to start",
        ),
        cls="tf-part",
    )
    return widgets.join(
        (
            widgets.title("Models", lead),
            *(widgets.problem(each) for each in now.faults),
            _server(now),
            cards if starts else None,
        )
    )


def _server(now: Screen) -> Html:
    """Which server this is about, and how far its own answer has come."""
    count = len(now.offered)
    trains = f"It trains {count} of the {len(now.listed)} models on this list."
    again = widgets.button("Ask the server again", "ask", kind="quiet", sign="undo", phase=_WAITING)
    match now.state:
        case "own":
            here = ", ".join(model.label for model in now.offered)
            said = (
                f"The engine on this computer trains {here}. For the others, set TINKER_API_KEY (hosted Tinker), and "
                "TINKER_BASE_URL too for a cluster, and start the studio again."
            )
            return _strip(widgets.pill("This computer", "live"), said)
        case "asking":
            said = (
                f"Asking {now.server} which models it has. It has {served.PATIENCE:g} seconds. Until then this is our own list."
            )
            return _strip(widgets.pill("Asking", "quiet"), said, widgets.onward("ask"), busy=True)
        case "failed":
            since = (
                f"its answer of {models_table.day(now.asked_on)}"
                if now.asked_on
                else "our own list, which it has not confirmed"
            )
            return _strip(widgets.pill("No answer", "warn"), f"What you see is {since}.", again)
        case "answered":
            more = _strangers(now.unknown)
            said = f"{now.server} said so itself on {models_table.day(now.asked_on)}. {trains}{more}"
            return _strip(widgets.pill("Answered", "good" if count else "warn"), said, again)


_WAITING: Final = "Asking the server which models it has"


def _strip(pill: Html, said: str, act: Html | None = None, *, busy: bool = False) -> Html:
    return tag("div", pill, tag("p", said), act, cls="tf-served tf-sheet", role="status", aria_busy="true" if busy else None)


def _strangers(unknown: Sequence[str]) -> str:
    if not unknown:
        return ""
    some = ", ".join(unknown[:5]) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
    return f" It also trains {some}: of these nothing is known here, so they cannot be offered."


def _href(draft: Draft, model: Model) -> str:
    return "/?" + way(draft, model).to_query()


def _address(asked: Asked) -> Html:
    """From here the page copies its address."""
    return tag(
        "span",
        hidden=True,
        data_serial=time.time_ns(),
        data_query=asked.to_query(),
        data_push="no",
        data_step="models",
        data_title="Models · Tuning Fork",
    )


def results(now: Screen, asked: Asked) -> Html:
    """The models that fit, as a table, and where the prices come from."""
    among = now.offered if asked.here else now.listed
    found = asked.sought.among(among)
    able = {model.name: _href(asked.draft, model) for model in now.offered}
    return widgets.join(
        (
            tag("p", f"{len(found):,} of {len(now.listed):,} models.", cls="tf-remark", role="status"),
            models_table.table(found, able, now.prices, now.place, asked.draft) if found else models_table.nothing(),
            models_table.about_prices(now.storage, now.own_table),
        )
    )


# --- page ------------------------------------------------------------------------------------------------------------------


def build(ctx: Context) -> None:
    """Put the page into the route that is open. The search stays as it is while what it finds is drawn again."""
    query = gr.Textbox(visible="hidden", elem_id="tf-query")
    widgets.panel(chrome.header(ctx.settings, "/models"), elem_id="tf-top")
    place = widgets.panel(elem_id="tf-address")
    with gr.Column(elem_id="tf-wide", min_width=0, elem_classes="tf-step"):
        widgets.panel(tag("p", tag("span", "", id="tf-phase"), cls="tf-phase", role="status"), elem_id="tf-status")
        above, fields, below = widgets.panel(), widgets.panel(), widgets.panel()

    def drawn(asked: Asked, error: BackendError | None = None, *, fresh: bool) -> list[Any]:
        try:
            now = screen(ctx.settings, error)
            searched = str(models_table.fields(asked.sought, here=asked.here, place=now.place)) if fresh else gr.skip()
            found = [str(top(now, asked)), searched, str(results(now, asked))]
        except Exception as mistake:  # noqa: BLE001 - the last line of defence: logged, and shown as our own mistake
            _log.exception("The page of models failed.")
            words = widgets.problem(mistake) if isinstance(mistake, StudioError) else chrome.fault(mistake)
            found = [str(words), gr.skip(), gr.skip()]
        return [asked.to_query(), str(_address(asked)), *found]

    def opened(request: gr.Request) -> list[Any]:
        return drawn(Asked.from_query(str(request.query_params)), fresh=True)

    def pressed(text: str, event: gr.EventData) -> list[Any]:
        asked, said = Asked.from_query(text), said_by(event)
        if said.name == "clear":
            return drawn(replace(asked, sought=Sought(), here=False), fresh=True)
        return drawn(asked, _ask(ctx.settings, said), fresh=False)

    def returned(event: gr.EventData) -> list[Any]:
        return drawn(Asked.from_query(said_by(event).value), fresh=True)

    def edited(text: str, event: gr.EventData) -> list[Any]:
        said = said_by(event)
        return drawn(Asked.from_query(text).edited(said.name, said.value), fresh=False)

    page = building.Context.root_block
    assert page is not None  # noqa: S101 - a page is built inside its application
    outputs = [query, place, above, fields, below]
    listen(page.load, opened, None, outputs)
    for panel in (above, below):
        listen(_named(panel, "pick"), pressed, [query], outputs)
    listen(_named(fields, "edit"), edited, [query], outputs, each=True)
    listen(_named(place, "pick"), returned, None, outputs)


def _named(component: gr.HTML, event: str) -> Callable[..., Any]:
    return getattr(component, event)


def _ask(settings: Settings, said: Said) -> BackendError | None:
    """Ask the server when that was pressed; why it gave no answer."""
    if said.name != "ask" or settings.place == "embedded":
        return None
    try:
        served.ask(settings)
    except BackendError as error:
        return error
    return None
