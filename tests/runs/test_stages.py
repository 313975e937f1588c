"""The stages of a run, the runs that a recipe names, what it costs, and how a page sees all of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studio import models
from studio.errors import SettingError
from studio.models import Model
from studio.recipe import DataFacts, Recipe, recommend
from studio.recipe.cost import TokenCounts, spent
from studio.runs import files, progress, sources, stages
from studio.runs.desk import Desk
from studio.runs.meter import BudgetReached, Meter
from studio.runs.metrics import TOKENS_PREFILL, MetricsFile
from studio.runs.work import Start, Work

PRICED = "Qwen/Qwen3-8B"


def recipe_of(method: str, model: str = "nano", **changes: object) -> Recipe:
    made = recommend(DataFacts(200, 20), model).recipe
    return replace(made, method=method, batch_size=16, epochs=2, **changes)


def keys(recipe: Recipe) -> list[str]:
    return [one.key for one in stages.of(recipe)]


def test_which_stages_there_are():
    assert keys(recipe_of("sl", warm_start_epochs=1)) == ["train"]
    assert keys(recipe_of("dpo")) == ["train"]
    assert keys(recipe_of("dpo", warm_start_epochs=1)) == ["warm_start", "train"]
    assert keys(recipe_of("rlhf", warm_start_epochs=1)) == ["warm_start", "judge", "train"]
    assert keys(recipe_of("rlhf", judge="run-1")) == ["train"]


def test_how_long_they_are():
    recipe = recipe_of("rlhf", warm_start_epochs=3, judge_epochs=2, judge_batch_size=50, max_steps=5)
    assert [one.total for one in stages.planned(recipe, 200)] == [12, 8, 5]
    assert [one.total for one in stages.planned(recipe_of("dpo", warm_start_epochs=3), 200)] == [36, 24]


def test_an_outline_survives_and_a_stage_is_done_with_its_final_checkpoint(tmp_path):
    recipe = recipe_of("rlhf", kl_limit=0.5)
    stages.write_outline(tmp_path, recipe, 200, teacher="nano")
    found = stages.read_outline(tmp_path)
    assert found is not None
    assert (found.method, found.model, found.teacher, found.kl_limit) == ("rlhf", "nano", "nano", 0.5)
    assert found.stages == stages.planned(recipe, 200)
    assert stages.read_outline(tmp_path / "nowhere") is None
    path = tmp_path / files.CHECKPOINTS
    path.write_text('{"name": "000010", "state_path": "a"}\n{"name": "fin')
    assert not stages.is_done(tmp_path)
    path.write_text('{"name": "final", "state_path": "a"}\n')
    assert stages.is_done(tmp_path)


def test_a_page_sees_every_stage(house):
    run = house.run()
    folder = house.folder(run)
    recipe = recipe_of("dpo", warm_start_epochs=1)
    folder.mkdir(parents=True)
    stages.write_outline(folder, recipe, 200)
    house.store.jobs.claim(run)
    house.store.jobs.move(run, "running")
    first = progress.read(folder, house.job(run))
    assert [(one.state, one.step, one.total) for one in first.stages] == [("now", 0, 12), ("waiting", 0, 24)]
    warm = folder / "1-warm-start"
    warm.mkdir()
    warm.joinpath(files.METRICS).write_text("".join(f'{{"step": {n}, "train_mean_nll": 2.0}}\n' for n in range(12)))
    warm.joinpath(files.CHECKPOINTS).write_text('{"name": "final", "state_path": "a"}\n')
    pair = {"step": 0, "dpo_loss": 0.69, "accuracy": 0.5, "num_tokens": 7, TOKENS_PREFILL: 9, "validation/accuracy": 0.5}
    folder.joinpath(files.METRICS).write_text(json.dumps(pair) + "\n")
    now = progress.read(folder, house.job(run))
    assert [(one.state, one.step) for one in now.stages] == [("done", 12), ("now", 1)]
    assert (now.step, now.total, now.method, now.cost) == (13, 36, "dpo", 0.0)
    assert len(now.series["warm_start/train_loss"]) == 12
    assert [(point.step, point.value) for point in now.series["train_loss"]] == [(1, 0.69)]
    assert [point.step for point in now.series["validation_accuracy"]] == [0]


def test_what_was_done_twice_is_paid_twice_but_counts_once(tmp_path):
    path = tmp_path / files.METRICS
    lines = [{"step": n, "train_mean_nll": 1.0, "num_tokens": 10, TOKENS_PREFILL: 3} for n in (0, 1, 2, 1)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    metrics = MetricsFile(path)
    metrics.read()
    assert (metrics.finished, metrics.tokens) == (2, 20)
    assert (metrics.tokens_of("train"), metrics.tokens_of("prefill")) == (40, 12)


# ---- budget ----


def work_on(house, recipe: Recipe, folder) -> Work:
    run = house.store.runs.get(house.run(), "local")
    stage = stages.of(recipe)[-1]
    return Work(run, recipe, None, stage, folder, stages.length(recipe, stage, 200), (), Start(), {})  # type: ignore[arg-type]


def test_a_budget_ends_a_run_when_the_metered_cost_has_reached_it(house, tmp_path):
    model: Model = models.get(PRICED)
    price = spent(TokenCounts(train=1_000_000), model)
    assert price is not None
    work = work_on(house, recipe_of("sl", PRICED, budget_usd=price), tmp_path)
    meter = Meter(Desk(house.settings, house.store, house.job(work.run.id)), work)
    path = tmp_path / files.METRICS
    path.write_text('{"step": 0, "train_mean_nll": 1.0, "num_tokens": 999999}\n')
    assert meter.why_stop("It is saved.") is None
    with path.open("a") as file:
        file.write('{"step": 1, "train_mean_nll": 1.0, "num_tokens": 1}\n')
    why = meter.why_stop("It is saved at step 2 of 24.")
    assert isinstance(why, BudgetReached)
    assert "budget" in why.reason
    assert "saved at step 2" in why.kept
    assert "budget of its own" in why.next_step


def test_what_is_counted_goes_into_the_next_line_once(house, tmp_path):
    work = work_on(house, recipe_of("sl"), tmp_path)
    meter = Meter(Desk(house.settings, house.store, house.job(work.run.id)), work)
    meter.count("prefill", 5)
    meter.count("prefill", 7)
    assert meter.take() == {TOKENS_PREFILL: 12.0}
    assert meter.take() == {}


# ---- runs that a recipe names ----


def finished(house, recipe: Recipe, **paths: str) -> str:
    run = house.store.runs.add(
        owner="local",
        name="Before",
        dataset_id="set-000001",
        method=recipe.method,
        model=recipe.model,
        recipe_json=recipe.to_json(),
    )
    house.store.runs.update(run.id, **paths)
    house.store.jobs.move(run.id, "completed")
    return run.id


def test_a_run_starts_from_what_another_left(house):
    before = recipe_of("sl", lora_rank=8)
    paths = {"checkpoint_path": "tinker://m/weights/final", "sampler_path": "tinker://m/sampler_weights/final"}
    run_id = finished(house, before, **paths)
    recipe = replace(before, start_from=run_id)
    found = sources.resolve(house.settings, house.store, recipe, "local")
    assert found.start == Start(paths["checkpoint_path"], paths["sampler_path"])
    assert sources.ancestors(recipe) == (run_id,)
    sources.keep(house.settings.home, found)
    assert sources.kept(house.settings.home) == found
    given = replace(before, start_from="tinker://other/weights/000010")
    assert sources.resolve(house.settings, house.store, given, "local").start == Start(given.start_from)
    assert sources.ancestors(given) == ()


@pytest.mark.parametrize(
    ("changes", "paths", "field"),
    [
        ({}, {}, "start_from"),
        ({"lora_rank": 32}, {"checkpoint_path": "tinker://m/weights/final"}, "lora_rank"),
        ({"model": "other"}, {"checkpoint_path": "tinker://m/weights/final"}, "start_from"),
        ({"start_from": "run-nosuchrun0000000"}, {}, "start_from"),
    ],
)
def test_a_start_that_cannot_be_used_is_refused_at_its_field(house, changes: dict, paths: dict[str, str], field: str):
    before = recipe_of("sl", lora_rank=8)
    recipe = replace(before, **{"start_from": finished(house, before, **paths), **changes})
    with pytest.raises(SettingError) as refused:
        sources.resolve(house.settings, house.store, recipe, "local")
    assert refused.value.where == field
    assert refused.value.next_step


def test_a_judge_is_found_where_its_run_trained_it_also_through_a_run_that_used_it(house):
    first = finished(house, recipe_of("rlhf"))
    folder = house.folder(first) / "2-judge"
    with pytest.raises(SettingError) as refused:
        sources.resolve(house.settings, house.store, recipe_of("rlhf", judge=first), "local")
    assert refused.value.where == "judge"
    folder.mkdir(parents=True)
    record = {"name": "final", "state_path": "tinker://j/weights/final", "sampler_path": "tinker://j/sampler_weights/final"}
    folder.joinpath(files.CHECKPOINTS).write_text(json.dumps(record) + "\n")
    second = finished(house, recipe_of("rlhf", judge=first))
    for named in (first, second):
        found = sources.resolve(house.settings, house.store, recipe_of("rlhf", judge=named), "local")
        assert found.judge_path == record["sampler_path"]
