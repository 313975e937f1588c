"""The catalogue says what the cookbook says, and the cookbook knows ``nano`` after it was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from studio import models
from studio.errors import NotFoundError, SettingError
from studio.models import lineup
from studio.settings import Settings

hosted = pytest.mark.parametrize("model", lineup._hosted(), ids=lambda model: model.name)


@hosted
def test_hosted_figures_are_the_cookbooks(model):
    from tinker_cookbook import hyperparam_utils, model_info

    attributes = model_info.get_model_attributes(model.wire_name)
    assert model.hidden_size == hyperparam_utils._get_hidden_size(model.wire_name)
    assert model.trainable_parameters(8) == hyperparam_utils.get_lora_param_count(model.wire_name, lora_rank=8)
    assert set(model.renderers) <= set(attributes.recommended_renderers)
    assert model.size == attributes.size_str
    assert (model.kind == "base") == (not attributes.is_chat)


@hosted
def test_calibrated_exactly_where_the_cookbook_has_a_formula(model):
    from tinker_cookbook import hyperparam_utils
    from tinker_cookbook.exceptions import ConfigurationError

    if model.calibrated:
        assert hyperparam_utils.get_lr(model.wire_name) > 0
    else:
        with pytest.raises((NotImplementedError, ConfigurationError)):
            hyperparam_utils.get_lr(model.wire_name)


def test_lora_size_by_shape_is_the_cookbooks_for_a_dense_qwen3():
    qwen3_8b = {
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
    }
    assert lineup.lora_parameters_per_rank(qwen3_8b) == models.get("Qwen/Qwen3-8B").lora_per_rank


def test_nano_is_read_from_its_files(measured_nano):
    nano = models.get("nano")
    assert models.get("tuning-fork/nano") == nano
    assert (nano.hidden_size, nano.context, nano.local, nano.calibrated) == (128, 512, True, False)
    assert nano.renderer == "qwen3_instruct"
    assert nano.folder == measured_nano
    assert nano.measured is not None
    assert (nano.measured.learning_rate, nano.measured.runs) == (0.004, 3)
    assert nano.trainable_parameters(2) == 2 * nano.lora_per_rank
    assert nano.size == "1.7M"


def test_measuring_again_is_noticed(measured_nano):
    before = models.get("nano")
    path = measured_nano / "measured.json"
    again = {**json.loads(path.read_text(encoding="utf-8")), "learning_rate": 0.002}
    path.write_text(json.dumps(again), encoding="utf-8")

    os.utime(path, ns=(0, 1))
    assert before.measured is not None
    assert models.get("nano").measured == replace(before.measured, learning_rate=0.002)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"learning_rate": "fast"}'])
def test_measurements_that_cannot_be_read_are_named(measured_nano, text):
    path = measured_nano / "measured.json"
    path.write_text(text, encoding="utf-8")

    os.utime(path, ns=(0, len(text)))
    with pytest.raises(SettingError) as caught:
        models.get("nano")
    assert caught.value.where == str(path)


def test_a_measurement_of_zero_is_refused(measured_nano):
    path = measured_nano / "measured.json"
    broken = {**json.loads(path.read_text(encoding="utf-8")), "seconds_per_step": 0}
    path.write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(SettingError):
        lineup._measured(path)


def test_missing_files_say_what_to_do(tmp_path):
    with pytest.raises(NotFoundError) as caught:
        models.nano_in(tmp_path)
    assert caught.value.next_step


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(NotFoundError) as caught:
        models.get("gpt-2")
    assert "nano" in caught.value.next_step
    assert "Qwen/Qwen3-8B" in caught.value.next_step


@pytest.mark.parametrize(("place", "first"), [("embedded", "nano"), ("hosted", "Qwen/Qwen3.5-4B")])
def test_catalogue_follows_the_place(measured_nano, tmp_path, place, first):
    names = [model.name for model in models.catalogue(Settings(home=tmp_path, place=place))]
    assert names[0] == first
    assert ("nano" in names) == (place == "embedded")
    assert len(names) == len(set(names))


def test_every_fact_is_dated(measured_nano):
    for model in models.everything():
        assert model.as_of == "2026-11-21"
        assert model.source
        assert model.licence
        assert model.notes.endswith(".")
        assert model.context >= 256


def test_importing_is_light():
    code = (
        "import sys, studio.models, studio.recipe, studio.methods;"
        "heavy = {'torch', 'transformers', 'tinker', 'tinker_cookbook', 'duckdb', 'gradio', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def told_cookbook(measured_nano, monkeypatch):
    """A cookbook that knows a small tokenizer as nano's; forgotten afterwards."""
    from tinker_cookbook import model_info, tokenizer_utils

    _write_tokenizer(measured_nano)
    monkeypatch.setattr(model_info, "get_model_attributes", model_info.get_model_attributes)
    monkeypatch.setattr(tokenizer_utils, "_CUSTOM_TOKENIZER_REGISTRY", {})
    models.register_with_cookbook()
    models.register_with_cookbook()


def _write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
    from tokenizers.models import BPE
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=marks, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    raw.train_from_iterator(["user assistant system say hello to the world"], trainer)
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>").save_pretrained(folder)


def test_the_cookbook_knows_nano(told_cookbook):
    from tinker_cookbook import model_info, renderers, tokenizer_utils

    name = "tuning-fork/nano"
    tokenizer = tokenizer_utils.get_tokenizer(name)
    assert tokenizer_utils.get_tokenizer(name) is tokenizer
    renderer_name = model_info.get_recommended_renderer_name(name)
    assert renderer_name == models.get("nano").renderer
    renderer = renderers.get_renderer(renderer_name, tokenizer)
    prompt = renderer.build_generation_prompt([{"role": "user", "content": "hello"}])
    assert tokenizer.decode(prompt.to_ints()) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert renderer.get_stop_sequences() == [tokenizer.convert_tokens_to_ids("<|im_end|>")]


def test_other_models_are_as_before(told_cookbook):
    from tinker_cookbook import model_info
    from tinker_cookbook.exceptions import ConfigurationError

    assert model_info.get_recommended_renderer_names("Qwen/Qwen3-8B") == ["qwen3", "qwen3_disable_thinking"]
    with pytest.raises(ConfigurationError):
        model_info.get_recommended_renderer_name("tuning-fork/other")


def test_nanos_training_examples_teach_the_answer_only(told_cookbook):
    from tinker_cookbook import renderers, tokenizer_utils

    tokenizer = tokenizer_utils.get_tokenizer("tuning-fork/nano")
    renderer = renderers.get_renderer(models.get("nano").renderer, tokenizer)
    conversation = [{"role": "user", "content": "say hello"}, {"role": "assistant", "content": "hello"}]
    tokens, weights = renderer.build_supervised_example(
        conversation, train_on_what=renderers.TrainOnWhat.LAST_ASSISTANT_MESSAGE
    )
    taught = [token for token, weight in zip(tokens.to_ints(), weights.tolist(), strict=True) if weight > 0]
    assert tokenizer.decode(taught) == "hello<|im_end|>"


def test_the_shipped_nano_is_complete():
    nano = models.get("nano")
    assert nano.folder is not None
    assert 1_000_000 <= lineup._dense_parameters(lineup._json(nano.folder / "config.json")) <= 4_500_000
    assert nano.measured is not None
