"""Tells one base model from another of the same name, so that an adapter is never put onto weights it was not trained on.

Guarantees: equal weights, configuration and tokenizer give equal fingerprints; changing any of them changes it. A folder too
large to be read at each start is known by the names, sizes and times of its files; a model of the Hub by its revision.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

#: Bytes of a model that are read whole, which takes well under a second.
MOST_READ: Final = 512 * 1024 * 1024
_PATTERNS: Final = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "tokenizer.model")
_CHUNK: Final = 1024 * 1024


def fingerprint(source: str, revision: str | None = None) -> str:
    """The fingerprint of the model in the folder ``source``, or of the Hub's model ``source`` at a ``revision``.

    Raises ``OSError`` when the folder cannot be read.
    """
    folder = Path(source)
    if not folder.is_dir():
        return f"hub:{source}@{revision or 'unknown'}"
    files = sorted({file for pattern in _PATTERNS for file in folder.glob(pattern)})
    found = hashlib.sha256()
    whole = sum(file.stat().st_size for file in files) <= MOST_READ
    for file in files:
        status = file.stat()
        found.update(f"{file.name}\0{status.st_size}\0".encode())
        if not whole:
            found.update(f"{status.st_mtime_ns}\0".encode())
            continue
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    return f"{'sha256' if whole else 'files'}:{found.hexdigest()}"
