"""The cookbook's own loops, unmodified, against the engine."""

from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import chz
import pytest
import tinker
from tinker_cookbook.checkpoint_utils import get_last_checkpoint
from tinker_cookbook.preference import train_dpo
from tinker_cookbook.supervised import train
from tinker_cookbook.supervised.types import (
    ChatDatasetBuilder,
    ChatDatasetBuilderCommonConfig,
    SupervisedDataset,
    SupervisedDatasetBuilder,
)

from studio.engine.launch import Engine
from tests.engine.conftest import batch, metrics

pytestmark = [pytest.mark.usefixtures("outside"), pytest.mark.filterwarnings("ignore:Using the future:FutureWarning")]


class Batches(SupervisedDataset):
    """The same few batches in every epoch."""

    def __init__(self, count: int, size: int) -> None:
        self._batches = [batch(size, seed=index) for index in range(count)]

    def get_batch(self, index: int) -> list[tinker.Datum]:
        return self._batches[index]

    def __len__(self) -> int:
        return len(self._batches)

    def set_epoch(self, seed: int = 0) -> None:
        pass


@chz.chz
class Supervised(SupervisedDatasetBuilder):
    """Four training batches, and two of them held out of nothing: the loop only has to score them."""

    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        return Batches(4, 6), Batches(2, 6)


@chz.chz
class Pairs(ChatDatasetBuilder):
    """Even examples count as chosen, odd ones as rejected."""

    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        return Batches(2, 4), None


def supervised(engine: Engine, base_model: str, folder: Path, **options: Any) -> train.Config:
    return train.Config(
        log_path=str(folder), model_name=base_model, recipe_name="test", dataset_builder=Supervised(),
        learning_rate=3e-3, num_epochs=3, lora_rank=4, base_url=engine.base_url, save_every=5, eval_every=4, **options,
    )  # fmt: skip


def test_supervised_training_learns_evaluates_saves_and_resumes(engine: Engine, base_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    asyncio.run(train.main(supervised(engine, base_model, folder, max_steps=7)))
    first = metrics(folder)
    assert [row["step"] for row in first] == list(range(7))
    assert [row["step"] for row in first if "test/nll" in row] == [0, 4]
    assert first[4]["test/nll"] < first[0]["test/nll"]
    # As if it had been killed after its periodic checkpoint: the same folder again goes on from there, to the end.
    lines = (folder / "checkpoints.jsonl").read_text().splitlines(keepends=True)
    assert [json.loads(line)["name"] for line in lines] == ["000005", "final"]
    (folder / "checkpoints.jsonl").write_text(lines[0])
    asyncio.run(train.main(supervised(engine, base_model, folder)))
    rows = metrics(folder)
    assert [row["step"] for row in rows[7:]] == [5, 6, 7, 8, 9, 10, 11]
    assert rows[7]["train_mean_nll"] < first[1]["train_mean_nll"], "a fresh adapter would start where the first run started"
    assert rows[-1]["train_mean_nll"] < first[3]["train_mean_nll"]
    final = get_last_checkpoint(str(folder))
    assert final is not None
    assert final.name == "final"
    client = tinker.ServiceClient(base_url=engine.base_url)
    sampler = client.create_sampling_client(model_path=final.sampler_path).result()
    assert sampler.get_base_model() == base_model
    client.close("success").result()


def test_direct_preference_optimisation_takes_its_steps(engine: Engine, base_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "dpo"
    common = ChatDatasetBuilderCommonConfig(
        model_name_for_tokenizer=base_model, renderer_name="role_colon", max_length=64, batch_size=2
    )
    train_dpo.main(
        train_dpo.Config(
            log_path=str(folder), model_name=base_model, recipe_name="test", dataset_builder=Pairs(common_config=common),
            learning_rate=3e-3, num_epochs=4, lora_rank=4, base_url=engine.base_url, save_every=0, eval_every=0, dpo_beta=0.1,
        )
    )  # fmt: skip
    rows = metrics(folder)
    assert len(rows) == 8
    # Before the first step the policy is the reference: the margin is zero and the loss is ln 2.
    assert rows[0]["dpo_loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert rows[0]["margin"] == pytest.approx(0, abs=1e-3)
    assert rows[-1]["dpo_loss"] < 0.8 * math.log(2)
    assert rows[-1]["margin"] > 0
    assert rows[-1]["accuracy"] == 1.0
