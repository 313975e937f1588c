"""A file comes in: from an upload, a path or a sample to a data set that runs can be started from.

Guarantees: the original is copied under a name of ours before anything reads it, and is never changed; nothing is recorded in
the store before the split is complete; a file that was refused leaves no folder behind; what was staged is found again after a
restart; what one owner staged no other owner can open, even with its id.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from studio import data
from studio.data import Dataset, Inspection, SplitPlan
from studio.errors import DataError, NotFoundError, StoreError
from studio.settings import Settings
from studio.store import Store, checked_id, new_id

_NOTE: Final = "staged_by.txt"
_ORIGINAL: Final = "original"


def stage(
    settings: Settings, source: Path, name: str, owner: str, *, mapping: Mapping[str, str] | None = None
) -> tuple[str, Inspection]:
    """Copy a file into a folder of its own and check every row; the id under which it is staged, and what was found.

    ``name`` is what the person calls the file and never becomes a path. Raises ``DataError`` (``data.RefusedFile`` when there
    is no table in it) when the file cannot be read or is larger than ``settings.upload_limit_bytes``, ``StoreError`` when the
    disk refuses.
    """
    _require_fits(settings, source, name)
    staged_id = new_id("data")
    folder = folder_of(settings, staged_id)
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(source, folder / _ORIGINAL)
        (folder / _NOTE).write_text(owner, encoding="utf-8")
        return staged_id, data.inspect(folder / _ORIGINAL, name, folder, mapping=mapping)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise _refused(error, folder) from error
        raise


def find(settings: Settings, staged_id: str, owner: str) -> Inspection:
    """The inspection of a staged file. Raises ``NotFoundError`` when there is none, or it is somebody else's."""
    folder = folder_of(settings, staged_id)
    note = folder / _NOTE
    if not note.is_file() or note.read_text(encoding="utf-8") != owner:
        raise NotFoundError("There is no such upload.", next_step="Add your file again.")
    return data.reopen(folder)


def remap(settings: Settings, staged_id: str, owner: str, mapping: Mapping[str, str]) -> Inspection:
    """Check the same file again with the columns that the person chose. Raises ``DataError``, ``NotFoundError``."""
    before = find(settings, staged_id, owner)
    folder = folder_of(settings, staged_id)
    return data.inspect(folder / _ORIGINAL, before.file_name, folder, mapping=mapping)


def settle(settings: Settings, store: Store, staged_id: str, owner: str, plan: SplitPlan | None = None) -> Dataset:
    """Split a staged file and record it as a data set of this owner, under the same id.

    Raises ``DataError`` when it cannot be split, ``StoreError``, ``NotFoundError``.
    """
    inspection = find(settings, staged_id, owner)
    dataset = data.split(inspection, plan)
    store.datasets.add(
        staged_id,
        owner=owner,
        name=inspection.file_name,
        rows=dataset.rows,
        fingerprint=inspection.fingerprint,
        manifest_json=json.dumps(dict(dataset.details), ensure_ascii=False),
    )
    (folder_of(settings, staged_id) / _NOTE).unlink(missing_ok=True)
    return dataset


def load(settings: Settings, store: Store, dataset_id: str, owner: str) -> Dataset:
    """The split data set with this id. Raises ``NotFoundError`` when it is not this owner's, ``DataError`` when damaged."""
    return data.load(folder_of(settings, store.datasets.get(dataset_id, owner).id))


def folder_of(settings: Settings, dataset_id: str) -> Path:
    """Where the files of a data set lie. Raises ``NotFoundError`` for what is no id."""
    return settings.datasets / checked_id(dataset_id)


def _require_fits(settings: Settings, source: Path, name: str) -> None:
    try:
        if source.is_dir():
            raise DataError("This is a folder, not a file.", where=name, next_step="Name one CSV, JSON or JSONL file.")
        size = source.stat().st_size
    except FileNotFoundError as error:
        raise DataError("There is no such file.", where=str(source), next_step="Check the path.") from error
    except OSError as error:
        raise DataError(
            f"The file cannot be read: {error.strerror}.", where=name, next_step="Check its permissions."
        ) from error
    if size > settings.upload_limit_bytes:
        raise DataError(
            f"The file has {size / 1e6:,.0f} MB; the limit is {settings.upload_limit_bytes / 1e6:,.0f} MB.",
            where=name,
            next_step="Split the file, or raise STUDIO_UPLOAD_LIMIT_MB and start the studio again.",
        )


def _refused(error: OSError, folder: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StoreError(
            "The disk is full; the file was not taken in.",
            where=str(folder.parent),
            next_step="Free some space on the disk and add the file again.",
        )
    return StoreError(
        f"The file could not be saved: {error.strerror or error}.",
        where=str(folder.parent),
        next_step="Check the folder's permissions, or choose another with --home.",
    )
