from __future__ import annotations

import json

import pytest

from studio.runs import files, progress
from studio.runs.environment import child_environment
from studio.runs.metrics import AT, LIFE
from studio.settings import Secret, Settings


def write_steps(folder, steps, *, at=0.1):
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / files.METRICS).open("a") as file:
        for step in steps:
            line = {"step": step, "train_mean_nll": 3.0 - step * 0.001, "num_tokens": 7, AT: step * at, LIFE: 1.0}
            file.write(json.dumps(line) + "\n")


def test_before_the_first_file_and_through_a_run(house):
    run = house.run()
    folder = house.folder(run)
    empty = progress.read(folder, house.job(run))
    assert (empty.step, empty.total, empty.fraction, empty.eta_seconds, empty.log_tail) == (0, 0, 0.0, None, ())
    house.store.jobs.claim(run)
    house.store.jobs.move(run, "running")
    house.store.jobs.update(run, total=100, phase="training")
    write_steps(folder, range(40))
    found = progress.read(folder, house.job(run))
    assert (found.step, found.total, found.tokens, found.phase) == (40, 100, 280, "training")
    assert found.steps_per_second == pytest.approx(10.0)
    assert found.eta_seconds == pytest.approx(6.0)
    assert found.fraction == pytest.approx(0.4)
    assert len(found.smoothed) == len(found.train) == 40
    house.store.jobs.move(run, "stopped")
    rest = progress.read(folder, house.job(run))
    assert rest.eta_seconds is None


def test_long_curves_are_thinned_and_keep_their_last_point(house):
    run = house.run()
    write_steps(house.folder(run), range(5_001))
    found = progress.read(house.folder(run), house.job(run))
    assert len(found.train) <= progress.MOST_POINTS
    assert found.train[-1].step == 5_001


def test_the_log_is_shown_without_secrets_and_colours(house):
    run = house.run()
    folder = house.folder(run)
    folder.mkdir(parents=True)
    noise = "x" * 80 + "\n"
    (folder / files.LOG).write_text(noise * 1_000 + "\x1b[31mred\x1b[0m tml-secret123456\n\nlast\n")
    found = progress.read(folder, house.job(run), log_lines=2)
    assert found.log_tail == ("red [hidden]", "last")
    assert progress.read(folder, house.job(run), log_lines=0).log_tail == ()


def test_a_childs_environment_knows_one_place_only(tmp_path):
    inherited = {"TINKER_API_KEY": "tml-old", "TINKER_BASE_URL": "http://old", "STUDIO_HOME": "/old", "PATH": "/bin"}
    embedded = child_environment(Settings(home=tmp_path), inherited)
    assert not {"TINKER_API_KEY", "TINKER_BASE_URL", "STUDIO_HOME"} & set(embedded)
    assert embedded["TINKER_TELEMETRY"] == "0"
    assert Settings.from_env(embedded).place == "embedded"
    for settings in (
        Settings(home=tmp_path, place="hosted", api_key=Secret("tml-new")),
        Settings(home=tmp_path, place="cluster", base_url="http://new", api_key=Secret("tml-new")),
    ):
        read = Settings.from_env(child_environment(settings, inherited))
        assert (read.place, read.base_url) == (settings.place, settings.base_url)
        assert read.api_key is not None
        assert read.api_key.reveal() == "tml-new"
