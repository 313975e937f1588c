"""What the rating page shows while somebody rates: a pair, what is asked beside it, and words when something is in the way.

Guarantees: pure; both sides are made by the same lines and differ in their letter alone; an answer is text, of which nothing is
left out: code between fences only stands in another type.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from studio.compare.blind import LONGEST_COMMENT, Item, Message
from studio.store import Choice
from wizards import widgets
from wizards.widgets import Html, tag

TITLE: Final = "Which answer is better?"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the browser said: the invite, what was pressed, on which pair, and the number of the message.

    With a vote may come answers to the session's own questions, a comment, and how long the pair was shown, in seconds.
    ``session`` is named by somebody who comes without an invite, to take a seat by signing in.
    """

    seat: str
    name: str
    value: str
    position: int
    turn: str
    criteria: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    seconds: float | None = None
    session: str = ""


@dataclass(frozen=True, slots=True)
class Button:
    """One of the five answers: its words, and the key that does the same."""

    value: Choice
    label: str
    key: str
    key_name: str


BUTTONS: Final = (
    Button("left", "A is better", "←", "ArrowLeft"),
    Button("right", "B is better", "→", "ArrowRight"),
    Button("tie", "Equally good", "↑", "ArrowUp"),
    Button("both_bad", "Both bad", "↓", "ArrowDown"),
    Button("skip", "Skip", "S", "S"),
)

#: What a question beside the overall one can be answered with. The arrows that answer it are those of the overall answers.
BESIDE: Final = (("left", "A"), ("tie", "Equal"), ("right", "B"))


# --- the frame -------------------------------------------------------------------------------------------------------------


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


def page(asked: Asked, screen: str, *children: object, position: int = -1, total: int = 0, least: float = 0.0) -> Html:
    """One screen. ``least`` is for how many seconds the pair is to be looked at before an answer is taken."""
    return tag(
        "div",
        *children,
        _lost(),
        cls=f"rt is-{screen}",
        data_screen=screen,
        data_turn=asked.turn,
        data_position=str(position),
        data_total=str(total) if total else None,
        data_least=f"{least:.1f}" if least > 0 else None,
    )


def waiting() -> Html:
    """Before the first answer."""
    return tag(
        "div",
        tag("h1", TITLE, cls="tf-unseen"),
        tag("p", "Opening the pairs.", role="status", cls="tf-remark"),
        cls="rt is-wait",
        data_screen="wait",
        data_turn="0",
    )


def trouble(asked: Asked, what: str, next_step: str, *more: object) -> Html:
    """Something is in the way: what, and what to do."""
    return page(
        asked,
        "trouble",
        tag("h1", what, tabindex="-1", data_focus=True),
        tag("p", next_step, cls="tf-lead"),
        *more,
    )


def sign_in(asked: Asked, href: str) -> Html:
    """The way in for somebody whom the studio may only know by a name that it has checked."""
    link = tag(
        "a", "Sign in with Hugging Face", widgets.icon("arrow"), href=href, data_sign_in=True, cls="tf-button tf-primary"
    )
    return trouble(
        asked,
        "Sign in to rate",
        "You will see pairs of answers and say which one is better. Your name on the Hub keeps a seat for you. Whoever opened "
        "the session sees that you take part, and how far you are.",
        tag("div", link, cls="tf-acts"),
    )


# --- a pair ----------------------------------------------------------------------------------------------------------------


def pair(asked: Asked, now: Item) -> Html:
    """The prompt, two equal answers, what is asked beside, the five buttons, progress."""
    return page(
        asked,
        "pair",
        _progress(now),
        tag("h1", TITLE, cls="rt-question", tabindex="-1", data_focus=True),
        _first_words() if not now.done else None,
        _too_early(now) if now.wait else None,
        _more_pairs(now.total),
        prompt(now.messages),
        _switch(),
        tag("div", side("A", "left", now.left), side("B", "right", now.right), cls="rt-pair", data_view="both"),
        _beside(now) if now.criteria or now.comments else None,
        _bar(now),
        position=now.position,
        total=now.total,
        least=now.wait or (now.min_seconds if now.choice is None else 0.0),
    )


def _bar(now: Item) -> Html:
    keep = tag("span", "Keep it and go on")
    return tag(
        "section",
        tag("div", *(_button(one, now.choice == one.value) for one in BUTTONS), cls="rt-buttons"),
        tag(
            "div",
            _quiet("Change the one before", "back", "back", key="Backspace") if now.position else None,
            # Said again, so that a remark that was changed is kept too; one that was not is no second vote.
            tag("button", widgets.icon("arrow"), keep, type="button", cls="tf-button tf-quiet", data_say="vote",
                data_value=now.choice) if now.choice else None,
            tag("span", cls="rt-hold", role="status", data_hold=True),
            tag("span", cls="rt-space"),
            tag("button", "Keys", type="button", data_toggle_keys=True, aria_pressed="true", cls="rt-keys"),
            cls="rt-under",
        ),
        cls="rt-bar",
        aria_label="Your answer",
    )  # fmt: skip


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


@cache
def _more_pairs(total: int) -> Html:
    """Shown by the page when it remembers a smaller number."""
    return tag(
        "p", f"The session has been extended: there are {total:,} pairs now.", cls="rt-first", data_added=True, hidden=True
    )


_ROLES: Final = {"user": "Prompt", "system": "Instructions", "assistant": "Earlier answer"}


def prompt(messages: Sequence[Message]) -> Html:
    """What was asked, turn by turn."""
    turns = (tag("div", tag("h2", _ROLES.get(turn.role, "Context")), text(turn.content), cls="rt-turn") for turn in messages)
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


def side(letter: str, which: str, answer: str) -> Html:
    """One answer under its letter."""
    return tag(
        "section",
        tag("h2", letter),
        text(answer),
        cls=f"rt-side rt-{which}",
        aria_label=f"Answer {letter}",
        tabindex="0",
    )


#: A line that opens or closes a block of code, as Markdown has it.
_FENCE: Final = re.compile(r"^ {0,3}(`{3,}(?!.*`)|~{3,})(.*)$")


def text(words: str, cls: str = "rt-text", **attributes: object) -> Html:
    """Text as it is. Blocks between fences stand in the type of code, fences included; one that never ends goes to the end."""
    return tag("div", *_blocks(words), cls=cls, dir="auto", **attributes)


def _blocks(words: str) -> list[object]:
    if "```" not in words and "~~~" not in words:
        return [words]
    made: list[object] = []
    lines: list[str] = []
    fence = ""
    for line in words.split("\n"):
        found = _FENCE.match(line)
        if not fence and found:
            _close(made, lines, code=False)
            fence = found[1]
        lines.append(line)
        if fence and len(lines) > 1 and found and not found[2].strip() and found[1].startswith(fence):
            _close(made, lines, code=True)
            fence = ""
    _close(made, lines, code=bool(fence))
    return made


def _close(made: list[object], lines: list[str], *, code: bool) -> None:
    if lines:
        words = "\n".join(lines)
        made.append(tag("code", words, cls="rt-code", dir="ltr") if code else words)
        lines.clear()


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
        aria_keyshortcuts=one.key_name,
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


# --- what is asked beside --------------------------------------------------------------------------------------------------


def _beside(now: Item) -> Html:
    """The session's own questions and room for a comment, which go along with the answer."""
    said: Mapping[str, str] = dict(now.answers)
    return tag(
        "section",
        tag("p", "Also, if you can say", cls="rt-beside-words"),
        *(_criterion(number, name, said.get(name, "")) for number, name in enumerate(now.criteria, 1)),
        _comment(now.comment) if now.comments else None,
        tag("span", cls="tf-unseen", role="status", data_told=True),
        cls="rt-beside",
        aria_label="Also, if you can say",
    )


def _criterion(number: int, name: str, said: str) -> Html:
    """One question. Its key leads to it, an arrow answers it, and a second press takes the answer back."""
    buttons = (
        tag(
            "button",
            tag("span", f"{name}: ", cls="tf-unseen"),
            label,
            type="button",
            data_answer=value,
            aria_pressed="true" if said == value else "false",
        )
        for value, label in BESIDE
    )
    return tag(
        "div",
        tag("span", name, tag("kbd", str(number), aria_hidden="true"), cls="rt-criterion-name", id=f"rt-criterion-{number}"),
        tag("div", *buttons, cls="rt-choices"),
        cls="rt-criterion",
        role="group",
        aria_labelledby=f"rt-criterion-{number}",
        data_criterion=name,
        data_key=str(number),
    )


def _comment(said: str) -> Html:
    return tag(
        "label",
        tag("span", "Comment", tag("kbd", "C", aria_hidden="true"), cls="rt-criterion-name"),
        tag("textarea", said, rows="1", maxlength=str(LONGEST_COMMENT), data_comment=True, dir="auto", aria_keyshortcuts="C"),
        cls="rt-comment",
    )
