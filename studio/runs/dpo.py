"""Preference training from pairs (DPO, Rafailov et al., 2023) in the cookbook's own training loop.

Guarantees: the loop is ``preference.train_dpo.main``; what we add hangs on its evaluator (see ``attendant``) and its reference
model. The reference is always what the stage started from: the cookbook would take the weights that a resumed run goes on with,
and the rest of that run would be held to another model. Held-out pairs are never trained on.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import tinker
from tinker_cookbook.preference import train_dpo as loop

from studio.models.rendering import template
from studio.runs import examples
from studio.runs.attendant import Attendant, finish, first_and_last, run_loop
from studio.runs.meter import Meter
from studio.runs.metrics import VALIDATION

if TYPE_CHECKING:
    from tinker_cookbook.checkpoint_utils import CheckpointRecord

    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.runs.work import Result, Work

#: Margins below this are the rounding of the servers' log-probabilities.
_TIE: Final = 1e-5
_CHECKED: Final = ("validation_accuracy", "validation_loss", "validation_margin")
_ENDS: Final = ("validation_chosen_reward", "validation_rejected_reward")


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Do the rest of the steps, and return first and last numbers. Raises as ``Trainer.train`` says."""
    meter = Meter(desk, work)
    pairs = scorer(work)
    attendant = Attendant(desk, work, meter, pairs)
    with _reference_stays(work, meter, pairs):
        # The cookbook's loop is not a coroutine; it waits for the server in plain code.
        run_loop(desk, link, attendant, asyncio.to_thread(loop.main, config(work, attendant)))
        metrics = finish(desk, link, work, attendant)
    known = metrics.train()
    found: dict[str, float | None] = {
        "train_loss_first": known[0].value if known else None,
        "train_loss_last": known[-1].value if known else None,
    }
    for name in _CHECKED:
        found |= first_and_last(metrics, name)
    return {**found, **{f"{name}_last": first_and_last(metrics, name)[f"{name}_last"] for name in _ENDS}}


def config(work: Work, attendant: Attendant) -> loop.Config:
    """The cookbook's configuration. Its own periodic evaluation and saving are off: the attendant does both."""
    recipe = work.recipe
    return loop.Config(
        log_path=str(work.folder),
        model_name=work.model.wire_name,
        recipe_name="tuning_fork_dpo",
        load_checkpoint_path=work.start.state_path or None,
        renderer_name=recipe.renderer,
        # The loop only calls it for the training set, whatever kind of builder it is.
        dataset_builder=cast("Any", examples.split(work, paired=True)),
        learning_rate=recipe.learning_rate,
        lr_schedule=recipe.lr_schedule,
        num_epochs=recipe.epochs,
        dpo_beta=recipe.dpo_beta,
        lora_rank=recipe.lora_rank,
        evaluator_builders=[lambda: attendant],
        eval_every=1,
        infrequent_eval_every=0,
        save_every=0,
        ttl_seconds=None,
        adam_beta1=recipe.adam_beta1,
        adam_beta2=recipe.adam_beta2,
        adam_eps=recipe.adam_eps,
        max_steps=recipe.max_steps,
    )


class PairScorer:
    """Whether the weights prefer the better answer of pairs that are not trained on, measured against the reference.

    ``reference`` answers for the weights that the stage started from; it is asked once for each pair.
    """

    def __init__(self, pairs: Sequence[tuple[tinker.Datum, tinker.Datum]], beta: float) -> None:
        self._data = [datum for pair in pairs for datum in pair]
        self._beta = beta
        self._known: list[float] | None = None
        self.reference: Reference | None = None
        self.tokens = 0

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """Mean loss, accuracy, margin and both rewards over the pairs, as the training loop defines them.

        The reward of an answer is beta times the log of how much likelier it is now than under the reference. A tie counts as
        half: before the first step nothing is preferred yet, and that is an accuracy of a half. Raises what the SDK raises.
        """
        self.tokens = examples.tokens_of(self._data)
        if self._known is None:
            if self.reference is None:
                raise RuntimeError("The reference has not been set.")
            self._known = await _log_likelihoods(self.reference, self._data)
            self.tokens *= 2
        now = await _log_likelihoods(Reference(sampling_client), self._data)
        rewards = [self._beta * (new - old) for new, old in zip(now, self._known, strict=True)]
        return _preferences(rewards[0::2], rewards[1::2])


def scorer(work: Work) -> PairScorer | None:
    """Scores the first validation pairs, or ``None`` when there are none."""
    written = template(work.model, work.recipe.renderer)
    pairs = [examples.pair_datums(written, row, work.recipe.max_length) for row in examples.validation_rows(work)]
    return PairScorer(pairs, work.recipe.dpo_beta) if pairs else None


class Reference:
    """A sampling client that is asked for log-probabilities only, and what it reads is counted.

    With a meter it is the loop's own: the loop works its loss out on this side, so besides what it reports, the server reads
    each of these sequences forward once (billed as training) before it learns from it.
    """

    def __init__(self, client: tinker.SamplingClient, meter: Meter | None = None) -> None:
        self._client = client
        self._meter = meter

    async def compute_logprobs_async(self, prompt: tinker.ModelInput) -> list[float | None]:
        """The log-probability of each token given those before it; ``None`` for the first."""
        if self._meter is not None:
            self._meter.count("prefill", prompt.length)
            self._meter.count("train", prompt.length - 1)
        return await self._client.compute_logprobs(prompt)


def _preferences(chosen: Sequence[float], rejected: Sequence[float]) -> dict[str, float]:
    """The numbers of one check from the rewards of better and worse answers, pair by pair."""
    margins = [better - worse for better, worse in zip(chosen, rejected, strict=True)]
    count = len(margins)
    return {
        f"{VALIDATION}/loss": math.fsum(_minus_log_sigmoid(margin) for margin in margins) / count,
        f"{VALIDATION}/accuracy": sum(0.5 if abs(margin) < _TIE else float(margin > 0) for margin in margins) / count,
        f"{VALIDATION}/margin": math.fsum(margins) / count,
        f"{VALIDATION}/chosen_reward": math.fsum(chosen) / count,
        f"{VALIDATION}/rejected_reward": math.fsum(rejected) / count,
    }


def _minus_log_sigmoid(margin: float) -> float:
    """-log(1 / (1 + exp(-margin))), without overflow on either side."""
    return math.log1p(math.exp(-margin)) if margin >= 0 else -margin + math.log1p(math.exp(margin))


async def _log_likelihoods(client: Reference, data: Sequence[tinker.Datum]) -> list[float]:
    """The log-probability of each answer: of the weighted tokens of each datum, given everything before them."""
    return list(await asyncio.gather(*(_log_likelihood(client, datum) for datum in data)))


async def _log_likelihood(client: Reference, datum: tinker.Datum) -> float:
    weights = datum.loss_fn_inputs["weights"].data
    last = int(datum.loss_fn_inputs["target_tokens"].data[-1])
    found = (await client.compute_logprobs_async(datum.model_input.append_int(last)))[1:]
    counted = [logprob for logprob, weight in zip(found, weights, strict=True) if weight > 0]
    return math.fsum(math.nan if logprob is None else logprob for logprob in counted)


@contextmanager
def _reference_stays(work: Work, meter: Meter, pairs: PairScorer | None) -> Generator[None]:
    """While the block runs, the loop's reference is what the stage started from, also when it goes on from a checkpoint."""
    made = loop.create_dpo_clients

    def create(
        config: loop.Config,
        service: tinker.ServiceClient,
        resume_info: CheckpointRecord | None = None,
        user_metadata: dict[str, str] | None = None,
    ) -> tuple[tinker.TrainingClient, Any]:
        training, reference = made(config, service, resume_info, user_metadata)
        reference = reference if resume_info is None else _started_from(service, work)
        if pairs is not None:
            pairs.reference = Reference(reference)
        return training, Reference(reference, meter)

    loop.create_dpo_clients = create
    try:
        yield
    finally:
        loop.create_dpo_clients = made


def _started_from(service: tinker.ServiceClient, work: Work) -> tinker.SamplingClient:
    """A client that answers as the weights did before the first step."""
    if work.start.is_base:
        # LoRA's B factor starts at zero: the untrained adapter answers as the base model does.
        return service.create_sampling_client(base_model=work.model.wire_name)
    if work.start.sampler_path:
        return service.create_sampling_client(model_path=work.start.sampler_path)
    return service.create_training_client_from_state(work.start.state_path).result().save_weights_and_get_sampling_client()
