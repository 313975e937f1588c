"""``train``, ``runs``, ``stop`` and ``resume``: the same processes that the pages start, looked after from the terminal.

Guarantees: ``train`` ends with 0 only when the run completed; interrupting it with Ctrl-C asks the run to stop and keep what it
has learned, and a second Ctrl-C leaves the run to itself; the recipe file of a run, given back with ``--recipe`` for the same
data, gives the same run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from studio import models, recipe
from studio import samples as shipped
from studio.cli.data import method_arguments, reading_argument, reading_of, take_in
from studio.cli.output import Output
from studio.data import Dataset
from studio.errors import RunError, SettingError
from studio.recipe import Recipe
from studio.rewards import to_json
from studio.rewards.of_data import suggested
from studio.runs import stages
from studio.runs.cookbook_recipes import is_of_cookbook
from studio.runs.launch import RECIPE, create_run
from studio.runs.supervisor import Supervisor
from studio.samples import Sample
from studio.settings import Settings
from studio.store import Job, Store

_PAUSE: Final = 0.25
#: The model where none is named.
_MODEL: Final = "nano"
#: Numbers that a run's result may hold first and last, in words, and how they are written.
_MEASURED: Final = (
    ("validation_loss", "Loss on examples it never saw", ".3f"),
    ("validation_accuracy", "Prefers the better of two answers it never saw", ".0%"),
    ("validation_reward", "Reward on questions it never saw", ".3f"),
    ("validation_match", "Matches the teacher on questions it never saw", ".0%"),
)


def train_arguments(parser: argparse.ArgumentParser) -> None:
    """``train FILE|--sample NAME [--method M] [--model NAME] [--recipe YAML] [--max-steps N] [--budget USD] [--set …]``."""
    run_arguments(parser)
    parser.add_argument("--name", default="", help="a name for the run")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``prepared`` reads: the data and the settings, shared by every verb that starts runs."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", type=Path, nargs="?", metavar="FILE", help="CSV, JSON, JSON lines or Parquet")
    source.add_argument("--sample", metavar="NAME", help="a sample data set instead of a file; `samples` lists them")
    method_arguments(parser)
    # A recipe and a sample say both; what the command says as well must then agree.
    parser.set_defaults(method=None, model=None)
    reading_argument(parser)
    parser.add_argument(
        "--recipe", type=Path, metavar="YAML", help="take every setting from this file; each run writes one, see recipe_file"
    )
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N steps")
    parser.add_argument("--budget", type=float, metavar="USD", help="save and stop when the run has cost this much")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; repeat for several"
    )


def train(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Take the file in, recommend, start the run, and stay until it has ended."""
    store = Store(settings.database)
    try:
        dataset_id, dataset, chosen = prepared(asked, settings, store)
        run = create_run(settings, store, dataset_id=dataset_id, recipe=chosen, name=asked.name, owner=settings.owner)
        planned = stages.planned(chosen, dataset.train.rows)
        steps = ", then ".join(f"{one.total:,} steps ({one.stage.title.lower()})" for one in planned)
        output.say(f"Run {run.id}: {steps} on {dataset.train.rows:,} rows with {chosen.model}.")
        return stay(settings, store, run.id, output)
    finally:
        store.close()


def prepared(asked: argparse.Namespace, settings: Settings, store: Store) -> tuple[str, Dataset, Recipe]:
    """The data set that the command names, with its id, and the recipe that the command makes of it.

    Raises ``DataError`` for data that cannot be used and ``SettingError`` for settings that cannot work.
    """
    written = _written(asked)
    sample = shipped.sample(asked.sample) if asked.sample is not None else None
    method = asked.method or (written.method if written else sample.method if sample else "sl")
    file = sample.file if sample is not None else asked.file
    dataset_id, dataset = take_in(settings, store, file, reading_of(asked), method=method)
    return dataset_id, dataset, _with_settings(written or _recommended(dataset, method, asked, sample), asked)


def runs_arguments(parser: argparse.ArgumentParser) -> None:
    """``runs`` takes none of its own."""
    del parser


def runs(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the runs, newest first."""
    del asked
    store = Store(settings.database)
    try:
        supervisor = Supervisor(settings, store)
        supervisor.recover()
        supervisor.close()
        found = [(run, store.jobs.get(run.id)) for run in store.runs.all(settings.owner)]
    finally:
        store.close()
    output.result(
        [
            {"run_id": run.id, "name": run.name, "model": run.model, "method": run.method, "status": job.status}
            | {"done": job.done, "total": job.total, "reason": job.reason, "created_at": run.created_at}
            for run, job in found
        ]
    )
    rows = [
        (run.id, run.name, run.model, f"{job.status}, {job.done} of {job.total} steps", _when(run.created_at))
        for run, job in found
    ]
    output.table(["run", "name", "model", "state", "started"], rows)
    if not found:
        output.say("No runs yet. Start one: tuning-fork train --sample support_tickets")
    return 0


def stop_arguments(parser: argparse.ArgumentParser) -> None:
    """``RUN``."""
    parser.add_argument("run", metavar="RUN", help="id of the run (`runs` lists them) or of a sweep")


def resume_arguments(parser: argparse.ArgumentParser) -> None:
    """``RUN``."""
    stop_arguments(parser)


def stop(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Ask a run to save and end, and wait until it has."""
    store = Store(settings.database)
    try:
        run_id = _owned(store, asked.run, settings.owner)
        supervisor = Supervisor(settings, store)
        supervisor.stop(run_id)
        job = until_rest(store, supervisor, run_id)
        supervisor.close()
    finally:
        store.close()
    done = "trials" if job.kind == "sweep" else "steps"
    output.result({f"{'sweep' if job.kind == 'sweep' else 'run'}_id": run_id, "status": job.status, done: job.done})
    output.say(f"{job.status}. {job.reason} {job.next_step}".strip())
    return 0 if job.status in ("stopped", "completed") else 1


def resume(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Continue a run from its last checkpoint to the same final step, and stay until it has ended."""
    store = Store(settings.database)
    try:
        run_id = _owned(store, asked.run, settings.owner)
        supervisor = Supervisor(settings, store)
        supervisor.recover()
        job = supervisor.resume(run_id)
        supervisor.close()
        if job.kind == "sweep":
            # Imported here: it stands on this module.
            from studio.cli import sweeping

            return sweeping.stay(settings, store, run_id, output)
        return stay(settings, store, run_id, output)
    finally:
        store.close()


def _owned(store: Store, name: str, owner: str) -> str:
    """The id of this owner's run or sweep. Raises ``NotFoundError``."""
    return store.sweeps.get(name, owner).id if name.startswith("swp-") else store.runs.get(name, owner).id


def _written(asked: argparse.Namespace) -> Recipe | None:
    """The recipe of the file that was named. Raises ``SettingError`` when it says otherwise than the command line."""
    if asked.recipe is None:
        return None
    path: Path = asked.recipe
    try:
        found = Recipe.from_yaml(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"The recipe cannot be read: {error}.", where=str(path), next_step="Name a recipe file.") from error
    for name, given, says in (("--method", asked.method, found.method), ("--model", asked.model, found.model)):
        if given is not None and given != says:
            raise SettingError(
                f"The recipe is for {says}, and the command says {given}.", where=name, next_step="Leave one of the two out."
            )
    return found


def _recommended(dataset: Dataset, method: str, asked: argparse.Namespace, sample: Sample | None) -> Recipe:
    facts = recipe.facts_of(dataset)
    has_reward = method == "rl" and (facts.has_reference or facts.has_reward_name)
    reward = to_json(suggested(dataset.train.path).reward) if has_reward else ""
    model = models.get(asked.model or _MODEL)
    found = recipe.recommend(facts, model, method, budget=asked.budget, reward=reward).recipe
    if sample is not None and sample.method == method:
        for name, value in sample.settings.items():
            found = recipe.with_field(found, name, value)
    return found


def _with_settings(chosen: Recipe, asked: argparse.Namespace) -> Recipe:
    texts: list[str] = asked.set
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingError(
                f"{text!r} does not name a setting.", where="--set", next_step="Write it as learning_rate=0.001."
            )
        chosen = recipe.with_field(chosen, name.strip(), value)
    if asked.budget is not None:
        chosen = recipe.with_field(chosen, "budget_usd", str(asked.budget))
    return chosen if asked.max_steps is None else recipe.with_max_steps(chosen, asked.max_steps)


def stay(settings: Settings, store: Store, run_id: str, output: Output) -> int:
    """Set the run going and watch it to its end; the exit status of a verb that starts one."""
    supervisor = Supervisor(settings, store)
    supervisor.submit(run_id)
    try:
        try:
            job = _watch(store, supervisor, run_id)
        except KeyboardInterrupt:
            output.say("Stopping; the run saves what it has learned. Press Ctrl-C again to leave it to itself.")
            supervisor.stop(run_id)
            job = until_rest(store, supervisor, run_id)
    finally:
        supervisor.close()
    run = store.runs.get(run_id, settings.owner)
    result: dict[str, Any] = json.loads(run.result_json)
    # A recipe of the cookbook is not started from a recipe file, and has no held-out part to compare on.
    ours = not is_of_cookbook(settings.runs / run.id)
    settings_of = (
        {
            "recipe": Recipe.from_json(run.recipe_json).to_dict(),
            "recipe_file": str(settings.runs / run.id / RECIPE),
        }
        if ours
        else {}
    )
    output.result(
        {
            "run_id": run_id,
            "status": job.status,
            "steps": result.get("steps", job.done),
            "metrics": result,
            "checkpoint": run.sampler_path or run.checkpoint_path,
            "reason": job.reason,
        }
        | settings_of
    )
    if job.status == "completed":
        output.say(f"Completed: {result.get('steps')} steps. {' '.join(_numbers(result))}".rstrip())
        if ours:
            output.say(f"Its recipe: {settings.runs / run.id / RECIPE}")
            output.say(f"Next: tuning-fork compare {run_id}")
        return 0
    if output.as_json:
        return 1
    raise RunError(f"The run is {job.status}. {job.reason}".strip(), where=run_id, next_step=job.next_step)


def _watch(store: Store, supervisor: Supervisor, run_id: str) -> Job:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"), TimeRemainingColumn())
    # The bar goes to standard error, so that standard output holds the result and nothing else.
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("waiting", total=None)
        while True:
            supervisor.tick()
            job = store.jobs.get(run_id)
            bar.update(task, description=job.phase or job.status, completed=job.done, total=job.total or None)
            if job.ended:
                return job
            time.sleep(_PAUSE)


def until_rest(store: Store, supervisor: Supervisor, job_id: str) -> Job:
    """The job once it has come to rest; looks after every job meanwhile."""
    while not (job := store.jobs.get(job_id)).ended:
        supervisor.tick()
        time.sleep(_PAUSE)
    return job


def _numbers(result: dict[str, Any]) -> Iterator[str]:
    """What came out, first and last, of what this run measured."""
    for name, words, form in _MEASURED:
        first, last = result.get(f"{name}_first"), result.get(f"{name}_last")
        if first is not None and last is not None:
            yield f"{words}: {first:{form}} before, {last:{form}} after."
    accuracy = result.get("judge_accuracy")
    if accuracy is not None:
        yield f"The judge is right on {accuracy:.0%} of pairs it never saw."
    cost = result.get("cost_usd")
    if cost:
        yield f"It cost about {cost:,.2f} USD."


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M")
