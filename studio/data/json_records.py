"""JSON in any packing as one value per line, each with the line number an editor shows.

Guarantees: an array, a wrapped array (``{"data": [...]}``), values one after the other, and one value per line all come out as
the same records, in file order and without reading the file into memory; a broken value costs itself, not its neighbours, as
long as the next one starts on a line of its own.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from studio.data.csv_records import Record
from studio.data.source import CUT, LONGEST, too_long

Packing = Literal["lines", "array", "wrapped", "values"]

_CHAT_KEYS = frozenset(
    {"messages", "conversations", "conversation", "turns", "chosen", "rejected", "prompt", "completion", "dialog"}
)
_STRING = rb'"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+"'
# Everything up to the next bracket outside strings; group 1 is that bracket, or a quote whose string does not end on its line.
_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:' + _STRING + rb'[^"{}\[\]]*+)*+([{}\[\]"])')
_GAP = re.compile(rb"[\s,]*+")
_WHOLE_STRING = re.compile(_STRING)
_BARE = re.compile(rb"[^\s,{}\[\]\"]++")
_OPENING, _CLOSING = b"{[", b"}]"
_PARTNER = {b"{"[0]: b"}", b"["[0]: b"]"}


@dataclass(frozen=True, slots=True)
class Container:
    """How the rows are packed. For ``wrapped`` the list called ``key`` starts at byte ``offset`` of the UTF-8 text."""

    packing: Packing
    key: str = ""
    offset: int = 0


def sniff(sample: str, complete: bool) -> Container | None:
    """The packing of a JSON text, or None when it is no JSON. ``complete`` says that the sample is the whole file."""
    text = sample.lstrip("\ufeff \t\r\n")
    found = [line.strip() for line in re.split(r"\r\n|\r|\n", text)[: None if complete else -1]]
    rows = [line for line in found if line][:200]
    opened = sum(line.startswith("{") and line.rstrip(",").endswith("}") for line in rows)
    parsed = sum(_is_container(line) for line in rows)
    if len(rows) > 1 and (2 * parsed > len(rows) or (2 * opened > len(rows) and not text.startswith("["))):
        return Container("lines")
    if not re.match(r'[{\[]\s*(?:["{}\[\]\d]|null|true|false|//|/\*|#|$)|\{\s*\'', text):
        return None
    if text.startswith("["):
        return Container("array")
    return _wrapped(sample.encode()) or Container("values")


def by_line(lines: Iterable[bytes]) -> Iterator[Record]:
    """One value per line; blank lines are no records."""
    for number, line in enumerate(lines, start=1):
        # Files that were glued together carry byte-order marks inside; JSON text sequences start each value with 0x1e.
        body = line.strip().removeprefix(codecs.BOM_UTF8).lstrip(b"\x1e")
        if body.endswith(CUT):
            yield number, "too_big_row", body.removesuffix(CUT)
        elif body:
            yield number, None, body


def by_value(chunks: Iterable[bytes], container: Container, name: str) -> Iterator[Record]:
    """One record per element of the list (or per value), over chunks whose line ends are LF.

    Set aside with a reason: ``broken_json`` (a value that does not end, or text that is no value), ``file_cut_off``. Raises
    ``RefusedFile``, which names the file, for a value longer than ``LONGEST``.
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


def _wrapped(text: bytes) -> Container | None:
    """The first list of objects directly inside the outer object, unless that list is a conversation or a part of a row."""
    depth, position = 0, 0
    while match := _BRACKET.match(text, position):
        bracket = match[1]
        position = match.end()
        if bracket == b'"':
            return None
        if depth == 1 and bracket == b"[":
            key = re.search(rb'("[^"\\\n]*+(?:\\.[^"\\\n]*+)*+")\s*:\s*\[\Z', text[: match.end()][-4096:])
            inside = _GAP.match(text, position)
            name = _text(key[1]) if key else None
            if name is not None and inside and text[inside.end() : inside.end() + 1] == b"{" and name.lower() not in _CHAT_KEYS:
                return Container("wrapped", name, position)
        depth += 1 if bracket in _OPENING else -1
        if depth == 0:
            return None
    return None


class _Scanner:
    """Cuts values out of a growing buffer. ``_at`` is the place in the buffer, ``_line`` the line number at that place."""

    def __init__(self, chunks: Iterator[bytes], container: Container, name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._packing = container.packing
        self._buffer, self._at, self._line, self._ended = b"", 0, 1, False
        self._skip(container)

    def run(self) -> Iterator[Record]:
        while self._more_than_gap():
            first = self._buffer[self._at : self._at + 1]
            if first in _CLOSING:
                self._advance(self._at + 1)
                if self._packing == "array":
                    yield from self._trailing()
                if self._packing != "values":
                    return
            elif first in _OPENING:
                yield self._value()
            else:
                yield self._scalar()

    def _skip(self, container: Container) -> None:
        """Go to the first value: behind the opening bracket of the list."""
        while len(self._buffer) < container.offset and self._grow():
            pass
        if container.packing == "wrapped":
            self._advance(container.offset)
        elif container.packing == "array" and self._more_than_gap():
            self._advance(self._at + 1)

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
            if self._at < len(self._buffer):
                return True
            if not self._grow():
                return False

    def _trailing(self) -> Iterator[Record]:
        """Text behind the end of the array, told once."""
        while self._more_than_gap():
            if self._buffer[self._at : self._at + 1] in b"[{":
                yield self._line, "broken_json", self._buffer[self._at : self._at + 200].split(b"\n")[0]
                return
            self._advance(self._at + 1)

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
        number, opened, scanned, broken = self._line, bytearray(), 0, None
        while True:
            match = _BRACKET.match(self._buffer, self._at + scanned)
            if match and match[1] in _OPENING:
                opened += match[1]
                scanned = match.end() - self._at
            elif match and match[1] in _CLOSING:
                scanned = match.end() - self._at
                if _PARTNER[opened.pop()] != match[1] and broken is None:
                    # A bracket is missing somewhere before, so the values that follow were taken for a part of this one.
                    broken = 0
            elif match and (newline := self._buffer.find(b"\n", match.end())) >= 0:
                # A string that does not end on its line: the value is broken, but its brackets may still tell its end.
                scanned = newline - self._at
                broken = scanned if broken is None else broken
            elif len(self._buffer) - self._at > LONGEST or not self._grow():
                return self._endless(number)
            if broken is not None and (end := self._restart(broken)):
                return self._cut(number, end, "broken_json")
            if not opened and scanned:
                return self._cut(number, scanned, None if broken is None else "broken_json")

    def _restart(self, scanned: int) -> int | None:
        """Where the next value starts on a line of its own, with the indentation of this one, at or after ``scanned``."""
        before = self._buffer.rfind(b"\n", 0, self._at)
        indent = self._buffer[before + 1 : self._at]
        if indent.strip():
            indent = b""
        found = re.compile(rb"\n" + indent + rb"(?=[{\[])").search(self._buffer, self._at + scanned)
        return found.end() - self._at if found else None

    def _endless(self, number: int) -> Record:
        """A value without an end: it gives up at the next line that looks like the start of a value, else at the end."""
        end = self._restart(0)
        if end:
            return self._cut(number, end, "broken_json")
        if not self._ended:
            raise too_long(self._name)
        return self._cut(number, len(self._buffer) - self._at, "file_cut_off")

    def _cut(self, number: int, length: int, code: str | None) -> Record:
        text = self._buffer[self._at : self._at + length].strip()
        self._advance(self._at + length)
        return number, code, text.replace(b"\n", b" ") if b"\n" in text else text

    def _end_of_line(self, start: int) -> int:
        end = self._buffer.find(b"\n", start)
        return len(self._buffer) if end < 0 else end


def _is_scalar(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _text(quoted: bytes) -> str | None:
    try:
        return str(json.loads(quoted))
    except ValueError:
        return None
