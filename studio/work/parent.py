"""The side that asks: start a piece of work, see where it stands, end it.

Guarantees: ``start`` returns as soon as the process exists; at most one piece of work per slot of a data set; what is said
about work comes from its files and from whether that very process lives, never from memory, so any studio process may ask;
after ``cancel`` the process is gone, and only what was complete before is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from studio import processes
from studio.errors import DataError, NotFoundError, StoreError
from studio.work import files
from studio.work.files import Cancelled, Done, EndedError, Failed, Limits, Progress, State, Ticket, Working

#: What a child may know of the environment. Everything else, keys above all, stays out.
_INHERITED: Final = (
    *("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SYSTEMROOT", "VIRTUAL_ENV"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "XDG_CACHE_HOME"),
    # The Hub is reached as the machine reaches it.
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_HUB_OFFLINE"),
)
_QUIET: Final = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
}
#: Nothing that lies on this machine asks a hub for anything.
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
#: Seconds that a process which was started has to appear in its files.
_PATIENCE: Final = 10.0
#: Seconds that another studio has to say how a process that it began has ended.
_TO_COLLECT: Final = 0.1
_starting = threading.Lock()
#: Processes that this one began and has not collected yet.
_uncollected: set[int] = set()


def start(
    task: str,
    ticket: Ticket,
    arguments: Mapping[str, Any],
    *,
    limits: Limits | None = None,
    secrets: Mapping[str, str] | None = None,
    online: bool = False,
    tied: bool = False,
    program: str = "studio.work.child",
) -> Ticket:
    """Start a task of ``studio.work.tasks`` in a process of its own.

    ``arguments`` are plain values and end up in a file; ``secrets`` are environment variables of the child and are written
    nowhere. Only ``online`` work may ask the Hub. ``tied`` work ends when this process ends. ``program`` is the module that
    does it (a seam for tests). Raises ``DataError`` when the slot is busy, ``StoreError`` when the folder or the process
    cannot be made.
    """
    with _starting:
        if isinstance(state(ticket), Working):
            raise DataError("The studio is still working on this data set.", next_step="Wait until it is done, or cancel it.")
        try:
            files.remove(ticket.place)
            ticket.place.mkdir(parents=True)
            asked = files.asked_of(task, arguments, limits or Limits(), os.getpid() if tied else None)
            files.write_json(ticket.place / files.ASKED, asked)
            command = [sys.executable, "-P", "-m", program, str(ticket.place.resolve())]
            child = processes.spawn(command, ticket.place, environment(secrets or {}, online=online), files.LOG)
            _uncollected.add(child.pid)
            files.write_json(ticket.place / files.PROCESS, {"pid": child.pid, "started": processes.started_at(child.pid)})
        except OSError as error:
            raise StoreError(
                f"The work on this file could not be started: {error.strerror or error}.",
                where=str(ticket.folder.parent),
                next_step="Check the free space and memory of this machine, then try again.",
            ) from error
    threading.Thread(target=_collect, args=(child, ticket), name="collect", daemon=True).start()
    return ticket


def state(ticket: Ticket) -> State | None:
    """Where the work stands, ``None`` when there never was any. Raises ``StoreError`` when its files cannot be read."""
    try:
        asked = files.read_json(ticket.place / files.ASKED)
        if asked is None:
            return None
        ended = _ended(ticket)
        if ended is not None:
            return ended
        if _is_alive(ticket):
            return Working(asked["task"], Progress(**(files.read_json(ticket.place / files.PROGRESS) or {})))
        # It may have ended between the two looks, and whoever began it may be about to say how.
        time.sleep(_TO_COLLECT)
        return _ended(ticket) or _lost(ticket, asked["task"], None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "What is known about this work cannot be read.", where=str(ticket.folder), next_step="Add the file again."
        ) from error


def arguments(ticket: Ticket) -> dict[str, Any]:
    """What was asked of the work; empty when there never was any."""
    asked = files.read_json(ticket.place / files.ASKED)
    return {} if asked is None else asked["arguments"]


def cancel(ticket: Ticket) -> State | None:
    """End the work now. What was complete before it stays, what it had half done goes. Returns where it stands then."""
    with _starting:
        before = state(ticket)
        if not isinstance(before, Working):
            return before
        process = files.read_json(ticket.place / files.PROCESS)
        if process is not None:
            _end(process["pid"], process["started"], str(ticket.place))
        # What was complete when the word came is complete.
        ended = _ended(ticket)
        if not isinstance(ended, Done):
            ended = Cancelled(before.task)
            files.write_json(ticket.place / files.OUTCOME, files.outcome_of(ended))
        tidy(ticket)
        return ended


def forget(ticket: Ticket) -> None:
    """End the work and remove all word of it."""
    cancel(ticket)
    files.remove(ticket.place)


def wait(ticket: Ticket, tell: Callable[[Progress], None] | None = None) -> Done | Failed | Cancelled:
    """Stay until the work has ended; ``tell`` hears how far it is. Raises ``NotFoundError`` when there is none."""
    pause = 0.01
    while True:
        now = state(ticket)
        if now is None:
            raise NotFoundError(
                "There is no work on this data set.", where=str(ticket.folder), next_step="Add your file again."
            )
        if not isinstance(now, Working):
            return now
        if tell is not None:
            tell(now.progress)
        time.sleep(pause)
        pause = min(0.2, pause * 1.3)


def tidy(ticket: Ticket) -> None:
    """After work has ended: put in place what it had completed, remove what it left half done. Raises ``OSError``."""
    if ticket.slot == "rows":
        files.swap(ticket.folder)
        files.remove(ticket.folder / files.NEW)


def environment(secrets: Mapping[str, str], *, online: bool) -> dict[str, str]:
    """What a child is started with: the little that it needs, and the secrets of this piece of work."""
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    path = processes.import_path()
    return env | _QUIET | ({} if online else _OFFLINE) | ({"PYTHONPATH": path} if path else {}) | dict(secrets)


def _ended(ticket: Ticket) -> Done | Failed | Cancelled | None:
    outcome = files.read_json(ticket.place / files.OUTCOME)
    return None if outcome is None else files.state_of(outcome)


def _is_alive(ticket: Ticket) -> bool:
    process = files.read_json(ticket.place / files.PROCESS)
    if process is None:
        # The process that started it may be between the two files, or may have died there.
        return time.time() - (ticket.place / files.ASKED).stat().st_mtime < _PATIENCE
    pid: int = process["pid"]
    return pid in _uncollected or processes.life_of(pid, process["started"], str(ticket.place)) == "alive"


def _end(pid: int, started: float | None, mark: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while processes.life_of(pid, started, mark) == "alive" and time.monotonic() < deadline:
        processes.kill(pid)
        time.sleep(0.005)


def _lost(ticket: Ticket, task: str, code: int | None) -> Done | Failed | Cancelled:
    """What is said of a process that ended without a word of its own, written down so that everybody says the same."""
    outcome = files.outcome_of(Failed(task, _why(code)))
    files.write_json(ticket.place / files.OUTCOME, outcome)
    tidy(ticket)
    return files.state_of(outcome)


def _why(code: int | None) -> EndedError:
    if code == -signal.SIGXCPU:
        return EndedError(
            "took_too_long",
            "Working on this file took longer than the studio allows.",
            next_step="Try a smaller part of the file.",
        )
    if code is None or code == -signal.SIGKILL:
        likely = "likely because memory ran out" if code else "because memory ran out or the computer was restarted"
        return EndedError(
            "ended_by_system",
            f"The work on this file was ended by the system, {likely}.",
            next_step="Close other programs and try again, or try a smaller part of the file.",
        )
    return EndedError(
        "broke_off",
        f"The work on this file broke off. {processes.describe_end(code)}",
        next_step="Try again. If it happens again, please report it: something in this file breaks the reader.",
    )


def _collect(child: subprocess.Popen[bytes], ticket: Ticket) -> None:
    """Wait for a child of ours, so that how it ended is known and it leaves no zombie."""
    code = child.wait()
    # The folder may be gone: then nobody asks any more.
    with contextlib.suppress(OSError, StoreError), _starting:
        process = files.read_json(ticket.place / files.PROCESS)
        if process is not None and process["pid"] == child.pid and _ended(ticket) is None:
            _lost(ticket, (files.read_json(ticket.place / files.ASKED) or {"task": ""})["task"], code)
    _uncollected.discard(child.pid)
