"""Exports for other programs: optional age encryption, and download links that need no key in a header.

Guarantees: a link names one file of one checkpoint, carries its own signature and expiry, and opens nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyrage

from studio.engine.refusals import RefusalError

#: How long a download link works. Seconds.
LINK_LIFE: Final = 3600

# The extension module ships no types.
_pyrage: Any = pyrage

Files = Mapping[str, bytes]


def sealer(recipients: Sequence[str]) -> Callable[[Files], dict[str, bytes]]:
    """A function that encrypts every file to these age recipients and adds ``.age``; without recipients it changes nothing."""
    keys = [_recipient(text) for text in recipients]

    def seal(files: Files) -> dict[str, bytes]:
        if not keys:
            return dict(files)
        return {f"{name}.age": bytes(_pyrage.encrypt(body, keys)) for name, body in files.items()}

    return seal


def sign(secret: str, what: str, *, now: float | None = None) -> tuple[str, int]:
    """A signature over ``what`` and the second at which it ends, both to be put into a link."""
    expires = int((time.time() if now is None else now) + LINK_LIFE)
    return _mac(secret, what, expires), expires


def verify(secret: str, what: str, signature: str, expires: int) -> bool:
    """Whether a link is genuine and still in time; compared in constant time."""
    # As bytes: a text that is not ASCII cannot be compared, and must count as wrong like any other.
    return hmac.compare_digest(signature.encode(), _mac(secret, what, expires).encode()) and time.time() < expires


def _mac(secret: str, what: str, expires: int) -> str:
    return hmac.new(secret.encode(), f"{expires}|{what}".encode(), hashlib.sha256).hexdigest()


def _recipient(text: str) -> Any:  # noqa: ANN401  a class of the untyped extension
    try:
        return _pyrage.x25519.Recipient.from_str(text) if text.startswith("age1") else _pyrage.ssh.Recipient.from_str(text)
    except _pyrage.RecipientError as error:
        raise RefusalError(f"{text[:20]}… is not an age recipient.") from error
