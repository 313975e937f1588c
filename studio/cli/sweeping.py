"""``probe``, ``sweep`` and ``sweeps``: several runs that differ in a few settings, and which of them came out best.

Guarantees: what it may cost is said before anything starts, and ``--cost`` starts nothing; exit status 0 means that the sweep
completed and a trial is best; Ctrl-C stops the sweep and keeps what its trials have learned.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import Any, Final

from studio import recipe
from studio.cli.output import Output
from studio.cli.training import prepared, run_arguments, until_rest
from studio.data import Dataset
from studio.errors import RunError
from studio.recipe import spec_of
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import Job, Store
from studio.sweeps import plan as plans
from studio.sweeps import price, standing
from studio.sweeps.launch import create_sweep
from studio.sweeps.plan import Plan
from studio.sweeps.standing import Standing

_PAUSE: Final = 0.5


def probe_arguments(parser: argparse.ArgumentParser) -> None:
    """``probe FILE|--sample NAME … [--steps N] [--max-cost USD] [--cost]``."""
    run_arguments(parser)
    parser.add_argument("--steps", type=int, default=plans.PROBE_STEPS, metavar="N", help="steps of each of the three runs")
    _limits(parser)


def sweep_arguments(parser: argparse.ArgumentParser) -> None:
    """``sweep FILE|--sample NAME … --over NAME=A,B [--over NAME=LOW..HIGH --tpe] [--trials N] [--max-cost USD] [--cost]``."""
    run_arguments(parser)
    parser.add_argument(
        "--over", action="append", required=True, metavar="NAME=VALUES",
        help="a setting to vary: values with commas, or with --tpe also a range LOW..HIGH; repeat for several",
    )  # fmt: skip
    parser.add_argument("--tpe", action="store_true", help="let each trial learn from those before it (Optuna's TPE)")
    parser.add_argument(
        "--trials", type=int, default=plans.DEFAULT_TRIALS, metavar="N", help="make at most N trials (default: %(default)s)"
    )
    parser.add_argument("--keep-all", action="store_true", help="let trials go on that are clearly behind")
    _limits(parser)


def sweeps_arguments(parser: argparse.ArgumentParser) -> None:
    """``sweeps [SWEEP]``."""
    parser.add_argument("sweep", nargs="?", metavar="SWEEP", help="show this one; without it all are listed")


def sweeps(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the sweeps, newest first, or show the trials of one."""
    store = Store(settings.database)
    try:
        supervisor = Supervisor(settings, store)
        supervisor.recover()
        supervisor.close()
        if asked.sweep is not None:
            row = store.sweeps.get(asked.sweep, settings.owner)
            found = standing.read(settings, store, row)
            output.result(document(row.id, store.jobs.get(row.id), found))
            _say(found, output)
            return 0
        known = [(row, store.jobs.get(row.id)) for row in store.sweeps.all(settings.owner)]
    finally:
        store.close()
    output.result(
        [
            {"sweep_id": row.id, "name": row.name, "status": job.status, "done": job.done, "total": job.total}
            | {"reason": job.reason, "created_at": row.created_at}
            for row, job in known
        ]
    )
    output.table(
        ["sweep", "name", "state"],
        [(row.id, row.name, f"{job.status}, {job.done} of {job.total} trials") for row, job in known],
    )
    if not known:
        output.say("No sweeps yet. Start one: tuning-fork probe --sample support_tickets")
    return 0


def _limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--max-cost", type=float, metavar="USD", help="the most that all trials may cost together")
    parser.add_argument("--cost", action="store_true", help="say what it may cost, and start nothing")
    parser.add_argument("--name", default="", help="a name for the sweep")


def probe(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Try a third of the recommended learning rate, the rate itself and three times it, shortly, and say which is best."""
    store = Store(settings.database)
    try:
        dataset_id, dataset, chosen = prepared(asked, settings, store)
        name = asked.name or f"{dataset.name}, learning rate"
        plan = plans.probe(chosen, asked.steps, max_cost=asked.max_cost)
        return _start(asked, settings, store, output, dataset_id, dataset, plan, name)
    finally:
        store.close()


def sweep(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Make a run for every combination, or for what TPE proposes, and say which settings are best."""
    store = Store(settings.database)
    try:
        axes = tuple(plans.parse_axis(text) for text in asked.over)
        dataset_id, dataset, chosen = prepared(asked, settings, store)
        plan = Plan(
            "tpe" if asked.tpe else "grid", chosen, axes, asked.trials, asked.max_cost, prune=not asked.keep_all,
            seed=chosen.seed,
        )  # fmt: skip
        return _start(asked, settings, store, output, dataset_id, dataset, plan, asked.name)
    finally:
        store.close()


def _start(
    asked: argparse.Namespace, settings: Settings, store: Store, output: Output, dataset_id: str, dataset: Dataset, plan: Plan,
    name: str,
) -> int:  # fmt: skip
    facts = recipe.facts_of(dataset)
    plans.check(plan, facts)
    price.check(plan, facts, settings.home)
    cost = price.of_sweep(plan, facts, settings.home)
    output.say(cost.sentence)
    if asked.cost:
        output.result({"cost": asdict(cost)})
        return 0
    row = create_sweep(settings, store, dataset_id=dataset_id, plan=plan, name=name, owner=settings.owner)
    output.say(f"Sweep {row.id}: its trials are runs, `tuning-fork runs` lists them.")
    return stay(settings, store, row.id, output)


def stay(settings: Settings, store: Store, sweep_id: str, output: Output) -> int:
    """Set the sweep going and watch it to its end; the exit status of a verb that starts one."""
    supervisor = Supervisor(settings, store)
    supervisor.submit(sweep_id)
    try:
        try:
            job = _watch(store, supervisor, sweep_id, output)
        except KeyboardInterrupt:
            output.say("Stopping; the running trial saves what it has learned. Press Ctrl-C again to leave it to itself.")
            supervisor.stop(sweep_id)
            job = until_rest(store, supervisor, sweep_id)
    finally:
        supervisor.close()
    found = standing.read(settings, store, store.sweeps.get(sweep_id, settings.owner))
    output.result(document(sweep_id, job, found))
    _say(found, output)
    if job.status == "completed" and found.best is not None:
        return 0
    if output.as_json:
        return 1
    if job.status == "completed":
        raise RunError(
            "No trial was finished, so nothing is best.", where=sweep_id, next_step="Look at the reasons of the trials above."
        )
    raise RunError(f"The sweep is {job.status}. {job.reason}".strip(), where=sweep_id, next_step=job.next_step)


def document(sweep_id: str, job: Job, found: Standing) -> dict[str, Any]:
    """The sweep as JSON: every trial with its settings, number, state and cost, and the best with its settings."""
    rows = [{name: value for name, value in asdict(trial).items() if name != "points"} for trial in found.trials]
    return {
        "sweep_id": sweep_id,
        "status": job.status,
        "reason": job.reason,
        "kind": found.plan.kind,
        "measured": found.plan.aim.series,
        "trials": rows,
        "best": found.best,
        "best_settings": found.best_settings,
        "sentence": found.sentence,
        "note": found.note,
        "cost_usd": found.cost,
    }


def _watch(store: Store, supervisor: Supervisor, sweep_id: str, output: Output) -> Job:
    """Say each new phase until the sweep has come to rest."""
    said = ""
    while True:
        supervisor.tick()
        job = store.jobs.get(sweep_id)
        if job.ended:
            return job
        if job.phase != said:
            said = job.phase
            output.say(f"  {said}")
        time.sleep(_PAUSE)


def _say(found: Standing, output: Output) -> None:
    """The table for a person, and which is best."""
    names = [axis.name for axis in found.plan.axes]
    shown = found.plan.aim.show
    # It is at work, or waits for the sweep to go on.
    state = {"running": "unfinished"}
    rows = [
        (
            one.number,
            *(spec_of(name).show(one.settings[name]) for name in names),
            shown(one.value),
            state.get(one.state, one.state),
            one.run_id,
            one.reason,
        )
        for one in found.trials
    ]
    output.table(["trial", *(spec_of(name).term for name in names), found.plan.aim.words, "state", "run", "why"], rows)
    output.say(found.sentence)
    if found.note:
        output.say(found.note)
    if found.best_settings is not None:
        taken = " ".join(f"--set {name}={spec_of(name).show(value)}" for name, value in found.best_settings.items())
        output.say(f"To train with them: tuning-fork train … {taken}")
