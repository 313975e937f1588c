"""``train`` in the terminal: which method and recipe a run gets. Nothing is trained here; runs are tested in tests/runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from studio.cli import main, training
from studio.recipe import DataFacts, Recipe, recommend
from studio.settings import Settings
from studio.store import RunRow, Store


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.csv"
    with path.open("w", newline="") as file:
        rows = [(f"Say {n} please", f"{n}", f"The number is {n}, of course.") for n in range(60)]
        csv.writer(file).writerows([("prompt", "chosen", "rejected"), *rows])
    return path


class AtOnce:
    """A supervisor whose runs are over as soon as they are submitted."""

    def __init__(self, _settings: Settings, store: Store) -> None:
        self._store = store

    def submit(self, run_id: str) -> None:
        self._store.jobs.move(run_id, "completed")

    def tick(self) -> None:
        """There is nothing to look after."""

    def close(self) -> None:
        """There is nothing to end."""


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Supervisor", AtOnce)


def train(home: Path, *words: str) -> int:
    return main(["train", *words, "--home", str(home)])


def runs(home: Path) -> list[RunRow]:
    store = Store(Settings(home=home).database)
    try:
        return list(reversed(store.runs.all(Settings(home=home).owner)))
    finally:
        store.close()


def recipe_file(home: Path, run: RunRow) -> Path:
    return Settings(home=home).runs / run.id / "recipe.yaml"


def test_a_run_is_repeated_from_its_recipe_file(home: Path, pairs: Path, capsys: pytest.CaptureFixture[str]):
    changes = ("--set", "dpo_beta=0.3", "--max-steps", "7", "--budget", "2.5")
    assert train(home, str(pairs), "--method", "dpo", *changes, "--json") == 0
    first = runs(home)[0]
    assert json.loads(capsys.readouterr().out)["recipe_file"] == str(recipe_file(home, first))
    recipe = Recipe.from_json(first.recipe_json)
    assert (recipe.method, recipe.dpo_beta, recipe.max_steps, recipe.budget_usd) == ("dpo", 0.3, 7, 2.5)
    assert train(home, str(pairs), "--recipe", str(recipe_file(home, first))) == 0
    again = runs(home)[1]
    assert again.recipe_json == first.recipe_json
    assert train(home, str(pairs), "--recipe", str(recipe_file(home, first)), "--set", "dpo_beta=0.2") == 0
    assert Recipe.from_json(runs(home)[2].recipe_json).dpo_beta == 0.2


def test_a_recipe_of_the_cookbook_is_not_said_to_leave_a_recipe_file(home: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["recipe", "shorter", "--max-steps", "1", "--home", str(home)]) == 0
    said = capsys.readouterr().out
    assert "Completed" in said
    assert "recipe.yaml" not in said
    assert "tuning-fork compare" not in said
    assert main(["recipe", "shorter", "--max-steps", "1", "--json", "--home", str(home)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "completed"
    assert not {"recipe", "recipe_file"} & set(result)


def test_a_sample_brings_its_method(home: Path):
    assert train(home, "--sample", "concise") == 0
    run = runs(home)[0]
    assert run.method == "dpo"
    outline = json.loads((Settings(home=home).runs / run.id / "stages.json").read_text())
    assert [one["key"] for one in outline["stages"]] == ["warm_start", "train"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--method", "sl"), "--fix better_answers"),
        (("--recipe", "RECIPE", "--method", "rlhf"), "--method"),
        (("--recipe", "RECIPE", "--model", "Qwen/Qwen3-8B"), "--model"),
        (("--recipe", "nowhere.yaml"), "nowhere.yaml"),
        (("--method", "dpo", "--set", "start_from=run-nosuchrun0000000"), "start_from"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_recorded(
    words: tuple[str, ...], named: str, home: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written = tmp_path / "recipe.yaml"
    recipe = recommend(DataFacts(48, 6, training="DPO"), "nano", "dpo").recipe
    written.write_text(recipe.to_yaml(), "utf-8")
    assert train(home, str(pairs), *(str(written) if word == "RECIPE" else word for word in words)) == 1
    said = capsys.readouterr().err
    assert named in said
    assert "Next:" in said
    assert not runs(home)
