"""The process that trains one run: ``python -m studio.runs.worker --home DIR --job ID``.

Guarantees: it trains exactly the recipe that is recorded; it ends ``completed`` only when the cookbook's loop has saved the
final checkpoint; it continues from the last checkpoint of its folder when there is one; everything else ends with a reason.
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from studio import models
from studio.errors import EngineError, RunError
from studio.recipe import Recipe
from studio.runs import checkpoints, files, seal
from studio.runs.desk import Desk, StopAsked, at_desk, leave
from studio.runs.environment import settle_down
from studio.runs.metrics import AT, LIFE, MetricsFile
from studio.store import RunRow

if TYPE_CHECKING:
    from tinker_cookbook.supervised.nll_evaluator import SamplerNLLEvaluator

    from studio.runs.link import Link
    from studio.runs.sft import Attendant, Plan


def main() -> int:
    """Train the run named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("train", _train)


def _train(desk: Desk) -> None:
    run = desk.store.runs.get(desk.job.id, desk.job.owner)
    recipe = Recipe.from_json(run.recipe_json)
    model = models.get(recipe.model)
    settle_down(desk.settings, offline=model.local)
    with ThreadPoolExecutor(1) as pool:
        # Importing the cookbook takes seconds; the engine starts meanwhile.
        imported: Future[None] = pool.submit(_import_cookbook)
        from studio.runs.link import connected

        with connected(desk, [model.name]) as link:
            desk.check()
            desk.phase("loading the model")
            imported.result()
            _train_through(desk, link, run, recipe)


def _import_cookbook() -> None:
    import studio.runs.sft  # noqa: F401 # pyright: ignore[reportUnusedImport] - imported for its cost


def _train_through(desk: Desk, link: Link, run: RunRow, recipe: Recipe) -> None:
    import torch

    from studio.runs import sft

    # The arithmetic here is tiny, and the engine needs the cores.
    torch.set_num_threads(1)
    models.register_with_cookbook()
    plan, saved = _plan(desk, run, recipe)
    desk.progress(plan.start, plan.total)
    if plan.start:
        desk.say(f"continuing after step {plan.start:,} of {plan.total:,}")
    scorer = sft.validator(plan, desk.folder)
    attendant = sft.Attendant(desk, plan, scorer, saved)
    _to_the_end(desk, link, plan, attendant, scorer)
    _write_result(desk, plan)
    shutil.rmtree(desk.folder / "cache", ignore_errors=True)


def _plan(desk: Desk, run: RunRow, recipe: Recipe) -> tuple[Plan, tuple[checkpoints.Checkpoint, ...]]:
    from studio import data
    from studio.runs.sft import Plan

    dataset = data.load(desk.settings.datasets / run.dataset_id)
    seal.sealed(desk.settings, desk.store, run, dataset)
    steps_per_epoch = dataset.train.rows // recipe.batch_size
    total = recipe.steps(dataset.train.rows)
    if total < 1:
        raise RunError(
            "There are fewer training rows than one step needs.",
            where="batch_size",
            next_step="Start a new run with a smaller one.",
        )
    saved = checkpoints.prepare_to_resume(desk.folder, steps_per_epoch)
    plan = Plan(
        recipe=recipe,
        wire_name=models.get(recipe.model).wire_name,
        train_path=dataset.train.path,
        validation_path=dataset.validation.path,
        validation_rows=dataset.validation.rows,
        steps_per_epoch=steps_per_epoch,
        total=total,
        start=min(saved[-1].step, total) if saved else 0,
        name=run.name,
        shuffle=not dataset.plan.order,
    )
    return plan, saved


def _to_the_end(desk: Desk, link: Link, plan: Plan, attendant: Attendant, scorer: SamplerNLLEvaluator | None) -> None:
    from studio.runs import sft
    from studio.runs.link import beside

    def check() -> None:
        # Before the loop has begun there is nothing to save; from then on the attendant ends it, where nothing is lost.
        if not attendant.begun:
            desk.check()

    beside(link, sft.run(sft.config(plan, desk.folder, attendant)), check=check)
    saved = checkpoints.known(desk.folder, plan.steps_per_epoch)
    if not saved or not saved[-1].final:
        raise RunError("The training loop ended without its final checkpoint.", next_step="Choose Resume.")
    final = saved[-1]
    desk.store.runs.update(desk.job.id, sampler_path=final.sampler_path, checkpoint_path=final.state_path)
    desk.phase("measuring the result")
    try:
        found = beside(link, sft.score_final(scorer, final.sampler_path), check=desk.check)
    except StopAsked:
        found = {}  # the training is complete and saved; only this number is missing
    if found:
        line = {"step": plan.total, **found, AT: time.time(), LIFE: 0.0}
        with (desk.folder / files.METRICS).open("a", encoding="utf-8") as metrics:
            metrics.write(json.dumps(line) + "\n")
    try:
        beside(link, attendant.forget(keep=0))
    except EngineError as error:
        desk.say(f"The run is complete; its old checkpoints could not be deleted: {error}")


def _write_result(desk: Desk, plan: Plan) -> None:
    """Record what came out, in the run's row: the numbers that every list and report shows."""
    metrics = MetricsFile(desk.folder / files.METRICS)
    metrics.read()
    train, validation = metrics.train(), metrics.validation()
    baseline = validation[0] if validation and validation[0].step == 0 else None
    result = {
        "steps": metrics.finished,
        "train_loss_first": train[0].value if train else None,
        "train_loss_last": train[-1].value if train else None,
        "validation_loss_first": baseline.value if baseline else None,
        "validation_loss_last": validation[-1].value if validation else None,
        "validation_rows": plan.validation_rows,
        "tokens": metrics.tokens,
        "seconds": round(metrics.seconds, 3),
    }
    desk.store.runs.update(desk.job.id, result_json=json.dumps(result))
    desk.progress(plan.total, plan.total)


if __name__ == "__main__":
    leave(main())
