"""Rows of one batch that each answer with an adapter of their own, or with the base alone.

Guarantees: the layers of the base run once for the whole batch, and every row gets the low-rank part of its own adapter on top,
in the manner of Punica and S-LoRA (arXiv 2310.18547, 2311.03285); the numbers are those of the library's forward pass with that
adapter alone, up to float32 summation order; no other adapter's weights touch a row, not even if they are not finite; adapters
of different rank, or on different layers, may share a batch. For inference only.

The library's own mixed batches (``adapter_names`` in PEFT) give the same numbers. They look up names and copy rows anew in each
layer, which on nano costs two to three times the arithmetic that it is for, and they refuse a layer whose input is flattened.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import torch
from peft.tuners.lora import LoraLayer
from torch import nn

#: How far the inputs of a layer may be from those of a sequence computed alone, as a share of their length: bfloat16 rounds.
_NEAR = 0.1


@dataclass(frozen=True, slots=True)
class _Part:
    """What one adapter adds in one layer: ``x · down · up · scale``."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float


class Mixer:
    """Adds low-rank parts to the outputs of a model's layers, row by row, while the library itself adds none."""

    def __init__(self) -> None:
        self._parts: dict[nn.Module, dict[str, _Part]] = {}
        self._rows = 1
        self._runs: tuple[tuple[int, int, str], ...] = ()

    def attach(self, layers: Iterable[LoraLayer], key: str) -> None:
        """Learn an adapter's weights in each of these layers that has some."""
        for layer in layers:
            if key not in layer.lora_A:
                continue
            module = cast("nn.Module", layer)
            if module not in self._parts:
                self._parts[module] = {}
                module.register_forward_hook(self._add)
            down, up = (cast("nn.Linear", part[key]).weight.detach() for part in (layer.lora_A, layer.lora_B))
            self._parts[module][key] = _Part(down.t(), up.t(), float(layer.scaling[key]))

    def detach(self, key: str) -> None:
        """Forget an adapter."""
        for parts in self._parts.values():
            parts.pop(key, None)

    def serve(self, keys: Sequence[str]) -> None:
        """Which adapter answers each row of the next passes; an empty key means the base alone, no keys that nothing is added.

        Rows of one adapter are computed together where they stand side by side.
        """
        runs: list[tuple[int, int, str]] = []
        start = 0
        for key, group in groupby(keys):
            end = start + sum(1 for _ in group)
            if key:
                runs.append((start, end, key))
            start = end
        alone = len(runs) == 1 and runs[0][1] - runs[0][0] == start
        # One adapter for all rows needs no rows at all: it fits layers, too, that mix them.
        self._rows, self._runs = (1, ((0, 1, runs[0][2]),)) if alone else (max(1, start), tuple(runs))

    def _add(self, module: nn.Module, given: tuple[Any, ...], output: torch.Tensor) -> None:
        """Forward hook: add to the rows of ``output`` in place. Rows stand one after the other, flattened or not."""
        if not self._runs:
            return
        inputs: torch.Tensor = given[0]
        flat, result = inputs.reshape(-1, inputs.shape[-1]), output.view(-1, output.shape[-1])
        each, rest = divmod(flat.shape[0], self._rows)
        if rest:
            raise ValueError(f"{flat.shape[0]} positions cannot belong to {self._rows} rows.")
        parts = self._parts[module]
        for start, end, key in self._runs:
            if (part := parts.get(key)) is None:
                continue
            mine = result[start * each : end * each]
            low = flat[start * each : end * each].to(part.down.dtype) @ part.down
            if mine.dtype == low.dtype:
                mine.addmm_(low, part.up, alpha=part.scale)
            else:  # added in float32 and rounded once
                mine.add_(low @ part.up, alpha=part.scale)


@torch.inference_mode()
def keeps_rows(model: Any, vocabulary: int) -> bool:  # noqa: ANN401  a transformers model
    """Whether every linear layer sees the sequences of a batch one after the other, found out by computing three of them.

    Experts that get only the tokens that were sent to them do not: there nobody could tell whose adapter is meant.
    """
    ids = (torch.arange(15, device=model.device).reshape(3, 5) * 7 + 3) % vocabulary
    together, *each = (_inputs(model, rows) for rows in (ids, *ids.split(1)))
    for module, found in together.items():
        alone = [one.get(module, []) for one in each]
        if any(len(calls) != len(found) for calls in alone):
            return False
        for call, values in enumerate(found):
            expected = torch.cat([calls[call] for calls in alone])
            if values.shape != expected.shape or bool(((values - expected).norm() > _NEAR * expected.norm()).item()):
                return False
    return True


def _inputs(model: Any, ids: torch.Tensor) -> dict[nn.Module, list[torch.Tensor]]:  # noqa: ANN401  a transformers model
    """What goes into each linear layer in one pass, call by call, flattened."""
    found: dict[nn.Module, list[torch.Tensor]] = {}

    def see(module: nn.Module, given: tuple[Any, ...]) -> None:
        found.setdefault(module, []).append(given[0].reshape(-1, given[0].shape[-1]).float())

    hooks = [module.register_forward_pre_hook(see) for module in model.modules() if isinstance(module, nn.Linear)]
    try:
        model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return found
