"""What parent and child know of each other: a few small files, each written whole or not at all.

Guarantees: no secret is ever in one of them; a reader never sees half a file; an error comes out of its file as the error that
went in: the same class, words and next step.

In a data set's folder, ``work/<slot>/`` holds ``asked.json`` (the task and its limits), ``process.json`` (pid and start time),
``progress.json``, ``outcome.json`` and ``child.log``. ``new/`` holds results that are not complete yet.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from studio import errors
from studio.errors import DataError, StudioError

ASKED: Final = "asked.json"
PROCESS: Final = "process.json"
PROGRESS: Final = "progress.json"
OUTCOME: Final = "outcome.json"
LOG: Final = "child.log"
#: Where a task writes what is to replace the results that are there, and the file that says that all of it is there.
NEW: Final = "new"
COMPLETE: Final = "complete.json"
#: What a new result never replaces: the person's file and where it came from, whose it is, and the work itself.
KEPT: Final = frozenset(
    {"original", "origin.json", "provenance.json", "pasted.txt", "staged_by.txt", "settled", "work", NEW, COMPLETE}
)

Slot = Literal["rows", "tokens", "export", "bench", "talk"]


@dataclass(frozen=True, slots=True)
class Ticket:
    """One piece of work: the data set's folder, and which of the kinds of work that may go on beside each other."""

    folder: Path
    slot: Slot = "rows"

    @property
    def place(self) -> Path:
        """Where its small files lie."""
        return self.folder / "work" / self.slot


@dataclass(frozen=True, slots=True)
class Limits:
    """What the process may use. ``memory_bytes`` 0 means three quarters of what is free when it starts.

    ``file_bytes`` bounds each file that it writes, ``room_bytes`` is what must stay free on the disk.
    """

    memory_bytes: int = 0
    seconds: int = 3600
    file_bytes: int = 64 * 10**9
    room_bytes: int = 200 * 10**6


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is. ``total`` is 0 while nobody knows; ``per_second`` is the mean of this phase, in ``unit``."""

    phase: str = "starting"
    done: int = 0
    total: int = 0
    unit: str = ""
    per_second: float = 0.0
    seconds: float = 0.0

    @property
    def share(self) -> float | None:
        """From 0 to 1, ``None`` while the total is not known."""
        return min(1.0, self.done / self.total) if self.total > 0 else None

    @property
    def words(self) -> str:
        """Such as "412 of 1,000 MB, 96 MB per second" or "120,000 rows"; empty when there is nothing to count."""
        if not self.unit or not (self.done or self.total):
            return ""
        scale, unit = (1e6, "MB") if self.unit == "bytes" else (1, self.unit)
        total = f" of {self.total / scale:,.0f}" if self.total else ""
        speed = f", {self.per_second / scale:,.0f} {unit} per second" if self.per_second >= scale else ""
        return f"{self.done / scale:,.0f}{total} {unit}{speed}"


@dataclass(frozen=True, slots=True)
class Working:
    """The process is at it."""

    task: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class Done:
    """It is complete, and ``result`` is what the task says about it."""

    task: str
    result: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Failed:
    """It could not be done; ``error`` says why and what to do next."""

    task: str
    error: StudioError


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The person ended it."""

    task: str


State = Working | Done | Failed | Cancelled


class EndedError(DataError):
    """The file asked for more than it may have. It travels as a ``RefusedFile`` with this ``code``.

    A class of its own, because the child may have to say this before it has loaded the data room.
    """

    def __init__(self, code: str, what: str, *, next_step: str) -> None:
        super().__init__(what, next_step=f"{next_step} Your file was not changed.")
        self.code = code


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write the whole file or nothing. Raises ``OSError``."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in this file, ``None`` when there is none."""
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None


def outcome_of(state: Done | Failed | Cancelled) -> dict[str, Any]:
    """How work ended, for its file."""
    match state:
        case Done(task, result):
            return {"ended": "done", "task": task, "result": dict(result)}
        case Failed(task, error):
            kind = next(one.__name__ for one in type(error).__mro__ if one.__module__ == errors.__name__)
            found = {"kind": kind, "what": error.what, "where": error.where, "next_step": error.next_step}
            # A file that was refused has the stable code of the reason.
            code: str = getattr(error, "code", "") if isinstance(error, DataError) else ""
            return {"ended": "failed", "task": task, "error": found | ({"refused": code} if code else {})}
        case Cancelled(task):
            return {"ended": "cancelled", "task": task}


def state_of(outcome: Mapping[str, Any]) -> Done | Failed | Cancelled:
    """The state that ``outcome_of`` wrote down."""
    match outcome["ended"]:
        case "done":
            return Done(outcome["task"], outcome["result"])
        case "failed":
            return Failed(outcome["task"], _error(outcome["error"]))
        case _:
            return Cancelled(outcome["task"])


def asked_of(task: str, arguments: Mapping[str, Any], limits: Limits, parent: int | None) -> dict[str, Any]:
    """What is asked of the child. ``parent`` is the process that it must not outlive, if there is one."""
    return {"task": task, "arguments": dict(arguments), "limits": asdict(limits), "parent": parent}


def complete(folder: Path, *, instead: bool = True) -> None:
    """Say that everything in ``new/`` is complete, then put it in place.

    ``instead``: of all results that are there; otherwise only of those with the same names. Raises ``OSError``.
    """
    new = folder / NEW
    names = sorted(path.name for path in new.iterdir() if is_result(path))
    write_json(new / COMPLETE, {"names": names, "instead": instead})
    swap(folder)


def swap(folder: Path) -> None:
    """Put the complete results in ``new/``, if there are any, in place. Done again after an interruption, it ends the same.

    Raises ``OSError``.
    """
    new = folder / NEW
    found = read_json(new / COMPLETE)
    if found is None:
        return
    names: list[str] = found["names"]
    if found["instead"]:
        for old in folder.iterdir():
            if is_result(old) and old.name not in names:
                remove(old)
    for name in names:
        if (new / name).exists():
            (new / name).replace(folder / name)
    remove(new)


def is_result(path: Path) -> bool:
    """Whether this entry of a data set's folder is replaced with the next result.

    Spill folders belong to whoever reads there now; counts of tokens say themselves which rows they are about.
    """
    return path.name not in KEPT and not path.name.startswith(("spill-", "tokens-"))


def second_name(path: Path, target: Path) -> None:
    """The same file under a second name, or a copy where the disk knows no second names. Raises ``OSError``."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _error(found: Mapping[str, str]) -> StudioError:
    words = {"where": found["where"], "next_step": found["next_step"]}
    if "refused" in found:
        # Not at the top: the child begins to tell and to guard before it has loaded the data room.
        from studio.data import RefusedFile

        return RefusedFile(found["refused"], found["what"], **words)
    kind: type[StudioError] = getattr(errors, found["kind"])
    return kind(found["what"], **words)
