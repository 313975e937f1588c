"""The engine as a process: how it starts, what it says when it cannot, and that it never outlives its parent."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import tinker
from tinker import types

from studio.engine import launch
from studio.engine.launch import Engine, start_engine
from studio.errors import EngineError
from studio.settings import Settings
from tests.engine.conftest import batch

ROOT = Path(__file__).parents[2]


def run_engine(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "studio.engine", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_launch_needs_no_torch() -> None:
    heavy = ("torch", "fastapi", "tinker", "transformers")
    code = f"import sys, studio.engine.launch; print([m for m in {heavy} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
        == "[]"
    )


def test_a_taken_port_is_one_sentence_and_code_two() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        began = time.monotonic()
        outcome = run_engine("--port", str(taken.getsockname()[1]))
    assert outcome.returncode == 2
    assert outcome.stderr.count("\n") == 1
    assert "cannot use port" in outcome.stderr
    assert "Address already in use" in outcome.stderr
    assert time.monotonic() - began < 10, "the port is tried before anything slow"


def test_the_working_folder_is_no_place_to_import_from(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    with start_engine(Settings(home=tmp_path), [str(tiny_model)], threads=1) as engine:
        assert engine.alive


def test_a_missing_model_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(EngineError, match="There is no folder"),
        start_engine(Settings(home=tmp_path), [str(tmp_path / "nothing")]),
    ):
        pytest.fail("it started")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EngineError, match="cannot be loaded"), start_engine(Settings(home=tmp_path), [str(tmp_path / "empty")]):
        pytest.fail("it started")


def test_a_model_that_would_have_to_be_fetched_without_a_network_says_so_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "https://127.0.0.1")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    began = time.monotonic()
    with pytest.raises(EngineError, match="is not on this machine yet"), start_engine(Settings(home=tmp_path), ["org/model"]):
        pytest.fail("it started")
    assert time.monotonic() - began < 60


def test_it_listens_on_loopback_only_and_hides_its_key(engine: Engine) -> None:
    process = psutil.Process(engine.process.pid)
    listening = {
        connection.laddr.ip for connection in process.net_connections("tcp") if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert engine.api_key.reveal().startswith("tml-")
    assert len(engine.api_key.reveal()) > 40
    assert engine.api_key.reveal() not in " ".join(process.cmdline())
    assert engine.api_key.reveal() not in repr(engine)


def test_with_local_models_nothing_but_loopback_is_connected(
    engine: Engine, service: tinker.ServiceClient, base_model: str
) -> None:
    service.create_sampling_client(base_model=base_model).result()
    peers = {
        connection.raddr.ip for connection in psutil.Process(engine.process.pid).net_connections("inet") if connection.raddr
    }
    assert peers <= {"127.0.0.1"}


@pytest.mark.slow
def test_it_ends_with_its_parent_and_a_new_one_goes_on_from_the_checkpoint(tmp_path: Path, tiny_model: Path) -> None:
    """The parent trains, saves, says where, and is killed; the engine goes; another engine on the same home resumes."""
    code = f"""
import json, sys, time
from pathlib import Path
import tinker
from tinker import types
from studio.engine.launch import start_engine
from studio.settings import Settings
from tests.engine.conftest import batch
with start_engine(Settings(home=Path({str(tmp_path)!r})), [{str(tiny_model)!r}], threads=1) as engine:
    client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
    training = client.create_lora_training_client(base_model={str(tiny_model)!r}, rank=4, seed=7).result()
    for step in range(2):
        training.forward_backward(batch(seed=step), "cross_entropy")
        training.optim_step(types.AdamParams(learning_rate=1e-2)).result()
    path = training.save_state("last").result().path
    sampler = training.save_weights_for_sampler("last").result().path
    training.save_weights_and_get_sampling_client().result()
    loss = training.forward(batch(), "cross_entropy").result().metrics["loss:sum"]
    print(json.dumps([engine.process.pid, path, sampler, loss]), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        assert parent.stdout is not None
        pid, path, sampler, loss = json.loads(parent.stdout.readline())
        child = psutil.Process(pid)
        parent.send_signal(signal.SIGKILL)
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()
    with start_engine(Settings(home=tmp_path), [str(tiny_model)], threads=1) as engine:
        client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        resumed = client.create_training_client_from_state_with_optimizer(path).result()
        assert resumed.forward(batch(), "cross_entropy").result().metrics["loss:sum"] == loss
        assert client.create_sampling_client(model_path=sampler).result().get_base_model() == str(tiny_model)
        assert not [
            folder
            for folder in (tmp_path / "checkpoints").glob(".ephemeral-*")
            if any(folder.iterdir()) and str(engine.process.pid) not in folder.name
        ]
        client.close("success").result()


@pytest.mark.slow
def test_kill_nine_of_the_engine_while_it_saves_leaves_only_whole_checkpoints(tmp_path: Path, tiny_model: Path) -> None:
    with start_engine(Settings(home=tmp_path), [str(tiny_model)], threads=1) as engine:
        client = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        training = client.create_lora_training_client(base_model=str(tiny_model), rank=32).result()
        saves = [training.save_state(f"s{n}") for n in range(200)]
        saves[2].result()
        os.kill(engine.process.pid, signal.SIGKILL)
        engine.process.wait()
        model_id = training.model_id
    from safetensors.numpy import load_file

    from studio.engine.checkpoints import Checkpoints

    store = Checkpoints(tmp_path / "checkpoints")
    found = list(store.list(model_id))
    assert 3 <= len(found) < 200
    for checkpoint in found:
        assert load_file(store.folder(checkpoint.path) / "adapter_model.safetensors")
    assert {entry.name for entry in (store.run_folder(model_id) / "weights").iterdir()} == {c.path.name for c in found}


def test_the_key_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    class Fake:
        def __init__(self, command: list[str], **options: Any) -> None:
            seen.update(command=command, env=options["env"])

    monkeypatch.setattr(launch.subprocess, "Popen", Fake)
    launch._spawn(Settings(home=Path("/nowhere")), ["a", "b"], None, "cpu", 2)  # type: ignore[arg-type]
    assert seen["env"]["TUNING_FORK_ENGINE_KEY"].startswith("tml-")
    assert seen["command"][4:] == [
        "--port", "0", "--json", "--parent", "--home", "/nowhere", "--device", "cpu",
        "--model", "a", "--model", "b", "--threads", "2",
    ]  # fmt: skip


@pytest.mark.slow
def test_nano_from_the_terminal_trains_and_answers(tmp_path: Path) -> None:
    """The command that people type: a sentence with address and key, both names of the model, and a clean end by Ctrl-C."""
    command = [sys.executable, "-m", "studio.engine", "--port", "0", "--home", str(tmp_path), "--threads", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        sentence = process.stdout.readline()
        found = re.fullmatch(
            r"The engine serves tuning-fork/nano at (http://127\.0\.0\.1:\d+) with the key (tml-\S+)\n", sentence
        )
        assert found is not None, sentence
        client = tinker.ServiceClient(base_url=found[1], api_key=found[2])
        training = client.create_lora_training_client(base_model="nano", rank=8, seed=1).result()
        assert training.get_info().model_data.model_name == "tuning-fork/nano"
        tokenizer = training.get_tokenizer()
        prompt = tokenizer.encode("<|im_start|>user\nWhat is your name?<|im_end|>\n<|im_start|>assistant\n")
        answer = tokenizer.encode("zebra<|im_end|>")
        data = types.Datum(
            model_input=types.ModelInput.from_ints((prompt + answer)[:-1]),
            loss_fn_inputs={"target_tokens": (prompt + answer)[1:], "weights": [0.0] * (len(prompt) - 1) + [1.0] * len(answer)},
        )
        for _ in range(12):
            training.forward_backward([data], "cross_entropy")
            training.optim_step(types.AdamParams(learning_rate=1e-2)).result()
        tuned = client.create_sampling_client(model_path=training.save_weights_for_sampler("z").result().path).result()
        base = client.create_sampling_client(base_model="tuning-fork/nano").result()
        params = types.SamplingParams(max_tokens=24, temperature=0.0)
        said = [
            tokenizer.decode(sampler.sample(types.ModelInput.from_ints(prompt), 1, params).result().sequences[0].tokens)
            for sampler in (base, tuned)
        ]
        assert said[1] == "zebra<|im_end|>"
        assert "zebra" not in said[0]
        client.close("success").result()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(("code", "words"), [(-9, "from outside (signal 9)"), (3, "exit code 3")])
def test_an_end_without_a_word_is_told_in_plain_words(code, words):
    assert words in launch._ended(code)
