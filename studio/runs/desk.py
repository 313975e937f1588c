"""What every job's process does around its work: report, listen for a stop, and say how it ended.

Guarantees: a process works on a job only when the supervisor claimed it for this very process; whatever happens short of a
kill, the job comes to rest with a reason and a next step; secrets are taken out of everything that the process prints.
"""

from __future__ import annotations

import argparse
import errno
import io
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

from studio.errors import RunError, StoreError, StudioError
from studio.processes import started_at
from studio.runs import files
from studio.runs.again import again
from studio.runs.files import Ending, Outcome
from studio.runs.redact import redact
from studio.settings import Settings
from studio.store import Job, JobKind, Store

_BETWEEN_REPORTS: Final = 0.5
_TRIES: Final = 5


class StopAsked(Exception):  # noqa: N818 - not an error: the person asked for it
    """The person asked the job to stop. ``kept`` says in one sentence what is saved.

    ``reason`` says who or what asked (empty: whoever left the wish, or the person), ``next_step`` what can be done now (empty:
    it can be continued).
    """

    def __init__(self, kept: str = "", *, reason: str = "", next_step: str = "") -> None:
        super().__init__(kept)
        self.kept = kept
        self.reason = reason
        self.next_step = next_step


class Desk:
    """One job's process at work: where its files are, whom it reports to, and whether it should stop."""

    def __init__(self, settings: Settings, store: Store, job: Job) -> None:
        self.settings = settings
        self.store = store
        self.job = job
        self.folder: Path = files.folder_of(settings, job)
        self._secrets: list[str] = [settings.api_key.reveal()] if settings.api_key else []
        self._stop = False
        self._phase = ""
        self._waits: str | None = None
        self._reported_at = 0.0

    @property
    def stopping(self) -> bool:
        """Whether somebody asked this job to stop."""
        return self._stop or files.stop_asked_at(self.folder) is not None

    def check(self) -> None:
        """Raise ``StopAsked`` when somebody asked this job to stop. Call it where stopping loses nothing."""
        if self.stopping:
            raise StopAsked

    def phase(self, text: str) -> None:
        """Name what is being done now, in a few plain words."""
        if text != self._phase:
            self._phase = text
            self.store.jobs.update(self.job.id, phase=text)
            self.say(text)

    def waits(self, words: str | None) -> None:
        """Show what the work is waiting for instead of its phase, for as long as ``words`` are given. Cheap to repeat."""
        if words != self._waits:
            self._waits = words
            shown = f"waiting: {words}" if words else self._phase
            self.store.jobs.update(self.job.id, phase=shown)
            self.say(shown if words else "going on")

    def progress(self, done: int, total: int) -> None:
        """Report how far the work is, in the job's own unit. Written at most twice a second, and when it is complete."""
        now = time.monotonic()
        if done >= total or now - self._reported_at >= _BETWEEN_REPORTS:
            self._reported_at = now
            self.store.jobs.update(self.job.id, done=done, total=total)

    def say(self, text: str) -> None:
        """Print one line with the time to the job's log."""
        print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)  # standard output is the log

    def hide(self, secret: str) -> None:
        """Take this secret out of everything that is printed from now on."""
        self._secrets.append(secret)

    def redacted(self, text: str) -> str:
        """``text`` without this process's secrets."""
        return redact(text, self._secrets)

    def listen(self) -> None:
        """Take SIGTERM as the wish to stop; the work decides where that loses nothing."""
        signal.signal(signal.SIGTERM, lambda _signal, _frame: self.wish_to_stop())

    def wish_to_stop(self) -> None:
        """From now on ``stopping`` is true."""
        self._stop = True


def at_desk(kind: JobKind, work: Callable[[Desk], None], argv: Sequence[str] | None = None) -> int:
    """Run ``work`` for the job named in ``--home DIR --job ID`` and record how it ended. Returns the exit code.

    0 completed or stopped, 1 failed, 3 not this process's job. ``work`` returns when complete, raises ``StopAsked`` when it
    stopped where it should, and any other error when it failed.
    """
    parser = argparse.ArgumentParser(description=f"Work on one {kind} job of a Tuning Fork home folder.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--job", required=True)
    asked = parser.parse_args(argv)
    settings = Settings.from_env().with_home(asked.home)
    store = Store(settings.database)
    desk = Desk(settings, store, store.jobs.get(asked.job))
    desk.folder.mkdir(parents=True, exist_ok=True)
    desk.listen()
    _guard_output(desk)
    if not _take_up(desk, kind):
        return 3
    status, reason, next_step = _done(desk, work)
    _record(desk, Outcome(os.getpid(), status, reason, next_step))
    return 1 if status == "failed" else 0


def leave(code: int) -> NoReturn:
    """End this process now, with everything worth keeping on disk.

    Taking torch and the SDK's threads down in order would cost seconds, and the next job may already be starting.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _take_up(desk: Desk, kind: JobKind) -> bool:
    """Make the job this process's own; ``False`` when it is somebody else's."""
    jobs, job, me = desk.store.jobs, desk.job, os.getpid()
    if job.kind != kind or job.pid not in (None, me) or job.status not in ("starting", "stopping"):
        desk.say(f"Job {job.id} is {job.status} and not for this process. Nothing was done.")
        return False
    jobs.update(job.id, pid=me, pid_started=started_at(me))
    if not jobs.move(job.id, "running", only_from=("starting",), event="Its process is at work."):
        desk.wish_to_stop()  # a stop came first
    return True


def _done(desk: Desk, work: Callable[[Desk], None]) -> tuple[Ending, str, str]:
    repeat = again(desk.job.kind)
    try:
        desk.check()
        work(desk)
    except StopAsked as stop:
        who = stop.reason or files.why_stopped(desk.folder) or "You stopped it."
        return "stopped", f"{who} {stop.kept}".strip(), stop.next_step or f"To continue, {repeat}."
    except StudioError as error:
        traceback.print_exc()
        where = f"{error.where}: " if error.where else ""
        return "failed", desk.redacted(f"{where}{error.what}"), desk.redacted(error.next_step or _look_at_log(desk))
    except OSError as error:
        traceback.print_exc()
        known = explain_os_error(error, repeat)
        return "failed", desk.redacted(known.what), known.next_step
    except Exception as error:  # noqa: BLE001 - the last line of defence: a job must come to rest with a reason
        traceback.print_exc()
        return "failed", desk.redacted(f"{type(error).__name__}: {error}"[:1000]), _look_at_log(desk)
    return "completed", "", ""


def explain_os_error(error: OSError, repeat: str) -> StudioError:
    """What the system refused, in plain words; ``repeat`` says how to try again, as the end of a sentence."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            "The disk is full, so the files could not be written.",
            next_step=f"Free some space, then {repeat}. What was saved before is safe.",
        )
    return RunError(
        f"The system refused: {error.strerror or error}.",
        where=str(error.filename or ""),
        next_step=f"Check the folder's permissions and free space, then {repeat}.",
    )


def _look_at_log(desk: Desk) -> str:
    return f"Look at the end of its log ({desk.folder / files.LOG}), then {again(desk.job.kind)}."


def _record(desk: Desk, outcome: Outcome) -> None:
    """Write how the job ended, first beside its files, then into the store; a supervisor reads the one if the other failed."""
    desk.say(" ".join(filter(None, [f"{outcome.status}.", outcome.reason, outcome.next_step])))
    try:
        files.write_outcome(desk.folder, outcome)
    except OSError as error:
        desk.say(f"The outcome could not be written: {error}")
    for attempt in range(_TRIES):
        try:
            desk.store.jobs.move(
                desk.job.id,
                outcome.status,
                only_from=("starting", "running", "stopping"),
                reason=outcome.reason,
                next_step=outcome.next_step,
            )
        except StoreError as error:
            desk.say(f"The store refused (try {attempt + 1} of {_TRIES}): {error}")
            time.sleep(1.0)
        else:
            return


class _Redacting(io.TextIOBase):
    """A text stream that takes secrets out of every line before it passes it on."""

    def __init__(self, stream: TextIO, desk: Desk) -> None:
        self._stream = stream
        self._desk = desk
        self._line = ""
        self._writing = threading.Lock()

    def write(self, text: str, /) -> int:
        # Whole lines only, and one thread at a time: a secret that arrives in two pieces would slip through.
        with self._writing:
            whole, newline, rest = (self._line + text).rpartition("\n")
            self._line = rest
            if newline:
                self._stream.write(self._desk.redacted(whole) + newline)
                self._stream.flush()
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride] - a stream that wraps one has its encoding
        return self._stream.encoding


def _guard_output(desk: Desk) -> None:
    """Put the redaction in front of standard output and error, and of log records that libraries write to their own files."""
    sys.stdout = _Redacting(sys.stdout, desk)
    sys.stderr = _Redacting(sys.stderr, desk)
    make = logging.getLogRecordFactory()

    def redacting(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a library whose arguments do not fit its words must not fail the job
            text = f"{record.msg} {record.args}"
        record.msg, record.args = desk.redacted(text), None
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = desk.redacted("".join(traceback.format_exception(*record.exc_info)).rstrip())
        return record

    logging.setLogRecordFactory(redacting)
