"""Training from pairs: what a check says, and a real run of nano whose reference stays what it was when it is resumed."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import replace

import pytest

from studio import data
from studio.recipe import DataFacts, recommend
from studio.runs import dpo, files, progress
from studio.runs.launch import create_run
from studio.runs.supervisor import Supervisor

OWNER = "local"
PATIENCE = 180.0


def test_a_check_follows_its_definition():
    chosen, rejected = [0.3, -0.2, 0.0, 1.0], [0.1, 0.2, 0.0, -1.0]
    found = dpo._preferences(chosen, rejected)
    margins = [0.2, -0.4, 0.0, 2.0]
    loss = sum(math.log(1 + math.exp(-margin)) for margin in margins) / 4
    assert found["validation/loss"] == pytest.approx(loss)
    assert found["validation/accuracy"] == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert found["validation/margin"] == pytest.approx(sum(margins) / 4)
    assert found["validation/chosen_reward"] == pytest.approx(1.1 / 4)
    assert found["validation/rejected_reward"] == pytest.approx(-0.7 / 4)


def test_far_margins_do_not_overflow():
    assert dpo._preferences([2_000.0], [0.0])["validation/loss"] == 0.0
    assert dpo._preferences([0.0], [2_000.0])["validation/loss"] == pytest.approx(2_000.0)


@pytest.fixture
def supervisor(house):
    made = Supervisor(house.settings, house.store)
    yield made
    for job in house.store.jobs.live():
        made.stop(job.id)
        house.until(job.id, "stopped", "completed", "failed", "interrupted", ticking=made, seconds=PATIENCE)
    made.close()


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_a_killed_run_on_pairs_keeps_its_warm_up_and_its_reference(house, supervisor):
    source = house.settings.home / "pairs.jsonl"
    worse = "Dear friend, thank you for your message. The answer that you would like to have is {0}."
    rows = [{"prompt": f"Repeat: {n} and {n + 1}", "chosen": f"{n}, {n + 1}.", "rejected": worse.format(n)} for n in range(60)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    dataset = data.split(data.inspect(source, "pairs.jsonl", house.settings.datasets / "dat-000001"))
    house.store.datasets.add("dat-000001", owner=OWNER, name="Pairs", rows=60, fingerprint="", manifest_json="{}")
    recipe = recommend(DataFacts(dataset.train.rows, dataset.validation.rows), "nano").recipe
    recipe = replace(
        recipe, method="dpo", learning_rate=1e-3, batch_size=8, epochs=4, max_steps=8, eval_every=4, save_every=4,
        max_length=128, warm_start_epochs=1, warm_start_learning_rate=1e-3,
    )  # fmt: skip
    run = create_run(house.settings, house.store, dataset_id="dat-000001", recipe=recipe, name="", owner=OWNER)
    folder = house.folder(run.id)

    def lines() -> list[dict]:
        path = folder / files.METRICS
        return [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []

    supervisor.submit(run.id)
    house.eventually(lambda: len(lines()) >= 6, supervisor, PATIENCE, lambda: house.told(run.id))
    os.kill(house.job(run.id).pid, signal.SIGKILL)
    house.until(run.id, "interrupted", ticking=supervisor)
    before = lines()
    warm_up = (folder / "1-warm-start" / files.METRICS).read_text()

    supervisor.resume(run.id)
    job = house.until(run.id, "completed", "failed", "interrupted", ticking=supervisor, seconds=PATIENCE)
    assert job.status == "completed", house.told(run.id)
    assert (folder / "1-warm-start" / files.METRICS).read_text() == warm_up
    after = {line["step"]: line for line in lines()[len(before) :] if "dpo_loss" in line}
    assert min(after) == 4
    twice = [(line, after[line["step"]]) for line in before if line["step"] in after]
    assert twice
    for first, second in twice:
        # Held to another reference the margins of these steps would begin at zero again.
        assert second["margin"] == pytest.approx(first["margin"], rel=1e-3, abs=1e-4)
        assert second["dpo_loss"] == pytest.approx(first["dpo_loss"], rel=1e-3)
    found = progress.read(folder, job)
    assert [(one.key, one.state) for one in found.stages] == [("warm_start", "done"), ("train", "done")]
    assert (found.step, found.total) == (job.done, job.total)
    accuracy = found.series["validation_accuracy"]
    assert [point.step for point in accuracy] == [0, 4, 8]
    assert accuracy[0].value == 0.5
    result = json.loads(house.store.runs.get(run.id, OWNER).result_json)
    assert result["validation_accuracy_last"] == accuracy[-1].value > 0.5
    assert result["warm_start_train_loss_last"] < result["warm_start_train_loss_first"]
    assert result["tokens_train"] > 0 < result["tokens_prefill"]
