"""What a recommendation gains from counted tokens."""

from __future__ import annotations

from dataclasses import replace

from studio.data import Dataset
from studio.models import Model
from studio.recipe import FIELDS, DataFacts
from studio.tokens.profiles import known


def with_tokens(facts: DataFacts, dataset: Dataset, model: Model) -> DataFacts:
    """The facts with token counts where some are on file for this model, as they are otherwise.

    Any training target will do: it decides what is learned, not how long an example is. Nobody has seen the longest example in
    a sample, so its length stays an estimate then.
    """
    for target, _ in FIELDS["train_on"].choices:
        profile = known(dataset, model, target)
        if profile is None or profile.measured == "estimate":
            continue
        longest = profile.max if profile.measured == "every row" else None
        return replace(facts, mean_tokens=profile.mean, p95_tokens=profile.p95, max_tokens=longest)
    return facts
