"""One embedded engine with nano, and stages of runs that are trained in this very process: what takes seconds as jobs."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio import data, models
from studio.data import Dataset
from studio.engine.launch import start_engine
from studio.recipe import Recipe
from studio.runs import checkpoints, stages
from studio.runs.desk import Desk
from studio.runs.link import Link
from studio.runs.stages import Stage
from studio.runs.work import Start, Work
from studio.settings import Settings
from studio.store import Store

OWNER = "local"
NANO = {"model": "nano", "renderer": "qwen3_instruct", "lora_rank": 4, "eval_every": 0, "save_every": 0}


@dataclass
class Bench:
    """A home folder with one data set and an engine to train on."""

    settings: Settings
    store: Store
    link: Link
    dataset: Dataset

    def run(self, recipe: Recipe) -> str:
        row = self.store.runs.add(
            owner=OWNER,
            name="A run",
            dataset_id="dat-000001",
            method=recipe.method,
            model=recipe.model,
            recipe_json=recipe.to_json(),
        )
        return row.id

    def desk(self, run_id: str) -> Desk:
        return Desk(self.settings, self.store, self.store.jobs.get(run_id))

    def work(self, run_id: str, place: int = -1, **more: Any) -> Work:
        """What the worker would give to the trainer of one stage: the last one unless ``place`` says otherwise."""
        run = self.store.runs.get(run_id, OWNER)
        recipe = Recipe.from_json(run.recipe_json)
        stage: Stage = stages.of(recipe)[place]
        folder = stage.folder(self.settings.runs / run_id)
        folder.mkdir(parents=True, exist_ok=True)
        length = stages.length(recipe, stage, self.dataset.train.rows)
        return Work(
            run=run,
            recipe=recipe,
            dataset=self.dataset,
            stage=stage,
            folder=folder,
            length=length,
            saved=checkpoints.prepare_to_resume(folder, length.per_pass),
            start=Start(),
            **{"earlier": {}, "run_total": length.total, **more},
        )

    def folder(self, run_id: str) -> Path:
        return self.settings.runs / run_id


@contextmanager
def bench(home: Path, rows: Sequence[dict[str, str]]) -> Generator[Bench]:
    """A bench whose data set has these rows, in a process that knows the engine as a worker does."""
    settings = Settings(home=home)
    store = Store(settings.database)
    source = home / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    dataset = data.split(data.inspect(source, source.name, settings.datasets / "dat-000001"))
    store.datasets.add("dat-000001", owner=OWNER, name="Rows", rows=len(rows), fingerprint="", manifest_json="{}")
    models.register_with_cookbook()
    before = {name: os.environ.get(name) for name in ("TINKER_BASE_URL", "TINKER_API_KEY", "TINKER_TELEMETRY")}
    with start_engine(settings, ["nano"], log=home / "engine.log", threads=1) as engine:
        os.environ |= {
            "TINKER_BASE_URL": engine.base_url,
            "TINKER_API_KEY": engine.api_key.reveal(),
            "TINKER_TELEMETRY": "0",
        }
        try:
            yield Bench(settings, store, Link(engine.base_url, engine.process), dataset)
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            store.close()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
