"""Processes of our own: started so that they outlive whoever started them, found again later, and ended.

Guarantees: a process is known by its pid and its start time, so that a number that was given out again is never taken for it; a
process that has ended but was not collected counts as dead; nothing that was started here dies with the studio.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

import psutil

import studio

#: Start times are read from two processes' view of the clock; a pid is not given out twice within this many seconds.
_SAME_START_SECONDS: Final = 2.0

Life = Literal["alive", "zombie", "gone"]


def spawn(command: Sequence[str], folder: Path, env: Mapping[str, str], log: str) -> subprocess.Popen[bytes]:
    """Start a process of no terminal and no studio; what it prints is added to ``folder/log``. Raises ``OSError``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / log).open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def import_path(inherited: str | None = None) -> str | None:
    """What ``PYTHONPATH`` must say for a child in another folder to find ``studio``; ``None`` when it is installed.

    A checkout is not found by itself; ``inherited`` is what the path says already.
    """
    root = Path(studio.__file__).resolve().parent.parent
    if not (root / "pyproject.toml").is_file():
        return inherited
    return os.pathsep.join([str(root), *filter(None, [inherited])])


def started_at(pid: int) -> float | None:
    """When the process started (seconds since the epoch), or ``None`` when it is gone."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None


def life_of(pid: int, started: float | None, mark: str = "") -> Life:
    """Whether this very process lives; ``zombie`` when it has ended and its parent has not collected it.

    ``mark`` is a word of its command line (a job's id). It speaks for the process where the start time does not: a laptop that
    wakes up, or a virtual machine, may set its clock and with it every start time.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return "zombie"
        same_start = started is None or abs(process.create_time() - started) <= _SAME_START_SECONDS
        return "alive" if same_start or (mark and mark in process.cmdline()) else "gone"
    except psutil.Error:
        return "gone"


def ask(pid: int) -> None:
    """Ask the process to end in its own way."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def kill(pid: int) -> None:
    """End the process and all that it started in its session, now."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGTERM)


def free_memory(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that may still be used: what the machine has free, or less where a container (its control group) allows less."""
    free = int(psutil.virtual_memory().available)
    try:
        most = int((group / "memory.max").read_text("ascii"))
        used = int((group / "memory.current").read_text("ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").read_text("ascii").splitlines())
    except (OSError, ValueError):
        # No control group, another system, or a group without a limit ("max").
        return free
    # Pages of files that nobody used lately are dropped when memory is wanted.
    return max(0, min(free, most - used + int(stat.get("inactive_file", "0"))))


def describe_end(code: int | None) -> str:
    """One sentence on how a process ended. ``code`` is ``Popen.returncode``, or ``None`` when nobody could collect it."""
    if code is None:
        return "The process is gone and left no word. How it ended is not known; the computer may have been restarted."
    if code >= 0:
        return f"The process ended without a word (exit code {code})."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = " The system does this when memory runs out." if name == "SIGKILL" else ""
    return f"The process was ended from outside (signal {-code}, {name}).{hint}"
