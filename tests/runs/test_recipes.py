"""The cookbook's own recipes under our supervision: listed, refused with a reason, and one of them run to its end."""

from __future__ import annotations

import json

import pytest

from studio import models
from studio.cli import main
from studio.errors import NotFoundError, RunError, SettingError
from studio.recipe import Recipe
from studio.runs import cookbook_recipes, progress
from studio.runs.cookbook_recipes import RECIPES, create_run, recipe
from studio.runs.supervisor import Supervisor

OWNER = "local"


def made(house, name="shorter", **changes):
    return create_run(house.settings, house.store, recipe(name), models.get("nano"), changes=changes, owner=OWNER)


def test_the_list_says_what_each_recipe_needs(capsys, tmp_path):
    assert main(["recipe", "--json", "--home", str(tmp_path)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == [one.name for one in RECIPES]
    assert any(not row["needs"] for row in rows)
    assert all(row["what"] for row in rows)


@pytest.mark.parametrize("one", RECIPES, ids=lambda one: one.name)
def test_every_recipe_is_a_program_of_the_installed_cookbook(one):
    import importlib.util

    assert importlib.util.find_spec(f"tinker_cookbook.recipes.{one.module}") is not None


def test_a_recipe_that_is_not_there_names_those_that_are():
    with pytest.raises(NotFoundError, match="shorter"):
        recipe("nothing")


def test_a_missing_package_is_said_before_anything_is_recorded(house, monkeypatch):
    monkeypatch.setattr(cookbook_recipes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match="textarena"):
        made(house, "tic_tac_toe")
    assert house.store.runs.all(OWNER) == ()


def test_where_it_logs_and_what_it_trains_is_ours_to_say(house):
    with pytest.raises(SettingError) as found:
        made(house, log_path="/elsewhere")
    assert found.value.where == "log_path"


def test_its_run_reads_like_any_run(house):
    run = made(house, batch_size="4", max_steps="2")
    shown = Recipe.from_json(run.recipe_json)
    assert (shown.method, shown.model, shown.batch_size, shown.max_steps) == ("rl", "nano", 4, 2)
    found = progress.read(house.folder(run.id), house.job(run.id))
    assert found.stages[0].title == recipe("shorter").what
    assert house.store.datasets.get(run.dataset_id, OWNER).name == "Cookbook: shorter"
    chosen, settings = cookbook_recipes.asked_of(house.folder(run.id))
    assert (chosen.name, settings) == ("shorter", {"batch_size": "4", "max_steps": "2"})
    assert cookbook_recipes.asked_of(house.folder(house.run())) is None


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_recipe_runs_to_its_end_as_a_job(house):
    run = made(house, batch_size="2", group_size="3", max_tokens="4", max_steps="1")
    supervisor = Supervisor(house.settings, house.store)
    supervisor.submit(run.id)
    job = house.until(run.id, "completed", "failed", "interrupted", ticking=supervisor, seconds=240)
    supervisor.close()
    assert job.status == "completed", house.told(run.id)
    row = house.store.runs.get(run.id, OWNER)
    assert json.loads(row.result_json)["steps"] == 1
    assert row.sampler_path.startswith("tinker://")
    assert progress.read(house.folder(run.id), job).step == 1
