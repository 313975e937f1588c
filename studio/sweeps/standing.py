"""How a sweep stands: its trials with their numbers and curves, what it has cost, which is best and by how much.

Guarantees: nothing is written; only finished trials can be best; the sentence says how far ahead the best is, and that one run
with each settings does not tell a small lead from luck.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from studio.recipe import Value, spec_of
from studio.runs import files, progress
from studio.runs.metrics import Point
from studio.settings import Settings
from studio.store import Store, SweepRow, TrialRow
from studio.store import TrialState as State
from studio.sweeps.plan import Aim, Plan


@dataclass(frozen=True, slots=True)
class TrialView:
    """One trial. ``points`` is its curve of the aim's series; ``steps`` of ``total`` are done; ``cost`` is in US dollars."""

    number: int
    run_id: str
    settings: Mapping[str, Value]
    state: State
    value: float | None
    reason: str
    points: tuple[Point, ...]
    steps: int
    total: int
    cost: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A sweep as it stands. ``cost`` is ``None`` where a price is not known; ``best`` is a trial's number.

    ``told`` says what is best, ``caution`` how far that can be trusted.
    """

    plan: Plan
    trials: tuple[TrialView, ...]
    best: int | None
    told: str
    caution: str
    note: str
    cost: float | None

    @property
    def sentence(self) -> str:
        """What is best, and how far that can be trusted."""
        return f"{self.told} {self.caution}".strip()

    def trial(self, number: int) -> TrialView:
        """The trial of this number. Raises ``LookupError``."""
        return next(one for one in self.trials if one.number == number)

    @property
    def best_settings(self) -> Mapping[str, Value] | None:
        """What the best trial was made with; ``None`` while none is finished."""
        return None if self.best is None else self.trial(self.best).settings


def read(settings: Settings, store: Store, sweep: SweepRow) -> Standing:
    """The sweep as its trials' files and the store say it is."""
    plan = Plan.from_json(sweep.plan_json)
    views = tuple(view(settings, store, plan, trial) for trial in store.sweeps.trials(sweep.id))
    costs = [one.cost for one in views]
    known = [cost for cost in costs if cost is not None]
    best = _ranked(plan.aim, views)
    return Standing(
        plan, views, best[0].number if best else None, *_sentence(plan, best), sweep.note,
        sum(known) if len(known) == len(costs) else None,
    )  # fmt: skip


def view(settings: Settings, store: Store, plan: Plan, trial: TrialRow) -> TrialView:
    """One trial with what its run has measured so far; a trial whose run is not made yet has measured nothing."""
    values: dict[str, Any] = json.loads(trial.settings_json)
    job = store.jobs.find(trial.run_id)
    if job is None:
        return TrialView(trial.number, trial.run_id, values, trial.state, None, trial.reason, (), 0, 0, 0.0)
    found = progress.read(files.folder_of(settings, job), job, log_lines=0)
    main = found.stages[-1]
    points = tuple(found.series.get(plan.aim.series, ()))
    return TrialView(
        trial.number, trial.run_id, values, trial.state, trial.value, trial.reason, points, main.step, main.total, found.cost
    )


def number_of(points: Sequence[Point]) -> float | None:
    """What a finished trial is judged by: its last check, which is that of the weights that are kept."""
    return points[-1].value if points and math.isfinite(points[-1].value) else None


def shown(values: Mapping[str, Value]) -> str:
    """Settings as a person reads them: "learning rate 0.001, LoRA rank 8"."""
    return ", ".join(f"{spec_of(name).term} {spec_of(name).show(value)}" for name, value in values.items())


Trial = TypeVar("Trial", TrialRow, TrialView)


def best_of(plan: Plan, trials: Sequence[TrialRow]) -> TrialRow | None:
    """The best of the finished trials, from the store alone: cheap enough for a list of many sweeps."""
    ranked = _ranked(plan.aim, trials)
    return ranked[0] if ranked else None


def _ranked(aim: Aim, views: Sequence[Trial]) -> list[Trial]:
    """The finished trials, best first; of equals the earlier."""
    finished = [one for one in views if one.state == "completed" and one.value is not None]
    return sorted(finished, key=lambda one: (-(one.value or 0.0) if aim.up else (one.value or 0.0), one.number))


def _sentence(plan: Plan, ranked: Sequence[TrialView]) -> tuple[str, str]:
    """What is best, and how far that can be trusted."""
    if not ranked:
        return "No trial is finished yet, so there is nothing to choose.", ""
    aim, best = plan.aim, ranked[0]
    told = f"Trial {best.number} is best so far: {shown(best.settings)}, with a {aim.words} of {aim.show(best.value)}."
    if len(ranked) == 1:
        return told, "It is the only one that is finished."
    second = ranked[1]
    if best.value == second.value:
        return told, f"Trial {second.number} did exactly as well, so nothing decides between them. {_edge(plan, best)}".strip()
    lead = abs((best.value or 0.0) - (second.value or 0.0))
    ahead = f"The second, trial {second.number}, has {aim.show(second.value)}: a lead of {aim.show(lead)}."
    luck = "Each was run once with one seed, so a small lead may be luck."
    chosen = "The best of several also looks a little better on these rows than it is; compare it on the test rows."
    short = "Runs this short favour larger rates than a long run wants." if plan.kind == "probe" else ""
    return told, " ".join(filter(None, [ahead, luck, chosen, short, _edge(plan, best)]))


def _edge(plan: Plan, best: TrialView) -> str:
    """A hint where the best learning rate is the smallest or largest of those tried: a better one may lie beyond."""
    for axis in plan.axes:
        value = best.settings[axis.name]
        if axis.name == "learning_rate" and len(axis.numbers) > 1 and value in (min(axis.numbers), max(axis.numbers)):
            side = "larger" if value == max(axis.numbers) else "smaller"
            return f"It is at the edge of what was tried: a {side} learning rate may be better still."
    return ""
