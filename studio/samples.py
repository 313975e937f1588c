"""The sample data sets that ship with the studio: written by us, loaded with one click, listed with the default first.

Guarantees: every file exists, holds unique prompts, and is the same on every machine; nothing is fetched from a network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from studio.assets import asset
from studio.errors import NotFoundError

_FOLDER = "samples"


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample data set. ``task_metric`` says how an answer is scored: as text, or as JSON with the same fields.

    ``settings`` are fields of a recipe that nobody could recommend from the data alone, such as a teacher's prompt.
    """

    name: str
    title: str
    description: str
    file: Path
    method: str
    task_metric: Literal["exact", "json"]
    goal: str
    settings: Mapping[str, str] = field(default_factory=dict[str, str])


def samples() -> tuple[Sample, ...]:
    """All samples; the first one is the one to offer first."""
    rows: list[dict[str, Any]] = json.loads(asset(_FOLDER, "samples.json").read_text(encoding="utf-8"))
    files = [asset(_FOLDER, row.pop("file")) for row in rows]
    return tuple(Sample(**row, file=file) for row, file in zip(rows, files, strict=True))


def sample(name: str) -> Sample:
    """The sample called ``name``; raises ``NotFoundError`` and names those there are."""
    known = samples()
    for one in known:
        if one.name == name:
            return one
    raise NotFoundError(
        "There is no such sample data set.", where=name, next_step=f"Choose one of: {', '.join(one.name for one in known)}."
    )
