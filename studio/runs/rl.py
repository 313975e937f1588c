"""Reinforcement learning from a reward, in the cookbook's own loop: answers are sampled, scored, and the better ones learned.

Guarantees: the loop is ``rl.train.main``; groups of answers to one question are compared with each other (GRPO, Shao et al.,
2024, without division by the spread), and a group whose answers all score the same is left out when the recipe says so. The
reward of held-out questions is measured before the first step and after the last one, with the same sampling.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import tinker
from tinker_cookbook.rl import train as loop

from studio import models, rewards
from studio.models.rendering import template
from studio.rewards import BatchScorer
from studio.runs import envs, heldout, rollouts
from studio.runs.attendant import finish, first_and_last, run_loop
from studio.runs.meter import Meter
from studio.runs.metrics import MetricsFile
from studio.runs.practice import Practice
from studio.runs.rollouts import Group
from studio.runs.rule_judge import RuleJudge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from studio.models import Model
    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.runs.work import Result, Work

# The cookbook makes its reference client without waiting as the SDK would like; the warning holds a whole stack, once a run.
logging.getLogger("tinker.lib.sync_only").setLevel(logging.ERROR)

_MEASURED: Final = ("validation_reward", "validation_answer_tokens", "validation_kl")
_LAST: Final = ("reward", "signal_share", "answer_tokens", "kl", "kl_step", "entropy", "cut_share", "missing_share")


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Do the rest of the steps, and return first and last numbers. Raises as ``Trainer.train`` says, and ``RewardError``."""
    meter = Meter(desk, work)
    with scorer(work, meter) as score:
        written = template(work.model, work.recipe.renderer)
        rows = envs.questions(work, work.dataset.train, written)
        known = envs.held_out(work, written)
        lowest = rewards.bounds(rewards.parse(work.recipe.reward))[0]

        def rewarded(question: envs.Question, count: int, keep: Callable[[Group], None]) -> envs.Practice:
            return envs.Rewarded(question, written, count, keep, score=score, lowest=lowest)

        def asked(place: int, count: int, keep: Callable[[Group], None]) -> envs.Practice:
            return rewarded(known[place], count, keep)

        def group(question: envs.Question, step: int) -> envs.Practice:
            return rewarded(question, work.recipe.group_size, keeper(work, step))

        start = heldout.Reference("kl", lambda: heldout.start_client(work))
        checks = heldout.HeldOut(work, meter, len(known), asked, start) if known else None
        metrics = practise(desk, link, work, meter, checks, lambda: envs.Steps(work, rows, group))
    return numbers(metrics)


def practise(
    desk: Desk,
    link: Link,
    work: Work,
    meter: Meter,
    checks: heldout.HeldOut | None,
    dataset: Callable[[], envs.Steps],
) -> MetricsFile:
    """Run the cookbook's RL loop over these steps to its end, measured and tidied up. Raises as ``beside`` does."""
    recipe = work.recipe
    drops = recipe.drop_flat_groups == "yes"
    attendant = Practice(desk, work, meter, checks, drops_flat=drops, references=1 if recipe.kl_coef else 0)

    async def whole() -> None:
        await loop.main(config(work, attendant, envs.Ready(made=dataset)))

    with attendant.noting():
        run_loop(desk, link, attendant, whole())
    return finish(desk, link, work, attendant)


def config(work: Work, attendant: Practice, dataset: envs.Ready) -> loop.Config:
    """The cookbook's configuration. Its own saving and logging of answers are off: we do both. Waits for the server."""
    recipe = work.recipe
    reference = None
    if recipe.kl_coef:
        path = heldout.start_path(work)
        reference = loop.KLReferenceConfig(base_model=work.model.wire_name, load_checkpoint_path=path or None)
    return loop.Config(
        log_path=str(work.folder),
        model_name=work.model.wire_name,
        recipe_name=f"tuning_fork_{recipe.method}",
        load_checkpoint_path=work.start.state_path or None,
        renderer_name=recipe.renderer,
        dataset_builder=dataset,
        learning_rate=recipe.learning_rate,
        lora_rank=recipe.lora_rank,
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        kl_penalty_coef=recipe.kl_coef,
        kl_reference_config=reference,
        loss_fn=recipe.loss,
        num_substeps=recipe.substeps,
        remove_constant_reward_groups=recipe.drop_flat_groups == "yes",
        evaluator_builders=[lambda: attendant.evaluator],
        eval_every=1,
        save_every=0,
        ttl_seconds=None,
        num_groups_to_log=0,
        rollout_json_export=False,
        max_steps=work.total,
        session_name=work.run.name,
    )


def keeper(work: Work, step: int) -> Callable[[Group], None]:
    """Keeps the groups of a step among the run's files."""
    return lambda group: rollouts.add(work.folder, step, group)


@contextmanager
def scorer(work: Work, meter: Meter) -> Generator[BatchScorer]:
    """What scores answers, for as long as the block runs. What a judge reads counts. Raises ``RewardError`` when it cannot."""
    reward = rewards.parse(work.recipe.reward)
    needed = rewards.needs(reward).judge
    judge = RuleJudge(work.model, models.get, _answering(work), count=meter.count_judge) if needed else None
    with rewards.batch_scorer(reward, judge=judge) as made:
        yield made


def _answering(work: Work) -> Callable[[Model], Awaitable[tinker.SamplingClient]]:
    """Who judges by rules: a model by name, or the one that is trained as it was before training."""

    async def client(model: Model) -> tinker.SamplingClient:
        if model.name == work.model.name:
            return await asyncio.to_thread(heldout.start_client, work)
        return await tinker.ServiceClient().create_sampling_client(base_model=model.wire_name)

    return client


def numbers(metrics: MetricsFile) -> Result:
    """What a run's result says of practice."""
    found: dict[str, float | None] = {}
    for name in _MEASURED:
        found |= first_and_last(metrics, name)
    for name in ("reward", *_LAST):
        points = metrics.series(name)
        found[f"{name}_last"] = points[-1].value if points else None
    first = metrics.series("reward")
    return {**found, "reward_first": first[0].value if first else None}
