"""The engine's numbers against a plain PyTorch + PEFT loop on the same data and seed, over the unmodified SDK."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker
import torch
from peft import LoraConfig, get_peft_model
from tinker import types
from transformers import AutoModelForCausalLM

from tests.engine.conftest import batch, tokens

TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]


def plain_model(folder: Path, *, rank: int, seed: int, targets: list[str] = TARGETS) -> Any:
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(base, LoraConfig(r=rank, lora_alpha=32, target_modules=targets)).eval()


def logprobs(model: Any, datum: types.Datum) -> torch.Tensor:
    logits = model(input_ids=torch.tensor([datum.model_input.to_ints()])).logits[0]
    targets = torch.tensor(datum.loss_fn_inputs["target_tokens"].data)
    return torch.log_softmax(logits, dim=-1).gather(1, targets[:, None])[:, 0]


def weighted_loss(model: Any, data: list[types.Datum]) -> torch.Tensor:
    return torch.stack([-(logprobs(model, d) * torch.tensor(d.loss_fn_inputs["weights"].data)).sum() for d in data]).sum()


@pytest.mark.parametrize(
    "adam",
    [
        types.AdamParams(learning_rate=2e-3, eps=1e-8),
        types.AdamParams(learning_rate=2e-3, beta1=0.8, beta2=0.9, eps=1e-6, weight_decay=0.1, grad_clip_norm=0.5),
    ],
    ids=["adam", "decay-and-clip"],
)
def test_twenty_steps_agree_with_a_plain_loop(
    service: tinker.ServiceClient, base_model: str, tiny_model: Path, adam: types.AdamParams
) -> None:
    client = service.create_lora_training_client(base_model=base_model, rank=4, seed=11).result()
    model = plain_model(tiny_model, rank=4, seed=11)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad],
        lr=adam.learning_rate,
        betas=(adam.beta1, adam.beta2),
        eps=adam.eps,
        weight_decay=adam.weight_decay,
    )
    ours, theirs = [], []
    for step in range(20):
        data = batch(seed=step % 5)
        result = client.forward_backward(data, "cross_entropy")
        client.optim_step(adam).result()
        ours.append(result.result().metrics["loss:sum"])
        loss = weighted_loss(model, data)
        loss.backward()
        if adam.grad_clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), adam.grad_clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        theirs.append(loss.item())
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert theirs[-1] < 0.98 * theirs[0], "a loop that learns nothing would prove nothing"

    data = batch(seed=9)
    with torch.no_grad():
        expected = [logprobs(model, d).numpy() for d in data]
    forward = client.forward(data, "cross_entropy").result()
    for ours_, theirs_ in zip(forward.loss_fn_outputs, expected, strict=True):
        np.testing.assert_allclose(ours_["logprobs"].to_numpy(), theirs_, atol=1e-4)

    sampler = client.save_weights_and_get_sampling_client().result()
    for seed, expected_ in enumerate(expected):
        sequence = types.ModelInput.from_ints(
            [*data[seed].model_input.to_ints(), data[seed].loss_fn_inputs["target_tokens"].data[-1]]
        )
        np.testing.assert_allclose(sampler.compute_logprobs(sequence).result()[1:], expected_, atol=1e-4)
    assert_greedy_agrees(sampler, model)


def assert_greedy_agrees(sampler: Any, model: Any) -> None:
    prompts = [tokens(length, 500 + length) for length in (3, 17, 9, 30, 5)]
    params = types.SamplingParams(max_tokens=24, temperature=0.0)
    futures = [sampler.sample(types.ModelInput.from_ints(prompt), 1, params) for prompt in prompts]
    for prompt, future in zip(prompts, futures, strict=True):
        sequence = future.result().sequences[0]
        with torch.inference_mode():
            out = model.generate(
                input_ids=torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                do_sample=False,
                max_new_tokens=24,
            )
            expected = out[0, len(prompt) :].tolist()
            logits = model(input_ids=out).logits[0]
        assert sequence.tokens == expected
        scored = torch.log_softmax(logits, -1)[len(prompt) - 1 : -1].gather(1, torch.tensor(expected)[:, None])[:, 0]
        np.testing.assert_allclose(sequence.logprobs, scored.numpy(), atol=1e-4)


def test_the_base_model_samples_as_transformers_does(service: tinker.ServiceClient, base_model: str, tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    assert_greedy_agrees(service.create_sampling_client(base_model=base_model).result(), model)


@pytest.mark.parametrize(("flags", "targets"), [
    ({"train_mlp": False, "train_unembed": False}, TARGETS[:4]),
    ({"train_attn": False, "train_unembed": False}, TARGETS[4:7]),
    ({"train_mlp": False, "train_attn": False}, TARGETS[7:]),
])  # fmt: skip
def test_each_part_can_be_trained_alone(
    service: tinker.ServiceClient, base_model: str, tiny_model: Path, flags: dict[str, bool], targets: list[str]
) -> None:
    client = service.create_lora_training_client(base_model=base_model, rank=2, seed=3, **flags).result()
    model = plain_model(tiny_model, rank=2, seed=3, targets=targets)
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=1e-2, betas=(0.9, 0.95), eps=1e-8, weight_decay=0
    )
    data = batch()
    for _ in range(3):
        result = client.forward_backward(data, "cross_entropy")
        client.optim_step(types.AdamParams(learning_rate=1e-2, eps=1e-8)).result()
        loss = weighted_loss(model, data)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert result.result().metrics["loss:sum"] == pytest.approx(loss.item(), rel=1e-4)


def test_gradients_add_up_until_the_step_and_sampling_between_does_not_disturb_them(
    service: tinker.ServiceClient, base_model: str
) -> None:
    adam = types.AdamParams(learning_rate=1e-2)
    whole = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    parts = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    sampler = service.create_sampling_client(base_model=base_model).result()
    data = batch(8)
    whole.forward_backward(data, "cross_entropy").result()
    parts.forward_backward(data[:3], "cross_entropy").result()
    sampler.sample(types.ModelInput.from_ints(tokens(5, 0)), 1, types.SamplingParams(max_tokens=3)).result()
    parts.forward(data, "cross_entropy").result()
    parts.forward_backward(data[3:], "cross_entropy").result()
    whole.optim_step(adam).result()
    parts.optim_step(adam).result()
    a, b = (client.forward(data, "cross_entropy").result().metrics["loss:sum"] for client in (whole, parts))
    assert a == pytest.approx(b, rel=1e-5)


def test_the_same_seed_gives_the_same_adapter_and_no_seed_another(service: tinker.ServiceClient, base_model: str) -> None:
    def after_one_step(seed: int | None) -> float:
        client = service.create_lora_training_client(base_model=base_model, rank=4, seed=seed).result()
        client.forward_backward(batch(), "cross_entropy").result()
        client.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        return client.forward(batch(), "cross_entropy").result().metrics["loss:sum"]

    assert after_one_step(1) == after_one_step(1)
    assert len({after_one_step(1), after_one_step(2), after_one_step(None), after_one_step(None)}) == 4


def test_several_targets_per_position_are_scored(service: tinker.ServiceClient, base_model: str, tiny_model: Path) -> None:
    model = plain_model(tiny_model, rank=4, seed=5)
    client = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    prompt = tokens(6, 1)
    targets = np.random.default_rng(2).integers(0, 256, (6, 3))
    weights = np.random.default_rng(3).random((6, 3)).astype(np.float32)
    wide = types.Datum(
        model_input=types.ModelInput.from_ints(prompt), loss_fn_inputs={"target_tokens": targets, "weights": weights}
    )
    result = client.forward([wide, *batch(2)], "cross_entropy").result()
    with torch.no_grad():
        expected = (
            torch.log_softmax(model(input_ids=torch.tensor([prompt])).logits[0], -1)
            .gather(1, torch.from_numpy(targets))
            .numpy()
        )
    np.testing.assert_allclose(result.loss_fn_outputs[0]["logprobs"].to_numpy(), expected, atol=1e-4)
    assert [output["logprobs"].to_numpy().ndim for output in result.loss_fn_outputs] == [2, 1, 1]
