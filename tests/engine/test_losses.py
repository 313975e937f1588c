"""The losses of RL against plain formulas in plain PyTorch: value, gradient, and what the cookbook makes of the log-probs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker
import torch
from tinker import types
from tinker_cookbook.rl.metrics import compute_kl_sample_train

from tests.engine.conftest import batch
from tests.engine.test_numbers import logprobs, plain_model

Formula = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def clipped(low: float, high: float) -> Formula:
    return lambda p, q, a: -torch.minimum(torch.exp(p - q) * a, torch.exp(p - q).clamp(low, high) * a).sum()


def weighed(low: float, high: float) -> Formula:
    return lambda p, q, a: -(torch.exp(p - q).clamp(low, high).detach() * p * a).sum()


def held(beta: float) -> Formula:
    return lambda p, q, a: -(p * a - 0.5 * beta * (p - q) ** 2).sum()


NARROW = {"clip_low_threshold": 0.95, "clip_high_threshold": 1.05}
LOSSES: dict[str, tuple[str, dict[str, float] | None, Formula]] = {
    "importance_sampling": ("importance_sampling", None, lambda p, q, a: -(torch.exp(p - q) * a).sum()),
    "ppo": ("ppo", None, clipped(0.8, 1.2)),
    "ppo-narrow": ("ppo", NARROW, clipped(0.95, 1.05)),
    "cispo": ("cispo", None, weighed(0.8, 1.2)),
    "cispo-narrow": ("cispo", NARROW, weighed(0.95, 1.05)),
    "cispo-no-floor": ("cispo", {"clip_low_threshold": 0.0, "clip_high_threshold": 5.0}, weighed(0.0, 5.0)),
    "dro": ("dro", None, held(0.05)),
    "dro-strong": ("dro", {"beta": 0.7}, held(0.7)),
}


def rollouts(model: Any) -> list[types.Datum]:
    """What a sampler a little off the policy could have left: half of the ratios fall outside the usual clipping."""
    rng = np.random.default_rng(0)
    data: list[types.Datum] = []
    for plain in batch(4):
        length = plain.model_input.length
        with torch.no_grad():
            sampled = logprobs(model, plain).numpy() + rng.normal(0, 0.4, length)
        inputs: dict[str, Any] = {
            "target_tokens": plain.loss_fn_inputs["target_tokens"],
            "logprobs": sampled.astype(np.float32),
            "advantages": rng.normal(0, 1, length).astype(np.float32),
        }
        data.append(types.Datum(model_input=plain.model_input, loss_fn_inputs=inputs))
    return data


@pytest.mark.parametrize("case", LOSSES)
def test_value_gradient_and_step_agree_with_the_formula(
    service: tinker.ServiceClient, base_model: str, tiny_model: Path, case: str
) -> None:
    name, config, formula = LOSSES[case]
    model = plain_model(tiny_model, rank=4, seed=5)
    client: Any = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, eps=1e-8, weight_decay=0)
    optimizer.param_groups[0]["betas"] = (0.9, 0.95)
    data = rollouts(model)
    for _ in range(2):
        served = client.forward_backward(data, name, config)
        stepped = client.optim_step(types.AdamParams(learning_rate=1e-2, eps=1e-8))
        parts = [
            formula(logprobs(model, d), d.loss_fn_inputs["logprobs"].to_torch(), d.loss_fn_inputs["advantages"].to_torch())
            for d in data
        ]
        loss = torch.stack(parts).sum()
        loss.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.step()
        optimizer.zero_grad()
        assert served.result().metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-4)
        assert stepped.result().metrics["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)


def test_the_losses_differ_where_the_ratio_leaves_its_bounds(training: Any, tiny_model: Path) -> None:
    data = rollouts(plain_model(tiny_model, rank=4, seed=7))
    values = {
        case: training.forward(data, name, config).result().metrics["loss:sum"] for case, (name, config, _) in LOSSES.items()
    }
    assert len({round(value, 4) for value in values.values()}) == len(LOSSES)


def test_the_cookbooks_kl_between_sampler_and_trainer_is_that_of_a_plain_model(
    service: tinker.ServiceClient, base_model: str, tiny_model: Path
) -> None:
    model = plain_model(tiny_model, rank=4, seed=5)
    client: Any = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    data = rollouts(model)
    outputs = client.forward(data, "importance_sampling").result().loss_fn_outputs
    for datum in data:
        datum.loss_fn_inputs["mask"] = types.TensorData.from_torch(torch.ones(datum.model_input.length))
    found = compute_kl_sample_train(data, [output["logprobs"].to_torch() for output in outputs])
    with torch.no_grad():
        gaps = torch.cat([d.loss_fn_inputs["logprobs"].to_torch() - logprobs(model, d) for d in data])
    assert found["optim/kl_sample_train_v1"] == pytest.approx(gaps.mean().item(), abs=1e-4)
    assert found["optim/kl_sample_train_v2"] == pytest.approx(0.5 * (gaps**2).mean().item(), abs=1e-4)
