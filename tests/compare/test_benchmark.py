"""What a benchmark says when it has nothing to ask, and which there are."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from studio.cli import main
from studio.compare import generate_benchmark
from studio.errors import SettingError


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    # It quietens the whole process, which here is everybody's.
    monkeypatch.setattr(generate_benchmark, "settle_down", lambda *_, **__: None)


def test_those_that_are_offered_need_neither_a_sandbox_nor_a_judge(capsys: pytest.CaptureFixture[str]):
    from tinker_cookbook.eval.benchmarks import REGISTRY

    for name in generate_benchmark.BENCHMARKS:
        importlib.import_module(f"tinker_cookbook.eval.benchmarks.{name}")
        known = REGISTRY[name]
        assert not any((known.requires_sandbox, known.requires_judge, known.experimental))
    assert main(["benchmark", "--json"]) == 0
    assert {one["name"] for one in json.loads(capsys.readouterr().out)} == set(generate_benchmark.BENCHMARKS)


def _offline(*_: object, **__: object) -> object:
    raise ConnectionError("Couldn't reach 'google/IFEval' on the Hub")


def _none(*_: object, **__: object) -> object:
    import datasets

    return datasets.Dataset.from_list([])


@pytest.mark.parametrize("load", [_offline, _none])
def test_without_questions_there_is_no_score_and_no_engine(
    load: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    from tinker_cookbook.eval.benchmarks import ifeval

    monkeypatch.setattr(ifeval, "load_benchmark_dataset", load)
    monkeypatch.setattr(generate_benchmark, "alone", None)
    assert main(["benchmark", "nano", "--task", "ifeval", "--json", "--home", str(tmp_path)]) == 1
    said = json.loads(capsys.readouterr().err.splitlines()[-1])["error"]
    assert "cannot be had" in said["what"]
    assert "There is no score without them" in said["next_step"]


@pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is not None, reason="Inspect is installed here")
def test_a_task_of_inspect_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["benchmark", "nano", "--task", "inspect_evals/ifeval", "--home", str(tmp_path)]) == 1
    assert "pip install inspect-ai inspect-evals" in capsys.readouterr().err


def test_a_benchmark_that_is_none_is_refused():
    for terms in (
        {"task": "mbpp"},
        {"task": "/home/me/own.py"},
        {"task": "inspect_evals/../x"},
        {"task": "ifeval", "limit": 0},
        {"task": "ifeval", "max_tokens": 0},
    ):
        with pytest.raises(SettingError):
            generate_benchmark.Terms(**terms)  # type: ignore[arg-type]
