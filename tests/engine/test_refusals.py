"""What the engine refuses: at once, with a sentence, and without holding up what comes after."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest
import tinker
from tinker import types

from studio.engine.launch import Engine
from tests.engine.conftest import batch, datum
from tests.engine.test_conformance import loss_of, sample


@pytest.fixture(autouse=True)
def quickly() -> Any:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 45, "something retried for a long time"


@pytest.mark.parametrize("key", ["tml-wrong", "tml-"])
def test_a_wrong_key_is_refused_at_once(engine: Engine, key: str) -> None:
    began = time.monotonic()
    with pytest.raises(tinker.AuthenticationError, match="not the key of this engine"):
        tinker.RestClient(base_url=engine.base_url, api_key=key).get_server_capabilities().result()
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", ["/api/v1/healthz", "/api/v1/training_runs", "/api/v1/nothing", "/", "/docs", "/openapi.json"])
def test_no_address_answers_without_the_key(engine: Engine, path: str) -> None:
    assert httpx.get(engine.base_url + path).status_code == 401


def test_unknown_addresses_and_broken_bodies_get_a_sentence(engine: Engine) -> None:
    with httpx.Client(base_url=engine.base_url, headers={"X-API-Key": engine.api_key.reveal()}) as client:
        for path, body, status in [
            ("/api/v1/nothing", b"{}", 404),
            ("/api/v1/create_model", b"{", 400),
            ("/api/v1/create_model", b"{}", 422),
            ("/api/v1/create_model", b"[]", 422),
            ("/api/v1/forward_backward", b"\xff\xff\xff", 400),
            ("/api/v1/asample", b'{"prompt": 3}', 422),
            ("/api/v1/retrieve_future", b'{"request_id": "x"}', 410),
            ("/api/v1/weights_info", b"[]", 400),
        ]:
            answer = client.post(path, content=body)
            assert answer.status_code == status, (path, answer.text)
            assert len(answer.json()["detail"]) > 10
        assert client.get("/api/v1/asample").status_code == 405
        assert client.post("/api/v1/telemetry", content=b"anything").json() == {"status": "accepted"}
        assert client.get("/api/v1/healthz").json() == {"status": "ok"}


REFUSED_CALLS = {
    "model": (lambda s, t: s.create_lora_training_client(base_model="Qwen/Qwen3-8B"), "does not serve"),
    "rank": (lambda s, t: s.create_lora_training_client(base_model=t.get_info().model_data.model_name, rank=0), "rank 0"),
    "optimizer": (
        lambda s, t: s.create_lora_training_client(
            base_model=t.get_info().model_data.model_name, optimizer=types.DimuonOptimizerConfig()
        ),
        "dimuon",
    ),
    "base": (lambda s, t: s.create_sampling_client(base_model="nothing"), "does not serve"),
    "path": (lambda s, t: s.create_sampling_client(model_path="tinker://x/y"), "not a checkpoint path"),
    "traversal": (lambda s, t: s.create_sampling_client(model_path="tinker://../weights/.."), "no training run"),
    "missing": (lambda s, t: s.create_sampling_client(model_path=f"tinker://{t.model_id}/weights/no"), "no checkpoint"),
    "resume": (lambda s, t: s.create_training_client_from_state("tinker://ab:train:0/weights/no"), "no checkpoint"),
    "name": (lambda s, t: t.save_state("../../etc"), "cannot be the name"),
    "loss": (lambda s, t: t.forward_backward(batch(1), "gspo"), "no loss named"),
    "clip": (lambda s, t: t.forward_backward(batch(1), "cispo", {"clip_low_threshold": 2.0}), "not in order"),
    "beta": (lambda s, t: t.forward_backward(batch(1), "dro", {"beta": -1.0}), "not a number from 0 up"),
    "dro clip": (lambda s, t: t.forward_backward(batch(1), "dro", {"clip_low_threshold": 0.8}), "does not take clip"),
    "custom": (lambda s, t: t.forward_backward(batch(1), "cross_entropy", {"odd": 1.0}), "does not take odd"),
    "advantages": (lambda s, t: t.forward_backward(batch(1), "ppo"), "no logprobs and no advantages"),
    "vocabulary": (
        lambda s, t: t.forward(
            [types.Datum(model_input=types.ModelInput.from_ints([1, 9999]), loss_fn_inputs={"target_tokens": [1, 1]})],
            "cross_entropy",
        ),
        "token id outside",
    ),
    "length": (lambda s, t: t.forward([datum(300, 1)], "cross_entropy"), "takes at most 256"),
    "shape": (
        lambda s, t: t.forward(
            [types.Datum(model_input=types.ModelInput.from_ints([1, 2]), loss_fn_inputs={"target_tokens": [1]})],
            "cross_entropy",
        ),
        "2 tokens, but target_tokens of shape",
    ),
    "not a number": (lambda s, t: t.forward([datum(2, 1, weights=[float("nan"), 1.0])], "cross_entropy"), "not a number"),
    "ttl": (lambda s, t: t.save_state("ttl", ttl_seconds=-5), "time to live"),
}


@pytest.mark.parametrize("case", REFUSED_CALLS)
def test_what_cannot_be_done_is_refused_at_once_and_training_goes_on(
    service: tinker.ServiceClient, training: Any, case: str
) -> None:
    call, words = REFUSED_CALLS[case]
    began = time.monotonic()
    with pytest.raises((tinker.TinkerError, ValueError), match=words):
        call(service, training).result()
    assert time.monotonic() - began < 5
    assert loss_of(training) > 0


@pytest.mark.parametrize(("params", "words"), [
    ({"temperature": -1.0}, "temperature"), ({"top_p": 0.0}, "top-p"), ({"top_k": -5}, "top-k"),
    ({"max_tokens": 0}, "at least 1"), ({"max_tokens": 1000}, "do not fit the context"),
    ({"topk_prompt_logprobs": 5000}, "top tokens"),
])  # fmt: skip
def test_impossible_sampling_is_refused_at_once(sampler: Any, params: dict[str, Any], words: str) -> None:
    with pytest.raises(tinker.APIStatusError, match=words):
        sample(sampler, **params)


def test_a_finished_session_is_over(engine: Engine, base_model: str) -> None:
    client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
    training = client.create_lora_training_client(base_model=base_model, rank=2).result()
    model_id = training.model_id
    kept = training.save_state("kept").result().path
    client.close("success").result()
    with httpx.Client(base_url=engine.base_url, headers={"X-API-Key": engine.api_key.reveal()}) as raw:
        assert raw.post("/api/v1/session_heartbeat", json={"session_id": model_id.split(":")[0]}).status_code == 410
        assert raw.post("/api/v1/get_info", json={"model_id": model_id}).status_code == 404
    other = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
    assert loss_of(other.create_training_client_from_state_with_optimizer(kept).result()) > 0
    other.close("success").result()
