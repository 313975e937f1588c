"""How alike texts are, by the share of their pieces that agree, and which pairs of many texts are worth comparing.

Guarantees: ``like`` compares two texts in full and never by a sketch; texts with other numbers or signs are never alike; the
same texts in the same order give the same pairs. ``proposed`` may miss a pair that is alike (about one in five hundred at the
border, fewer above it) and may propose pairs that are not.

A piece is a run of five characters. Long runs that more than a tenth of all texts share are a template ("Translate into
French:"); pieces inside a template do not count, or all rows of a task would be alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from rensa import RMinHash  # pyright: ignore[reportAttributeAccessIssue] - a compiled module without types

from studio.data.types import Watch

_Hashes = npt.NDArray[np.uint64]
_Flags = npt.NDArray[np.bool_]

#: The share of common pieces from which two texts are alike.
ALIKE: Final = 0.8

_PIECE: Final = 5
_RUN: Final = 16
_SAMPLE: Final = 2_000
_TEMPLATE_SHARE: Final = 0.1
_TEMPLATE_LEAST: Final = 5
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)
_MASK: Final = 2**64 - 1
_SEED: Final = 20

# 21 bands of 6 find 998 of 1,000 pairs of likeness 0.8, and hardly any below 0.5.
_SLOTS: Final = 128
_BANDS: Final = 21
_ROWS: Final = 6
# Pairs whose sketches agree less than this are not compared: four standard deviations below what counts as alike.
_SKETCHED: Final = 0.65
# Pairs that are compared at once, characters that are cut into pieces at once, and texts that are sketched at once: this many
# take some 30 MB each.
_PAIRS: Final = 50_000
_CHARACTERS: Final = 1_000_000
_TEXTS: Final = 4_000
# Numbers, and signs that are no letters: other ones make another question ("C" and "C#", 17 + 25 and 17 - 25).
_TELLING: Final = re.compile(r"\d+|[^\w\s]")


class Likeness:
    """Compares the texts of one collection. ``watch`` hears how far the sketches are."""

    def __init__(self, texts: Sequence[str], watch: Watch | None = None) -> None:
        self._texts, self._watch = texts, watch
        step = max(1, len(texts) // _SAMPLE)
        sample = texts[::step]
        runs = [np.unique(_rolled(_codes(text), _RUN)) for text in sample if len(text) >= _RUN]
        values, counts = np.unique(np.concatenate([np.zeros(0, np.uint64), *runs]), return_counts=True)
        self._template: _Hashes = values[counts > max(_TEMPLATE_LEAST, _TEMPLATE_SHARE * len(sample))]

    def like(self, one: str, other: str) -> bool:
        """Whether the texts have the same numbers and signs, and at least four fifths of their pieces in common."""
        if _TELLING.findall(one) != _TELLING.findall(other):
            return False
        first, second = (np.unique(self._pieces([text])[0]) for text in (one, other))
        common = len(np.intersect1d(first, second, assume_unique=True))
        return common > 0 and common >= ALIKE * (len(first) + len(second) - common)

    def proposed(self, kinds: Sequence[int] | None = None) -> Iterator[tuple[int, int]]:
        """Pairs of places in the texts that are probably alike, each once. ``kinds``: only texts of one kind are paired."""
        if len(self._texts) < 2:
            return
        numbers = np.fromiter((hash(tuple(_TELLING.findall(text))) for text in self._texts), np.int64, len(self._texts))
        labels = np.array(kinds or [0] * len(self._texts), np.uint64)
        sketches, empty = self._sketches()
        seen: set[int] = set()
        for band in range(_BANDS):
            part = sketches[:, band * _ROWS : (band + 1) * _ROWS].astype(np.uint64)
            keys = _hashed(part, labels)
            order = np.argsort(keys, kind="stable")
            order = order[~empty[order]]
            for left, right in _neighbours(order, keys):
                agree = numbers[left] == numbers[right]
                agree[agree] = (sketches[left[agree]] == sketches[right[agree]]).mean(axis=1) >= _SKETCHED
                pairs = left[agree] * len(self._texts) + right[agree]
                fresh = [pair for pair in np.unique(pairs).tolist() if pair not in seen]
                seen.update(fresh)
                yield from (divmod(pair, len(self._texts)) for pair in fresh)

    def _sketches(self) -> tuple[npt.NDArray[np.uint16], _Flags]:
        """The MinHash sketch of each text, and which texts have nothing left to compare."""
        count = len(self._texts)
        sketches, empty = np.zeros((count, _SLOTS), np.uint16), np.zeros(count, np.bool_)
        for start, stop in _batches(self._texts):
            if self._watch:
                self._watch.at("near-duplicates", start, count, "rows")
            pieces, ends = self._pieces(self._texts[start:stop])
            offsets = np.concatenate([[0], ends]).astype(np.uint64)
            matrix = RMinHash.digest_matrix_from_flat_token_hashes(pieces, offsets, _SLOTS, _SEED)
            # Half of each value is enough to tell two apart, and takes half the memory.
            sketches[start:stop] = np.array(matrix.to_rows(), np.uint32).astype(np.uint16)
            empty[start:stop] = np.diff(ends, prepend=0) == 0
        return sketches, empty

    def _pieces(self, texts: Sequence[str]) -> tuple[_Hashes, npt.NDArray[np.int64]]:
        """The hashes of all pieces outside of templates, text by text, and where each text ends among them."""
        padded = [text if len(text) >= _PIECE else text.ljust(_PIECE, "\0") for text in texts]
        ends = np.cumsum([len(text) for text in padded])
        codes = _codes("".join(padded))
        pieces = _mixed(_rolled(codes, _PIECE))
        wanted = _inside(ends, _PIECE, len(pieces))
        if len(self._template):
            wanted &= ~self._covered(codes, ends)
        counted = np.concatenate([[0], np.cumsum(wanted)])
        return pieces[wanted], counted[np.minimum(ends, len(pieces))]

    def _covered(self, codes: npt.NDArray[np.uint64], ends: npt.NDArray[np.int64]) -> _Flags:
        """Which pieces lie inside a template with all their characters."""
        if len(codes) < _RUN:
            return np.zeros(len(codes) - _PIECE + 1, np.bool_)
        runs = _rolled(codes, _RUN)
        places = np.minimum(np.searchsorted(self._template, runs), len(self._template) - 1)
        hits = (self._template[places] == runs) & _inside(ends, _RUN, len(runs))
        edges = np.zeros(len(codes) + 1, np.int64)
        edges[: len(runs)] += hits
        edges[_RUN : _RUN + len(runs)] -= hits
        covered = np.concatenate([[0], np.cumsum(np.cumsum(edges[:-1]) > 0)])
        return covered[_PIECE:] - covered[:-_PIECE] == _PIECE


def _codes(text: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)


def _rolled(codes: npt.NDArray[np.uint64], size: int) -> _Hashes:
    """A hash of every run of ``size`` characters: of powers of two by doubling, and one character more for odd sizes."""
    doubled, base, width = codes, _BASE, 1
    while 2 * width <= size:
        doubled = doubled[:-width] * base + doubled[width:]
        width, base = 2 * width, np.uint64(int(base) ** 2 & _MASK)
    return doubled if width == size else doubled[: -(size - width)] * _BASE + codes[width : width + len(doubled) - 1]


def _mixed(hashes: _Hashes) -> _Hashes:
    hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0xBF58476D1CE4E5B9)
    return hashes ^ (hashes >> np.uint64(29))


def _hashed(part: _Hashes, labels: _Hashes) -> _Hashes:
    keys = labels
    for column in range(part.shape[1]):
        keys = _mixed(keys * _BASE + part[:, column] + np.uint64(1))
    return keys


def _inside(ends: npt.NDArray[np.int64], size: int, count: int) -> _Flags:
    """Which of ``count`` runs of ``size`` characters do not reach into the next text."""
    inside = np.ones(count, np.bool_)
    for back in range(1, size):
        places = ends[:-1] - back
        inside[places[(places >= 0) & (places < count)]] = False
    return inside


def _neighbours(order: npt.NDArray[np.int64], keys: _Hashes) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Among texts with the same key: each with the one before it, and each with the first."""
    if len(order) < 2:
        return
    same = keys[order[1:]] == keys[order[:-1]]
    starts = np.maximum.accumulate(np.where(np.concatenate([[True], ~same]), np.arange(len(order)), 0))
    second = np.flatnonzero(same) + 1
    for place in range(0, len(second), _PAIRS):
        chunk = second[place : place + _PAIRS]
        for first in (chunk - 1, starts[chunk]):
            left, right = order[first], order[chunk]
            yield np.minimum(left, right), np.maximum(left, right)


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Stretches of the texts that are sketched at once."""
    start = length = 0
    for place, text in enumerate(texts):
        length += max(_PIECE, len(text))
        if length >= _CHARACTERS or place + 1 - start >= _TEXTS:
            yield start, place + 1
            start, length = place + 1, 0
    if start < len(texts):
        yield start, len(texts)
