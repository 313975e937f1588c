"""Ids that are safe in a folder's name, an address and a log, and that nobody can guess."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

from studio.errors import NotFoundError

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_SHAPE: Final = re.compile(r"[a-z]{2,8}-[0-9a-z]{6,40}")


def new_id(prefix: str) -> str:
    """``prefix-`` and sixteen characters: six that sort by time, ten at random (50 bits)."""
    stamp = int(time.time()) & 0x3FFFFFFF
    early = "".join(_ALPHABET[(stamp >> shift) & 31] for shift in range(25, -1, -5))
    late = "".join(secrets.choice(_ALPHABET) for _ in range(10))
    return f"{prefix}-{early}{late}"


def checked_id(text: str) -> str:
    """The id as given, if it has the shape of one. Raises ``NotFoundError``; use it before an id becomes part of a path."""
    if not _SHAPE.fullmatch(text):
        raise NotFoundError(f"{text!r} is not an id of this studio.", next_step="Choose one from the list of runs.")
    return text
