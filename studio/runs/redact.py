"""Takes secrets out of text before it is shown, logged or exported.

Guarantees: the exact secrets given are gone, and so is everything that has the shape of a key of Tinker, Hugging Face, OpenAI,
Anthropic, GitHub or AWS, of a bearer token, or of a password in an address. What is left says that something was taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

HIDDEN: Final = "[hidden]"

_SHAPES: Final = re.compile(
    r"""
      \b (?: tml | sk | pk | rk ) - [A-Za-z0-9_\-]{6,}               # Tinker; OpenAI and Anthropic
    | \b hf_ [A-Za-z0-9]{6,}                                         # Hugging Face
    | \b (?: ghp | gho | ghu | ghs | github_pat ) _ [A-Za-z0-9_]{6,} # GitHub
    | \b AKIA [0-9A-Z]{16} \b                                        # AWS
    | \b eyJ [A-Za-z0-9_\-]{8,} \. [A-Za-z0-9_\-]{4,} \. [A-Za-z0-9_\-]*  # JSON web tokens
    """,
    re.VERBOSE,
)
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=\-]{6,}")
_NAMED: Final = re.compile(
    r"(?i)\b((?:[a-z0-9]+[_-])*(?:api[_-]?key|token|secret|password|passwd))(['\"]?\s*[:=]\s*['\"]?)([^\s'\",;&]{6,})"
)
_ADDRESS: Final = re.compile(r"(?i)\b([a-z][a-z0-9+.\-]*://)[^\s/@:]+:[^\s/@]+@")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without secrets. Applying it twice changes nothing more."""
    # Longest first: a secret that begins like another must not leave its end behind.
    for secret in sorted({one for one in secrets if len(one) >= 4}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _ADDRESS.sub(rf"\1{HIDDEN}@", text)
    text = _BEARER.sub(rf"\1\2{HIDDEN}", text)
    text = _SHAPES.sub(HIDDEN, text)
    return _NAMED.sub(_keep_name, text)


def _keep_name(found: re.Match[str]) -> str:
    # `token=12345678` is a secret; `token = tokenizer(...)` and counts such as `tokens: 1200` are not.
    value = found.group(3)
    looks_secret = HIDDEN not in value and (any(c.isdigit() for c in value) or len(value) >= 16) and "(" not in value
    return f"{found.group(1)}{found.group(2)}{HIDDEN}" if looks_secret else found.group(0)
