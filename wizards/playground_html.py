"""The playground as markup: the question, the conversations with what is thought of each answer, and what that is worth.

Guarantees: pure; what a person or a model wrote is text and nothing else; a field that somebody types in has a name of its own,
so that an answer that comes in meanwhile takes nothing away (see ``try.js``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode
from zlib import crc32

from studio import methods
from studio.data import FEWEST_PROMPTS
from studio.playground import Answer, Exchange, Harvest, Room, Side, Talk
from studio.playground.asking import MOST_TOKENS, USUAL_TEMPERATURE, USUAL_TOKENS
from studio.settings import Place
from wizards import forms, widgets
from wizards.draft import Draft
from wizards.widgets import Html, tag

#: Where the page is.
HERE: Final = "/try"
#: Conversations on the page at first, and how many more each time.
PAGE: Final = 10
_PULSE: Final = 500


@dataclass(frozen=True, slots=True)
class Known:
    """A run that could be talked to."""

    id: str
    name: str
    told: str


@dataclass(frozen=True, slots=True)
class Screen:
    """The page about one run. ``system`` is the system prompt of its data; ``blind_at`` is where its owner still rates.

    ``place`` is where models answer. ``learn`` are the addresses of DPO and of a judge with the data set of the pairs, where
    there is one.
    """

    run: str
    name: str
    sides: tuple[Side, ...]
    room: Room
    harvest: Harvest
    system: str = ""
    place: Place = "embedded"
    blind_at: str = ""
    shown: int = PAGE
    learn: tuple[str, str] = ("", "")


def href(run: str, shown: int = PAGE) -> str:
    """The address of the page about a run."""
    return f"{HERE}?{query(run, shown)}"


def query(run: str, shown: int = PAGE) -> str:
    """What stands after the question mark."""
    return urlencode({name: value for name, value in (("run", run), ("shown", shown if shown != PAGE else "")) if value})


# --- without a run ---------------------------------------------------------------------------------------------------------


def door(runs: Sequence[Known]) -> Html:
    """Which run to talk to."""
    if not runs:
        start = tag("a", "Start your first run", widgets.icon("arrow"), href="/", cls="tf-button tf-primary")
        teach = "Once a run has finished, you can talk to its model here, beside the model that it started from."
        return widgets.join((widgets.title("Talk to your model"), widgets.empty("No finished run yet", teach, start)))
    listed = (
        tag(
            "a",
            tag("span", tag("span", one.name), widgets.icon("arrow"), cls="tf-choice-label"),
            tag("span", one.told, cls="tf-choice-example"),
            href=href(one.id),
            cls="tf-choice",
        )
        for one in runs
    )
    lead = "Ask it anything and see how it answers, beside the model that it started from."
    return widgets.join(
        (widgets.title("Talk to your model", lead), tag("nav", *listed, cls="tf-choices", aria_label="Finished runs"))
    )


def top_of_nothing(run: str) -> Html:
    """Above the reason why a run cannot be talked to."""
    way = tag("a", "Choose another run", href=HERE, cls="tf-button tf-secondary")
    see = tag("a", "See the run", href="/?" + Draft(run=run).at("train").to_query(), cls="tf-button tf-quiet")
    return widgets.join((widgets.title("Talk to your model"), tag("div", way, see, cls="tf-acts")))


# --- the question ----------------------------------------------------------------------------------------------------------


def top(now: Screen) -> Html:
    """What the page is for."""
    lead = "Ask it anything, beside the model that it started from. What you type here counts in no verdict."
    return widgets.join((widgets.title(f"Talk to {now.name}", lead), _caution(now)))


def _caution(now: Screen) -> Html | None:
    if not now.blind_at:
        return None
    return tag(
        "div",
        widgets.icon("warn", 20),
        tag(
            "div",
            tag("p", tag("strong", "You are still rating this run blind."), cls="tf-notice-what"),
            tag("p", "Here you see which model writes in which way, and that can give the sides away. Rate first, then talk."),
            tag("p", tag("a", "Back to the verdict", href=now.blind_at)),
        ),
        cls="tf-notice is-warn",
        role="status",
    )


def composer(now: Screen) -> Html:
    """The field for a new question, and on which terms it is asked: those of the last one, at first those of the data."""
    last = now.room.talks[0].exchanges[-1].terms if now.room.talks else {}
    number = sum(len(talk.exchanges) for talk in now.room.talks)
    question = forms.field(
        "Your question",
        forms.area(f"try-ask-{number}", rows=4, name="text", data_typed=True, dir="auto"),
        ident=f"try-ask-{number}",
    )
    who = forms.field(
        "Who answers",
        forms.choice(f"try-sides-{number}", who_answers(now.sides), _chosen(last), name="sides"),
        ident=f"try-sides-{number}",
    )
    act = tag("div", forms.send("Ask", phase="Sending your question"), tag("span", "or Ctrl + Enter", cls="tf-remark"))
    return forms.form(
        "ask",
        question,
        tag("div", who, act, cls="tf-try-act"),
        _terms(now, last, number),
        label="A new conversation",
    )


def who_answers(sides: Sequence[Side]) -> tuple[tuple[str, str], ...]:
    """Who can be asked, as names of sides (with a plus between two) and words."""
    found = [("base+tuned", "Base and tuned, side by side"), ("tuned", "Only the tuned model"), ("base", "Only the base model")]
    for one in sides[2:]:
        step = one.name.removeprefix("step-")
        found += [(f"{one.name}+tuned", f"Step {step} beside the tuned model"), (one.name, f"Only step {step}")]
    return tuple(found)


def _chosen(last: dict[str, Any]) -> str:
    return "+".join(last.get("sides", ())) or "base+tuned"


def _terms(now: Screen, last: dict[str, Any], number: int) -> Html:
    system = last.get("system", now.system)
    told = (
        "the system prompt of your data"
        if system and system == now.system
        else "no system prompt"
        if not system
        else "a system prompt of your own"
    )
    paid = "Each answer is paid by its tokens, where this model has a price." if now.place != "embedded" else ""
    temperature, tokens = last.get("temperature", USUAL_TEMPERATURE), last.get("max_tokens", USUAL_TOKENS)
    fields = (
        forms.field(
            "System prompt",
            forms.area(f"try-system-{number}", system, rows=3, name="system", data_typed=True, dir="auto"),
            ident=f"try-system-{number}",
            note=(
                "Your data begins with this one, so the tuned model knows it."
                if now.system and system == now.system
                else "Your data begins with another one. A model answers best in the form that it was trained in."
                if now.system
                else "Your data has none. A model answers best in the form that it was trained in."
            ),
        ),
        tag(
            "div",
            forms.field(
                "Temperature",
                forms.text(f"try-temperature-{number}", f"{temperature:g}", name="temperature", inputmode="decimal"),
                ident=f"try-temperature-{number}",
                note="0 always gives the most likely answer; more gives another one each time. From 0 to 2.",
            ),
            forms.field(
                "Longest answer",
                forms.text(f"try-tokens-{number}", f"{tokens}", name="max_tokens", inputmode="numeric"),
                ident=f"try-tokens-{number}",
                note=f"In tokens, about four characters each. Up to {MOST_TOKENS:,}. {paid}".strip(),
            ),
            cls="tf-try-knobs",
        ),
    )
    summary = f"Terms: {told}, temperature {temperature:g}, up to {tokens:,} tokens"
    return widgets.more(summary, tag("div", *fields, cls="tf-try-terms"), keep="try-terms")


# --- the conversations -----------------------------------------------------------------------------------------------------


def seen(run: str, room: Room, shown: int) -> str:
    """A name for what ``talks`` shows, for the heartbeat: the same name, the same picture."""
    return f"{crc32(str(_talks(run, room, shown)).encode()):08x}"


def talks(run: str, room: Room, shown: int) -> Html:
    """The conversations, newest first. While an answer is on its way, a heartbeat asks for it."""
    beat = widgets.heartbeat(_PULSE, seen=seen(run, room, shown)) if room.waits else None
    left = widgets.onward("go-on") if room.left else None
    return widgets.join((_talks(run, room, shown), beat, left))


def _talks(run: str, room: Room, shown: int) -> Html:
    if not room.talks:
        what = "Nothing has been asked yet"
        teach = "Begin with a question like those in your data, then with one that is a little different."
        return widgets.empty(what, teach)
    many = len(room.talks)
    listed = (_talk(talk, room.phase) for talk in room.talks[:shown])
    older = (
        tag("a", f"Show {many - shown:,} older", href=href(run, shown + PAGE), cls="tf-button tf-quiet")
        if many > shown
        else None
    )
    return tag("section", tag("h2", "Conversations", cls="tf-unseen"), *listed, older, cls="tf-try-talks")


def _talk(talk: Talk, phase: str) -> Html:
    return tag("article", *(_exchange(one, phase) for one in talk.exchanges), _further(talk), cls="tf-try-talk tf-sheet")


def _further(talk: Talk) -> Html | None:
    """The ways on from a conversation that has its answers."""
    last = talk.exchanges[-1]
    if any(one.state != "answered" for one in last.answers):
        return None
    ident = f"try-further-{talk.id}-{len(talk.exchanges)}"
    note = "Each model is reminded of its own answers." if len(last.answers) > 1 else "The model is reminded of its answers."
    form = forms.form(
        "further",
        tag("input", type="hidden", name="talk", value=talk.id),
        forms.field(
            "Your next question", forms.area(ident, rows=2, name="text", data_typed=True, dir="auto"), ident=ident, note=note
        ),
        forms.send("Ask", kind="secondary", phase="Sending your question"),
        label="Ask further",
    )
    once_more = widgets.button("Ask the same again", "repeat", value=last.id, kind="quiet", sign="undo", phase="Asking again")
    return tag(
        "div",
        widgets.more("Ask further", form, keep=f"further-{talk.id}"),
        once_more if len(talk.exchanges) == 1 else None,
        cls="tf-try-on",
    )


def _exchange(one: Exchange, phase: str) -> Html:
    again = widgets.button("Ask again", "again", value=one.id, sign="undo", phase="Asking again") if one.failed else None
    stop = widgets.button("Stop", "stop", kind="quiet", phase="Stopping") if one.waits else None
    waits = (
        tag("p", widgets.icon("fork", 16), _on_its_way(phase), stop, cls="tf-try-waits", role="status") if one.waits else None
    )
    return tag(
        "div",
        tag("h3", one.text, cls="tf-try-question tf-model-text", dir="auto", tabindex="0"),
        waits,
        tag("div", *(_answer(one.id, answer) for answer in one.answers), cls=f"tf-try-pair is-{len(one.answers)}"),
        tag("div", again, cls="tf-acts") if again else None,
        cls="tf-try-exchange",
    )


def _on_its_way(phase: str) -> str:
    """What is being done, as a sentence. The first answer takes longer, and it is said why."""
    match phase:
        case "" | "starting" | "starting the engine":
            return "Starting the engine. Only the first question waits for it."
        case "connecting":
            return "Connecting to the server."
        case "loading the model":
            return "Loading the model. Only the first question waits for it."
        case _:
            return "Answering."


def _answer(question: str, one: Answer) -> Html:
    head = tag("h4", tag("span", _role(one.side)), tag("span", one.label, cls="tf-remark"))
    if one.state == "waiting":
        dots = tag("p", "No answer yet.", cls="tf-remark")
        return tag("div", head, dots, cls="tf-try-answer is-waiting")
    if one.state == "failed":
        why = widgets.notice(one.reason or "There is no answer.", next_step=one.next_step)
        return tag("div", head, why, cls="tf-try-answer")
    text = one.text or "(no answer: the model ended at once)"
    told = [
        "Trained on this very prompt, so it may recite." if one.trained_on else "",
        f"Cut off at the limit of {one.tokens:,} tokens." if one.cut_off else "",
        "It thought aloud first, which is not shown." if one.thought else "",
    ]
    remarks = " ".join(part for part in told if part)
    said = tag("p", text, cls="tf-model-text", dir="auto", tabindex="0", role="group", aria_label=f"Answer of {one.label}")
    return tag(
        "div",
        head,
        tag("div", said, tag("p", remarks, cls="tf-remark tf-try-remark") if remarks else None),
        _opinion(question, one) if one.text else None,
        cls="tf-try-answer",
    )


def _role(side: str) -> str:
    """What a side is, in a word."""
    return {"base": "Base", "tuned": "Tuned"}.get(side, "Checkpoint")


def _opinion(question: str, one: Answer) -> Html:
    place = f"{question}:{one.side}"
    ident = f"try-better-{place}-{crc32(one.better.encode()):x}".replace(":", "-")
    form = forms.form(
        "better",
        tag("input", type="hidden", name="place", value=place),
        forms.field(
            "A better answer would be",
            forms.area(ident, one.better, rows=4, name="text", data_typed=True, dir="auto"),
            ident=ident,
        ),
        forms.send("Keep this answer" if not one.better else "Keep the change", kind="secondary", phase="Keeping it"),
        label="A better answer",
    )
    summary = "Your better answer" if one.better else "Write a better answer"
    return tag(
        "div",
        tag(
            "div",
            _thumb(place, one, "up", "Good"),
            _thumb(place, one, "down", "Bad"),
            cls="tf-try-thumbs",
            role="group",
            aria_label=f"What you think of the answer of {one.label}",
        ),
        tag("p", one.better, cls="tf-model-text tf-try-better", dir="auto") if one.better else None,
        widgets.more(summary if not one.better else "Change it", form, keep=ident),
        cls="tf-try-opinion",
    )


def _thumb(place: str, one: Answer, which: str, label: str) -> Html:
    on = one.thumb == which
    return tag(
        "button",
        widgets.icon("thumb", 18),
        tag("span", label),
        type="button",
        id=f"try-{which}-{place}".replace(":", "-"),
        cls=f"tf-try-thumb is-{which}",
        data_pick="thumb",
        data_value=f"{place}:{'' if on else which}",
        aria_pressed="true" if on else "false",
    )


# --- what it is worth ------------------------------------------------------------------------------------------------------


def beside(now: Screen) -> Html:
    """What the opinions are worth, and the ways on."""
    return widgets.join((_worth(now), _ways(now)))


def _worth(now: Screen) -> Html:
    got, many = now.harvest, len(now.harvest.pairs)
    if not got.judged:
        said = (
            "Say of an answer that it is good or bad, or write a better one. "
            "A good and a bad answer to the same question make a pair, and a typed answer makes one with the answer it betters."
        )
        return widgets.sheet(tag("h2", "Teach it what you like"), tag("p", said, cls="tf-remark"))
    typed = sum(one.origin == "written" for one in got.pairs)
    rows = (("pairs", tag("strong", f"{many:,}")), ("of thumbs", f"{many - typed:,}"), ("typed", f"{typed:,}"))
    left = [
        (got.alone, "thumb has nothing to be compared with", "thumbs have nothing to be compared with"),
        (got.both, "answer got thumbs both ways", "answers got thumbs both ways"),
        (got.cut, "good answer was cut off", "good answers were cut off"),
        (got.empty, "answer was empty", "answers were empty"),
    ]
    out = "; ".join(f"{count:,} {one if count == 1 else more}" for count, one, more in left if count)
    return widgets.sheet(
        tag("h2", "Teach it what you like"),
        widgets.facts(rows),
        tag("p", f"Left out: {out}.", cls="tf-remark tf-try-left") if out else None,
        _make(now, many),
        cls="tf-try-worth",
    )


def _make(now: Screen, many: int) -> Html:
    if now.harvest.dataset:
        dpo, judge = now.learn
        return tag(
            "div",
            tag("p", widgets.pill("Data set made", "good")),
            tag("a", "Train on it (DPO)", widgets.icon("arrow"), href=dpo, cls="tf-button tf-primary"),
            tag("a", "Train a judge", href=judge, cls="tf-button tf-secondary"),
            tag("a", "Data card", href=f"/take/{now.harvest.dataset}/card.md", download=True, cls="tf-button tf-quiet"),
            tag("p", f"{methods.readiness('dpo', many).sentence} More opinions make a new data set.", cls="tf-remark"),
            cls="tf-try-make",
        )
    prompts = len({one.prompt_messages for one in now.harvest.pairs})
    short = max(0, FEWEST_PROMPTS - prompts)
    act = widgets.button(
        "Make a preference data set", "make", phase="Making the data set", kind="secondary", disabled=short > 0
    )
    note = (
        f"It takes pairs for {FEWEST_PROMPTS} different questions at least; {short} more."
        if short
        else methods.readiness("dpo", many).sentence
    )
    return tag("div", act, tag("p", note, cls="tf-remark"), cls="tf-try-make")


def _ways(now: Screen) -> Html:
    train, compare = Draft(run=now.run).at("train"), Draft(run=now.run).at("compare")
    return tag(
        "nav",
        tag("a", "The run", href="/?" + train.to_query()),
        tag("a", "Compare blind", href="/?" + compare.to_query()),
        tag("a", "Another run", href=HERE),
        cls="tf-try-ways",
        aria_label="Ways on",
    )
