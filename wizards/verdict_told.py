"""The verdict as the page tells it: headline, paragraph, picture, what it rests on, and the folds. Values in, markup out.

Guarantees: nothing is concluded here: words and numbers are those of ``studio.compare``; the paragraph that can be quoted comes
first and can be copied as it stands; with several challengers each is told by itself, under its own threshold.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from studio.compare.blind import SessionState
from studio.compare.measures import Measure
from studio.compare.planning import plan_session
from studio.compare.sentences import percent, plain
from studio.compare.verdict import Verdict
from wizards import measures_table, reference_drawer, scale, verdict_charts, widgets
from wizards.verdict_charts import STATES
from wizards.widgets import Html, tag


@dataclass(frozen=True, slots=True)
class Files:
    """What can be taken home, once the session is over."""

    votes_json: str
    votes_csv: str
    answers_csv: str


#: A paragraph of more characters than this is set smaller.
_LONG: Final = 700

# --- the answer ------------------------------------------------------------------------------------------------------------


def answer(now: Verdict) -> Html:
    """Headline, paragraph, one picture, and the caveats."""
    several = now.challengers > 1
    state, word = STATES[now.state]
    return widgets.join(
        (
            widgets.pill(*verdict_charts.settled(now)) if several else widgets.pill(word, state),
            widgets.title(verdict_charts.leaders(now) if several else now.headline),
            _paragraph(now),
            verdict_charts.ranking(now) if several else _pictured(now),
            _notes(now, now.paragraph),
        )
    )


def closer(now: Verdict, names: Mapping[str, str]) -> Html:
    """How it came about, person by person, and several challengers one by one. ``names`` tells who a rater is."""
    if now.challengers > 1:
        return _one_by_one(now, names)
    course = verdict_charts.evidence(now)
    grew = tag("section", tag("h2", "How the evidence grew"), course, cls="tf-part") if course is not None else None
    return widgets.join((grew, verdict_charts.raters(now, names)))


def _paragraph(now: Verdict) -> Html:
    long = len(now.paragraph) > _LONG
    return tag(
        "div",
        tag("p", verdict_charts.unbroken(now.paragraph), id="tf-paragraph"),
        tag("button", "Copy this paragraph", type="button", cls="tf-button tf-quiet", data_copy="tf-paragraph"),
        cls=f"tf-quote{' is-long' if long else ''}",
    )


def _pictured(now: Verdict) -> Html | None:
    if now.win_rate is None:
        return None
    return scale.picture(now)


def _notes(now: Verdict, said: str) -> Html | None:
    """The caveats, without those that are ``said`` already."""
    notes = [note for note in now.notes if note not in said]
    return tag("ul", *(tag("li", note) for note in notes), cls="tf-notes") if notes else None


def _one_by_one(now: Verdict, names: Mapping[str, str]) -> Html:
    """Every challenger with the pictures, notes and numbers of its own."""
    tabs: list[widgets.Tab] = []
    for one in verdict_charts.ranked(now):
        each = one.verdict
        state, word = STATES[each.state]
        course = verdict_charts.evidence(each)
        body = widgets.join(
            (
                tag("h3", tag("span", each.headline), widgets.pill(word, state), cls="tf-each-head"),
                _pictured(each) or tag("p", each.sentence),
                _notes(each, " ".join((now.paragraph, *now.notes))),
                tag("h3", "How the evidence grew") if course is not None else None,
                course,
                verdict_charts.raters(each, names),
                reference_drawer.drawer(each, names, keep=f"each-{one.arm.name}") if each.n_votes else None,
            )
        )
        tabs.append(widgets.Tab(one.arm.name, plain(one.arm.label or one.arm.name), body))
    return tag("section", tag("h2", "One by one"), widgets.tabs("Challenger", tabs, group="each"), cls="tf-part")


# --- what it rests on ------------------------------------------------------------------------------------------------------


def exports(taken: Files, name: str) -> Html:
    """The files, as links that carry them."""
    return tag(
        "p",
        tag("span", "Take it with you:", cls="tf-remark"),
        _download("Votes (JSON)", f"votes-{name}.json", "application/json", taken.votes_json),
        _download("Votes (CSV)", f"votes-{name}.csv", "text/csv", taken.votes_csv),
        _download("Answers (CSV)", f"answers-{name}.csv", "text/csv", taken.answers_csv),
        cls="tf-exports",
    )


def _download(label: str, name: str, kind: str, text: str) -> Html:
    """A link that carries its own file: nothing is fetched and nothing is stored."""
    href = f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
    return tag("a", widgets.icon("file"), tag("span", label), href=href, download=name, cls="tf-button tf-quiet")


def basis(now: Verdict, session: SessionState, compared_on: Html | str) -> Html:
    """Who judged what, on what, how sure, how blind."""
    people = "1 person" if now.n_raters == 1 else f"{now.n_raters:,} people"
    votes = "1 vote" if now.n_votes == 1 else f"{now.n_votes:,} votes"
    several = now.challengers > 1
    pairs: list[tuple[str, object]] = [
        ("who", f"{people}, {votes}"),
        ("prompts", _prompts(now, session)),
        ("on", compared_on),
    ]
    if several and now.record is not None:
        arms = (plain(arm.label or arm.name) for arm in now.record.arms)
        pairs.insert(0, ("compared", ", ".join(arms)))
    pairs.append(("evidence", _evidence(now)))
    if shares := _shares(now):
        pairs.append(("also", shares))
    if said := _blind_words(now):
        pairs.append(("blind", said))
    return tag("section", tag("h2", "What this rests on"), widgets.sheet(widgets.facts(pairs)), cls="tf-part tf-basis")


def _evidence(now: Verdict) -> str:
    if now.challengers == 1:
        return f"{now.odds} against “no difference”; {now.threshold:,.0f} : 1 settles it"
    each = (f"{one.verdict.odds} for {plain(one.arm.label or one.arm.name)}" for one in now.checkpoints)
    return f"{', '.join(each)}, each against “no difference”; {now.threshold:,.0f} : 1 settles one"


def _prompts(now: Verdict, session: SessionState) -> str:
    if now.challengers > 1:
        return f"{session.closed_pairs:,} rated of {session.pairs:,}, counted once for each two that are compared"
    said = f"{now.n_rated:,} rated of {session.pairs:,}"
    ties = now.n_items - now.n_rated
    if ties:
        said += f", and {ties:,} on which both models gave the same answer"
    return said


def _shares(now: Verdict) -> str:
    said: list[str] = []
    if now.tie_share:
        said.append(f"{percent(now.tie_share)} of votes said equally good")
    if now.both_bad_share:
        said.append(f"{percent(now.both_bad_share)} said both bad")
    if now.n_skipped:
        said.append(f"{now.n_skipped:,} skipped")
    return ", ".join(said)


def _blind_words(now: Verdict) -> str:
    blinding = now.blinding
    asked = blinding.right + blinding.wrong + blinding.unsure
    if not asked or blinding.index is None:
        return ""
    which = "which side was tuned" if now.challengers == 1 and now.challenger == "tuned" else "which side was whose"
    return (
        f"Asked at the end {which}: {blinding.right:,} right, {blinding.wrong:,} wrong, {blinding.unsure:,} could not tell "
        f"(blinding index {blinding.index:.2f}; 0 is blind, 1 means everybody knew)."
    )


# --- folds -----------------------------------------------------------------------------------------------------------------


#: The view of the page in which it says how many prompts a verdict takes: a second's work, so only for who asks.
PLAN: Final = "plan"


def folded(measures: Sequence[Measure], now: Verdict, session: SessionState, *, again: bool, view: str = "") -> Html:
    """Measures, drawers, planning, and how to compute it again. Several challengers have their drawers one by one."""
    names = {one.label: one.name for one in session.raters}
    return tag(
        "section",
        tag("h2", "Details"),
        _measured(measures) if measures else None,
        reference_drawer.drawer(now, names) if now.challengers == 1 else None,
        _again(session.id) if again else None,
        _planning(now, view) if session.open else None,
        cls="tf-part tf-details",
    )


def _measured(measures: Sequence[Measure]) -> Html:
    why = "These numbers compare texts with your data. Whether people prefer the answers is said above."
    return widgets.more("What a program can count", tag("p", why), measures_table.table(measures), keep="verdict-measures")


def _planning(now: Verdict, view: str) -> Html:
    if view != PLAN:
        ask = widgets.button("How many prompts does it take?", "view", value=PLAN, phase="Computing", kind="quiet")
        return tag("p", ask, cls="tf-ask-plan")
    # In tenths: more would promise too much, and each share costs a second to compute.
    share = min(0.9, round(_tied(now), 1))
    planned = plan_session(now.cap, tie_share=share, challengers=now.challengers)
    ties = f"This takes ties on {100 * share:.0f} % of the prompts for granted, about as many as there are so far."
    return reference_drawer.planning(planned, ties)


def _tied(now: Verdict) -> float:
    return now.leaned_even / now.n_items if now.n_items else 0.0


def _again(session_id: str) -> Html:
    return widgets.more(
        "Compute it again from the file",
        tag("p", "Save Votes (JSON), then run this in the terminal. It gives the same numbers."),
        tag("pre", f"tuning-fork verdict votes-{session_id}.json", cls="tf-sample"),
        keep="verdict-again",
    )
