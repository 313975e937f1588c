"""What is tried next, and what is given up: proposals follow from what is on disk alone."""

from __future__ import annotations

import math

import pytest

from studio.runs.metrics import Point
from studio.sweeps.plan import Axis, Plan
from studio.sweeps.search import Tried, hopeless, path_of, propose

RATES = Axis("learning_rate", low=1e-4, high=1e-1)
RANK = Axis("lora_rank", (8, 32))


def done(settings, value, path=None):
    return Tried(settings, "completed", value, path or {4: value + 1, 10: value})


def test_a_grid_goes_through_every_combination_once(house):
    plan = Plan("grid", house.recipe, (Axis("learning_rate", (0.001, 0.01)), RANK))
    tried = []
    while (values := propose(plan, tried)) is not None:
        tried.append(done(values, 1.0))
    assert [tuple(one.settings.values()) for one in tried] == [(0.001, 8), (0.001, 32), (0.01, 8), (0.01, 32)]


def test_tpe_begins_with_the_recommended_settings_and_finds_the_best_rate(house):
    plan = Plan("tpe", house.recipe, (RATES,), 20)
    tried = []
    while (values := propose(plan, tried)) is not None:
        assert 1e-4 <= values["learning_rate"] <= 1e-1
        tried.append(done(values, abs(math.log10(values["learning_rate"] / 0.02))))
    assert tried[0].settings == {"learning_rate": house.recipe.learning_rate}
    assert len(tried) == 20
    assert min(one.value for one in tried) < 0.1
    late = sorted(abs(math.log10(one.settings["learning_rate"] / 0.02)) for one in tried[10:])
    early = sorted(abs(math.log10(one.settings["learning_rate"] / 0.02)) for one in tried[1:6])
    assert late[len(late) // 2] < early[len(early) // 2]


def test_a_sweep_that_goes_on_proposes_what_it_would_have_proposed(house):
    plan = Plan("tpe", house.recipe, (RATES, RANK), 9, seed=4)
    tried = [done({"learning_rate": rate, "lora_rank": 8}, rate) for rate in (0.001, 0.002, 0.004, 0.03, 0.05, 0.1)]
    assert propose(plan, tried) == propose(Plan.from_json(plan.to_json()), list(tried))


def test_tpe_ends_when_everything_was_tried(house):
    plan = Plan("tpe", house.recipe, (Axis("lora_rank", (8, 32)),), 10)
    tried = []
    while (values := propose(plan, tried)) is not None:
        tried.append(done(values, 1.0))
    assert sorted(one.settings["lora_rank"] for one in tried) == [8, 32]


@pytest.mark.parametrize("kind", ["grid", "tpe"])
def test_only_what_is_clearly_behind_at_the_same_part_is_given_up(house, kind):
    plan = Plan(kind, house.recipe, (Axis("learning_rate", (0.001, 0.002, 0.003, 0.1)),))
    tried = [done({"learning_rate": rate}, 1.0, {2: 3.0, 4: 2.0, 10: 1.0}) for rate in (0.001, 0.002, 0.003)]
    settings = {"learning_rate": 0.1}
    assert hopeless(plan, tried, settings, {2: 3.0, 4: 2.9})
    assert not hopeless(plan, tried, settings, {2: 3.0, 4: 1.9})
    assert not hopeless(plan, tried, settings, {2: 9.0}), "too early"
    assert not hopeless(plan, tried[:2], settings, {2: 3.0, 4: 2.9}), "too few are finished"
    assert hopeless(plan, [], settings, {0: 3.0, 1: math.nan}), "no number any more"


def test_the_direction_follows_the_method(house):
    from dataclasses import replace

    plan = Plan("grid", replace(house.recipe, method="dpo"), (Axis("learning_rate", (0.001, 0.002, 0.003, 0.1)),))
    tried = [done({"learning_rate": rate}, 0.9, {4: 0.7, 10: 0.9}) for rate in (0.001, 0.002, 0.003)]
    assert hopeless(plan, tried, {"learning_rate": 0.1}, {4: 0.5})
    assert not hopeless(plan, tried, {"learning_rate": 0.1}, {4: 0.8})


def test_a_path_is_counted_in_tenths():
    assert path_of([Point(0, 3.0), Point(7, 2.0), Point(8, 1.5), Point(40, 1.0)], 40) == {0: 3.0, 1: 2.0, 2: 1.5, 10: 1.0}
    assert path_of([], 0) == {}
