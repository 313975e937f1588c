"""From a split data set to the few facts that a recommendation needs."""

from __future__ import annotations

from studio.data import Dataset
from studio.recipe.values import DataFacts


def facts_of(dataset: Dataset) -> DataFacts:
    """What the recommender needs to know of a data set. Lengths are characters of prompt and answer together.

    The two 95th percentiles add up to a little more than that of the sum, which errs on the side of cutting nothing off.
    """
    lengths = dataset.inspection.lengths
    rows = max(1, dataset.inspection.rows_usable)
    shape = dataset.inspection.shape
    return DataFacts(
        train_rows=dataset.train.rows,
        validation_rows=dataset.validation.rows,
        test_rows=dataset.test.rows,
        mean_chars=(lengths.prompt.total + lengths.completion.total) / rows,
        p95_chars=float(lengths.prompt.p95 + lengths.completion.p95),
        max_chars=float(lengths.prompt.max + lengths.completion.max),
        multi_turn=shape is not None and shape.kind == "messages",
    )
