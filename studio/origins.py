"""Where rows come from: what is asked for, its limits, and the cheapest safe way into a folder of ours.

Guarantees: what is no plain file, or is larger than its limit, is refused before a byte of it is read; the original is never
changed, moved or removed; the person's name for it never becomes a path.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from studio.data import RefusedFile
from studio.data.sources.hub import HubConfiguration, HubDataset, HubSplit
from studio.errors import DataError
from studio.settings import Secret, Settings
from studio.work.tasks import ORIGINAL, PASTED, TOKEN

#: Room that must be there for a copy and all that is made of it, in sizes of the file.
_ROOM: Final = 4


@dataclass(frozen=True, slots=True)
class FromFile:
    """A file on this computer. ``by_path``: a person named its path; otherwise it came through the browser.

    ``in_place``: read it where it is and keep nothing of it, as for a check that keeps nothing at all.
    """

    path: Path
    by_path: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True)
class FromText:
    """A table or lines that were pasted."""

    text: str


@dataclass(frozen=True, slots=True)
class FromHub:
    """One split of a data set on the Hugging Face Hub. ``token`` is used for this one fetch and kept nowhere.

    ``most_rows`` 0 means as many as the studio fetches by itself.
    """

    name: str
    configuration: str
    split: str
    revision: str = ""
    most_rows: int = 0
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Portion:
    """One data set in a mixture: how often its training rows come, what its rows are called, and whether it is replayed.

    See ``studio.data.splitting.mix`` for what a weight and a replay are.
    """

    dataset_id: str
    weight: float = 1.0
    name: str = ""
    replay: bool = False


Origin = FromFile | FromText | FromHub


def check(settings: Settings, source: FromFile, name: str) -> None:
    """Raises ``DataError`` when the file is not there, is no plain file, or is larger than the limit for its way in."""
    try:
        found = source.path.stat()
    except FileNotFoundError as error:
        raise DataError("There is no such file.", where=str(source.path), next_step="Check the path.") from error
    except OSError as error:
        raise DataError(
            f"The file cannot be read: {error.strerror}.", where=name, next_step="Check its permissions."
        ) from error
    if stat.S_ISDIR(found.st_mode):
        raise DataError("This is a folder, not a file.", where=name, next_step="Name one CSV, JSON, JSONL or Parquet file.")
    if not stat.S_ISREG(found.st_mode):
        raise DataError("This is a device or a pipe, not a file.", where=name, next_step="Save what it gives to a file first.")
    limit, variable = (
        (settings.path_limit_bytes, "STUDIO_PATH_LIMIT_MB")
        if source.by_path
        else (settings.upload_limit_bytes, "STUDIO_UPLOAD_LIMIT_MB")
    )
    if found.st_size > limit:
        raise RefusedFile(
            "too_big",
            f"The file has {found.st_size / 1e6:,.0f} MB; the limit is {limit / 1e6:,.0f} MB.",
            where=name,
            next_step=f"Split the file, or raise {variable} and start the studio again.",
        )


def bring(source: Origin, folder: Path) -> dict[str, Any]:
    """Bring the file into the folder if that costs nothing; else ``get`` says how the child must, and ``source`` where from.

    A second name for the same file (a hard link) takes no time and no room, and survives when the first one is removed. Where
    there is no room for a copy, a file of this computer is read where it is. Raises ``OSError``.
    """
    if isinstance(source, FromText):
        (folder / PASTED).write_text(source.text, encoding="utf-8", errors="replace", newline="")
        return {"source": "", "get": "pasted"}
    if isinstance(source, FromHub):
        wanted = {"name": source.name, "configuration": source.configuration, "split": source.split}
        return {"source": "", "get": "hub", "hub": wanted | {"revision": source.revision, "most_rows": source.most_rows}}
    path = source.path.resolve(strict=True)
    if source.in_place:
        return {"source": str(path), "get": ""}
    try:
        os.link(path, folder / ORIGINAL)
    except OSError:
        room = shutil.disk_usage(folder).free > _ROOM * path.stat().st_size
        return {"source": str(path), "get": "copy" if room or not source.by_path else ""}
    return {"source": "", "get": ""}


def secrets(source: Origin) -> dict[str, str]:
    """What the child must know and no file may: its environment."""
    return {TOKEN: source.token.reveal()} if isinstance(source, FromHub) and source.token else {}


def hub_dataset(found: Mapping[str, Any]) -> HubDataset:
    """What the child said about a data set on the Hub, as a value again."""
    configurations = tuple(
        HubConfiguration(one["name"], tuple(HubSplit(**split) for split in one["splits"])) for one in found["configurations"]
    )
    fields: dict[str, Any] = {**found, "configurations": configurations}
    return HubDataset(**fields)
