"""A home folder with a small data set, and sweeps whose trials are real processes that only pretend to train."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from studio import data, models
from studio.data import Dataset, SplitPlan
from studio.processes import kill
from studio.recipe import Recipe, facts_of, recommend, with_field, with_max_steps
from studio.runs.desk import Desk
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import Store, SweepRow, new_id
from studio.sweeps.job import Sweep
from studio.sweeps.plan import Plan

OWNER = "local"
STEPS = 20
ROWS = [{"prompt": f"What is the colour of thing {i}?", "completion": f"Thing {i} is blue."} for i in range(60)]

#: Best at 0.004. A rate of 0.1 waits half-way until somebody stops it, one of 0.02 fails, and every run waits for ``go``.
PRETEND = """
import json, math, sys, time
from studio.errors import BackendError
from studio.recipe import Recipe
from studio.runs.desk import StopAsked, at_desk

def work(desk):
    recipe = Recipe.from_json(desk.store.runs.get(desk.job.id, desk.job.owner).recipe_json)
    rate, total = recipe.learning_rate, recipe.max_steps
    if rate == 0.02:
        raise BackendError("The server refused.")
    until(desk, lambda: (desk.settings.home / "go").exists())
    with (desk.folder / "metrics.jsonl").open("a") as out:
        for step in range(total + 1):
            line = {"step": step} if step == total else {"step": step, "train_mean_nll": 1.0}
            if step % recipe.eval_every == 0 or step == total:
                line["validation/nll"] = abs(math.log10(rate / 0.004)) + 1 - step / total
            print(json.dumps(line), file=out, flush=True)
            if rate == 0.1 and step == total // 2:
                until(desk, lambda: False)

def until(desk, met, seconds=20.0):
    ends = time.monotonic() + seconds
    while not met() and time.monotonic() < ends:
        if desk.stopping:
            raise StopAsked("It is saved.")
        time.sleep(0.02)

sys.exit(at_desk("train", work))
"""


@dataclass
class House:
    """One home folder."""

    settings: Settings
    store: Store
    dataset_id: str
    dataset: Dataset
    recipe: Recipe
    script: Path

    def sweep(self, plan: Plan) -> SweepRow:
        return self.store.sweeps.add(owner=OWNER, name="Rates", dataset_id=self.dataset_id, plan_json=plan.to_json())

    def at_work(self, sweep: SweepRow) -> tuple[Desk, Sweep, Supervisor]:
        desk = Desk(self.settings, self.store, self.store.jobs.get(sweep.id))
        home = str(self.settings.home)
        supervisor = Supervisor(
            self.settings, self.store, command=lambda job: [sys.executable, str(self.script), "--home", home, "--job", job.id]
        )
        return desk, Sweep(desk, supervisor), supervisor

    def go(self) -> None:
        (self.settings.home / "go").touch()


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("studio.sweeps.job._LOOK_SECONDS", 0.03)
    settings = Settings(home=tmp_path / "home")
    store = Store(settings.database)
    dataset_id = new_id("data")
    folder = settings.datasets / dataset_id
    folder.mkdir(parents=True)
    (folder / "original").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    dataset = data.split(data.inspect(folder / "original", "mine.jsonl", folder), SplitPlan("even", 60, 20, 20))
    store.datasets.add(dataset_id, owner=OWNER, name="mine", rows=dataset.rows, fingerprint="", manifest_json="{}")
    recipe = recommend(facts_of(dataset), models.get("nano")).recipe
    for name, value in (("batch_size", "4"), ("epochs", "10"), ("learning_rate", "0.004")):
        recipe = with_field(recipe, name, value)
    script = tmp_path / "pretend.py"
    script.write_text(PRETEND)
    yield House(settings, store, dataset_id, dataset, with_max_steps(recipe, STEPS), script)
    for job in store.jobs.live():
        if job.kind == "train" and job.pid is not None:
            kill(job.pid)
    store.close()
