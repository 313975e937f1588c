"""What happens inside the engine: order, fairness, batching, memory. In-process, without HTTP."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tinker import types
from tinker.proto.response_conv import deserialize_forward_backward_output, deserialize_sample_response

from studio.engine import scheduler as scheduler_module
from studio.engine import service as service_module
from studio.engine import turns
from studio.engine.base import Base
from studio.engine.checkpoints import Checkpoints
from studio.engine.choosing import Choice
from studio.engine.protocol import TrainingBatch, TrainingDatum
from studio.engine.refusals import RefusalError
from studio.engine.sampler import Generation, SampleRequest
from studio.engine.service import Service
from studio.engine.specs import BaseSpec
from tests.engine.conftest import tokens


@pytest.fixture(scope="module")
def base(tiny_model: Path) -> Base:
    return Base(BaseSpec(str(tiny_model), str(tiny_model)), "cpu")


@pytest.fixture
def service(base: Base, tmp_path: Path) -> Iterator[Service]:
    made = Service([base], Checkpoints(tmp_path / "checkpoints"))
    made.scheduler.start()
    yield made
    made.close()


def training_batch(model_id: str, seq_id: int, *, forward_only: bool = False) -> TrainingBatch:
    sequence = np.array(tokens(13, seq_id))
    datum = TrainingDatum(sequence[:-1], sequence[1:], {})
    return TrainingBatch(model_id, seq_id, (datum,), "cross_entropy", {}, forward_only)


async def result(service: Service, promise: Any) -> bytes:
    settled = await service.promises.fetch(promise.id)
    assert settled is not None
    return settled.body


async def new_run(service: Service, base: Base) -> tuple[str, str]:
    session = service.open_session(types.CreateSessionRequest(tags=[], user_metadata=None, sdk_version="0.38.0"))
    lora = types.LoraConfig(rank=4, seed=1)
    request = types.CreateModelRequest(session_id=session.id, model_seq_id=0, base_model=base.spec.name, lora_config=lora)
    promise = service.create_model(request)
    assert b"model_id" in await result(service, promise)
    return session.id, f"{session.id}:train:0"


def lora_tensors(base: Base) -> int:
    return sum(".lora_" in name for name, _ in base.model.named_parameters())


def adapters_of(base: Base) -> int:
    # The library adds this to a model with its first adapter.
    return len(getattr(base.model, "peft_config", ()))


def test_requests_are_done_in_their_order_whatever_order_they_arrive_in(service: Service, base: Base) -> None:
    done: list[int] = []

    async def scenario() -> None:
        _, model_id = await new_run(service, base)
        live = service.running(model_id)
        promises = [service.ordered(live, seq, lambda seq=seq: done.append(seq) or {"seq": seq}) for seq in (4, 2, 5)]
        await asyncio.sleep(0.05)
        assert done == []
        service.skip(model_id, 3)  # a request that was refused takes its turn, too
        promises.append(service.ordered(live, 1, lambda: done.append(1) or {"seq": 1}))
        again = service.ordered(live, 2, lambda: done.append(-2) or {})  # the SDK sends again after a broken connection
        assert again is promises[1]
        for promise in promises:
            await result(service, promise)
        with pytest.raises(RefusalError, match="done already"):
            service.ordered(live, 3, dict)

    asyncio.run(scenario())
    assert done == [1, 2, 4, 5]


def test_a_request_that_never_arrives_does_not_hold_up_the_rest_for_ever(
    service: Service, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "GAP", 0.0)

    async def scenario() -> None:
        _, model_id = await new_run(service, base)
        promise = service.forward_backward(training_batch(model_id, 7))
        await asyncio.sleep(0.01)
        service.tick()
        assert deserialize_forward_backward_output(await result(service, promise)).metrics["loss:sum"] > 0

    asyncio.run(scenario())


def test_training_holds_back_sampling_for_one_operation_at_most(service: Service, base: Base) -> None:
    """Thirty slow operations are queued; a sample of many tokens is there long before they are through."""
    finished: list[float] = []

    def slow() -> None:
        time.sleep(0.05)
        finished.append(time.monotonic())

    async def scenario() -> None:
        session = service.open_session(types.CreateSessionRequest(tags=[], user_metadata=None, sdk_version="0.38.0"))
        sampler = service.open_sampler(
            types.CreateSamplingSessionRequest(session_id=session.id, sampling_session_seq_id=0, base_model=base.spec.name)
        )
        for _ in range(30):
            service.scheduler.submit(slow)
        began = time.monotonic()
        one = service.sample(sampler.weights, "one", SampleRequest(np.array(tokens(5, 0)), 1, 1))
        many = service.sample(sampler.weights, "many", SampleRequest(np.array(tokens(5, 0)), 1, 5 * scheduler_module.STEPS))
        await result(service, one)
        assert time.monotonic() - began < 0.05 * 4
        await result(service, many)
        assert len(finished) < 15
        assert len(deserialize_sample_response(await result(service, many)).sequences[0].tokens) == 5 * scheduler_module.STEPS

    asyncio.run(scenario())


def test_requests_that_arrive_together_are_computed_together(
    service: Service, base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    admit = Generation.admit
    monkeypatch.setattr(Generation, "admit", lambda self, tickets: (sizes.append(len(tickets)), admit(self, tickets))[1])

    async def scenario() -> None:
        session = service.open_session(types.CreateSessionRequest(tags=[], user_metadata=None, sdk_version="0.38.0"))
        sampler = service.open_sampler(
            types.CreateSamplingSessionRequest(session_id=session.id, sampling_session_seq_id=0, base_model=base.spec.name)
        )
        for kind in ({"prompt_logprobs": True, "max_tokens": 1}, {"max_tokens": 9}):
            options = {"samples": 1, "choice": Choice(0.0), **kind}
            promises = [
                service.sample(sampler.weights, f"{kind}{n}", SampleRequest(np.array(tokens(3 + n, n)), **options))
                for n in range(40)
            ]
            for promise in promises:
                await result(service, promise)

    asyncio.run(scenario())
    assert sum(sizes) == 80
    assert len(sizes) <= 6


def test_rows_that_join_a_running_batch_give_what_they_give_alone(base: Base) -> None:
    """Greedy rows of many lengths, admitted one after another while others are half-way and some have left."""

    def request(n: int) -> SampleRequest:
        return SampleRequest(
            np.array(tokens(2 + 5 * (n % 7), n)), 1 + n % 2, 3 + 4 * (n % 5), Choice(0.0), prompt_logprobs=n % 3 == 0
        )

    def run(numbers: list[int], joining: int) -> dict[int, Any]:
        from studio.engine.sampler import Ticket

        out: dict[int, Any] = {}
        generation = Generation(base)
        waiting = list(numbers)
        while waiting or generation.rows:
            group, waiting = waiting[:joining], waiting[joining:]
            if group:
                generation.admit([Ticket(request(n), lambda sampled, n=n: out.__setitem__(n, sampled)) for n in group])
            for _ in range(2):
                if generation.rows:
                    generation.advance()
        return out

    together = run(list(range(20)), 3)
    for n in range(20):
        alone = run([n], 1)[n]
        assert [list(s.tokens) for s in together[n].sequences] == [list(s.tokens) for s in alone.sequences]
        np.testing.assert_allclose(together[n].sequences[0].logprobs, alone.sequences[0].logprobs, atol=1e-4)
        assert (together[n].prompt_logprobs is None) == (n % 3 != 0)
        if together[n].prompt_logprobs is not None:
            np.testing.assert_allclose(together[n].prompt_logprobs, alone.prompt_logprobs, atol=1e-4)


def test_memory_does_not_grow_with_finished_runs(service: Service, base: Base) -> None:
    """Sixteen runs that train, save, sample their checkpoint and end: what stays is the shelf, and it is bounded."""
    counts: list[int] = []
    before, adapters = lora_tensors(base), adapters_of(base)

    async def one_run() -> None:
        session_id, model_id = await new_run(service, base)
        await result(service, service.forward_backward(training_batch(model_id, 1)))
        params = types.AdamParams(learning_rate=1e-3)
        await result(service, service.optim_step(types.OptimStepRequest(optim_params=params, model_id=model_id, seq_id=2)))
        save = types.SaveWeightsForSamplerRequest(model_id=model_id, path="final", seq_id=3)
        await result(service, service.save_for_sampler(save))
        snapshot = types.SaveWeightsForSamplerRequest(model_id=model_id, sampling_session_seq_id=1, seq_id=4)
        await result(service, service.save_for_sampler(snapshot))
        service.open_sampler(
            types.CreateSamplingSessionRequest(
                session_id=session_id, sampling_session_seq_id=0, model_path=f"tinker://{model_id}/sampler_weights/final"
            )
        )
        for number in (0, 1):
            sampler = service.sampler(f"{session_id}:sample:{number}")
            await result(
                service, service.sample(sampler.weights, f"{sampler.id}:0", SampleRequest(np.array(tokens(4, 0)), 1, 2))
            )
        service.end_session(session_id)
        idle = threading.Event()
        service.scheduler.submit(idle.set)
        await asyncio.to_thread(idle.wait, 10)
        counts.append(lora_tensors(base) - before)

    async def scenario() -> None:
        for _ in range(16):
            await one_run()

    asyncio.run(scenario())
    per_adapter = 2 * (7 * 2 + 1)
    assert max(counts) <= service_module.SHELF * per_adapter
    assert counts[-1] == counts[10]
    assert counts[-1] == per_adapter * len(service.shelf)
    assert not service.live
    assert not service.samplers
    assert not service.sessions
    assert not list((service.checkpoints.root).glob(".ephemeral-*/*"))
    assert adapters_of(base) - adapters == len(service.shelf)


def test_a_silent_session_lapses(service: Service, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        session_id, model_id = await new_run(service, base)
        service.tick()
        assert service.running(model_id)
        monkeypatch.setattr(service_module, "LAPSE", -1.0)
        service.tick()
        with pytest.raises(RefusalError, match="not training"):
            service.running(model_id)
        with pytest.raises(RefusalError, match="is over"):
            service.session(session_id)

    asyncio.run(scenario())


def test_results_are_forgotten_after_they_were_fetched(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    from studio.engine import promises as promises_module

    monkeypatch.setattr(promises_module, "_FETCHED", 0.0)

    async def scenario() -> None:
        promise = service.promises.make("x")
        assert await service.promises.fetch("x", hold=0.01) is None
        promise.resolve({"a": 1})
        assert await result(service, promise) == b'{"a":1}'
        service.promises._swept = float("-inf")
        service.promises.make("y")
        with pytest.raises(RefusalError, match="knows no request"):
            await service.promises.fetch("x")

    asyncio.run(scenario())


def test_a_failure_in_the_compute_thread_reaches_its_request_and_nobody_else(service: Service, base: Base) -> None:
    async def scenario() -> None:
        _, model_id = await new_run(service, base)
        live = service.running(model_id)

        def broken() -> dict[str, Any]:
            raise RuntimeError("out of memory")

        failed = await result(service, service.ordered(live, 1, broken))
        assert b"out of memory" in failed
        assert b'"category":"server"' in failed
        assert deserialize_forward_backward_output(
            await result(service, service.forward_backward(training_batch(model_id, 2)))
        ).metrics

    asyncio.run(scenario())


@pytest.mark.parametrize("lengths", [[5], [3, 3, 3], list(range(1, 200, 7)), [4000, 10, 4000, 10, 9000, 16_000, 1]])
def test_a_batch_is_cut_into_passes_that_hold_every_example_once(lengths: list[int]) -> None:
    from studio.engine.scoring import PASS_TOKENS, passes

    cut = passes(lengths)
    assert sorted(index for part in cut for index in part) == list(range(len(lengths)))
    for part in cut:
        assert len(part) == 1 or max(lengths[index] for index in part) * len(part) <= PASS_TOKENS


def test_seeds_mean_what_the_documentation_says(base: Base) -> None:
    """The second adapter of a base starts where the first one with the same seed started."""
    shape = base.shape(4, mlp=True, attn=True, unembed=True)
    first, second = (base.create(shape, seed=3) for _ in range(2))
    for name, value in first.parameters.items():
        assert torch.equal(value, second.parameters[name])
    state = torch.random.get_rng_state()
    third = base.create(shape, seed=4)
    assert torch.equal(state, torch.random.get_rng_state())
    for adapter in (first, second, third):
        base.drop(adapter)
