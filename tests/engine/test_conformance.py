"""Everything that the unmodified SDK can ask for, asked for."""

from __future__ import annotations

import asyncio
import gc
import tarfile
import time
import urllib.request
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tinker
import torch
from tinker import types
from tinker.lib import internal_client_holder
from tinker.types import RequestErrorCategory

from studio.engine.launch import Engine
from tests.conftest import end_sessions
from tests.engine.conftest import batch, datum, tokens

ADAM = types.AdamParams(learning_rate=1e-2)


def prompt(length: int = 8, seed: int = 0) -> types.ModelInput:
    return types.ModelInput.from_ints(tokens(length, seed))


def loss_of(client: Any, data: list[types.Datum] | None = None) -> float:
    return client.forward(data or batch(), "cross_entropy").result().metrics["loss:sum"]


def train(client: Any, steps: int = 1) -> None:
    for step in range(steps):
        client.forward_backward(batch(seed=step), "cross_entropy")
        client.optim_step(ADAM).result()


# ── what the server says about itself ─────────────────────────────────────────────────────────────────────────────────────────


def test_capabilities_name_the_models(rest: tinker.RestClient, base_model: str) -> None:
    (model,) = rest.get_server_capabilities().result().supported_models
    assert (model.model_name, model.max_context_length, model.trainable, model.sampleable) == (base_model, 256, True, True)


def test_a_training_client_knows_its_model(training: Any, base_model: str) -> None:
    info = training.get_info()
    assert (info.model_data.model_name, info.lora_rank, info.is_lora, info.model_data.arch) == (base_model, 4, True, "qwen3")
    assert training.get_tokenizer().decode(training.get_tokenizer().encode("Hello")) == "Hello"


def test_sessions_and_runs_can_be_looked_up(service: tinker.ServiceClient, rest: tinker.RestClient, base_model: str) -> None:
    client = service.create_lora_training_client(
        base_model=base_model, rank=2, user_metadata={"renderer_name": "plain"}
    ).result()
    session = client.model_id.split(":")[0]
    sampler = service.create_sampling_client(base_model=base_model).result()
    found = rest.get_session(session).result()
    assert found.training_run_ids == [client.model_id]
    assert len(found.sampler_ids) == 1
    assert session in rest.list_sessions(limit=1000).result().sessions
    assert rest.get_sampler(found.sampler_ids[0]).result().base_model == base_model
    assert sampler.get_base_model() == base_model
    run = rest.get_training_run(client.model_id).result()
    assert (run.base_model, run.lora_rank, run.user_metadata) == (base_model, 2, {"renderer_name": "plain"})
    assert client.model_id in [run.training_run_id for run in rest.list_training_runs(limit=1000).result().training_runs]


# ── training ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_forward_pass_leaves_no_gradient(training: Any) -> None:
    before = loss_of(training)
    training.forward(batch(seed=3), "cross_entropy").result()
    training.optim_step(ADAM).result()
    assert loss_of(training) == before


def test_a_step_reports_its_gradient_norm(training: Any) -> None:
    training.forward_backward(batch(), "cross_entropy")
    assert training.optim_step(ADAM).result().metrics["grad_norm"] > 0


def test_examples_without_weights_count_every_token(training: Any) -> None:
    plain = datum(9, 1)
    bare = types.Datum(model_input=plain.model_input, loss_fn_inputs={"target_tokens": plain.loss_fn_inputs["target_tokens"]})
    assert loss_of(training, [bare]) == pytest.approx(loss_of(training, [plain]), rel=1e-6)


def test_weights_scale_the_loss(training: Any) -> None:
    heavy, light = (datum(9, 1, weights=[weight] * 9) for weight in (1.0, 0.25))
    assert loss_of(training, [light]) == pytest.approx(0.25 * loss_of(training, [heavy]), rel=1e-6)


def test_a_batch_larger_than_one_request_arrives_in_order(training: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = batch(20)
    whole = training.forward(data, "cross_entropy").result()
    small = training.holder._client_config.model_copy(update={"fwdbwd_max_chunk_len": 3})
    monkeypatch.setattr(training.holder, "_client_config", small)  # the SDK then sends seven requests at once
    cut = training.forward(data, "cross_entropy").result()
    for a, b in zip(whole.loss_fn_outputs, cut.loss_fn_outputs, strict=True):
        np.testing.assert_allclose(a["logprobs"].to_numpy(), b["logprobs"].to_numpy(), atol=1e-5)
    assert cut.metrics["loss:sum"] == pytest.approx(whole.metrics["loss:sum"], rel=1e-5)


def test_a_custom_loss_runs_in_the_client(training: Any, service: tinker.ServiceClient, base_model: str) -> None:
    def square(_: list[types.Datum], logprobs: list[torch.Tensor]) -> tuple[torch.Tensor, dict[str, float]]:
        loss = torch.stack([(values**2).sum() for values in logprobs]).sum() * 0.01
        return loss, {"squared": loss.item()}

    twin = service.create_lora_training_client(base_model=base_model, rank=4, seed=7).result()
    first = training.forward_backward_custom(batch(), square).result()
    training.optim_step(ADAM).result()
    assert first.metrics["loss:sum"] == pytest.approx(first.metrics["squared"])
    # d(0.01·p²)/dp = 0.02·p, so cross-entropy with the weights -0.02·p takes the same step.
    forward = twin.forward(batch(), "cross_entropy").result()
    weighted = [
        types.Datum(
            model_input=d.model_input,
            loss_fn_inputs={"target_tokens": d.loss_fn_inputs["target_tokens"], "weights": -0.02 * o["logprobs"].to_numpy()},
        )
        for d, o in zip(batch(), forward.loss_fn_outputs, strict=True)
    ]
    twin.forward_backward(weighted, "cross_entropy")
    twin.optim_step(ADAM).result()
    assert loss_of(training) == pytest.approx(loss_of(twin), rel=1e-5)


# ── checkpoints ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_resuming_with_the_optimizer_goes_on_exactly(service: tinker.ServiceClient, training: Any) -> None:
    train(training, 3)
    path = training.save_state("three").result().path
    train(training, 2)
    resumed = service.create_training_client_from_state_with_optimizer(path).result()
    train(resumed, 2)
    assert loss_of(resumed) == loss_of(training)


def test_resuming_without_the_optimizer_keeps_only_the_weights(service: tinker.ServiceClient, training: Any) -> None:
    train(training, 3)
    path = training.save_state("three").result().path
    fresh = service.create_training_client_from_state(path).result()
    assert loss_of(fresh) == loss_of(training)
    train(training, 1)
    train(fresh, 1)
    assert loss_of(fresh) != loss_of(training)


def test_weights_can_be_loaded_into_a_running_client(training: Any) -> None:
    before = loss_of(training)
    path = training.save_state("start").result().path
    train(training, 2)
    assert loss_of(training) != before
    training._load_state_impl(path, optimizer=True, weights_access_token=None).result()
    assert loss_of(training) == before


@pytest.mark.timeout(60)
def test_a_broken_checkpoint_is_said_and_holds_nothing_up(training: Any, engine_home: Path) -> None:
    path = training.save_state("broken").result().path
    (record,) = engine_home.glob(f"checkpoints/{training.model_id.replace(':', '.')}/weights/broken/checkpoint.json")
    record.write_text("{")
    with pytest.raises(tinker.UnprocessableEntityError):
        training._load_state_impl(path, optimizer=True, weights_access_token=None).result()
    assert loss_of(training) > 0
    record.unlink()


def test_a_name_is_taken_only_once_unless_overwritten(training: Any) -> None:
    training.save_state("taken").result()
    with pytest.raises(tinker.RequestFailedError, match="already a checkpoint") as refused:
        training.save_state("taken").result()
    assert refused.value.category is RequestErrorCategory.User
    training.save_state("taken", overwrite=True).result()


def test_a_snapshot_stays_while_training_goes_on(service: tinker.ServiceClient, training: Any, base_model: str) -> None:
    train(training, 2)
    snapshot = training.save_weights_and_get_sampling_client().result()
    named = service.create_sampling_client(model_path=training.save_weights_for_sampler("s").result().path).result()
    before = snapshot.compute_logprobs(prompt()).result()
    train(training, 3)
    base = service.create_sampling_client(base_model=base_model).result()
    later = training.save_weights_and_get_sampling_client().result()
    assert snapshot.compute_logprobs(prompt()).result() == before == named.compute_logprobs(prompt()).result()
    assert len({tuple(client.compute_logprobs(prompt()).result()) for client in (snapshot, base, later)}) == 3


def test_checkpoints_are_listed_kept_for_a_time_and_deleted(training: Any, rest: tinker.RestClient) -> None:
    kept = training.save_state("kept", user_metadata={"why": "test"}).result().path
    training.save_weights_for_sampler("brief", ttl_seconds=7200).result()
    listed = {c.checkpoint_id: c for c in rest.list_checkpoints(training.model_id).result().checkpoints}
    assert set(listed) == {"weights/kept", "sampler_weights/brief"}
    assert listed["weights/kept"].user_metadata == {"why": "test"}
    assert listed["weights/kept"].expires_at is None
    assert listed["weights/kept"].size_bytes > 1000
    assert 7000 < listed["sampler_weights/brief"].expires_at.timestamp() - time.time() <= 7200
    assert kept in [c.tinker_path for c in rest.list_user_checkpoints(limit=1000).result().checkpoints]
    rest.set_checkpoint_ttl_from_tinker_path(kept, 1).result()
    time.sleep(1.1)
    assert [c.checkpoint_id for c in rest.list_checkpoints(training.model_id).result().checkpoints] == ["sampler_weights/brief"]
    rest.delete_checkpoint(training.model_id, "sampler_weights/brief").result()
    assert rest.list_checkpoints(training.model_id).result().checkpoints == []
    with pytest.raises(tinker.NotFoundError, match="no checkpoint"):
        rest.delete_checkpoint(training.model_id, "sampler_weights/brief").result()


def test_weights_info_tells_what_a_checkpoint_needs(training: Any, rest: tinker.RestClient, base_model: str) -> None:
    path = training.save_state("info").result().path
    info = rest.get_weights_info_by_tinker_path(path).result()
    assert (info.base_model, info.lora_rank, info.is_lora, info.train_mlp, info.train_unembed) == (
        base_model,
        4,
        True,
        True,
        True,
    )
    assert rest.get_training_run_by_tinker_path(path).result().training_run_id == training.model_id


@pytest.mark.filterwarnings("ignore:Using the future:FutureWarning", "ignore:Model has `tie_word_embeddings:UserWarning")
@pytest.mark.parametrize("kind", ["weights", "external_weights"])
def test_the_cookbook_downloads_an_adapter_that_peft_loads(
    training: Any, engine: Engine, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    from peft import PeftModel
    from tinker_cookbook import weights
    from transformers import AutoModelForCausalLM

    train(training, 2)
    save = training.save_state if kind == "weights" else training.save_weights_external
    path = save("final").result().path
    monkeypatch.setenv("TINKER_API_KEY", engine.api_key.reveal())
    weights.download(tinker_path=path, output_dir=str(tmp_path / "adapter"), base_url=engine.base_url)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    model: Any = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32), tmp_path / "adapter"
    )
    data = datum(12, 4)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([data.model_input.to_ints()])).logits[0]
    targets = torch.tensor(data.loss_fn_inputs["target_tokens"].data)[:, None]
    expected = -torch.log_softmax(logits, -1).gather(1, targets).sum().item()
    assert loss_of(training, [data]) == pytest.approx(expected, rel=1e-5)


def test_an_archive_is_one_signed_link_away(training: Any, engine: Engine, tmp_path: Path) -> None:
    training.save_weights_for_sampler("packed").result()
    address = f"{engine.base_url}/api/v1/training_runs/{training.model_id}/checkpoints/sampler_weights/packed/archive"
    answer = httpx.get(address, headers={"X-API-Key": engine.api_key.reveal()})
    assert answer.status_code == 302
    link = answer.headers["location"]
    urllib.request.urlretrieve(link, tmp_path / "packed.tar")
    with tarfile.open(tmp_path / "packed.tar") as tar:
        assert {"adapter_model.safetensors", "adapter_config.json"} <= set(tar.getnames())
    for forged in (
        link.replace("packed", "other"),
        link.replace("archive.tar", "checkpoint.json"),
        link[:-1] + "x",
        link[:-1] + "%C3%A4",
        link.split("?")[0],
    ):
        assert httpx.get(forged).status_code == 401


# ── sampling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def sample(sampler: Any, count: int = 1, **params: Any) -> Any:
    extra = {name: params.pop(name) for name in list(params) if name.startswith(("include", "topk", "prompt"))}
    return sampler.sample(prompt(), count, types.SamplingParams(**{"max_tokens": 12, **params}), **extra).result()


def test_a_seed_repeats_a_sample_whatever_it_is_batched_with(sampler: Any) -> None:
    alone = sample(sampler, 3, seed=5)
    crowd = [sampler.sample(prompt(seed=n), 2, types.SamplingParams(max_tokens=9 + n, temperature=0.7)) for n in range(12)]
    again = sample(sampler, 3, seed=5)
    [future.result() for future in crowd]
    assert [s.tokens for s in alone.sequences] == [s.tokens for s in again.sequences]
    assert len({tuple(s.tokens) for s in alone.sequences}) == 3
    assert sample(sampler, 1, seed=6).sequences[0].tokens != alone.sequences[0].tokens
    assert sample(sampler, 1).sequences[0].tokens != sample(sampler, 1).sequences[0].tokens


def test_sampled_frequencies_follow_the_model(sampler: Any) -> None:
    # A known distribution: the first token after a fixed prompt, drawn 3000 times at temperature 0.5.
    logprobs = dict(sample(sampler, max_tokens=1, topk_sample_logprobs=259).sequences[0].topk_logprobs[0])
    sharpened = np.exp([2 * value for value in logprobs.values()])
    expected = dict(zip(logprobs, sharpened / sharpened.sum(), strict=True))
    drawn = [s.tokens[0] for s in sample(sampler, 3000, max_tokens=1, temperature=0.5, seed=1).sequences]
    for token in sorted(expected, key=expected.__getitem__, reverse=True)[:5]:
        share = expected[token]
        assert drawn.count(token) / 3000 == pytest.approx(share, abs=4.5 * np.sqrt(share / 3000) + 1e-3)


def test_top_k_and_top_p_cut_the_tail(sampler: Any) -> None:
    top = sample(sampler, max_tokens=1, topk_sample_logprobs=259).sequences[0].topk_logprobs[0]
    best = [token for token, _ in top]
    assert {s.tokens[0] for s in sample(sampler, 400, max_tokens=1, top_k=3, seed=1).sequences} == set(best[:3])
    nucleus = best[: int(np.searchsorted(np.cumsum(np.exp([value for _, value in top])), 0.3)) + 1]
    assert {s.tokens[0] for s in sample(sampler, 2000, max_tokens=1, top_p=0.3, seed=1).sequences} <= set(nucleus)
    assert {s.tokens[0] for s in sample(sampler, 50, max_tokens=1, top_p=1e-6).sequences} == {best[0]}


def test_stop_tokens_and_stop_strings_end_a_sequence_and_stay_in_it(sampler: Any) -> None:
    free = sample(sampler, seed=2).sequences[0]
    assert free.stop_reason == "length"
    assert len(free.tokens) == 12
    by_token = sample(sampler, seed=2, stop=[free.tokens[4]]).sequences[0]
    first = free.tokens.index(free.tokens[4])
    assert (by_token.tokens, by_token.stop_reason) == (free.tokens[: first + 1], "stop")


def test_stop_strings_may_span_tokens(sampler: Any) -> None:
    decode = sampler.get_tokenizer().decode
    free = [s.tokens for s in sample(sampler, 64, seed=2).sequences]
    pair = next(a + b for text in map(decode, free) for a, b in pairwise(text[2:]) if (a + b).isascii())
    stopped = sample(sampler, 64, seed=2, stop=[pair, "never there"]).sequences
    for whole, sequence in zip(free, stopped, strict=True):
        length = next((n for n in range(1, 13) if pair in decode(whole[:n])), 12)
        assert sequence.tokens == whole[:length]
        ended = pair in decode(whole) or sequence.tokens[-1] == sampler.get_tokenizer().eos_token_id
        assert sequence.stop_reason == ("stop" if ended else "length")
    assert {sequence.stop_reason for sequence in stopped} == {"stop", "length"}


def test_the_end_token_stops_unless_the_stops_are_empty(service: tinker.ServiceClient, training: Any) -> None:
    # Teach the model to end at once.
    end = training.get_tokenizer().eos_token_id
    sequence = [*prompt().to_ints(), end]
    data = types.Datum(
        model_input=types.ModelInput.from_ints(sequence[:-1]),
        loss_fn_inputs={"target_tokens": sequence[1:], "weights": [0.0] * 7 + [1.0]},
    )
    for _ in range(30):
        training.forward_backward([data], "cross_entropy")
        training.optim_step(types.AdamParams(learning_rate=3e-2)).result()
    taught = training.save_weights_and_get_sampling_client().result()
    ended = sample(taught, temperature=0.0).sequences[0]
    assert (ended.tokens, ended.stop_reason) == ([end], "stop")
    assert len(sample(taught, temperature=0.0, stop=[]).sequences[0].tokens) == 12
    assert sample(taught, temperature=0.0, stop=["x"]).sequences[0].tokens == [end]


def test_prompt_logprobs_whole_last_and_top(sampler: Any) -> None:
    whole = sample(sampler, include_prompt_logprobs=True, topk_prompt_logprobs=3)
    assert whole.prompt_logprobs[0] is None
    assert len(whole.prompt_logprobs) == 8
    assert whole.topk_prompt_logprobs[0] is None
    for position, pairs in enumerate(whole.topk_prompt_logprobs[1:], start=1):
        assert len(pairs) == 3
        assert pairs == sorted(pairs, key=lambda pair: -pair[1])
        inside = dict(pairs).get(prompt().to_ints()[position])
        assert inside is None or inside == pytest.approx(whole.prompt_logprobs[position], abs=1e-5)
    last = sample(sampler, include_prompt_logprobs=True, prompt_logprobs_last_n=3).prompt_logprobs
    assert last[:5] == [None] * 5
    assert last[5:] == pytest.approx(whole.prompt_logprobs[5:], abs=1e-5)
    assert sampler.compute_logprobs(prompt()).result()[1:] == pytest.approx(whole.prompt_logprobs[1:], abs=1e-5)
    assert sample(sampler).prompt_logprobs is None


def test_a_context_can_be_filled_to_the_brim(sampler: Any) -> None:
    full = types.ModelInput.from_ints(tokens(256, 1))
    assert len(sampler.compute_logprobs(full).result()) == 256
    rest = sampler.sample(types.ModelInput.from_ints(tokens(250, 1)), 1, types.SamplingParams(stop=[])).result()
    assert len(rest.sequences[0].tokens) == 6


def test_a_pickled_client_samples_too(sampler: Any) -> None:
    import pickle

    twin = pickle.loads(pickle.dumps(sampler))
    assert sample(twin, seed=3).sequences[0].tokens == sample(sampler, seed=3).sequences[0].tokens


def test_an_abandoned_request_is_dropped(sampler: Any) -> None:
    futures = [sampler.sample(prompt(seed=n), 64, types.SamplingParams(max_tokens=240, stop=[])) for n in range(4)]
    time.sleep(0.3)
    for future in futures:
        future.future().cancel()
    assert len(sample(sampler).sequences[0].tokens) <= 12


def test_clients_that_nobody_closes_fall_silent_after_a_file_of_tests(engine: Engine, base_model: str) -> None:
    def beats() -> list[str]:
        loop = internal_client_holder._internal_client_holder_thread_singleton.get_loop()
        return [task.get_coro().__name__ for task in asyncio.all_tasks(loop) if "heartbeat" in task.get_coro().__name__]

    end_sessions()
    for _ in range(2):
        client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        client.create_sampling_client(base_model=base_model).result()
    del client
    gc.collect()
    assert len(beats()) == 2, "the SDK holds on to them by itself"
    assert end_sessions() == 2
    assert not beats()
    assert end_sessions() == 0
