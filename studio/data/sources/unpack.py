"""Gzip: the text inside, unpacked into the working folder.

Guarantees: at most one file is written, piece by piece; what grows beyond all reason stops early; a damaged or cut-off
file is refused in words, and so is a packed archive.
"""

from __future__ import annotations

import gzip
import io
import itertools
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from studio.data.db import disk_errors
from studio.data.types import RefusedFile
from studio.errors import StoreError

#: Text shrinks to a fifth or a tenth of its size, rarely to a fiftieth. What grows more than this is a trap or holds nothing.
MOST_GROWTH = 200
#: Small files may grow more: a few kilobytes of equal rows harm nobody.
HARMLESS = 64 * 1024 * 1024
#: No file is unpacked beyond this.
LARGEST = 20 * 1024**3
# What must stay free on the disk for everything else.
_RESERVE = 1024**3
_PIECE = 1 << 20
_CHECK_EVERY = 64


def unpack(packed: BinaryIO, size: int, target: Path, name: str, seen: Callable[[int], None] | None = None) -> None:
    """Write the text inside ``packed`` (of ``size`` bytes) to ``target``. ``seen`` hears how many packed bytes were read.

    Raises ``RefusedFile`` for a bomb, a damaged file or one that is cut off, ``StoreError`` when the disk has no room.
    """
    bound = min(LARGEST, max(HARMLESS, MOST_GROWTH * size))
    written = 0
    with disk_errors(name), target.open("wb") as out:
        reader = gzip.GzipFile(fileobj=packed)
        for number in itertools.count():
            piece = _piece(reader, name)
            if not piece:
                return
            written += len(piece)
            if written > bound:
                raise _bomb(name, bound)
            if number % _CHECK_EVERY == 0:
                _need_room(target.parent, name)
            out.write(piece)
            if seen:
                seen(min(size, packed.tell()))


def unpacked_head(packed: BinaryIO, length: int, name: str) -> bytes:
    """The first bytes of the text inside."""
    reader = io.BufferedReader(gzip.GzipFile(fileobj=packed))
    try:
        return reader.read(length)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(name) from error


def _piece(reader: gzip.GzipFile, name: str) -> bytes:
    try:
        return reader.read(_PIECE)
    except EOFError as error:
        raise RefusedFile(
            "compressed_file",
            "This gzip file is cut off; its end is missing.",
            where=name,
            next_step="Download or copy it again, and check that the size is the same as at its source.",
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(name) from error


def _damaged(name: str) -> RefusedFile:
    return RefusedFile(
        "compressed_file",
        "This gzip file is damaged and cannot be unpacked.",
        where=name,
        next_step="Download or copy it again, or unpack it yourself and choose the file inside.",
    )


def _bomb(name: str, bound: int) -> RefusedFile:
    return RefusedFile(
        "compressed_bomb",
        f"This gzip file grows to more than {bound / 1e6:,.0f} MB when it is unpacked, far more than text ever does.",
        where=name,
        next_step="If it is really yours, unpack it yourself and choose the file inside.",
    )


def _need_room(folder: Path, name: str) -> None:
    if shutil.disk_usage(folder).free < _RESERVE:
        raise StoreError(
            "The disk has less than 1 GB free, so the file was not unpacked.",
            where=name,
            next_step="Free some space and try again. Your file was not changed.",
        )
