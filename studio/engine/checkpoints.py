"""Checkpoints on disk: one folder per training run and checkpoint, in PEFT's own format.

    <root>/<run>/run.json
    <root>/<run>/{weights,sampler_weights,external_weights}/<name>/
        adapter_model.safetensors  adapter_config.json  checkpoint.json  [optimizer.safetensors]

``<run>`` is the model id with a dot for each colon, which no folder may have in its name on Windows.

Guarantees: a checkpoint is there completely or not at all, also after ``kill -9`` or a power cut: it is written beside its
place, flushed to the disk, and renamed; it remembers which base weights it was trained on; no id or name that a client sends
can lead out of ``root``; several engines may share a root.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import orjson
import psutil

from studio.engine.refusals import RefusalError, not_found
from studio.errors import StoreError

Kind = Literal["weights", "sampler_weights", "external_weights"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_MODEL_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}:train:[0-9]{1,9}")
_RUN_FOLDER: Final = re.compile(_MODEL_ID.pattern.replace(":", r"\."))
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,127}")
_SCRATCH: Final = re.compile(r"\.(?:new|old)-(?P<pid>[0-9]+)-[0-9a-f]+-(?P<name>.+)")
_TTL: Final = (1, 10 * 366 * 86400)


@dataclass(frozen=True, slots=True)
class CheckpointPath:
    """A parsed ``tinker://<model id>/<kind>/<name>``; holding one proves that its parts are safe."""

    model_id: str
    kind: Kind
    name: str

    def __post_init__(self) -> None:
        check_model_id(self.model_id)
        if self.kind not in KINDS:
            raise RefusalError(f"{self.kind!r} is not a kind of checkpoint.", next_step=f"Use one of {', '.join(KINDS)}.")
        if not _NAME.fullmatch(self.name):
            raise RefusalError(
                f"{self.name!r} cannot be the name of a checkpoint.",
                next_step="Use letters, digits, dots, dashes and underscores, at most 128, not starting with a dot.",
            )

    @classmethod
    def parse(cls, text: str) -> CheckpointPath:
        """Read a ``tinker://`` path. Raises ``RefusalError``."""
        parts = text.removeprefix("tinker://").split("/")
        if not text.startswith("tinker://") or len(parts) != 3:
            raise RefusalError(f"{text!r} is not a checkpoint path.", next_step="Paths look like tinker://RUN/weights/NAME.")
        return cls(parts[0], cast("Kind", parts[1]), parts[2])

    def __str__(self) -> str:
        return f"tinker://{self.model_id}/{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Run:
    """A training run as it is remembered after the engine that made it is gone."""

    model_id: str
    session_id: str
    base_model: str
    rank: int
    targets: tuple[str, ...]
    train_mlp: bool
    train_attn: bool
    train_unembed: bool
    created: datetime
    user_metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What ``checkpoint.json`` says, plus the size on disk."""

    path: CheckpointPath
    created: datetime
    expires: datetime | None
    size: int
    rank: int
    base_model: str
    base_fingerprint: str
    steps: int = 0
    user_metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def expired(self) -> bool:
        """Whether its time to live is over."""
        return self.expires is not None and self.expires <= datetime.now(UTC)

    def require_base(self, name: str, fingerprint: str) -> None:
        """Raise ``RefusalError`` unless it was trained on these very weights: on any others it would answer nonsense."""
        if self.base_fingerprint == fingerprint:
            return
        if self.base_model != name:
            raise RefusalError(
                f"The checkpoint {self.path} was trained on {self.base_model}, not on {name}.",
                kind="other_base",
                next_step=f"Use it with {self.base_model}.",
            )
        raise RefusalError(
            f"The base model {name} has changed since {self.path} was trained.",
            kind="base_changed",
            next_step="Please train again.",
        )


def check_model_id(model_id: str) -> str:
    """The same id, if it can name a folder. Raises ``RefusalError``."""
    if not _MODEL_ID.fullmatch(model_id):
        raise not_found(f"The engine knows no training run {model_id!r}.")
    return model_id


class Checkpoints:
    """The folder of all checkpoints. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        try:
            root.mkdir(parents=True, exist_ok=True)
            self._recover()
        except OSError as error:
            raise _disk(error, root) from error

    def remember(self, run: Run) -> None:
        """Write ``run.json``, so that the run can be listed and resumed by a later engine."""
        body = {
            "model_id": run.model_id,
            "session_id": run.session_id,
            "base_model": run.base_model,
            "rank": run.rank,
            "targets": list(run.targets),
            "train_mlp": run.train_mlp,
            "train_attn": run.train_attn,
            "train_unembed": run.train_unembed,
            "created": run.created.isoformat(),
            "user_metadata": dict(run.user_metadata),
        }
        folder = self.run_folder(run.model_id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _replace_file(folder / "run.json", orjson.dumps(body))
        except OSError as error:
            raise _disk(error, folder) from error

    def run(self, model_id: str) -> Run:
        """The run of this id. Raises ``RefusalError`` when there is none."""
        file = self.run_folder(model_id) / "run.json"
        if not file.is_file():
            raise not_found(f"The engine knows no training run {model_id}.")
        body: dict[str, Any] = orjson.loads(file.read_bytes())
        body["targets"], body["created"] = tuple(body["targets"]), datetime.fromisoformat(body["created"])
        return Run(**body)

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        found = [self.run(_model_id(folder)) for folder in self._run_folders() if (folder / "run.json").is_file()]
        return sorted(found, key=lambda run: run.created, reverse=True)

    def forget_if_empty(self, model_id: str) -> None:
        """Drop the record of a run that ended without a single checkpoint."""
        folder = self.run_folder(model_id)
        with self._lock:
            if folder.is_dir() and not any(True for _ in self.list(model_id)):
                shutil.rmtree(folder, ignore_errors=True)

    def save(
        self,
        path: CheckpointPath,
        files: Mapping[str, bytes],
        *,
        meta: Mapping[str, Any],
        ttl: int | None = None,
        overwrite: bool = False,
    ) -> Checkpoint:
        """Write a checkpoint, completely or not at all.

        ``meta`` holds ``rank``, ``base_model``, ``base_fingerprint``, ``steps`` and ``user_metadata``; ``ttl`` is in seconds.
        Raises ``RefusalError`` when the name is taken and ``overwrite`` is false, ``StoreError`` when the disk says no.
        """
        now = datetime.now(UTC)
        body = {**meta, "created": now.isoformat(), "expires": _expiry(now, ttl)}
        with self._lock:
            place = self._place(path)
            if place.exists() and not overwrite and not self.get(path).expired:
                raise RefusalError(f"There is already a checkpoint {path}.", next_step="Choose another name, or overwrite it.")
            try:
                self._publish(place, {**files, "checkpoint.json": orjson.dumps(body)})
            except OSError as error:
                raise _disk(error, place) from error
            return self.get(path)

    def get(self, path: CheckpointPath) -> Checkpoint:
        """What is known of a checkpoint. Raises ``RefusalError`` when there is none or its time is over."""
        place = self._place(path)
        try:
            body: dict[str, Any] = orjson.loads((place / "checkpoint.json").read_bytes())
            size = sum(file.stat().st_size for file in place.iterdir())
        except FileNotFoundError:  # also when another engine deletes it in this moment
            raise not_found(
                f"There is no checkpoint {path}.", next_step="It was deleted, or never saved in this home."
            ) from None
        expires = body.get("expires")
        return Checkpoint(
            path=path,
            created=datetime.fromisoformat(body["created"]),
            expires=datetime.fromisoformat(expires) if expires else None,
            size=size,
            rank=int(body["rank"]),
            base_model=str(body["base_model"]),
            base_fingerprint=str(body["base_fingerprint"]),
            steps=int(body.get("steps", 0)),
            user_metadata=body.get("user_metadata") or {},
        )

    def folder(self, path: CheckpointPath) -> Path:
        """The folder of a live checkpoint. Raises ``RefusalError`` when there is none or its time is over."""
        if self.get(path).expired:
            self.delete(path)
            raise not_found(f"The checkpoint {path} has expired.")
        return self._place(path)

    def list(self, model_id: str | None = None) -> Iterator[Checkpoint]:
        """Live checkpoints of one run or of all, the newest first."""
        folders = self._run_folders() if model_id is None else [self.run_folder(model_id)]
        found: list[Checkpoint] = []
        for folder in folders:
            for kind in KINDS:
                for place in sorted((folder / kind).glob("*")) if (folder / kind).is_dir() else []:
                    if _NAME.fullmatch(place.name):
                        with contextlib.suppress(RefusalError):  # deleted by another engine while the folder was read
                            found.append(self.get(CheckpointPath(_model_id(folder), kind, place.name)))
        for checkpoint in sorted(found, key=lambda checkpoint: checkpoint.created, reverse=True):
            if not checkpoint.expired:
                yield checkpoint

    def delete(self, path: CheckpointPath) -> None:
        """Remove a checkpoint. Raises ``RefusalError`` when there is none."""
        with self._lock:
            self.get(path)
            place = self._place(path)
            doomed = place.parent / _scratch("new", path.name)  # "new": recovery clears it away, it never comes back
            try:
                place.rename(doomed)
                shutil.rmtree(doomed)
            except OSError as error:
                raise _disk(error, place) from error

    def set_ttl(self, path: CheckpointPath, ttl: int | None) -> None:
        """Let a checkpoint live for ``ttl`` seconds from now, or for ever."""
        with self._lock:
            file = self.folder(path) / "checkpoint.json"
            body: dict[str, Any] = orjson.loads(file.read_bytes())
            body["expires"] = _expiry(datetime.now(UTC), ttl)
            try:
                _replace_file(file, orjson.dumps(body))
            except OSError as error:
                raise _disk(error, file) from error

    def purge(self) -> int:
        """Delete what has expired. Returns how many."""
        count = 0
        for folder in self._run_folders():
            for place in folder.glob("*weights/*/checkpoint.json"):
                with contextlib.suppress(RefusalError):  # no checkpoint of ours, or another engine was faster
                    path = CheckpointPath(_model_id(folder), cast("Kind", place.parent.parent.name), place.parent.name)
                    if self.get(path).expired:
                        self.delete(path)
                        count += 1
        return count

    def run_folder(self, model_id: str) -> Path:
        """Where the files of a run lie. Raises ``RefusalError`` when the id could name no run."""
        return self.root / check_model_id(model_id).replace(":", ".")

    def _place(self, path: CheckpointPath) -> Path:
        return self.run_folder(path.model_id) / path.kind / path.name

    def _run_folders(self) -> list[Path]:
        return [folder for folder in self.root.iterdir() if folder.is_dir() and _RUN_FOLDER.fullmatch(folder.name)]

    def _publish(self, place: Path, files: Mapping[str, bytes]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.parent / _scratch("new", place.name)
        fresh.mkdir()
        try:
            for name, body in files.items():
                _write(fresh / name, body)
            _sync(fresh)
            if place.exists():
                # Two renames are not one: if the engine dies in between, recovery puts the old one back.
                old = place.parent / _scratch("old", place.name)
                place.rename(old)
                fresh.rename(place)
                _sync(place.parent)
                shutil.rmtree(old)
            else:
                fresh.rename(place)
                _sync(place.parent)
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def _recover(self) -> None:
        """Clear away what a killed engine left half-written, and put back what it had moved aside."""
        for folder in self._run_folders():
            for scratch in folder.glob("*/.*"):
                found = _SCRATCH.fullmatch(scratch.name)
                if found is None or _alive(int(found["pid"])):
                    continue
                place = scratch.with_name(found["name"])
                if scratch.name.startswith(".old-") and not place.exists():
                    scratch.rename(place)
                else:
                    shutil.rmtree(scratch)


def _model_id(folder: Path) -> str:
    """The id of the run whose folder this is; ids have no dots of their own."""
    return folder.name.replace(".", ":")


def with_kind(path: CheckpointPath, kind: Kind) -> CheckpointPath:
    """The same name under another kind."""
    return replace(path, kind=kind)


def _scratch(word: str, name: str) -> str:
    return f".{word}-{os.getpid()}-{secrets.token_hex(4)}-{name}"


def _alive(pid: int) -> bool:
    return pid != os.getpid() and psutil.pid_exists(pid)


def _expiry(now: datetime, ttl: int | None) -> str | None:
    if ttl is None:
        return None
    if not _TTL[0] <= ttl <= _TTL[1]:
        raise RefusalError(f"A time to live of {ttl} seconds is not between one second and ten years.")
    return (now + timedelta(seconds=ttl)).isoformat()


def _write(file: Path, body: bytes) -> None:
    with file.open("wb") as stream:
        stream.write(body)
        stream.flush()
        os.fsync(stream.fileno())


def _replace_file(file: Path, body: bytes) -> None:
    fresh = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    try:
        _write(fresh, body)
        fresh.replace(file)
        _sync(file.parent)
    except OSError:
        fresh.unlink(missing_ok=True)
        raise


def _sync(folder: Path) -> None:
    """Flush a folder's entries, where the system can do that."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _disk(error: OSError, place: Path) -> StoreError:
    return StoreError(
        f"The checkpoint cannot be written: {error.strerror or error}.",
        where=str(place),
        next_step="Free some space or choose another home folder; what was saved before is intact.",
    )
