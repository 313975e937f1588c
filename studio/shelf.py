"""The folders in which data sets lie: whose each of them is, what is kept of it, and when it goes.

Guarantees: what one owner staged no other owner can open, even with its id; what was never split is cleaned away after some
days, what was split never is; the person's name for a file never becomes a path.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from studio import data, work
from studio.errors import NotFoundError, StoreError
from studio.settings import Settings
from studio.store import checked_id, new_id
from studio.work import Ticket, Working
from studio.work.files import remove

#: Whose it is; that it was settled; where the file came from.
NOTE: Final = "staged_by.txt"
SETTLED: Final = "settled"
ORIGIN: Final = "origin.json"
#: How folders begin in which the Hub is asked a question.
ASKING: Final = "hub-"
#: After this long nobody comes back to a file that was added and never split.
KEEP_SECONDS: Final = 7 * 24 * 3600
_KEEP_REFUSED_SECONDS: Final = 3600


def folder_of(settings: Settings, dataset_id: str) -> Path:
    """Where the files of a data set lie. Raises ``NotFoundError`` for what is no id."""
    return settings.datasets / checked_id(dataset_id)


@contextmanager
def new_folder(settings: Settings, owner: str) -> Generator[tuple[str, Path]]:
    """A new id and its folder, which is this owner's and is gone again when what is done with it fails.

    Raises ``StoreError`` when the disk refuses.
    """
    staged_id = new_id("data")
    folder = folder_of(settings, staged_id)
    try:
        folder.mkdir(parents=True)
        (folder / NOTE).write_text(owner, encoding="utf-8")
        yield staged_id, folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise _refused(error, folder) from error
        raise


def own(settings: Settings, staged_id: str, owner: str) -> Path:
    """The folder of this owner's data set. Raises ``NotFoundError`` when there is none, or it is somebody else's."""
    folder = folder_of(settings, staged_id)
    note = folder / NOTE
    if not note.is_file() or note.read_text(encoding="utf-8") != owner:
        raise NotFoundError("There is no such upload.", next_step="Add your file again.")
    return folder


def sweep(settings: Settings, *, now: float | None = None) -> int:
    """Remove what was staged long ago and never split, and what was refused and never looked at again; how many."""
    removed, now = 0, now or time.time()
    asked = (folder for folder in settings.datasets.glob(f"{ASKING}*") if now - _touched(folder) > _KEEP_REFUSED_SECONDS)
    for folder in (*asked, *(note.parent for note in settings.datasets.glob(f"*/{NOTE}"))):
        if not (folder / SETTLED).exists() and _is_stale(folder, now - _touched(folder)):
            remove(folder)
            removed += 1
    return removed


def has_inspection(folder: Path) -> bool:
    """Whether its file was once read to the end."""
    try:
        data.reopen(folder)
    except NotFoundError:
        return False
    return True


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


def _is_stale(folder: Path, age: float) -> bool:
    if age < _KEEP_REFUSED_SECONDS or isinstance(work.state(Ticket(folder)), Working):
        return False
    return age >= KEEP_SECONDS or not has_inspection(folder)


def _touched(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, folder / "work", folder / "inspection.json") if path.exists())
