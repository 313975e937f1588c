"""Step 5, *Compare*: all who are compared answer the same prompts, and then people judge without knowing who wrote what.

Guarantees: what is compared, and on what terms, is said before anybody rates; the automatic measures are folded until then;
nothing on this page tells a rater which side is which; the page only reads, except for the act that was pressed. Who takes part
is chosen in ``compare_choose``, what came back is in ``compare_sides`` and ``changed_rows``, options in ``session_form``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import gradio as gr

from studio.compare import generate
from studio.compare.blind import SessionState
from studio.compare.generate import CompareSettings, Plan
from studio.compare.verdict import FEWEST_PROMPTS
from studio.errors import NotFoundError
from studio.store import Job
from wizards import changed_rows, compare_asked, compare_choose, compare_sides, judging, measures_table, session_form, widgets
from wizards.compare_asked import Asked, Bring
from wizards.compare_reading import Screen, screen
from wizards.compare_sides import every
from wizards.draft import Draft
from wizards.shell import Action, Context, Once, Said, StepParts, Visit
from wizards.widgets import Html, tag

_PULSE: Final = 1_000
_PULSE_RATING: Final = 3_000
_AT_WORK: Final = frozenset({"queued", "starting", "running", "stopping"})


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The step as markup, unless something is being put together (see ``compare_choose``)."""
    if now.job is None or now.plan is None:
        return _before(now)
    if now.complete:
        return _ready(now, now.plan, now.job) if now.session is None else _rating(now, now.plan, now.job, now.session)
    return _answering(now, now.plan, now.job)


def _before(now: Screen) -> Html:
    if now.run_job.ended and now.run.sampler_path:
        return widgets.join(
            (
                widgets.title(
                    "Did it help?",
                    "Both models answer the prompts that were held out. Then you judge, without knowing which is which.",
                ),
                tag(
                    "div",
                    widgets.button("Let both models answer", "begin", kind="primary", sign="arrow", phase="Asking both models"),
                    widgets.button("Compare more, or on other prompts", "ask", phase="Looking what there is"),
                    cls="tf-acts",
                ),
            )
        )
    teach = (
        "There is nothing to compare until the training has ended and saved its result."
        if not now.run_job.ended
        else "This run ended before it saved a model that could answer. Resume it, or start a new one."
    )
    back = widgets.button("Go to the training", "train", kind="primary")
    return widgets.join((widgets.title("Compare"), widgets.empty("The tuned model is not there yet", teach, back)))


def _answering(now: Screen, plan: Plan, job: Job) -> Html:
    sides = compare_sides.progress(plan, now.answered, job)
    if job.status not in _AT_WORK:
        again = widgets.button("Ask again", "again", kind="primary", sign="undo", phase="Asking the models")
        trouble = widgets.notice(
            job.reason or f"Answering is {job.status}.",
            where=f"{job.done:,} of {job.total:,} answers are stored" if job.total else "",
            next_step=job.next_step or "The answers that are there are kept. Ask again to get the rest.",
            state="quiet" if job.status == "stopped" else "bad",
        )
        head = widgets.title("Not all answers are there")
        other = widgets.button("Compare something else", "ask", kind="quiet")
        acts = tag("div", again, other, cls="tf-acts")
        return widgets.join((head, trouble, acts, sides, _terms(now, plan, job), _others(now)))
    label = f"{job.done:,} of {job.total:,} answers" if job.total else f"Now: {_phase(job)}"
    whole = every(plan)
    return widgets.join(
        (
            widgets.title(
                f"{whole[0].upper()}{whole[1:]} are answering",
                "The same prompts, the same terms. Then you judge, without knowing which is which.",
            ),
            tag("div", widgets.meter(job.done, job.total, label), cls="tf-wait"),
            tag("p", f"Now: {_phase(job)}. You can close this page; it goes on.", cls="tf-remark") if job.total else None,
            sides,
            tag("div", widgets.button("Stop", "stop", phase="Asking it to stop"), cls="tf-acts")
            if job.status != "stopping"
            else None,
            _terms(now, plan, job),
            widgets.heartbeat(_PULSE),
        )
    )


def _phase(job: Job) -> str:
    return {"waiting": "waiting for its turn", "starting": "starting", "": "starting"}.get(job.phase, job.phase)


def _ready(now: Screen, plan: Plan, job: Job) -> Html:
    offered = now.offered
    if offered is None:
        return widgets.join(
            (
                widgets.title(
                    f"{every(plan)[0].upper()}{every(plan)[1:]} say the same",
                    f"They gave the same answer to all {now.told.prompts:,} prompts, so there is nothing to rate.",
                ),
                widgets.notice(
                    "The training changed nothing that shows in an answer.",
                    next_step="Train longer, or with more or different examples, and compare again.",
                    state="warn",
                ),
                _measures(now, plan, rated=True),
                _terms(now, plan, job),
                _others(now),
            )
        )
    pairs = "1 pair of answers" if now.told.pairs == 1 else f"{now.told.pairs:,} pairs of answers"
    several = f" from {len(plan.arms)} sides" if len(plan.arms) > 2 else ""
    lead = f"You see {pairs}{several}, one pair at a time, and say which answer is better. "
    return widgets.join(
        (
            widgets.title("Now you judge", f"{lead}Who wrote what stays sealed until you are done.")
            if not now.looked
            else widgets.title(
                "Let others judge", f"{pairs[0].upper()}{pairs[1:]}{several}. Whoever you invite sees no names."
            ),
            _first_acts(now),
            session_form.part(offered, now.view),
            _terms(now, plan, job),
            _measures(now, plan, rated=False),
            changed_rows.part(now.rows),
            _others(now),
        )
    )


def _first_acts(now: Screen) -> Html:
    if now.looked:
        remark = "You have looked at who answered what, so you have no seat here: your votes would not be blind."
        acts = (
            widgets.button("Invite somebody", "invite", kind="primary", phase="Making a link"),
            session_form.door(now.view),
        )
    else:
        few = now.told.to_rate < FEWEST_PROMPTS
        needed = f"A verdict needs at least {FEWEST_PROMPTS} prompts"
        remark = f"{needed}{f'; these are {now.told.to_rate}, so this will be a trial' if few else ''}. "
        remark += "Each vote is saved at once: you can stop and come back."
        acts = (
            widgets.button("Start rating", "rate", kind="primary", sign="arrow", phase="Opening your rating page"),
            widgets.button("Invite somebody else", "invite", phase="Making a link"),
            session_form.door(now.view),
        )
    return widgets.join((tag("div", *acts, cls="tf-acts"), tag("p", remark, cls="tf-remark tf-under-acts")))


def _rating(now: Screen, plan: Plan, job: Job, session: SessionState) -> Html:
    own = judging.own_seat(session)
    heading, lead = _rating_words(session)
    return widgets.join(
        (
            widgets.title(heading, lead),
            _rating_acts(session, looked=now.looked),
            tag("section", tag("h2", "Who rates"), judging.raters_table(session), cls="tf-part") if session.raters else None,
            _terms(now, plan, job),
            _measures(now, plan, rated=own is None and session.votes > 0),
            changed_rows.part(now.rows),
            _others(now),
            # Rows that are read should not be drawn anew under the eyes.
            widgets.heartbeat(_PULSE_RATING) if not session.ended and now.rows.state != "open" else None,
        )
    )


def _rating_acts(session: SessionState, *, looked: bool) -> Html:
    """What leads on comes first: one's own pairs while there are any, then the verdict."""
    own = judging.own_seat(session)
    seated = any(one.is_owner for one in session.raters)
    acts: list[Html] = []
    if own is not None:
        acts.append(judging.seat_door(session.id, "Continue rating" if own.done else "Start rating"))
    elif session.open and not seated and not looked:
        first = not session.votes
        label, kind = ("Start rating", "primary") if first else ("Rate yourself", "secondary")
        acts.append(widgets.button(label, "rate", kind=kind, sign="arrow" if first else "", phase="Opening your rating page"))
    if own is None and (session.votes or not session.open):
        acts.insert(0, widgets.button("See the verdict", "verdict", kind="primary", sign="arrow"))
    if session.open:
        acts.append(widgets.button("Invite somebody else", "invite", phase="Making a link"))
    if own is not None:
        acts.append(widgets.button("Go to the verdict", "verdict", kind="quiet"))
    return tag("div", *acts, cls="tf-acts")


def _rating_words(session: SessionState) -> tuple[str, str]:
    if session.ended:
        return "The rating is done", "The answers are open now, and the verdict is in."
    if session.status == "paused":
        return (
            "The rating is paused",
            f"{session.pairs:,} pairs. No votes are taken until it goes on; the verdict's page resumes it.",
        )
    if not session.votes:
        return "The session is open", f"{session.pairs:,} pairs wait to be rated. Nobody has begun yet."
    return "The rating goes on", f"{session.pairs:,} pairs. Each vote is saved the moment it is made."


def _terms(now: Screen, plan: Plan, job: Job) -> Html:
    return compare_sides.terms(plan, job, now.told, now.stamped)


def _measures(now: Screen, plan: Plan, *, rated: bool) -> Html | None:
    found = [(label, measures) for label, measures in now.measures if measures]
    if not found:
        return None
    note = (
        "These numbers compare texts with your data. Whether people prefer the answers is the verdict's business."
        if rated
        else "Rate first, if you can: what a program counts tells which model did better, and expectations colour votes."
    )
    several = len(found) > 1
    alone = "Each difference (95 %) stands alone: of twenty that are nothing, one looks like something."
    whole = measures_table.overview(found, plan.reference.label) if several else measures_table.table(found[0][1])
    return widgets.more(
        "What a program can count",
        tag("p", note),
        tag("p", alone) if several else None,
        whole,
        compare_sides.giveaways_table(plan, now.told),
        keep="compare-measures",
    )


def _others(now: Screen) -> Html:
    """The way to another comparison: a new one, or one that was made before."""
    rows = (
        tag(
            "li",
            tag(
                "button",
                widgets.icon("fork"),
                tag("span", told),
                type="button",
                cls="tf-earlier-row",
                data_pick="comparison",
                data_value=comparison,
            ),
        )
        for comparison, told in now.earlier
    )
    new = widgets.button("Compare more, or on other prompts", "ask", phase="Looking what there is")
    listed = tag("ul", *rows, cls="tf-earlier") if now.earlier else None
    return tag("section", tag("h2", "Other comparisons of this run"), listed, tag("div", new, cls="tf-acts"), cls="tf-part")


def missing(run_id: str) -> Html:
    """There is no such run here."""
    what = "This run is not in this studio" if run_id else "No run yet"
    teach = (
        "Its address may be from another computer."
        if run_id
        else "Train a model first; then both models answer the same prompts."
    )
    act = widgets.button("Start from your goal", "goal", kind="primary")
    return widgets.join((widgets.title("Compare"), widgets.empty(what, teach, act)))


# --- acts ------------------------------------------------------------------------------------------------------------------


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """What each press on this step does. Raises what the domain raises; the frame shows it."""
    match said.name:
        case "begin":
            return _begin(ctx, visit)
        case "again":
            return _again(ctx, visit)
        case "stop":
            place = judging.place_of(ctx.store, visit.draft, visit.owner)
            if place.comparison is not None:
                ctx.supervisor.stop(place.comparison.id)
            return visit.draft
        case "rate":
            return judging.take_seat(ctx, visit)
        case "invite":
            return judging.invite_guest(ctx, visit)
        case "verdict":
            return judging.placed(ctx, visit).at("verdict")
        case _:
            return _moved(visit.draft, said) or _pressed_in_a_part(ctx, visit, said)


def _moved(draft: Draft, said: Said) -> Draft | None:
    """A press that only leads elsewhere; ``None`` for any other."""
    match said.name:
        case "ask":
            return replace(draft, view=Asked().to_view())
        case "usual":
            return replace(draft, view="")
        case "comparison":
            return replace(draft, comparison=said.value, session="", view="")
        case "train":
            return draft.at("train")
        case "goal":
            return Draft()
        case _:
            return None


def _pressed_in_a_part(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """A press in what is put together, in the session's options, or among the rows that changed."""
    asked = Asked.from_view(visit.draft.view)
    if asked is not None:
        return compare_asked.pressed(ctx, visit, asked, said) or visit.draft
    if said.name not in (session_form.FORM, session_form.DOOR, *changed_rows.PICKS):
        return visit.draft
    now = screen(ctx, visit)
    done = session_form.pressed(ctx, visit, said, now.offered) or changed_rows.pressed(ctx, visit, said, now.rows)
    return done or visit.draft


def _begin(ctx: Context, visit: Visit) -> Draft:
    """Ask everybody: the usual two on the held-out rows, or whoever was chosen. Raises as ``start_comparison`` does."""
    asked = Asked.from_view(visit.draft.view)
    if asked is None:
        return judging.begin(ctx, visit)
    comparison = generate.start_comparison(
        ctx.settings,
        ctx.store,
        visit.draft.run,
        visit.owner,
        CompareSettings(learned=asked.learned),
        others=asked.others(ctx.settings),
        prompts=asked.source(ctx.settings),
    )
    ctx.supervisor.submit(comparison.id)
    return replace(visit.draft, comparison=comparison.id, session="", view="")


def _again(ctx: Context, visit: Visit) -> Draft:
    """Get the answers that are missing. The usual comparison is asked for anew: its seals may have been renewed since."""
    place = judging.place_of(ctx.store, visit.draft, visit.owner)
    if place.comparison is None:
        return judging.begin(ctx, visit)
    plan = Plan.of(place.comparison)
    if len(plan.arms) == 2 and plan.source.kind == "held_out":
        return judging.begin(ctx, visit)
    ctx.supervisor.resume(place.comparison.id)
    return replace(visit.draft, comparison=place.comparison.id)


def build(ctx: Context) -> StepParts:
    """Three panels with a place for a file between each two; see ``shell`` for how they are plugged in."""
    first = widgets.panel()
    answers_zone, answers_file = _zone("tf-compare-answers")
    second = widgets.panel()
    list_zone, list_file = _zone("tf-compare-file")
    third = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        try:
            now = screen(ctx, visit)
        except NotFoundError:
            return _drawn(missing(visit.draft.run))
        chosen = now.choosing
        if chosen is None:
            return _drawn(html(now))
        listing = chosen.asked.on == "list" and chosen.asked.listed is None
        return (
            compare_choose.who(chosen),
            gr.update(visible=chosen.asked.bring == "answers"),
            gr.update(value=None),
            compare_choose.what(chosen),
            gr.update(visible=listing),
            gr.update(value=None),
            compare_choose.last(chosen),
        )

    def run(visit: Visit, said: Said) -> Draft | Once:
        return pressed(ctx, visit, said)

    def took(what: Bring) -> Callable[..., Draft]:
        def take(visit: Visit, _: Said, path: str | None) -> Draft:
            asked = Asked.from_view(visit.draft.view)
            if path is None or asked is None:
                return visit.draft
            return compare_asked.brought(ctx, visit, asked, Path(path), what)

        return take

    actions = [Action(panel.pick, run) for panel in (first, second, third)]
    actions.append(Action(first.edit, run))
    actions.append(Action(answers_file.upload, took("answers"), inputs=(answers_file,), phase="Reading the answers"))
    actions.append(Action(list_file.upload, took("list"), inputs=(list_file,), phase="Reading your prompts"))
    return StepParts(
        outputs=(first, answers_zone, answers_file, second, list_zone, list_file, third),
        show=show,
        actions=tuple(actions),
        ticking=(first,),
    )


def _zone(name: str) -> tuple[gr.Column, gr.File]:
    with gr.Column(elem_classes="tf-drop tf-compare-drop", visible=False) as zone:
        upload = gr.File(label="A file", show_label=False, file_count="single", type="filepath", elem_id=name, height=120)
    return zone, upload


def _drawn(panel: Html) -> tuple[object, ...]:
    """The first panel alone."""
    hidden = gr.update(visible=False)
    return (panel, hidden, gr.skip(), "", hidden, gr.skip(), "")
