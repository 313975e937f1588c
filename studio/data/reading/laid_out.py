"""A file laid out record by record in a working file of ours, for all that the database cannot read as it is.

Guarantees: every record is one physical line there, in file order, with its editor line and the reason why it was set aside;
a text comes back exactly as it stood in the file, line ends included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from studio.data.db import disk_errors, literal, readable
from studio.data.sources.csv_records import CARRIAGE_RETURN, LINE_FEED, Dialect, Record
from studio.data.sources.json_records import Container
from studio.data.sources.packing import records_of
from studio.data.sources.source import BAD_BYTES, LONGEST, Source

#: The working file.
RECORDS = "records.txt"
#: Which text the database takes for a missing value: one that no file holds, so that NA, NULL and nothing stay what they are.
NO_NULL = "\ufdd3"
_SEPARATOR = b"\x1f"
_RECORD = "line, 0 AS breaks, nullif(problem, '') AS problem"
# Line ends inside a record take three bytes each in the working file.
_LONGEST_RECORD = 4 * LONGEST
_REPLACEMENT = "\ufffd".encode()


@dataclass(frozen=True, slots=True)
class Written:
    """SQL for the records as ``Table`` has them, how many there are, and how many of them can be read."""

    records: str
    total: int
    good: int


def write(source: Source, packing: Dialect | Container, folder: Path) -> Written:
    """Lay the records of a text out in ``folder``."""
    path = folder / RECORDS
    records = _told(records_of(source, packing), damaged=not source.clean)
    options = f"auto_detect=false, header=false, nullstr={literal(NO_NULL)}, max_line_size={_LONGEST_RECORD}"
    with disk_errors(source.name), path.open("wb") as file:
        if isinstance(packing, Container):
            total, good = _write_values(records, file.write)
            expression = (
                f"read_csv({readable(path)}, {options}, delim=chr(31), quote='', escape='', "
                "columns={'line': 'BIGINT', 'problem': 'VARCHAR', 'value': 'VARCHAR'})"
            )
            return Written(f"(SELECT {_RECORD}, {_restored('value')} FROM {expression})", total, good)
        total, good = _write_cells(records, file.write, packing)
    names = [f"c{position}" for position in range(packing.width)]
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in names)
    expression = (
        f"read_csv({readable(path)}, {options}, strict_mode=true, delim={literal(packing.delimiter)}, "
        f"quote={literal(packing.quote)}, escape={literal(packing.quote)}, "
        f"columns={{'line': 'BIGINT', 'problem': 'VARCHAR', 'aside': 'VARCHAR', {types}}})"
    )
    cells = ", ".join(_restored(name) for name in ("aside", *names))
    return Written(f"(SELECT {_RECORD}, {cells} FROM {expression})", total, good)


def _told(records: Iterator[Record], *, damaged: bool) -> Iterator[Record]:
    """The records; those with damaged bytes have the reason."""
    if not damaged:
        yield from records
        return
    for line, reason, text in records:
        if BAD_BYTES in text:
            # A file that was cut off may end in the middle of a letter.
            yield line, reason if reason == "file_cut_off" else "bad_encoding", text.replace(BAD_BYTES, _REPLACEMENT)
        else:
            yield line, reason, text


def _write_values(records: Iterator[Record], write: Callable[[bytes], object]) -> tuple[int, int]:
    """``line, problem, value`` per record; returns how many there were, and how many can be read."""
    total = good = 0
    for line, reason, text in records:
        total += 1
        good += reason is None
        # A raw control character is no JSON, and its stand-in is none either.
        value = text.replace(_SEPARATOR, b"\x02") if _SEPARATOR in text else text
        write(b"%d\x1f%b\x1f%b\n" % (line, (reason or "").encode(), value))
    return total, good


def _write_cells(records: Iterator[Record], write: Callable[[bytes], object], dialect: Dialect) -> tuple[int, int]:
    """``line, problem, aside, cells...`` per record, in the dialect of the file."""
    separator, quote = dialect.delimiter.encode(), dialect.quote.encode()
    empty = separator * dialect.width
    total = good = 0
    for line, reason, text in records:
        total += 1
        if reason is None:
            good += 1
            write(b"%d%b%b%b%b\n" % (line, separator, separator, separator, text))
        else:
            quoted = quote + text.replace(quote, quote * 2) + quote
            write(b"%d%b%b%b%b%b\n" % (line, separator, reason.encode(), separator, quoted, empty))
    return total, good


def _restored(cell: str) -> str:
    """SQL for a cell with its line ends back in place. An empty cell is an empty text, not a missing one."""
    feed, carriage = literal(LINE_FEED.decode()), literal(CARRIAGE_RETURN.decode())
    return f"replace(replace(coalesce({cell}, ''), {feed}, chr(10)), {carriage}, chr(13)) AS {cell}"
