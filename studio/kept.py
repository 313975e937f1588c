"""Texts that are too long for an address, kept on disk under the fingerprint of what they say.

Guarantees: a text is on disk, whole, before its name is handed out; the same text of the same owner has the same name for ever;
no owner reads what another one wrote; a name that was not made here leads to no file.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from studio.errors import NotFoundError, SettingError, StoreError
from studio.settings import Settings

#: What stands in a draft in the place of the text itself.
MARK: Final = "kept:"
#: Longer texts than this stand in no address.
SHORT: Final = 200
#: Characters. A prompt or a reward of more is a mistake, or a file that belongs to the data step.
LONGEST: Final = 200_000

_NAME: Final = re.compile(r"[0-9a-f]{32}")


def keep(settings: Settings, owner: str, text: str) -> str:
    """``text`` itself while it is short, else the mark and the name under which it is kept now.

    Raises ``SettingError`` for a text longer than ``LONGEST`` characters and ``StoreError`` when the disk refuses.
    """
    if len(text) <= SHORT and not text.startswith(MARK):
        return text
    if len(text) > LONGEST:
        raise SettingError(
            f"This text has {len(text):,} characters; {LONGEST:,} is the most.", next_step="Shorten it, or add it as a file."
        )
    content = text.encode()
    name = hashlib.sha256(content).hexdigest()[:32]
    path = _folder(settings, owner) / f"{name}.txt"
    if not path.is_file():
        _write(path, content)
    return MARK + name


def said(settings: Settings, owner: str, text: str) -> str:
    """The text that ``keep`` was given. Raises ``NotFoundError`` for a name that this owner has kept nothing under."""
    if not text.startswith(MARK):
        return text
    name = text.removeprefix(MARK)
    path = _folder(settings, owner) / f"{name}.txt"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFoundError("This text is not kept here any more.", where=text, next_step="Type it again.")
    return path.read_bytes().decode()


def _folder(settings: Settings, owner: str) -> Path:
    """An owner's name may hold anything, so the folder is named after its fingerprint."""
    return settings.home / "texts" / hashlib.sha256(owner.encode()).hexdigest()[:16]


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing, and on the disk before this returns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(draft).replace(path)
        finally:
            Path(draft).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"The text could not be kept: {error.strerror or error}.", next_step="Free some space, then try again."
        ) from error
