"""Rows of several adapters and of the bare base in one pass: nobody can tell from the numbers, nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tinker import types
from tinker.proto.response_conv import deserialize_sample_response
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from studio.engine.base import Adapter, Base
from studio.engine.checkpoints import CheckpointPath, Checkpoints
from studio.engine.choosing import Choice
from studio.engine.mixing import keeps_rows
from studio.engine.refusals import RefusalError
from studio.engine.sampler import Generation, SampleRequest, Ticket
from studio.engine.scheduler import STEPS
from studio.engine.service import Service
from studio.engine.shelf import adapter_files
from studio.engine.specs import BaseSpec
from tests.engine.conftest import tokens

#: Rank, and whether MLP, attention and head take part: no two alike.
SHAPES = ((2, True, True, True), (8, False, True, False), (3, True, False, True))


def adapters_for(base: Base) -> list[Adapter | None]:
    """The base alone and one adapter of each shape, far enough from it to say other things."""
    found: list[Adapter | None] = [None]
    torch.manual_seed(5)
    for seed, (rank, mlp, attn, unembed) in enumerate(SHAPES):
        adapter = base.create(base.shape(rank, mlp=mlp, attn=attn, unembed=unembed), seed)
        for name, value in adapter.parameters.items():
            if ".lora_B." in name:
                value.data.normal_(0, 0.05)
        found.append(adapter)
    return found


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Base:
    return Base(BaseSpec(str(tiny_model), str(tiny_model)), "cpu")


@pytest.fixture(scope="module")
def adapters(base: Base) -> list[Adapter | None]:
    return adapters_for(base)


def run(base: Base, asked: Sequence[tuple[Adapter | None, SampleRequest]], joining: int) -> list[Ticket]:
    """Answer requests of which a few join after every second step."""
    tickets = [
        Ticket(request, lambda sampled, n=n: found.__setitem__(n, sampled), adapter)
        for n, (adapter, request) in enumerate(asked)
    ]
    found: dict[int, Any] = {}
    generation = Generation(base)
    waiting = tickets
    while waiting or generation.rows:
        group, waiting = waiting[:joining], waiting[joining:]
        if group:
            generation.admit(group)
        for _ in range(2):
            if generation.rows:
                generation.advance()
    assert sorted(found) == [n for n, ticket in enumerate(tickets) if ticket.failed is None]
    return tickets


@torch.inference_mode()
def scores(base: Base, adapter: Adapter | None, sequence: Sequence[int]) -> torch.Tensor:
    """Log-probabilities ``(T - 1, V)`` as the library computes them with this adapter alone."""
    if adapter is None:
        base.serve([None])
    else:
        base.train(adapter, gradients=False)
    return torch.log_softmax(base.model(input_ids=torch.tensor([list(sequence)])).logits[0, :-1].float(), -1)


def assert_as_alone(base: Base, ticket: Ticket) -> None:
    """Every number of an answer is the library's, and the tokens are those of the request on its own."""
    request, adapter = ticket.request, ticket.adapter
    (single,) = run(base, [(adapter, request)], 1)
    prompt = request.prompt.tolist()
    for row, other in zip(ticket.rows, single.rows, strict=True):
        assert row.tokens == other.tokens
        whole = scores(base, adapter, [*prompt, *row.tokens])
        expected = whole[len(prompt) - 1 :].gather(1, torch.tensor(row.tokens)[:, None])[:, 0]
        np.testing.assert_allclose(row.logprobs, expected, atol=1e-5)
        for place, (_, values) in enumerate(row.top):
            np.testing.assert_allclose(values, whole[len(prompt) - 1 + place].topk(len(values)).values, atol=1e-5)
    if request.scores_prompt:
        logprobs, top = ticket.scored
        whole = scores(base, adapter, prompt)
        assert logprobs is not None
        np.testing.assert_allclose(logprobs[1:], whole.gather(1, torch.tensor(prompt)[1:, None])[:, 0], atol=1e-5)
        if top is not None:
            np.testing.assert_allclose(top.logprobs[1:], whole.topk(request.topk_prompt).values, atol=1e-5)


CHOICES = (Choice(0.0), Choice(), Choice(0.7, top_k=20), Choice(top_p=0.9))
#: Whose, length of prompt, seed, samples, new tokens, how chosen, stops early, log-probabilities of the prompt, top tokens.
ASKED = st.tuples(
    st.integers(0, len(SHAPES)),
    st.integers(1, 24),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(0, len(CHOICES) - 1),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 3]),
)


# A failing mix is small as it is: making it smaller takes minutes.
@settings(max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(asked=st.lists(ASKED, min_size=2, max_size=9), joining=st.integers(1, 9))
def test_any_mix_of_adapters_and_base_is_each_request_alone(
    base: Base, adapters: list[Adapter | None], asked: list[tuple[int, int, int, int, int, int, bool, bool, int]], joining: int
) -> None:
    requests = [
        SampleRequest(
            np.array(tokens(length, seed)), samples, limit, CHOICES[choice], seed,
            frozenset(range(0, 256, 5)) if stops else frozenset(), (), scored, None, top if scored else 0, top,
        )
        for _, length, seed, samples, limit, choice, stops, scored, top in asked
    ]  # fmt: skip
    whose = [adapters[which] for which, *_ in asked]
    for ticket in run(base, list(zip(whose, requests, strict=True)), joining):
        assert_as_alone(base, ticket)


def test_one_step_of_several_adapters_is_one_pass(
    base: Base, adapters: list[Adapter | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base's layers see all rows at once, and rows of one adapter stand side by side, however they joined."""
    rows: list[int] = []
    served: list[list[Adapter | None]] = []
    serve = base.serve
    monkeypatch.setattr(base, "serve", lambda whose: (served.append(list(whose)), serve(whose))[1])
    generation = Generation(base)
    request = SampleRequest(np.array(tokens(6, 1)), 2, 8, seed=1)
    hook = base.model.get_input_embeddings().register_forward_hook(lambda _, given, __: rows.append(given[0].shape[0]))
    try:
        for order in ((0, 1, 2, 3), (3, 2, 1, 0)):
            generation.admit([Ticket(request, lambda _: None, adapters[which]) for which in order])
        generation.advance()
    finally:
        hook.remove()
    assert rows == [4, 4, 16]
    assert len(served[-1]) == 16
    assert len(list(groupby(served[-1]))) == 4


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_fail_alone(base: Base, adapters: list[Adapter | None], broken: float) -> None:
    bad = base.create(base.shape(4, mlp=True, attn=True, unembed=True), 1)
    for value in bad.parameters.values():
        value.data.fill_(broken)
    asked = [SampleRequest(np.array(tokens(5 + n, n)), 1, limit, seed=n) for n, limit in enumerate((6, 6, 1, 6, 1))]
    whose = [adapters[1], bad, bad, None, adapters[2]]
    tickets = run(base, list(zip(whose, asked, strict=True)), len(asked))
    base.drop(bad)
    for ticket, adapter in zip(tickets, whose, strict=True):
        if adapter is bad:
            assert isinstance(ticket.failed, RefusalError)
            assert "earlier checkpoint" in ticket.failed.next_step
        else:
            assert_as_alone(base, ticket)


MORE: dict[str, dict[str, Any]] = {
    "llama": {},
    # Its shared expert sees the batch flattened.
    "qwen2_moe": {
        "num_experts": 4,
        "moe_intermediate_size": 16,
        "shared_expert_intermediate_size": 16,
        "decoder_sparse_step": 1,
    },
    "cohere": {},
}


@pytest.mark.parametrize("family", MORE)
def test_other_families_mix_as_well(family: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = AutoConfig.for_model(
        family, vocab_size=256, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.2, **MORE[family],
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / family)
    base = Base(BaseSpec(family, str(tmp_path / family)), "cpu")
    assert base.mixes
    asked = [
        (adapter, SampleRequest(np.array(tokens(4 + 3 * n, n)), 2, 1 + 5 * n, prompt_logprobs=n > 1, seed=n))
        for n, adapter in enumerate(adapters_for(base))
    ]
    for ticket in run(base, asked, 2):
        assert_as_alone(base, ticket)


class Sorted(nn.Module):
    """A layer of experts as some families write it: each expert gets the tokens that were sent to it, and those only."""

    device = torch.device("cpu")

    def __init__(self, *, sends: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 8)
        self.experts = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.sends = sends

    def forward(self, input_ids: torch.Tensor, *, use_cache: bool) -> torch.Tensor:
        assert not use_cache
        states = self.embed(input_ids).flatten(0, 1)
        order = input_ids.flatten().argsort() if self.sends else torch.arange(states.shape[0])
        return self.experts[1](self.experts[0](states[order]))


def test_a_model_that_shuffles_its_tokens_is_found_out() -> None:
    torch.manual_seed(0)
    assert keeps_rows(Sorted(sends=False), 50)
    assert not keeps_rows(Sorted(sends=True), 50)


# ── through the scheduler ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def service(base: Base, tmp_path: Path) -> Iterator[Service]:
    made = Service([base], Checkpoints(tmp_path / "checkpoints"))
    made.scheduler.start()
    yield made
    made.close()


def samplers(service: Service, base: Base, adapters: Sequence[Adapter | None]) -> list[Any]:
    """A sampler for each, the adapters saved as checkpoints; each has a session of its own."""
    found: list[Any] = []
    for number, adapter in enumerate(adapters):
        path = CheckpointPath(f"run{number}:train:0", "sampler_weights", "final")
        if adapter is not None:
            meta = {"rank": adapter.shape.rank, "base_model": base.spec.name, "base_fingerprint": base.fingerprint}
            service.checkpoints.save(path, adapter_files(adapter, base.spec.name), meta=meta)
        session = service.open_session(types.CreateSessionRequest(tags=[], user_metadata=None, sdk_version="0.38.0"))
        request = types.CreateSamplingSessionRequest(
            session_id=session.id, sampling_session_seq_id=0, base_model=None if adapter else base.spec.name,
            model_path=str(path) if adapter else None,
        )  # fmt: skip
        found.append(service.open_sampler(request))
    return found


async def body(service: Service, promise: Any) -> bytes:
    settled = await service.promises.fetch(promise.id)
    assert settled is not None
    return settled.body


@pytest.mark.parametrize("mixes", [True, False], ids=["one pass", "turns"])
def test_requests_for_several_adapters_are_answered_together(
    service: Service, base: Base, adapters: list[Adapter | None], monkeypatch: pytest.MonkeyPatch, *, mixes: bool
) -> None:
    monkeypatch.setattr(base, "mixes", mixes)
    widths: list[int] = []
    advance = Generation.advance
    monkeypatch.setattr(Generation, "advance", lambda self: (widths.append(self.rows), advance(self))[1])
    request = SampleRequest(np.array(tokens(6, 1)), 2, 20, seed=3)

    async def scenario() -> list[Any]:
        promises = [
            service.sample(sampler.weights, f"one{n}", request) for n, sampler in enumerate(samplers(service, base, adapters))
        ]
        return [deserialize_sample_response(await body(service, promise)) for promise in promises]

    answers = asyncio.run(scenario())
    assert (len(widths), set(widths)) == ((19, {8}) if mixes else (4 * 19, {2}))
    for adapter, answer in zip(adapters, answers, strict=True):
        (alone,) = run(base, [(adapter, request)], 1)
        for sequence, row in zip(answer.sequences, alone.rows, strict=True):
            assert list(sequence.tokens) == row.tokens
            np.testing.assert_allclose(sequence.logprobs, row.logprobs, atol=1e-5)


def test_weights_that_are_taken_away_or_cancelled_requests_do_not_touch_the_others(
    service: Service, base: Base, adapters: list[Adapter | None]
) -> None:
    """One request is cancelled half-way, another one's weights are deleted under it; two go on and one is refused at once."""
    request = SampleRequest(np.array(tokens(6, 1)), 1, 5 * STEPS, seed=3)

    async def scenario() -> tuple[list[Any], list[bytes]]:
        found = samplers(service, base, [*adapters, adapters[1]])
        promises = [service.sample(sampler.weights, f"one{n}", request) for n, sampler in enumerate(found)]
        lost = found[-1].weights
        cancel = promises[2].cancel
        assert cancel is not None

        def disturb() -> None:  # after the first few steps
            cancel()
            service.checkpoints.delete(CheckpointPath.parse(found[-1].model_path))
            service.shelf.discard(lost.folder)

        service.scheduler.submit(disturb)
        late = service.sample(replace(lost, folder=lost.folder.with_name("gone"), stamp="x"), "late", request)
        answers = [deserialize_sample_response(await body(service, promises[n])) for n in (0, 1, 3)]
        return answers, [await body(service, promise) for promise in (promises[2], promises[4], late)]

    answers, (cancelled, gone, never) = asyncio.run(scenario())
    for which, answer in zip((0, 1, 3), answers, strict=True):
        (alone,) = run(base, [(adapters[which], request)], 1)
        assert list(answer.sequences[0].tokens) == alone.rows[0].tokens
    assert b"cancelled" in cancelled
    assert b"were deleted" in gone
    assert b"were deleted" in never
    assert not service.scheduler.in_use
