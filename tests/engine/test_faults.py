"""What a bad connection does to the SDK's work on the engine: nothing is lost, nothing is done twice, and an end is said."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chz
import pytest
import tinker
from tinker import types
from tinker_cookbook.supervised import train

from studio.engine.launch import Engine
from tests.engine.conftest import batch, metrics, tokens
from tests.engine.fault_proxy import FaultProxy, fault_proxy
from tests.engine.test_cookbook import supervised

pytestmark = pytest.mark.filterwarnings("ignore:Using the future:FutureWarning", "ignore:DEPRECATED:FutureWarning")
ADAM = types.AdamParams(learning_rate=1e-2)


@pytest.fixture
def proxy(engine: Engine) -> Iterator[FaultProxy]:
    with fault_proxy(engine.base_url) as running:
        yield running


@pytest.fixture
def faulty(proxy: FaultProxy, engine: Engine) -> Iterator[tinker.ServiceClient]:
    """A client behind the proxy."""
    client = tinker.ServiceClient(base_url=proxy.url, api_key=engine.api_key.reveal())
    yield client
    proxy.heal()
    client.close("success").result()


def losses(client: Any, steps: int = 2) -> list[float]:
    """Loss of each step, and of the same batch once more at the end."""
    found: list[float] = []
    for _ in range(steps):
        work = client.forward_backward(batch(), "cross_entropy")
        client.optim_step(ADAM).result()
        found.append(work.result().metrics["loss:sum"])
    return [*found, client.forward(batch(), "cross_entropy").result().metrics["loss:sum"]]


def break_everything(proxy: FaultProxy) -> None:
    proxy.fail(500, "forward_backward")
    proxy.lose("forward_backward")
    proxy.fail(429, "optim_step")
    proxy.reset("optim_step")
    proxy.lose("optim_step")
    proxy.fail(503, "retrieve_future")
    proxy.pause("retrieve_future", times=2)
    proxy.reset("retrieve_future")
    proxy.lose("retrieve_future")
    proxy.hold("retrieve_future", seconds=0.5)


def test_a_broken_connection_changes_no_number(
    faulty: tinker.ServiceClient, service: tinker.ServiceClient, proxy: FaultProxy, base_model: str
) -> None:
    whole: Any = service.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()
    broken: Any = faulty.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()
    break_everything(proxy)
    assert losses(broken) == losses(whole)
    done = proxy.counts
    assert done["lose", "optim_step"] == done["reset", "optim_step"] == 1
    assert done["answer", "retrieve_future"] == 3


def test_sampling_waits_when_it_is_asked_to(faulty: tinker.ServiceClient, proxy: FaultProxy, base_model: str) -> None:
    sampler = faulty.create_sampling_client(base_model=base_model).result()
    prompt, params = types.ModelInput.from_ints(tokens(8, 0)), types.SamplingParams(max_tokens=6, seed=3)
    first = sampler.sample(prompt, 2, params).result()
    proxy.fail(429, "asample")
    proxy.lose("asample")
    began = time.monotonic()
    again = sampler.sample(prompt, 2, params).result()
    assert time.monotonic() - began > 0.9, "it has to wait before it asks again"
    assert [s.tokens for s in again.sequences] == [s.tokens for s in first.sequences]


def test_a_session_ended_by_the_server_is_said_and_its_checkpoint_goes_on(
    proxy: FaultProxy, engine: Engine, service: tinker.ServiceClient, base_model: str
) -> None:
    client = tinker.ServiceClient(base_url=proxy.url, api_key=engine.api_key.reveal())
    training: Any = client.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()
    before = losses(training)
    kept = training.save_state("kept").result().path
    proxy.end_session()
    began = time.monotonic()
    with pytest.raises(tinker.TinkerError, match=r"session is over|not training a run"):
        training.forward_backward(batch(), "cross_entropy").result()
    assert time.monotonic() - began < 10, "an end is no reason to try for minutes"
    resumed: Any = service.create_training_client_from_state_with_optimizer(kept).result()
    assert resumed.forward(batch(), "cross_entropy").result().metrics["loss:sum"] == before[-1]


@pytest.mark.usefixtures("outside")
def test_the_cookbooks_loop_comes_through_with_the_same_numbers(
    proxy: FaultProxy, engine: Engine, base_model: str, tmp_path: Path
) -> None:
    # The loop gives its adapter no seed: both runs start from one checkpoint.
    origin = tinker.ServiceClient(base_url=engine.base_url)
    start: Any = origin.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()
    path = start.save_state("start").result().path
    whole = supervised(engine, base_model, tmp_path / "whole", max_steps=2, load_checkpoint_path=path)
    asyncio.run(train.main(whole))
    broken = supervised(engine, base_model, tmp_path / "broken", max_steps=2, load_checkpoint_path=path)
    break_everything(proxy)
    proxy.fail(500, "save_weights")
    asyncio.run(train.main(chz.replace(broken, base_url=proxy.url)))
    numbers = [[row["train_mean_nll"] for row in metrics(tmp_path / name)] for name in ("whole", "broken")]
    assert numbers[0] == numbers[1]
    assert len(numbers[1]) == 2
    assert proxy.counts["lose", "optim_step"] == proxy.counts["reset", "optim_step"] == 1
    origin.close("success").result()
