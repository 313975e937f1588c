"""Which examples of a batch begin alike, so that their common beginning is computed once.

Guarantees: every example is in exactly one family; the members of a family agree on its ``shared`` first tokens and each has at
least one token behind them; a family of one shares nothing. Pure arithmetic on token ids.

The samples of one group in RL all continue one prompt, the two answers of a preference pair, too, and examples with one long
instruction as well: in all of them many tokens of a batch are repetitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from studio.engine.protocol import Ints

#: Shared beginnings below this length are not worth a pass of their own.
_SHORTEST: Final = 4
#: The share of a batch's tokens that has to be saved before a batch is treated in two stages instead of one.
_WORTHWHILE: Final = 0.15
#: Largest family: bounds the search, and a beginning that is computed twice for 128 members costs nothing.
_LARGEST: Final = 64


@dataclass(frozen=True, slots=True)
class Family:
    """Positions in a batch and the number of first tokens that these examples have in common."""

    members: tuple[int, ...]
    shared: int


def families(tokens: Sequence[Ints]) -> list[Family]:
    """Cut a batch into families so that as many tokens as possible are computed once; families of one where it saves little."""
    alone = [Family((index,), 0) for index in range(len(tokens))]
    if len(tokens) < 2:
        return alone
    # Any order will do in which equal beginnings stand side by side.
    order = sorted(range(len(tokens)), key=lambda index: tokens[index].tobytes())
    found, saved = _best_cut(
        [_common(tokens[a], tokens[b]) for a, b in pairwise(order)],
        [tokens[index].size - 1 for index in order],
    )
    if saved < _WORTHWHILE * sum(sequence.size for sequence in tokens):
        return alone
    return [Family(tuple(order[start:end]), shared) for start, end, shared in found]


def _best_cut(common: Sequence[int], longest: Sequence[int]) -> tuple[list[tuple[int, int, int]], int]:
    """Contiguous stretches ``(start, end, shared)`` of the ordered batch that save most, and how many tokens they save.

    ``common[i]`` is what neighbours i and i + 1 share, ``longest[i]`` what example i may share at most. Dynamic programming
    over the end of the last stretch.
    """
    count = len(longest)
    best = [0] * (count + 1)
    last: list[tuple[int, int]] = [(0, 0)] * (count + 1)
    for end in range(1, count + 1):
        best[end], last[end] = best[end - 1], (end - 1, 0)
        shared = longest[end - 1]
        for start in range(end - 2, max(-1, end - 1 - _LARGEST), -1):
            shared = min(shared, common[start], longest[start])
            if shared < _SHORTEST:
                break
            value = best[start] + (end - start - 1) * shared
            if value > best[end]:
                best[end], last[end] = value, (start, shared)
    found: list[tuple[int, int, int]] = []
    end = count
    while end:
        start, shared = last[end]
        found.append((start, end, shared))
        end = start
    return found[::-1], best[count]


def _common(a: Ints, b: Ints) -> int:
    size = min(a.size, b.size)
    differ = np.flatnonzero(a[:size] != b[:size])
    return int(differ[0]) if differ.size else size
