"""The rating page: a prompt, two answers, five buttons. An app of its own that knows nothing of how the answers came about.

Guarantees: nothing that reaches the browser before the end tells one answer from the other: names are neutral, both answers
come in one message and are treated alike, errors say nothing of where they come from; a vote is on disk before the next pair
shows; the same message twice is one vote, and one that was overtaken by a later one of its page does nothing; the store is the
only memory, so that a reload continues where one was; whoever has the invite may rate, and nobody else, whatever they call.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final, cast

import gradio as gr

from studio.assets import asset
from studio.compare import blind
from studio.compare.blind import Item, Remarks, SeatGoneError
from studio.errors import NotFoundError, RunError, StudioError
from studio.store import Store
from wizards import sign_in, widgets
from wizards.rate_reveal import last_question, reveal
from wizards.rate_screens import BUTTONS, TITLE, Asked, pair, trouble, waiting
from wizards.rate_screens import sign_in as sign_in_screen
from wizards.shell import Context, listen
from wizards.turns import Turns
from wizards.widgets import Html, tag

__all__ = ["BUTTONS", "Asked", "answer", "build", "heard"]

_log = logging.getLogger(__name__)

_MOST_ANSWERS: Final = 10
_LONGEST_LOOK: Final = 1e6
_SAFE: Final = "Nothing that you rated is lost."


# --- what is answered ------------------------------------------------------------------------------------------------------


def answer(ctx: Context, asked: Asked, login: str = "") -> Html:
    """The next screen. ``login`` is who is signed in, as the server knows it.

    Whatever goes wrong is said without naming anything that could tell the sides apart.
    """
    try:
        if asked.name == "enter":
            return _enter(ctx.store, asked, login)
        return _answer(ctx.store, asked)
    except SeatGoneError as error:
        what = "This seat was taken back." if error.withdrawn else "This link has expired."
        return trouble(asked, what, "What you rated before is kept. To go on, ask whoever invited you for a new link.")
    except NotFoundError:
        return trouble(
            asked,
            "This link does not lead to a rating.",
            "Ask whoever sent it for a new one, and open the whole link, up to its end.",
        )
    except StudioError as error:
        _log.warning("A rating could not go on: %s", error)
        return trouble(asked, "This did not work.", f"{_SAFE} Reload the page to go on.")
    except Exception:  # noqa: BLE001 - the last line of defence: logged, and said without a word on what went wrong
        _log.exception("A rating could not go on.")
        return trouble(asked, "The page made a mistake.", f"{_SAFE} Reload the page to go on.")


def _enter(store: Store, asked: Asked, login: str) -> Html:
    """Somebody without an invite: a seat for who is signed in, and its token, with which the page goes on."""
    if not sign_in.here():
        return trouble(asked, "This session is open to invited people only.", "Ask whoever opened it for a link.")
    if not login:
        return sign_in_screen(asked, sign_in.login_link(asked.session))
    try:
        seat = blind.login_seat(store, asked.session, login)
    except NotFoundError:
        return trouble(asked, "This session is open to invited people only.", "Ask whoever opened it for a link.")
    except RunError:
        return trouble(asked, "This session takes no more raters.", "It is closed, or every pair has all the raters it needs.")
    return trouble(
        asked,
        "Your seat is ready.",
        "Opening the pairs.",
        tag("span", hidden=True, data_seat=seat.token),
    )


def _answer(store: Store, asked: Asked) -> Html:
    voting = asked.name == "vote"
    now = _vote(store, asked) if voting else blind.item(store, asked.seat)
    if now.revealed:
        return reveal(asked, blind.finish(store, asked.seat, "unsure"))
    if now.status == "paused" and now.done < now.total:
        late = "Your last press came after that and was not taken." if voting else ""
        return trouble(asked, "This session is paused.", f"{late} {_SAFE} Come back later with the same link.".strip())
    if now.wait:
        return pair(asked, now)
    match asked.name:
        case "back" if now.open and asked.position > 0:
            return pair(asked, blind.item(store, asked.seat, asked.position - 1))
        case "review" if now.open:
            return pair(asked, blind.item(store, asked.seat, now.total - 1))
        case "guess" if now.done == now.total or not now.open:
            return reveal(asked, blind.finish(store, asked.seat, asked.value))
        case _:
            pass
    if not now.open and not now.done:
        return trouble(asked, "This session has been closed.", "You had not rated anything yet, so there is nothing to do.")
    if now.done == now.total or not now.open:
        return last_question(asked, blind.question(store, asked.seat), now.done, late=voting and not now.open)
    return pair(asked, now)


def _vote(store: Store, asked: Asked) -> Item:
    remarks = Remarks(dict(asked.criteria), asked.comment, asked.seconds)
    return blind.rate(store, asked.seat, asked.position, asked.value, remarks)


# --- the app ---------------------------------------------------------------------------------------------------------------


def heard(data: object) -> Asked:
    """What a browser sent, whatever it is: everything is text of a bearable length or left out."""
    fields = cast("dict[str, object]", data) if isinstance(data, dict) else {}

    def text(name: str, longest: int = 200) -> str:
        value = fields.get(name, "")
        return value[:longest] if isinstance(value, str) else ""

    position, seconds, criteria = fields.get("position", -1), fields.get("seconds"), fields.get("criteria")
    whole = position if isinstance(position, int) and not isinstance(position, bool) else -1
    known = cast("dict[str, object]", criteria) if isinstance(criteria, dict) else {}
    answers = tuple((name[:200], value[:20]) for name, value in list(known.items())[:_MOST_ANSWERS] if isinstance(value, str))
    measured = float(seconds) if isinstance(seconds, int | float) and abs(seconds) < _LONGEST_LOOK else None
    return Asked(
        *(text("seat"), text("name"), text("value"), whole, text("turn")),
        criteria=answers,
        comment=text("comment", blind.LONGEST_COMMENT),
        seconds=measured,
        session=text("session"),
    )


def in_turn(ctx: Context, turns: Turns[int], asked: Asked, request: gr.Request | None, login: str = "") -> Html:
    """``answer``, after whatever else the same page asked before.

    A message that was overtaken on its way, such as the first of two copies, is answered with where the rater is now: what it
    says may have been taken back since.
    """
    with turns.take(request, blind.fingerprint(asked.seat)) as turn:
        number = int(asked.turn) if asked.turn.isdecimal() else 0
        latest = turn.left or 0
        turn.left = max(latest, number)
        return answer(ctx, replace(asked, name="open") if number < latest else asked, login)


def build(ctx: Context) -> gr.Blocks:
    """The page, to be served at an address of its own."""
    turns = Turns[int]()
    with gr.Blocks(title=TITLE, analytics_enabled=False, fill_width=True) as page:
        widgets.panel(_header(), elem_id="rt-top")
        screen = gr.HTML(
            str(waiting()),
            html_template="${value}",
            js_on_load=(asset("theme") / "rate.js").read_text(encoding="utf-8"),
            apply_default_css=False,
            padding=False,
            elem_id="rt-screen",
            elem_classes=["tf-panel"],
        )

        def act(event: gr.EventData, request: gr.Request, profile: gr.OAuthProfile | None) -> str:
            data: Any = vars(event).get("_data")
            return str(in_turn(ctx, turns, heard(data), request, sign_in.name_of(profile)))

        # Gradio reads the annotations at every call; as text, each of them would be compiled anew.
        act.__annotations__ |= {"event": gr.EventData, "request": gr.Request, "profile": gr.OAuthProfile | None, "return": str}
        listen(getattr(screen, "act"), act, None, [screen], queue=False, each=True)  # noqa: B009 - an event that the script declares
    page.queue(default_concurrency_limit=None, api_open=False)
    return page


def _header() -> Html:
    return tag(
        "header",
        tag("span", widgets.icon("fork", 28), tag("span", "Tuning Fork"), cls="tf-brand"),
        tag("span", cls="rt-space"),
        widgets.theme_toggle(),
        cls="tf-header",
    )
