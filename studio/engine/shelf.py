"""Sampler weights: which files they are, and a small shelf of the ones that are in memory.

Guarantees: at most ``size`` adapters that nobody is using are held, so memory does not grow with the number of checkpoints ever
sampled; an adapter that a batch is running with is never taken away. Belongs to the compute thread.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from safetensors.torch import load_file, save

from studio.engine.base import Adapter, Base, Shape
from studio.engine.refusals import not_found

ADAPTER: Final = "adapter_model.safetensors"
CONFIG: Final = "adapter_config.json"
OPTIMIZER: Final = "optimizer.safetensors"


@dataclass(frozen=True, slots=True)
class SamplerWeights:
    """The base alone (``folder`` is ``None``) or with the adapter saved in a folder; ``stamp`` tells one save from the next."""

    base: Base = field(hash=False)
    folder: Path | None = None
    stamp: str = ""
    shelf: Shelf | None = field(default=None, compare=False)

    def adapter(self) -> Adapter | None:
        """The adapter, loaded if need be. Raises ``RefusalError`` when its files are gone or do not fit."""
        if self.folder is None or self.shelf is None:
            return None
        return self.shelf.take(self)


class Shelf:
    """Adapters for sampling, the least recently used one first."""

    def __init__(self, size: int, in_use: Callable[[], Collection[object]]) -> None:
        self._size = size
        self._in_use = in_use
        self._held: OrderedDict[SamplerWeights, Adapter] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def take(self, weights: SamplerWeights) -> Adapter:
        """The adapter of these weights. Raises ``RefusalError``."""
        held = self._held.get(weights)
        if held is None:
            assert weights.folder is not None  # noqa: S101  only adapters are kept here
            shape, tensors = load_adapter(weights.folder, weights.base)
            self._make_room()
            held = self._held[weights] = weights.base.restore(shape, tensors)
        self._held.move_to_end(weights)
        return held

    def discard(self, folder: Path) -> None:
        """Drop whatever came from this folder."""
        for weights in [weights for weights in self._held if weights.folder == folder]:
            weights.base.drop(self._held.pop(weights))

    def _make_room(self) -> None:
        busy = self._in_use()
        idle = [weights for weights in self._held if weights not in busy]
        for weights in idle[: max(0, len(self._held) + 1 - self._size)]:
            weights.base.drop(self._held.pop(weights))


def adapter_files(adapter: Adapter, base_model: str) -> dict[str, bytes]:
    """An adapter as PEFT stores it: what ``PeftModel.from_pretrained`` reads."""
    tensors = {name: parameter.detach().cpu().contiguous() for name, parameter in adapter.parameters.items()}
    config: dict[str, Any] = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        **adapter.shape.to_json(),
    }
    return {ADAPTER: save(tensors, metadata={"format": "pt"}), CONFIG: orjson.dumps(config, option=orjson.OPT_INDENT_2)}


def load_adapter(folder: Path, base: Base) -> tuple[Shape, dict[str, torch.Tensor]]:
    """Shape and weights of a saved adapter. Raises ``RefusalError`` when the files are gone."""
    try:
        config: dict[str, Any] = orjson.loads((folder / CONFIG).read_bytes())
        tensors = load_file(folder / ADAPTER, device=str(base.device))
    except FileNotFoundError:
        raise not_found("The weights of this sampler were deleted.", next_step="Save them again.") from None
    return Shape(rank=int(config["r"]), targets=tuple(sorted(config["target_modules"]))), tensors
