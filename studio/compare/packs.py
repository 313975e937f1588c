"""The regression packs that ship with the studio: prompts of our own, to see what a model forgot while it learned.

Guarantees: every pack and every check in it can be read; the prompts are the same on every machine; nothing is fetched.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from studio.assets import asset
from studio.errors import NotFoundError

_FOLDER: Final = "packs"


@dataclass(frozen=True, slots=True)
class PackPrompt:
    """One prompt of a pack. ``check`` is a reward as JSON (see ``studio.rewards``) that an answer can be held against."""

    prompt: str
    reference: str
    topic: str
    check: str


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack. ``checked`` says in a sentence what its checks look for; ``size`` is the number of prompts."""

    name: str
    title: str
    description: str
    checked: str
    size: int
    file: Path

    def prompts(self) -> tuple[PackPrompt, ...]:
        """The prompts in their order."""
        rows = [json.loads(line) for line in self.file.read_text("utf-8").splitlines()]
        return tuple(
            PackPrompt(row["prompt"], row.get("reference", ""), row["topic"], json.dumps(row["check"], sort_keys=True))
            for row in rows
        )


def packs() -> tuple[Pack, ...]:
    """All packs, the most general one first."""
    rows: list[dict[str, Any]] = json.loads(asset(_FOLDER, "packs.json").read_text("utf-8"))
    return tuple(
        Pack(row["name"], row["title"], row["description"], row["checked"], row["prompts"], asset(_FOLDER, row["file"]))
        for row in rows
    )


def pack(name: str) -> Pack:
    """The pack called ``name``. Raises ``NotFoundError`` and names those there are."""
    known = packs()
    for one in known:
        if one.name == name:
            return one
    raise NotFoundError(
        "There is no such regression pack.", where=name, next_step=f"Choose one of: {', '.join(one.name for one in known)}."
    )
