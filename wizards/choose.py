"""Step 1, *Goal*: one plain question at a time, until a way of training fits or honest advice not to train.

Guarantees: every screen follows from the answers in the draft alone; an ending that cannot be trained yet says so and says what
to prepare; nothing is decided that the person cannot take back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote

from studio import methods
from studio.errors import SettingError
from studio.methods import Ending, Question, Template
from wizards import widgets
from wizards.draft import Draft, Pairs
from wizards.shell import Action, Context, Said, StepParts, Visit
from wizards.widgets import ChoiceCard, Html, tag

_NOT_SURE = "unsure"


@dataclass(frozen=True, slots=True)
class Screen:
    """A question or an ending, and the answers that led to it in words: question and answer."""

    at: Question | Ending
    path: tuple[tuple[str, str], ...]


def screen(answers: Pairs) -> Screen:
    """Where these answers lead. Answers that the tree does not know (an old link) lead back to the first question."""
    known = dict(answers)
    try:
        way = methods.path(known)
    except SettingError:
        return Screen(methods.walk({}), ())
    return Screen(methods.walk(known), tuple((question.title, choice.label) for question, choice in way))


def chosen(draft: Draft, choice_id: str) -> Draft:
    """The draft after an answer. An ending that can be trained, and asks for no preparation, leads straight on to the data."""
    here = screen(draft.answers).at
    if isinstance(here, Ending):
        return draft
    answers = (*(pair for pair in draft.answers if pair[0] in methods.QUESTIONS), (here.id, choice_id))
    after = screen(answers).at
    method = after.method if isinstance(after, Ending) and after.available and after.method else ""
    next_draft = replace(draft, answers=answers, method=method)
    return next_draft.at("data") if method and isinstance(after, Ending) and not after.prepare else next_draft


def back(draft: Draft) -> Draft:
    """Take the last answer back."""
    return replace(draft, answers=draft.answers[:-1], method="")


def pressed(visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    draft = visit.draft
    match said.name:
        case "choose":
            return chosen(draft, said.value)
        case "back":
            return back(draft)
        case "restart":
            return replace(draft, answers=(), method="")
        case "examples":
            return replace(draft, answers=((methods.FIRST, "yes"),), method="sl").at("data")
        case _:
            return draft.at("data") if draft.method else draft


def html(now: Screen) -> Html:
    """The screen as markup."""
    body = _ending(now.at) if isinstance(now.at, Ending) else _question(now.at, first=not now.path)
    return widgets.join((body, _trail(now)))


def _question(question: Question, *, first: bool) -> Html:
    cards = [ChoiceCard(choice.id, choice.label, choice.example, quiet=choice.id == _NOT_SURE) for choice in question.choices]
    promise = tag("p", "From a file to a verdict you can trust, in about ten minutes.", cls="tf-eyebrow") if first else None
    return widgets.join(
        (promise, widgets.title(question.title, question.text), widgets.choices(question.title, cards), _why(first))
    )


def _why(first: bool) -> Html | None:
    if not first:
        return None
    return widgets.more(
        "Why this question?",
        tag(
            "p",
            "A model learns in different ways from answers, from scores and from comparisons. What you already have decides "
            "which way can work, so the studio asks for that before anything else.",
        ),
        tag(
            "p",
            "Nothing you add leaves this computer. At the end you rate answers blind, without knowing which model wrote them, "
            "and the studio tells you whether the training helped.",
        ),
        keep="goal-why",
    )


def _ending(ending: Ending) -> Html:
    state = widgets.pill("Works in this version", "good") if ending.available else None
    coming = widgets.pill("Not in this version yet", "warn") if ending.method and not ending.available else None
    acts: list[Html] = []
    if ending.available:
        acts.append(widgets.button("Continue to your data", "continue", kind="primary", sign="arrow"))
    else:
        acts.append(widgets.button("Use examples instead", "examples", kind="primary", sign="arrow"))
    if ending.template:
        acts.append(_download(ending.template))
    steps = tag("ol", *(tag("li", line) for line in ending.prepare), cls="tf-steps") if ending.prepare else None
    return widgets.join(
        (
            state or coming,
            widgets.title(ending.title, ending.advice),
            widgets.sheet(tag("h2", "What to do now"), steps) if steps else None,
            tag("div", *acts, cls="tf-acts"),
        )
    )


def _download(template: Template) -> Html:
    """A link that carries its own small file: nothing is fetched and nothing is stored."""
    href = "data:text/csv;charset=utf-8," + quote(template.text)
    return tag(
        "a",
        widgets.icon("file"),
        tag("span", f"Download {template.file_name}"),
        href=href,
        download=template.file_name,
        cls="tf-button tf-secondary",
    )


def _trail(now: Screen) -> Html | None:
    if not now.path:
        return None
    said = (tag("li", tag("span", question), tag("strong", answer)) for question, answer in now.path)
    return tag(
        "section",
        tag("h2", "What you said so far"),
        tag("ol", *said),
        tag(
            "div",
            widgets.button("Change the last answer", "back", kind="quiet", sign="back"),
            widgets.button("Start over", "restart", kind="quiet", sign="undo") if len(now.path) > 1 else None,
            cls="tf-acts",
        ),
        cls="tf-trail",
    )


def build(_: Context) -> StepParts:
    """One panel; see ``shell`` for how it is plugged in."""
    panel = widgets.panel()
    return StepParts(
        outputs=(panel,),
        show=lambda visit: (html(screen(visit.draft.answers)),),
        actions=(Action(panel.pick, pressed),),
    )
