"""Checkpoints on disk: all or nothing, and nothing outside their folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.engine import checkpoints as module
from studio.engine.checkpoints import CheckpointPath, Checkpoints, Run
from studio.engine.refusals import RefusalError
from studio.errors import StoreError

META = {"rank": 4, "base_model": "m", "base_fingerprint": "f", "steps": 3, "user_metadata": {"a": "b"}}
PATH = CheckpointPath("0a1b:train:0", "weights", "step-1")
FILES = {"adapter_model.safetensors": b"weights", "adapter_config.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def run(model_id: str = PATH.model_id) -> Run:
    return Run(model_id, "0a1b", "m", 4, ("q_proj",), True, True, True, datetime.now(UTC), {"renderer_name": "plain"})


@given(st.text(max_size=40))
def test_any_text_is_a_safe_path_or_refused(text: str) -> None:
    root = Path("/nowhere/root")
    for candidate in (text, f"tinker://{text}", f"tinker://a:train:0/weights/{text}", f"tinker://{text}/weights/a"):
        try:
            path = CheckpointPath.parse(candidate)
        except RefusalError as refusal:
            refused = refusal.status
        else:
            refused = None
        if refused is not None:
            assert refused in (400, 404)
            continue
        place = root / path.model_id / path.kind / path.name
        assert os.path.normpath(place) == str(place)
        assert len(place.relative_to(root).parts) == 3
        assert not path.name.startswith(".")
        assert str(path) == candidate
        assert CheckpointPath.parse(str(path)) == path


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", ".hidden", "a\x00b", "a b", "a\n", "ä", "x" * 129, "%2e%2e"])
def test_names_that_could_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(RefusalError):
        CheckpointPath("a:train:0", "weights", name)
    with pytest.raises(RefusalError):
        CheckpointPath(f"{name}:train:0", "weights", "a")


def test_what_was_saved_is_found_again_by_another_engine(store: Checkpoints) -> None:
    store.remember(run())
    store.save(PATH, FILES, meta=META)
    again = Checkpoints(store.root)
    (found,) = again.list()
    assert (found.path, found.rank, found.base_model, found.steps, found.user_metadata) == (PATH, 4, "m", 3, {"a": "b"})
    assert found.size >= len(b"weights{}")
    assert (again.folder(PATH) / "adapter_model.safetensors").read_bytes() == b"weights"
    (known,) = again.runs()
    assert (known.model_id, known.targets, known.user_metadata) == (PATH.model_id, ("q_proj",), {"renderer_name": "plain"})


def test_time_to_live(store: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(PATH, FILES, meta=META, ttl=3600)
    assert len(list(store.list())) == 1
    store.set_ttl(PATH, None)
    assert store.get(PATH).expires is None
    store.set_ttl(PATH, 1)
    time.sleep(1.05)
    assert list(store.list()) == []
    store.save(PATH, FILES, meta=META)  # an expired name is free again
    store.set_ttl(PATH, 1)
    time.sleep(1.05)
    assert store.purge() == 1
    with pytest.raises(RefusalError, match="no checkpoint"):
        store.folder(PATH)


def test_a_full_disk_leaves_nothing_half_written(store: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(PATH, FILES, meta=META)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.save(PATH, {**FILES, "adapter_model.safetensors": b"new"}, meta=META, overwrite=True)
    monkeypatch.undo()
    assert (store.folder(PATH) / "adapter_model.safetensors").read_bytes() == b"weights"
    assert [entry.name for entry in (store.run_folder(PATH.model_id) / PATH.kind).iterdir()] == [PATH.name]


@pytest.mark.parametrize("moment", ["fsync", "rename", "replace_then_die"])
def test_kill_nine_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path, moment: str) -> None:
    """The child dies by SIGKILL at its n-th call into the file system, for every n until a save survives."""
    code = textwrap.dedent(
        """
        import os, signal, sys
        from pathlib import Path
        from studio.engine.checkpoints import Checkpoints, CheckpointPath
        root, moment, deadly = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
        store = Checkpoints(root)
        calls = 0
        def lethal(real):
            def call(*args, **kwargs):
                global calls
                calls += 1
                if calls == deadly and moment != "replace_then_die":
                    os.kill(os.getpid(), signal.SIGKILL)
                result = real(*args, **kwargs)
                if calls == deadly:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result
            return call
        if moment == "fsync":
            os.fsync = lethal(os.fsync)
        else:
            Path.rename = lethal(Path.rename)
        meta = {"rank": 4, "base_model": "m", "base_fingerprint": "f"}
        files = {"adapter_model.safetensors": b"new" * 1000}
        store.save(CheckpointPath("0a1b:train:0", "weights", "step-1"), files, meta=meta, overwrite=True)
        """
    )
    store = Checkpoints(tmp_path)
    store.save(PATH, {"adapter_model.safetensors": b"old"}, meta=META)
    for deadly in range(1, 20):
        outcome = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), moment, str(deadly)], cwd=Path(__file__).parents[2], check=False
        )
        recovered = Checkpoints(tmp_path)
        (found,) = recovered.list()
        content = (recovered.folder(found.path) / "adapter_model.safetensors").read_bytes()
        assert content in (b"old", b"new" * 1000)
        assert [entry.name for entry in (store.run_folder(PATH.model_id) / PATH.kind).iterdir()] == [PATH.name]
        if outcome.returncode == 0:
            assert content == b"new" * 1000
            assert deadly > 1
            return
        assert outcome.returncode == -signal.SIGKILL
    pytest.fail("the save never survived")


def test_another_engine_may_be_in_the_middle_of_a_save(store: Checkpoints) -> None:
    store.save(PATH, FILES, meta=META)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        busy = store.run_folder(PATH.model_id) / "weights" / f".new-{other.pid}-00ff-step-2"
        busy.mkdir()
        Checkpoints(store.root)
        assert busy.is_dir()
        other.kill()
    Checkpoints(store.root)
    assert not busy.exists()


def test_a_run_without_checkpoints_is_forgotten(store: Checkpoints) -> None:
    store.remember(run("aa:train:0"))
    store.remember(run("bb:train:0"))
    store.save(CheckpointPath("bb:train:0", "weights", "x"), FILES, meta=META)
    for model_id in ("aa:train:0", "bb:train:0"):
        store.forget_if_empty(model_id)
    assert [known.model_id for known in store.runs()] == ["bb:train:0"]


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        Checkpoints(tmp_path / "file" / "checkpoints")


def test_folders_have_names_that_every_system_takes(store: Checkpoints) -> None:
    store.remember(run())
    store.save(PATH, FILES, meta=META)
    folders = [entry.name for entry in store.root.rglob("*")]
    assert folders
    assert not [name for name in folders if set(name) & set('<>:"/\\|?*')]
    assert str(next(Checkpoints(store.root).list()).path) == "tinker://0a1b:train:0/weights/step-1"


def test_a_checkpoint_is_refused_on_other_weights(store: Checkpoints) -> None:
    saved = store.save(PATH, FILES, meta=META)
    saved.require_base("m", "f")
    saved.require_base("the same folder by another name", "f")
    with pytest.raises(RefusalError, match=r"has changed since .* train again"):
        saved.require_base("m", "g")
    with pytest.raises(RefusalError, match="trained on m, not on n"):
        saved.require_base("n", "g")
