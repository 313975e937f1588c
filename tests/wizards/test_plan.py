"""What would be trained now, and what contradicts it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio import datasets, methods
from wizards.clash import Clash
from wizards.draft import Draft
from wizards.plan import _in_full, noted, plan

PAIRS = [{"prompt": f"Question {n}?", "chosen": f"Good {n}", "rejected": f"Bad {n}"} for n in range(60)]
GRADED = [{"prompt": f"Question {n}?", "completion": f"Answer {n}", "reward": n % 3 / 2} for n in range(60)]


def rows_file(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("rows", "training"), [(PAIRS, "DPO"), (GRADED, "RL")], ids=["pairs", "graded"])
def test_data_of_another_kind_than_the_goal_is_a_contradiction_and_nothing_starts(ctx, tmp_path, rows, training):
    path = rows_file(tmp_path, rows)
    staged_id, found = datasets.stage(ctx.settings, path, path.name, "ann")
    assert found.ready
    waiting = plan(ctx.settings, ctx.store, Draft(method="sl", dataset=staged_id), "ann")
    assert waiting.clash == Clash("sl", training, methods.ways(training)), "it is known before anything is split"
    dataset = datasets.settle(ctx.settings, ctx.store, staged_id, "ann")
    assert dataset.rows == 60
    now = plan(ctx.settings, ctx.store, Draft(method="sl", dataset=staged_id), "ann")
    assert now.clash == waiting.clash
    assert not now.ready
    assert now.missing.step == "goal"
    fits = plan(ctx.settings, ctx.store, Draft(method=methods.ways(training)[0], dataset=staged_id), "ann")
    assert fits.clash is None


def test_a_long_setting_is_kept_on_disk_and_only_its_name_stands_in_the_address(ctx):
    long = "Answer as a pirate. " * 400
    draft = noted(ctx.settings, Draft(), "ann", "teacher_prompt", long)
    assert len(draft.to_query()) < 200
    assert _in_full(ctx.settings, draft, "ann").changes == (("teacher_prompt", long),)
    assert _in_full(ctx.settings, draft, "bob").changes == (), "another owner's address brings no text along"
    assert noted(ctx.settings, Draft(), "ann", "seed", "3").changes == (("seed", "3"),)
