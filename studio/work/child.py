"""The side that works: ``python -m studio.work.child FOLDER`` does what ``asked.json`` in that folder says.

Guarantees: it says how far it is a few times a second; it ends itself with a reason when it uses more memory, time or disk than
it was allowed, and when the process that it belongs to is gone; however it ends short of a kill, ``outcome.json`` says how; its
imports are few, so that it begins at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import psutil

from studio import processes
from studio.errors import StoreError, StudioError
from studio.work import files
from studio.work.files import Done, EndedError, Failed, Limits, Progress, Ticket

Task = Callable[[Path, Mapping[str, Any], "Teller"], dict[str, Any]]

#: Seconds between two lines of progress, and between two looks at memory, disk and time.
_BETWEEN_TELLS: Final = 0.2
_BETWEEN_LOOKS: Final = 0.05
_SHARE_OF_FREE_MEMORY: Final = 0.75
_LEAST_MEMORY: Final = 600_000_000
#: What may be reserved beyond the memory limit without being used, before the system itself says no.
_RESERVE: Final = 2_000_000_000


class Teller:
    """Writes how far the work is; this is the ``Watch`` that the data room reports to. Any thread may call it."""

    def __init__(self, place: Path) -> None:
        self._path = place / files.PROGRESS
        self._lock = threading.Lock()
        self._began = self._phase_began = time.monotonic()
        self._phase = ""
        self._told = 0.0
        self.at("starting", 0, 0, "")

    def at(self, phase: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """This phase has done so much of so much."""
        with self._lock:
            now = time.monotonic()
            if phase != self._phase:
                self._phase, self._phase_began = phase, now
            elif now - self._told < _BETWEEN_TELLS:
                return
            self._told = now
            took = now - self._phase_began
            speed = done / took if took > 0.1 else 0.0
            told = Progress(phase, done, total, unit, speed, now - self._began)
            # A full disk is told by the work itself.
            with contextlib.suppress(OSError):
                files.write_json(self._path, {name: getattr(told, name) for name in Progress.__dataclass_fields__})


class Guard:
    """Looks after memory, time and disk from a thread of its own, and ends the process when there is too little."""

    def __init__(self, ticket: Ticket, task: str, limits: Limits, parent: int | None) -> None:
        self._ticket, self._task, self._limits, self._parent = ticket, task, limits, parent
        free = int(_SHARE_OF_FREE_MEMORY * processes.free_memory())
        self.memory = max(_LEAST_MEMORY, min(limits.memory_bytes or free, free))
        self._process = psutil.Process()
        self._began = time.monotonic()
        self._ending = threading.Lock()

    def watch(self) -> None:
        """Begin."""
        _limit_by_system(self._limits, self.memory)
        threading.Thread(target=self._watch, name="guard", daemon=True).start()

    def end(self, state: Done | Failed) -> NoReturn:
        """Write the outcome, the first one only, and end the process without taking anything down in order."""
        self._ending.acquire()
        files.write_json(self._ticket.place / files.OUTCOME, files.outcome_of(state))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0 if isinstance(state, Done) else 1)

    def _watch(self) -> None:
        while True:
            wrong = self._what_is_wrong()
            if wrong is not None:
                self.end(Failed(self._task, wrong))
            if self._parent is not None and os.getppid() != self._parent:
                os._exit(1)
            time.sleep(_BETWEEN_LOOKS)

    def _what_is_wrong(self) -> StudioError | None:
        if _memory_of(self._process) > self.memory:
            return too_much_memory()
        if time.monotonic() - self._began > self._limits.seconds:
            return EndedError(
                "took_too_long",
                f"Working on this file took longer than the {self._limits.seconds / 60:,.0f} minutes that the studio allows.",
                next_step="Try a smaller part of the file, or raise STUDIO_DATA_MINUTES.",
            )
        with contextlib.suppress(OSError):
            if shutil.disk_usage(self._ticket.folder).free < self._limits.room_bytes:
                return StoreError(
                    "The disk is nearly full, so the work was ended before it could do harm.",
                    where=str(self._ticket.folder),
                    next_step="Free some space and try again. Your file was not changed.",
                )
        return None


def too_much_memory() -> EndedError:
    """What is said when the memory limit was met."""
    return EndedError(
        "too_much_memory",
        "This file needs more memory than the studio may use.",
        next_step="Close other programs, or leave out the longest rows, and try again.",
    )


def main(argv: list[str] | None = None, *, find: Callable[[str], Task] | None = None) -> NoReturn:
    """Do what is asked in the folder named on the command line. ``find`` looks a task up, in ``studio.work.tasks`` by default.

    It is called when the guard is up, so that what it imports is watched, too.
    """
    place = Path((sys.argv[1:] if argv is None else argv)[0])
    ticket = Ticket(place.parent.parent, place.name)  # type: ignore[arg-type]
    asked = files.read_json(place / files.ASKED)
    if asked is None:
        raise SystemExit(3)
    task: str = asked["task"]
    guard = Guard(ticket, task, Limits(**asked["limits"]), asked["parent"])
    guard.watch()
    guard.end(_done(ticket, task, asked["arguments"], Teller(ticket.place), find or _of_the_desk))


def _of_the_desk(task: str) -> Task:
    # Not at the top: loading the data room takes most of the time until the first byte, and the guard is up before.
    from studio.work.tasks import TASKS

    return TASKS[task]


def _done(ticket: Ticket, task: str, arguments: dict[str, Any], teller: Teller, find: Callable[[str], Task]) -> Done | Failed:
    try:
        return Done(task, find(task)(ticket.folder, arguments, teller))
    except StudioError as error:
        return Failed(task, error)
    except MemoryError:
        return Failed(task, too_much_memory())
    except OSError as error:
        return Failed(task, _refused(error, ticket.folder))
    except Exception as error:  # noqa: BLE001 - the last line of defence: work must end with a reason
        traceback.print_exc()
        return Failed(task, _defect(error))


def _defect(error: Exception) -> StudioError:
    """What is said of a failure of ours. It names the place in our code and nothing of the file."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return StudioError(
        "Something in the studio failed while it worked on this file "
        f"({type(error).__name__} in {Path(place.filename).name}, line {place.lineno}).",
        next_step="Your file was not changed. Please report this, with the words in brackets.",
    )


def _refused(error: OSError, folder: Path) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            "The disk is full, or what this file would need is more than the studio allows.",
            where=str(folder),
            next_step="Free some space and try again. Your file was not changed.",
        )
    return StoreError(
        f"The system refused: {error.strerror or error}.",
        where=str(error.filename or folder),
        next_step="Check the permissions of this file and of the studio's folder, then try again.",
    )


def _memory_of(process: psutil.Process) -> int:
    found = process.memory_info()
    # Pages of files that are merely mapped can be dropped at any time.
    return int(found.rss) - int(getattr(found, "shared", 0))


def _limit_by_system(limits: Limits, memory: int) -> None:
    """What the system holds even when this process has no moment to look: sizes of files, CPU seconds, memory, no dumps."""
    with contextlib.suppress(OSError):
        # When memory runs out, this process goes and the studio stays.
        Path("/proc/self/oom_score_adj").write_text("600", "ascii")
    try:
        import resource
    except ImportError:  # only Unix has it
        return
    cores = os.cpu_count() or 1
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_FSIZE", limits.file_bytes),
        ("RLIMIT_CPU", limits.seconds * cores),
        ("RLIMIT_DATA", memory + _RESERVE),
    ):
        which = getattr(resource, name, None)
        if which is not None:
            with contextlib.suppress(ValueError, OSError):
                hard = resource.getrlimit(which)[1]
                allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
                resource.setrlimit(which, (allowed, hard))


if __name__ == "__main__":
    main()
