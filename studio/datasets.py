"""A file comes in: from somebody's upload, path or sample to a data set that runs can be started from.

Guarantees: the original is copied under a name of ours before anything reads it, and is never changed; the store knows a data
set only once all its files are complete; an id handed out here is safe in a path.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from studio import data
from studio.data import Dataset, Inspection, SplitPlan
from studio.errors import DataError, StoreError
from studio.settings import Settings
from studio.store import DatasetRow, Store, checked_id, new_id

_ORIGINAL = "original.dat"


def receive(settings: Settings, source: Path, name: str, *, mapping: Mapping[str, str] | None = None) -> tuple[str, Inspection]:
    """Copy the file into a folder of its own, read every row, and return the new data set's id with what was found.

    ``name`` is the person's name for the file and never becomes a path. Raises ``DataError`` (``data.RefusedFile``) when the
    file cannot be used at all or is larger than ``settings.upload_limit_bytes``, ``StoreError`` when the disk refuses. A file
    that was refused leaves nothing behind.
    """
    size = _size(source)
    if size > settings.upload_limit_bytes:
        raise DataError(
            f"The file has {size / 1e6:,.0f} MB; the limit is {settings.upload_limit_bytes / 1e6:,.0f} MB.",
            where=name,
            next_step="Split the file, or raise STUDIO_UPLOAD_LIMIT_MB and start the studio again.",
        )
    dataset_id = new_id("dat")
    folder = folder_of(settings, dataset_id)
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(source, folder / _ORIGINAL)
        return dataset_id, data.inspect(folder / _ORIGINAL, name, folder, mapping=mapping)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise _refused(error, folder) from error
        raise


def inspect_again(settings: Settings, dataset_id: str, name: str, mapping: Mapping[str, str] | None) -> Inspection:
    """Read a received file once more, with other columns chosen. Raises as ``receive`` does."""
    folder = folder_of(settings, dataset_id)
    return data.inspect(folder / _ORIGINAL, name, folder, mapping=mapping)


def keep(store: Store, dataset_id: str, inspection: Inspection, *, owner: str, plan: SplitPlan | None = None) -> DatasetRow:
    """Split what was received and record it as this owner's data set. Raises ``DataError`` when it cannot be split."""
    dataset = data.split(inspection, plan)
    return store.datasets.add(
        checked_id(dataset_id),
        owner=owner,
        name=dataset.name,
        rows=dataset.rows,
        fingerprint=inspection.fingerprint,
        manifest_json=json.dumps(dict(dataset.details), ensure_ascii=False, default=str),
    )


def load(settings: Settings, store: Store, dataset_id: str, owner: str) -> Dataset:
    """The split data set with this id. Raises ``NotFoundError`` when it is not this owner's, ``DataError`` when damaged."""
    return data.load(folder_of(settings, store.datasets.get(dataset_id, owner).id))


def folder_of(settings: Settings, dataset_id: str) -> Path:
    """Where the files of a data set lie. Raises ``NotFoundError`` for what is no id."""
    return settings.datasets / checked_id(dataset_id)


def _size(source: Path) -> int:
    try:
        if source.is_dir():
            raise DataError("This is a folder, not a file.", where=str(source), next_step="Name one CSV, JSON or JSONL file.")
        return source.stat().st_size
    except FileNotFoundError as error:
        raise DataError("There is no such file.", where=str(source), next_step="Check the path.") from error
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=str(source)) from error


def _refused(error: OSError, folder: Path) -> StoreError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StoreError(
        "The disk is full; the file was not taken in." if full else f"The file could not be copied: {error.strerror}.",
        where=str(folder.parent),
        next_step="Free some space and try again."
        if full
        else "Check the folder's permissions, or choose another with --home.",
    )
