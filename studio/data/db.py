"""DuckDB behind bars: one connection per piece of work, which can reach one folder and nothing else.

Guarantees: no file outside the folder, no network, no extension and no Python variable is reachable from SQL, even through
hostile text; memory is bounded and what does not fit spills into the folder; DuckDB's own errors never leave this module raw:
a full disk is a ``StoreError``, anything else that the data caused is a ``DataError``.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psutil

from studio.data.types import Watch
from studio.errors import DataError, StoreError, StudioError

#: Stands for rows of unknown length: plenty of memory is allowed, and only used if the rows are long.
LONG_ROWS = 100_000

#: What the database may hold in memory for rows of usual length, in bytes. With less than 370 MB two threads wait for each
#: other when they write rows in order (measured: 18 instead of 9 seconds per GB).
MEMORY = 400_000_000
# It works on 2,048 rows at a time in some twenty columns' worth of copies (measured), so rows of many pages need more; the last
# word has the machine.
_MEMORY_PER_ROW_BYTE = 20 * 2048
_SHARE_OF_FREE_MEMORY = 0.6
_LONG = 16_384

_TOLD_EVERY = 0.25

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def literal(text: str) -> str:
    """A SQL string constant with exactly this text."""
    return "'" + text.replace("'", "''") + "'"


def readable(path: Path) -> str:
    """A SQL constant that makes a reader open exactly this file.

    Readers treat every path as a glob pattern, bound parameters included, so the special characters are escaped.
    """
    return literal(_unglobbed(str(path)))


def writable(path: Path) -> str:
    """A SQL constant for a file to write; writers take a path as it is."""
    return literal(str(path))


def parquet(row_bytes: int = 0, *, packed: bool = True) -> str:
    """Options of a Parquet file. The size of its row groups is what the writer holds in memory, per thread."""
    rows = max(2048, min(20_480, 8_000_000 // max(1, row_bytes)))
    packing = "COMPRESSION zstd, COMPRESSION_LEVEL 1" if packed else "COMPRESSION uncompressed"
    return f"FORMAT parquet, {packing}, ROW_GROUP_SIZE {rows}"


@contextmanager
def connect(
    folder: Path, where: str = "", *, row_bytes: int = 0, files: Sequence[Path] = (), memory: int = MEMORY
) -> Generator[duckdb.DuckDBPyConnection]:
    """A locked connection that reaches ``folder`` and ``files`` only. ``where`` names the person's file in errors.

    ``row_bytes`` is the mean size of a row, which decides how much memory is needed; 0 means a few pages at most. ``memory`` is
    what rows of usual length may take.

    Raises ``StoreError`` when the disk is full or refuses, ``DataError`` when the data cannot be worked with.
    """
    place = folder.resolve()
    with disk_errors(where):
        # One per connection: several processes may read the same data set at once.
        spill = Path(tempfile.mkdtemp(prefix="spill-", dir=place))
    try:
        with disk_errors(where), duckdb.connect(config=_config(spill, row_bytes, memory)) as connection:
            # Patterns are checked as they are written, so a folder with brackets in its name is allowed in both spellings.
            allowed = ", ".join(literal(spelling + "/") for spelling in {str(place), _unglobbed(str(place))})
            connection.execute(f"SET allowed_directories=[{allowed}]")
            if files:
                paths = [spelling for file in files for spelling in (str(file), _unglobbed(str(file)))]
                connection.execute(f"SET allowed_paths=[{', '.join(literal(path) for path in dict.fromkeys(paths))}]")
            # Without a progress bar, which nobody sees, there is no telling how far a query is.
            connection.execute("SET enable_progress_bar=true")
            connection.execute("SET enable_progress_bar_print=false")
            connection.execute("SET enable_external_access=false")
            connection.execute("SET lock_configuration=true")
            yield connection
    except duckdb.Error as error:
        raise _translated(error, where) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def watched(connection: duckdb.DuckDBPyConnection, query: str, watch: Watch | None, phase: str, total: int, unit: str) -> None:
    """Run a query that takes long, and tell the watch how far it is. What the watch raises stops the query at once."""
    if watch is None:
        connection.execute(query)
        return
    done, raised = threading.Event(), list[BaseException]()

    def tell() -> None:
        while not done.wait(_TOLD_EVERY):
            share = min(100.0, max(0.0, connection.query_progress())) / 100
            try:
                watch.at(phase, int(share * total), total, unit)
            except BaseException as error:  # noqa: BLE001 - it is raised again where the query was started
                raised.append(error)
                connection.interrupt()
                return

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        connection.execute(query)
    except duckdb.InterruptException:
        if not raised:
            raise
    finally:
        done.set()
        teller.join()
    if raised:
        raise raised[0]


@contextmanager
def disk_errors(where: str) -> Generator[None]:
    """Turn what the operating system says about our own folder into a ``StoreError`` with a next step."""
    try:
        yield
    except StudioError:
        raise
    except OSError as error:
        raise _disk_error(error, where) from error


def _config(spill: Path, row_bytes: int, memory: int) -> dict[str, str | bool | int | float | list[str]]:
    wanted = max(memory, _MEMORY_PER_ROW_BYTE * row_bytes)
    allowed = max(memory, min(wanted, int(_SHARE_OF_FREE_MEMORY * psutil.virtual_memory().available)))
    return {
        "memory_limit": f"{allowed // 1_000_000}MB",
        "threads": "1" if row_bytes > _LONG else str(min(4, os.cpu_count() or 1)),
        "temp_directory": str(spill),
        # It turns a list of constants into a join, and joins do not keep rows in order.
        "disabled_optimizers": "in_clause",
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
                next_step="Close other programs, or leave out the longest rows, and try again.",
            )
        return StoreError("The studio's own working files could not be read or written.", where=where, next_step="Try again.")
    return DataError(
        "This file could not be worked with.",
        where=where,
        next_step=f"If it opens in other programs, please report it with this text: {text.splitlines()[0][:300]}",
    )
