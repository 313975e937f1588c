"""What one pass over the bytes of a text proves about it, so that a fast reader may be trusted with it.

Guarantees: every byte was looked at; a fact that was not proved is not claimed. About a second per gigabyte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

_Letters = np.ndarray[tuple[int], np.dtype[np.uint8]]
_Places = np.ndarray[tuple[int], np.dtype[np.int64]]
_LINE_FEED, _RETURN = 10, 13
_WHITE = (9, 10, 11, 12, 13, 32)
_STAND_INS = re.compile(b"\xef\xb7[\x90-\x94]")
# Lines of at most this length are looked at for being blank.
_SHORT = 64
_MOST_LOOKED_AT = 20_000
# Longest UTF-8 sequence less one: what may be missing at the end of a block.
_HELD = 3


@dataclass(frozen=True, slots=True)
class Facts:
    """``lines`` by line feeds (and the last one without), ``longest`` in bytes without its line feed.

    ``blank``: a line of up to 64 bytes may hold nothing but white space. ``carriage``: carriage returns stand nowhere, only
    before line feeds, or elsewhere too (then an editor may count other lines). ``nul``: zero bytes. ``units``: the separators
    0x1e or 0x1f. ``stand_ins``: characters that our working files use as signs.
    """

    lines: int
    longest: int
    blank: bool
    carriage: Literal["none", "crlf", "other"]
    nul: bool
    units: bool
    ascii: bool
    utf8: bool
    stand_ins: bool


class Scan:
    """Takes the text block by block, in order, and knows the facts at the end."""

    def __init__(self) -> None:
        self._size, self._feeds, self._last, self._longest = 0, 0, -1, 0
        self._returns, self._pairs, self._blank, self._nul, self._units = 0, 0, False, False, False
        self._ascii, self._utf8, self._stand_ins = True, True, False
        self._held, self._before, self._tail = b"", 0, b""

    def add(self, block: bytes) -> None:
        """The next block."""
        if not block:
            return
        self._count_lines(block)
        self._nul = self._nul or b"\0" in block
        self._units = self._units or b"\x1f" in block or b"\x1e" in block
        if self._held or not block.isascii():
            self._ascii = False
            self._prove(block)
        self._size += len(block)
        self._before, self._tail = block[-1], (self._tail + block[-_SHORT:])[-_SHORT:]

    def facts(self) -> Facts:
        """All that was proved."""
        rest = self._size - self._last - 1
        carriage = "none" if not self._returns else "crlf" if self._returns == self._pairs else "other"
        return Facts(
            self._feeds + (rest > 0),
            max(self._longest, rest),
            self._blank,
            carriage,
            self._nul,
            self._units,
            self._ascii,
            self._utf8 and not self._held,
            self._stand_ins,
        )

    def _count_lines(self, block: bytes) -> None:
        letters = np.frombuffer(block, np.uint8)
        feeds = np.flatnonzero(letters == _LINE_FEED)
        if b"\r" in block:
            # Counting in the bytes themselves takes six times as long.
            self._returns += int(np.count_nonzero(letters == _RETURN))
            self._pairs += int(np.count_nonzero(letters[feeds[feeds > 0] - 1] == _RETURN))
        if not len(feeds):
            return
        self._pairs += int(feeds[0] == 0 and self._before == _RETURN)
        lengths = np.diff(feeds + self._size, prepend=self._last) - 1
        self._longest = max(self._longest, int(lengths.max()))
        if not self._blank:
            first = self._tail[-_SHORT:] + block[: int(feeds[0])]
            self._blank = int(lengths[0]) <= _SHORT and not first[len(first) - int(lengths[0]) :].strip()
            self._blank = self._blank or _some_blank(block, letters, feeds[1:], lengths[1:])
        self._feeds += len(feeds)
        self._last = self._size + int(feeds[-1])

    def _prove(self, block: bytes) -> None:
        if not self._utf8:
            return
        whole = self._held + block
        self._stand_ins = self._stand_ins or (b"\xef" in whole and _STAND_INS.search(whole) is not None)
        cut = len(whole) - _unfinished(whole)
        self._utf8 = _is_utf8(whole[:cut])
        self._held = whole[cut:]


def _some_blank(block: bytes, letters: _Letters, feeds: _Places, lengths: _Places) -> bool:
    """Whether one of the lines that end here is blank, or too many begin with white space to look at each."""
    short = np.flatnonzero(lengths <= _SHORT)
    if not len(short):
        return False
    white = short[np.isin(letters[feeds[short] - lengths[short]], _WHITE)]
    if len(white) > _MOST_LOOKED_AT:
        return True
    return any(not block[int(feeds[place] - lengths[place]) : int(feeds[place])].strip() for place in white)


def _unfinished(block: bytes) -> int:
    """How many bytes at the end are the start of a character whose rest comes in the next block."""
    for back in range(1, min(_HELD, len(block)) + 1):
        byte = block[-back]
        if byte >= 0xC0:
            needed = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            return back if needed > back else 0
        if byte < 0x80:
            return 0
    return 0


def _is_utf8(block: bytes) -> bool:
    offsets = pa.py_buffer(np.array([0, len(block)], np.int32).tobytes())
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(block)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
