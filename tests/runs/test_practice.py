"""What stands beside the loops that practise: when the distance from the start is too far."""

from __future__ import annotations

import json

import pytest

from studio.runs import files
from studio.runs.metrics import MetricsFile
from studio.runs.practice import Practice


def drift(folder, *distances):
    """What a run has moved whose steps were this far from the start."""
    written = [{"step": step, "kl_policy_base": value, "progress/batch": step} for step, value in enumerate(distances)]
    (folder / files.METRICS).write_text("".join(json.dumps(line) + "\n" for line in written))
    beside = object.__new__(Practice)
    beside._metrics = MetricsFile(folder / files.METRICS)
    return beside._drift()


def test_the_distance_is_that_of_the_last_three_steps(tmp_path):
    assert drift(tmp_path, 9.0, 0.1, 0.2, 0.6) == pytest.approx(0.3)


def test_without_a_step_no_distance_is_known(tmp_path):
    assert drift(tmp_path) is None
