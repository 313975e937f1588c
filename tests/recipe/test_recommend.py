"""What is recommended always works, says why with the numbers of the data, and never claims more than is known."""

from __future__ import annotations

import json
import os
import typing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studio import models, recipe
from studio.errors import NotFoundError, SettingError
from studio.models import lineup
from studio.recipe import DataFacts, rates, recommend

HOSTED = lineup._hosted()
SOME = DataFacts(train_rows=350, validation_rows=100, test_rows=50, mean_chars=300, p95_chars=700, max_chars=1_500)

facts_strategy = st.builds(
    DataFacts,
    train_rows=st.integers(3, 1_000_000) | st.integers(3, 3_000),
    validation_rows=st.integers(0, 200_000),
    test_rows=st.integers(0, 200_000),
    mean_tokens=st.none() | st.floats(1, 100_000),
    p95_tokens=st.none() | st.floats(1, 100_000),
    max_tokens=st.none() | st.integers(0, 10_000_000),
    mean_chars=st.none() | st.floats(0, 100_000),
    p95_chars=st.none() | st.floats(0, 100_000),
    max_chars=st.none() | st.integers(0, 10_000_000),
    multi_turn=st.booleans(),
)
anything_goes = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)


@anything_goes
@given(facts=facts_strategy, pick=st.integers(0, len(HOSTED)))
def test_recommendations_validate_for_any_data_and_model(measured_nano, facts, pick):
    model = (models.get("nano"), *HOSTED)[pick]
    found = recommend(facts, model)
    assert recipe.validate(found.recipe, facts) == ()
    assert found.steps == found.recipe.steps(facts.train_rows) >= 1
    assert found.recipe.batch_size <= facts.train_rows
    assert recipe.Recipe.from_yaml(found.recipe.to_yaml()) == found.recipe


@anything_goes
@given(rows=st.integers(3, 1_000_000))
def test_enough_steps_wherever_the_data_allows(rows):
    found = recommend(DataFacts(train_rows=rows), "Qwen/Qwen3-8B")
    assert found.steps >= min(100, rows * 10)


def test_recommendations_validate_without_a_measurement(unmeasured_nano):
    for rows in (1, 2, 3, 50, 5_000):
        facts = DataFacts(train_rows=rows)
        assert recipe.validate(recommend(facts, "nano").recipe, facts) == ()


@pytest.mark.parametrize("model", [model for model in HOSTED if model.calibrated], ids=lambda model: model.name)
def test_learning_rate_is_the_cookbooks(model):
    from tinker_cookbook.hyperparam_utils import get_lr

    exact = recipe.formula_learning_rate(model.hidden_size, recipe.EXPONENTS[model.family])
    assert exact == pytest.approx(get_lr(model.wire_name), rel=1e-12)
    found = recommend(SOME, model)
    assert found.badge == "calibrated"
    assert found.recipe.learning_rate == pytest.approx(get_lr(model.wire_name), rel=1e-6)


@pytest.mark.parametrize(
    ("hidden", "family", "expected"),
    [
        (2000, "qwen", 5e-4),
        (2000, "llama", 5e-4),
        (4096, "qwen", 4.7298e-4),
        (4096, "llama", 2.8564e-4),
        (8192, "llama", 1.66233e-4),
    ],
)
def test_learning_rates_worked_out_by_hand(hidden, family, expected):
    assert recipe.formula_learning_rate(hidden, recipe.EXPONENTS[family]) == pytest.approx(expected, rel=1e-4)


@given(small=st.integers(64, 20_000), more=st.integers(1, 20_000), exponent=st.sampled_from(sorted(recipe.EXPONENTS.values())))
def test_wider_models_take_smaller_steps(small, more, exponent):
    assert recipe.formula_learning_rate(small + more, exponent) < recipe.formula_learning_rate(small, exponent)


@pytest.mark.parametrize("model", [model for model in HOSTED if not model.calibrated], ids=lambda model: model.name)
def test_models_without_a_formula_are_not_calibrated(model):
    found = recommend(SOME, model)
    assert found.badge == "not calibrated"
    assert found.recipe.learning_rate == recipe.CAUTIOUS_LEARNING_RATE
    assert "no" in found.badge_reason.lower()
    assert "get_lr" not in found.setting("learning_rate").source


def test_the_careful_rate_is_the_cookbooks_own_default():
    import chz
    from tinker_cookbook.supervised.train import Config

    assert chz.chz_fields(Config)["learning_rate"]._default == recipe.CAUTIOUS_LEARNING_RATE


def test_a_relative_of_a_calibrated_model_is_borrowed():
    relative = replace(
        models.get("Qwen/Qwen3-8B"), name="Qwen/Qwen3-0.6B", label="Qwen3-0.6B", calibrated=False, hidden_size=1024
    )
    found = recommend(SOME, relative)
    assert found.badge == "borrowed"
    assert "Qwen3-0.6B" in found.badge_reason
    assert found.recipe.learning_rate == pytest.approx(recipe.formula_learning_rate(1024, 0.0775), rel=1e-6)


def test_nano_takes_what_was_measured(measured_nano):
    found = recommend(SOME, "nano")
    chosen = found.recipe
    assert found.badge == "measured by us"
    assert (chosen.learning_rate, chosen.lora_rank, chosen.batch_size) == (0.004, 16, 32)
    assert (chosen.epochs, found.steps) == (12, 120)
    assert found.minutes_estimate == pytest.approx(1.0)
    assert "3 runs" in found.badge_reason
    assert "2 CPU cores" in found.badge_reason
    assert "python -m studio.engine.nano measure" in found.setting("learning_rate").source


def test_nano_without_a_measurement_says_so(unmeasured_nano):
    found = recommend(SOME, "nano")
    assert found.badge == "not calibrated"
    assert found.recipe.learning_rate == recipe.CAUTIOUS_LEARNING_RATE
    assert found.minutes_estimate is None


@pytest.mark.parametrize(
    ("rows", "batch", "epochs", "steps", "rank"),
    [
        (3, 1, 10, 30, 8),
        (20, 2, 10, 100, 8),
        (70, 4, 6, 102, 8),
        (350, 16, 5, 105, 16),
        (1_000, 32, 4, 124, 32),
        (8_000, 64, 2, 250, 32),
        (80_000, 128, 2, 1_250, 64),
        (1_000_000, 128, 1, 7_812, 64),
    ],
)
def test_sizes(rows, batch, epochs, steps, rank):
    found = recommend(DataFacts(train_rows=rows), "Qwen/Qwen3-8B")
    chosen = found.recipe
    assert (chosen.batch_size, chosen.epochs, found.steps, chosen.lora_rank) == (batch, epochs, steps, rank)


def test_too_little_data_is_said():
    reason = recommend(DataFacts(train_rows=3), "Qwen/Qwen3-8B").setting("epochs").reason
    assert "only 30" in reason
    assert "memorise" in reason


def test_rank_grows_with_what_there_is_to_learn():
    small = models.get("meta-llama/Llama-3.2-1B")
    facts = DataFacts(train_rows=50_000, mean_tokens=1_500)
    found = recommend(facts, small)
    assert found.recipe.lora_rank == 128
    assert small.trainable_parameters(64) < 50_000 * 1_500 <= small.trainable_parameters(128)
    assert "75,000,000" in found.setting("lora_rank").reason
    crowded = recommend(replace(facts, mean_tokens=15_000), small)
    assert crowded.recipe.lora_rank == 128
    assert "fewer than" in crowded.setting("lora_rank").reason


@pytest.mark.parametrize(
    ("longest", "expected"), [(10, 256), (300, 512), (420, 1_024), (30_000, 32_768), (90_000, 32_768), (None, 32_768)]
)
def test_length_leaves_room_and_stays_inside_the_model(longest, expected):
    found = recommend(DataFacts(train_rows=100, max_tokens=longest), "Qwen/Qwen3-8B")
    assert found.recipe.max_length == expected
    assert ("cut off" in found.setting("max_length").reason) == (longest is not None)


def test_an_estimated_length_leaves_room_for_scripts_that_cost_a_token_for_each_character():
    found = recommend(DataFacts(train_rows=100, max_chars=3_000), "Qwen/Qwen3-8B")
    assert found.recipe.max_length == 4_096
    assert "about 760 tokens" in found.setting("max_length").reason


def test_checks_and_saves_follow_the_run():
    found = recommend(SOME, "Qwen/Qwen3-8B").recipe
    assert (found.eval_every, found.save_every) == (15, 21)
    assert recommend(replace(SOME, validation_rows=0), "Qwen/Qwen3-8B").recipe.eval_every == 0


@given(rows=st.integers(8, 200_000))
def test_the_number_of_checks_is_small_and_said_as_it_is(rows):
    found = recommend(replace(SOME, train_rows=rows), "Qwen/Qwen3-8B")
    every, steps = found.recipe.eval_every, found.steps
    checks = len(range(0, steps, every)) + 1
    assert checks <= 8
    assert checks >= 5 or every == 1
    assert found.setting("eval_every").reason.startswith(f"{checks} checks")


def test_conversations_teach_every_answer():
    assert recommend(SOME, "Qwen/Qwen3-8B").recipe.train_on == "last_assistant_message"
    found = recommend(replace(SOME, multi_turn=True), "Qwen/Qwen3-8B")
    assert found.recipe.train_on == "all_assistant_messages"
    assert "earlier answers" in found.setting("train_on").reason
    plain = recommend(replace(SOME, multi_turn=True), "Qwen/Qwen3-4B-Instruct-2507")
    assert "earlier answers" not in plain.setting("train_on").reason


@pytest.mark.parametrize("name", ["nano", "Qwen/Qwen3-8B", "openai/gpt-oss-20b", "meta-llama/Llama-3.2-1B"])
def test_every_setting_has_words(measured_nano, name):
    found = recommend(SOME, name)
    assert [setting.name for setting in found.settings] == [spec.name for spec in recipe.fields_of("sl")]
    for setting in found.settings:
        assert setting.value == getattr(found.recipe, setting.name)
        assert recipe.parse_field(setting.name, setting.text) == setting.value
        assert setting.reason.endswith(".")
        assert "!" not in setting.reason
        assert setting.source
        assert setting.label
        assert setting.term
        assert not setting.choices or setting.value in dict(setting.choices)
    assert "350" in found.setting("batch_size").reason
    assert "warm-up" in found.setting("lr_schedule").reason


#: Data of the kind that each method learns from.
FOR = {"sl": "SL", "rl": "RL", "dpo": "DPO", "rlhf": "DPO", "distill": "SL"}
KINDS = [
    ("sl", "prompt"),
    ("rl", "prompt"),
    ("dpo", "prompt"),
    ("rlhf", "prompt"),
    ("distill", "prompt"),
    ("distill", "on_policy"),
]
every_method = pytest.mark.parametrize(("method", "kind"), KINDS, ids=lambda one: one)
dials = st.sampled_from(typing.get_args(recipe.Dial))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@every_method
@given(facts=facts_strategy, pick=st.integers(0, len(HOSTED)), dial=dials)
def test_every_method_validates_but_for_what_only_the_person_can_say(measured_nano, method, kind, facts, pick, dial):
    model = (models.get("nano"), *HOSTED)[pick]
    # What a judge cannot be examined on, no setting can cure.
    least = 3 if method == "rlhf" else 0
    facts = replace(facts, training=FOR[method], validation_rows=max(least, facts.validation_rows))
    found = recommend(facts, model, method, dial=dial, distillation=kind)
    assert {problem.field for problem in recipe.validate(found.recipe, facts)} == set(found.asks)
    assert set(found.asks) <= {"reward", "teacher", "teacher_prompt"}
    assert found.steps >= 1
    if not found.asks:
        assert recipe.Recipe.from_yaml(found.recipe.to_yaml()) == found.recipe


@every_method
@pytest.mark.parametrize("name", ["nano", "Qwen/Qwen3-8B", "openai/gpt-oss-20b", "Qwen/Qwen3-8B-Base"])
def test_every_setting_of_every_method_has_value_reason_source_and_badge(measured_nano, method, kind, name):
    found = recommend(replace(SOME, training=FOR[method]), name, method, distillation=kind, reward='{"kind":"exact"}')
    assert [setting.name for setting in found.settings] == [spec.name for spec in recipe.fields_of(method, kind)]
    for setting in found.settings:
        assert setting.value == getattr(found.recipe, setting.name)
        assert setting.reason.endswith(".")
        assert setting.reason[0].isupper() or not setting.reason[0].isalpha()
        assert setting.source
        assert setting.badge in typing.get_args(recipe.Badge)
    assert found.setting("learning_rate").badge == found.badge


@pytest.mark.parametrize(
    ("method", "kind", "rate", "badge"),
    [
        ("rl", "prompt", 1e-4, "borrowed"),
        ("dpo", "prompt", 1e-5, "borrowed"),
        ("rlhf", "prompt", 1e-5, "borrowed"),
        ("distill", "prompt", 4.729791e-4, "calibrated"),
        ("distill", "on_policy", 1e-4, "borrowed"),
    ],
)
def test_rates_of_the_other_methods(method, kind, rate, badge):
    found = recommend(replace(SOME, training=FOR[method]), "Qwen/Qwen3-8B", method, distillation=kind)
    assert (found.recipe.learning_rate, found.badge) == (rate, badge)


def test_rates_are_those_of_the_cookbooks_recipes():
    import chz
    from tinker_cookbook.preference import train_dpo
    from tinker_cookbook.recipes.preference.rlhf.rlhf_pipeline import CLIConfig

    assert chz.chz_fields(train_dpo.Config)["learning_rate"]._default == rates.DPO_RATES[1]
    assert chz.chz_fields(CLIConfig)["rl_learning_rate"]._default == rates._PIPELINE_RL
    assert chz.chz_fields(CLIConfig)["rm_learning_rate"]._default == rates._PIPELINE_JUDGE
    # That recipe cannot be imported without its extra packages.
    math_rl = Path(train_dpo.__file__).parents[1] / "recipes/math_rl/train.py"
    assert f"learning_rate: float = {rates._CAUTIOUS_RL:g}".replace("1e-05", "1e-5") in math_rl.read_text(encoding="utf-8")


def test_a_rate_follows_the_square_root_of_the_batch(measured_nano):
    assert rates.for_batch(1e-4, 32, 128) == pytest.approx(5e-5)
    few = recommend(replace(SOME, train_rows=320), "nano")
    fewer = recommend(replace(SOME, train_rows=80), "nano")
    assert (few.recipe.batch_size, few.recipe.learning_rate) == (32, 0.004)
    assert (fewer.recipe.batch_size, fewer.recipe.learning_rate) == (8, 0.002)
    assert "√(8 / 32)" in fewer.badge_reason


@every_method
def test_the_dial_turns_the_few_that_matter_and_nothing_else(method, kind):
    facts = replace(SOME, training=FOR[method])
    gentle, usual, thorough = (
        recommend(facts, "Qwen/Qwen3-8B", method, dial=dial, distillation=kind) for dial in typing.get_args(recipe.Dial)
    )
    turned = {"learning_rate", "epochs", "eval_every", "save_every", "group_size"}
    assert set(recipe.changed(gentle.recipe, usual.recipe)) <= turned
    assert set(recipe.changed(thorough.recipe, usual.recipe)) <= turned
    assert gentle.recipe.learning_rate < usual.recipe.learning_rate == thorough.recipe.learning_rate
    assert gentle.steps < usual.steps < thorough.steps
    if method == "dpo":
        assert 1e-6 <= gentle.recipe.learning_rate <= 1e-5


def test_few_questions_are_answered_more_often():
    few = recommend(DataFacts(train_rows=50, training="RL"), "Qwen/Qwen3-8B", "rl").recipe
    many = recommend(DataFacts(train_rows=5_000, training="RL"), "Qwen/Qwen3-8B", "rl").recipe
    assert (few.group_size, many.group_size) == (16, 8)
    assert few.steps(50) >= 100


def test_a_teacher_is_bigger_and_cuts_text_the_same_way():
    found = recommend(SOME, "Qwen/Qwen3.5-4B", "distill", distillation="on_policy").recipe
    teacher, student = models.get(found.teacher), models.get("Qwen/Qwen3.5-4B")
    assert teacher.tokenizer == student.tokenizer
    assert teacher.parameters > student.parameters
    assert not [one for one in models.everything() if one.teaches(models.get("moonshotai/Kimi-K2-Thinking"))]


def test_what_we_measured_for_a_method_wins(measured_nano):
    path = measured_nano / "measured.json"
    row = {
        "settings": {"learning_rate": 0.002, "batch_size": 16, "group_size": 4, "max_tokens": 16, "lora_rank": 8},
        "min_steps": 60,
        "max_epochs": 10,
        "seconds_per_step": 2.0,
        "measured_on": "2026-11-21",
        "command": "tuning-fork train --sample arithmetic --method rl",
        "runs": [{}, {}],
    }
    text = json.dumps({**json.loads(path.read_text(encoding="utf-8")), "methods": {"rl": row}})
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(0, 7))
    found = recommend(replace(SOME, training="RL", train_rows=160), "nano", "rl")
    chosen = found.recipe
    assert (chosen.learning_rate, chosen.batch_size, chosen.group_size) == (0.002, 16, 4)
    assert (chosen.max_tokens, chosen.lora_rank, found.steps) == (16, 8, 60)
    assert found.setting("group_size").badge == found.badge == "measured by us"
    assert found.minutes_estimate == pytest.approx(2.0)
    path.write_text(text.replace('"min_steps": 60', '"min_steps": "soon"'), encoding="utf-8")
    os.utime(path, ns=(0, 8))
    with pytest.raises(SettingError, match=r"measured settings of a method"):
        models.get("nano")


def test_an_unknown_method_is_refused():
    with pytest.raises(NotFoundError):
        recommend(SOME, "Qwen/Qwen3-8B", "magic")


def test_no_data_is_refused():
    with pytest.raises(SettingError):
        recommend(DataFacts(train_rows=0), "Qwen/Qwen3-8B")


def test_an_unknown_setting_is_refused():
    with pytest.raises(SettingError):
        recommend(SOME, "Qwen/Qwen3-8B").setting("temperature")
