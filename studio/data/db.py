"""DuckDB behind bars: one connection per piece of work, which can reach one folder and nothing else.

Guarantees: no file outside the folder, no network, no extension and no Python variable is reachable from SQL, even through
hostile text; memory is bounded and what does not fit spills into the folder; DuckDB's own errors never leave this module raw:
a full disk is a ``StoreError``, anything else that the data caused is a ``DataError``.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from studio.errors import DataError, StoreError, StudioError

#: What DuckDB may hold in memory. More only helps above some 10 million rows; less makes it spill earlier.
MEMORY_LIMIT = "400MB"
#: The memory switch of the Parquet writer: it buffers one row group per thread.
PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 20480"

_SPILL = "spill"
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def literal(text: str) -> str:
    """A SQL string constant with exactly this text."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A quoted SQL name with exactly this text."""
    return '"' + name.replace('"', '""') + '"'


def readable(path: Path) -> str:
    """A SQL constant that makes a reader open exactly this file.

    Readers treat every path as a glob pattern, bound parameters included, so the special characters are escaped.
    """
    return literal(_unglobbed(str(path)))


def writable(path: Path) -> str:
    """A SQL constant for a file to write; writers take a path as it is."""
    return literal(str(path))


@contextmanager
def connect(folder: Path, where: str = "") -> Generator[duckdb.DuckDBPyConnection]:
    """A locked connection that reaches ``folder`` only. ``where`` names the person's file in errors.

    Raises ``StoreError`` when the disk is full or refuses, ``DataError`` when the data cannot be worked with.
    """
    place = folder.resolve()
    spill = place / _SPILL
    with disk_errors(where):
        spill.mkdir(parents=True, exist_ok=True)
    try:
        with disk_errors(where), duckdb.connect(config=_config(spill)) as connection:
            # Patterns are checked as they are written, so a folder with brackets in its name is allowed in both spellings.
            allowed = ", ".join(literal(spelling + "/") for spelling in {str(place), _unglobbed(str(place))})
            connection.execute(f"SET allowed_directories=[{allowed}]")
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            yield connection
    except duckdb.Error as error:
        raise _translated(error, where) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


@contextmanager
def disk_errors(where: str) -> Generator[None]:
    """Turn what the operating system says about our own folder into a ``StoreError`` with a next step."""
    try:
        yield
    except StudioError:
        raise
    except OSError as error:
        raise _disk_error(error, where) from error


def _config(spill: Path) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": MEMORY_LIMIT,
        "threads": str(min(4, os.cpu_count() or 1)),
        "temp_directory": str(spill),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "allow_community_extensions": "false",
        "python_enable_replacements": "false",
        "allow_persistent_secrets": "false",
    }


def _unglobbed(path: str) -> str:
    return "".join(f"[{letter}]" if letter in "[*?" else letter for letter in path)


def _disk_error(error: OSError, where: str) -> StoreError:
    if error.errno in _FULL_DISK:
        return _disk_full(where)
    return StoreError(
        f"The studio's folder cannot be written: {error.strerror or error}.",
        where=where,
        next_step="Check that the disk is there and that you may write to the folder, then try again.",
    )


def _disk_full(where: str) -> StoreError:
    return StoreError(
        "The disk is full, so the file could not be prepared.",
        where=where,
        next_step="Free some space (about three times the size of the file) and try again. Your file was not changed.",
    )


def _translated(error: duckdb.Error, where: str) -> StudioError:
    text = str(error)
    if isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException)):
        if any(sign in text for sign in ("No space left", "max_temp_directory_size", "Disk quota", "File too large")):
            return _disk_full(where)
        if isinstance(error, duckdb.OutOfMemoryException):
            return DataError(
                "This file needs more memory than the studio may use.",
                where=where,
                next_step="Split the file into smaller ones, or look for a single very long row.",
            )
        return StoreError("The studio's own working files could not be read or written.", where=where, next_step="Try again.")
    return DataError(
        "This file could not be worked with.",
        where=where,
        next_step=f"If it opens in other programs, please report it with this text: {text.splitlines()[0][:300]}",
    )
