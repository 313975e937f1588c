"""What is wrong with a recipe is said at its field before anything starts, and what is only unwise is said too."""

from __future__ import annotations

import math
import typing
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import models, recipe
from studio.recipe import DataFacts, PresetId, recommend

FACTS = DataFacts(400, 60, 40, mean_chars=300, p95_chars=700, max_chars=1_500)
PAIRS = replace(FACTS, training="DPO")
TASKS = replace(FACTS, training="RL", has_reference=True)
QWEN = "Qwen/Qwen3-8B"
EXACT, BY_NAME = '{"kind":"exact"}', '{"kind":"column"}'


def at(field, problems):
    return [problem.message for problem in problems if problem.field == field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start_from": "yesterday"}, "start_from"),
        ({"judge": "run"}, "judge"),
        ({"max_tokens": 200_000}, "max_tokens"),
        ({"batch_size": 401}, "batch_size"),
        ({"judge_batch_size": 401}, "judge_batch_size"),
    ],
)
def test_what_a_recipe_names_must_be_a_name(change, field):
    chosen = recommend(PAIRS, QWEN, "rlhf").recipe
    assert recipe.validate(chosen, PAIRS) == ()
    assert at(field, recipe.validate(replace(chosen, **change), PAIRS))
    assert recipe.validate(replace(chosen, start_from="run-abc", judge="run-def"), PAIRS) == ()
    assert recipe.validate(replace(chosen, start_from="tinker://a/weights/final"), PAIRS) == ()


def test_the_longest_answer_leaves_room_for_its_question():
    chosen = recommend(TASKS, "nano", "rl", reward=EXACT).recipe
    context = models.get("nano").context
    (said,) = at("max_tokens", recipe.validate(replace(chosen, max_tokens=context), TASKS))
    assert f"{context - 1:,} or fewer" in said
    assert recipe.validate(replace(chosen, max_tokens=context - 1), TASKS) == ()
    whole = recommend(FACTS, "nano").recipe
    assert recipe.validate(replace(whole, max_length=context), FACTS) == ()


@pytest.mark.parametrize("judge", ["", "run-def"])
def test_nobody_can_examine_a_judge_on_fewer_than_three_pairs(judge):
    chosen = replace(recommend(PAIRS, QWEN, "rlhf").recipe, judge=judge, eval_every=0)
    for rows in range(3):
        (said,) = at("judge", recipe.validate(chosen, replace(PAIRS, validation_rows=rows)))
        assert f"you have {rows}." in said
        assert "Split the data again" in said
    assert recipe.validate(chosen, replace(PAIRS, validation_rows=3)) == ()
    assert recipe.validate(chosen) == ()


def test_a_limit_needs_somebody_who_measures_the_distance():
    chosen = replace(recommend(TASKS, QWEN, "rl", reward=EXACT).recipe, kl_limit=0.5, kl_coef=0.0, eval_every=10)
    unchecked, empty = replace(chosen, eval_every=0), replace(TASKS, validation_rows=0)
    assert recipe.validate(chosen, TASKS) == recipe.validate(chosen) == ()
    late = replace(chosen, eval_every=chosen.steps(TASKS.train_rows))
    assert recipe.validate(replace(late, eval_every=late.eval_every - 1), TASKS) == ()
    for one, facts in ((unchecked, TASKS), (unchecked, None), (chosen, empty), (late, TASKS)):
        assert "KL coefficient above 0" in at("kl_limit", recipe.validate(one, facts))[0]
        assert recipe.validate(replace(one, kl_coef=0.01), facts) == ()
        assert recipe.validate(replace(one, kl_limit=None), facts) == ()


def test_a_reward_needs_what_it_looks_for():
    chosen = recommend(TASKS, QWEN, "rl", reward=EXACT).recipe
    assert recipe.validate(chosen, TASKS) == ()
    assert "right answer" in at("reward", recipe.validate(chosen, replace(TASKS, has_reference=False)))[0]
    named = replace(chosen, reward=BY_NAME)
    assert "name of a reward" in at("reward", recipe.validate(named, TASKS))[0]
    assert recipe.validate(named, replace(TASKS, has_reward_name=True)) == ()


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ("Qwen/Qwen3.5-4B", "learns nothing from itself"),
        ("meta-llama/Llama-3.3-70B-Instruct", "other pieces"),
        ("nano", "same place"),
        ("nobody/knows", "no model called"),
    ],
)
def test_a_teacher_must_be_able_to_teach(teacher, words):
    chosen = recommend(FACTS, "Qwen/Qwen3.5-4B", "distill", distillation="on_policy").recipe
    assert recipe.validate(chosen, FACTS) == ()
    assert words in " ".join(at("teacher", recipe.validate(replace(chosen, teacher=teacher), FACTS)))
    assert recipe.validate(replace(chosen, teacher="run-good"), FACTS) == ()


def test_the_long_prompt_a_question_and_its_answer_fit_into_what_the_teacher_reads():
    chosen = replace(recommend(FACTS, "nano", "distill").recipe, max_tokens=512)
    nano = models.get("nano")
    question = math.ceil(FACTS.prompt_tokens(nano) or 0)
    room = int((nano.context - 512 - question) * nano.chars_per_token)
    assert recipe.validate(replace(chosen, teacher_prompt="x" * room), FACTS) == ()
    (said,) = at("teacher_prompt", recipe.validate(replace(chosen, teacher_prompt="x" * (room + 4)), FACTS))
    assert f"more than the {nano.context:,} that nano reads" in said
    assert at("teacher_prompt", recipe.validate(replace(chosen, teacher_prompt="x" * 3 * nano.context)))


def test_a_prompt_can_be_taught_by_any_model_at_the_same_place():
    chosen = recommend(FACTS, QWEN, "distill").recipe
    ready = replace(chosen, teacher_prompt="Be brief.")
    assert recipe.validate(ready, FACTS) == ()
    assert recipe.validate(replace(ready, teacher="openai/gpt-oss-120b"), FACTS) == ()


def test_unwise_settings_are_warned_of():
    pairs = recommend(PAIRS, QWEN, "dpo").recipe
    assert recipe.warnings(pairs, PAIRS) == ()
    assert at("learning_rate", recipe.warnings(replace(pairs, learning_rate=1e-3), PAIRS))
    tasks = recommend(TASKS, QWEN, "rl", reward=EXACT).recipe
    assert recipe.warnings(tasks, TASKS) == ()
    assert at("group_size", recipe.warnings(replace(tasks, group_size=2), TASKS))
    assert at("temperature", recipe.warnings(replace(tasks, temperature=0.5, kl_coef=0.1), TASKS))
    judged = recommend(PAIRS, QWEN, "rlhf").recipe
    assert at("kl_coef", recipe.warnings(replace(judged, kl_coef=0.0, kl_limit=None), PAIRS))


def test_another_batch_asks_for_another_rate():
    usual = recommend(FACTS, QWEN).recipe
    wider = replace(usual, batch_size=4 * usual.batch_size)
    (said,) = at("learning_rate", recipe.warnings(wider, FACTS, usual))
    assert f"{2 * usual.learning_rate:.2g}" in said
    assert not at("learning_rate", recipe.warnings(replace(wider, learning_rate=2 * usual.learning_rate), FACTS, usual))


# --- presets ------------------------------------------------------------------------------------------------------------------


@given(rows=st.integers(3, 20_000), preset=st.sampled_from(typing.get_args(PresetId)), method=st.sampled_from(["sl", "dpo"]))
def test_a_preset_only_shortens(rows, preset, method):
    facts = DataFacts(rows, 10, training="SL" if method == "sl" else "DPO")
    usual = recommend(facts, QWEN, method).recipe
    cut = recipe.with_preset(usual, facts, preset)
    assert 1 <= cut.steps(rows) <= usual.steps(rows)
    assert set(recipe.changed(cut, usual)) <= {"max_steps", "eval_every", "save_every"}
    assert recipe.validate(cut, facts) == ()
    assert recipe.with_preset(cut, facts, "full").steps(rows) == usual.steps(rows)


def test_presets_are_told_apart():
    usual = recommend(FACTS, QWEN).recipe
    for preset in typing.get_args(PresetId):
        assert recipe.preset_of(recipe.with_preset(usual, FACTS, preset), usual, FACTS) == preset
        assert recipe.PRESETS[preset].words.endswith(".")
    assert recipe.preset_of(recipe.with_max_steps(usual, 17), usual, FACTS) is None
