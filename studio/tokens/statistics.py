"""From the counts of single examples to what a person wants to know about all of them.

Guarantees: percentiles are lengths that really occur; what is cut is counted exactly as the cookbook's data pipeline cuts; a
sample is projected only where a number adds up, never where it is a length.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from studio.data.types import SHOWN_LINES
from studio.histograms import BARS, Bar, bars, step_for
from studio.models import Model
from studio.tokens.counts import Counts, Ints, Refused
from studio.tokens.values import Measured, Refusal, TokenProfile

#: How many row ids are handed on for a repair.
MOST_ROWS: Final = 50_000


def profile_of(
    counts: Counts, model: Model, renderer: str, train_on: str, max_length: int, *, rows_all: int, measured: Measured
) -> TokenProfile:
    """Everything about these examples when they are cut at ``max_length``."""
    tokens = counts.tokens
    trained, seen = _trained(counts, None), _trained(counts, max_length)
    rows = np.unique(counts.row_ids).size + len({one.row_id for one in counts.refused})
    times = rows_all / rows if measured == "sample" and rows else 1.0
    long, bare = tokens > max_length, seen == 0
    if not train_on:
        bare = np.zeros_like(long)

    def projected(number: float) -> int:
        return round(float(number) * times)

    p50, p95 = (int(one) for one in np.quantile(tokens, [0.5, 0.95], method="inverted_cdf")) if tokens.size else (0, 0)
    longest = int(tokens.max()) if tokens.size else 0
    return TokenProfile(
        model=model.name,
        renderer=renderer,
        train_on=train_on,
        max_length=max_length,
        measured=measured,
        rows=int(rows),
        rows_all=rows_all,
        examples=int(tokens.size),
        p50=p50,
        p95=p95,
        max=longest,
        mean=float(tokens.mean()) if tokens.size else 0.0,
        total=projected(tokens.sum()),
        trained=projected(trained.sum()),
        too_long=projected(np.unique(counts.row_ids[long]).size),
        cut_tokens=projected(np.maximum(tokens - max_length, 0).sum()),
        cut_trained=projected((trained - seen).sum()),
        nothing_left=projected(np.unique(counts.row_ids[bare]).size),
        long_lines=_first(counts.lines[long]),
        long_row_ids=_ids(counts.row_ids[long]),
        bare_lines=_first(counts.lines[bare]),
        bare_row_ids=_ids(counts.row_ids[bare]),
        refusals=tuple(_refusals(counts.refused)),
        bars=_bars(tokens, p95),
        note=_note(model, measured, int(rows), rows_all),
    )


def _trained(counts: Counts, limit: int | None) -> Ints:
    """Tokens of each example that the loss counts, those beyond ``limit`` left out."""
    edges = counts.spans if limit is None else np.minimum(counts.spans, limit)
    sums = np.concatenate([[0], np.cumsum(edges[1::2] - edges[::2])])
    return sums[counts.starts[1:] // 2] - sums[counts.starts[:-1] // 2]


def _first(lines: Ints) -> tuple[int, ...]:
    return tuple(int(line) for line in np.unique(lines)[:SHOWN_LINES])


def _ids(row_ids: Ints) -> tuple[int, ...]:
    return tuple(int(one) for one in np.unique(row_ids)[:MOST_ROWS])


def _refusals(refused: tuple[Refused, ...]) -> Iterator[Refusal]:
    """Rows that were refused with the same words, together."""
    kinds: dict[tuple[str, str, str], list[Refused]] = {}
    for one in refused:
        # What differs from row to row (a name, a place in the text) would make a kind of each row.
        words = one.what if one.code == "unsupported_tools" else ""
        kinds.setdefault((one.code, words, one.next_step), []).append(one)
    for (code, _, next_step), members in kinds.items():
        lines = tuple(sorted({one.line for one in members})[:SHOWN_LINES])
        row_ids = tuple(sorted({one.row_id for one in members})[:MOST_ROWS])
        yield Refusal(code, members[0].what, next_step, len({one.row_id for one in members}), lines, row_ids)


def _bars(tokens: Ints, p95: int) -> tuple[Bar, ...]:
    if not tokens.size:
        return ()
    longest = int(tokens.max())
    step = step_for(p95, longest)
    places = np.minimum(np.maximum(tokens - 1, 0) // step, BARS)
    return bars(dict(enumerate(np.bincount(places.astype(np.int64)).tolist())), step, longest)


def _note(model: Model, measured: Measured, rows: int, rows_all: int) -> str:
    match measured:
        case "every row":
            return f"Counted in every row, with the tokenizer of {model.label}."
        case "sample":
            return (
                f"Counted in {rows:,} of {rows_all:,} rows, drawn by their text, with the tokenizer of {model.label}. "
                "Totals are projected from them."
            )
        case "estimate":
            return (
                f"An estimate from the number of letters ({model.chars_per_token:g} to a token): the tokenizer of "
                f"{model.label} is not on this computer."
            )
