"""The rating page: a prompt, two answers, five buttons. An app of its own that knows nothing of how the answers came about.

Guarantees: nothing that reaches the browser before the end tells one answer from the other: names are neutral, both answers
come in one message and are treated alike, errors say nothing of where they come from; a vote is on disk before the next pair
shows; the same message twice is one vote; the store is the only memory, so that a reload continues where one was; whoever has
the invite may rate, and nobody else, whatever they call.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, cast

import gradio as gr

from studio.assets import asset
from studio.compare import blind
from studio.compare.blind import Item, Message, Question, Remarks, Reveal, RevealedItem
from studio.errors import NotFoundError, StudioError
from studio.store import Choice, Store
from wizards import widgets
from wizards.shell import Context, listen
from wizards.widgets import Html, tag

_log = logging.getLogger(__name__)

_TITLE: Final = "Which answer is better?"
_MOST_ANSWERS: Final = 10
_LONGEST_LOOK: Final = 1e6


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser said: the invite, what was pressed, on which pair, and the number of the message.

    With a vote may come answers to the session's own questions, a comment, and how long the pair was shown, in seconds.
    """

    seat: str
    name: str
    value: str
    position: int
    turn: str
    criteria: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Button:
    """One of the five answers: its words, and the key that does the same."""

    value: Choice
    label: str
    key: str
    key_name: str


BUTTONS: Final = (
    Button("left", "A is better", "←", "left arrow"),
    Button("right", "B is better", "→", "right arrow"),
    Button("tie", "Equally good", "↑", "up arrow"),
    Button("both_bad", "Both bad", "↓", "down arrow"),
    Button("skip", "Skip", "S", "S"),
)


# --- what is answered ------------------------------------------------------------------------------------------------------


def answer(ctx: Context, asked: Asked) -> Html:
    """The next screen. Whatever goes wrong is said without naming anything that could tell the sides apart."""
    try:
        return _answer(ctx, asked)
    except NotFoundError:
        return trouble(
            asked,
            "This link does not lead to a rating.",
            "Ask whoever sent it for a new one, and open the whole link, up to its end.",
        )
    except StudioError as error:
        _log.warning("A rating could not go on: %s", error)
        return trouble(asked, "This did not work.", "Nothing that you rated is lost. Reload the page to go on.")
    except Exception:  # noqa: BLE001 - the last line of defence: logged, and said without a word on what went wrong
        _log.exception("A rating could not go on.")
        return trouble(asked, "The page made a mistake.", "Nothing that you rated is lost. Reload the page to go on.")


def _answer(ctx: Context, asked: Asked) -> Html:
    store = ctx.store
    voting = asked.name == "vote"
    now = _vote(store, asked) if voting else blind.item(store, asked.seat)
    if now.revealed:
        return reveal(asked, blind.finish(store, asked.seat, "unsure"))
    if now.status == "paused" and now.done < now.total:
        return trouble(asked, "This session is paused.", "Nothing that you rated is lost. Come back later with the same link.")
    if now.wait:
        return pair(asked, now)
    match asked.name:
        case "back" if now.open and asked.position > 0:
            return pair(asked, blind.item(store, asked.seat, asked.position - 1))
        case "review" if now.open:
            return pair(asked, blind.item(store, asked.seat, now.total - 1))
        case "guess":
            return reveal(asked, blind.finish(store, asked.seat, asked.value))
        case _:
            pass
    if not now.open and not now.done:
        return trouble(asked, "This session has been closed.", "You had not rated anything yet, so there is nothing to do.")
    if now.done == now.total or not now.open:
        return last_question(asked, blind.question(store, asked.seat), now.done)
    return pair(asked, now)


def _vote(store: Store, asked: Asked) -> Item:
    return blind.rate(
        store,
        asked.seat,
        asked.position,
        asked.value,
        Remarks(dict(asked.criteria), asked.comment, asked.seconds),
    )


# --- screens ---------------------------------------------------------------------------------------------------------------


# Fifty people at once ask for the same buttons: what no answer changes is written once.
@cache
def _lost() -> Html:
    return tag(
        "div",
        tag("p", tag("strong", "No answer from the studio yet."), " Your last press may not be saved. Is it still running?"),
        tag("button", "Send it again", type="button", data_again=True, cls="tf-button tf-secondary"),
        cls="rt-lost",
        role="alert",
        hidden=True,
        data_lost=True,
    )


def _page(asked: Asked, screen: str, *children: object, position: int = -1) -> Html:
    return tag(
        "div", *children, _lost(), cls=f"rt is-{screen}", data_screen=screen, data_turn=asked.turn, data_position=str(position)
    )


def waiting() -> Html:
    """Before the first answer."""
    return tag(
        "div",
        tag("h1", _TITLE, cls="tf-unseen"),
        tag("p", "Opening the pairs.", role="status", cls="tf-remark"),
        cls="rt is-wait",
        data_screen="wait",
        data_turn="0",
    )


def trouble(asked: Asked, what: str, next_step: str) -> Html:
    """Something is in the way: what, and what to do."""
    return _page(
        asked,
        "trouble",
        tag("h1", what, tabindex="-1", data_focus=True),
        tag("p", next_step, cls="tf-lead"),
    )


def pair(asked: Asked, now: Item) -> Html:
    """The prompt, two equal answers, the five buttons, progress."""
    again = now.choice is not None
    return _page(
        asked,
        "pair",
        _progress(now),
        tag("h1", _TITLE, cls="rt-question", tabindex="-1", data_focus=True),
        _first_words() if not now.done else None,
        _too_early(now) if now.wait else None,
        _prompt(now.messages),
        _switch(),
        tag(
            "div",
            _side("A", "left", now.left),
            _side("B", "right", now.right),
            cls="rt-pair",
            data_view="both",
        ),
        tag(
            "nav",
            tag("div", *(_button(one, now.choice == one.value) for one in BUTTONS), cls="rt-buttons"),
            tag(
                "div",
                _quiet("Change the one before", "back", "back", key="Backspace") if now.position else None,
                _quiet("Keep it and go on", "open", "arrow") if again else None,
                tag("span", cls="rt-space"),
                tag("button", "Keys", type="button", data_toggle_keys=True, aria_pressed="true", cls="rt-keys"),
                cls="rt-under",
            ),
            cls="rt-bar",
            aria_label="Your answer",
        ),
        position=now.position,
    )


def _progress(now: Item) -> Html:
    label = f"Pair {now.position + 1:,} of {now.total:,}"
    bar = tag(
        "div",
        tag("span", style=f"width:{100 * now.done / now.total:.1f}%"),
        cls="tf-meter",
        role="progressbar",
        aria_label="Pairs rated",
        aria_valuemin="0",
        aria_valuemax=str(now.total),
        aria_valuenow=str(now.done),
    )
    return tag("div", tag("p", label), bar, tag("p", f"{now.done:,} rated", cls="tf-remark"), cls="rt-progress", role="status")


@cache
def _first_words() -> Html:
    return tag(
        "p",
        "Say which one you would rather have been given.",
        tag(
            "span",
            " You do not know who wrote them, and the sides change from pair to pair. Each press is saved at once; you can "
            "stop and come back with the same link.",
        ),
        cls="rt-first",
    )


def _too_early(now: Item) -> Html:
    return tag(
        "p",
        f"That was quick. Read both once more: your answer is taken from {math.ceil(now.wait)} s on.",
        cls="rt-first",
        role="status",
    )


_ROLES: Final = {"user": "Prompt", "system": "Instructions", "assistant": "Earlier answer"}


def _prompt(messages: Sequence[Message]) -> Html:
    turns = (
        tag(
            "div",
            tag("h2", _ROLES.get(turn.role, "Context")),
            tag("div", turn.content, cls="rt-text", dir="auto"),
            cls="rt-turn",
        )
        for turn in messages
    )
    return tag("section", *turns, cls="rt-prompt", aria_label="Prompt", tabindex="0")


@cache
def _switch() -> Html:
    """Only on a narrow page: both answers equally high, or one of them whole."""
    views = (("both", "Both"), ("left", "A"), ("right", "B"))
    return tag(
        "div",
        *(
            tag("button", words, type="button", data_show=which, aria_pressed="true" if which == "both" else "false")
            for which, words in views
        ),
        cls="rt-switch",
        role="group",
        aria_label="Which answer is shown",
    )


def _side(letter: str, which: str, text: str) -> Html:
    return tag(
        "section",
        tag("h2", letter),
        tag("div", text, cls="rt-text", dir="auto"),
        cls=f"rt-side rt-{which}",
        aria_label=f"Answer {letter}",
        tabindex="0",
    )


@cache
def _button(one: Button, chosen: bool) -> Html:
    return tag(
        "button",
        tag("span", one.label),
        tag("kbd", one.key, aria_hidden="true"),
        type="button",
        cls=f"rt-button rt-b-{one.value}",
        data_say="vote",
        data_value=one.value,
        aria_pressed="true" if chosen else None,
        aria_keyshortcuts={"←": "ArrowLeft", "→": "ArrowRight", "↑": "ArrowUp", "↓": "ArrowDown"}.get(one.key, one.key),
    )


@cache
def _quiet(label: str, say: str, sign: str, *, key: str = "") -> Html:
    return tag(
        "button",
        widgets.icon(sign),
        tag("span", label),
        tag("kbd", key, aria_hidden="true") if key else None,
        type="button",
        cls="tf-button tf-quiet",
        data_say=say,
    )


def last_question(asked: Asked, told: Question, done: int) -> Html:
    """The question that comes before the sides are told: could they be told apart."""
    last, closed = told.item, None
    words, left, right = _question(told)
    if last.status == "closed":
        closed = tag("p", f"This session has been closed. The {done:,} pairs that you rated are kept.", cls="tf-lead")
    return _page(
        asked,
        "guess",
        tag("h1", "One last question", tabindex="-1", data_focus=True),
        closed,
        tag("p", words, cls="tf-lead", dir="auto"),
        _prompt(last.messages),
        tag("div", _side("A", "left", last.left), _side("B", "right", last.right), cls="rt-pair", data_view="both"),
        tag(
            "div",
            *(
                tag("button", tag("span", label), type="button", cls="rt-button", data_say="guess", data_value=value)
                for value, label in (("left", left), ("right", right), ("unsure", "I cannot tell"))
            ),
            cls="rt-buttons rt-three",
        ),
        _quiet("Change my last answer", "review", "back") if last.open else None,
        position=last.position,
    )


def _question(told: Question) -> tuple[str, str, str]:
    """The question, and the words on the two buttons that name a side."""
    if told.base_and_tuned:
        words = (
            "One of the two answers to each prompt came from a base model, the other from the same model after it was tuned. "
            "On this pair, which one do you think came from the tuned model?"
        )
        return words, "A is tuned", "B is tuned"
    words = (
        f"On this pair, one answer came from “{told.challenger}” and the other from “{told.against}”. "
        f"Which one do you think came from “{told.challenger}”?"
    )
    return words, "It was A", "It was B"


def reveal(asked: Asked, told: Reveal) -> Html:
    """What this person preferred, now that nothing can be influenced any more."""
    return _page(
        asked,
        "reveal",
        tag("h1", "Thank you", tabindex="-1", data_focus=True),
        tag("p", _summary(told), cls="tf-lead"),
        tag("p", _guessed(told), cls="tf-lead"),
        tag(
            "div",
            tag(
                "a", "See the verdict", widgets.icon("arrow"), href="/", hidden=True, data_back=True, cls="tf-button tf-primary"
            ),
            cls="tf-acts",
        ),
        tag(
            "details",
            tag("summary", f"Which answer was which, on all {len(told.items):,} pairs"),
            tag("ol", *(_revealed(one, told.base_and_tuned) for one in told.items), cls="rt-list"),
            cls="tf-more",
            data_keep="reveal",
        ),
    )


def _summary(told: Reveal) -> str:
    if told.base_and_tuned:
        parts = [f"You preferred the tuned model {_times(told.tuned_won)} and the base model {_times(told.base_won)}."]
    else:
        won = Counter(one.left_label if one.choice == "left" else one.right_label for one in told.items if one.choice in _SIDES)
        names = sorted({label for one in told.items for label in (one.left_label, one.right_label)})
        parts = ["You preferred " + ", ".join(f"“{name}” {_times(won[name])}" for name in names) + "."]
    if told.ties or told.both_bad:
        parts.append(f"You found them equally good {_times(told.ties)} and both bad {_times(told.both_bad)}.")
    if told.skipped:
        parts.append(f"You skipped {told.skipped:,}.")
    return " ".join(parts)


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count:,} times")


def _guessed(told: Reveal) -> str:
    if told.guessed_right is None:
        which = "tuned" if told.base_and_tuned else "which"
        return f"You could not tell which one was {which}. The verdict counts that beside the votes."
    right = "right" if told.guessed_right else "wrong"
    return f"On the last pair you guessed {right}. One guess says little; it is counted with the others."


_SIDES: Final = ("left", "right")
_SAID: Final[dict[str, str]] = {"tie": "equally good", "both_bad": "both bad", "skip": "skipped"}


def _revealed(one: RevealedItem, base_and_tuned: bool) -> Html:
    (tuned, label), (base, other) = (one.left, one.left_label), (one.right, one.right_label)
    if one.tuned_side == "right":
        (tuned, label), (base, other) = (base, other), (tuned, label)
    said = "not rated" if one.choice is None else _SAID.get(one.choice, "")
    if not said and base_and_tuned:
        said = f"you preferred the {'tuned' if one.choice == one.tuned_side else 'base'} model"
    elif not said:
        said = f"you preferred “{label if one.choice == one.tuned_side else other}”"
    names = ("Tuned", "Base") if base_and_tuned else (label, other)
    prompt = one.messages[-1].content if one.messages else ""
    return tag(
        "li",
        tag("p", prompt, cls="rt-text rt-list-prompt", dir="auto", tabindex="0"),
        tag(
            "dl",
            tag("div", tag("dt", names[0]), tag("dd", tuned, cls="rt-text", dir="auto", tabindex="0")),
            tag("div", tag("dt", names[1]), tag("dd", base, cls="rt-text", dir="auto", tabindex="0")),
        ),
        tag("p", said, cls="tf-remark"),
    )


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
    )


def build(ctx: Context) -> gr.Blocks:
    """The page, to be served at an address of its own."""
    with gr.Blocks(title=_TITLE, analytics_enabled=False, fill_width=True) as page:
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

        def act(event: gr.EventData) -> str:
            data: Any = vars(event).get("_data")
            return str(answer(ctx, heard(data)))

        listen(getattr(screen, "act"), act, None, [screen], queue=False)  # noqa: B009 - an event that the script declares
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
