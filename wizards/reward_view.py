"""What a visitor is doing on the reward panel: answers typed to try it, and a reward that does not hold yet.

Guarantees: frozen and small; it lives in the draft's ``view`` behind ``reward:`` (long texts are kept on disk first); what an
old or broken address brings is read as nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self, cast

from studio import kept
from studio.errors import NotFoundError
from studio.settings import Settings
from wizards.draft import Draft

PREFIX: Final = "reward:"
_LONGEST_ANSWER: Final = 20_000


@dataclass(frozen=True, slots=True)
class View:
    """``typed`` is row and answer; ``raw`` is the reward as it was left when it could not be used, as JSON or as YAML text."""

    typed: tuple[tuple[int, str], ...] = ()
    raw: str = ""
    yaml: str = ""

    def answering(self, row: int, text: str) -> Self:
        """With this answer to that row; an empty one is none."""
        rest = tuple(pair for pair in self.typed if pair[0] != row)
        return replace(self, typed=(*rest, (row, text[:_LONGEST_ANSWER])) if text else rest)

    @property
    def mapping(self) -> Mapping[str, Any] | None:
        """The reward that does not hold yet."""
        return cast("dict[str, Any]", json.loads(self.raw)) if self.raw else None


def read(settings: Settings, draft: Draft, owner: str) -> View:
    """The view of this draft."""
    if not draft.view.startswith(PREFIX):
        return View()
    try:
        found: object = json.loads(kept.said(settings, owner, draft.view.removeprefix(PREFIX)))
    except (NotFoundError, ValueError, RecursionError):
        return View()
    if not isinstance(found, dict):
        return View()
    fields = cast("dict[str, object]", found)
    raw, yaml, typed = fields.get("raw", ""), fields.get("yaml", ""), fields.get("typed", [])
    return View(_pairs(typed), raw if isinstance(raw, str) and _is_mapping(raw) else "", yaml if isinstance(yaml, str) else "")


def written(settings: Settings, draft: Draft, owner: str, view: View) -> Draft:
    """The draft with this view. Raises ``StoreError`` when the disk refuses."""
    if view == View():
        return replace(draft, view="") if draft.view.startswith(PREFIX) else draft
    text = json.dumps({"typed": view.typed, "raw": view.raw, "yaml": view.yaml}, ensure_ascii=False)
    return replace(draft, view=PREFIX + kept.keep(settings, owner, text))


def _pairs(found: object) -> tuple[tuple[int, str], ...]:
    if not isinstance(found, list):
        return ()
    pairs = [cast("list[object]", each) for each in cast("list[object]", found) if isinstance(each, list)]
    return tuple(
        (row, text)
        for row, text, *_ in (pair for pair in pairs if len(pair) == 2)
        if isinstance(row, int) and isinstance(text, str)
    )


def _is_mapping(text: str) -> bool:
    try:
        return not text or isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
