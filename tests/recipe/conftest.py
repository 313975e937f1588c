"""A stand-in for the shipped model: the same files, a few kilobytes, so that these tests need no weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.models import lineup

CONFIG = {
    "model_type": "qwen3",
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "vocab_size": 4096,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}

MEASURED = {
    "model": "tuning-fork/nano",
    "learning_rate": 0.004,
    "lora_rank": 16,
    "batch_size": 32,
    "min_steps": 120,
    "max_epochs": 20,
    "seconds_per_step": 0.5,
    "measured_on": "2 CPU cores, 21 November 2026",
    "command": "python -m studio.engine.nano measure",
    "runs": [{"seed": 0}, {"seed": 1}, {"seed": 2}],
}


def write_nano(folder: Path, *, measured: dict | None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    if measured is not None:
        (folder / "measured.json").write_text(json.dumps(measured), encoding="utf-8")
    return folder


@pytest.fixture
def measured_nano(tmp_path, monkeypatch):
    """The catalogue's ``nano`` is one that was measured."""
    folder = write_nano(tmp_path / "nano", measured=MEASURED)
    monkeypatch.setattr(lineup, "asset", tmp_path.joinpath)
    return folder


@pytest.fixture
def unmeasured_nano(tmp_path, monkeypatch):
    """The catalogue's ``nano`` is one that nobody measured."""
    folder = write_nano(tmp_path / "nano", measured=None)
    monkeypatch.setattr(lineup, "asset", tmp_path.joinpath)
    return folder
