"""A sweep at work with real processes: limits, hopeless trials, stops, and what a killed sweep leaves behind."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from studio.recipe import Recipe
from studio.runs.desk import StopAsked
from studio.sweeps import job as at_job
from studio.sweeps import standing
from studio.sweeps.plan import Axis, Plan

OWNER = "local"


def rates(*values):
    return (Axis("learning_rate", values),)


def told(house, sweep):
    return standing.read(house.settings, house.store, house.store.sweeps.get(sweep.id, OWNER))


def test_trials_are_runs_a_failed_one_is_told_and_a_hopeless_one_is_stopped(house):
    house.go()
    sweep = house.sweep(Plan("grid", house.recipe, rates(0.006, 0.02, 0.004, 0.003, 0.1)))
    _, work, supervisor = house.at_work(sweep)
    work.carry_out()
    supervisor.close()
    found = told(house, sweep)
    assert [one.state for one in found.trials] == ["completed", "failed", "completed", "completed", "pruned"]
    assert "The server refused." in found.trial(2).reason
    assert found.best == 3
    assert found.best_settings == {"learning_rate": 0.004}
    assert found.trial(3).value == pytest.approx(0.0)
    assert "trial 4, has 0.1249" in found.sentence
    assert "may be luck" in found.sentence
    assert len(found.trial(3).points) >= 5
    stopped = house.store.jobs.get(found.trial(5).run_id)
    assert stopped.status == "stopped"
    assert stopped.reason.startswith("The sweep stopped it: it was clearly behind")
    run = house.store.runs.get(found.trial(5).run_id, OWNER)
    assert run.name == "Rates, trial 5"
    assert Recipe.from_json(run.recipe_json).learning_rate == 0.1
    assert len(house.store.runs.all(OWNER)) == 5


def test_a_stop_reaches_the_trial_and_the_sweep_goes_on_with_it(house):
    sweep = house.sweep(Plan("grid", house.recipe, rates(0.003, 0.004)))
    desk, work, supervisor = house.at_work(sweep)

    def stop_it():
        while not any(job.kind == "train" and job.status == "running" for job in house.store.jobs.live()):
            time.sleep(0.02)
        desk.wish_to_stop()

    stopping = threading.Thread(target=stop_it, daemon=True)
    stopping.start()
    with pytest.raises(StopAsked) as stopped:
        work.carry_out()
    stopping.join()
    supervisor.close()
    assert "0 of at most 2 trials" in stopped.value.kept
    (trial,) = house.store.sweeps.trials(sweep.id)
    assert trial.state == "running"
    assert "together with its sweep" in house.store.jobs.get(trial.run_id).reason
    house.go()
    _, again, supervisor = house.at_work(sweep)
    again.carry_out()
    supervisor.close()
    found = told(house, sweep)
    assert [(one.number, one.state) for one in found.trials] == [(1, "completed"), (2, "completed")]
    assert found.trial(1).run_id == trial.run_id
    assert len(house.store.runs.all(OWNER)) == 2
    assert "edge of what was tried" in found.sentence


def test_a_sweep_that_died_before_it_made_the_run_makes_that_very_run(house):
    house.go()
    sweep = house.sweep(Plan("grid", house.recipe, rates(0.003, 0.004)))
    left = house.store.sweeps.add_trial(sweep, json.dumps({"learning_rate": 0.003}))
    assert told(house, sweep).trials[0].total == 0
    _, work, supervisor = house.at_work(sweep)
    work.carry_out()
    supervisor.close()
    assert told(house, sweep).trials[0].run_id == left.run_id
    assert {run.id for run in house.store.runs.all(OWNER)} == {one.run_id for one in told(house, sweep).trials}


def test_no_trial_is_begun_that_could_pass_the_limit_on_cost(house, monkeypatch):
    house.go()
    measured = standing.view
    monkeypatch.setattr(at_job.Sweep, "_most", lambda *_: 0.4)
    monkeypatch.setattr(standing, "view", lambda *given: replace(measured(*given), cost=0.35))
    sweep = house.sweep(Plan("grid", house.recipe, rates(0.003, 0.004, 0.005), max_cost=1.0))
    _, work, supervisor = house.at_work(sweep)
    work.carry_out()
    supervisor.close()
    found = told(house, sweep)
    assert [one.state for one in found.trials] == ["completed", "completed"]
    assert "could pass the limit of 1.00 USD" in found.note
    assert found.cost == pytest.approx(0.7)
    budgets = [Recipe.from_json(house.store.runs.get(one.run_id, OWNER).recipe_json).budget_usd for one in found.trials]
    assert budgets == pytest.approx([1.0, 0.65])


def test_what_cannot_be_recorded_is_a_failed_trial(house):
    house.go()
    sweep = house.sweep(Plan("tpe", replace(house.recipe, batch_size=64), (Axis("batch_size", (64, 4)),), 2))
    _, work, supervisor = house.at_work(sweep)
    work.carry_out()
    supervisor.close()
    found = told(house, sweep)
    assert sorted(one.state for one in found.trials) == ["completed", "failed"]
    assert next(one.reason for one in found.trials if one.state == "failed")
