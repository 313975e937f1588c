"""What several rooms of tests share: one real browser, and studios that are real processes with a home folder of their own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# Two busy threads on two busy cores are slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A time limit for each example would test how busy the machine is.
hypothesis.settings.register_profile("studio", deadline=None)
hypothesis.settings.load_profile("studio")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first: workers take whole files, and a journey that begins last keeps one of them waiting alone."""
    items.sort(key=lambda item: ("journeys" not in item.nodeid, item.get_closest_marker("browser") is None))


@pytest.fixture(scope="module", autouse=True)
def _end_sessions() -> Iterator[None]:
    """After each file of tests, end what the SDK keeps alive for it."""
    yield
    end_sessions()


@pytest.fixture(autouse=True)
def _this_process_as_it_was() -> Iterator[None]:
    """A verb that runs inside a test settles its process down for good: quiet, and away from the hub. The next is another."""
    environment, silenced = dict(os.environ), logging.root.manager.disable
    yield
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    logging.disable(silenced)


def end_sessions() -> int:
    """Close every client of the SDK that still has a session. Returns how many there were.

    An SDK client that nobody closes lives as long as the process: its heartbeat holds on to it, and asks an engine that may be
    long gone every ten seconds. Cookbook loops leave such clients behind.
    """
    sdk = sys.modules.get("tinker.lib.internal_client_holder")
    loop = sdk and sdk._internal_client_holder_thread_singleton.loop_if_started()
    if loop is None:
        return 0

    async def close() -> int:
        beats = [task.get_coro() for task in asyncio.all_tasks()]
        holders = [beat.cr_frame.f_locals["self"] for beat in beats if beat.__name__ == "_session_heartbeat"]
        await asyncio.wait_for(asyncio.gather(*(holder.aclose() for holder in holders)), 60)
        return len(holders)

    return asyncio.run_coroutine_threadsafe(close(), loop).result()


FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium for one file of tests; each test opens a context of its own.

    Not for the whole session: while it is open a loop runs in the main thread, and no other test there could run one.
    """
    from playwright.sync_api import sync_playwright

    named = os.environ.get("CHROMIUM")
    if not named:
        looked = subprocess.run([sys.executable, ROOT / "tests/find_browser.py"], capture_output=True, text=True, check=False)
        named = looked.stdout.strip()
        if not named:
            pytest.fail(f"No browser: {looked.stderr}")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=named, headless=True, args=list(FLAGS))
        yield opened
        opened.close()


@dataclass
class Studio:
    """A served studio. ``stop`` and ``kill`` end the server only; runs are processes of their own."""

    home: Path
    port: int
    env: dict[str, str] = field(repr=False)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.home / "server.log").read_text(errors="replace")

    def start(self, seconds: float = 90.0) -> float:
        """Start serving and return how long it took until the first page answered."""
        began = time.monotonic()
        with (self.home / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "studio", "ui"], cwd=ROOT, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise AssertionError(f"The studio ended with {self.process.returncode}:\n{self.log}")
            with contextlib.suppress(OSError), urllib.request.urlopen(self.url, timeout=5) as answer:
                if answer.status == 200:
                    return time.monotonic() - began
            time.sleep(0.1)
        raise AssertionError(f"The studio did not answer within {seconds} s:\n{self.log}")

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def new_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Studio]]:
    """Makes studios, not yet started, each with a home folder of its own; all are stopped in the end."""
    with _studios(tmp_path_factory) as make:
        yield make


@pytest.fixture(scope="module")
def shared_studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """One served studio for the tests of a file that do not stop it."""
    with _studios(tmp_path_factory) as make:
        studio = make()
        studio.start()
        yield studio


@contextlib.contextmanager
def _studios(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Studio]]:
    made: list[Studio] = []

    def make() -> Studio:
        home = tmp_path_factory.mktemp("home")
        port = free_port()
        keys = {"TINKER_API_KEY", "TINKER_BASE_URL", "HF_TOKEN"}
        env = {name: value for name, value in os.environ.items() if name not in keys}
        env |= {"STUDIO_HOME": str(home), "STUDIO_PORT": str(port), "STUDIO_HOST": "127.0.0.1"}
        made.append(Studio(home, port, env))
        return made[-1]

    try:
        yield make
    finally:
        for studio in made:
            studio.stop()
            _end_runs(studio.home)


def _end_runs(home: Path) -> None:
    """Runs outlive their studio by design; a test's must not outlive the test."""
    import psutil

    for process in psutil.process_iter(["cmdline"]):
        if any(part.startswith(str(home)) for part in process.info["cmdline"] or []):
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(10)
