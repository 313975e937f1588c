from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.runs.diagnosis import diagnose, smooth, told, window_for
from studio.runs.metrics import Point


def curve(*values: float, every: int = 1, start: int = 1) -> tuple[Point, ...]:
    return tuple(Point(start + index * every, value) for index, value in enumerate(values))


def falling(steps: int, first: float = 3.0, last: float = 1.0) -> tuple[Point, ...]:
    return curve(*(first + (last - first) * index / (steps - 1) for index in range(steps)))


def test_going_well():
    found = diagnose(falling(40), curve(3.0, 2.2, 1.5, every=20, start=0), 100)
    assert found.level == "good"
    assert found.sentence == "The validation loss falls from 3.00 to 1.50 (−50%)."  # noqa: RUF001
    ended = diagnose(falling(40), curve(3.0, 1.5, every=40, start=0), 40, ended=True)
    assert "fell" in ended.sentence
    assert "compare" in ended.action


def test_without_validation_rows_it_says_what_cannot_be_seen():
    assert "memorising cannot be seen" in diagnose(falling(40), (), 100).sentence


def test_the_beginning_says_little():
    found = diagnose(curve(3.0, 2.9), (), 100)
    assert found.level == "wait"
    assert found.action == "Wait for step 5."
    assert diagnose((), (), 0).level == "wait"
    assert "Resume" in diagnose((), (), 10, ended=True).action


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_has_run_away(bad):
    assert diagnose(curve(3.0, 2.0, bad), (), 100).level == "bad"
    assert "ten times smaller" in diagnose(falling(20), curve(3.0, bad, every=10, start=0), 100).action


def test_a_loss_that_climbs_far_above_its_start_runs_away():
    found = diagnose(curve(*(3.0 + 0.4 * index for index in range(30))), (), 100)
    assert (found.level, "runs away" in found.sentence) == ("bad", True)


def test_memorising_names_the_best_step():
    validation = curve(3.0, 2.0, 1.8, 1.9, 2.1, every=10, start=0)
    found = diagnose(falling(40), validation, 100)
    assert found.level == "warn"
    assert "Since step 20" in found.sentence
    assert "by heart" in found.sentence
    assert "Stop" in found.action
    assert "Next time" in diagnose(falling(40), validation, 40, ended=True).action


def test_one_small_rise_is_not_memorising():
    assert diagnose(falling(40), curve(3.0, 2.0, 1.8, 1.82, every=10, start=0), 100).level == "good"


def test_worse_than_before_training():
    found = diagnose(falling(40), curve(2.0, 2.2, 2.4, every=20, start=0), 100)
    assert "worse than before" in found.sentence


def test_a_loss_that_does_not_move():
    found = diagnose(curve(*([3.0, 3.01, 2.99] * 10)), curve(3.0, 3.0, every=20, start=0), 100)
    assert found.level == "warn"
    assert "hardly moves" in found.sentence


def test_a_loss_that_has_settled():
    values = [3.0 - 0.2 * min(index, 10) for index in range(60)]
    assert "settled" in diagnose(curve(*values), curve(3.0, 1.05, 1.05, every=30, start=0), 200).sentence


def test_smoothing_starts_at_the_first_value_and_keeps_constants():
    assert smooth(curve(2.0, 2.0, 2.0), 10) == curve(2.0, 2.0, 2.0)
    assert smooth(curve(4.0), 10)[0].value == pytest.approx(4.0)
    assert window_for(10) == 3
    assert window_for(400) == 20
    assert window_for(100_000) == 50


losses = st.floats(0, 50) | st.sampled_from([math.nan, math.inf])


@given(st.lists(losses, max_size=80), st.lists(losses, max_size=8), st.integers(0, 200), st.booleans())
def test_every_curve_gets_a_sentence_and_an_action(train, validation, total, ended):
    found = diagnose(curve(*train), curve(*validation, every=10, start=0), total, ended=ended)
    for text in (found.sentence, found.action):
        assert text.endswith(".")
        assert "!" not in text


@given(st.lists(st.floats(0, 50), min_size=1, max_size=50), st.integers(1, 50))
def test_a_smoothed_curve_stays_within_what_it_smooths(values, window):
    shown = [point.value for point in smooth(curve(*values), window)]
    assert min(values) - 1e-9 <= min(shown)
    assert max(shown) <= max(values) + 1e-9


def test_too_early_is_not_said_to_end_at_step_zero():
    assert diagnose((), (), 0).action == "Wait for step 5."


def test_a_small_loss_is_not_said_to_be_nothing():
    said = diagnose(falling(40, 3.0, 0.01), curve(3.59, 0.5, 0.0012, every=20, start=0), 40, ended=True).sentence
    assert said == "The validation loss fell from 3.59 to 0.001 (−99.9%)."  # noqa: RUF001
    assert [told(loss) for loss in (0.0, 0.0004, 0.012, 0.3, float("nan"))] == ["0.00", "below 0.001", "0.012", "0.30", "nan"]
