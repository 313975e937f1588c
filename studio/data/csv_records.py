"""CSV of any dialect as one record per line, each with the line number an editor shows.

Guarantees: delimiter, quotes, header and line ends are decided here from the text and never guessed by the reader behind;
every record that is passed on has exactly as many cells as the header and closes its quotes; a stray quotation mark costs the
record it stands in, not the rest of the file; a record of only empty cells is not a record.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from studio.data.shape import recognise
from studio.data.source import LONGEST

#: One record: the line it starts on, why it was set aside (or None), and its text.
Record = tuple[int, str | None, bytes]

# Line ends inside cells travel as Unicode noncharacters, so that every record is one physical line.
LINE_FEED, CARRIAGE_RETURN = "\ufdd0".encode(), "\ufdd1".encode()
#: A file with more columns is not a table of examples.
MOST_COLUMNS = 2000

_FIRST = (
    ",",
    ";",
    "\t",
    "|",
    "||",
    "::",
    ";;",
    "\x1f",
    "\x01",
    ":",
    "#",
    "~",
    "^",
    "&",
    "*",
    "%",
    "$",
    "@",
    "+",
    "=",
    "¦",
    "§",
    "\x1e",
)
_SEP_LINE = re.compile(r'\ufeff?"?sep=([^\w"\' ]{1,4}?)"?\s*$', re.IGNORECASE)
_HEADER_WITHIN = 10
_SNIFFED_RECORDS = 60
_STRAY = "\x1f"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells are written.

    ``skip`` physical lines stand above the column names (or above the data without names). A record has ``width`` cells, of
    which the first ``len(names)`` have a column name; the rest are the empty columns that spreadsheets add.
    """

    delimiter: str
    quote: str
    backslash: bool
    header: bool
    skip: int
    width: int
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def sniff(sample: str, complete: bool) -> Dialect:
    """Decide the dialect from the first part of the file. ``complete`` says that the sample is the whole file."""
    text = sample if complete else sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    first = re.match(r"[^\r\n]*(\r\n|\r|\n)?", text)
    above = 0
    hint = _SEP_LINE.match(first.group(0)) if first else None
    candidates: tuple[str, ...] = _FIRST
    if hint and first:
        candidates, above, text = (hint.group(1),), 1, text[first.end() :]
    quote, backslash = _quoting(text)
    tried = [_try(text, delimiter, quote, backslash, order) for order, delimiter in enumerate(candidates)]
    best = max((trial for trial in tried if trial), key=lambda trial: trial.score, default=None)
    if best is None:
        return Dialect(",", quote, backslash, True, above, 1, ("",))
    names = best.names if best.header else tuple(f"Column {number}" for number in range(1, len(best.names) + 1))
    skipped = tuple(text.splitlines()[: best.above])
    return Dialect(best.delimiter, quote, backslash, best.header, above + best.above, best.width, names, skipped)


@dataclass(frozen=True, slots=True)
class _Trial:
    delimiter: str
    names: tuple[str, ...]
    header: bool
    above: int
    width: int
    score: tuple[float, ...]


def _quoting(text: str) -> tuple[str, bool]:
    """The quotation mark, and whether it is escaped by a backslash instead of being doubled."""
    double = len(re.findall(r'(?:^|[^\w\s"])"(?=[^"\s])', text, re.MULTILINE))
    single = len(re.findall(r"^'|'\s*$|'[,;\t|]'", text, re.MULTILINE))
    lines = max(1, text.count("\n"))
    quote = "'" if single >= 2 * lines and single > 4 * double else '"'
    escaped, doubled = text.count("\\" + quote), len(re.findall(f"(?<=[^{quote},;\t|]){quote}{quote}(?=[^{quote}])", text))
    # JSON inside a cell holds \" as well, but then the quotes around it are doubled: \"" or "".
    return quote, escaped > 0 and doubled < escaped


def _try(text: str, delimiter: str, quote: str, backslash: bool, order: int) -> _Trial | None:
    if delimiter not in text and order > 0:
        return None
    records = _parse(text, delimiter, quote, backslash)
    filled = [(line, cells) for line, cells in records if any(cell.strip() for cell in cells)]
    if not filled:
        return None
    place, known = _header(filled)
    line, names = filled[place]
    names = tuple(name.strip().removeprefix("\ufeff") for name in names)
    while len(names) > 1 and not names[-1]:
        names = names[:-1]
    data = filled[place + 1 :]
    width = len(filled[place][1])
    fit = sum(len(cells) == width for _, cells in data) / len(data) if data else 1.0
    header = known > 0 or not _looks_like_data(names, [cells for _, cells in data])
    blanks = sum(not name for name in names)
    # Known names first; then records as wide as the header; then more than one column; then the usual order.
    score = (float(known), -float(blanks), float(len(names) > 1 and fit > 0.5), round(fit, 1), -float(order))
    return _Trial(delimiter, names, header, line, width, score)


def _parse(text: str, delimiter: str, quote: str, backslash: bool) -> list[tuple[int, list[str]]]:
    """The first records, each with the number of lines above it. Only for sniffing: the csv module forgives everything."""
    single = delimiter if len(delimiter) == 1 else _STRAY
    plain = text if len(delimiter) == 1 else text.replace(delimiter, _STRAY)
    reader = csv.reader(
        io.StringIO(plain, newline=""),
        delimiter=single,
        quotechar=quote,
        doublequote=not backslash,
        escapechar="\\" if backslash else None,
    )
    records: list[tuple[int, list[str]]] = []
    above = 0
    try:
        for cells in reader:
            records.append((above, cells))
            above = reader.line_num
            if len(records) >= _SNIFFED_RECORDS:
                break
    except csv.Error:
        # A cell beyond the csv module's limit, or a NUL: what was read so far decides.
        return records
    return records


def _header(records: list[tuple[int, list[str]]]) -> tuple[int, int]:
    """Index of the record with the column names, and how well they are known: 2 exactly, 1 by synonyms, 0 not at all."""
    for place, (_, cells) in enumerate(records[:_HEADER_WITHIN]):
        shape = recognise(cell.strip().removeprefix("\ufeff") for cell in cells)
        if shape and (shape.exact or place == 0):
            return place, 2 if shape.exact else 1
    return 0, 0


def _looks_like_data(names: tuple[str, ...], data: list[list[str]]) -> bool:
    """True when the first record reads like a row: sentences, numbers, gaps, or the same text as further down."""
    if any(len(name) > 60 or name.endswith((".", "?", "!")) for name in names):
        return True
    if any(re.fullmatch(r"[-+]?[\d.,]+", name) for name in names):
        return True
    return len(names) > 1 and any(tuple(cell.strip() for cell in cells) == names for cells in data[:1])


class Patterns:
    """The regular expressions of one dialect, over bytes. Possessive, so that no text makes them slow."""

    def __init__(self, dialect: Dialect) -> None:
        width = dialect.width
        delimiter, quote = re.escape(dialect.delimiter.encode()), re.escape(dialect.quote.encode())
        inside = rb"[^%b]*+(?:%b%b[^%b]*+)*+" % (quote, quote, quote, quote)
        plain = rb"(?:(?!%b|%b)[^\r\n](?:(?!%b)[^\r\n])*+)?" % (quote, delimiter, delimiter)
        if len(dialect.delimiter.encode()) == 1:
            plain = rb"(?:[^%b%b\r\n][^%b\r\n]*+)?" % (quote, delimiter, delimiter)
        cell = rb"(?:%b%b%b|%b)" % (quote, inside, quote, plain)
        more = rb"(?:%b%b)" % (delimiter, cell)
        self.fits = re.compile(rb"%b%b{%d}" % (cell, more, width - 1))
        self.proper = re.compile(rb"%b%b*+" % (cell, more))
        self.opens = re.compile(rb"(?:%b%b)*+%b%b" % (cell, delimiter, quote, inside))
        self.stays = re.compile(inside)
        self.closes = re.compile(rb"%b%b(?P<rest>%b*+)\Z" % (inside, quote, more))
        self.reopens = re.compile(rb"%b%b(?:%b)*+%b%b%b" % (inside, quote, more, delimiter, quote, inside))
        self.surplus = re.compile(rb"(?:%b(?:%b%b)?[ \t]*+)++" % (delimiter, quote, quote))
        self.blank = re.compile(rb"(?:\s|%b%b|%b)*+" % (quote, quote, delimiter))
        self.spaced = re.compile(rb"(\A|%b)[ \t]+(?=%b)|(?<=%b)[ \t]+(?=%b|\Z)" % (delimiter, quote, quote, delimiter))


def records(lines: Iterator[bytes], dialect: Dialect) -> Iterator[Record]:
    """Records below the header, in file order, line ends inside cells replaced by ``LINE_FEED`` and ``CARRIAGE_RETURN``.

    Set aside with a reason: ``wrong_column_count``, ``bad_quotes``, ``repeated_header``.
    """
    return _Assembler(lines, dialect).run()


class _Assembler:
    """Walks over physical lines and puts records together, going back to the next line where a quote was stray."""

    def __init__(self, lines: Iterator[bytes], dialect: Dialect) -> None:
        self._lines = lines
        self._dialect = dialect
        self._patterns = Patterns(dialect)
        self._again: deque[bytes] = deque()
        self._number = 0
        # How far to look for a closing quote; every stray quote halves it, so that many of them cannot make this slow.
        self._patience = 4096

    def run(self) -> Iterator[Record]:
        header, awaited = b"", self._dialect.header
        fits, blank = self._patterns.fits.fullmatch, self._patterns.blank.fullmatch
        while (line := self._next()) is not None:
            number = self._number
            if number <= self._dialect.skip:
                continue
            body = line.rstrip(b"\r\n")
            if len(body) < 4096 and blank(body):
                continue
            if awaited:
                header, awaited = self._whole(line), False
            elif body == header:
                yield number, "repeated_header", body
            elif fits(body):
                yield number, None, body
            else:
                yield self._difficult(number, line)

    def _next(self) -> bytes | None:
        if self._again:
            self._number += 1
            return self._again.popleft()
        line = next(self._lines, None)
        if line is None:
            return None
        self._number += 1
        return self._escaped(line) if self._dialect.backslash and b"\\" in line else line

    def _escaped(self, line: bytes) -> bytes:
        """Backslash escapes as doubled quotes; a backslash before anything else stays as it is."""
        quote = self._dialect.quote.encode()
        return re.sub(rb"\\([\\%b])" % quote, lambda match: quote * 2 if match[1] == quote else b"\\", line)

    def _whole(self, line: bytes) -> bytes:
        """The header record, which may itself go over several lines."""
        if not self._patterns.opens.fullmatch(line):
            return line.rstrip(b"\r\n")
        _, _, text = self._joined(self._number, line)
        return text

    def _difficult(self, number: int, line: bytes) -> Record:
        """A line that is not a record by itself: part of a longer one, spaced, too wide, too narrow, or badly quoted."""
        body = line.rstrip(b"\r\n")
        if self._patterns.opens.fullmatch(line):
            return self._joined(number, line)
        spaced = self._patterns.spaced.sub(rb"\1", body)
        if self._patterns.fits.fullmatch(spaced):
            return number, None, spaced
        fitting = self._patterns.fits.match(body)
        if fitting and self._patterns.surplus.fullmatch(body, fitting.end()):
            return number, None, fitting.group()
        proper = self._patterns.proper.fullmatch(body)
        return number, "wrong_column_count" if proper else "bad_quotes", body

    def _joined(self, number: int, first: bytes) -> Record:
        """The record that starts with an open quote: further lines until it closes, or the first line alone as broken."""
        patterns, taken, size = self._patterns, [first], len(first)
        while len(taken) <= self._patience and size <= LONGEST:
            line = self._next()
            if line is None:
                break
            taken.append(line)
            size += len(line)
            if patterns.stays.fullmatch(line) or patterns.reopens.fullmatch(line):
                continue
            if not patterns.closes.match(line.rstrip(b"\r\n")):
                break
            record = b"".join(taken).rstrip(b"\r\n")
            if patterns.fits.fullmatch(record):
                self._patience = min(4096, 2 * self._patience)
                return number, None, _one_line(record)
            if any(patterns.fits.fullmatch(line.rstrip(b"\r\n")) for line in taken[1:]):
                break
            return number, "wrong_column_count", _one_line(record)
        # The quote was stray. Only its own line is lost; the others are read again as records of their own.
        self._patience = max(64, self._patience // 2)
        self._number -= len(taken) - 1
        self._again.extendleft(reversed(taken[1:]))
        return number, "bad_quotes", first.rstrip(b"\r\n")


def _one_line(record: bytes) -> bytes:
    return record.replace(b"\n", LINE_FEED).replace(b"\r", CARRIAGE_RETURN)
