"""The judge of RLHF: a model that learns from pairs which of two answers is better, and says so about new ones.

Guarantees: it is the cookbook's preference model (it reads both answers and names one), trained by ``supervised.train.main`` on
every pair in both orders, so that the place of an answer tells it nothing; its accuracy is measured on pairs that it was not
trained on, in both orders too. A judge that does not clearly beat chance ends the run: practising for its reward would teach
nothing, or something wrong. It is kept with its run, and later runs can name it.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import chz
import datasets
import tinker
from tinker_cookbook.preference.preference_datasets import ChatDatasetBuilderFromComparisons, ComparisonDatasetBuilder
from tinker_cookbook.preference.types import (
    Comparison,
    ComparisonRendererFromChatRenderer,
    LabeledComparison,
    PreferenceModelFromChatRenderer,
)
from tinker_cookbook.supervised import train as loop
from tinker_cookbook.supervised.types import ChatDatasetBuilderCommonConfig, SupervisedDataset

from studio.data.types import Message
from studio.errors import RunError
from studio.models import Model
from studio.models.rendering import Template, spoken, template
from studio.runs import examples, stages
from studio.runs.attendant import Attendant, finish, run_loop
from studio.runs.desk import StopAsked
from studio.runs.meter import Meter
from studio.runs.metrics import VALIDATION

if TYPE_CHECKING:
    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.runs.work import Result, Work

#: A judge that is right less often than this has too little to teach, whatever the number of pairs.
LEAST_ACCURACY: Final = 0.6
#: Standard errors above chance that count as clear: one-sided, about 1 judge in 20 that only guesses would pass.
_CLEAR: Final = 1.645
#: What the comparison adds to a prompt and two answers: three lines between them, with their marks.
_FRAME_TOKENS: Final = 96
# A judge that has not learned yet names neither answer, and the cookbook says so for every pair; it counts as half right.
logging.getLogger("tinker_cookbook.preference.types").setLevel(logging.ERROR)


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Train the judge, and return its held-out accuracy. Raises as ``Trainer.train`` says, and ``RunError`` for a bad judge."""
    meter = Meter(desk, work)
    scorer = held_out(work, work.model, meter)
    attendant = Attendant(desk, work, meter, scorer)
    run_loop(desk, link, attendant, loop.main(config(work, attendant)))
    metrics = finish(desk, link, work, attendant)
    found = metrics.series("validation_accuracy")
    if not found or found[-1].step != work.total:
        # A stop came between the last step and the exam; nobody may practise for a judge that did not sit it.
        raise StopAsked("The judge is trained and saved.")
    require_clear(found[-1].value, scorer.pairs)
    losses = metrics.train()
    return {
        "accuracy": found[-1].value,
        "accuracy_first": found[0].value if found[0].step == 0 else None,
        "rows": scorer.pairs,
        "train_loss_last": losses[-1].value if losses else None,
    }


def config(work: Work, attendant: Attendant) -> loop.Config:
    """The cookbook's configuration. Its own periodic evaluation and saving are off: the attendant does both."""
    recipe = work.recipe
    return loop.Config(
        log_path=str(work.folder),
        model_name=work.model.wire_name,
        recipe_name="tuning_fork_rlhf_judge",
        load_checkpoint_path=work.start.state_path or None,
        renderer_name=recipe.renderer,
        dataset_builder=_dataset(work),
        learning_rate=recipe.judge_learning_rate,
        lr_schedule="linear",
        num_epochs=recipe.judge_epochs,
        lora_rank=recipe.lora_rank,
        evaluator_builders=[lambda: attendant],
        eval_every=1,
        save_every=0,
        ttl_seconds=None,
        session_name=work.run.name,
    )


def require_clear(accuracy: float, pairs: int) -> None:
    """Raise ``RunError`` unless this accuracy on so many held-out pairs is clearly better than tossing a coin.

    A coin that judges n pairs is right on a share of them with mean 1/2 and standard error 1 / (2 √n).
    """
    least = max(LEAST_ACCURACY, 0.5 + _CLEAR * 0.5 / math.sqrt(pairs))
    if accuracy >= least:
        return
    raise RunError(
        f"The judge is right on {accuracy:.0%} of {pairs:,} held-out pairs. It takes {least:.0%} to be clearly better than "
        "tossing a coin, so nothing good could be learned from it.",
        where="judge",
        next_step="Add more pairs or clearer ones, or let the judge learn longer. Preference training (DPO) asks for less.",
    )


def held_out(work: Work, model: Model, meter: Meter) -> Examiner:
    """What examines a judge on the validation pairs. Raises ``RunError`` when there are none."""
    rows = examples.validation_rows(work)
    if not rows:
        raise RunError(
            "There are no held-out pairs, so nobody could tell whether the judge is any good.",
            where="data",
            next_step="Split the data again with a validation part.",
        )
    return Examiner(template(model), [comparison(row) for row in rows], meter)


class Examiner:
    """Asks a judge about pairs whose better answer is known. ``tokens`` stays 0: what it reads is counted as it is asked."""

    tokens = 0

    def __init__(self, written: Template, pairs: Sequence[Comparison], meter: Meter) -> None:
        self._written = written
        self._pairs = pairs
        self._meter = meter
        self.pairs = len(pairs)

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """The share of right verdicts. Both orders count; one that names neither answer is half right."""
        judge = Judge(self._written, sampling_client, self._meter)
        better_first, better_second = await asyncio.gather(
            asyncio.gather(*(judge(pair) for pair in self._pairs)),
            asyncio.gather(*(judge(pair.swap()) for pair in self._pairs)),
        )
        right = [(1 - score) / 2 for score in better_first] + [(1 + score) / 2 for score in better_second]
        return {f"{VALIDATION}/accuracy": math.fsum(right) / len(right)}


class Judge(PreferenceModelFromChatRenderer):
    """The cookbook's preference model, with what it reads counted: -1 prefers the first answer, 1 the second, 0 neither."""

    def __init__(self, written: Template, client: tinker.SamplingClient, meter: Meter) -> None:
        super().__init__(written.renderer, client)
        self.comparison_renderer = _Counting(written, meter)


class _Counting(ComparisonRendererFromChatRenderer):
    def __init__(self, written: Template, meter: Meter) -> None:
        super().__init__(written.renderer)
        self._meter = meter

    def build_generation_prompt(self, comparison: Comparison) -> tinker.ModelInput:
        prompt = super().build_generation_prompt(comparison)
        self._meter.count("prefill", prompt.length)
        self._meter.count("sample", 1)
        return prompt


def comparison(row: Mapping[str, Any]) -> Comparison:
    """A row of pairs with its better answer first."""
    better, worse = examples.pair(row)
    return Comparison(said(better[:-1]), said(better[-1:]), said(worse[-1:]))


def said(turns: Sequence[Message]) -> list[Any]:
    """Turns as a judge reads them: who speaks, and what is said or called."""
    return [{"role": turn.role, "content": spoken(turn)} for turn in turns]


@chz.chz
class Pairs(ComparisonDatasetBuilder):
    """The training pairs of a split, for the cookbook's own data set of comparisons."""

    path: str
    cache: str

    def get_train_and_test_datasets(self) -> tuple[datasets.Dataset, datasets.Dataset | None]:
        """The rows, mapped from disk. Held-out pairs are the attendant's."""
        return examples.rows_of(Path(self.path), Path(self.cache)), None

    def example_to_labeled_comparison(self, example: dict[str, Any]) -> LabeledComparison | None:
        """The pair; its better answer comes first, until the data set turns it round."""
        return LabeledComparison(comparison(example), "A")


@chz.chz
class _Shuffled(ChatDatasetBuilderFromComparisons):
    """The cookbook's data set of comparisons, in an order that also depends on the recipe's seed."""

    seed: int

    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        made, _ = super().__call__()
        rows: datasets.Dataset = made.hf_dataset  # pyright: ignore[reportAttributeAccessIssue] - it says only what it must be
        made.hf_dataset = rows.shuffle(seed=self.seed)  # pyright: ignore[reportAttributeAccessIssue]
        return made, None


def _dataset(work: Work) -> ChatDatasetBuilderFromComparisons:
    recipe = work.recipe
    return _Shuffled(
        common_config=ChatDatasetBuilderCommonConfig(
            model_name_for_tokenizer=work.model.wire_name,
            renderer_name=recipe.renderer,
            # Two answers stand behind one prompt.
            max_length=min(work.model.context, 2 * recipe.max_length + _FRAME_TOKENS),
            batch_size=stages.batch_size(recipe, work.stage),
        ),
        comparison_builder=Pairs(path=str(work.dataset.train.path), cache=str(work.cache)),
        swap=True,
        seed=recipe.seed,
    )
