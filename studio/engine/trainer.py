"""Forward, backward and optimiser steps of one adapter.

Guarantees: gradients add up over ``forward_backward`` calls until ``optim_step``, which uses and clears them; the numbers agree
with a plain PyTorch + PEFT loop on the same data and seed up to float32 summation order, however a batch is cut here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tinker import AdamParams
from torch import nn

from studio.engine import losses
from studio.engine.base import Adapter, Base
from studio.engine.protocol import Floats, TrainingBatch, TrainingDatum
from studio.engine.refusals import RefusalError

#: Padded tokens per pass: enough to keep two cores busy, little enough that activations stay within some hundred MB.
PASS_TOKENS = 16_384
#: A batch is cut further when that saves this share of its padded tokens; below it, one more pass costs more than it saves.
_WORTHWHILE = 0.2
_SMALL_PASS = 1024


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
    loss, names = losses.check(batch)
    _check_tokens(trainee.base, batch.data)
    results: list[Floats] = [np.empty(0, dtype=np.float32)] * len(batch.data)
    total = 0.0
    trainee.base.use(trainee.adapter, train=not batch.forward_only)
    with torch.set_grad_enabled(not batch.forward_only):
        for part in passes([datum.tokens.size for datum in batch.data]):
            data = [batch.data[index] for index in part]
            logp = target_logprobs(trainee.base, data)
            inputs = {name: _flat(data, name, trainee.base.device) for name in names}
            value = loss(logp, inputs, batch.config)
            if not batch.forward_only:
                value.backward()
            total += float(value.detach())
            flat = logp.detach().cpu().numpy()
            ends = np.cumsum([datum.targets.size for datum in data])
            for index, datum, values in zip(part, data, np.split(flat, ends[:-1]), strict=True):
                results[index] = values.reshape(datum.targets.shape)
    return results, {"loss:sum": total}


def passes(lengths: Sequence[int]) -> list[list[int]]:
    """Cut a batch into passes of similar length: lists of positions that together hold each position once.

    One pass when padding is cheap; otherwise cuts where they save more than a fifth of a large enough pass.
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index])
    found: list[list[int]] = []
    current: list[int] = []
    real = 0
    for index in order:
        length = lengths[index]
        padded = length * (len(current) + 1)
        wasteful = current and padded - real - length > _WORTHWHILE * padded and real >= _SMALL_PASS
        if current and (padded > PASS_TOKENS or wasteful):
            found.append(current)
            current, real = [], 0
        current.append(index)
        real += length
    return [*found, current]


def target_logprobs(base: Base, data: Sequence[TrainingDatum]) -> torch.Tensor:
    """Log-probabilities of all targets of all examples, flat, in order. Padding never reaches the vocabulary."""
    width = max(datum.tokens.size for datum in data)
    tokens = np.zeros((len(data), width), dtype=np.int64)
    mask = np.zeros((len(data), width), dtype=bool)
    for row, datum in enumerate(data):
        tokens[row, : datum.tokens.size] = datum.tokens
        mask[row, : datum.tokens.size] = True
    real = torch.from_numpy(mask).to(base.device)
    hidden_mask = None if mask.all() else real.long()
    ids = torch.from_numpy(tokens).to(base.device)
    if base.plain_head:
        hidden = base.model.get_decoder()(input_ids=ids, attention_mask=hidden_mask, use_cache=False).last_hidden_state
        logits = base.model.get_output_embeddings()(hidden.flatten(0, 1) if hidden_mask is None else hidden[real])
    else:
        logits = base.model(input_ids=ids, attention_mask=hidden_mask, use_cache=False).logits[real]
    logits = logits.float()
    normaliser = torch.logsumexp(logits, dim=-1)
    if all(datum.targets.ndim == 1 for datum in data):
        targets = torch.from_numpy(np.concatenate([datum.targets for datum in data])).to(base.device)
        return logits.gather(1, targets[:, None])[:, 0] - normaliser
    rows = np.concatenate([np.full(datum.tokens.size, datum.targets[0].size) for datum in data])
    index = torch.from_numpy(np.repeat(np.arange(rows.size), rows)).to(base.device)
    targets = torch.from_numpy(np.concatenate([datum.targets.reshape(-1) for datum in data])).to(base.device)
    return logits[index, targets] - normaliser[index]


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


def _flat(data: Sequence[TrainingDatum], name: str, device: torch.device) -> torch.Tensor:
    parts = [
        datum.inputs[name].reshape(-1) if name in datum.inputs else np.ones(datum.targets.size, np.float32) for datum in data
    ]
    return torch.from_numpy(np.concatenate(parts)).to(device)


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
