"""Real runs of nano on the embedded engine: killed, stopped, resumed, out of disk."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from itertools import product

import psutil
import pytest

from studio import data
from studio.errors import NotFoundError, SettingError
from studio.recipe import facts_of, recommend
from studio.runs import files, progress
from studio.runs.launch import create_run
from studio.runs.supervisor import Supervisor, command_of

OWNER = "local"
STEPS = 24
SAVE_EVERY = 6
WORDS = ["blue", "red", "chair", "table", "cat", "dog", "house", "river", "stone", "lamp"]
PATIENCE = 90.0


@pytest.fixture
def dataset_id(house):
    """Two hundred rows of "say it backwards", split as a person's file would be."""
    source = house.settings.home / "words.jsonl"
    rows = [
        {"prompt": f"Turn around: {a} {b} {c}", "completion": f"{c} {b} {a}"} for a, b, c in product(WORDS, WORDS, WORDS[:2])
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    folder = house.settings.datasets / "dat-000001"
    made = data.split(data.inspect(source, "words.jsonl", folder))
    house.store.datasets.add("dat-000001", owner=OWNER, name="Words", rows=200, fingerprint="", manifest_json="{}")
    assert made.train.rows > 100
    return "dat-000001"


@pytest.fixture
def recipe(house, dataset_id):
    facts = facts_of(data.load(house.settings.datasets / dataset_id))
    found = recommend(facts, "nano").recipe
    return replace(found, batch_size=8, epochs=10, max_steps=STEPS, save_every=SAVE_EVERY, eval_every=12, learning_rate=1e-3)


@pytest.fixture
def supervisor(house):
    made = Supervisor(house.settings, house.store)
    yield made
    for job in house.store.jobs.live():
        made.stop(job.id)
        house.until(job.id, "stopped", "completed", "failed", "interrupted", ticking=made, seconds=PATIENCE)
    made.close()


def step_of(house, run_id):
    return progress.read(house.folder(run_id), house.job(run_id)).step


def reach(house, supervisor, run_id, step):
    """Wait until this many steps are finished; the run must not have ended before."""

    def there():
        job = house.job(run_id)
        assert not job.ended, house.told(run_id)
        return step_of(house, run_id) >= step

    house.eventually(there, supervisor, PATIENCE, lambda: house.told(run_id))


def lines(house, run_id):
    return [json.loads(text) for text in (house.folder(run_id) / files.METRICS).read_text().splitlines()]


def engine_of(job):
    children = psutil.Process(job.pid).children(recursive=True)
    return next(child for child in children if "studio.engine" in child.cmdline())


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_killed_worker_resumes_and_takes_the_very_same_steps(house, supervisor, dataset_id, recipe):
    run = create_run(house.settings, house.store, dataset_id=dataset_id, recipe=recipe, name=" Words ", owner=OWNER)
    assert run.name == "Words"
    supervisor.submit(run.id)
    reach(house, supervisor, run.id, 10)
    job = house.job(run.id)
    engine = engine_of(job)
    os.kill(job.pid, signal.SIGKILL)
    job = house.until(run.id, "interrupted", ticking=supervisor)
    assert "SIGKILL" in job.reason
    assert "last checkpoint" in job.next_step
    house.eventually(lambda: not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE)
    before = lines(house, run.id)

    supervisor.resume(run.id)
    job = house.until(run.id, "completed", "failed", "interrupted", ticking=supervisor, seconds=PATIENCE)
    assert job.status == "completed", house.told(run.id)
    assert (job.done, job.total, job.reason) == (STEPS, STEPS, "")
    found = progress.read(house.folder(run.id), job)
    assert [point.step for point in found.train] == list(range(1, STEPS + 1))
    assert [point.step for point in found.validation] == [0, 12, STEPS]
    assert found.validation[-1].value < found.validation[0].value
    assert (found.step, found.total, found.eta_seconds) == (STEPS, STEPS, None)

    # Steps that both processes took: same weights, same examples, same loss.
    after = lines(house, run.id)[len(before) :]
    again = {line["step"]: line["train_mean_nll"] for line in after if "train_mean_nll" in line}
    twice = [(line["train_mean_nll"], again[line["step"]]) for line in before if line["step"] in again]
    assert min(again) in {SAVE_EVERY, 2 * SAVE_EVERY}
    assert twice
    for first, second in twice:
        assert second == pytest.approx(first, rel=1e-4)

    row = house.store.runs.get(run.id, OWNER)
    result = json.loads(row.result_json)
    assert result["steps"] == STEPS
    assert result["validation_loss_last"] == found.validation[-1].value
    assert "/sampler_weights/" in row.sampler_path
    assert "/weights/" in row.checkpoint_path
    kept = [folder.name for folder in house.settings.checkpoints.glob("*/weights/*")]
    assert kept == ["final"]
    log = (house.folder(run.id) / files.LOG).read_text()
    assert "tml-" not in log
    assert "Turn around" not in log
    assert not (house.folder(run.id) / "cache").exists()
    assert (house.folder(run.id) / "code.diff").read_text() == "Code is not recorded.\n"


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_a_killed_engine_fails_the_run_and_a_stopped_run_can_be_compared(house, supervisor, dataset_id, recipe):
    long = replace(recipe, max_steps=150)
    run = create_run(house.settings, house.store, dataset_id=dataset_id, recipe=long, name="", owner=OWNER)
    assert run.name == "Words"
    supervisor.submit(run.id)
    reach(house, supervisor, run.id, 8)
    engine_of(house.job(run.id)).kill()
    job = house.until(run.id, "failed", "interrupted", "completed", ticking=supervisor, seconds=PATIENCE)
    assert job.status == "failed", house.told(run.id)
    assert job.reason == "The embedded engine stopped in the middle of the work."
    assert "Resume" in job.next_step

    supervisor.resume(run.id)
    reach(house, supervisor, run.id, 15)
    supervisor.stop(run.id)
    job = house.until(run.id, "stopped", "failed", "completed", ticking=supervisor, seconds=PATIENCE)
    assert job.status == "stopped", house.told(run.id)
    saved = int(job.reason.split("at step ")[1].split(" ")[0])
    row = house.store.runs.get(run.id, OWNER)
    assert f"/sampler_weights/{saved:06d}" in row.sampler_path
    steps = [point.step for point in progress.read(house.folder(run.id), job).train]
    assert steps == list(range(1, saved + 1))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_full_disk_fails_the_run_and_says_so(house, dataset_id, recipe):
    """The system refuses to let a file grow beyond a size that only the metrics have reached: no room for one more step."""
    limit = 16 * 1024 * 1024
    wrapper = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    supervisor = house.supervisor(lambda job: [sys.executable, "-c", wrapper, *command_of(job, house.settings.home)[1:]])
    run = create_run(house.settings, house.store, dataset_id=dataset_id, recipe=recipe, name="", owner=OWNER)
    house.folder(run.id).mkdir(parents=True, exist_ok=True)
    with (house.folder(run.id) / files.METRICS).open("wb") as metrics:
        metrics.seek(limit)
        metrics.write(b"\n")
    supervisor.submit(run.id)
    job = house.until(run.id, "failed", "interrupted", "completed", ticking=supervisor, seconds=PATIENCE)
    assert job.status == "failed", house.told(run.id)
    assert "disk is full" in job.reason
    assert "Free some space" in job.next_step


def test_a_recipe_that_cannot_train_is_refused_before_anything_is_recorded(house, dataset_id, recipe):
    def start(**changes):
        wrong = replace(recipe, **changes)
        return create_run(house.settings, house.store, dataset_id=dataset_id, recipe=wrong, name="", owner=OWNER)

    for field, value in {"batch_size": 5_000, "learning_rate": 7.0, "model": "no-such-model"}.items():
        with pytest.raises(SettingError) as refused:
            start(**{field: value})
        assert refused.value.where == field
    hosted = replace(recipe, model="Qwen/Qwen3-8B", renderer="qwen3", max_length=512)
    with pytest.raises(SettingError) as refused:
        create_run(house.settings, house.store, dataset_id=dataset_id, recipe=hosted, name="", owner=OWNER)
    assert refused.value.where == "model"
    with pytest.raises(NotFoundError):
        create_run(house.settings, house.store, dataset_id=dataset_id, recipe=recipe, name="", owner="somebody else")
    assert house.store.runs.all(OWNER) == ()
