"""Tokens: what leads one person to one seat, and nobody anywhere else.

Guarantees: a token was made by this studio, or it is refused before the store is asked; nobody can work one out who has not
seen the studio's own database; the store keeps only a token's hash. When a seat expires is in the store, beside the seat, so
that it can be prolonged and taken back; a token says nothing of it, of the session or of the person.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import Final

_BYTES: Final = 24
# Tokens from before they were signed: random bytes alone, found by their hash.
_UNSIGNED: Final = "."


def new_token(key: bytes) -> str:
    """A token that nobody can guess: 192 random bits and a signature."""
    return _signed(key, _text(secrets.token_bytes(_BYTES)))


def seat_token(key: bytes, *parts: str) -> str:
    """The token of a seat that belongs to somebody known, such as a signed-in person: always the same for the same parts."""
    message = "\x00".join(("seat", *parts)).encode("utf-8", "replace")
    return _signed(key, _text(hmac.new(key, message, hashlib.sha256).digest()[:_BYTES]))


def forged(key: bytes, token: str) -> bool:
    """Whether the token claims a signature that this studio never gave."""
    nonce, mark, _ = token.partition(_UNSIGNED)
    if not mark:
        return False
    return not hmac.compare_digest(_signed(key, nonce).encode(), token.encode("utf-8", "replace"))


def fingerprint(token: str) -> str:
    """What the store keeps of a token."""
    # "replace": a browser can send halves of characters, and a token with one is simply not known.
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _signed(key: bytes, nonce: str) -> str:
    mark = hmac.new(key, b"rate:" + nonce.encode("utf-8", "replace"), hashlib.sha256).digest()[:16]
    return f"{nonce}{_UNSIGNED}{_text(mark)}"


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
