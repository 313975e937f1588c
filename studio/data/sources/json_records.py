"""JSON in any packing as one value per line, each with the line number an editor shows.

Guarantees: an array, a wrapped array (``{"data": [...]}``), values one after the other, and one value per line all come out as
the same records, in file order and without reading the file into memory; a broken value costs itself, not its neighbours, as
long as the next one starts on a line of its own; what can be read in one way only is repaired, and told.
"""

from __future__ import annotations

import codecs
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from studio.data.sources.csv_records import Record
from studio.data.sources.json_repair import LONGEST_REPAIRED, is_json, repaired
from studio.data.sources.source import CUT, LONGEST, too_long

Packing = Literal["lines", "array", "wrapped", "values", "columns", "split", "index"]

_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'
_COMMENT = rb"//[^\n]*+|\#[^\n]*+|/\*(?:[^*]|\*(?!/))*+\*/"
_SINGLE = rb"'[^'\\\n]*+(?:\\[^\n][^'\\\n]*+)*+'"
# Everything up to the next bracket outside strings; group 1 is that bracket, or a quote whose string does not end on its line.
_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+([{}\[\]"])')
# The same where single quotes and comments count too, as in JSON that was written by hand or by Python.
_LOOSE_BRACKET = re.compile(
    rb"""[^"'{}\[\]/\#]*+(?:(?:""" + _STRING + rb"|" + _SINGLE + rb"|" + _COMMENT + rb""")[^"'{}\[\]/\#]*+)*+([{}\[\]"'/\#])"""
)
# The same without the bracket: as far as everything is whole.
_RUN = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+')
_GAP = re.compile(rb"(?:[\s,\x1e]|\xef\xbb\xbf)*+")
_COMMENTS = re.compile(rb"(?:" + _COMMENT + rb"|[\s,\x1e]|\xef\xbb\xbf)*+")
_WHOLE_STRING = re.compile(_STRING)
_BARE = re.compile(rb"[^\s,{}\[\]\"]++")
_OPENING, _CLOSING = b"{[", b"}]"
_AROUND = b" \t\r\n\x0b\x0c\0"
_PARTNER = {b"{"[0]: b"}", b"["[0]: b"]"}
_BY_HAND = re.compile(r"""[{\[,:]\s*'|(?m:^)\s*(?://|\#|/\*)|[,{\[]\s*(?://|/\*|\#)""")
_TURN = re.compile(rb"""\s*+\[\s*+\{[^{}]*?"(?:role|from)"\s*+:""")
_FIRST_COMMENTS = re.compile(r"\A(?:\s|//[^\n]*+\n|\#[^\n]*+\n|/\*(?:[^*]|\*(?!/))*+\*/)++(?=[{\[])")
_BRACKET_LINES = (b"[", b"]", b"],")
# How many lines one value may go over in a file that mostly has one value per line, and how often its end is tried.
_LINES_OF_ONE, _ATTEMPTS = 200, 20
#: How much is kept of a value that is too long.
_KEPT = 500


@dataclass(frozen=True, slots=True)
class Container:
    """How the rows are packed.

    Where the rows stand inside an object, ``key`` is the way to them, joined by dots, and the first of them starts at byte
    ``offset`` of the UTF-8 text, on ``line``. ``loose`` says that single quotes and comments may occur. ``inner`` is the name
    under which each row wraps the values that count. ``members`` are the columns: name, offset and line of each (of the list
    of names, for ``split``), and ``paired`` says that they are objects instead of lists. ``others`` are further lists of rows.
    """

    packing: Packing
    key: str = ""
    offset: int = 0
    line: int = 1
    loose: bool = False
    inner: str = ""
    members: tuple[tuple[str, int, int], ...] = ()
    paired: bool = False
    others: tuple[str, ...] = ()


def sniff(sample: str, complete: bool) -> Container | None:
    """The packing of a JSON text, or None when it is no JSON. ``complete`` says that the sample is the whole file."""
    text = sample.lstrip("\ufeff\x1e \t\r\n")
    loose = _BY_HAND.search(sample) is not None
    found = [line.strip("\ufeff\x1e \t\0") for line in re.split(r"\r\n|\r|\n", text)[: None if complete else -1]]
    rows = [line for line in found if line][:200]
    opened = sum(line.startswith("{") and line.rstrip(",").endswith("}") for line in rows)
    parsed = sum(_is_container(line) for line in rows)
    if len(rows) > 1 and (2 * parsed > len(rows) or (2 * opened > len(rows) and not text.startswith("["))):
        return Container("lines", loose=loose)
    text = _FIRST_COMMENTS.sub("", text, count=1)
    if not re.match(r"""[{\[]\s*(?:["{}\[\]\d“]|-\d|null|true|false|//|/\*|\#|$)|[{\[]\s*\'|\{\s*[A-Za-z_]\w*\s*:""", text):
        return None
    return Container("array" if text.startswith("[") else "values", loose=loose)


def by_line(lines: Iterable[bytes]) -> Iterator[Record]:
    """One value per line; blank lines are no records, and neither are comments.

    A value that goes over several lines is put together, if that makes it whole. Where the file stops in the middle of the last
    one, that is ``file_cut_off``.
    """
    told, again = False, deque[tuple[int, bytes]]()
    numbered = enumerate(lines, start=1)
    while (following := again.popleft() if again else next(numbered, None)) is not None:
        number, line = following
        # Files that were glued together carry byte-order marks inside; JSON text sequences start each value with 0x1e.
        body = line.strip(_AROUND).removeprefix(codecs.BOM_UTF8).lstrip(b"\x1e")
        if body.endswith(CUT):
            yield number, "too_big_row", body.removesuffix(CUT)
        elif body.startswith((b"//", b"#")) or body in _BRACKET_LINES:
            told = True
        elif body:
            record = finished(number, None, body)
            if record[1] is None and body[:1] in b"{[" and not is_json(record[2]):
                record = _joined(number, body, numbered, again) or (
                    number,
                    "file_cut_off" if cut_off(line) else None,
                    record[2],
                )
            yield (number, "repaired_json", record[2]) if told and record[1] is None and is_json(record[2]) else record
            told = False


def cut_off(line: bytes) -> bool:
    """Whether this is the last line of a file that stops in the middle of a value: no line end, and something is still open."""
    body, depth, place = line.strip(_AROUND), 0, 0
    if line.endswith((b"\n", b"\r")) or body[:1] not in b"{[" or finished(0, None, body)[1] or is_json(body):
        return False
    while match := _BRACKET.match(body, place):
        if match[1] not in b"{[}]":
            return True
        depth += 1 if match[1] in _OPENING else -1
        place = match.end()
    return depth > 0


def _joined(number: int, body: bytes, numbered: Iterator[tuple[int, bytes]], again: deque[tuple[int, bytes]]) -> Record | None:
    """The value that starts on this line and ends on a later one; without one, the lines that were tried come again."""
    tried, text, attempts = list[tuple[int, bytes]](), body, 0
    while len(tried) < _LINES_OF_ONE and attempts < _ATTEMPTS and len(text) < LONGEST_REPAIRED:
        following = again.popleft() if again else next(numbered, None)
        if following is None:
            break
        tried.append(following)
        line = following[1].rstrip(_AROUND)
        if line.startswith((b"{", b"[")) or line.endswith(CUT):
            break
        text += b"\n" + line
        if line.endswith((b"}", b"},", b"]", b"],")):
            attempts += 1
            record = finished(number, None, text)
            if record[1] or is_json(record[2]):
                return record
    again.extendleft(reversed(tried))
    return None


def finished(line: int, reason: str | None, text: bytes) -> Record:
    """The record as it is handed on, on one line: repaired where that is safe, a bare conversation under ``messages``."""
    if reason in (None, "broken_json") and not is_json(text) and (whole := repaired(text)):
        reason, text = "repaired_json", whole
    elif reason is None and text[:1] == b'"' and (inside := _inside(text)):
        reason, text = "repaired_json", inside
    if reason in (None, "repaired_json") and text[:1] == b"[" and _TURN.match(text):
        text = b'{"messages":' + text + b"}"
    return line, reason, text.replace(b"\n", b" ") if b"\n" in text else text


def by_value(chunks: Iterable[bytes], container: Container, name: str) -> Iterator[Record]:
    """One record per element of the list (or per value), over chunks whose line ends are LF.

    For rows inside an object the chunks start at ``container.offset``. Set aside with a reason: ``broken_json`` (a value that
    does not end, or text that is no value), ``file_cut_off``, ``too_big_row``. Raises ``RefusedFile``, which
    names the file, when all there is is one value longer than ``LONGEST``.
    """
    return _Scanner(iter(chunks), container, name).run()


def unix_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks with CRLF and CR as LF. JSON has no line ends inside its strings, so nothing is lost."""
    held = b""
    for chunk in chunks:
        block = held + chunk
        held = b"\r" if block.endswith(b"\r") else b""
        block = block[: len(block) - len(held)]
        yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
    if held:
        yield b"\n"


def _is_container(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return False


def _inside(text: bytes) -> bytes | None:
    """The object that was written as one text, as some exports do."""
    try:
        inside = json.loads(text)
    except ValueError:
        return None
    found = inside.strip().encode("utf-8", "replace") if isinstance(inside, str) else b""
    return found if found[:1] == b"{" and is_json(found) else None


class _Scanner:
    """Cuts values out of a growing buffer. ``_at`` is the place in the buffer, ``_line`` the line number at that place."""

    def __init__(self, chunks: Iterator[bytes], container: Container, name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._packing = container.packing
        self._bracket = _LOOSE_BRACKET if container.loose else _BRACKET
        self._loose, self._commented = container.loose, False
        self._buffer, self._at, self._line, self._ended = b"", 0, container.line, False
        self._good, self._big = 0, False

    def run(self) -> Iterator[Record]:
        nested = self._packing != "values"
        if self._packing == "array" and self._more_than_gap():
            self._advance(self._at + 1)
        while self._more_than_gap():
            first = self._buffer[self._at : self._at + 1]
            if first in _CLOSING:
                self._advance(self._at + 1)
                if self._packing == "wrapped":
                    return
                # Behind the end of an array another one may follow, as when pages of an export were glued together.
                nested = False
            elif first == b"[" and not nested and self._packing == "array":
                self._advance(self._at + 1)
                nested = self._commented = True
            else:
                record = self._told(*(self._value() if first in _OPENING else self._scalar()))
                self._good += record[1] != "too_big_row"
                yield record
        if self._big and not self._good:
            raise too_long(self._name)

    def _told(self, number: int, reason: str | None, text: bytes) -> Record:
        """The record, repaired if need be; one that follows a comment is told as repaired too."""
        record = finished(number, reason, text)
        if self._commented and record[1] is None and is_json(record[2]):
            record = (number, "repaired_json", record[2])
        self._commented = False
        return record

    def _grow(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ended = True
            return False
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return True

    def _advance(self, to: int) -> None:
        self._line += self._buffer.count(b"\n", self._at, to)
        self._at = to

    def _more_than_gap(self) -> bool:
        """Move to the next value or bracket; False at the end of the text."""
        while True:
            match = _GAP.match(self._buffer, self._at)
            if match:
                self._advance(match.end())
            if self._at == len(self._buffer):
                if not self._grow():
                    return False
            elif not self._loose or self._buffer[self._at : self._at + 1] not in b"/#" or not self._comment():
                return True

    def _comment(self) -> bool:
        """Move behind the comment that starts here; False when it is none."""
        end = b"*/" if self._buffer[self._at : self._at + 2] == b"/*" else b"\n"
        while self._buffer.find(end, self._at) < 0 and len(self._buffer) - self._at < LONGEST and self._grow():
            pass
        match = _COMMENTS.match(self._buffer, self._at)
        if match is None or match.end() == self._at:
            return False
        self._commented = True
        self._advance(match.end())
        return True

    def _scalar(self) -> Record:
        """A string, a number or a word between the values; the reader behind says which of them is JSON."""
        while True:
            match = _WHOLE_STRING.match(self._buffer, self._at) or _BARE.match(self._buffer, self._at)
            if (match and match.end() < len(self._buffer)) or b"\n" in self._buffer[self._at :]:
                break
            if len(self._buffer) - self._at > LONGEST or not self._grow():
                break
        end = match.end() if match else self._end_of_line(self._at)
        number, text = self._line, self._buffer[self._at : end]
        if not match or not _is_scalar(text):
            # Not JSON: a comment or a stray sentence. All of its line belongs to it.
            end = max(end, self._end_of_line(end))
            text = self._buffer[self._at : end].rstrip()
            self._advance(end)
            return number, "broken_json", text
        self._advance(end)
        return number, None, text

    def _value(self) -> Record:
        """The object or list that starts here, up to its closing bracket."""
        number, opened, scanned, broken, kept = self._line, bytearray(), 0, None, b""
        while True:
            match = self._bracket.match(self._buffer, self._at + scanned)
            if match and match[1] in _OPENING:
                opened += match[1]
                scanned = match.end() - self._at
            elif match and match[1] in _CLOSING:
                scanned = match.end() - self._at
                if _PARTNER[opened.pop()] != match[1] and broken is None:
                    # A bracket is missing somewhere before, so the values that follow were taken for a part of this one.
                    broken = 0
            elif match and match[1] in b"'/#":
                # A single quote or a stroke in the middle of something else means nothing.
                scanned = match.end() - self._at
            elif match and (newline := self._buffer.find(b"\n", match.end())) >= 0:
                # A string that does not end on its line: the value is broken, but its brackets may still tell its end.
                scanned = newline - self._at
                broken = scanned if broken is None else broken
            elif len(self._buffer) - self._at > LONGEST:
                kept = kept or self._buffer[self._at : self._at + _KEPT]
                scanned = self._drop(scanned)
            elif not self._grow():
                return self._endless(number, kept)
            if broken is not None and not kept and (end := self._restart(broken)):
                return self._cut(number, end, "broken_json")
            if not opened and scanned:
                return self._cut(number, scanned, None if broken is None else "broken_json", kept)

    def _restart(self, scanned: int) -> int | None:
        """Where the next value starts on a line of its own, with the indentation of this one, at or after ``scanned``."""
        before = self._buffer.rfind(b"\n", 0, self._at)
        indent = self._buffer[before + 1 : self._at]
        if indent.strip():
            indent = b""
        found = re.compile(rb"\n" + indent + rb"(?=[{\[])").search(self._buffer, self._at + scanned)
        return found.end() - self._at if found else None

    def _drop(self, scanned: int) -> int:
        """Forget what was read of a value that is too long, all but the place inside its text where reading goes on."""
        self._big = True
        match = _RUN.match(self._buffer, self._at + scanned)
        self._advance(match.end() if match else self._at + scanned)
        if len(self._buffer) - self._at > LONGEST // 2:
            rest = self._buffer[-_KEPT:].lstrip(b"\\")
            self._line += self._buffer.count(b"\n", self._at, len(self._buffer) - len(rest))
            self._buffer, self._at = b'"' + rest, 0
        return 0

    def _endless(self, number: int, kept: bytes) -> Record:
        """A value without an end: it gives up at the next line that looks like the start of a value, else at the end."""
        end = self._restart(0)
        if end and not kept:
            return self._cut(number, end, "broken_json")
        return self._cut(number, len(self._buffer) - self._at, "file_cut_off", kept)

    def _cut(self, number: int, length: int, code: str | None, kept: bytes = b"") -> Record:
        text = self._buffer[self._at : self._at + length].strip()
        self._advance(self._at + length)
        return (number, "too_big_row", kept.replace(b"\n", b" ")) if kept else (number, code, text)

    def _end_of_line(self, start: int) -> int:
        end = self._buffer.find(b"\n", start)
        return len(self._buffer) if end < 0 else end


def _is_scalar(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
