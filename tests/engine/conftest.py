"""A tiny random Qwen3 model and one engine process for the whole room."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker
import torch
from tinker import types
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from studio.engine.launch import Engine, start_engine
from studio.settings import Settings

os.environ.setdefault("TINKER_TELEMETRY", "0")
torch.set_num_threads(1)

SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def build_model(folder: Path, *, hidden: int = 32, layers: int = 2, seed: int = 0) -> Path:
    """A byte-level Qwen3 with random weights, large enough ones that its predictions differ clearly."""
    vocabulary = {letter: index for index, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    for special in SPECIALS:
        vocabulary[special] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=SPECIALS[2], pad_token=SPECIALS[0]).save_pretrained(folder)
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(vocabulary),
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=hidden // 4,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        initializer_range=0.2,
        eos_token_id=vocabulary[SPECIALS[2]],
        pad_token_id=vocabulary[SPECIALS[0]],
        bos_token_id=None,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def engine_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engine-home")


@pytest.fixture(scope="session")
def engine(tiny_model: Path, engine_home: Path) -> Iterator[Engine]:
    with start_engine(Settings(home=engine_home), [str(tiny_model)], log=engine_home / "engine.log", threads=1) as running:
        yield running


@pytest.fixture
def service(engine: Engine) -> Iterator[tinker.ServiceClient]:
    client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
    yield client
    client.close("success").result()


@pytest.fixture
def rest(engine: Engine) -> tinker.RestClient:
    return tinker.RestClient(base_url=engine.base_url, api_key=engine.api_key.reveal())


@pytest.fixture
def base_model(tiny_model: Path) -> str:
    return str(tiny_model)


@pytest.fixture
def training(service: tinker.ServiceClient, base_model: str) -> Any:
    return service.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()


@pytest.fixture
def sampler(service: tinker.ServiceClient, base_model: str) -> Any:
    return service.create_sampling_client(base_model=base_model).result()


@pytest.fixture
def outside(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A neutral folder, because the cookbook writes the diff of the working folder, and logging as it was before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINKER_API_KEY", engine.api_key.reveal())
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.setLevel(level)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def tokens(length: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 256, length).tolist()


def datum(length: int, seed: int, *, weights: list[float] | None = None) -> types.Datum:
    sequence = tokens(length + 1, seed)
    inputs: dict[str, Any] = {"target_tokens": sequence[1:], "weights": weights or [1.0] * length}
    return types.Datum(model_input=types.ModelInput.from_ints(sequence[:-1]), loss_fn_inputs=inputs)


def batch(count: int = 6, seed: int = 0) -> list[types.Datum]:
    lengths = np.random.default_rng(1000 + seed).integers(3, 40, count)
    return [datum(int(length), seed * 100 + index) for index, length in enumerate(lengths)]
