"""A recipe survives its files, refuses what cannot work, and says at which field."""

from __future__ import annotations

import math
import typing
from dataclasses import fields, replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from studio import methods, recipe
from studio.errors import SettingError
from studio.recipe import FIELDS, DataFacts, FieldSpec, Recipe
from studio.recipe.values import Schedule, TrainOn

PLAIN = Recipe(
    method="sl",
    model="Qwen/Qwen3-8B",
    renderer="qwen3_disable_thinking",
    learning_rate=4.7e-4,
    lora_rank=16,
    batch_size=16,
    epochs=3,
    lr_schedule="linear",
    eval_every=10,
    save_every=20,
    max_length=1024,
    train_on="last_assistant_message",
)

recipes = st.builds(
    Recipe,
    method=st.just("sl"),
    model=st.sampled_from(["nano", "Qwen/Qwen3-8B", "meta-llama/Llama-3.2-1B", "null", "1e3", "ja: nein"]),
    renderer=st.sampled_from(["qwen3", "role_colon", "yes"]),
    learning_rate=st.floats(min_value=1e-12, max_value=0.1),
    lora_rank=st.integers(1, 512),
    batch_size=st.integers(1, 4096),
    epochs=st.integers(1, 1000),
    lr_schedule=st.sampled_from(typing.get_args(Schedule)),
    eval_every=st.integers(0, 1_000_000),
    save_every=st.integers(0, 1_000_000),
    max_length=st.integers(16, 1_048_576),
    train_on=st.sampled_from(typing.get_args(TrainOn)),
    max_steps=st.none() | st.integers(1, 10_000_000),
    seed=st.integers(0, 2**31 - 1),
    adam_beta1=st.floats(0, 0.9999),
    adam_beta2=st.floats(0, 0.99999),
    adam_eps=st.floats(min_value=1e-12, max_value=0.01),
)


def _value_of(spec: FieldSpec) -> st.SearchStrategy:
    """Any value that one field can hold."""
    match spec.kind:
        case "choice":
            found = st.sampled_from([value for value, _ in spec.choices])
        case "reward":
            found = st.sampled_from(['{"kind":"exact"}', '{"kind":"number","tolerance":0.5}'])
        case "text":
            found = st.sampled_from(["a", "yes", "1e3", "You are polite.\n\nAnswer in French: oui."])
        case "whole":
            found = st.integers(math.ceil(spec.low), math.floor(spec.high))
        case _:
            found = st.floats(spec.low, spec.high, exclude_min=spec.above is not None)
    return st.none() | found if spec.optional else found


@st.composite
def any_recipe(draw: st.DrawFn) -> Recipe:
    method = draw(st.sampled_from([one.id for one in methods.METHODS]))
    kind = draw(st.sampled_from(["prompt", "on_policy"]))
    drawn = {spec.name: draw(_value_of(spec)) for spec in recipe.fields_of(method, kind)}
    fixed = {"method": method} | ({"distillation": kind} if method == "distill" else {})
    return Recipe(**{**drawn, **fixed})


@given(any_recipe())
def test_every_method_comes_back_from_json_and_yaml_unchanged(value):
    assert Recipe.from_json(value.to_json()) == value
    assert Recipe.from_yaml(value.to_yaml()) == value


def test_a_reward_is_written_as_the_mapping_that_it_is():
    reward = '{"kind":"number","tolerance":0.5}'
    value = Recipe.from_dict(
        {spec.name: getattr(PLAIN, spec.name) for spec in recipe.fields_of("rl")} | {"method": "rl", "reward": reward}
    )
    assert yaml.safe_load(value.to_yaml())["reward"] == {"kind": "number", "tolerance": 0.5}
    assert Recipe.from_yaml(value.to_yaml()) == value
    with pytest.raises(SettingError, match="mapping with a kind"):
        Recipe.from_dict({**value.to_dict(), "reward": "always good"})


def test_another_kind_of_distillation_brings_its_own_fields():
    value = Recipe.from_dict(
        {spec.name: getattr(PLAIN, spec.name) for spec in recipe.fields_of("distill")}
        | {"method": "distill", "teacher": "Qwen/Qwen3-32B", "teacher_prompt": "Be brief."}
    )
    on_policy = recipe.with_field(value, "distillation", "on_policy")
    assert on_policy.teacher_prompt == ""
    assert Recipe.from_yaml(on_policy.to_yaml()) == on_policy
    assert "kl_coef" in on_policy.to_dict()
    assert "teacher_prompt" not in on_policy.to_dict()


def test_each_method_has_the_fields_that_its_loop_takes():
    import chz
    from tinker_cookbook.distillation import train_on_policy
    from tinker_cookbook.preference import train_dpo
    from tinker_cookbook.rl import train
    from tinker_cookbook.supervised.types import ChatDatasetBuilderCommonConfig

    renamed = {
        "model": "model_name", "renderer": "renderer_name", "epochs": "num_epochs", "start_from": "load_checkpoint_path",
        "kl_coef": "kl_penalty_coef", "loss": "loss_fn", "substeps": "num_substeps",
        "drop_flat_groups": "remove_constant_reward_groups",
    }  # fmt: skip
    # What we use ourselves: to build the data sets, the rewards, the earlier stages and the limits of a run.
    own = {"method", "distillation", "seed", "budget_usd", "reward", "teacher", "teacher_prompt", "judge", "kl_limit"}
    loops = {"rl": train.Config, "rlhf": train.Config, "dpo": train_dpo.Config, "on_policy": train_on_policy.Config}
    for name, config in loops.items():
        method = "distill" if name == "on_policy" else name
        taken = set(chz.chz_fields(config)) | set(chz.chz_fields(ChatDatasetBuilderCommonConfig))
        for spec in recipe.fields_of(method, "on_policy"):
            earlier = spec.name.startswith(("judge", "warm_start"))
            sampled = spec.name in {"group_size", "epochs", "batch_size", "max_length"}
            assert renamed.get(spec.name, spec.name) in taken or spec.name in own or earlier or sampled, (name, spec.name)


@given(recipes)
def test_json_and_yaml_give_the_same_recipe_back(value):
    assert Recipe.from_json(value.to_json()) == value
    assert Recipe.from_yaml(value.to_yaml()) == value
    assert Recipe.from_dict(value.to_dict()) == value


@given(recipes)
def test_what_is_shown_can_be_typed_back(value):
    for name, content in value.to_dict().items():
        assert recipe.parse_field(name, FIELDS[name].show(content)) == content


def test_the_table_covers_the_recipe_in_its_order():
    assert list(FIELDS) == [field.name for field in fields(Recipe)]


def test_yaml_written_by_hand_is_read():
    by_hand = PLAIN.to_yaml().replace("learning_rate: 0.00047", "learning_rate: 4.7e-4").replace("epochs: 3", "epochs: 3.0")
    assert "4.7e-4" in by_hand
    assert Recipe.from_yaml(by_hand) == PLAIN


def test_a_recipe_from_before_a_field_existed_is_read():
    old = {name: value for name, value in PLAIN.to_dict().items() if name not in ("seed", "max_steps")}
    assert Recipe.from_dict(old) == PLAIN


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"learning_rat": 1e-4}, "learning_rat"),
        ({"learning_rate": 0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"learning_rate": True}, "learning_rate"),
        ({"learning_rate": [1e-4]}, "learning_rate"),
        ({"learning_rate": 1}, "learning_rate"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"batch_size": 10**400}, "batch_size"),
        ({"batch_size": None}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"lr_schedule": "zigzag"}, "lr_schedule"),
        ({"train_on": 3}, "train_on"),
        ({"method": "magic"}, "method"),
        ({"method": "rl"}, "lr_schedule"),
        ({"dpo_beta": 0.1}, "dpo_beta"),
        ({"model": "  "}, "model"),
        ({"max_steps": 0}, "max_steps"),
        ({"adam_beta2": 1.0}, "adam_beta2"),
    ],
)
def test_what_cannot_work_is_refused_at_its_field(change, field):
    with pytest.raises(SettingError) as caught:
        Recipe.from_dict({**PLAIN.to_dict(), **change})
    assert caught.value.where == field
    assert caught.value.what.endswith(".")


def test_a_missing_field_is_named():
    short = PLAIN.to_dict()
    del short["learning_rate"]
    with pytest.raises(SettingError, match="learning_rate"):
        Recipe.from_dict(short)


@pytest.mark.parametrize("text", ["", "3", "[1]", "{", "a: b: c", "!!python/object/apply:os.system ['true']", "1: 2"])
def test_files_that_are_no_recipe_are_refused(text):
    with pytest.raises(SettingError):
        Recipe.from_yaml(text)
    with pytest.raises(SettingError):
        Recipe.from_json(text)


@given(st.sampled_from(list(FIELDS)), st.text(max_size=20))
def test_any_typed_text_is_a_value_or_a_sentence(name, text):
    refused = None
    try:
        value = recipe.parse_field(name, text)
    except SettingError as error:
        refused = error
    if refused is None:
        assert FIELDS[name].problem(value) is None
    else:
        assert refused.where == name
        assert refused.what.endswith(".")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("learning_rate", " 3e-4 ", 3e-4),
        ("batch_size", "1_024", 1024),
        ("batch_size", "8.0", 8),
        ("max_steps", "", None),
        ("max_steps", "none", None),
        ("max_steps", "50", 50),
        ("lr_schedule", "cosine", "cosine"),
    ],
)
def test_typed_values(name, text, value):
    assert recipe.parse_field(name, text) == value


def test_an_unknown_field_is_refused():
    with pytest.raises(SettingError):
        recipe.parse_field("warmth", "1")
    with pytest.raises(SettingError, match="not used with Supervised learning") as caught:
        recipe.with_field(PLAIN, "temperature", "1")
    assert caught.value.where == "temperature"


def test_a_good_recipe_has_no_problem():
    assert recipe.validate(PLAIN) == ()
    assert recipe.validate(PLAIN, DataFacts(train_rows=16)) == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"batch_size": 17}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"max_length": 40_000}, "max_length"),
        ({"renderer": "llama3"}, "renderer"),
        ({"model": "gpt-2"}, "model"),
        ({"learning_rate": 2.0}, "learning_rate"),
        ({"learning_rate": float("inf")}, "learning_rate"),
        ({"epochs": True}, "epochs"),
    ],
)
def test_problems_stand_at_their_field(change, field):
    (problem,) = recipe.validate(replace(PLAIN, **change), DataFacts(train_rows=16))
    assert problem.field == field


def test_a_batch_larger_than_the_data_says_what_to_do():
    (problem,) = recipe.validate(replace(PLAIN, batch_size=32), DataFacts(train_rows=20))
    assert problem.message == (
        "A step needs 32 examples and you have 20 to train on, so no step would run. Choose 20 or fewer."
    )
    assert replace(PLAIN, batch_size=32).steps(20) == 0


def test_no_rows_is_a_problem():
    assert [problem.field for problem in recipe.validate(PLAIN, DataFacts(train_rows=0))] == ["batch_size"]


@given(rows=st.integers(1, 200), batch=st.integers(1, 64), epochs=st.integers(1, 5), limit=st.none() | st.integers(1, 50))
def test_steps_are_the_cookbooks(rows, batch, epochs, limit):
    """The rule of ``supervised.train``: whole batches times epochs, at most ``max_steps``."""
    whole_batches = len([start for start in range(0, rows, batch) if start + batch <= rows])
    expected = min(whole_batches * epochs, limit or 10**9)
    assert replace(PLAIN, batch_size=batch, epochs=epochs, max_steps=limit).steps(rows) == expected


def test_the_cookbooks_dataset_drops_the_last_partial_batch():
    import datasets
    from tinker_cookbook.supervised.data import SupervisedDatasetFromHFDataset

    rows = datasets.Dataset.from_list([{"n": n} for n in range(20)])
    for batch in (1, 3, 20, 32):
        cookbook = SupervisedDatasetFromHFDataset(rows, batch_size=batch, map_fn=lambda row: row)
        assert len(cookbook) == replace(PLAIN, batch_size=batch, epochs=1).steps(20)


def test_every_field_is_one_the_cookbook_takes():
    import chz
    from tinker_cookbook.renderers import TrainOnWhat
    from tinker_cookbook.supervised.train import Config
    from tinker_cookbook.supervised.types import ChatDatasetBuilderCommonConfig
    from tinker_cookbook.utils.lr_scheduling import LRSchedule

    taken = set(chz.chz_fields(Config)) | set(chz.chz_fields(ChatDatasetBuilderCommonConfig))
    renamed = {"model": "model_name", "renderer": "renderer_name", "epochs": "num_epochs", "train_on": "train_on_what"}
    renamed |= {"start_from": "load_checkpoint_path"}
    ours = {renamed.get(spec.name, spec.name) for spec in recipe.fields_of("sl")} - {"method", "seed", "budget_usd"}
    assert ours <= taken
    assert typing.get_args(Schedule) == typing.get_args(LRSchedule)
    assert set(typing.get_args(TrainOn)) <= {target.value for target in TrainOnWhat}
    assert typing.get_args(TrainOn) == tuple(value for value, _ in FIELDS["train_on"].choices)
    config = chz.chz_fields(Config)
    for name in ("adam_beta1", "adam_beta2", "adam_eps", "lr_schedule", "max_steps"):
        assert getattr(PLAIN, name) == config[name]._default


def test_with_field_and_changed():
    edited = recipe.with_field(recipe.with_field(PLAIN, "epochs", "5"), "learning_rate", "1e-3")
    assert recipe.changed(edited, PLAIN) == ("learning_rate", "epochs")
    assert recipe.changed(PLAIN, PLAIN) == ()
    with pytest.raises(SettingError) as caught:
        recipe.with_field(PLAIN, "epochs", "many")
    assert caught.value.where == "epochs"


def test_with_max_steps():
    assert recipe.with_max_steps(PLAIN, 7).steps(1_000) == 7
    assert recipe.with_max_steps(recipe.with_max_steps(PLAIN, 7), None) == PLAIN
    with pytest.raises(SettingError):
        recipe.with_max_steps(PLAIN, 0)


def test_warnings_are_sentences_beside_fields():
    facts = DataFacts(train_rows=100, validation_rows=0, p95_tokens=2_000)
    assert [warning.field for warning in recipe.warnings(PLAIN, facts)] == ["max_length", "eval_every"]
    calm = DataFacts(train_rows=100, validation_rows=10, p95_tokens=200)
    assert recipe.warnings(PLAIN, calm) == ()
    assert [warning.field for warning in recipe.warnings(replace(PLAIN, eval_every=0), calm)] == ["eval_every"]


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(None, "time not known"), (0.2, "under a minute"), (1.2, "about 2 min"), (89, "about 89 min"), (180, "about 3 h")],
)
def test_durations_in_words(minutes, words):
    assert recipe.about(minutes) == words


def test_time_is_estimated_only_where_it_was_measured(measured_nano):
    nano = replace(PLAIN, model="nano", renderer="qwen3_instruct", max_length=512, batch_size=32, epochs=12)
    facts = DataFacts(train_rows=320)
    assert nano.steps(320) == 120
    assert recipe.minutes(nano, facts) == pytest.approx(120 * 0.5 / 60)
    assert recipe.minutes(replace(nano, batch_size=16), facts) == pytest.approx(240 * 0.25 / 60)
    assert recipe.minutes(PLAIN, facts) is None


def test_facts_of_a_split_data_set(tmp_path):
    from studio.data.types import (
        Dataset,
        Inspection,
        Lengths,
        LengthStats,
        Part,
        Shape,
        SplitPlan,
    )

    inspection = Inspection(
        file_name="a.csv",
        format="csv",
        encoding="utf-8",
        delimiter=",",
        columns=("prompt", "completion"),
        shape=Shape("prompt_completion", (("prompt", "prompt"), ("completion", "completion")), True, ""),
        rows_total=100,
        rows_usable=100,
        rows_rejected=0,
        duplicate_rows=0,
        findings=(),
        preview_columns=(),
        preview=(),
        example=None,
        lengths=LengthStats(Lengths(40, 90, 120, 5_000), Lengths(80, 190, 300, 9_000)),
        fingerprint="",
        bytes=1,
        folder=tmp_path,
    )
    parts = [Part(tmp_path, rows) for rows in (70, 20, 10)]
    dataset = Dataset(tmp_path, "a", inspection, SplitPlan("p", 70, 20, 10), *parts, 0, 0, {})
    assert recipe.facts_of(dataset) == DataFacts(
        70, 20, 10, mean_chars=140.0, p95_chars=280, max_chars=420, prompt_chars=50.0, answer_chars=90.0
    )
    chat = replace(inspection, shape=replace(inspection.shape, kind="messages"))
    assert recipe.facts_of(replace(dataset, inspection=chat)).multi_turn
    pairs = replace(inspection, shape=replace(inspection.shape, kind="preference", training="DPO"))
    assert recipe.facts_of(replace(dataset, inspection=pairs)).training == "DPO"
    assert recipe.facts_of(replace(dataset, inspection=replace(inspection, shape=None))).training == "SL"


@pytest.mark.parametrize(("training", "words"), [("DPO", "better and a worse answer"), ("RL", "right answer or a score")])
def test_data_that_cannot_be_trained_on_yet_is_refused_with_a_way_out(training, words):
    facts = DataFacts(train_rows=320, validation_rows=40, test_rows=40, training=training)
    (problem,) = [problem for problem in recipe.validate(PLAIN, facts) if problem.field == "method"]
    assert words in problem.message
    assert "choose that where the file is checked" in problem.message
    with pytest.raises(SettingError, match=words) as caught:
        recipe.recommend(facts, PLAIN.model)
    assert caught.value.where == "method"
    assert not [problem for problem in recipe.validate(PLAIN, replace(facts, training="SL")) if problem.field == "method"]


def test_yaml_is_meant_for_people():
    assert list(yaml.safe_load(PLAIN.to_yaml())) == [spec.name for spec in recipe.fields_of("sl")]
    assert PLAIN.to_yaml().startswith("method: sl\nmodel: Qwen/Qwen3-8B\n")
