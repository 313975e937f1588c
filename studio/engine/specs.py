"""Which models an engine is asked to serve, decided before any heavy library is imported.

Guarantees: imports neither torch nor the Hub's client, so that the environment can still tell both that nothing may be fetched.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from studio import models
from studio.errors import EngineError


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """A model to serve: ``name`` on the wire, ``aliases`` that mean the same, ``source`` a folder or a Hub id."""

    name: str
    source: str
    aliases: tuple[str, ...] = ()

    @property
    def local(self) -> bool:
        """Whether the weights are already on this machine: as a folder, or in the Hub's cache."""
        return Path(self.source).is_dir() or _cached(self.source)


def spec_for(name: str) -> BaseSpec:
    """The model that a ``--model`` argument means. Raises ``EngineError`` when it can only be a folder that is not there."""
    if name in ("nano", "tuning-fork/nano"):
        return BaseSpec("tuning-fork/nano", str(models.nano_folder()), aliases=("nano",))
    folder = Path(name).expanduser()
    if folder.is_dir():
        whole = str(folder.resolve())
        return BaseSpec(name, whole, aliases=(whole,) if whole != name else ())
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise EngineError(f"There is no folder {name}.", next_step="Give nano, a folder with a model, or a Hugging Face id.")
    return BaseSpec(name, name)


def _cached(hub_id: str) -> bool:
    """Whether the Hub's cache holds weights of this model; its layout is documented and stable."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    return any((cache / f"models--{hub_id.replace('/', '--')}" / "snapshots").glob("*/*.safetensors"))
