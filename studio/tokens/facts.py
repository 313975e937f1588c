"""What a recommendation and an estimate of the cost gain from counted tokens.

Guarantees: quick (what was counted is only read, and once while its files stay the same); a mean is that of the very rows that
are trained or checked on, wherever every row was counted.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from pyarrow import parquet

from studio.data import Dataset, Inspection
from studio.models import Model
from studio.recipe import FIELDS, DataFacts
from studio.recipe.cost import MOST_READ
from studio.tokens.counts import Counts
from studio.tokens.profiles import counted, known

#: Of a choice that trains on everything, the trained tokens say nothing about the length of an answer.
_EVERYTHING: Final = "all_tokens"


def with_tokens(facts: DataFacts, dataset: Dataset, model: Model) -> DataFacts:
    """The facts with token counts where some are on file for this model, as they are otherwise.

    Any training target will do: it decides what is learned, not how long an example is. Nobody has seen the longest example in
    a sample, so its length stays an estimate then.
    """
    for target, _ in FIELDS["train_on"].choices:
        profile = known(dataset, model, target)
        if profile is None or profile.measured == "estimate":
            continue
        trained = None if target == _EVERYTHING else profile.mean * profile.share_trained
        found = replace(facts, mean_tokens=profile.mean, p95_tokens=profile.p95, trained_tokens=trained)
        if profile.measured != "every row":
            return found
        parts = tuple((part.path, part.path.stat().st_mtime_ns) for part in (dataset.train, dataset.validation))
        train, validation = _means(_Source(dataset.inspection, model, target, profile.total), *parts)
        return replace(found, mean_tokens=train or profile.mean, validation_mean_tokens=validation, max_tokens=profile.max)
    return facts


class _Source:
    """Where counts come from, equal to another one of the same file, model, choice and total."""

    def __init__(self, inspection: Inspection, model: Model, target: str, total: int) -> None:
        self.inspection, self.model, self.target = inspection, model, target
        self._key = (inspection.folder, inspection.fingerprint, inspection.fixes, model.name, target, total)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Source) and self._key == other._key


@lru_cache(maxsize=32)
def _means(source: _Source, train: tuple[Path, int], validation: tuple[Path, int]) -> tuple[float | None, float | None]:
    """Mean tokens of the training rows, and of the validation rows that a check reads; ``None`` where a row is not on file.

    The times of the parts make the cache notice other parts of the same name.
    """
    counts = counted(source.inspection, source.model, source.target)
    if counts is None:
        return None, None
    return _mean(counts, _rows(train[0])), _mean(counts, _rows(validation[0])[:MOST_READ])


def _mean(counts: Counts, rows: tuple[int, ...]) -> float | None:
    wanted = np.asarray(rows, dtype=np.int64)
    found = counts.tokens[np.isin(counts.row_ids, wanted)]
    # A row of a pair has two examples; a row that the format refuses has none, and then the run does not start anyway.
    known_rows = np.unique(counts.row_ids[np.isin(counts.row_ids, wanted)]).size
    return float(found.mean()) if found.size and known_rows == len(set(rows)) else None


def _rows(path: Path) -> tuple[int, ...]:
    """The ids of a part's rows in their order."""
    table = parquet.read_table(path, columns=["row_id"])
    return tuple(int(one) for one in table.column("row_id").to_pylist() if one is not None)
