"""What a sweep may vary, and what it may cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from studio.errors import SettingError, StoreError
from studio.recipe import facts_of, with_field
from studio.sweeps import price
from studio.sweeps.launch import create_sweep
from studio.sweeps.plan import Axis, Plan, aim_of, check, parse_axis, probe, variable


def test_a_plan_survives_json(house):
    plan = Plan("tpe", house.recipe, (parse_axis("learning_rate=1e-4..1e-2"), parse_axis("lora_rank=8,32")), 7, 1.5, seed=3)
    assert Plan.from_json(plan.to_json()) == plan


def test_values_and_ranges_are_read_as_their_settings_are():
    assert parse_axis("lora_rank=8, 32,8") == Axis("lora_rank", (8, 32))
    rates = parse_axis("learning_rate=1e-4..3e-4")
    assert (rates.ends, rates.by_factors) == ((1e-4, 3e-4), True)
    assert not parse_axis("batch_size=4..8").by_factors
    assert parse_axis("batch_size=4..8").ends == (4, 8)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("learning_rate", "--over"),
        ("nonsense=1,2", "nonsense"),
        ("learning_rate=1,x", "learning_rate"),
        ("learning_rate=0.1..0.01", "learning_rate"),
        ("lr_schedule=linear..cosine", "lr_schedule"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text, where):
    with pytest.raises(SettingError) as refused:
        parse_axis(text)
    assert refused.value.where == where


@pytest.mark.parametrize(
    ("over", "changes", "where"),
    [
        (["max_length=64,128"], {}, "max_length"),
        (["dpo_beta=0.1,0.2"], {}, "dpo_beta"),
        (["lora_rank=8,16", "lora_rank=32,64"], {}, "lora_rank"),
        (["learning_rate=1e-4..1e-2"], {}, "learning_rate"),
        (["learning_rate=0.001"], {}, "--over"),
        (["lora_rank=1,2,4,8", "batch_size=2,4,8,16"], {}, "--trials"),
        (["batch_size=4,4000"], {}, "batch_size"),
        (["learning_rate=0.001,0.002"], {"trials": 1}, "--trials"),
        (["learning_rate=0.001,0.002"], {"max_cost": 0.0}, "--max-cost"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_before_anything_is_recorded(house, over, changes, where):
    plan = replace(Plan("grid", house.recipe, tuple(parse_axis(text) for text in over)), **changes)
    with pytest.raises(SettingError) as refused:
        create_sweep(house.settings, house.store, dataset_id=house.dataset_id, plan=plan, name="", owner="local")
    assert refused.value.where == where
    assert house.store.sweeps.all("local") == ()


def test_nothing_is_compared_without_validation_rows(house):
    facts = replace(facts_of(house.dataset), validation_rows=0)
    with pytest.raises(SettingError, match="validation"):
        check(Plan("grid", house.recipe, (Axis("lora_rank", (8, 16)),)), facts)


def test_judges_that_differ_are_not_compared(house):
    with pytest.raises(SettingError, match="judge of its own"):
        check(Plan("grid", replace(house.recipe, method="rlhf"), (Axis("lora_rank", (8, 16)),)), facts_of(house.dataset))


@pytest.mark.parametrize(
    ("method", "kind", "series", "up"),
    [
        ("sl", "prompt", "validation_loss", False),
        ("dpo", "prompt", "validation_accuracy", True),
        ("rl", "prompt", "validation_reward", True),
        ("rlhf", "prompt", "validation_reward", True),
        ("distill", "prompt", "validation_match", True),
        ("distill", "on_policy", "validation_teacher_kl", False),
    ],
)
def test_every_method_has_its_number(house, method, kind, series, up):
    aim = aim_of(replace(house.recipe, method=method, distillation=kind))
    assert (aim.series, aim.up) == (series, up)
    assert aim.better(2.0, 1.0) is up


def test_a_probe_is_three_short_runs_around_the_recommended_rate(house):
    recipe = with_field(house.recipe, "max_steps", "none")
    plan = probe(recipe, 10)
    assert plan.axes == (Axis("learning_rate", (0.00133, 0.004, 0.012)),)
    assert plan.recipe == recipe, "what it would be trained with in the end is not cut short"
    made = [plan.recipe_of(values, house.dataset.train.rows) for values in plan.combinations()]
    assert [one.max_steps for one in made] == [10, 10, 10]
    assert all(0 < one.eval_every <= 2 and one.save_every == 0 for one in made)
    check(plan, facts_of(house.dataset))


def test_a_start_that_is_asked_for_twice_is_one_sweep(house):
    plan = Plan("grid", house.recipe, (Axis("lora_rank", (8, 16)),))
    given = {"dataset_id": house.dataset_id, "plan": plan, "name": "", "sweep_id": "swp-abcdef123456"}
    first, second = (create_sweep(house.settings, house.store, owner="local", **given) for _ in range(2))
    assert first == second
    assert house.store.sweeps.all("local") == (first,)
    with pytest.raises(StoreError):
        house.store.sweeps.add(owner="bob", name="", dataset_id=house.dataset_id, plan_json="{}", sweep_id=first.id)
    assert house.store.sweeps.all("bob") == ()


def test_a_search_among_very_many_combinations_has_a_price_at_once(house):
    values = tuple(range(1, 200))
    axes = (Axis("lora_rank", values), Axis("batch_size", values[:10]), Axis("epochs", values), Axis("seed", values))
    found = price.of_sweep(Plan("tpe", house.recipe, axes, 8), facts_of(house.dataset), None)
    assert (found.trials, found.high_usd) == (8, 0.0)
    assert found.minutes
    one = price.of_sweep(Plan("grid", house.recipe, (Axis("epochs", (1, 2)),)), facts_of(house.dataset), None)
    assert 0 < one.minutes < found.minutes


def test_only_settings_that_leave_the_number_its_meaning_are_offered(house):
    names = [spec.name for spec in variable(house.recipe)]
    assert names[0] == "learning_rate"
    assert {"lora_rank", "batch_size", "epochs", "lr_schedule"} <= set(names)
    assert not {"max_length", "model", "max_steps", "start_from", "dpo_beta"} & set(names)


def test_the_cost_is_that_of_all_trials_and_a_limit_leaves_room_for_two(house):
    facts = replace(facts_of(house.dataset), mean_tokens=100.0, validation_mean_tokens=100.0)
    plan = Plan("grid", replace(house.recipe, model="Qwen/Qwen3-8B"), (Axis("lora_rank", (8, 16, 32)),))
    one = price.of_trial(plan, {"lora_rank": 8}, facts, None)
    assert one is not None
    assert one.high_usd
    whole = price.of_sweep(plan, facts, None)
    assert whole.high_usd == pytest.approx(3 * one.high_usd)
    price.check(replace(plan, max_cost=one.high_usd * 2.1), facts, None)
    with pytest.raises(SettingError) as refused:
        price.check(replace(plan, max_cost=one.high_usd * 1.5), facts, None)
    assert refused.value.where == "--max-cost"
    assert "Free" in price.of_sweep(replace(plan, recipe=house.recipe), facts, None).sentence
