"""Start the engine as a child process and know where it listens. Imports neither torch nor FastAPI.

Guarantees: the child ends when this process ends, however it ends (it holds the other end of a pipe); the key exists only in
memory and in the child's environment, never in an argument list or a file; a child that cannot start says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from studio.errors import EngineError
from studio.settings import Secret, Settings

#: Longest time from start to ready: importing torch on a slow disk, or fetching a model from the Hub. Seconds.
PATIENCE: Final = 600.0
_KEY_VARIABLE: Final = "TUNING_FORK_ENGINE_KEY"
_END: Final = 15.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine. ``base_url`` and ``api_key`` are what ``tinker.ServiceClient`` takes."""

    base_url: str
    api_key: Secret
    process: subprocess.Popen[bytes]
    models: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether the process is still there."""
        return self.process.poll() is None

    def close(self) -> None:
        """End the engine: first by closing its pipe, then by force."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        try:
            self.process.wait(timeout=_END)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextlib.contextmanager
def start_engine(
    settings: Settings,
    models: Sequence[str] = ("nano",),
    log: Path | None = None,
    *,
    device: str = "auto",
    threads: int | None = None,
) -> Generator[Engine]:
    """Start an engine on a free port and end it when the block is left.

    ``models`` are names, folders or Hub ids; ``log`` collects what the engine writes to standard error. Raises ``EngineError``
    with the engine's own last words when it does not come up.
    """
    with contextlib.ExitStack() as stack:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            errors: IO[bytes] = stack.enter_context(log.open("ab+"))
        else:
            errors = stack.enter_context(tempfile.TemporaryFile())
        begin = errors.seek(0, os.SEEK_END)
        process = _spawn(settings, models, errors, device, threads)
        try:
            ready = _wait_until_ready(process, errors, begin)
            engine = Engine(ready.base_url, ready.api_key, process, ready.models)
        except BaseException:
            process.kill()
            process.wait()
            raise
        stack.callback(engine.close)
        yield engine


def _spawn(
    settings: Settings, models: Sequence[str], errors: IO[bytes], device: str, threads: int | None
) -> subprocess.Popen[bytes]:
    arguments = ["--port", "0", "--json", "--parent", "--home", str(settings.home), "--device", device]
    for model in models:
        arguments += ["--model", model]
    if threads is not None:
        arguments += ["--threads", str(threads)]
    key = f"tml-{secrets.token_urlsafe(32)}"
    # The child must find this package also when it was started from a checkout, whatever the working folder is.
    package_home = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_home, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        # -P: whatever lies in the working folder must not be imported instead of a library.
        [sys.executable, "-P", "-m", "studio.engine", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, _KEY_VARIABLE: key, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
        # Ctrl-C in the terminal is for the parent, which then closes the pipe.
        start_new_session=True,
    )


@dataclass(frozen=True, slots=True)
class _Ready:
    base_url: str
    api_key: Secret
    models: tuple[str, ...]


def _wait_until_ready(process: subprocess.Popen[bytes], errors: IO[bytes], begin: int) -> _Ready:
    assert process.stdout is not None  # noqa: S101  it was asked for
    deadline = time.monotonic() + PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(timeout=min(1.0, deadline - time.monotonic())):
                continue
            line = process.stdout.readline()
            if not line:
                process.wait()
                raise EngineError(_last_words(errors, begin) or _ended(process.returncode))
            if line.startswith(b"{"):
                said = json.loads(line)
                return _Ready(str(said["base_url"]), Secret(str(said["api_key"])), tuple(said["models"]))
    raise EngineError(f"The engine was not ready after {PATIENCE:.0f} seconds.", next_step="Look into its log.")


def _ended(code: int) -> str:
    """How a process ended that left no word; ``code`` is ``Popen.returncode``, below zero for a signal."""
    if code >= 0:
        return f"The engine ended without a word (exit code {code})."
    return f"The engine was ended from outside (signal {-code}) while it was starting."


def _last_words(errors: IO[bytes], begin: int) -> str:
    """The last line that the engine wrote before it ended; that is where it says why."""
    errors.seek(begin)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
