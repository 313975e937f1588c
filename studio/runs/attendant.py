"""Stands beside a training loop of the cookbook: measures, saves, reports, and ends it where nothing is lost.

Guarantees: the loops are the cookbook's, unchanged; they call their evaluator with the training client before each step, and
everything of ours hangs there. A checkpoint taken there holds exactly the steps before it, so a resumed run takes the same
steps as one that was never interrupted. (The loops' own periodic checkpoint is taken when the next step has already been
submitted, and would train up to two batches twice.) A stage whose ``finish`` returned is complete, measured, and tidied up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

import tinker
from tinker_cookbook import checkpoint_utils
from tinker_cookbook.eval.evaluators import TrainingClientEvaluator
from tinker_cookbook.utils import ml_log

from studio.errors import EngineError, RunError
from studio.runs import checkpoints, files
from studio.runs.desk import Desk, StopAsked
from studio.runs.link import beside
from studio.runs.meter import Meter
from studio.runs.metrics import AT, LIFE, VALIDATION, MetricsFile

if TYPE_CHECKING:
    from studio.runs.link import Link
    from studio.runs.work import Work

#: A hosted server bills for storage: what a killed worker could not delete goes by itself after this time.
_HOSTED_TTL_SECONDS: Final = 7 * 24 * 3600
#: Checkpoints kept while training: the one before the last is needed when the process dies in between (see ``checkpoints``).
_KEPT: Final = 2
#: What is said of a check, where it was measured.
_SAID: Final = (("nll", "validation loss"), ("accuracy", "held-out accuracy"))


class Scorer(Protocol):
    """Measures weights on rows that are not trained on. ``tokens`` are those that its last call had the server read."""

    @property
    def tokens(self) -> int:
        """Tokens of the last call."""
        ...

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """Numbers by the names that metrics have them under."""
        ...


class Attendant(TrainingClientEvaluator):
    """Called before each step with the weights that all earlier steps produced.

    A loop that writes the metrics of a step before it calls for the next one can be ended as soon as the state is saved
    (``ends_at_once``); the others are ended one step later, because that line is written in between.
    """

    ends_at_once: bool = False

    def __init__(self, desk: Desk, work: Work, meter: Meter, scorer: Scorer | None) -> None:
        self._desk = desk
        self._work = work
        self.meter = meter
        self.scorer = scorer
        self._step = work.begun_at
        self._begun = False
        self._saved = [one.state_path for one in work.saved if not one.final]
        self._ending: StopAsked | None = None
        self._rest: tinker.RestClient | None = None
        self._life = time.time()
        self._metrics = MetricsFile(work.folder / files.METRICS)
        self._metrics.read()

    @property
    def begun(self) -> bool:
        """Whether the loop has called: from then on it is ended from here, where nothing is lost."""
        return self._begun

    async def __call__(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        """Do what is due before the next step, and return what belongs to its line in the metrics."""
        self._begun = True
        work, step = self._work, self._step
        if self._ending is not None:
            raise self._ending
        ending = self._why_stop()
        if ending is not None and step == work.begun_at:
            raise ending
        found: dict[str, float] = {}
        # The model before training is always measured: without it nobody can tell what training did.
        if ending is None and (step == 0 or _due(step, work.recipe.eval_every)):
            found = await self._score(training_client)
        if ending is not None or (step > work.begun_at and _due(step, work.recipe.save_every)):
            await self._save(training_client, stopping=ending is not None)
        if ending is not None and self.ends_at_once:
            raise ending
        self._ending = ending
        self._report(found)
        self._step += 1
        return {**found, **self.meter.take(), AT: time.time(), LIFE: self._life}

    def _kept(self, step: int) -> str:
        return f"It is saved at step {step:,} of {self._work.total:,}." if step else "It had not begun."

    async def _score(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        if self.scorer is None:
            return {}
        self._desk.phase("measuring on the validation rows" if self._step else "measuring the model before training")
        return await self._measured(await training_client.save_weights_and_get_sampling_client())

    async def score_saved(self, sampler_path: str) -> dict[str, float]:
        """What the scorer measures of saved weights: the loops do not measure their end result."""
        if self.scorer is None:
            return {}
        return await self._measured(await tinker.ServiceClient().create_sampling_client(model_path=sampler_path))

    async def _measured(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        if self.scorer is None:
            return {}
        found = await self.scorer(sampling_client)
        self.meter.count("prefill", self.scorer.tokens)
        return found

    async def _save(self, training_client: tinker.TrainingClient, *, stopping: bool) -> None:
        """Keep what was learned in ``self._step`` steps: to go on from, and in the form that answers, to be compared."""
        self._desk.phase("saving")
        paths = await checkpoint_utils.save_checkpoint_async(
            training_client,
            name=f"{self._step:06d}",
            log_path=str(self._work.folder),
            loop_state=self._loop_state(),
            kind="both",
            ttl_seconds=None if self._desk.settings.place == "embedded" else _HOSTED_TTL_SECONDS,
        )
        # A run that goes on has no result yet.
        self._work.record(self._desk, paths["state_path"], paths["sampler_path"] if stopping else "")
        self._saved.append(paths["state_path"])
        await self.forget(keep=_KEPT)

    def _why_stop(self) -> StopAsked | None:
        """The reason to save and end before the next step, or ``None``."""
        return self.meter.why_stop(self._kept(self._step))

    def _loop_state(self) -> dict[str, Any]:
        """Where the loop goes on when it is resumed from here."""
        epoch, batch = divmod(self._step, self._work.length.per_pass)
        return {"epoch": epoch, "batch": batch}

    async def forget(self, *, keep: int) -> None:
        """Delete the training state of all but the last ``keep`` checkpoints of this stage; one that cannot be is only noted.

        What answers is small, has no state of the optimiser, and stays: the way of a run can be compared afterwards.
        """
        while len(self._saved) > keep:
            path = self._saved.pop(0)
            self._rest = self._rest or tinker.RestClient()
            try:
                await self._rest.delete_checkpoint_from_tinker_path(path)
            except tinker.TinkerError as error:
                self._desk.say(f"An old checkpoint could not be deleted ({path}): {error}")

    def _report(self, found: dict[str, float]) -> None:
        self._desk.phase(self._work.phase)
        total = self._work.total
        if self._metrics.read() and (known := self._metrics.train()):
            done = self._metrics.finished
            self._desk.say(f"step {done:,} of {total:,}  training loss {known[-1].value:.4f}")
            self._work.report(self._desk, done)
        for name, words in _SAID:
            if (value := found.get(f"{VALIDATION}/{name}")) is not None:
                self._desk.say(f"step {self._step:,} of {total:,}  {words} {value:.4f}")


def run_loop(desk: Desk, link: Link, attendant: Attendant, loop: Coroutine[Any, Any, None]) -> None:
    """Run one of the cookbook's loops to its end. Raises as ``beside`` does, and ``StopAsked`` after saving."""
    # The cookbook would write the diff of whatever git repository its package lies in beside the metrics (with a virtual
    # environment inside somebody's project: that project's unpublished changes), and fail where there is no git.
    ml_log.code_state = lambda *_: "Code is not recorded.\n"  # pyright: ignore[reportPrivateImportUsage]

    def check() -> None:
        # Before the loop has begun there is nothing to save; from then on the attendant ends it, where nothing is lost.
        if not attendant.begun:
            desk.check()

    beside(link, loop, check=check)


def finish(desk: Desk, link: Link, work: Work, attendant: Attendant) -> MetricsFile:
    """Everything after the last step: the final checkpoint is recorded, its weights are measured, the other ones deleted.

    Raises ``RunError`` when the loop ended without its final checkpoint. Returns the stage's metrics, read to the end.
    """
    saved = checkpoints.known(work.folder, work.length.per_pass)
    if not saved or not saved[-1].final:
        raise RunError("The training loop ended without its final checkpoint.", next_step="Choose Resume.")
    final = saved[-1]
    work.record(desk, final.state_path, final.sampler_path)
    desk.phase("measuring the result")
    try:
        found = beside(link, attendant.score_saved(final.sampler_path), check=desk.check)
    except StopAsked:
        found = {}  # the training is complete and saved; only this number is missing
    line = {"step": work.total, **found, **attendant.meter.take(), AT: time.time(), LIFE: 0.0}
    with (work.folder / files.METRICS).open("a", encoding="utf-8") as metrics:
        metrics.write(json.dumps(line) + "\n")
    try:
        beside(link, attendant.forget(keep=0))
    except EngineError as error:
        desk.say(f"The run is complete; its old checkpoints could not be deleted: {error}")
    read = MetricsFile(work.folder / files.METRICS)
    read.read()
    work.report(desk, work.total)
    return read


def first_and_last(metrics: MetricsFile, name: str) -> dict[str, float | None]:
    """``NAME_first`` (before the first step, ``None`` when that was not measured) and ``NAME_last`` of a check's series."""
    points = metrics.series(name)
    first = points[0].value if points and points[0].step == 0 else None
    return {f"{name}_first": first, f"{name}_last": points[-1].value if points else None}


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
