"""What the step *Compare* knows when it is drawn: the run, its answers as far as they are, and the session over them.

Guarantees: reads and changes nothing; what is counted in answers is counted once, because complete answers never change; who
still rates is recognised, so that nothing tells them which side is which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from studio.compare import blind, generate
from studio.compare.blind import SessionState
from studio.compare.generate import Plan
from studio.compare.looked import has_looked
from studio.compare.measures import Measure
from studio.compare.overlap import words
from studio.store import ComparisonRow, Job, RunRow, Store
from wizards import changed_rows, compare_choose, compare_sides, judging
from wizards.compare_asked import Asked
from wizards.compare_sides import Told
from wizards.session_form import Offered
from wizards.shell import Context, Visit

_NOTHING_TOLD = Told()
_NO_ROWS = changed_rows.Screen("locked")


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the step shows. ``job`` and ``plan`` are ``None`` until somebody asked for answers.

    ``choosing`` is what is put together instead; ``earlier`` are the other comparisons of this run as id and words.
    """

    run: RunRow
    run_job: Job
    job: Job | None = None
    plan: Plan | None = None
    answered: Mapping[str, int] = field(default_factory=dict[str, int])
    told: Told = _NOTHING_TOLD
    stamped: int = 0
    measures: tuple[tuple[str, tuple[Measure, ...]], ...] = ()
    session: SessionState | None = None
    looked: bool = False
    rows: changed_rows.Screen = _NO_ROWS
    earlier: tuple[tuple[str, str], ...] = ()
    view: str = ""
    choosing: compare_choose.Screen | None = None

    @property
    def complete(self) -> bool:
        """Whether all have answered everything."""
        return self.job is not None and self.job.status == "completed"

    @property
    def offered(self) -> Offered | None:
        """What a session could be about; ``None`` while there is nothing to rate."""
        if not self.told.to_rate:
            return None
        challengers = len(self.told.matches)
        return Offered(self.told.to_rate, challengers, self.told.words, self.told.references, self.told.pairs)


def screen(ctx: Context, visit: Visit) -> Screen:
    """Read it all. Raises ``NotFoundError`` when the run is not this owner's."""
    store, draft, owner = ctx.store, visit.draft, visit.owner
    run = store.runs.get(draft.run, owner)
    run_job = store.jobs.get(run.id)
    place = judging.place_of(store, draft, owner)
    asked = Asked.from_view(draft.view)
    if asked is not None and run_job.ended and run.sampler_path:
        return Screen(run, run_job, choosing=compare_choose.read(ctx, visit, run, asked))
    if place.comparison is None:
        return Screen(run, run_job)
    job, plan = store.jobs.get(place.comparison.id), Plan.of(place.comparison)
    now = Screen(run, run_job, job, plan, earlier=_earlier(store, place.comparison, owner), view=draft.view)
    if job.status != "completed":
        return replace(now, answered=store.comparisons.answered(job.id))
    session = blind.state(store, place.session.id, owner) if place.session else None
    seated = [one for one in session.raters if one.is_owner] if session else []
    over = session is not None and (not session.open or any(one.revealed for one in seated))
    rating = session is not None and judging.own_seat(session) is not None
    return replace(
        now,
        told=_told(_Answers(ctx.settings.database, place.comparison, store)),
        stamped=sum(bool(one.stamp) for one in store.comparisons.prompts(job.id)),
        measures=tuple((arm.label, generate.measures(store, job.id, owner, arm.name)) for arm in plan.challengers),
        session=session,
        looked=has_looked(store, job.id, owner),
        rows=changed_rows.read(ctx, visit, place, rating=rating, over=over),
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """The answers of a complete comparison: they never change, so what is counted in them is counted once."""

    path: Path
    plan_of: ComparisonRow
    store: Store = field(compare=False, repr=False)


@lru_cache(maxsize=16)
def _told(of: _Answers) -> Told:
    answers = of.store.comparisons.answers(of.plan_of.id)
    prompts = {one.prompt_id: one for one in answers}
    counts = {prompt_id: len(words(blind.messages_of(one)[-1].content)) for prompt_id, one in prompts.items()}
    return compare_sides.told(Plan.of(of.plan_of), answers, counts)


def _earlier(store: Store, here: ComparisonRow, owner: str) -> tuple[tuple[str, str], ...]:
    """The other comparisons of the run, newest first."""
    if here.run_id is None:
        return ()
    found: list[tuple[str, str]] = []
    for row in store.comparisons.of_run(here.run_id, owner):
        plan = Plan.of(row)
        against = ", ".join(arm.label for arm in plan.arms)
        where = {"held_out": "rows set aside", "list": "a list of your own", "pack": "regression packs"}[plan.source.kind]
        if row.id != here.id:
            found.append((row.id, f"{against}; {where}; {store.jobs.get(row.id).status}"))
    return tuple(found)
