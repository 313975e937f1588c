"""Columns that say more about a row than its texts: whether the answer was liked, and whether pictures belong to it."""

from __future__ import annotations

from studio.data.judges.rules import among
from studio.data.shapes.contents import THUMBS_DOWN
from studio.data.types import Shape


def disliked(shape: Shape) -> list[tuple[str, str]]:
    """Rules for rows whose answer was not wanted, or that are about pictures."""
    rules: list[tuple[str, str]] = []
    if shape.column("images"):
        rules.append(("images_type = 'ARRAY' AND images_text <> '[]'", "images_not_supported:"))
    if shape.column("label"):
        word = "regexp_replace(lower(trim(label_text)), '[.]0$', '')"
        rules.append((among(word, THUMBS_DOWN), f"thumbs_down:{shape.column('label')}"))
    return rules
