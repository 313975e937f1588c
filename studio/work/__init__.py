"""Work on files that a process of its own does: read, fetch, split, mix, count, write out.

Guarantees: a file that crashes, hangs or floods its reader takes down one process and nothing else; what is known about the
work lies in small files beside the data, so a reload or a restart of the studio finds it again; work that was cancelled,
killed or failed leaves what was there before as it was.

    start(task, folder, arguments)  ->  Ticket       returns at once
    state(ticket)                   ->  Working(progress) | Done(result) | Failed(error) | Cancelled, None for no work
    cancel(ticket), wait(ticket)
"""

from __future__ import annotations

from studio.work.files import Cancelled, Done, Failed, Limits, Progress, State, Ticket, Working
from studio.work.parent import arguments, cancel, forget, start, state, tidy, wait

__all__ = [
    "Cancelled",
    "Done",
    "Failed",
    "Limits",
    "Progress",
    "State",
    "Ticket",
    "Working",
    "arguments",
    "cancel",
    "forget",
    "start",
    "state",
    "tidy",
    "wait",
]
