from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.runs.checkpoints import known, prepare_to_resume
from studio.runs.metrics import AT, LIFE, MetricsFile, Point


def line(step: int, loss: float | None = 1.0, *, validation: float | None = None, at: float = 0.0, life: float = 1.0) -> str:
    record: dict[str, float | int] = {"step": step, AT: at, LIFE: life, "num_tokens": 10}
    if loss is not None:
        record["train_mean_nll"] = loss
    if validation is not None:
        record["validation/nll"] = validation
    return json.dumps(record) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_nothing_yet(path):
    metrics = MetricsFile(path)
    assert not metrics.read()
    assert (metrics.finished, metrics.tokens, metrics.train(), metrics.validation()) == (0, 0, (), ())
    assert metrics.steps_per_second() is None


def test_steps_count_what_is_finished(path):
    append(path, line(0, 3.0, validation=3.1) + line(1, 2.5) + line(2, None, validation=2.0))
    metrics = MetricsFile(path)
    assert metrics.read()
    assert metrics.finished == 2
    assert metrics.train() == (Point(1, 3.0), Point(2, 2.5))
    assert metrics.validation() == (Point(0, 3.1), Point(2, 2.0))
    assert metrics.tokens == 20


def test_a_half_written_line_waits_for_its_end(path):
    metrics = MetricsFile(path)
    whole = line(0) + line(1)
    append(path, whole[:-20])
    assert metrics.read()
    assert metrics.finished == 1
    assert not metrics.read()
    append(path, whole[-20:])
    assert metrics.read()
    assert metrics.finished == 2


def test_a_broken_line_is_passed_over(path):
    append(path, line(0) + '{"step": 1, "tr\n' + "[]\n\n" + '{"step": "x"}\n' + line(1))
    metrics = MetricsFile(path)
    metrics.read()
    assert metrics.finished == 2


def test_a_resumed_run_overwrites_what_it_does_again(path):
    append(path, "".join(line(k, 3.0, validation=2.0 if k == 4 else None) for k in range(6)))
    metrics = MetricsFile(path)
    metrics.read()
    append(path, line(3, 1.5, life=2.0))
    metrics.read()
    assert [point.step for point in metrics.train()] == [1, 2, 3, 4]
    assert metrics.train()[-1].value == 1.5
    assert metrics.validation() == ()
    assert metrics.tokens == 40


def test_nan_is_read_as_it_is(path):
    append(path, '{"step": 0, "train_mean_nll": NaN}\n')
    metrics = MetricsFile(path)
    metrics.read()
    assert math.isnan(metrics.train()[0].value)


def test_pace_comes_from_the_last_process_only(path):
    append(path, "".join(line(k, at=float(k), life=1.0) for k in range(10)))
    append(path, "".join(line(k, at=1000 + 0.5 * k, life=2.0) for k in range(8, 12)))
    metrics = MetricsFile(path)
    metrics.read()
    assert metrics.steps_per_second() == pytest.approx(2.0)
    assert metrics.seconds == pytest.approx(7.0 + 1.5)


def test_a_replaced_file_is_read_anew(path):
    append(path, line(0) + line(1))
    metrics = MetricsFile(path)
    metrics.read()
    path.unlink()
    append(path, line(0))
    metrics.read()
    assert metrics.finished == 1


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.lists(st.integers(1, 400), max_size=40))
def test_however_the_file_grows_no_step_counts_twice(tmp_path_factory, lives, cuts):
    path = tmp_path_factory.mktemp("grow") / "metrics.jsonl"
    text, reached = "", 0
    for number, length in enumerate(lives):
        begin = max(0, reached - 3)
        text += "".join(line(step, float(number), life=float(number)) for step in range(begin, begin + length))
        reached = begin + length
    metrics = MetricsFile(path)
    offset = 0
    for cut in [*cuts, len(text)]:
        append(path, text[offset : offset + cut])
        offset += cut
        metrics.read()
    append(path, text[offset:])
    metrics.read()
    assert [point.step for point in metrics.train()] == list(range(1, reached + 1))


def record(step: int, **more: object) -> str:
    return (
        json.dumps({"name": f"{step:06d}", "epoch": step // 10, "batch": step % 10, "state_path": f"tinker://m/{step}", **more})
        + "\n"
    )


def test_a_run_goes_on_from_the_last_checkpoint_whose_steps_are_all_known(tmp_path):
    append(tmp_path / "metrics.jsonl", "".join(line(k) for k in range(11)) + '{"step": 11, "tra')
    append(tmp_path / "checkpoints.jsonl", record(5) + record(10) + record(12) + '{"name": "0000')
    found = prepare_to_resume(tmp_path, steps_per_epoch=10)
    assert [one.step for one in found] == [5, 10]
    assert (tmp_path / "metrics.jsonl").read_text().endswith("\n")
    assert [one.step for one in known(tmp_path, 10)] == [5, 10]
    assert [json.loads(text)["name"] for text in (tmp_path / "checkpoints.jsonl").read_text().splitlines()] == [
        "000005",
        "000010",
    ]


def test_the_final_checkpoint_is_never_forgotten(tmp_path):
    append(tmp_path / "metrics.jsonl", "".join(line(k) for k in range(12)))
    final = json.dumps({"name": "final", "epoch": 2, "batch": 0, "state_path": "tinker://m/f", "sampler_path": "tinker://m/s"})
    append(tmp_path / "checkpoints.jsonl", record(10) + final + "\n")
    found = prepare_to_resume(tmp_path, steps_per_epoch=10)
    assert found[-1].final
    assert found[-1].sampler_path == "tinker://m/s"


def test_a_new_folder_has_nothing_to_go_on_from(tmp_path):
    assert prepare_to_resume(tmp_path, 10) == ()
    assert known(tmp_path, 10) == ()
