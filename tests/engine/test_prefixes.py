"""Beginnings that are computed once: how they are found, and that nobody can tell from the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tinker
import torch
from hypothesis import given
from hypothesis import strategies as st
from tinker import types

from studio.engine.prefixes import Family, families
from studio.engine.scoring import plan
from tests.engine.conftest import tokens
from tests.engine.test_numbers import logprobs, plain_model


def groups(prompts: int, samples: int, *, prompt: int = 20, answer: int = 6) -> list[list[int]]:
    """Sequences of groups that share a prompt; the groups share the first five tokens, as a chat template makes them."""
    head = tokens(5, 1)
    return [
        head + tokens(prompt - 5, 10 + group) + tokens(answer + sample, 1000 * group + sample)
        for group in range(prompts)
        for sample in range(samples)
    ]


def arrays(sequences: list[list[int]]) -> list[Any]:
    return [np.array(sequence, dtype=np.int64) for sequence in sequences]


def test_samples_of_one_prompt_are_one_family() -> None:
    sequences = groups(3, 4)
    order = np.random.default_rng(0).permutation(len(sequences)).tolist()
    found = families(arrays([sequences[index] for index in order]))
    assert sorted(sorted(order[member] for member in family.members) for family in found) == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9, 10, 11],
    ]
    assert all(family.shared >= 20 for family in found)


def test_a_lone_sequence_beside_a_group_does_not_spoil_it() -> None:
    found = families(arrays([*groups(1, 6), tokens(5, 1) + tokens(40, 77)]))
    assert {(len(family.members), family.shared >= 20) for family in found} == {(6, True), (1, False)}


def test_what_saves_little_is_left_alone() -> None:
    assert families(arrays([tokens(5, 1) + tokens(60, seed) for seed in range(4)])) == [Family((n,), 0) for n in range(4)]


@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=12), min_size=1, max_size=12),
)
def test_families_hold_every_example_once_and_agree_on_what_they_share(sequences: list[list[int]]) -> None:
    found = families(arrays(sequences))
    assert sorted(member for family in found for member in family.members) == list(range(len(sequences)))
    for family in found:
        assert len({tuple(sequences[member][: family.shared]) for member in family.members}) == 1
        assert all(len(sequences[member]) > family.shared for member in family.members)
        assert (family.shared == 0) == (len(family.members) == 1)
    planned = [family for part in plan(arrays(sequences), found) for family in part]
    assert sorted(planned, key=lambda family: family.members) == sorted(found, key=lambda family: family.members)


def rollouts(sequences: list[list[int]]) -> list[types.Datum]:
    rng = np.random.default_rng(3)
    data: list[types.Datum] = []
    for sequence in sequences:
        size = len(sequence) - 1
        advantages = rng.normal(0, 1, size).astype(np.float32)
        advantages[:12] = 0.0
        inputs: dict[str, Any] = {
            "target_tokens": sequence[1:],
            "logprobs": rng.normal(-3, 0.5, size).astype(np.float32),
            "advantages": advantages,
        }
        data.append(types.Datum(model_input=types.ModelInput.from_ints(sequence[:-1]), loss_fn_inputs=inputs))
    return data


@pytest.mark.parametrize("loss", ["importance_sampling", "dro"])
def test_shared_beginnings_give_the_numbers_of_a_plain_loop(
    service: tinker.ServiceClient, base_model: str, tiny_model: Path, loss: str
) -> None:
    # Two groups, the same sequence twice, and one that shares nothing.
    sequences = [*groups(2, 4), tokens(30, 5), tokens(30, 5), tokens(17, 6)]
    data = rollouts(sequences)
    assert max(len(family.members) for family in families(arrays([sequence[:-1] for sequence in sequences]))) == 4
    client: Any = service.create_lora_training_client(base_model=base_model, rank=4, seed=5).result()
    model = plain_model(tiny_model, rank=4, seed=5)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2, eps=1e-8, weight_decay=0)
    for _ in range(3):
        served = client.forward_backward(data, loss)
        stepped = client.optim_step(types.AdamParams(learning_rate=1e-2, beta2=0.999, eps=1e-8))
        parts: list[torch.Tensor] = []
        for datum, output in zip(data, served.result().loss_fn_outputs, strict=True):
            p, q, a = logprobs(model, datum), *(datum.loss_fn_inputs[name].to_torch() for name in ("logprobs", "advantages"))
            np.testing.assert_allclose(output["logprobs"].to_numpy(), p.detach().numpy(), atol=1e-4)
            parts.append(-(torch.exp(p - q) * a).sum() if loss != "dro" else -(p * a - 0.025 * (p - q) ** 2).sum())
        total = torch.stack(parts).sum()
        total.backward()
        norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
        optimizer.step()
        optimizer.zero_grad()
        assert served.result().metrics["loss:sum"] == pytest.approx(total.item(), rel=1e-4)
        assert stepped.result().metrics["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
