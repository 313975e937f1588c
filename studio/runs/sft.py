"""Supervised learning: our recipe and splits in the cookbook's own training loop, unchanged.

Guarantees: the loop is ``supervised.train.main``; what we add hangs on its evaluator, which it calls with the training client
before each step: validation, checkpoints, the wish to stop. A checkpoint taken there holds exactly the steps before it, so a
resumed run takes the same steps as one that was never interrupted. (The loop's own periodic checkpoint is taken when the next
step has already been submitted, and would train up to two batches twice.)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import chz
import datasets
import tinker
from pyarrow import parquet
from tinker_cookbook import checkpoint_utils
from tinker_cookbook.eval.evaluators import TrainingClientEvaluator
from tinker_cookbook.supervised import train
from tinker_cookbook.supervised.data import SupervisedDatasetFromHFDataset
from tinker_cookbook.supervised.nll_evaluator import SamplerNLLEvaluator
from tinker_cookbook.supervised.types import SupervisedDataset, SupervisedDatasetBuilder
from tinker_cookbook.utils import ml_log

from studio import models
from studio.data.splitting.stored import CONVERSATION_COLUMNS, turns_of
from studio.data.types import Message
from studio.errors import RunError
from studio.models.rendering import CannotRender, Template, risky, template
from studio.recipe import Recipe
from studio.runs import files
from studio.runs.checkpoints import Checkpoint
from studio.runs.desk import Desk, StopAsked
from studio.runs.metrics import AT, LIFE, VALIDATION, MetricsFile

#: Validation rows scored on the way. More would say the same with more decimals and cost more than the training itself.
MOST_VALIDATION_ROWS: Final = 256
#: A hosted server bills for storage: what a killed worker could not delete goes by itself after this time.
_HOSTED_TTL_SECONDS: Final = 7 * 24 * 3600
#: Checkpoints kept while training: the one before the last is needed when the process dies in between (see ``checkpoints``).
_KEPT: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process is to do: ``total`` steps altogether, of which the first ``start`` are done already."""

    recipe: Recipe
    wire_name: str
    train_path: Path
    validation_path: Path
    validation_rows: int
    steps_per_epoch: int
    total: int
    start: int
    name: str
    shuffle: bool = True


class _Examples(SupervisedDatasetFromHFDataset):
    """The cookbook's dataset whose order also depends on the recipe's seed, or is the one that a person chose."""

    def __init__(
        self, rows: datasets.Dataset, batch_size: int, map_fn: Callable[[dict[str, Any]], tinker.Datum], seed: int | None
    ) -> None:
        super().__init__(rows, batch_size=batch_size, map_fn=map_fn)
        self._seed = seed

    def set_epoch(self, seed: int = 0) -> None:
        """Shuffle for the epoch ``seed``; with no seed of our own the rows stay in their order (a curriculum)."""
        if self._seed is not None:
            super().set_epoch(seed=self._seed + seed)


@chz.chz
class Splits(SupervisedDatasetBuilder):
    """Builds the training set from a Parquet split. There is no test set here: validation is the attendant's work."""

    path: str
    cache: str
    model: str
    renderer: str
    max_length: int
    batch_size: int
    train_on: str
    seed: int | None

    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        """The training set, in batches of datums of token ids and loss weights.

        Raises ``RunError`` when the model's format cannot hold some of the rows: better now than in the middle of the run.
        """
        written = template(models.get(self.model), self.renderer)
        _require_renderable(self.path, written, self.train_on)

        def datum(row: dict[str, Any]) -> tinker.Datum:
            return written.datum(turns_of(row), self.train_on, self.max_length)

        return _Examples(_rows(self.path, self.cache), self.batch_size, datum, self.seed), None


def splits(plan: Plan, folder: Path) -> Splits:
    """The builder of the plan's training set."""
    recipe = plan.recipe
    return Splits(
        path=str(plan.train_path),
        cache=str(folder / "cache"),
        model=plan.wire_name,
        renderer=recipe.renderer,
        max_length=recipe.max_length,
        batch_size=recipe.batch_size,
        train_on=recipe.train_on,
        seed=recipe.seed if plan.shuffle else None,
    )


def validator(plan: Plan, folder: Path) -> SamplerNLLEvaluator | None:
    """The cookbook's scorer over the first validation rows (their order is the split's), or ``None`` when there are none."""
    count = min(plan.validation_rows, MOST_VALIDATION_ROWS)
    if count == 0:
        return None
    recipe, written = plan.recipe, template(models.get(plan.recipe.model), plan.recipe.renderer)
    _require_renderable(str(plan.validation_path), written, recipe.train_on)
    rows = _rows(str(plan.validation_path), str(folder / "cache")).select(range(count))
    data = [written.datum(turns_of(row), recipe.train_on, recipe.max_length) for row in rows.to_list()]
    # A row whose answer was cut off entirely has nothing to score.
    data = [datum for datum in data if any(weight > 0 for weight in datum.loss_fn_inputs["weights"].data)]
    return SamplerNLLEvaluator(data, name=VALIDATION, tokenizer=written.tokenizer) if data else None


class Attendant(TrainingClientEvaluator):
    """Stands beside the loop: called before each step with the weights that all earlier steps produced."""

    def __init__(self, desk: Desk, plan: Plan, scorer: SamplerNLLEvaluator | None, saved: tuple[Checkpoint, ...]) -> None:
        self._desk = desk
        self._plan = plan
        self._scorer = scorer
        self._step = plan.start
        self._begun = False
        self._saved = [one.state_path for one in saved if not one.final]
        self._stop_saved_at: int | None = None
        self._rest: tinker.RestClient | None = None
        self._life = time.time()
        self._metrics = MetricsFile(desk.folder / files.METRICS)
        self._metrics.read()

    @property
    def begun(self) -> bool:
        """Whether the loop has called: from then on it is ended from here, where nothing is lost."""
        return self._begun

    async def __call__(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        """Do what is due before the next step, and return what belongs to its line in the metrics."""
        self._begun = True
        plan, step = self._plan, self._step
        stopping = self._desk.stopping
        if stopping and (step == plan.start or self._stop_saved_at is not None):
            raise StopAsked(self._kept())
        found: dict[str, float] = {}
        # The model before training is always measured: without it nobody can tell what training did.
        if not stopping and (step == 0 or _due(step, plan.recipe.eval_every)):
            found = await self._score(training_client)
        if stopping or (step > plan.start and step > 0 and _due(step, plan.recipe.save_every)):
            await self._save(training_client, stopping=stopping)
        self._report(found)
        self._step += 1
        return {**found, AT: time.time(), LIFE: self._life}

    def _kept(self) -> str:
        step = self._plan.start if self._stop_saved_at is None else self._stop_saved_at
        return f"It is saved at step {step:,} of {self._plan.total:,}." if step else "It had not begun."

    async def _score(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        if self._scorer is None:
            return {}
        self._desk.phase("measuring on the validation rows" if self._step else "measuring the model before training")
        sampling_client = await training_client.save_weights_and_get_sampling_client()
        return await self._scorer(sampling_client)

    async def _save(self, training_client: tinker.TrainingClient, *, stopping: bool) -> None:
        """Keep the state after ``self._step`` steps; when stopping also in the form that answers, so that it can be compared.

        The loop is ended one step later, because the metrics of the step before this one are written in between.
        """
        self._desk.phase("saving")
        epoch, batch = divmod(self._step, self._plan.steps_per_epoch)
        paths = await checkpoint_utils.save_checkpoint_async(
            training_client,
            name=f"{self._step:06d}",
            log_path=str(self._desk.folder),
            loop_state={"epoch": epoch, "batch": batch},
            kind="both" if stopping else "state",
            ttl_seconds=None if self._desk.settings.place == "embedded" else _HOSTED_TTL_SECONDS,
        )
        run = {"checkpoint_path": paths["state_path"]}
        if stopping:
            self._stop_saved_at = self._step
            run["sampler_path"] = paths["sampler_path"]
        self._desk.store.runs.update(self._desk.job.id, **run)
        self._saved.append(paths["state_path"])
        await self.forget(keep=_KEPT)

    async def forget(self, *, keep: int) -> None:
        """Delete all but the last ``keep`` checkpoints of this run on the server. One that cannot be deleted is only noted."""
        while len(self._saved) > keep:
            path = self._saved.pop(0)
            self._rest = self._rest or tinker.RestClient()
            try:
                await self._rest.delete_checkpoint_from_tinker_path(path)
            except tinker.TinkerError as error:
                self._desk.say(f"An old checkpoint could not be deleted ({path}): {error}")

    def _report(self, found: dict[str, float]) -> None:
        self._desk.phase("training")
        if self._metrics.read() and (known := self._metrics.train()):
            done = self._metrics.finished
            self._desk.say(f"step {done:,} of {self._plan.total:,}  training loss {known[-1].value:.4f}")
            self._desk.progress(done, self._plan.total)
        if (loss := found.get(f"{VALIDATION}/nll")) is not None:
            self._desk.say(f"step {self._step:,} of {self._plan.total:,}  validation loss {loss:.4f}")


def config(plan: Plan, folder: Path, attendant: Attendant) -> train.Config:
    """The cookbook's configuration for this plan. Its own periodic evaluation and saving are off: the attendant does both."""
    recipe = plan.recipe
    return train.Config(
        log_path=str(folder),
        model_name=plan.wire_name,
        recipe_name="tuning_fork_sl",
        renderer_name=recipe.renderer,
        dataset_builder=splits(plan, folder),
        learning_rate=recipe.learning_rate,
        lr_schedule=recipe.lr_schedule,
        num_epochs=recipe.epochs,
        lora_rank=recipe.lora_rank,
        evaluator_builders=[lambda: attendant],
        eval_every=1,
        save_every=0,
        ttl_seconds=None,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_eps=recipe.adam_eps,
        max_steps=recipe.max_steps,
        session_name=plan.name,
    )


async def run(config: train.Config) -> None:
    """Train to the end, from the folder's last checkpoint where there is one."""
    # The cookbook would write the diff of whatever git repository its package lies in beside the metrics (with a virtual
    # environment inside somebody's project: that project's unpublished changes), and fail where there is no git.
    ml_log.code_state = lambda *_: "Code is not recorded.\n"  # pyright: ignore[reportPrivateImportUsage]
    await train.main(config)


async def score_final(scorer: SamplerNLLEvaluator | None, sampler_path: str) -> dict[str, float]:
    """Validation loss of the saved end result, which the loop itself does not measure."""
    if scorer is None:
        return {}
    sampling_client = await tinker.ServiceClient().create_sampling_client(model_path=sampler_path)
    return await scorer(sampling_client)


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def _rows(path: str, cache: str) -> datasets.Dataset:
    # Mapped from disk, not read into memory. The cache stays in the run's folder: the rows are the person's own.
    return datasets.Dataset.from_parquet(path, cache_dir=cache, columns=_columns(path))


def _columns(path: str) -> list[str]:
    there = set(parquet.read_schema(path).names)
    return [name for name in CONVERSATION_COLUMNS if name in there]


def _require_renderable(path: str, written: Template, train_on: str) -> None:
    """Render every row that some format could refuse, and say how many this one does. Raises ``RunError``."""
    refused: list[CannotRender] = []
    for turns in _suspects(path):
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


def _suspects(path: str) -> Iterator[tuple[Message, ...]]:
    """The conversations that some format could refuse."""
    with parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(columns=_columns(path)):
            for row in batch.to_pylist():
                if risky(turns := turns_of(row)):
                    yield turns
