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
from dataclasses import dataclass, replace
from itertools import islice

from studio.data.shape import recognise
from studio.data.sources.source import CUT, LONGEST, lines

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
# Quotation mark, and whether it is escaped by a backslash instead of being doubled. The earlier one wins a tie.
_QUOTINGS = (('"', False), ('"', True), ("'", False))
_HEADER_WITHIN = 10
_SNIFFED_RECORDS = 20
_SNIFFED_LINES = 200
_LONGEST_BLANK = 4096
_STRAY = "\x1f"


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells are written.

    ``skip`` physical lines stand above the column names (or above the data without names). A record has ``width`` cells, of
    which the first ``len(names)`` have a column name; the rest are the empty columns that spreadsheets add. ``returns`` says
    that lines end with a carriage return alone, as on old Macs. ``chosen``: a person said whether there are column names.
    """

    delimiter: str
    quote: str
    backslash: bool
    header: bool
    skip: int
    width: int
    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    returns: bool = False
    chosen: bool = False


def sniff(sample: str, complete: bool, header: bool | None = None) -> Dialect:
    """Decide the dialect from the first part of the file. ``complete`` says that the sample is the whole file.

    ``header`` says whether the first line names the columns, when a person has said so.
    """
    text = sample if complete else sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    first = re.match(r"[^\r\n]*(\r\n|\r|\n)?", text)
    above, candidates = 0, _FIRST
    hint = _SEP_LINE.match(first.group(0)) if first else None
    if hint and first:
        candidates, above, text = (hint.group(1),), 1, text[first.end() :]
    returns = "\n" not in text
    physical = list(islice(lines([text.encode()], "", returns=returns), _SNIFFED_LINES))
    trials = [
        trial
        for quoting, (quote, backslash) in enumerate(_QUOTINGS)
        if quoting == 0 or ("\\" if backslash else "") + quote in text
        for order, delimiter in enumerate(candidates)
        if order == 0 or delimiter in text
        for trial in _try(
            text,
            physical,
            Dialect(delimiter, quote, backslash, True, 0, 1, ("",), returns=returns),
            (-float(quoting), -float(order)),
        )
    ]
    if not trials:
        return Dialect(",", '"', False, True, above, 1, ("",))
    # A known name in a table that falls apart is a coincidence.
    fit = 0.6 * max((trial.fit for trial in trials if trial.dialect.width > 1), default=0.0)
    best = max((trial for trial in trials if trial.fit >= fit), key=lambda trial: trial.score).dialect
    if header is not None and header != best.header:
        # Column names that are known tell the separator best, so the choice comes after it.
        best = next(_try(text, physical, best, (0.0, 0.0), header)).dialect
    names = best.names if best.header else tuple(f"Column {number}" for number in range(1, len(best.names) + 1))
    skipped = tuple(text.splitlines()[: best.skip])
    return replace(best, names=names, skip=above + best.skip, skipped=skipped, chosen=header is not None)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A dialect, the share of lines that it turns into whole records, and how it compares with others."""

    dialect: Dialect
    fit: float
    score: tuple[float, ...]


def _try(
    text: str, physical: list[bytes], dialect: Dialect, order: tuple[float, float], header: bool | None = None
) -> Iterator[_Trial]:
    """The dialect completed by header and width; nothing when it finds no record. ``header`` overrules what the text says."""
    records = _parse(text, dialect)
    filled = [(line, cells) for line, cells in records if any(cell.strip() for cell in cells)]
    if not filled:
        return
    place, known = _header(filled) if header is not False else (0, 0)
    above, cells = filled[place]
    names = tuple(name.strip().removeprefix("\ufeff") for name in cells)
    while len(names) > 1 and not names[-1] and (header is not False or _is_empty(len(names) - 1, filled)):
        names = names[:-1]
    if header is None:
        header = known > 0 or not _looks_like_data(names, [cells for _, cells in filled[place + 1 : place + 2]])
    blanks = sum(not name for name in names)
    wrapped = all(len(name) > 1 and name[0] == name[-1] == "'" for name in names)
    whole = replace(dialect, header=header, skip=above, width=len(cells), names=names)
    # Known names first; then lines that are whole records; then more than one column; then the usual order.
    fit = _fit(physical, whole)
    columns = float(len(names) > 1 and fit > 0)
    yield _Trial(whole, fit, (float(known), -float(blanks), -float(wrapped), round(fit, 3), columns, *order))


def _is_empty(place: int, records: list[tuple[int, list[str]]]) -> bool:
    """Whether no record has anything in this cell."""
    return not any(cell.strip() for _, cells in records for cell in cells[place : place + 1])


def _fit(physical: list[bytes], dialect: Dialect) -> float:
    """The share of records that are whole under this dialect, over the first lines; 1 when there are none."""
    found = [reason for _, reason, _ in records(iter(physical), dialect)]
    return found.count(None) / len(found) if found else 1.0


def _parse(text: str, dialect: Dialect) -> list[tuple[int, list[str]]]:
    """The first records, each with the number of lines above it. Only for sniffing: the csv module forgives everything."""
    delimiter = dialect.delimiter
    reader = csv.reader(
        io.StringIO(text if len(delimiter) == 1 else text.replace(delimiter, _STRAY), newline=""),
        delimiter=delimiter if len(delimiter) == 1 else _STRAY,
        quotechar=dialect.quote,
        doublequote=not dialect.backslash,
        escapechar="\\" if dialect.backslash else None,
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


def _looks_like_data(names: tuple[str, ...], below: list[list[str]]) -> bool:
    """True when the first record reads like a row: sentences, numbers, or the same text as in the next one."""
    if any(len(name) > 60 or name.endswith((".", "?", "!")) for name in names):
        return True
    if any(re.fullmatch(r"[-+]?[\d.,]+", name) for name in names):
        return True
    return len(names) > 1 and any(tuple(cell.strip() for cell in cells) == names for cells in below)


class Patterns:
    """The regular expressions of one dialect, over bytes. Possessive, so that no text makes them slow."""

    def __init__(self, dialect: Dialect) -> None:
        width, self._quote = dialect.width, dialect.quote.encode()
        self._escape = re.compile(rb"\\([\\%b])" % self._quote)
        delimiter, quote = re.escape(dialect.delimiter.encode()), re.escape(dialect.quote.encode())
        inside = rb"[^%b]*+(?:%b%b[^%b]*+)*+" % (quote, quote, quote, quote)
        plain = rb"(?:(?!%b|%b)[^\n](?:(?!%b)[^\n])*+)?" % (quote, delimiter, delimiter)
        if len(dialect.delimiter.encode()) == 1:
            plain = rb"(?:[^%b%b\n][^%b\n]*+)?" % (quote, delimiter, delimiter)
        cell = rb"(?:%b%b%b|%b)" % (quote, inside, quote, plain)
        # An empty cell matches everywhere, so a cell counts only when its end is one.
        more = rb"(?:%b%b(?=%b|\Z))" % (delimiter, cell, delimiter)
        self.fits = re.compile(rb"%b%b{%d}" % (cell, more, width - 1))
        self.proper = re.compile(rb"%b%b*+" % (cell, more))
        self.opens = re.compile(rb"(?:%b%b)*+%b%b" % (cell, delimiter, quote, inside))
        self.stays = re.compile(inside)
        self.closes = re.compile(rb"%b%b(?P<rest>%b*+)\Z" % (inside, quote, more))
        self.reopens = re.compile(rb"%b%b(?:%b)*+%b%b%b" % (inside, quote, more, delimiter, quote, inside))
        self.surplus = re.compile(rb"(?:%b(?:%b%b)?[ \t]*+)++" % (delimiter, quote, quote))
        space = rb"(?:(?!%b)\s)*+" % delimiter
        nothing = rb"%b(?:%b%b)?+%b" % (space, quote, quote, space)
        self.blank = re.compile(rb"%b(?:%b%b)*+" % (nothing, delimiter, nothing))
        self.spaced = re.compile(rb"(\A|%b)[ \t]+(?=%b)|(?<=%b)[ \t]+(?=%b|\Z)" % (delimiter, quote, quote, delimiter))

    def plain(self, line: bytes) -> bytes:
        """The line with backslash escapes as doubled quotes; a backslash before anything else stays as it is."""
        return self._escape.sub(lambda match: self._quote * 2 if match[1] == self._quote else b"\\", line)


def records(physical: Iterator[bytes], dialect: Dialect) -> Iterator[Record]:
    """Records below the header, in file order, line ends inside cells replaced by ``LINE_FEED`` and ``CARRIAGE_RETURN``.

    Set aside with a reason: ``wrong_column_count``, ``bad_quotes``, ``repeated_header``, ``too_big_row``.
    """
    return _Assembler(physical, dialect).run()


class _Assembler:
    """Walks over physical lines and puts records together, going back to the next line where a quote was stray."""

    def __init__(self, physical: Iterator[bytes], dialect: Dialect) -> None:
        self._dialect = dialect
        self._patterns = Patterns(dialect)
        self._lines = map(self._patterns.plain, physical) if dialect.backslash else physical
        self._again: deque[bytes] = deque()
        self._number, self._following = 0, 1
        # How far to look for a closing quote; every stray quote halves it, so that many of them cannot make this slow.
        self._patience = 4096

    def run(self) -> Iterator[Record]:
        header, awaited = b"", self._dialect.header
        fits, blank = self._patterns.fits.fullmatch, self._patterns.blank.fullmatch
        while (line := self._next()) is not None:
            number, body = self._number, line.rstrip(b"\r\n")
            if number <= self._dialect.skip or (len(body) < _LONGEST_BLANK and blank(body)):
                continue
            whole = fits(body)
            if body.endswith(CUT):
                yield number, "too_big_row", body.removesuffix(CUT)
            elif not whole and b"\r" in body and not self._patterns.opens.fullmatch(line):
                # Carriage returns that are no part of a cell are line ends, even where most lines end otherwise.
                self._push_back(number, line.splitlines(keepends=True))
            elif awaited:
                header, awaited = self._whole(line), False
            elif body == header:
                yield number, "repeated_header", _one_line(body)
            elif whole:
                yield number, None, _one_line(body) if b"\r" in body else body
            else:
                yield self._difficult(number, line)

    def _next(self) -> bytes | None:
        """The next line; ``_number`` is then its number in the editor."""
        line = self._again.popleft() if self._again else next(self._lines, None)
        if line is None:
            return None
        self._number = self._following
        self._following += len(line.splitlines()) if line.count(b"\r") > line.endswith(b"\r\n") else 1
        return line

    def _push_back(self, number: int, lines: list[bytes]) -> None:
        """Read these lines again, the first of which has this number."""
        self._following = number
        self._again.extendleft(reversed(lines))

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
        self._push_back(number + len(first.splitlines()), taken[1:])
        return number, "bad_quotes", _one_line(first.rstrip(b"\r\n"))


def _one_line(record: bytes) -> bytes:
    return record.replace(b"\n", LINE_FEED).replace(b"\r", CARRIAGE_RETURN)
