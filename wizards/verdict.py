"""Step 6, *Verdict*: the sentence first, then one picture, then who judged what, and what it does not say.

Guarantees: every word and number about who is better comes from ``studio.compare.verdict``; while the owner still rates,
nothing tells them how the votes fall; answers and exports open only when nobody can be influenced any more; textbook numbers
stand in a drawer under their warning.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Final

from studio.compare import blind, generate, outcome
from studio.compare.blind import SessionState
from studio.compare.generate import Plan
from studio.compare.measures import Measure
from studio.compare.outcome import AnswerLine
from studio.compare.reference import Blinding
from studio.compare.verdict import State as VerdictState
from studio.compare.verdict import Verdict
from studio.store import ComparisonRow, RunRow, Store
from wizards import answers_list, judging, measures_table, reference_drawer, scale, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, StepParts, Visit
from wizards.widgets import Html, State, tag

_PULSE: Final = 3_000


@dataclass(frozen=True, slots=True)
class Files:
    """What can be taken home, once the session is over."""

    votes_json: str
    votes_csv: str
    answers_csv: str


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows. ``verdict`` is ``None`` while there is nothing to judge, or while the owner still rates."""

    run: RunRow
    comparison: ComparisonRow | None = None
    answered: bool = False
    session: SessionState | None = None
    sealed_for_owner: bool = False
    verdict: Verdict | None = None
    blinding: Blinding | None = None
    measures: tuple[Measure, ...] = ()
    answers: tuple[AnswerLine, ...] | None = None
    files: Files | None = None
    view: str = ""


def screen(store: Store, draft: Draft, owner: str) -> Screen:
    """Read it all. Raises ``NotFoundError`` when the run is not this owner's."""
    run = store.runs.get(draft.run, owner)
    place = judging.place_of(store, draft, owner)
    if place.comparison is None or place.session is None:
        answered = place.comparison is not None and generate.answers_complete(store, place.comparison.id, owner)
        return Screen(run, place.comparison, answered)
    session = blind.state(store, place.session.id, owner)
    sealed = judging.own_seat(session) is not None
    over = not session.open or session.finished
    return Screen(
        run,
        place.comparison,
        True,
        session,
        sealed,
        verdict=None if sealed else outcome.verdict_of(store, session.id, owner),
        blinding=None if sealed else outcome.blinding_of(store, session.id, owner),
        measures=generate.measures(store, place.comparison.id, owner),
        answers=outcome.answers_table(store, session.id, owner) if over else None,
        files=_files(store, session.id, owner) if over and session.votes else None,
        view=draft.view,
    )


def _files(store: Store, session_id: str, owner: str) -> Files:
    return Files(
        json.dumps(outcome.export(store, session_id, owner), indent=2, ensure_ascii=False),
        outcome.export_csv(store, session_id, owner),
        outcome.answers_csv(store, session_id, owner),
    )


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The step as markup."""
    if now.session is None:
        return _nothing(now)
    if now.sealed_for_owner:
        return _sealed(now.session)
    if now.verdict is None or not now.verdict.n_votes:
        return _no_votes(now, now.session)
    return _told(now, now.session, now.verdict)


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


def _sealed(session: SessionState) -> Html:
    own = judging.own_seat(session)
    done, total = (own.done, own.total) if own else (0, 0)
    heading = "One last question" if done == total else "The verdict waits for you"
    lead = (
        "You have rated every pair. Answer the last question on your rating page, and the verdict opens."
        if done == total
        else f"You have rated {done:,} of {total:,} pairs. If you saw now how the votes fall, you would no longer rate blind."
    )
    acts = [judging.seat_door(session.id, "Continue rating" if done else "Start rating")]
    if session.votes:
        acts.append(_close_button())
    return widgets.join(
        (
            widgets.title(heading, lead),
            tag("div", *acts, cls="tf-acts"),
            tag("p", "Closing is for good: nobody can rate in this session after it.", cls="tf-remark tf-under-acts")
            if session.votes
            else None,
            _who(session),
            widgets.heartbeat(_PULSE),
        )
    )


def _no_votes(now: Screen, session: SessionState) -> Html:
    if not session.open:
        empty = widgets.empty(
            "This session was closed before anybody rated",
            "Open a new one over the same answers.",
            widgets.button("Start rating", "rate", kind="primary", sign="arrow", phase="Opening your rating page"),
        )
        return widgets.join((widgets.title("Did it help?"), empty, _answers(now)))
    act = widgets.button("Rate yourself", "rate", kind="primary", sign="arrow", phase="Opening your rating page")
    teach = "The session is open. The first vote starts the count, and this page follows it."
    return widgets.join(
        (
            widgets.title("Did it help?"),
            widgets.empty("Nobody has rated yet", teach, act),
            _who(session),
            widgets.heartbeat(_PULSE),
        )
    )


_STATES: Final[dict[VerdictState, tuple[State, str]]] = {
    "too_early": ("quiet", "Too early"),
    "tuned_better": ("good", "Settled"),
    "base_better": ("warn", "Settled"),
    "no_difference": ("quiet", "Settled"),
    "leaning": ("quiet", "Not settled"),
    "no_evidence": ("quiet", "Not settled"),
    "stopped": ("warn", "Not settled"),
}


def _told(now: Screen, session: SessionState, verdict: Verdict) -> Html:
    state, word = _STATES[verdict.state]
    return widgets.join(
        (
            widgets.pill(word, state),
            widgets.title(verdict.headline, verdict.sentence),
            scale.picture(verdict) if verdict.win_rate is not None else None,
            _notes(verdict),
            _acts(now, session),
            _exports(now),
            _facts(now, session, verdict),
            _who(session),
            _folded(now, verdict),
            _answers(now),
            widgets.heartbeat(_PULSE) if not session.ended else None,
        )
    )


def _notes(verdict: Verdict) -> Html | None:
    notes = verdict.notes
    return tag("ul", *(tag("li", note) for note in notes), cls="tf-notes") if notes else None


def _acts(now: Screen, session: SessionState) -> Html | None:
    acts: list[Html] = []
    if session.open:
        acts.append(widgets.button("Invite somebody else", "invite", phase="Making a link"))
        if not any(one.is_owner for one in session.raters):
            acts.append(widgets.button("Rate yourself", "rate", phase="Opening your rating page"))
        if now.answers is None:
            acts.append(_close_button())
    return tag("div", *acts, cls="tf-acts") if acts else None


def _exports(now: Screen) -> Html | None:
    if now.files is None or now.session is None:
        return None
    name, taken = now.session.id, now.files
    return tag(
        "p",
        tag("span", "Take it with you:", cls="tf-remark"),
        _download("Votes (JSON)", f"votes-{name}.json", "application/json", taken.votes_json),
        _download("Votes (CSV)", f"votes-{name}.csv", "text/csv", taken.votes_csv),
        _download("Answers (CSV)", f"answers-{name}.csv", "text/csv", taken.answers_csv),
        cls="tf-exports",
    )


def _close_button() -> Html:
    return widgets.button("Close the session and open the answers", "close", phase="Closing the session")


def _download(label: str, name: str, kind: str, text: str) -> Html:
    """A link that carries its own file: nothing is fetched and nothing is stored."""
    href = f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
    return tag("a", widgets.icon("file"), tag("span", label), href=href, download=name, cls="tf-button tf-quiet")


def _facts(now: Screen, session: SessionState, verdict: Verdict) -> Html:
    people = "1 person" if verdict.n_raters == 1 else f"{verdict.n_raters:,} people"
    votes = "1 vote" if verdict.n_votes == 1 else f"{verdict.n_votes:,} votes"
    pairs: list[tuple[str, object]] = [
        ("who", f"{people}, {votes}"),
        ("prompts", _prompts(verdict, session)),
        ("on", _compared_on(now)),
        ("evidence", f"{verdict.odds} against “no difference”; 20 : 1 settles it"),
    ]
    shares = _shares(verdict)
    if shares:
        pairs.append(("also", shares))
    if now.blinding is not None and (said := _blind_words(now.blinding)):
        pairs.append(("blind", said))
    return tag("section", tag("h2", "What this rests on"), widgets.sheet(widgets.facts(pairs)), cls="tf-part tf-basis")


def _prompts(verdict: Verdict, session: SessionState) -> str:
    told = f"{verdict.n_rated:,} rated of {session.pairs:,}"
    ties = verdict.n_items - verdict.n_rated
    if ties:
        told += f", and {ties:,} on which both models gave the same answer"
    return told


def _compared_on(now: Screen) -> Html | str:
    if now.comparison is None:
        return ""
    plan = Plan.of(now.comparison)
    drawn = "the most likely answer" if plan.temperature == 0 else f"temperature {plan.temperature:g}"
    held_out = f"held out from the data of “{now.run.name}”"
    prompts = held_out if plan.source.kind == "held_out" else plan.source.words
    return widgets.join((f"Prompts {prompts}, template ", tag("code", plan.renderer), f", {drawn}."))


def _shares(verdict: Verdict) -> str:
    parts: list[str] = []
    if verdict.tie_share:
        parts.append(f"{100 * verdict.tie_share:.0f} % of votes said equally good")
    if verdict.both_bad_share:
        parts.append(f"{100 * verdict.both_bad_share:.0f} % said both bad")
    if verdict.n_skipped:
        parts.append(f"{verdict.n_skipped:,} skipped")
    return ", ".join(parts)


def _blind_words(told: Blinding) -> str:
    asked = told.right + told.wrong + told.unsure
    if not asked:
        return ""
    return (
        f"Asked at the end which side was tuned: {told.right:,} right, {told.wrong:,} wrong, {told.unsure:,} could not tell "
        f"(blinding index {told.index:.2f}; 0 is blind, 1 means everybody knew)."
    )


def _who(session: SessionState) -> Html | None:
    if not session.raters:
        return None
    return tag("section", tag("h2", "Who rates"), judging.raters_table(session), cls="tf-part")


def _answers(now: Screen) -> Html | None:
    if now.answers is None:
        if now.session is None or not now.session.votes:
            return None
        return tag(
            "section",
            tag("h2", "The answers"),
            tag("p", "They stay sealed while people are rating.", cls="tf-remark"),
            cls="tf-part",
        )
    return answers_list.part(now.answers, now.view)


def _folded(now: Screen, verdict: Verdict) -> Html:
    command = f"tuning-fork verdict votes-{now.session.id}.json" if now.session else ""
    measures = (
        widgets.more(
            "What a program can count",
            tag("p", "These numbers compare texts with your data. Whether people prefer the answers is said above."),
            measures_table.table(now.measures),
            keep="verdict-measures",
        )
        if now.measures
        else None
    )
    again = (
        widgets.more(
            "Compute it again from the file",
            tag("p", "Save Votes (JSON), then run this in the terminal. It gives the same numbers."),
            tag("pre", command, cls="tf-sample"),
            keep="verdict-again",
        )
        if now.files is not None
        else None
    )
    return widgets.join((measures, reference_drawer.drawer(verdict) if verdict.n_votes else None, again))


def missing(run_id: str) -> Html:
    """There is no such run here."""
    what = "This run is not in this studio" if run_id else "No run yet"
    teach = "Its address may be from another computer." if run_id else "A verdict needs a trained model and people who rate."
    act = widgets.button("Start from your goal", "goal", kind="primary")
    return widgets.join((widgets.title("Verdict"), widgets.empty(what, teach, act)))


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """What each press on this step does. Raises what the domain raises; the frame shows it."""
    match said.name:
        case "rate":
            return judging.take_seat(ctx, visit)
        case "invite":
            return judging.invite_guest(ctx, visit)
        case "close":
            return judging.close(ctx, visit)
        case "compare":
            return visit.draft.at("compare")
        case "view":
            return answers_list.viewed(visit.draft, said.value)
        case "goal":
            return Draft()
        case _:
            return visit.draft


def build(ctx: Context) -> StepParts:
    """One panel; see ``shell`` for how it is plugged in."""
    return judging.one_panel(
        lambda visit: html(screen(ctx.store, visit.draft, visit.owner)), missing, lambda visit, said: pressed(ctx, visit, said)
    )
