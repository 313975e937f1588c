"""Held-out questions, answered by the weights of a moment: what the answers are worth, how long they are, how far they moved.

Guarantees: the answers are sampled as those of practice are (same temperature, same limit), by the cookbook's own rollout; none
of them is trained on; they are kept beside the answers of practice, so that a number can be traced to what it was given for.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tinker
from tinker_cookbook.completers import TinkerTokenCompleter
from tinker_cookbook.rl.rollouts import do_group_rollout
from tinker_cookbook.rl.types import EnvGroupBuilder, TrajectoryGroup

from studio.runs import rollouts
from studio.runs.meter import Meter
from studio.runs.metrics import VALIDATION
from studio.runs.rollouts import Group

if TYPE_CHECKING:
    from studio.runs.work import Work

#: Beside a stage's files: the answers to held-out questions, in files as ``rollouts`` writes them, numbered by finished steps.
FOLDER: Final = rollouts.HELD_OUT
#: With fewer held-out questions each is answered several times, so that the mean does not jump.
_LEAST_ANSWERS: Final = 64

#: Makes the group of one held-out question: its place among them, how many answers, and who is told about them.
Asked = Callable[[int, int, Callable[[Group], None]], EnvGroupBuilder]


class HeldOut:
    """Scores weights by their answers. ``reference`` is what the distance is measured to."""

    def __init__(self, work: Work, meter: Meter, count: int, asked: Asked, reference: Reference | None) -> None:
        self._work = work
        self._meter = meter
        self._count = count
        self._each = max(1, math.ceil(_LEAST_ANSWERS / count)) if count else 1
        self._asked = asked
        self._reference = reference
        self.step = 0
        self.tokens = 0

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """The numbers of a check. Raises what the SDK raises, and what the reward raises."""
        recipe, folder = self._work.recipe, self._work.folder / FOLDER
        rollouts.begin(folder, self.step)
        kept: list[Group] = []
        policy = TinkerTokenCompleter(sampling_client, max_tokens=recipe.max_tokens, temperature=recipe.temperature)
        groups = await asyncio.gather(
            *(
                do_group_rollout(self._asked(place, self._each, _keeper(kept, folder, self.step)), policy)
                for place in range(self._count)
            )
        )
        self.tokens = sum(group.prompt_tokens * len(group.answers) for group in kept)
        self._meter.count("sample", sum(answer.tokens for group in kept for answer in group.answers))
        found = rollouts.summary(kept)
        if found is None:
            return {}
        numbers = {f"{VALIDATION}/answer_tokens": found.answer_tokens, f"{VALIDATION}/cut_share": found.cut}
        if not math.isnan(found.reward):
            numbers[f"{VALIDATION}/reward"] = found.reward
        if self._reference is not None:
            numbers[f"{VALIDATION}/{self._reference.name}"] = await self._reference.distance(groups)
            if self._reference.teaches:
                self._meter.count_teacher("prefill", self._reference.tokens)
            else:
                self.tokens += self._reference.tokens
        return numbers


class Reference:
    """Other weights that judge the same tokens: the start (``kl``), or a teacher (``teacher_kl``, which ``teaches``)."""

    def __init__(self, name: str, client: Callable[[], tinker.SamplingClient], *, teaches: bool = False) -> None:
        self.name = name
        self.teaches = teaches
        self._make = client
        self._client: tinker.SamplingClient | None = None
        self.tokens = 0

    async def distance(self, groups: Sequence[TrajectoryGroup]) -> float:
        """Mean of log p - log q over the sampled tokens, p the weights that sampled them: an estimate of the KL divergence."""
        if self._client is None:
            self._client = await asyncio.to_thread(self._make)
        sampled = [one.transitions[0] for group in groups for one in group.trajectories_G]
        whole = [
            tinker.ModelInput.from_ints([*transition.ob.to_ints(), *transition.ac.tokens])
            for transition in sampled
            if transition.ac.tokens
        ]
        self.tokens = sum(one.length for one in whole)
        theirs = await asyncio.gather(*(self._client.compute_logprobs(one) for one in whole))
        ours = [transition.ac.logprobs for transition in sampled if transition.ac.tokens]
        differences = [
            mine - (math.nan if other is None else other)
            for own, all_of_them in zip(ours, theirs, strict=True)
            for mine, other in zip(own, all_of_them[-len(own) :], strict=True)
        ]
        return math.fsum(differences) / len(differences) if differences else 0.0


def start_client(work: Work) -> tinker.SamplingClient:
    """A client that answers as the weights did before the stage's first step. Waits for the server."""
    service = tinker.ServiceClient()
    if work.start.is_base:
        # LoRA's B factor starts at zero: the untrained adapter answers as the base model does.
        return service.create_sampling_client(base_model=work.model.wire_name)
    return service.create_sampling_client(model_path=start_path(work))


def start_path(work: Work) -> str:
    """The sampler path of the weights before the stage's first step, empty for the base model. Waits for the server."""
    if work.start.is_base or work.start.sampler_path:
        return work.start.sampler_path
    kept = work.folder / "start.txt"
    if not kept.is_file():
        training = tinker.ServiceClient().create_training_client_from_state(work.start.state_path).result()
        path = training.save_weights_for_sampler("start").result().path
        kept.write_text(path, "utf-8")
    return kept.read_text("utf-8")


def _keeper(kept: list[Group], folder: Path, step: int) -> Callable[[Group], None]:
    def keep(group: Group) -> None:
        kept.append(group)
        rollouts.add(folder, step, group)

    return keep
