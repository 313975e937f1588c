"""What a child can be asked to do: each task by its name, from plain values to plain values.

Guarantees: a task writes into the data set's folder only; results that replace earlier ones are written beside them first and
put in place when all of them are complete; a file that changed while it was read, or since, is refused. Libraries are imported
by the task that needs them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from studio import data
from studio.data import Reading, SplitPlan, Watch
from studio.errors import DataError, NotFoundError
from studio.work import files

ORIGINAL: Final = "original"
READING: Final = "reading.json"
#: A pasted text as it came.
PASTED: Final = "pasted.txt"
#: Where the rows came from, for the data card: of rows from the Hub name, revision, licence, and whether there are more.
PROVENANCE: Final = "provenance.json"
#: The environment variable in which a Hub token travels, for one fetch.
TOKEN: Final = "STUDIO_HUB_TOKEN"  # noqa: S105 - the name of a variable
#: The first rows of a large file, shown while all of them are still being checked. Gone when the reading is complete.
FIRST_ROWS: Final = "first_rows.json"
#: A smaller file is read before anybody could look at its first rows.
FIRST_LOOK_BYTES: Final = 4_000_000
_BLOCK: Final = 8 * 1024 * 1024

Task = Callable[[Path, Mapping[str, Any], Watch], dict[str, Any]]


def inspect(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Check every row of the data set's file.

    ``name``; ``reading``; ``source``: where the file lies, if not in the folder; ``get``: how to bring it there first
    (``copy``, ``pasted``, ``hub``); ``fingerprint``: what the file must still be, empty the first time.
    """
    source = _got(folder, asked, watch)
    new = _emptied(folder)
    before = _stamp(source, asked["name"])
    reading = Reading.from_dict(asked["reading"])
    if before[0] >= FIRST_LOOK_BYTES and not any(folder.glob("inspection.json")):
        _look_first(source, asked["name"], reading, folder)
    found = data.inspect(source, asked["name"], new, reading=reading, watch=watch)
    if _stamp(source, asked["name"]) != before:
        raise _changed("while it was read", asked["name"])
    if asked["fingerprint"] and found.fingerprint != asked["fingerprint"]:
        raise _changed("since it was added", asked["name"])
    files.write_json(new / READING, asdict(reading))
    files.complete(folder)
    return {"rows": found.rows_total, "usable": found.rows_usable}


def _look_first(source: Path, name: str, reading: Reading, folder: Path) -> None:
    """Say what the start of the file shows, if it can be read by itself."""
    # What is wrong with the file, if anything is, the reading of all of it says better.
    with contextlib.suppress(DataError):
        files.write_json(folder / FIRST_ROWS, asdict(data.peek(source, name, reading)))


def split(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Split the checked rows by ``plan`` (the default one when it is empty)."""
    plan = SplitPlan(**asked["plan"]) if asked["plan"] else None
    new = _emptied(folder)
    for result in folder.iterdir():
        if files.is_result(result) and result.is_file():
            files.second_name(result, new / result.name)
    found = data.split(data.reopen(new), plan, provenance=files.read_json(folder / PROVENANCE), watch=watch)
    files.complete(folder, instead=False)
    return {"rows": found.rows}


def mix(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Make one data set of the ``ingredients``, called ``name``, by ``plan``."""
    from studio.data.splitting.mix import Ingredient
    from studio.data.splitting.mix import mix as mixed

    plan = SplitPlan(**asked["plan"]) if asked["plan"] else None
    sources = [Ingredient(Path(one["folder"]), one["weight"], one["name"], one["replay"]) for one in asked["ingredients"]]
    found = mixed(_emptied(folder), sources, plan, name=asked["name"], watch=watch)
    files.complete(folder)
    return {"rows": found.rows}


def look_up(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """The configurations and splits of the Hub's data set ``name``; nothing is kept."""
    from studio.data.sources import hub

    del folder
    watch.at("asking the Hub", 0, 0, "")
    return asdict(hub.look_up(asked["name"], token=os.environ.pop(TOKEN, ""), revision=asked["revision"]))


def tokens(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Count the tokens of every row for ``model`` and ``train_on``; they lie beside the stage then."""
    from studio import models
    from studio import tokens as counting

    found = counting.profile(data.reopen(folder), models.get(asked["model"]), asked["train_on"], watch=watch)
    return {"rows": found.rows, "measured": found.measured}


def export_clean(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Write the usable rows as JSON lines to ``file``."""
    found = data.reopen(folder)
    return {"rows": data.write_usable(found, Path(asked["file"]), _telling(watch, "writing rows", found.rows_usable))}


def export_rejected(folder: Path, asked: Mapping[str, Any], watch: Watch) -> dict[str, Any]:
    """Write the rows that were set aside, with reason and line, as CSV to ``file``."""
    found = data.reopen(folder)
    return {"rows": data.write_rejected(found, Path(asked["file"]), _telling(watch, "writing rows", found.rows_rejected))}


TASKS: Final[Mapping[str, Task]] = {
    "inspect": inspect,
    "split": split,
    "mix": mix,
    "look_up": look_up,
    "tokens": tokens,
    "export_clean": export_clean,
    "export_rejected": export_rejected,
}


def _telling(watch: Watch, phase: str, total: int) -> Callable[[int], None]:
    return lambda done: watch.at(phase, done, total, "rows")


def _emptied(folder: Path) -> Path:
    new = folder / files.NEW
    files.remove(new)
    new.mkdir(parents=True)
    return new


def _got(folder: Path, asked: Mapping[str, Any], watch: Watch) -> Path:
    """The file to read, brought into the folder where that was asked for."""
    target = folder / ORIGINAL
    match asked["get"]:
        case "copy":
            return _copied(Path(asked["source"]), target, watch)
        case "pasted":
            from studio.data.sources.pasted import pasted

            text = (folder / PASTED).read_text("utf-8")
            return pasted(text, _emptied(folder)).replace(target)
        case "hub":
            return _fetched(folder, asked["hub"], watch).replace(target)
        case _:
            return Path(asked["source"]) if asked["source"] else target


def _fetched(folder: Path, wanted: Mapping[str, Any], watch: Watch) -> Path:
    from studio.data.sources import hub

    found = hub.fetch(
        wanted["name"],
        wanted["configuration"],
        wanted["split"],
        _emptied(folder),
        token=os.environ.pop(TOKEN, ""),
        revision=wanted["revision"],
        most_rows=wanted["most_rows"] or hub.MOST_ROWS,
        watch=watch,
    )
    files.write_json(folder / PROVENANCE, {**found.provenance, "rows": found.rows, "cut": found.cut})
    return found.path


def _copied(source: Path, target: Path, watch: Watch) -> Path:
    """Copy with progress, whole or not at all."""
    partial, done = target.with_name(target.name + ".part"), 0
    try:
        with source.open("rb") as old, partial.open("wb") as new:
            total = source.stat().st_size
            while block := old.read(_BLOCK):
                new.write(block)
                done += len(block)
                watch.at("copying the file", done, total, "bytes")
    except FileNotFoundError as error:
        raise _gone(source.name) from error
    partial.replace(target)
    return target


def _stamp(source: Path, name: str) -> tuple[int, int]:
    try:
        found = source.stat()
    except FileNotFoundError as error:
        raise _gone(name) from error
    return found.st_size, found.st_mtime_ns


def _gone(name: str) -> NotFoundError:
    return NotFoundError("The file is not where it was.", where=name, next_step="Put it back, or add it again.")


def _changed(when: str, name: str) -> DataError:
    return DataError(
        f"The file has changed {when}.",
        where=name,
        next_step="Add it again as it is now. What was found before is about the old file.",
    )
