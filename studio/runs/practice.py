"""Stands beside the cookbook's loops that sample answers: RL, RLHF, on-policy distillation.

Guarantees: the loops are ``rl.train.main`` and ``distillation.train_on_policy.main``, unchanged; stopping, saving, the budget
and reports are the attendant's (``attendant``), so a checkpoint holds exactly the steps before it. What a step's answers were
worth is counted over all of them: the loops' own numbers leave out the groups that taught nothing, and would say too little or
too much. These numbers are in the line of the next step, and of the check after the last one.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

import tinker
from tinker_cookbook import checkpoint_utils
from tinker_cookbook.eval.evaluators import SamplingClientEvaluator

from studio.runs import rollouts
from studio.runs.attendant import Attendant
from studio.runs.desk import Desk, StopAsked
from studio.runs.heldout import HeldOut
from studio.runs.meter import Meter
from studio.runs.metrics import PRACTICE, VALIDATION
from studio.runs.rollouts import Group

if TYPE_CHECKING:
    from studio.runs.work import Work

#: One step's distance is that of a few dozen answers and jumps about: a limit is held against the mean of so many.
_DRIFT_STEPS: Final = 3
_SAID: Final = (("reward", "held-out reward"), ("teacher_kl", "held-out distance to the teacher"))


class DriftReached(StopAsked):
    """The model has moved further from where it began than the recipe allows. It is handled like a stop, and says why."""

    def __init__(self, limit: float, distance: float, kept: str) -> None:
        super().__init__(
            kept,
            reason=f"It moved {distance:.2f} nats a token from where it began; its limit is {limit:.2f}.",
            next_step="Compare it before you trust its reward, or start a new run with a larger KL coefficient.",
        )


class Practice(Attendant):
    """The attendant of a loop that samples its own answers.

    ``drops_flat``: groups without signal are not trained on. ``references``: how often weights as they were at the start read
    every trained answer. ``taught``: the teacher reads it once.
    """

    #: The loops write the line of a step before they call for the next one.
    ends_at_once = True

    def __init__(
        self,
        desk: Desk,
        work: Work,
        meter: Meter,
        held_out: HeldOut | None,
        *,
        drops_flat: bool,
        references: int,
        taught: bool = False,
    ) -> None:
        super().__init__(desk, work, meter, held_out)
        self._held_out = held_out
        self._drops_flat = drops_flat
        self._references = references
        self._taught = taught
        self._training: tinker.TrainingClient | None = None
        self._sampling: tinker.SamplingClient | None = None
        self._before: dict[str, float] = {}
        # A process that was stopped wrote no line after its last step; one that was killed may have.
        self._uncounted_from = work.begun_at + (self._metrics.finished > work.begun_at)

    @property
    def evaluator(self) -> SamplingClientEvaluator:
        """What the loop is given to call before each step."""
        return _Before(self)

    async def before_step(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """Everything that is due before the next step; what belongs to its line in the metrics."""
        if self._training is None:
            raise RuntimeError("The loop has not made its training client.")
        self._sampling = sampling_client
        self._before = self._numbers_of(self._step)
        return {**self._before, **await self(self._training)}

    async def score_saved(self, sampler_path: str) -> dict[str, float]:
        """The end result on held-out questions, and the numbers of the last step."""
        if self._held_out is not None:
            self._held_out.step = self._work.total
        last = self._numbers_of(self._work.total)
        return {**last, **await super().score_saved(sampler_path)}

    @contextmanager
    def noting(self) -> Generator[None]:
        """While the block runs, the client that a loop trains with is noted: it shows its evaluators only what samples."""
        made = checkpoint_utils.CheckpointManager
        attendant = self

        class Noted(made):
            def __init__(self, training_client: tinker.TrainingClient, *args: Any, **kwargs: Any) -> None:
                attendant._training = training_client
                super().__init__(training_client, *args, **kwargs)

        checkpoint_utils.CheckpointManager = Noted
        try:
            yield
        finally:
            checkpoint_utils.CheckpointManager = made

    def _loop_state(self) -> dict[str, Any]:
        return {"batch": self._step}

    def _why_stop(self) -> StopAsked | None:
        limit = self._work.recipe.kl_limit
        drift = self._drift() if limit is not None else None
        if limit is not None and drift is not None and drift > limit:
            return DriftReached(limit, drift, self._kept(self._step))
        return super()._why_stop()

    def _drift(self) -> float | None:
        """How far it is from its start, in nats a token: over the last steps where that is known, else at the last check."""
        self._metrics.read()
        if steps := self._metrics.series("kl")[-_DRIFT_STEPS:]:
            return fmean(point.value for point in steps)
        checks = self._metrics.series("validation_kl")
        return checks[-1].value if checks else None

    async def _score(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        del training_client  # the loop has made a sampling client of these weights already
        if self._held_out is None or self._sampling is None:
            return {}
        self._held_out.step = self._step
        self._desk.phase("measuring on held-out questions" if self._step else "measuring the model before training")
        return await self._measured(self._sampling)

    def _numbers_of(self, step: int) -> dict[str, float]:
        """What ``step`` was worth, from its answers on disk: whoever sampled them."""
        groups = rollouts.read(self._work.folder, step) if step > 0 else ()
        if groups and step >= self._uncounted_from:
            self._count(groups)
        found = rollouts.summary(groups)
        return {} if found is None else as_numbers(found, PRACTICE)

    def _count(self, groups: Sequence[Group]) -> None:
        for group in groups:
            answered = sum(answer.tokens for answer in group.answers)
            whole = answered + group.prompt_tokens * len(group.answers)
            self.meter.count("sample", answered)
            self.meter.count("prefill", whole - answered)
            if not (self._drops_flat and group.flat):
                self.meter.count("train", whole)
                self.meter.count("prefill", whole * self._references)
                if self._taught:
                    self.meter.count_teacher("prefill", whole)

    def _report(self, found: dict[str, float]) -> None:
        self._desk.phase(self._work.phase)
        total = self._work.total
        if self._metrics.read():
            done = self._metrics.finished
            said = {"mean reward": self._before.get(f"{PRACTICE}/reward")}
            if known := self._metrics.series("teacher_kl"):
                said["distance to the teacher"] = known[-1].value
            for words, value in said.items():
                if value is not None:
                    self._desk.say(f"step {done:,} of {total:,}  {words} {value:.3f}")
            self._work.report(self._desk, done)
        for name, words in _SAID:
            if (value := found.get(f"{VALIDATION}/{name}")) is not None:
                self._desk.say(f"step {self._step:,} of {total:,}  {words} {value:.3f}")


def as_numbers(found: rollouts.Summary, prefix: str) -> dict[str, float]:
    """A step's numbers by the names that metrics have them under. What is not known is left out."""
    named = {"answer_tokens": found.answer_tokens, "cut_share": found.cut}
    if not math.isnan(found.reward):  # a teacher gives no reward
        named |= {"reward": found.reward, "reward_spread": found.spread}
        named |= {"signal_share": found.signal, "missing_share": found.missing}
    return {f"{prefix}/{name}": value for name, value in named.items()}


class _Before(SamplingClientEvaluator):
    def __init__(self, practice: Practice) -> None:
        self._practice = practice

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        return await self._practice.before_step(sampling_client)
