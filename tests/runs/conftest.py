"""A home folder, a store, and processes that stand in for a worker: real ones, small enough to start in a blink."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from studio.processes import kill, life_of
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import Job, Store

OWNER = "local"
Command = Callable[[Job], list[str]]


class House:
    """One home folder with its store, and what tests ask of it."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings(home=home)
        self.store = Store(self.settings.database)
        self.store.datasets.add("set-000001", owner=OWNER, name="Tickets", rows=10, fingerprint="", manifest_json="{}")
        self._supervisors: list[Supervisor] = []

    def run(self) -> str:
        row = self.store.runs.add(
            owner=OWNER, name="A run", dataset_id="set-000001", method="sl", model="nano", recipe_json="{}"
        )
        return row.id

    def answers(self, run_id: str) -> str:
        return self.store.comparisons.add(owner=OWNER, run_id=run_id, settings_json="{}").id

    def job(self, job_id: str) -> Job:
        return self.store.jobs.get(job_id)

    def folder(self, job_id: str) -> Path:
        return self.settings.runs / job_id

    def supervisor(self, command: Callable[[Job], list[str]], *, grace: float = 60.0) -> Supervisor:
        made = Supervisor(self.settings, self.store, command=command, grace_seconds=grace)
        self._supervisors.append(made)
        return made

    def until(self, job_id: str, *statuses: str, ticking: Supervisor | None = None, seconds: float = 20.0) -> Job:
        """The job once it has one of these statuses."""
        return self.eventually(
            lambda: job if (job := self.job(job_id)).status in statuses else None, ticking, seconds, lambda: self.told(job_id)
        )

    @staticmethod
    def eventually(ask, ticking=None, seconds=20.0, told=lambda: ""):
        """The first answer that is something."""
        deadline = time.monotonic() + seconds
        while True:
            if ticking is not None:
                ticking.tick()
            if found := ask():
                return found
            assert time.monotonic() < deadline, told()
            time.sleep(0.05)

    def told(self, job_id: str) -> str:
        log = self.folder(job_id) / "worker.log"
        return f"{self.job(job_id)}\n{log.read_text() if log.is_file() else 'no log'}"

    def close(self) -> None:
        for supervisor in self._supervisors:
            supervisor.close()
        for job in self.store.jobs.live():
            # Some tests do a worker's work themselves.
            if job.pid not in (None, os.getpid()) and life_of(job.pid, job.pid_started, job.id) == "alive":
                kill(job.pid)
        self.store.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "home")
    yield made
    made.close()


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., Command]:
    """A command for the supervisor that runs this body as ``work(desk)`` at a real desk."""

    def make(body: str, kind: str = "train") -> Command:
        path = tmp_path / f"worker_{len(list(tmp_path.glob('worker_*.py')))}.py"
        lines = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
        path.write_text(f"{HEAD}{lines}\nsys.exit(at_desk({kind!r}, work))\n", encoding="utf-8")
        home = str(tmp_path / "home")
        return lambda job: [sys.executable, str(path), "--home", home, "--job", job.id]

    return make


HEAD = """\
import os, signal, sys, time
from studio.errors import BackendError
from studio.runs.desk import StopAsked, at_desk

def work(desk):
"""
