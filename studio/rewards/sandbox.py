"""A person's Python, run where it can do no harm: the outside of the sandbox.

Guarantees: the code runs in a process of its own without the studio's environment, files, network, threads or further
processes (``cell``); an answer that takes too long, too much memory or too much to say ends that process and nothing else; the
next answer has a fresh one. Before any code runs here, the sandbox has shown on this very machine that it holds (``trouble``);
where it does not, nothing is run and the reason is said.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self, cast

import psutil

from studio import processes
from studio.rewards.answers import LONGEST
from studio.rewards.cell import CPU_SECONDS, MODULES
from studio.rewards.kinds import Python, RewardError, TaskRow

_CELL: Final = Path(__file__).with_name("cell.py")
#: Starting Python takes a fraction of a second; a busy machine may take longer.
_START_SECONDS: Final = 20.0
#: How many times its processor time an answer may take in all, asleep or waiting for its turn.
_PATIENCE: Final = 4.0
_LONGEST_REPLY: Final = 65_536
_LOOK_SECONDS: Final = 0.05
_MEBIBYTE: Final = 1_048_576

#: Tries every door from inside, with the tools that an attacker has. 1 means that all are closed.
_PROBE: Final = """
import ctypes, posix, builtins

def closed(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False

def score(prompt, answer, reference):
    system = ctypes.CDLL(None, use_errno=True)
    calls = (
        lambda: builtins.open("/etc/hosts"),
        lambda: posix.open("/dev/null", 0),
        lambda: posix.listdir("/"),
        lambda: posix.stat("/etc"),
        lambda: posix.fork(),
        lambda: posix.execv("/bin/sh", ["sh"]),
        lambda: posix.kill(1, 0),
    )
    return all(closed(call) for call in calls) and system.socket(2, 1, 0) == -1 and system.socket(1, 1, 0) == -1
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What the code said about one answer: a score from 0 to 1, or why there is none."""

    value: float | None
    error: str = ""


class Sandbox:
    """Runs one ``python`` reward. Any thread may use it; one answer is scored at a time. Close it when done."""

    def __init__(self, reward: Python) -> None:
        self._reward = reward
        self._lock = threading.Lock()
        self._child: _Child | None = None

    def score(self, items: Sequence[tuple[str, TaskRow]]) -> list[Ran]:
        """Score answers with their rows, in order. Raises ``RewardError`` when the code cannot even be loaded."""
        with self._lock:
            return [self._one(answer, row) for answer, row in items]

    def close(self) -> None:
        """End the process. The sandbox can be used again, with a new one."""
        with self._lock:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, answer: str, row: TaskRow) -> Ran:
        if self._child is not None and self._child.worn:
            self._end()
        try:
            if self._child is None:
                self._child = _Child(self._reward)
            return self._child.ask(answer, row)
        except _EndedError as ended:
            self._end()
            return Ran(None, ended.why)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None


def require() -> None:
    """Raise ``RewardError`` where Python code cannot be run safely."""
    why = trouble()
    if why:
        raise _unsafe(why)


def _unsafe(why: str) -> RewardError:
    return RewardError(
        f"Python code cannot be run safely on this machine: {why}.",
        where="code",
        next_step="Use another kind of reward, or a machine with Linux and libseccomp, or macOS.",
    )


@lru_cache(maxsize=1)
def trouble() -> str:
    """Why this machine has no sandbox; empty when it has one that was seen to hold. Asked once per process."""
    if sys.platform not in ("linux", "darwin"):
        return "there is no sandbox for this system"
    try:
        child = _Child(Python(code=_PROBE, seconds=10.0))
    except (_EndedError, RewardError, OSError) as error:
        return f"the sandbox does not start ({getattr(error, 'what', error)})"
    try:
        found = child.ask("", TaskRow(""))
    except _EndedError as ended:
        return f"the sandbox does not hold a trial ({ended})"
    finally:
        child.end()
    return "" if found.value == 1 else f"the sandbox does not hold ({found.error or 'a door was open'})"


class _EndedError(Exception):
    """The process is of no more use."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Child:
    """One process and its two pipes."""

    def __init__(self, reward: Python) -> None:
        self._seconds = reward.seconds
        self._memory = reward.memory_mb * _MEBIBYTE
        self._asked = 0
        self._busy = 0.0
        self._held = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_CELL)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={},
            start_new_session=True,
        )
        try:
            self._begin(reward.code)
        except BaseException:
            self.end()
            raise

    @property
    def worn(self) -> bool:
        """Whether it comes near the processor time after which the system ends it."""
        return self._busy > CPU_SECONDS / 2

    def ask(self, answer: str, row: TaskRow) -> Ran:
        """Score one answer. Raises ``_EndedError`` when the process did not live through it."""
        self._asked += 1
        began = time.monotonic()
        said = self._exchange(
            {
                "n": self._asked,
                "prompt": row.prompt[:LONGEST],
                "answer": answer[:LONGEST],
                "reference": row.reference[:LONGEST],
                "extra": {name: value[:LONGEST] for name, value in row.extra.items()},
            },
            self._seconds,
        )
        self._busy += time.monotonic() - began
        if said.get("n") != self._asked:
            raise _EndedError("The code wrote where only its score may go.")
        error = said.get("error")
        if isinstance(error, str):
            return Ran(None, _explained(error[:400]))
        value = said.get("value")
        if not isinstance(value, float) or not 0 <= value <= 1:
            raise _EndedError("The code wrote where only its score may go.")
        return Ran(value)

    def end(self) -> None:
        """Kill it and collect it."""
        processes.kill(self._process.pid)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _begin(self, code: str) -> None:
        # A definition may take as long as an answer, on top of the start.
        said = self._exchange({"code": code, "memory": self._memory}, _START_SECONDS + self._seconds)
        if "wrong" in said:
            raise RewardError(
                f"The code cannot be used: {_explained(str(said['wrong'])[:400])}.",
                where="code",
                next_step="Correct that line.",
            )
        if said.get("ready") is not True:
            raise _unsafe(str(said.get("refused", "it gave no sign"))[:300])

    def _exchange(self, asked: dict[str, Any], seconds: float) -> dict[str, Any]:
        began, used = time.monotonic(), self._processor_time()
        line = json.dumps(asked, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None  # noqa: S101 - both were asked for
        assert pipe_out is not None  # noqa: S101
        with selectors.DefaultSelector() as ready:
            ready.register(pipe_out, selectors.EVENT_READ)
            ready.register(pipe_in, selectors.EVENT_WRITE)
            os.set_blocking(pipe_in.fileno(), False)
            while b"\n" not in self._held:
                if self._overdue(seconds, time.monotonic() - began, used):
                    raise _EndedError(f"The code took longer than {self._seconds:g} seconds and was ended.")
                self._watch_memory()
                for key, _ in ready.select(_LOOK_SECONDS):
                    if key.fileobj is pipe_out:
                        self._take(os.read(pipe_out.fileno(), 65_536))
                        continue
                    line = self._give(pipe_in.fileno(), line)
                    if not line:
                        ready.unregister(pipe_in)
        found, _, self._held = self._held.partition(b"\n")
        return _read(found)

    def _overdue(self, seconds: float, waited: float, used: float) -> bool:
        """Whether the time is over: processor time, because a busy machine is no fault of the code, or much more of any."""
        if waited <= seconds:
            return False
        return waited > _PATIENCE * seconds or self._processor_time() - used > seconds

    def _processor_time(self) -> float:
        try:
            found = psutil.Process(self._process.pid).cpu_times()
        except psutil.Error:
            return 0.0  # it has ended, which reading its pipe will tell
        return float(found.user + found.system)

    def _give(self, pipe: int, line: bytes) -> bytes:
        try:
            return line[os.write(pipe, line) :]
        except BrokenPipeError:
            # What it said before it went is still to be read.
            return b""

    def _take(self, piece: bytes) -> None:
        if not piece:
            code = self._process.wait()
            raise _EndedError(f"The code ended its process. {processes.describe_end(code)}")
        self._held += piece
        if len(self._held) > _LONGEST_REPLY:
            raise _EndedError("The code wrote where only its score may go.")

    def _watch_memory(self) -> None:
        # Linux holds the limit itself.
        if sys.platform == "darwin" and psutil.Process(self._process.pid).memory_info().rss > self._memory + 64 * _MEBIBYTE:
            raise _EndedError("The code used more memory than it may and was ended.")


def _read(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _EndedError("The code wrote where only its score may go.")
    return cast("dict[str, Any]", found)


def _explained(error: str) -> str:
    if "ModuleNotFoundError" in error or "ImportError" in error:
        usual = ", ".join(name for name in MODULES if not name.startswith("_") and "." not in name)
        return f"{error}. Code for a reward can import: {usual}"
    if "MemoryError" in error:
        return f"{error}. It used more memory than it may"
    if "PermissionError" in error:
        return f"{error}. Files, the network and other processes are closed to it"
    return error
