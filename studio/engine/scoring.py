"""From token sequences to the log-probabilities of their targets, and back to gradients.

Guarantees: the numbers are those of one plain forward and backward pass over every example, up to float32 summation order; what
examples have in common is computed once; vocabulary-wide rows exist only for one chunk at a time, so that memory does not grow
with batch times vocabulary; a position whose target cannot move the loss costs no backward pass through the vocabulary.

That works because every loss is a sum over targets: the gradient of a target's log-probability needs nothing but that target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from studio.engine.base import Adapter, Base
from studio.engine.losses import Config, Rule
from studio.engine.prefixes import Family
from studio.engine.protocol import Floats, Ints, TrainingDatum

#: Elements of the logits that exist at once: a few megabytes stay in a processor's cache, a GPU wants large pieces.
_CHUNK: Final = {"cpu": 2**21, "cuda": 2**28, "mps": 2**25}
#: Fewest rows of such a piece, however large the vocabulary: the weights of the head are read once per piece.
_FEWEST: Final = 256


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of all examples of a pass, flat and in order: ``rows`` says which row of the states predicts each."""

    rows: Ints
    tokens: Ints
    inputs: dict[str, Floats]


def forward_backward(
    base: Base, data: Sequence[TrainingDatum], parts: Sequence[Sequence[Family]], rule: Rule, config: Config, *, train: bool
) -> tuple[list[Floats], float]:
    """Log-probabilities per example, in the shape of its targets, and the loss; gradients are added to the adapter in use.

    ``parts`` hold the families that are computed together; with ``train`` false no gradient is computed at all.
    """
    results: list[Floats] = [np.empty(0, dtype=np.float32)] * len(data)
    total = 0.0
    with torch.set_grad_enabled(train):
        for part in parts:
            members = [member for family in part for member in family.members]
            computed, rows = states(base, [data[member].tokens for member in members], part)
            logp, value = _score(
                base, computed, _targets([data[member] for member in members], rows, rule), rule, config, train=train
            )
            total += value
            ends = np.cumsum([data[member].targets.size for member in members])
            for member, values in zip(members, np.split(logp, ends[:-1]), strict=True):
                results[member] = values.reshape(data[member].targets.shape)
    return results, total


def _targets(data: Sequence[TrainingDatum], rows: Sequence[Ints], rule: Rule) -> Targets:
    per_position = [datum.targets.size // datum.tokens.size for datum in data]
    return Targets(
        rows=np.concatenate([np.repeat(where, count) for where, count in zip(rows, per_position, strict=True)]),
        tokens=np.concatenate([datum.targets.reshape(-1) for datum in data]),
        inputs={name: np.concatenate([_input(datum, name) for datum in data]) for name in rule.inputs},
    )


def _input(datum: TrainingDatum, name: str) -> Floats:
    found = datum.inputs.get(name)
    return np.ones(datum.targets.size, np.float32) if found is None else found.reshape(-1)


# ── the body of the model ─────────────────────────────────────────────────────────────────────────────────────────────────────


def states(
    base: Base, tokens: Sequence[Ints], part: Sequence[Family], adapters: Sequence[Adapter | None] | None = None
) -> tuple[torch.Tensor, list[Ints]]:
    """What the head turns into logits, one row per position that was computed, and the rows of every example's positions.

    ``tokens`` are in the order of the part's members, and so are ``adapters``, who answer them; without these it is the adapter
    in training. The members of a family have one adapter. Padding is left out.
    """
    if all(family.shared == 0 for family in part):
        if adapters is not None:
            base.serve(adapters)
        ids, mask = _pad_right(tokens, base.device)
        flat = _flat(_body(base, ids, attention_mask=None if bool(mask.all()) else mask), mask)
        ends = np.cumsum([sequence.size for sequence in tokens])
        return flat, [np.arange(end - sequence.size, end) for end, sequence in zip(ends, tokens, strict=True)]
    return _shared_states(base, tokens, part, adapters)


def _shared_states(
    base: Base, tokens: Sequence[Ints], part: Sequence[Family], adapters: Sequence[Adapter | None] | None
) -> tuple[torch.Tensor, list[Ints]]:
    """Two stages: the beginnings, one per family, and then what follows them, which attends to the cached beginnings."""
    owners = np.concatenate([np.full(len(family.members), index) for index, family in enumerate(part)])
    first = np.cumsum([0, *(len(family.members) for family in part)])
    lengths = np.array([family.shared for family in part])
    ids, mask = _pad_right([tokens[first[index]][: lengths[index]] for index in range(len(part))], base.device)
    cache = DynamicCache(config=base.model.config)
    if adapters is not None:
        base.serve([adapters[index] for index in first[:-1]])
    found = [_flat(_body(base, ids, attention_mask=mask, past_key_values=cache, use_cache=True), mask)]
    starts: list[int] = np.cumsum([0, *lengths]).tolist()
    rows: list[Ints] = [np.arange(starts[owner], starts[owner + 1]) for owner in owners.tolist()]
    count = starts[-1]
    rests = [sequence[lengths[owner] :] for sequence, owner in zip(tokens, owners, strict=True)]
    for bucket in passes([rest.size for rest in rests]):
        if adapters is not None:
            bucket.sort()  # as the members stand, so that those of one adapter stay together
            base.serve([adapters[index] for index in bucket])
        owner = torch.from_numpy(owners[bucket]).to(base.device)
        ids, real = _pad_right([rests[index] for index in bucket], base.device)
        begin = torch.from_numpy(lengths[owners[bucket]]).to(base.device)
        positions = begin[:, None] + torch.arange(ids.shape[1], device=base.device)[None, :]
        known = {"attention_mask": torch.cat([mask[owner], real], dim=1), "position_ids": positions}
        hidden = _body(base, ids, past_key_values=_branch(base, cache, owner), use_cache=True, **known)
        found.append(_flat(hidden, real))
        for index in bucket:
            rows[index] = np.concatenate([rows[index], np.arange(count, count + rests[index].size)])
            count += rests[index].size
    return torch.cat(found), rows


def _body(base: Base, ids: torch.Tensor, **known: Any) -> torch.Tensor:
    """Hidden states, or logits where the head is more than a matrix. Shape ``(B, T, …)``."""
    known.setdefault("use_cache", False)
    if base.plain_head:
        return base.model.get_decoder()(input_ids=ids, **known).last_hidden_state
    return base.model(input_ids=ids, **known).logits


def _branch(base: Base, cache: DynamicCache, owner: torch.Tensor) -> DynamicCache:
    """The cache of one row per owner. Gradients flow back into the rows that several share."""
    found = DynamicCache(config=base.model.config)
    layers: list[Any] = found.layers
    sources: list[Any] = cache.layers
    for layer, source in zip(layers, sources, strict=True):
        layer.lazy_initialization(source.keys, source.values)
        layer.keys, layer.values = source.keys[owner], source.values[owner]
    return found


def _flat(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return values.flatten(0, 1) if bool(mask.all()) else values[mask.bool()]


def _pad_right(tokens: Sequence[Ints], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(sequence.size for sequence in tokens)
    ids = np.zeros((len(tokens), width), dtype=np.int64)
    mask = np.zeros((len(tokens), width), dtype=np.int64)
    for row, sequence in enumerate(tokens):
        ids[row, : sequence.size] = sequence
        mask[row, : sequence.size] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


# ── the head of the model ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Picked(torch.autograd.Function):
    """``log_softmax(logits)[rows, tokens]`` whose backward pass fills one buffer instead of three."""

    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:  # noqa: ANN401
        normaliser = torch.logsumexp(logits, dim=-1)
        ctx.save_for_backward(logits, normaliser, rows, tokens)
        return logits[rows, tokens] - normaliser[rows]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401
        logits, normaliser, rows, tokens = ctx.saved_tensors
        (gradient,) = gradients
        total = torch.zeros_like(normaliser).index_add_(0, rows, gradient)
        found = (logits - normaliser[:, None]).exp_().mul_(-total[:, None])
        return found.index_put_((rows, tokens), gradient, accumulate=True), None, None


def _score(
    base: Base, states: torch.Tensor, targets: Targets, rule: Rule, config: Config, *, train: bool
) -> tuple[NDArray[np.float32], float]:
    """Log-probabilities of the targets, in order, and the loss; with ``train`` the backward pass is done on the way."""
    moved = np.zeros(states.shape[0], dtype=bool)
    if train:
        moved[targets.rows[rule.moves(targets.inputs)]] = True
    gradient = torch.zeros_like(states) if train and states.requires_grad else None
    leaf = states.detach()
    order = np.argsort(targets.rows, kind="stable")
    found: list[torch.Tensor] = []
    places: list[Ints] = []
    total = torch.zeros((), device=base.device)
    size = max(_FEWEST, _CHUNK.get(base.device.type, 2**25) // base.vocabulary)
    for flag in (True, False):
        mine = order[moved[targets.rows[order]] == flag]
        rows = np.flatnonzero(moved == flag)
        for start in range(0, rows.size, size):
            chunk = rows[start : start + size]
            low, high = np.searchsorted(targets.rows[mine], [chunk[0], chunk[-1] + 1])
            place = mine[low:high]
            index = torch.from_numpy(chunk).to(base.device)
            part = leaf[index].requires_grad_(flag)
            inputs = {name: torch.from_numpy(values[place]).to(base.device) for name, values in targets.inputs.items()}
            local = torch.from_numpy(np.searchsorted(chunk, targets.rows[place])).to(base.device)
            with torch.set_grad_enabled(flag):
                logits = (base.model.get_output_embeddings()(part) if base.plain_head else part).float()
                logp = cast(
                    "torch.Tensor", _Picked.apply(logits, local, torch.from_numpy(targets.tokens[place]).to(base.device))
                )
                value = rule.loss(logp, inputs, config)
            if flag:
                value.backward()
                if gradient is not None:
                    gradient[index] = cast("torch.Tensor", part.grad)
            total += value.detach()
            found.append(logp.detach())
            places.append(place)
    if gradient is not None:
        states.backward(gradient)
    result = np.empty(targets.tokens.size, dtype=np.float32)
    result[np.concatenate(places)] = torch.cat(found).cpu().numpy()
    return result, float(total)


# ── how a batch is cut ────────────────────────────────────────────────────────────────────────────────────────────────────────

#: Padded tokens per pass: enough to keep two cores busy, little enough that activations stay within some hundred MB.
PASS_TOKENS: Final = 16_384
#: A batch is cut further when that saves this share of its padded tokens; below it, one more pass costs more than it saves.
_WORTHWHILE: Final = 0.2
_SMALL_PASS: Final = 1024


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


def plan(tokens: Sequence[Ints], found: Sequence[Family]) -> list[list[Family]]:
    """Which families are computed together: those that share something by their beginnings, the others by their length."""
    alone = [family for family in found if not family.shared]
    parts = [[alone[index] for index in part] for part in passes([tokens[f.members[0]].size for f in alone])] if alone else []
    current: list[Family] = []
    room = 0
    for family in sorted((family for family in found if family.shared), key=lambda family: family.shared):
        size = family.shared + len(family.members) * (max(tokens[member].size for member in family.members) - family.shared)
        if current and room + size > PASS_TOKENS:
            parts.append(current)
            current, room = [], 0
        current.append(family)
        room += size
    return [*parts, current] if current else parts
