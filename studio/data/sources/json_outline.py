"""The outline of one JSON text: which lists and objects it holds, where they start and how much is in them.

Guarantees: the text is walked through once, in pieces, and never held in memory; offsets are those of the text as it lies on
disk; text that is no JSON ends the walk instead of misleading it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from studio.data.sources.source import LONGEST

_RUN = re.compile(rb'(?s)[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+')
_STRING = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"')
_BARE = re.compile(rb'[^\s,{}\[\]":]*+')
_SPACE = re.compile(rb"\s*+")
_OPENING, _CLOSING, _QUOTE = b"{[", b"}]", b'"'
#: How deep objects are opened to look for lists, and how many members of one object are kept.
DEEPEST = 3
MOST_PARTS = 2000
_FIRST_ELEMENT = 64 * 1024


class Malformed(ValueError):  # noqa: N818 - it names the text
    """The text is no JSON here, or ends in the middle."""


@dataclass(frozen=True, slots=True)
class Part:
    """One member of an object, or the text itself (with an empty path).

    ``offset`` and ``line`` are those of the place behind the opening bracket. ``first`` is the first element of a list, as
    JSON text, unless it is very long. ``count`` is the number of elements or members, as far as the text was walked through.
    """

    path: tuple[str, ...]
    kind: Literal["list", "object", "scalar"]
    offset: int
    line: int
    first: bytes = b""
    second: bytes = b""
    count: int = 0
    whole: bool = False


class Reader:
    """Walks over the values of a text. ``offset`` and ``line`` say where it stands."""

    def __init__(self, chunks: Iterable[bytes], offset: int = 0, line: int = 1) -> None:
        self._chunks, self._buffer, self._at = iter(chunks), b"", 0
        self._offset, self._line, self._counted = offset, line, 0

    @property
    def offset(self) -> int:
        """Bytes of the text before this place."""
        return self._offset + self._at

    @property
    def line(self) -> int:
        """The line, by line feeds, counted from 1."""
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def sign(self) -> bytes:
        """The next byte that is no white space, without taking it; empty at the end of the text."""
        while True:
            self._at = _match_end(_SPACE, self._buffer, self._at)
            if self._at < len(self._buffer):
                return self._buffer[self._at : self._at + 1]
            if not self._more():
                return b""

    def take(self, expected: bytes) -> None:
        """Step over this sign. Raises ``Malformed`` when another one stands here."""
        if self.sign() != expected:
            raise Malformed
        self._at += 1

    def value(self, most: int = LONGEST) -> bytes:
        """The next value as it is written; nothing when it is longer than ``most``. Raises ``Malformed`` when there is none."""
        sign = self.sign()
        if not sign or sign in b"}],:":
            raise Malformed
        if sign in _OPENING:
            return self._container(most)
        pattern = _STRING if sign == _QUOTE else _BARE
        while True:
            match = pattern.match(self._buffer, self._at)
            # What ends with the buffer may go on behind it.
            if match and (match.end() < len(self._buffer) or not self._more()):
                found = self._buffer[self._at : match.end()]
                self._at = match.end()
                return found if len(found) <= most else b""
            if match is None and (len(self._buffer) - self._at > LONGEST or not self._more()):
                raise Malformed

    def members(self) -> Iterator[str]:
        """The names in the object that starts here. The caller takes each value before it asks for the next name."""
        self.take(b"{")
        while self.sign() != b"}":
            name = self.value()
            if name[:1] != _QUOTE:
                raise Malformed
            self.take(b":")
            yield _text(name)
            if self.sign() != b"}":
                self.take(b",")
        self._at += 1

    def elements(self) -> Iterator[None]:
        """One step per element of the list whose opening bracket was taken. The caller takes each element."""
        while self.sign() != b"]":
            yield None
            if self.sign() != b"]":
                self.take(b",")
        self._at += 1

    def _container(self, most: int) -> bytes:
        depth, kept, size = 0, list[bytes](), 0
        while True:
            end = _match_end(_RUN, self._buffer, self._at)
            sign = self._buffer[end : end + 1]
            if sign and sign in b"{}[]":
                depth += 1 if sign in _OPENING else -1
                end += 1
            size += end - self._at
            if size <= most:
                kept.append(self._buffer[self._at : end])
            self._at = end
            if depth == 0 and size:
                return b"".join(kept) if size <= most else b""
            if (sign == _QUOTE and len(self._buffer) - end > LONGEST) or (sign in (b"", _QUOTE) and not self._more()):
                raise Malformed

    def _more(self) -> bool:
        chunk = next(self._chunks, b"")
        if not chunk:
            return False
        self._line += self._buffer.count(b"\n", self._counted, self._at)
        self._buffer = self._buffer[self._at :] + chunk
        self._offset += self._at
        self._at = self._counted = 0
        return True


def outline(chunks: Iterable[bytes]) -> tuple[list[Part], bool]:
    """The parts of the first value of a text, outermost first, and whether nothing follows it.

    A text that ends in the middle, or is no JSON there, gives the parts up to that place.
    """
    reader, parts = Reader(chunks), list[Part]()
    try:
        _walk(reader, (), parts)
    except Malformed:
        return parts, False
    return parts, not reader.sign()


def _walk(reader: Reader, path: tuple[str, ...], parts: list[Part]) -> None:
    sign = reader.sign()
    if sign == b"[":
        _walk_list(reader, path, parts)
    elif sign == b"{" and len(path) < DEEPEST and len(parts) < MOST_PARTS:
        place = len(parts)
        parts.append(Part(path, "object", reader.offset + 1, reader.line))
        for count, name in enumerate(reader.members(), start=1):
            parts[place] = replace(parts[place], count=count)
            _walk(reader, (*path, name), parts)
        parts[place] = replace(parts[place], whole=True)
    else:
        kind: Literal["object", "scalar"] = "object" if sign == b"{" else "scalar"
        part = Part(path, kind, reader.offset + 1, reader.line)
        reader.value(0)
        if len(parts) < MOST_PARTS:
            parts.append(part)


def _walk_list(reader: Reader, path: tuple[str, ...], parts: list[Part]) -> None:
    reader.take(b"[")
    place, count = len(parts), 0
    part = Part(path, "list", reader.offset, reader.line)
    if place >= MOST_PARTS:
        for _ in reader.elements():
            reader.value(0)
        return
    parts.append(part)
    for count, _ in enumerate(reader.elements(), start=1):
        if count == 1:
            part = replace(part, first=reader.value(_FIRST_ELEMENT), count=count)
        elif count == 2:
            part = replace(part, second=reader.value(_FIRST_ELEMENT), count=count)
        else:
            reader.value(0)
            continue
        parts[place] = part
    parts[place] = replace(part, count=count, whole=True)


def _match_end(pattern: re.Pattern[bytes], text: bytes, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _text(quoted: bytes) -> str:
    try:
        return str(orjson.loads(quoted))
    except orjson.JSONDecodeError as error:
        raise Malformed from error
