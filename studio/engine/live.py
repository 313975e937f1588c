"""What is alive in an engine: sessions, the runs they train, the samplers they use.

Guarantees: plain records; ``service`` alone creates, finds and ends them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from studio.engine.base import Base
from studio.engine.checkpoints import Run
from studio.engine.refusals import RefusalError
from studio.engine.shelf import SamplerWeights
from studio.engine.trainer import Trainee
from studio.engine.turns import Turns


@dataclass(slots=True, eq=False)
class Session:
    """One client: a ``ServiceClient`` in somebody's process."""

    id: str
    created: datetime
    user_metadata: Mapping[str, Any]
    display_name: str | None
    seen: float = field(default_factory=time.monotonic)
    runs: list[str] = field(default_factory=list[str])
    samplers: list[str] = field(default_factory=list[str])


@dataclass(slots=True, eq=False)
class LiveRun:
    """A training run in memory. ``trainee`` is set by the compute thread once the adapter exists."""

    run: Run
    base: Base
    turns: Turns
    trainee: Trainee | None = None

    def training(self) -> Trainee:
        """The trainee. Raises ``RefusalError`` when there is none any more."""
        if self.trainee is None:
            raise RefusalError(f"The run {self.run.model_id} could not be started, or its session is over.")
        return self.trainee

    def meta(self, user_metadata: Mapping[str, str] | None) -> dict[str, Any]:
        """What a checkpoint of this run says about itself."""
        return {
            "rank": self.run.rank,
            "base_model": self.run.base_model,
            "base_fingerprint": self.base.fingerprint,
            "steps": self.trainee.steps if self.trainee is not None else 0,
            "user_metadata": dict(user_metadata or {}),
        }


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampling session: which weights its requests use."""

    id: str
    session_id: str
    weights: SamplerWeights
    base_model: str
    model_path: str | None
