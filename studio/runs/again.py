"""How a person sets a job going again, in the words of the button or command that does it.

Guarantees: says what the page of this kind of job says, so that a next step never names a button that is not there; a sweep
may have been started in the terminal, so it names the command too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from studio.store import JobKind

_AGAIN: Final[Mapping[JobKind, str]] = {
    "train": "choose Resume",
    "answers": "choose Ask again",
    "sweep": "choose Resume, or run `tuning-fork resume` with its id",
    "judge": "choose Ask the model again, or run `tuning-fork judge` with the same words",
}


def again(kind: JobKind) -> str:
    """What to do, as the end of a sentence: ``Free some space, then …``."""
    return _AGAIN[kind]
