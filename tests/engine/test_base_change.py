"""A checkpoint belongs to the base weights that it was trained on, and to no others of the same name."""

from __future__ import annotations

from pathlib import Path

import pytest
import tinker

from studio.engine.fingerprint import fingerprint
from studio.engine.launch import start_engine
from studio.settings import Settings
from tests.engine.conftest import batch, build_model

ADAM = tinker.AdamParams(learning_rate=1e-2)


def test_a_fingerprint_follows_the_content_of_a_folder(tmp_path: Path) -> None:
    first, same, other = (build_model(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert fingerprint(str(first)) == fingerprint(str(same))
    assert fingerprint(str(first)) != fingerprint(str(other))
    before = fingerprint(str(first))
    (first / "README.md").write_text("Words change nothing.")
    assert fingerprint(str(first)) == before
    config = first / "config.json"
    config.write_text(config.read_text() + "\n")
    assert fingerprint(str(first)) != before


def test_a_large_folder_is_known_by_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studio.engine.fingerprint.MOST_READ", 10)
    folder = build_model(tmp_path / "large")
    before = fingerprint(str(folder))
    assert before == fingerprint(str(folder))
    with (folder / "model.safetensors").open("ab") as weights:
        weights.write(b"more")
    assert fingerprint(str(folder)) != before


def test_a_model_of_the_hub_is_known_by_its_revision() -> None:
    assert fingerprint("org/model", "0a1b") == fingerprint("org/model", "0a1b") != fingerprint("org/model", "2c3d")


@pytest.mark.timeout(120)
def test_a_checkpoint_is_refused_on_a_rebuilt_base(tmp_path: Path) -> None:
    model, home = build_model(tmp_path / "model", seed=0), Settings(home=tmp_path / "home")
    with start_engine(home, [str(model)], threads=1) as engine:
        service = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        training = service.create_lora_training_client(base_model=str(model), rank=4, seed=7).result()
        training.forward_backward(batch(), "cross_entropy")
        training.optim_step(ADAM).result()
        state = training.save_state("state").result().path
        sampler = training.save_weights_for_sampler("sampler").result().path
    build_model(model, seed=1)
    with start_engine(home, [str(model)], threads=1) as engine:
        service = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        changed = "base model .* has changed since .* train again"
        with pytest.raises(tinker.BadRequestError, match=changed) as refused:
            service.create_sampling_client(model_path=sampler).result()
        assert refused.value.body["type"] == "base_changed"
        for resume in (service.create_training_client_from_state, service.create_training_client_from_state_with_optimizer):
            with pytest.raises(tinker.BadRequestError, match=changed):
                resume(state).result()
        fresh = service.create_lora_training_client(base_model=str(model), rank=4, seed=7).result()
        with pytest.raises(tinker.BadRequestError, match=changed):
            fresh._load_state_impl(state, optimizer=True, weights_access_token=None).result()
        assert fresh.forward_backward(batch(), "cross_entropy").result().metrics, "the refused request holds nothing up"
