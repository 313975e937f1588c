"""Step 6, *Verdict*: the answer first, then one picture, then who judged what, and what it does not say.

Guarantees: every word and number about who is better comes from ``studio.compare``; while the owner still rates, nothing tells
them how the votes fall; answers and exports open only when nobody can be influenced any more; textbook numbers stand in a
drawer under their warning. While votes come in, only what they change is drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import gradio as gr

from studio.compare import blind, generate, outcome
from studio.compare.blind import SessionState
from studio.compare.generate import Plan
from studio.compare.measures import Measure
from studio.compare.outcome import AnswerLine, TakeHome
from studio.compare.verdict import Verdict
from studio.errors import NotFoundError
from studio.store import ComparisonRow, RunRow, Store
from wizards import afterwards, answers_list, judging, machine_judge, session_desk, verdict_told, widgets
from wizards.draft import Draft
from wizards.session_desk import Desk
from wizards.shell import Action, Context, Once, Said, StepParts, Visit
from wizards.verdict_told import Files
from wizards.widgets import Html, tag

_PULSE: Final = 3_000


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows. ``verdict`` is ``None`` while there is nothing to judge, or while the owner still rates.

    ``opinion`` is what a model thinks, and ``busy`` says that one is being asked; ``onward`` is what can be made of the votes.
    """

    run: RunRow
    comparison: ComparisonRow | None = None
    answered: bool = False
    session: SessionState | None = None
    desk: Desk | None = None
    sealed_for_owner: bool = False
    verdict: Verdict | None = None
    measures: tuple[Measure, ...] = ()
    answers: tuple[AnswerLine, ...] | None = None
    files: Files | None = None
    view: str = ""
    opinion: Html | None = None
    onward: Html | None = None
    busy: bool = False

    @property
    def live(self) -> bool:
        """Whether anything here may change by itself."""
        return self.busy or (self.session is not None and not self.session.ended)


def screen(store: Store, draft: Draft, owner: str) -> Screen:
    """Read it all. Raises ``NotFoundError`` when the run is not this owner's."""
    run = store.runs.get(draft.run, owner)
    place = judging.place_of(store, draft, owner)
    if place.comparison is None or place.session is None:
        answered = place.comparison is not None and generate.answers_complete(store, place.comparison.id, owner)
        return Screen(run, place.comparison, answered)
    session = blind.state(store, place.session.id, owner)
    sealed = judging.own_seat(session) is not None
    taken = outcome.take_home(store, session.id, owner) if not session.open or session.finished else None
    rated_elsewhere = taken is not None and judging.rates_the_same(store, place.comparison)
    verdict = None if sealed else taken.verdict if taken else outcome.verdict_of(store, session.id, owner)
    return Screen(
        run,
        place.comparison,
        True,
        session,
        session_desk.desk(store, session, owner),
        sealed,
        verdict=verdict,
        measures=generate.measures(store, place.comparison.id, owner),
        answers=taken.answers if taken and not rated_elsewhere else None,
        files=_files(taken) if taken and session.votes else None,
        view=draft.view,
        opinion=machine_judge.part(store, session, owner) if not sealed else None,
        onward=afterwards.part(store, session, owner) if not sealed else None,
        busy=machine_judge.busy(store, session.id, owner),
    )


def _files(taken: TakeHome) -> Files:
    return Files(json.dumps(taken.document, indent=2, ensure_ascii=False), taken.votes_csv, taken.answers_csv)


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The step as markup."""
    return widgets.join(parts(now))


def parts(now: Screen) -> tuple[Html, ...]:
    """What each panel of the step shows.

    The answer with the session, the owner's acts, how it came about, what it rests on, what a model thinks, what comes after,
    the answers.
    """
    none = Html("")
    if now.session is None or now.desk is None:
        return (_nothing(now), none, none, none, none, none, none)
    acts = session_desk.acts(now.desk)
    if now.sealed_for_owner:
        return (_sealed(now.session, now.desk), acts, none, none, none, none, none)
    if now.verdict is None or not now.verdict.n_votes:
        return (_no_votes(now, now.session, now.desk), acts, none, none, none, none, _answers(now))
    return (
        widgets.join((verdict_told.answer(now.verdict), session_desk.standing(now.desk))),
        acts,
        verdict_told.closer(now.verdict, {one.label: one.name for one in now.session.raters}),
        _rests(now, now.session, now.verdict),
        now.opinion or none,
        now.onward or none,
        _answers(now),
    )


def _nothing(now: Screen) -> Html:
    if now.answered:
        act = widgets.button("Start rating", "rate", kind="primary", sign="arrow", phase="Opening your rating page")
        teach = (
            "A verdict comes from people who compare answers without knowing who wrote them. 20 prompts are the least; "
            "about ten seconds each."
        )
    else:
        act = widgets.button("Go to the comparison", "compare", kind="primary", sign="arrow")
        teach = "First both models answer the prompts that were held out. Then you rate, and the verdict appears here."
    return widgets.join((widgets.title("Did it help?"), widgets.empty("Nobody has rated yet", teach, act)))


def _sealed(session: SessionState, desk: Desk) -> Html:
    own = judging.own_seat(session)
    done, total = (own.done, own.total) if own else (0, 0)
    heading = "One last question" if done == total else "The verdict waits for you"
    lead = (
        "You have rated every pair. Answer the last question on your rating page, and the verdict opens."
        if done == total
        else f"You have rated {done:,} of {total:,} pairs. If you saw now how the votes fall, you would no longer rate blind."
    )
    door = judging.seat_door(session.id, "Continue rating" if done else "Start rating")
    return widgets.join((widgets.title(heading, lead), tag("div", door, cls="tf-acts"), session_desk.standing(desk)))


def _no_votes(now: Screen, session: SessionState, desk: Desk) -> Html:
    title = widgets.title("Did it help?")
    if not session.open:
        empty = widgets.empty(
            "This session was closed before anybody rated",
            "Open a new one over the same answers.",
            widgets.button("Start rating", "rate", kind="primary", sign="arrow", phase="Opening your rating page"),
        )
        return widgets.join((title, empty, session_desk.standing(desk)))
    waits = now.verdict is not None and session.votes > 0
    what = "No vote counts yet" if waits else "Nobody has rated yet"
    teach = (
        "Votes are in, but no prompt has all its ratings so far. This page follows them."
        if waits
        else "The session is open. The first vote starts the count, and this page follows it."
    )
    act = None if desk.seated else widgets.button("Rate yourself", "rate", kind="primary", sign="arrow", phase="Opening")
    return widgets.join((title, widgets.empty(what, teach, *((act,) if act else ())), session_desk.standing(desk)))


def _rests(now: Screen, session: SessionState, verdict: Verdict) -> Html:
    return widgets.join(
        (
            verdict_told.exports(now.files, session.id) if now.files is not None else None,
            verdict_told.basis(verdict, session, _compared_on(now)),
            verdict_told.folded(now.measures, verdict, session, again=now.files is not None, view=now.view),
        )
    )


def _compared_on(now: Screen) -> Html | str:
    if now.comparison is None:
        return ""
    plan = Plan.of(now.comparison)
    drawn = "the most likely answer" if plan.temperature == 0 else f"temperature {plan.temperature:g}"
    held_out = f"held out from the data of “{now.run.name}”"
    prompts = held_out if plan.source.kind == "held_out" else plan.source.words
    return widgets.join((f"Prompts {prompts}, template ", tag("code", plan.renderer), f", {drawn}."))


def _answers(now: Screen) -> Html:
    if now.answers is not None:
        return answers_list.part(now.answers, now.view)
    if now.session is None or not now.session.votes:
        return Html("")
    sealed = tag("p", "They stay sealed while people are rating.", cls="tf-remark")
    return tag("section", tag("h2", "The answers"), sealed, cls="tf-part")


def missing(run_id: str) -> Html:
    """There is no such run here."""
    what = "This run is not in this studio" if run_id else "No run yet"
    teach = "Its address may be from another computer." if run_id else "A verdict needs a trained model and people who rate."
    act = widgets.button("Start from your goal", "goal", kind="primary")
    return widgets.join((widgets.title("Verdict"), widgets.empty(what, teach, act)))


# --- binding ---------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """What each press on this step does. Raises what the domain raises; the frame shows it."""
    match said.name:
        case "rate":
            return judging.take_seat(ctx, visit)
        case "compare":
            return visit.draft.at("compare")
        case "view":
            return answers_list.viewed(visit.draft, said.value)
        case "goal":
            return Draft()
        case _:
            for part in (session_desk.pressed, machine_judge.pressed, afterwards.pressed):
                done = part(ctx, visit, said)
                if done is not None:
                    return done
            return visit.draft


def build(ctx: Context) -> StepParts:
    """One panel for each part, and one with the heartbeat; see ``shell`` for how they are plugged in."""
    panels = tuple(widgets.panel() for _ in range(_PARTS))
    pulse = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        mark = _mark(ctx.store, visit)
        if mark and visit.seen.startswith(f"{mark}|"):
            return [gr.skip() for _ in (*panels, pulse)]
        try:
            now = screen(ctx.store, visit.draft, visit.owner)
        except NotFoundError:
            return (missing(visit.draft.run), *[""] * _PARTS)
        return drawn(parts(now), visit.seen, mark, live=now.live)

    def press(visit: Visit, said: Said) -> Draft | Once:
        return pressed(ctx, visit, said)

    return StepParts(
        outputs=(*panels, pulse), show=show, actions=tuple(Action(panel.pick, press) for panel in panels), ticking=(pulse,)
    )


_PARTS: Final = 7


def _mark(store: Store, visit: Visit) -> str:
    """What is another text once anything in the session is; empty when that would not be enough to know."""
    session = judging.place_of(store, visit.draft, visit.owner).session
    if session is None or machine_judge.busy(store, session.id, visit.owner):
        return ""
    return store.ratings.mark(session.id)


def drawn(shown: Sequence[Html], seen: str, mark: str, *, live: bool) -> tuple[object, ...]:
    """The parts, each left alone when ``seen`` says that it is on screen as it is, and the heartbeat while it is ``live``.

    ``mark`` says of what state of the session they are.
    """
    prints = [hashlib.sha256(part.encode()).hexdigest()[:12] for part in shown]
    known = seen.split("|")[1:]
    same = [at < len(known) and known[at] == each for at, each in enumerate(prints)]
    values = (gr.skip() if left else part for part, left in zip(shown, same, strict=True))
    return (*values, widgets.heartbeat(_PULSE, "|".join((mark, *prints))) if live else "")
