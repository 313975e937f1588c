"""The seal of a run: what it is trained on and what was held out, written before it starts and kept with it.

Guarantees: a run that is recorded has its seal on disk; the store knows the seal's digest, so a changed seal is noticed; a data
set that was split again after the launch is noticed before a step is trained and before a prompt is asked; a prompt that the
run, or a run that it goes on from, was trained on is never taken for one that it has not seen.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

from studio.data import Dataset, Message
from studio.data.splitting import seal
from studio.errors import RunError
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id

RECORD: Final = "seal.json"
KEYS: Final = "seal.parquet"

_AGAIN: Final = "Start a new run on this data set, and compare that one."


@dataclass(frozen=True, slots=True)
class Seal:
    """What is known about a run's data. ``contents`` is that of train and validation, ``test_seal`` that of the test part."""

    dataset_id: str
    fingerprint: str
    test_seal: str
    contents: str
    keys_sha256: str
    trained: int
    held_out: int
    inherited: int
    ancestors: tuple[str, ...]
    sealed_at: str


def seal_run(settings: Settings, store: Store, run_id: str, owner: str, dataset: Dataset, ancestors: Sequence[str] = ()) -> str:
    """Write the seal into the run's folder; returns its digest. On disk when this returns.

    ``ancestors`` are the runs whose checkpoints this one goes on from: what they were trained on counts as well. Raises
    ``NotFoundError`` for an ancestor that is not this owner's, ``RunError`` for one whose seal is broken, ``StoreError``.
    """
    folder = settings.runs / checked_id(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    before = [_checked(settings, ancestor, store.runs.get(ancestor, owner).seal) for ancestor in ancestors]
    inherited = [settings.runs / checked_id(ancestor) / KEYS for ancestor in ancestors]
    seal.write_keys(dataset, folder / KEYS, inherited)
    counts = seal.count_keys(folder / KEYS)
    record = Seal(
        dataset_id=dataset.folder.name,
        fingerprint=dataset.inspection.fingerprint,
        test_seal=str(dataset.details["test_seal"]),
        contents=seal.contents_of(dataset),
        keys_sha256=_digest(folder / KEYS),
        trained=counts.get("trained", 0),
        held_out=counts.get("held_out", 0),
        inherited=counts.get("inherited", 0),
        ancestors=tuple(dict.fromkeys([*ancestors, *(one for found in before for one in found.ancestors)])),
        sealed_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    (folder / RECORD).write_text(json.dumps(asdict(record), indent=1), "utf-8")
    _keep(folder)
    return _digest(folder / RECORD)


def sealed(settings: Settings, store: Store, run: RunRow, dataset: Dataset) -> tuple[RunRow, Seal]:
    """The run with its seal, after checking that the data set is the one that was sealed.

    A run of a version without seals is sealed now, if its data set was not split again since. Raises ``RunError`` when the seal
    is broken or the data set is another one.
    """
    if not run.seal:
        made = datetime.fromisoformat(str(dataset.details["created_at"])).timestamp()
        if made > run.created_at:
            raise RunError(
                "The data set was split again after this run began, and nothing says what the run was trained on.",
                where=run.name,
                next_step=_AGAIN,
            )
        store.runs.update(run.id, seal=seal_run(settings, store, run.id, run.owner, dataset))
        run = store.runs.get(run.id, run.owner)
    found = _checked(settings, run.id, run.seal)
    if found.test_seal != dataset.details["test_seal"] or found.contents != seal.contents_of(dataset):
        raise RunError(
            "The data set was split again after this run was started, so rows that are held out now may have been trained on.",
            where=run.name,
            next_step=_AGAIN,
        )
    return run, found


def trained_on(settings: Settings, run_id: str, digest: str, conversations: Sequence[Sequence[Message]]) -> tuple[bool, ...]:
    """For each conversation (all turns before an answer) whether the run, or one that it goes on from, was trained on it.

    ``digest`` is that of the run's seal. Raises ``RunError`` when the seal is missing or was changed.
    """
    _checked(settings, run_id, digest)
    keys = seal.keys_of(conversations)
    known = seal.trained(settings.runs / checked_id(run_id) / KEYS, frozenset[int]().union(*keys))
    return tuple(bool(one & known) for one in keys)


def _checked(settings: Settings, run_id: str, digest: str) -> Seal:
    folder = settings.runs / checked_id(run_id)
    try:
        intact = bool(digest) and _digest(folder / RECORD) == digest
        record = cast("dict[str, Any]", json.loads((folder / RECORD).read_text("utf-8"))) if intact else {}
        intact = intact and _digest(folder / KEYS) == record["keys_sha256"]
    except FileNotFoundError:
        intact, record = False, {}
    if not intact:
        raise RunError(
            "The record of what this run was trained on is missing or was changed, so nothing can be called unseen.",
            where=run_id,
            next_step=_AGAIN,
        )
    fields: dict[str, Any] = {**record, "ancestors": tuple(record["ancestors"])}
    return Seal(**fields)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _keep(folder: Path) -> None:
    """Make sure that what was written survives a power cut."""
    for path in (folder / KEYS, folder / RECORD, folder):
        place = os.open(path, os.O_RDONLY)
        try:
            os.fsync(place)
        finally:
            os.close(place)


def forget(settings: Settings, run_id: str) -> None:
    """Remove the folder of a run that could not be recorded."""
    shutil.rmtree(settings.runs / checked_id(run_id), ignore_errors=True)
