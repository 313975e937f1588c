"""Stored answers to rate, without a model behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from studio.store import AnswerRow, Store, new_id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "studio.sqlite3")
    yield opened
    opened.close()


def stored_comparison(
    store: Store, answers: Sequence[tuple[str, str]], *, owner: str = "local", status: str = "completed"
) -> str:
    dataset = store.datasets.add(new_id("dat"), owner=owner, name="d", rows=3, fingerprint="f" * 64, manifest_json="{}")
    run = store.runs.add(owner=owner, name="Mine", dataset_id=dataset.id, method="sl", model="nano", recipe_json="{}")
    comparison = store.comparisons.add(owner=owner, run_id=run.id, settings_json='{"temperature": 0.0}')
    rows: list[AnswerRow] = []
    for position, texts in enumerate(answers):
        prompt = json.dumps([{"role": "user", "content": f"Question {position}"}])
        for arm, text in zip(("base", "tuned"), texts, strict=True):
            rows.append(
                AnswerRow(
                    *(comparison.id, f"p{position:03}", arm, owner, position),
                    *(prompt, f"Reference {position}", text, len(text), "stop", 1.0, 4),
                )
            )
    store.comparisons.add_answers(rows)
    store.jobs.move(comparison.id, status)
    return comparison.id


@pytest.fixture
def comparison_of(store: Store) -> Callable[..., str]:
    """``comparison_of([(base, tuned), …])`` stores complete answers and returns the comparison's id."""

    def make(answers: Sequence[tuple[str, str]], **options: str) -> str:
        return stored_comparison(store, answers, **options)

    return make


@pytest.fixture
def comparison(comparison_of: Callable[..., str]) -> str:
    """Twenty-four prompts, every sixth with the same answer twice."""
    return comparison_of([(f"base {i}", f"base {i}" if i % 6 == 0 else f"tuned {i}") for i in range(24)])
