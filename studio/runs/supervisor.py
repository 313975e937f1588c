"""Starts, watches, stops and resumes the processes of jobs, one of each kind at a time.

Guarantees: a job has at most one process, even when two studios share a home folder; a job whose process is gone is never shown
as running for longer than a tick; ending or killing the studio ends no job; what a process said about its own end is believed
before anything is guessed.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from studio import processes
from studio.errors import RunError
from studio.runs import files
from studio.runs.again import again
from studio.runs.environment import JUDGE_KEY, child_environment
from studio.settings import Secret, Settings
from studio.store import Job, JobKind, JobStatus, Store

_LOG = logging.getLogger(__name__)

_TICK_SECONDS: Final = 1.0
#: Time a claimed job has to show its process, and a foreign zombie to be collected by the studio that started it.
_PATIENCE_SECONDS: Final = 20.0
_RESUMABLE: Final[frozenset[JobStatus]] = frozenset({"stopped", "failed", "interrupted"})
_STOPPABLE: Final[frozenset[JobStatus]] = frozenset({"queued", "starting", "running"})
_MODULES: Final[Mapping[JobKind, str]] = {
    "train": "studio.runs.worker",
    "answers": "studio.compare.answers_job",
    "sweep": "studio.sweeps.job",
    "judge": "studio.compare.machine_job",
}


def can_resume(job: Job) -> bool:
    """Whether ``Supervisor.resume`` would take this job."""
    return job.status in _RESUMABLE


def can_stop(job: Job) -> bool:
    """Whether ``Supervisor.stop`` would change anything."""
    return job.status in _STOPPABLE


class Supervisor:
    """Looks after every job of one home folder. Safe to call from any thread.

    ``command`` says what to run for a job (a seam for tests); ``grace_seconds`` is how long a job that was asked to stop may
    take to save and end before it is killed.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        command: Callable[[Job], Sequence[str]] | None = None,
        grace_seconds: float = 60.0,
    ) -> None:
        self._settings = settings
        self._store = store
        self._command = command or (lambda job: command_of(job, settings.home))
        self._grace = grace_seconds
        self._lock = threading.RLock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._missing_since: dict[str, float] = {}
        self._lent: dict[str, Secret] = {}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def lend(self, job_id: str, key: Secret) -> None:
        """Give the process of this job a key of its own. It is kept in memory, until the job is complete, and nowhere else.

        Call it before the job is there: what is queued may start at any moment.
        """
        with self._lock:
            self._lent[job_id] = key

    def submit(self, job_id: str) -> Job:
        """Start a queued job now if nothing of its kind runs, else leave it in the queue. Raises ``NotFoundError``."""
        self._store.jobs.get(job_id)
        self.tick()
        return self._store.jobs.get(job_id)

    def stop(self, job_id: str, why: str = "") -> Job:
        """Ask a job to save and end; a queued one ends at once. A job at rest stays as it is. Raises ``NotFoundError``.

        ``why`` is a sentence that the job's reason begins with; empty where it is the person who stops it.
        """
        with self._lock:
            jobs = self._store.jobs
            job = jobs.get(job_id)
            if jobs.move(job_id, "stopped", only_from=("queued",), reason=why or "You stopped it before it started."):
                return jobs.get(job_id)
            if job.status in _STOPPABLE:
                files.ask_to_stop(self._folder(job), why)
                jobs.move(job_id, "stopping", only_from=("starting", "running"), event=why or "You asked it to stop.")
                job = jobs.get(job_id)
                if job.pid is not None and processes.life_of(job.pid, job.pid_started, job.id) == "alive":
                    processes.ask(job.pid)
        return jobs.get(job_id)

    def resume(self, job_id: str) -> Job:
        """Put a job that came to rest early back into the queue; it goes on from its last checkpoint.

        Raises ``RunError`` when it is not stopped, failed or interrupted, and ``NotFoundError``.
        """
        with self._lock:
            job = self._store.jobs.get(job_id)
            if job.status not in _RESUMABLE:
                raise RunError(
                    f"This run is {job.status}, so there is nothing to resume.",
                    where=job.id,
                    next_step="Open it to see where it stands." if job.live else "Start a new run instead.",
                )
            files.forget_the_past(self._folder(job))
            moved = self._store.jobs.move(job_id, "queued", only_from=tuple(_RESUMABLE), event="You resumed it.")
            if moved:
                self._store.jobs.update(job_id, phase="waiting")
        return self.submit(job_id)

    def recover(self) -> None:
        """Find out, when a studio starts, what became of the jobs of the studio before it."""
        self.tick()

    def tick(self) -> None:
        """Look after every live job, then start what may start. Cheap; call it about once a second. Raises ``StoreError``."""
        with self._lock:
            for job in self._store.jobs.live():
                self._look_after(job)
            self._collect()
            busy = {job.kind for job in self._store.jobs.live()}
            for job in self._store.jobs.waiting():
                # The claim decides; looking first only saves a write for every job that waits.
                if job.kind not in busy and self._store.jobs.claim(job.id):
                    busy.add(job.kind)
                    self._start(job)

    def watch(self) -> Self:
        """Tick in the background until ``close``. Calling it again changes nothing."""
        if self._thread is None:
            self._ending.clear()
            self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._thread.start()
        return self

    def close(self) -> None:
        """End the background thread. The jobs go on."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            for child in self._children.values():
                # Detached on purpose; without this Python would warn that a child is still running.
                child.returncode = 0 if child.poll() is None else child.returncode
            self._children.clear()

    def __enter__(self) -> Self:
        return self.watch()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._ending.is_set():
            try:
                self.tick()
            except Exception:  # noqa: BLE001 - without this thread no job would ever be looked after again
                # A full disk or a held database passes; the next tick tries again, and the pages show the same error.
                _LOG.exception("The supervisor could not look after the jobs")
            self._ending.wait(_TICK_SECONDS)

    def _folder(self, job: Job) -> Path:
        return files.folder_of(self._settings, job)

    def _start(self, job: Job) -> None:
        folder = self._folder(job)
        self._clear_away(job)
        try:
            files.forget_the_past(folder)
            env = child_environment(self._settings)
            if job.id in self._lent:
                env[JUDGE_KEY] = self._lent[job.id].reveal()
            child = processes.spawn(self._command(job), folder, env, files.LOG)
        except OSError as error:
            self._store.jobs.move(
                job.id,
                "failed",
                reason=f"The process could not be started ({error.strerror or error}).",
                next_step=f"Check the free space and memory of this machine, then {again(job.kind)}.",
            )
            return
        self._children[job.id] = child
        self._store.jobs.update(job.id, pid=child.pid, pid_started=processes.started_at(child.pid))

    def _look_after(self, job: Job) -> None:
        if self._is_alive(job):
            self._missing_since.pop(job.id, None)
            self._press_on(job)
            return
        child = self._children.pop(job.id, None)
        self._missing_since.pop(job.id, None)
        code = child.returncode if child is not None else None
        self._lay_to_rest(job, code)

    def _is_alive(self, job: Job) -> bool:
        child = self._children.get(job.id)
        if child is not None:
            return child.poll() is None
        life = "gone" if job.pid is None else processes.life_of(job.pid, job.pid_started, job.id)
        if life == "alive":
            return True
        # Another studio may be between claiming the job and naming its process, or about to learn how the process ended.
        wait = job.pid is None or life == "zombie"
        since = self._missing_since.setdefault(job.id, time.monotonic())
        return wait and time.monotonic() - since < _PATIENCE_SECONDS

    def _press_on(self, job: Job) -> None:
        """Kill a process that was asked to stop and has used up its grace."""
        asked = files.stop_asked_at(self._folder(job))
        if job.status == "stopping" and job.pid is not None and asked is not None and time.time() - asked > self._grace:
            self._store.jobs.tell(job.id, f"It did not stop within {self._grace:.0f} seconds and was ended.")
            processes.kill(job.pid)

    def _lay_to_rest(self, job: Job, code: int | None) -> None:
        folder = self._folder(job)
        words = files.read_outcome(folder, job.pid)
        if words is not None:
            self._store.jobs.move(job.id, words.status, only_from=(job.status,), reason=words.reason, next_step=words.next_step)
            return
        next_step = _next_step(job, folder)
        if job.status == "stopping":
            reason = f"{files.why_stopped(folder)} It was ended before it could save.".strip()
            self._store.jobs.move(job.id, "stopped", only_from=("stopping",), reason=reason, next_step=next_step)
            return
        reason = processes.describe_end(code)
        if code is not None and code > 0:
            last = files.log_tail(folder, 1)
            reason += f" Its last line was: {last[0][:300]}" if last else ""
        self._store.jobs.move(job.id, "interrupted", only_from=(job.status,), reason=reason, next_step=next_step)

    def _collect(self) -> None:
        """Collect processes that ended after they had said so themselves, so that no zombie is left behind."""
        for job_id in [job_id for job_id, child in self._children.items() if child.poll() is not None]:
            job = self._store.jobs.find(job_id)
            if job is None or not job.live:
                del self._children[job_id]
                if job is None or job.status == "completed":
                    self._lent.pop(job_id, None)

    def _clear_away(self, job: Job) -> None:
        """Make sure that a process which has already said its last words is really gone before the next one starts."""
        child = self._children.pop(job.id, None)
        if child is not None:
            try:
                child.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                processes.kill(child.pid)
                child.wait()


def _next_step(job: Job, folder: Path) -> str:
    if job.kind == "answers":
        return f"The answers that are there are kept. To get the rest, {again(job.kind)}."
    if job.kind == "judge":
        return f"What the model said so far is kept. To get the rest, {again(job.kind)}."
    if job.kind == "sweep":
        return f"Its finished trials are kept. To go on with the rest, {again(job.kind)}."
    if files.has_checkpoint(folder):
        return "Choose Resume to continue from the last checkpoint."
    return "Choose Resume to start again. It had not saved a checkpoint yet."


def command_of(job: Job, home: Path) -> list[str]:
    """What is run for a job. No secret is ever part of it."""
    # -P: the folder that the process runs in must not become a place to import from.
    return [sys.executable, "-P", "-m", _MODULES[job.kind], "--home", str(home), "--job", job.id]
