"""Models of the Hub by name, from a cache without a network; models that do not fit are refused before they are read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tinker
import torch
from tinker import types
from transformers import AutoConfig

from studio.engine import fit
from studio.engine.base import Base
from studio.engine.launch import start_engine
from studio.engine.specs import spec_for
from studio.errors import EngineError
from studio.settings import Settings
from tests.engine.conftest import batch

CPU = torch.device("cpu")


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's cache with one model in it, laid out as the Hub's client does."""
    home = tmp_path / "hub" / "models--someone--tiny"
    shutil.copytree(tiny_model, home / "snapshots" / "abc123")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("abc123")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return home


def test_a_cached_model_of_the_hub_is_served_by_name_without_a_network(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert hub.is_dir()
    with start_engine(Settings(home=tmp_path / "home"), ["someone/tiny"], threads=1) as engine:
        assert engine.models == ("someone/tiny",)
        client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        training = client.create_lora_training_client(base_model="someone/tiny", rank=2).result()
        assert training.forward_backward(batch(), "cross_entropy").result().metrics["loss:sum"] > 0
        sampler = client.create_sampling_client(base_model="someone/tiny").result()
        sampled = sampler.sample(types.ModelInput.from_ints([1, 2, 3]), 1, types.SamplingParams(max_tokens=4)).result()
        assert sampled.sequences[0].tokens
        client.close("success").result()


def test_a_model_that_is_nowhere_is_refused_with_a_way_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))
    with pytest.raises(EngineError, match=r"cannot be (reached|loaded)") as refused:
        Base(spec_for("someone/that-is-not-there"), "cpu")
    assert refused.value.next_step


def test_weights_are_counted_without_taking_memory(tiny_model: Path) -> None:
    config = AutoConfig.from_pretrained(tiny_model)
    held = sum(parameter.numel() for parameter in Base(spec_for(str(tiny_model)), "cpu").model.parameters())
    assert fit.weight_bytes(config, torch.float32) == 4 * held
    assert fit.weight_bytes(config, torch.bfloat16) == 2 * held
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 8192, 28672, 60
    config.layer_types = ["full_attention"] * 60
    assert fit.weight_bytes(config, torch.bfloat16) > 60e9, "a model that no test machine could hold"


def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_read(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "unreadable"
    folder.mkdir()
    shutil.copy(tiny_model / "config.json", folder)
    monkeypatch.setattr(fit, "free_bytes", lambda _: 100_000_000)
    with pytest.raises(EngineError, match=r"needs about 0\.5 GB of memory, and 0\.1 GB are free on this machine") as refused:
        Base(spec_for(str(folder)), "cpu")
    assert "smaller model" in refused.value.next_step


def test_what_is_free_is_known_here() -> None:
    assert 0 < fit.free_bytes(CPU) <= 2**50


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert fit.free_bytes(CPU) == 2_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert fit.free_bytes(CPU) > 2_000_000


def test_files_that_a_container_keeps_in_memory_are_free_to_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "_GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2900000\n")
    stat = "anon 700000\nfile 2200000\nactive_anon 700000\nshmem 200000\ninactive_file 1500000\nactive_file 500000\n"
    (tmp_path / "memory.stat").write_text(stat)
    assert fit.free_bytes(CPU) == 2_100_000
    (tmp_path / "memory.stat").write_text("inactive_file 9000000\n")
    assert fit.free_bytes(CPU) == 3_000_000
