"""The verb ``verdict`` as a person reads it: the paragraph, then tables, textbook numbers last and under their warning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.cli import main
from studio.compare.recompute import verdict_from_document


def told(document: dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    (folder / "votes.json").write_text(json.dumps(document))
    assert main(["verdict", str(folder / "votes.json"), "--home", str(folder / "home"), *more]) == 0
    return capsys.readouterr().out


def items(arms: tuple[str, str], wins: int, losses: int) -> list[dict[str, Any]]:
    return [
        {
            "prompt_id": f"p{i}",
            "rater": "ana",
            "choice": ("left", "right")[(i % 2) ^ (i >= wins)],
            "left": arms[i % 2],
            "right": arms[1 - i % 2],
            "criteria": {"tone": "tie"},
        }
        for i in range(wins + losses)
    ]


def test_two_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"items": items(("tuned", "base"), 36, 14), "slices": {f"p{i}": {"topic": "sums"} for i in range(20)}}
    found, text = verdict_from_document(document), told(document, tmp_path, capsys)
    assert text.startswith(found["paragraph"])
    assert "- This is one person's preference." in text
    for word in (
        "topic: sums",
        "criterion: tone",
        "exploratory",
        "valid only for one look planned in advance",
        "length missing",
    ):
        assert word in text, word
    assert "threshold" not in text
    assert "elo" not in text


def test_three_arms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {
        "version": 2,
        "arms": [{"name": "base", "reference": True}, {"name": "a", "label": "First"}, {"name": "b", "label": "Second"}],
        "items": items(("a", "base"), 40, 10) + items(("b", "base"), 25, 25),
    }
    text = told(document, tmp_path, capsys)
    assert "Each needs evidence of 40 : 1" in text
    assert "elo" in text
    assert json.loads(told(document, tmp_path, capsys, "--json")) == verdict_from_document(document)
