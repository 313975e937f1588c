"""Step 1, *Goal*: one plain question at a time, until a way of training fits or honest advice not to train.

Guarantees: every screen follows from the draft and the file in it alone; the answers given stand on the page and each can be
changed; a file that contradicts the answers is said to, with the ways out; nothing is decided that cannot be taken back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from studio import fitting, methods
from studio.data import Inspection
from studio.errors import NotFoundError, SettingError
from studio.methods import Choice, Ending, Method, Question, Template
from wizards import clash, method_card, widgets
from wizards.clash import Clash
from wizards.draft import Draft
from wizards.plan import held
from wizards.shell import Action, Context, Said, StepParts, Visit
from wizards.widgets import ChoiceCard, Html, tag

_NOT_SURE: Final = "unsure"


@dataclass(frozen=True, slots=True)
class Screen:
    """A question, an ending, or a method that was chosen without questions; the answers that led there; and the file.

    ``rows`` counts those of the file that can be learned from. ``clash`` says that the file is of another kind.
    """

    at: Question | Ending | Method
    path: tuple[tuple[Question, Choice], ...] = ()
    holds: str = ""
    rows: int | None = None
    clash: Clash | None = None


def screen(draft: Draft, file: Inspection | None = None) -> Screen:
    """Where this draft stands. Answers that the tree does not know (an old link) lead back to the first question."""
    now = _way(draft)
    if file is None or file.shape is None:
        return now
    training = file.shape.training
    method = _method_of(now.at)
    return replace(
        now,
        holds=f"{file.file_name} holds {fitting.HOLDS[training]}.",
        rows=file.rows_usable - file.duplicate_rows,
        clash=clash.of(method.id, training) if method is not None else None,
    )


def _way(draft: Draft) -> Screen:
    known = dict(draft.answers)
    if not known and draft.method:
        try:
            return Screen(methods.method(draft.method))
        except NotFoundError:
            return Screen(methods.walk({}))
    try:
        return Screen(methods.walk(known), methods.path(known))
    except SettingError:
        return Screen(methods.walk({}))


def _method_of(at: Question | Ending | Method) -> Method | None:
    if isinstance(at, Method):
        return at
    return methods.method(at.method) if isinstance(at, Ending) and at.method else None


# --- acts ------------------------------------------------------------------------------------------------------------------


def chosen(draft: Draft, choice_id: str) -> Draft:
    """The draft after an answer. An ending that asks for no preparation leads straight on to the data."""
    here = _way(replace(draft, method="") if not draft.answers else draft).at
    if not isinstance(here, Question):
        return draft
    answers = (*(pair for pair in draft.answers if pair[0] in methods.QUESTIONS), (here.id, choice_id))
    after = _way(Draft(answers=answers)).at
    if not isinstance(after, Ending) or not after.method or not after.available:
        return replace(draft, answers=answers, method="")
    decided = replace(_with_method(draft, after.method), answers=answers)
    for name, value in after.preset:
        decided = decided.with_change(name, value)
    return decided if after.prepare else decided.at("data")


def _with_method(draft: Draft, method: str) -> Draft:
    """Another method has other settings: what was changed for the old one says nothing about it."""
    return draft if draft.method == method else replace(draft, method=method, changes=())


def reopened(draft: Draft, question: str) -> Draft:
    """Back to one of the questions on the way; the answers before it stay."""
    kept: list[tuple[str, str]] = []
    for asked, choice in _way(draft).path:
        if asked.id == question:
            break
        kept.append((asked.id, choice.id))
    return replace(draft, answers=tuple(kept), method="")


def pressed(visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    draft = visit.draft
    match said.name:
        case "choose":
            return chosen(draft, said.value)
        case "reopen":
            return reopened(draft, said.value)
        case "restart":
            return replace(draft, answers=(), method="", changes=())
        case "examples":
            return replace(_with_method(draft, "sl"), answers=((methods.FIRST, "yes"),)).at("data")
        case "method":
            return clash.switched(draft, said.value)
        case "data" | "continue":
            return draft.at("data") if draft.method else draft
        case _:
            return draft


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The screen as markup."""
    match now.at:
        case Question():
            body = _question(now.at, first=not now.path)
        case Ending():
            body = _ending(now, now.at)
        case Method():
            body = _chosen(now, now.at)
    return widgets.join((_contradiction(now), body, _trail(now), _every(now)))


def _contradiction(now: Screen) -> Html | None:
    """What is wrong, or at least what the file is, while the questions are still open."""
    if now.clash is not None:
        return tag("div", clash.html(now.clash), cls="tf-clash")
    if now.holds and isinstance(now.at, Question):
        return tag("p", now.holds, " Your answers decide what to do with it.", cls="tf-remark tf-clash")
    return None


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


def _ending(now: Screen, ending: Ending) -> Html:
    method = _method_of(ending)
    acts: list[Html] = []
    if method is not None and ending.available:
        acts.append(_onward(now))
    elif method is None:
        acts.append(widgets.button("Use examples instead", "examples", kind="secondary", sign="arrow"))
    if ending.template:
        acts.append(_download(ending.template))
    steps = tag("ol", *(tag("li", line) for line in ending.prepare), cls="tf-steps") if ending.prepare else None
    return widgets.join(
        (
            widgets.title(ending.title, ending.advice),
            widgets.sheet(tag("h2", "What to do now"), steps) if steps else None,
            tag("div", *acts, cls="tf-acts"),
            method_card.html(method, _rows(now)) if method is not None else None,
        )
    )


def _chosen(now: Screen, method: Method) -> Html:
    """A method that was chosen by name."""
    ask = widgets.button("Ask me the questions instead", "restart", kind="quiet", sign="undo")
    return widgets.join(
        (
            widgets.title(f"You chose: {method.name}", "Read below whether it fits, or go on to your data."),
            tag("div", _onward(now), ask, cls="tf-acts"),
            method_card.html(method, _rows(now)),
        )
    )


def _onward(now: Screen) -> Html:
    kind = "secondary" if now.clash is not None else "primary"
    return widgets.button("Continue to your data", "continue", kind=kind, sign="arrow")


def _rows(now: Screen) -> int | None:
    """Rows to compare with what the method needs: only of a file that fits."""
    return now.rows if now.clash is None else None


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
    return tag(
        "section",
        tag("h2", "What you said so far"),
        tag("ol", *(_taken(question, choice) for question, choice in now.path)),
        tag("div", widgets.button("Start over", "restart", kind="quiet", sign="undo"), cls="tf-acts"),
        cls="tf-trail",
    )


def _taken(question: Question, choice: Choice) -> Html:
    change = tag(
        "button",
        "Change",
        tag("span", f" the answer to: {question.title}", cls="tf-unseen"),
        type="button",
        cls="tf-button tf-quiet",
        data_pick="reopen",
        data_value=question.id,
    )
    return tag("li", tag("span", question.title), tag("strong", choice.label), change)


def _every(now: Screen) -> Html:
    method = _method_of(now.at)
    known = method_card.every(methods.METHODS, method.id if method is not None else "")
    return widgets.more("I know which way of training I want", known, keep="goal-ways")


def build(ctx: Context) -> StepParts:
    """One panel; see ``shell`` for how it is plugged in."""
    panel = widgets.panel()

    def show(visit: Visit) -> tuple[Html]:
        return (html(screen(visit.draft, held(ctx.settings, ctx.store, visit.draft, visit.owner))),)

    return StepParts(outputs=(panel,), show=show, actions=(Action(panel.pick, pressed),))
