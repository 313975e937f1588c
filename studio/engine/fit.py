"""Whether a model fits into the memory of this machine, found out before a byte of its weights is fetched or read.

Guarantees: only the model's configuration is read; a model that cannot fit is refused with both numbers in one sentence, where
loading it would end in a killed process; nothing is refused because of a guess about what is not known.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

import psutil
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from studio.errors import EngineError

#: What work needs beside the weights: activations of one pass, the cache, an adapter with its optimiser. Bytes, and a share.
ROOM: Final = 512 * 1024 * 1024
ROOM_SHARE: Final = 0.2
_GROUP: Final = Path("/sys/fs/cgroup")


def weight_bytes(config: Any, dtype: torch.dtype) -> int:  # noqa: ANN401  a transformers configuration
    """Bytes of the weights of a model with this configuration, tied ones counted once; no memory is taken to find out."""
    with torch.device("meta"):
        model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return sum(parameter.numel() for parameter in model.parameters()) * dtype.itemsize


def free_bytes(device: torch.device) -> int:
    """Memory that this process may still take on a device: what the system, the container and the driver leave."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no such group, or one without a limit
        limit, used = (int((_GROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        free = min(free, max(0, limit - max(0, used - _cached(_GROUP / "memory.stat"))))
    if device.type == "mps":
        free = min(free, int(torch.mps.recommended_max_memory()) - int(torch.mps.driver_allocated_memory()))
    return free


def _cached(stat: Path) -> int:
    """Bytes of files that a container keeps in memory and gives up when they are needed; 0 where nothing says so."""
    try:
        fields = (line.split() for line in stat.read_text().splitlines())
        return sum(int(count) for name, count in fields if name in ("inactive_file", "active_file"))
    except (OSError, ValueError):
        return 0


def require_room(name: str, config: Any, device: torch.device, dtype: torch.dtype) -> None:  # noqa: ANN401  a configuration
    """Raise ``EngineError`` when the model and the room to work with it are more than is free."""
    weights = weight_bytes(config, dtype)
    needed = weights + max(ROOM, int(ROOM_SHARE * weights))
    free = free_bytes(device)
    if weights > 0 and needed > free:
        where = "on the GPU" if device.type == "cuda" else "on this machine"
        raise EngineError(
            f"The model {name} needs about {_size(needed)} of memory, and {_size(free)} are free {where}.",
            next_step="Close other programs, choose a smaller model, or connect to a server.",
        )


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
