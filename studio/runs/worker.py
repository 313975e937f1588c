"""The process that trains one run: ``python -m studio.runs.worker --home DIR --job ID``.

Guarantees: it trains exactly the recipe that is recorded, stage by stage; it ends ``completed`` only when the last stage's loop
has saved its final checkpoint; a resumed run goes on in the first stage that is not done, from the last checkpoint of its
folder when there is one; everything else ends with a reason.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from studio import data, models
from studio.errors import RunError
from studio.recipe import Recipe
from studio.runs import checkpoints, cookbook_recipes, files, seal, sources, stages
from studio.runs.desk import Desk, at_desk, leave
from studio.runs.environment import settle_down
from studio.runs.metrics import MetricsFile
from studio.runs.sources import Named
from studio.runs.stages import Planned, Stage, StageKey
from studio.runs.work import Result, Start, Work, trainer_for
from studio.store import RunRow

if TYPE_CHECKING:
    from studio.runs.checkpoints import Checkpoint
    from studio.runs.link import Link

#: What came out of an earlier stage, in its folder.
_RESULT: Final = "result.json"


def main() -> int:
    """Train the run named on the command line. Returns the exit code of ``at_desk``."""
    return at_desk("train", _train)


def _train(desk: Desk) -> None:
    run = desk.store.runs.get(desk.job.id, desk.job.owner)
    if cookbook_recipes.asked_of(desk.folder) is not None:
        cookbook_recipes.work(desk, run)
        return
    recipe = Recipe.from_json(run.recipe_json)
    named = sources.models_of(desk.store, recipe, run.owner)
    settle_down(desk.settings, offline=all(model.local for model in named))
    with ThreadPoolExecutor(1) as pool:
        # Importing the cookbook takes seconds; the engine starts meanwhile.
        imported: Future[None] = pool.submit(_import_cookbook, recipe)
        from studio.runs.link import connected

        with connected(desk, [model.name for model in named]) as link:
            desk.check()
            desk.phase("loading the model")
            imported.result()
            _train_through(desk, link, run, recipe)


def _import_cookbook(recipe: Recipe) -> None:
    for stage in stages.of(recipe):
        trainer_for(recipe.method, stage.key)


def _train_through(desk: Desk, link: Link, run: RunRow, recipe: Recipe) -> None:
    import torch

    # The arithmetic here is tiny, and the engine needs the cores.
    torch.set_num_threads(1)
    models.register_with_cookbook()
    dataset = data.load(desk.settings.datasets / run.dataset_id)
    seal.sealed(desk.settings, desk.store, run, dataset)
    planned = stages.planned(recipe, dataset.train.rows)
    for one in planned:
        _require_steps(one, recipe)
    results: dict[StageKey, Result] = {}
    for place, one in enumerate(planned):
        work = _work(desk, run, recipe, dataset, planned, place)
        results[one.stage.key] = _train_stage(desk, link, work)
        shutil.rmtree(work.cache, ignore_errors=True)
    _write_result(desk, recipe, dataset, planned, results)


def _require_steps(one: Planned, recipe: Recipe) -> None:
    if one.total < 1:
        raise RunError(
            "There are fewer training rows than one step needs.",
            where="judge_batch_size" if recipe.method == "rlhf" and not one.stage.main else "batch_size",
            next_step="Start a new run with a smaller one.",
        )


def _work(desk: Desk, run: RunRow, recipe: Recipe, dataset: data.Dataset, planned: Sequence[Planned], place: int) -> Work:
    stage = planned[place].stage
    folder = stage.folder(desk.folder)
    folder.mkdir(parents=True, exist_ok=True)
    length = stages.length(recipe, stage, dataset.train.rows)
    earlier: dict[StageKey, Checkpoint] = {
        one.stage.key: _final(one.stage, desk.folder, recipe, dataset) for one in planned[:place]
    }
    named = sources.kept(desk.folder) or Named(Start())
    warm = earlier.get("warm_start")
    return Work(
        run=run,
        recipe=recipe,
        dataset=dataset,
        stage=stage,
        folder=folder,
        length=length,
        saved=checkpoints.prepare_to_resume(folder, length.per_pass),
        # The judge is a model of its own: it begins as the base does, whatever the policy begins as.
        start=Start() if stage.key == "judge" else Start(warm.state_path, warm.sampler_path) if warm else named.start,
        earlier=earlier,
        judge_path=named.judge_path,
        teacher_path=named.teacher_path,
        teacher=models.get(named.teacher) if named.teacher else None,
        earlier_folders=tuple(one.stage.folder(desk.folder) for one in planned[:place]),
        before=sum(one.total for one in planned[:place]),
        run_total=sum(one.total for one in planned),
    )


def _final(stage: Stage, run_folder: Path, recipe: Recipe, dataset: data.Dataset) -> Checkpoint:
    found = checkpoints.known(stage.folder(run_folder), stages.length(recipe, stage, dataset.train.rows).per_pass)
    if not found or not found[-1].final:
        raise RunError(f"The stage «{stage.title}» left no final checkpoint.", next_step="Start a new run.")
    return found[-1]


def _train_stage(desk: Desk, link: Link, work: Work) -> Result:
    kept = work.folder / _RESULT
    if not work.main and stages.is_done(work.folder) and kept.is_file():
        return cast("dict[str, Any]", json.loads(kept.read_text("utf-8")))
    work.report(desk, work.begun_at)
    if work.begun_at:
        desk.say(f"continuing after step {work.begun_at:,} of {work.total:,}: {work.stage.title.lower()}")
    result = trainer_for(work.recipe.method, work.stage.key).train(desk, link, work)
    if not work.main:
        draft = kept.with_suffix(".draft")
        draft.write_text(json.dumps(dict(result)), "utf-8")
        draft.replace(kept)
    return result


def _write_result(
    desk: Desk, recipe: Recipe, dataset: data.Dataset, planned: Sequence[Planned], results: dict[StageKey, Result]
) -> None:
    """Record what came out, in the run's row: the numbers that every list and report shows."""
    from studio.runs.meter import cost_of, counts_of

    readers = [MetricsFile(one.stage.folder(desk.folder) / files.METRICS) for one in planned]
    for reader in readers:
        reader.read()
    counts, named = counts_of(readers), sources.kept(desk.folder)
    teacher = models.get(named.teacher) if named is not None and named.teacher else None
    cost = cost_of(counts, models.get(recipe.model), teacher, desk.settings.home)
    # Those of an earlier stage carry its name in front.
    earlier = {f"{key}_{name}": value for key, found in results.items() if key != "train" for name, value in found.items()}
    result = {
        "steps": readers[-1].finished,
        **earlier,
        **results["train"],
        "validation_rows": dataset.validation.rows,
        "tokens": sum(reader.tokens for reader in readers),
        "tokens_train": counts.own.train,
        "tokens_sample": counts.own.sample,
        "tokens_prefill": counts.own.prefill,
        "seconds": round(sum(reader.seconds for reader in readers), 3),
        "cost_usd": None if cost is None else round(cost, 6),
    }
    desk.store.runs.update(desk.job.id, result_json=json.dumps(result))
    total = sum(one.total for one in planned)
    desk.progress(total, total)


if __name__ == "__main__":
    leave(main())
