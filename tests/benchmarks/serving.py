"""What the benchmarks of the engine share: their options, a model as anybody would load it, an engine and a client of it.

Guarantees: both sides of a comparison get the same model, rank and number of threads; the engine's home is gone afterwards.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tinker
import torch
from peft import LoraConfig, get_peft_model
from tinker import types
from transformers import AutoModelForCausalLM

from studio.engine.launch import Engine, start_engine
from studio.settings import Settings

RANK = 16
BODY = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def parser_for(doc: str | None, *, rounds: int, **more: int) -> argparse.ArgumentParser:
    """The options that all of them have, and further whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    for name, default in {"threads": 1, "rounds": rounds, **more}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser


@contextmanager
def served(options: argparse.Namespace) -> Iterator[tuple[Engine, tinker.ServiceClient]]:
    """An engine with the model that was asked for, and a client of it."""
    with (
        tempfile.TemporaryDirectory() as home,
        start_engine(Settings(home=Path(home)), [options.model], device=options.device, threads=options.threads) as engine,
    ):
        service = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        yield engine, service
        service.close("success").result()


def plain_model(source: str) -> Any:
    """The model with a LoRA adapter on every linear layer, by transformers and PEFT."""
    base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(base, LoraConfig(r=RANK, lora_alpha=32, target_modules=[*BODY, "lm_head"]))


def plain_optimizer(model: Any, rate: float, **known: Any) -> torch.optim.AdamW:
    """AdamW over what is trained, with the settings that the engine is given."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(trained, lr=rate, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0, **known)


def padded_left(prompts: list[list[int]]) -> dict[str, torch.Tensor]:
    """Ids and mask for ``generate``."""
    width = max(map(len, prompts))
    ids, mask = (torch.zeros((len(prompts), width), dtype=torch.long) for _ in range(2))
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
    return {"input_ids": ids, "attention_mask": mask}


def examples(vocabulary: int, count: int, mean: int = 60, *, seed: int = 0, shortest: int = 4) -> list[list[int]]:
    """Token sequences whose lengths spread like those of short conversations."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(4.0, mean / 4.0, count).astype(int), shortest, 4 * mean)
    return [rng.integers(3, vocabulary - 8, length + 1).tolist() for length in lengths]


def datum(tokens: list[int], weights: list[float] | None = None, **more: Any) -> types.Datum:
    """An example whose every token predicts the next one; ``weights`` and further inputs are per target."""
    inputs: dict[str, Any] = {"target_tokens": tokens[1:], **more}
    if not more:
        inputs["weights"] = [1.0] * (len(tokens) - 1) if weights is None else weights
    return types.Datum(model_input=types.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=inputs)
