"""The process that carries out one sweep: ``python -m studio.sweeps.job --home DIR --job ID``.

Guarantees: one trial at a time, each an ordinary run that the supervisor trains; a trial is on disk before its run is made, so
that none is made twice; no trial is begun that could pass a limit; a stop reaches the trial that runs, and what it learned is
kept; the next process goes on with that very trial.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Final

from studio import data
from studio.errors import SettingError
from studio.recipe import DataFacts, facts_of
from studio.runs.desk import Desk, StopAsked, at_desk, leave
from studio.runs.launch import create_run
from studio.runs.supervisor import Supervisor, can_resume
from studio.store import Job, SweepRow, TrialRow, checked_id
from studio.sweeps import price, standing
from studio.sweeps.plan import Plan
from studio.sweeps.search import Tried, hopeless, path_of, propose
from studio.sweeps.standing import TrialView

_LOOK_SECONDS: Final = 0.5
_BEHIND: Final = "The sweep stopped it: it was clearly behind the trials before it."
_WITH_SWEEP: Final = "It was stopped together with its sweep."


def main() -> int:
    """Carry out the sweep named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("sweep", _work)


def _work(desk: Desk) -> None:
    # Its own supervisor: the trials go on when the studio that started the sweep is closed.
    supervisor = Supervisor(desk.settings, desk.store)
    try:
        Sweep(desk, supervisor).carry_out()
    finally:
        supervisor.close()


class Sweep:
    """One sweep at work."""

    def __init__(self, desk: Desk, supervisor: Supervisor) -> None:
        self._desk = desk
        self._supervisor = supervisor
        self._row: SweepRow = desk.store.sweeps.get(desk.job.id, desk.job.owner)
        self._plan = Plan.from_json(self._row.plan_json)
        self._facts: DataFacts = facts_of(data.load(desk.settings.datasets / checked_id(self._row.dataset_id)))

    def carry_out(self) -> None:
        """Make every trial that is left. Raises ``StopAsked`` after the running trial has saved."""
        store = self._desk.store.sweeps
        store.note(self._row.id, "")
        while True:
            self._desk.check()
            rows = store.trials(self._row.id)
            unfinished = next((row for row in rows if row.state == "running"), None)
            views = [self._view(row) for row in rows if row is not unfinished]
            tried = [_tried(view) for view in views]
            self._desk.progress(len(tried), self._plan.most)
            trial = unfinished or self._next(tried, views)
            if trial is None:
                break
            self._attend(trial, tried, views)
        self._desk.progress(self._plan.most, self._plan.most)

    def _view(self, row: TrialRow) -> TrialView:
        return standing.view(self._desk.settings, self._desk.store, self._plan, row)

    def _next(self, tried: list[Tried], views: list[TrialView]) -> TrialRow | None:
        """The next trial, written down; ``None`` when nothing is left or a limit is reached."""
        store = self._desk.store.sweeps
        values = propose(self._plan, tried)
        if values is None:
            if len(tried) < self._plan.most:
                store.note(self._row.id, f"Everything in these ranges was tried after {len(tried)} trials.")
            return None
        left, most = self._left(views), self._most(values)
        if left is not None and (most is None or most > left):
            text = f"The next trial could pass the limit of {self._plan.max_cost:,.2f} USD, so it was not begun."
            store.note(self._row.id, text)
            self._desk.say(text)
            return None
        return store.add_trial(self._row, json.dumps(values, allow_nan=False))

    def _left(self, views: list[TrialView]) -> float | None:
        """US dollars that may still be spent; ``None`` without a limit. A cost that is not known leaves nothing."""
        if self._plan.max_cost is None:
            return None
        costs = [view.cost for view in views]
        known = [cost for cost in costs if cost is not None]
        return self._plan.max_cost - sum(known) if len(known) == len(costs) else -1.0

    def _most(self, values: dict[str, str | int | float | None]) -> float | None:
        found = price.of_trial(self._plan, values, self._facts, self._desk.settings.home)
        return None if found is None else found.high_usd

    def _attend(self, trial: TrialRow, tried: list[Tried], views: list[TrialView]) -> None:
        """See one trial to its end and record it."""
        try:
            job = self._begin(trial, views)
        except SettingError as error:
            self._desk.store.sweeps.end_trial(trial, "failed", None, f"{error.what} {error.next_step}".strip())
            return
        while not job.ended:
            self._desk.phase(f"trial {trial.number}: {'waiting for another run' if job.status == 'queued' else 'training'}")
            if self._desk.stopping:
                self._stop_trial(trial, _WITH_SWEEP)
                raise StopAsked(f"{len(tried)} of at most {self._plan.most} trials are finished.")
            if self._plan.prune and job.live and self._is_hopeless(trial, tried):
                job = self._stop_trial(trial, _BEHIND)
                if job.status == "stopped":
                    self._end(trial, job, pruned=True)
                    return
                continue
            time.sleep(_LOOK_SECONDS)
            self._supervisor.tick()
            job = self._desk.store.jobs.get(trial.run_id)
        if self._desk.stopping and job.status == "stopped":
            raise StopAsked(f"{len(tried)} of at most {self._plan.most} trials are finished.")
        self._end(trial, job)

    def _begin(self, trial: TrialRow, views: list[TrialView]) -> Job:
        """The trial's job, at work or in the queue: made now, or found where an earlier process of this sweep left it."""
        desk = self._desk
        job = desk.store.jobs.find(trial.run_id)
        if job is None:
            values = json.loads(trial.settings_json)
            recipe = self._plan.recipe_of(values, self._facts.train_rows)
            left = self._left(views)
            if left is not None and self._most(values):
                recipe = replace(recipe, budget_usd=left if recipe.budget_usd is None else min(left, recipe.budget_usd))
            create_run(
                desk.settings, desk.store, dataset_id=self._row.dataset_id, recipe=recipe,
                name=f"{self._row.name}, trial {trial.number}", owner=desk.job.owner, run_id=trial.run_id,
            )  # fmt: skip
            desk.say(f"trial {trial.number} is {trial.run_id}: {standing.shown(values)}")
        elif can_resume(job) and job.status != "failed":
            self._supervisor.resume(trial.run_id)
        return self._supervisor.submit(trial.run_id)

    def _is_hopeless(self, trial: TrialRow, tried: list[Tried]) -> bool:
        view = self._view(trial)
        path = path_of(view.points, view.total)
        return bool(path) and hopeless(self._plan, tried, view.settings, path)

    def _stop_trial(self, trial: TrialRow, why: str) -> Job:
        """Stop the trial's run and wait until it has saved; its supervisor ends one that does not listen."""
        job = self._supervisor.stop(trial.run_id, why)
        while not job.ended:
            time.sleep(_LOOK_SECONDS)
            self._supervisor.tick()
            job = self._desk.store.jobs.get(trial.run_id)
        return job

    def _end(self, trial: TrialRow, job: Job, *, pruned: bool = False) -> None:
        """Record how the trial ended, with its number where it has one."""
        value = standing.number_of(self._view(trial).points)
        ends = self._desk.store.sweeps.end_trial
        if pruned:
            ends(trial, "pruned", value, _BEHIND)
        elif job.status == "completed" and value is not None:
            ends(trial, "completed", value)
        elif job.status == "completed":
            ends(trial, "failed", None, f"It ended without a {self._plan.aim.words}.")
        else:
            ends(trial, "stopped" if job.status == "stopped" else "failed", value, job.reason)
        self._desk.say(f"trial {trial.number}: {job.status}, {self._plan.aim.words} {self._plan.aim.show(value)}")


def _tried(view: TrialView) -> Tried:
    return Tried(view.settings, view.state, view.value, path_of(view.points, view.total))


if __name__ == "__main__":
    leave(main())
