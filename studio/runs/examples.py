"""From the rows of a split to what the cookbook's loops are given: conversations with loss weights, one by one or in pairs.

Guarantees: tokens and weights are those of the cookbook's renderer and data pipeline; rows that the model's format cannot hold
are refused before the first step, with their number and the reason; the order of the rows follows from the recipe's seed, or is
the one that a person chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import chz
import datasets
import tinker
import torch
from pyarrow import parquet
from tinker_cookbook.supervised.common import datum_from_model_input_weights
from tinker_cookbook.supervised.data import SupervisedDatasetFromHFDataset
from tinker_cookbook.supervised.nll_evaluator import SamplerNLLEvaluator
from tinker_cookbook.supervised.types import SupervisedDataset, SupervisedDatasetBuilder

from studio import models
from studio.data.splitting.stored import CONVERSATION_COLUMNS, turns_of
from studio.data.types import Message
from studio.errors import RunError
from studio.models.rendering import CannotRender, Template, risky, template
from studio.runs import stages
from studio.runs.metrics import VALIDATION

if TYPE_CHECKING:
    from studio.runs.work import Work

#: Validation rows scored on the way. More would say the same with more decimals and cost more than the training itself.
MOST_VALIDATION_ROWS: Final = 256
#: Where answers to one prompt are trained, the last turn is the answer.
LAST_ANSWER: Final = "last_assistant_message"
_COLUMNS: Final = (*CONVERSATION_COLUMNS, "rejected")


class _Rows(SupervisedDatasetFromHFDataset):
    """The cookbook's dataset whose order also depends on the recipe's seed, or is the one that a person chose."""

    def __init__(
        self,
        rows: datasets.Dataset,
        batch_size: int,
        datums: Callable[[dict[str, Any]], list[tinker.Datum]],
        seed: int | None,
    ) -> None:
        super().__init__(rows, batch_size=batch_size, flatmap_fn=datums)
        self._seed = seed

    def set_epoch(self, seed: int = 0) -> None:
        """Shuffle for the epoch ``seed``; with no seed of our own the rows stay in their order (a curriculum)."""
        if self._seed is not None:
            super().set_epoch(seed=self._seed + seed)


@chz.chz
class Split(SupervisedDatasetBuilder):
    """Builds the training set from a Parquet split. There is no test set here: validation is the attendant's work.

    ``paired`` gives two datums for each row, the better answer before the worse one, weighted by one for each token.
    """

    path: str
    cache: str
    model: str
    renderer: str
    max_length: int
    batch_size: int
    train_on: str
    seed: int | None
    paired: bool = False

    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        """The training set, in batches of datums of token ids and loss weights.

        Raises ``RunError`` when the model's format cannot hold some of the rows: better now than in the middle of the run.
        """
        written = template(models.get(self.model), self.renderer)
        _require_renderable(self.path, written, self.train_on, paired=self.paired)

        def datums(row: dict[str, Any]) -> list[tinker.Datum]:
            if self.paired:
                return list(pair_datums(written, row, self.max_length))
            return [written.datum(conversation(row), self.train_on, self.max_length)]

        return _Rows(rows_of(Path(self.path), Path(self.cache)), self.batch_size, datums, self.seed), None


def split(work: Work, *, paired: bool = False) -> Split:
    """The builder of a stage's training set."""
    recipe = work.recipe
    return Split(
        path=str(work.dataset.train.path),
        cache=str(work.cache),
        model=work.model.name,
        renderer=recipe.renderer,
        max_length=recipe.max_length,
        batch_size=stages.batch_size(recipe, work.stage),
        train_on=target(work),
        seed=recipe.seed if work.shuffle else None,
        paired=paired,
    )


def target(work: Work) -> str:
    """Which tokens a stage learns: what the recipe says for supervised learning, else the answer."""
    return work.recipe.train_on if work.recipe.method == "sl" else LAST_ANSWER


class ExampleScorer:
    """The cookbook's scorer of examples, with the number of tokens that it reads."""

    def __init__(self, data: Sequence[tinker.Datum], tokenizer: Any) -> None:  # noqa: ANN401 - see ``models.rendering``
        self._scorer = SamplerNLLEvaluator(list(data), name=VALIDATION, tokenizer=tokenizer)
        self.tokens = tokens_of(data)

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """``validation/nll`` in nats per token and ``validation/bpb`` in bits per byte."""
        return await self._scorer(sampling_client)


def scorer(work: Work) -> ExampleScorer | None:
    """Scores the first validation rows (their order is the split's), or ``None`` when there are none."""
    written = template(work.model, work.recipe.renderer)
    _require_renderable(str(work.dataset.validation.path), written, target(work))
    found = [written.datum(conversation(row), target(work), work.recipe.max_length) for row in validation_rows(work)]
    # A row whose answer was cut off entirely has nothing to score.
    found = [datum for datum in found if any(weight > 0 for weight in datum.loss_fn_inputs["weights"].data)]
    return ExampleScorer(found, written.tokenizer) if found else None


def validation_rows(work: Work) -> list[dict[str, Any]]:
    """The first validation rows; their order is the split's."""
    part = work.dataset.validation
    count = min(part.rows, MOST_VALIDATION_ROWS)
    return rows_of(part.path, work.cache).select(range(count)).to_list() if count else []


def conversation(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """The turns of a row with its good answer, also where the row is one of a pair."""
    turns = turns_of(row)
    return turns if row.get("training", "SL") == "SL" else (*turns, Message("assistant", row.get("completion") or ""))


def pair(row: Mapping[str, Any]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """The conversation of a row of pairs with the better and with the worse answer."""
    turns = turns_of(row)
    better, worse = row.get("completion") or "", row.get("rejected") or ""
    return (*turns, Message("assistant", better)), (*turns, Message("assistant", worse))


def pair_datums(written: Template, row: Mapping[str, Any], max_length: int) -> tuple[tinker.Datum, tinker.Datum]:
    """Better and worse as the cookbook's DPO takes them: the weight of each token of the answer is one.

    DPO compares log-probabilities of whole answers (Rafailov et al., 2023), so nothing is divided by the length.
    """
    better, worse = (_summed(written, turns, max_length) for turns in pair(row))
    return better, worse


def tokens_of(data: Sequence[tinker.Datum]) -> int:
    """Tokens of whole sequences: a datum's input and the last target after it."""
    return sum(datum.model_input.length + 1 for datum in data)


def rows_of(path: Path, cache: Path) -> datasets.Dataset:
    """The rows of a split, mapped from disk and not read into memory.

    The cache stays in the run's folder: the rows are the person's own.
    """
    return datasets.Dataset.from_parquet(str(path), cache_dir=str(cache), columns=_columns(path))


def _summed(written: Template, turns: Sequence[Message], max_length: int) -> tinker.Datum:
    whole, counted = written.example(turns, LAST_ANSWER)
    weights = torch.tensor([float(one) for one in counted])
    return datum_from_model_input_weights(whole, weights, max_length, reduction="none")


def _columns(path: Path) -> list[str]:
    there = set(parquet.read_schema(path).names)
    return [name for name in _COLUMNS if name in there]


def _require_renderable(path: str, written: Template, train_on: str, *, paired: bool = False) -> None:
    """Render every row that some format could refuse, and say how many this one does. Raises ``RunError``."""
    refused: list[CannotRender] = []
    for turns in _suspects(Path(path), paired=paired):
        try:
            written.example(turns, train_on)
        except CannotRender as refusal:
            refused.append(refusal)
    if refused:
        many = "1 row" if len(refused) == 1 else f"{len(refused):,} rows"
        raise RunError(
            f"{many} of this data set cannot be written for {written.model.label}. {refused[0].what}",
            where="data",
            next_step=refused[0].next_step or "Leave these rows out where the file is checked, or choose another model.",
        )


def _suspects(path: Path, *, paired: bool) -> Iterator[tuple[Message, ...]]:
    """The conversations that some format could refuse."""
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=_columns(path)):
            for row in batch.to_pylist():
                for turns in pair(row) if paired else (conversation(row),):
                    if risky(turns):
                        yield turns
