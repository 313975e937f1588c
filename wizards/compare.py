"""Step 5, *Compare*: both models answer the prompts that were held out, and then people judge without knowing who wrote what.

Guarantees: what is compared, and on what terms, is said before anybody rates; the automatic measures are folded until then;
nothing on this page tells a rater which side is which; the page only reads, except for the act that was pressed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from studio.compare import blind, generate
from studio.compare.blind import SessionState, answer_pairs
from studio.compare.giveaways import shown
from studio.compare.measures import Measure
from studio.store import Job, RunRow, Store
from wizards import judging, measures_table, widgets
from wizards.draft import Draft
from wizards.shell import Context, Once, Said, StepParts, Visit
from wizards.widgets import Html, tag

_PULSE: Final = 1_000
_PULSE_RATING: Final = 3_000
_AT_WORK: Final = frozenset({"queued", "starting", "running", "stopping"})


@dataclass(frozen=True, slots=True)
class Terms:
    """What both models are asked, and how: the same for both."""

    prompts: int
    source: str
    template: str
    temperature: float
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows. ``job`` is ``None`` until somebody asked for answers."""

    run: RunRow
    run_job: Job
    job: Job | None = None
    terms: Terms | None = None
    pairs: int = 0
    identical: int = 0
    measures: tuple[Measure, ...] = ()
    session: SessionState | None = None

    @property
    def complete(self) -> bool:
        """Whether both models have answered everything."""
        return self.job is not None and self.job.status == "completed"


def screen(store: Store, draft: Draft, owner: str) -> Screen:
    """Read it all. Raises ``NotFoundError`` when the run is not this owner's."""
    run = store.runs.get(draft.run, owner)
    run_job = store.jobs.get(run.id)
    place = judging.place_of(store, draft, owner)
    if place.comparison is None:
        return Screen(run, run_job)
    job = store.jobs.get(place.comparison.id)
    terms = _terms(job, generate.Plan.of(place.comparison))
    if job.status != "completed":
        return Screen(run, run_job, job, terms)
    pairs = answer_pairs(store.comparisons.answers(place.comparison.id))
    return Screen(
        run,
        run_job,
        job,
        terms,
        pairs=len(pairs),
        identical=sum(shown(base.text) == shown(tuned.text) for base, tuned in pairs.values()),
        measures=generate.measures(store, place.comparison.id, owner),
        session=blind.state(store, place.session.id, owner) if place.session else None,
    )


def _terms(job: Job, plan: generate.Plan) -> Terms:
    prompts = job.total // len(plan.arms) or plan.max_prompts
    return Terms(prompts, plan.source.words, plan.renderer, plan.temperature, plan.max_tokens)


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The step as markup."""
    if now.job is None:
        return _before(now)
    if now.complete:
        return _ready(now) if now.session is None else _rating(now, now.session)
    return _answering(now, now.job)


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


def _answering(now: Screen, job: Job) -> Html:
    if job.status not in _AT_WORK:
        again = widgets.button("Ask again", "begin", kind="primary", sign="undo", phase="Asking both models")
        trouble = widgets.notice(
            job.reason or f"Answering is {job.status}.",
            where=f"{job.done:,} of {job.total:,} answers are stored" if job.total else "",
            next_step="The answers that are there are kept. Ask again to get the rest.",
            state="quiet" if job.status == "stopped" else "bad",
        )
        return widgets.join(
            (widgets.title("Not all answers are there"), trouble, tag("div", again, cls="tf-acts"), _terms_sheet(now))
        )
    label = f"{job.done:,} of {job.total:,} answers" if job.total else f"Now: {_phase(job)}"
    return widgets.join(
        (
            widgets.title(
                "Both models are answering",
                "The same prompts, the same terms. Then you judge, without knowing which is which.",
            ),
            tag("div", widgets.meter(job.done, job.total, label), cls="tf-wait"),
            tag("p", f"Now: {_phase(job)}. You can close this page; it goes on.", cls="tf-remark") if job.total else None,
            tag("div", widgets.button("Stop", "stop", phase="Asking it to stop"), cls="tf-acts")
            if job.status != "stopping"
            else None,
            _terms_sheet(now),
            widgets.heartbeat(_PULSE),
        )
    )


def _phase(job: Job) -> str:
    return {"waiting": "waiting for its turn", "starting": "starting", "": "starting"}.get(job.phase, job.phase)


def _ready(now: Screen) -> Html:
    to_rate = min(now.pairs - now.identical, blind.MOST_PAIRS)
    if not to_rate:
        return widgets.join(
            (
                widgets.title(
                    "Both models say the same",
                    f"They gave the same answer to all {now.pairs:,} prompts, so there is nothing to rate.",
                ),
                widgets.notice(
                    "The training changed nothing that shows in an answer.",
                    next_step="Train longer, or with more or different examples, and compare again.",
                    state="warn",
                ),
                _measures(now, rated=True),
                _terms_sheet(now),
            )
        )
    pairs = "1 pair of answers" if to_rate == 1 else f"{to_rate:,} pairs of answers"
    return widgets.join(
        (
            widgets.title(
                "Now you judge",
                f"You see {pairs}, one pair at a time, and say which answer is better. "
                "Who wrote what stays sealed until you are done.",
            ),
            tag(
                "div",
                widgets.button("Start rating", "rate", kind="primary", sign="arrow", phase="Opening your rating page"),
                widgets.button("Invite somebody else", "invite", phase="Making a link"),
                cls="tf-acts",
            ),
            tag(
                "p",
                "A verdict needs at least 20 prompts; about ten seconds each. You can stop and come back.",
                cls="tf-remark tf-under-acts",
            ),
            _terms_sheet(now),
            _measures(now, rated=False),
        )
    )


def _rating(now: Screen, session: SessionState) -> Html:
    own = judging.own_seat(session)
    heading, lead = _rating_words(session)
    return widgets.join(
        (
            widgets.title(heading, lead),
            _rating_acts(session),
            tag("section", tag("h2", "Who rates"), judging.raters_table(session), cls="tf-part") if session.raters else None,
            _terms_sheet(now),
            _measures(now, rated=own is None and session.votes > 0),
            widgets.heartbeat(_PULSE_RATING) if not session.ended else None,
        )
    )


def _rating_acts(session: SessionState) -> Html:
    """What leads on comes first: one's own pairs while there are any, then the verdict."""
    own = judging.own_seat(session)
    seated = any(one.is_owner for one in session.raters)
    acts: list[Html] = []
    if own is not None:
        acts.append(judging.seat_door(session.id, "Continue rating" if own.done else "Start rating"))
    elif session.open and not seated:
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
    if not session.votes:
        return "The session is open", f"{session.pairs:,} pairs wait to be rated. Nobody has begun yet."
    return "The rating goes on", f"{session.pairs:,} pairs. Each vote is saved the moment it is made."


def _terms_sheet(now: Screen) -> Html | None:
    terms = now.terms
    if terms is None:
        return None
    sampling = (
        "always the most likely answer" if terms.temperature == 0 else f"temperature {terms.temperature:g}, the same seed"
    )
    pairs: list[tuple[str, object]] = [
        ("prompts", f"{terms.prompts:,} {terms.source}"),
        ("template", tag("code", terms.template)),
        ("answers", f"{sampling}; at most {terms.max_tokens:,} tokens"),
    ]
    if now.identical:
        same = "1 prompt got" if now.identical == 1 else f"{now.identical:,} prompts got"
        pairs.append(("ties", f"{same} the same answer twice. They count as ties and are not shown."))
    return tag("section", tag("h2", "The same for both models"), widgets.sheet(widgets.facts(pairs)), cls="tf-part tf-terms")


def _measures(now: Screen, *, rated: bool) -> Html | None:
    if not now.measures:
        return None
    note = (
        "These numbers compare texts with your data. Whether people prefer the answers is the verdict's business."
        if rated
        else "Rate first, if you can: what a program counts tells which model did better, and expectations colour votes."
    )
    return widgets.more("What a program can count", tag("p", note), measures_table.table(now.measures), keep="compare-measures")


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


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft | Once:
    """What each press on this step does. Raises what the domain raises; the frame shows it."""
    match said.name:
        case "begin":
            return judging.begin(ctx, visit)
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
        case "train":
            return visit.draft.at("train")
        case "goal":
            return Draft()
        case _:
            return visit.draft


def build(ctx: Context) -> StepParts:
    """One panel; see ``shell`` for how it is plugged in."""
    return judging.one_panel(
        lambda visit: html(screen(ctx.store, visit.draft, visit.owner)), missing, lambda visit, said: pressed(ctx, visit, said)
    )
