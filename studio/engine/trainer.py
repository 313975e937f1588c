"""Forward, backward and optimiser steps of one adapter.

Guarantees: gradients add up over ``forward_backward`` calls until ``optim_step``, which uses and clears them; the numbers agree
with a plain PyTorch + PEFT loop on the same data and seed up to float32 summation order, however a batch is cut here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from tinker import AdamParams
from torch import nn

from studio.engine import losses, scoring
from studio.engine.base import Adapter, Base
from studio.engine.prefixes import Family, families
from studio.engine.protocol import Floats, TrainingBatch, TrainingDatum
from studio.engine.refusals import RefusalError


@dataclass(slots=True)
class Trainee:
    """An adapter in training: its weights, its optimiser and the number of steps taken."""

    base: Base
    adapter: Adapter
    optimizer: torch.optim.AdamW
    steps: int = 0


def begin(base: Base, adapter: Adapter) -> Trainee:
    """Put an adapter into training with a fresh AdamW."""
    # The fused kernel is the same formula in one call per step instead of ten per tensor.
    fused = base.device.type in ("cpu", "cuda")
    optimizer = torch.optim.AdamW(list(adapter.parameters.values()), lr=0.0, fused=fused)
    return Trainee(base=base, adapter=adapter, optimizer=optimizer)


def forward_backward(trainee: Trainee, batch: TrainingBatch) -> tuple[list[Floats], dict[str, float]]:
    """Log-probabilities of every target and the metrics of a batch; gradients are added unless it is forward-only.

    Returns one float32 array per example, in order, in the shape of its targets. Raises ``RefusalError``.
    """
    rule = losses.check(batch)
    base = trainee.base
    _check_tokens(base, batch.data)
    tokens = [datum.tokens for datum in batch.data]
    found = families(tokens) if base.shares_beginnings else [Family((index,), 0) for index in range(len(tokens))]
    base.train(trainee.adapter, gradients=not batch.forward_only)
    results, total = scoring.forward_backward(
        base, batch.data, scoring.plan(tokens, found), rule, batch.config, train=not batch.forward_only
    )
    return results, {"loss:sum": total}


def optim_step(trainee: Trainee, params: AdamParams) -> dict[str, float]:
    """One AdamW step with the collected gradients, clipped to ``grad_clip_norm`` when that is positive.

    Returns the gradient norm before clipping. Raises ``RefusalError`` when it is not finite: the weights stay as they are.
    """
    parameters = [value for value in trainee.adapter.parameters.values() if value.grad is not None]
    gradients = [value.grad for value in parameters if value.grad is not None]
    norm = nn.utils.get_total_norm(gradients) if gradients else torch.zeros(())
    if not bool(torch.isfinite(norm)):
        trainee.optimizer.zero_grad(set_to_none=True)
        raise RefusalError("The gradients are not finite.", next_step="Lower the learning rate, or look for empty examples.")
    if params.grad_clip_norm > 0 and gradients:
        nn.utils.clip_grads_with_norm_(parameters, params.grad_clip_norm, norm)
    for group in trainee.optimizer.param_groups:
        group.update(
            lr=params.learning_rate,
            betas=(params.beta1, params.beta2),
            eps=params.eps,
            weight_decay=params.weight_decay,
        )
    trainee.optimizer.step()
    trainee.optimizer.zero_grad(set_to_none=True)
    trainee.steps += 1
    return {"grad_norm": float(norm)}


def optimizer_tensors(trainee: Trainee) -> dict[str, torch.Tensor]:
    """The optimiser's state by the names of the weights: ``exp_avg/…``, ``exp_avg_sq/…`` and ``step/…``."""
    state = trainee.optimizer.state
    found: dict[str, torch.Tensor] = {}
    for name, parameter in trainee.adapter.parameters.items():
        for part, value in state.get(parameter, {}).items():
            found[f"{part}/{name}"] = value.detach().cpu()
    return found


def restore_optimizer(trainee: Trainee, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave."""
    for name, parameter in trainee.adapter.parameters.items():
        parts = {part: tensors[f"{part}/{name}"] for part in ("step", "exp_avg", "exp_avg_sq") if f"{part}/{name}" in tensors}
        if parts:
            trainee.optimizer.state[parameter] = {part: value.clone().to(base_device(trainee)) for part, value in parts.items()}


def base_device(trainee: Trainee) -> torch.device:
    """Where the weights live."""
    return trainee.base.device


def _check_tokens(base: Base, data: Sequence[TrainingDatum]) -> None:
    for index, datum in enumerate(data):
        if datum.tokens.size > base.context:
            raise RefusalError(
                f"Example {index} has {datum.tokens.size} tokens; {base.spec.name} takes at most {base.context}."
            )
        low = min(int(datum.tokens.min()), int(datum.targets.min()))
        high = max(int(datum.tokens.max()), int(datum.targets.max()))
        if low < 0 or high >= base.vocabulary:
            raise RefusalError(f"Example {index} holds a token id outside 0 … {base.vocabulary - 1}.")
