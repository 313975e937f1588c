"""What would be trained now, for data that this version cannot train on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio import datasets
from wizards.draft import Draft
from wizards.plan import _in_full, noted, plan

PAIRS = [{"prompt": f"Question {n}?", "chosen": f"Good {n}", "rejected": f"Bad {n}"} for n in range(60)]
GRADED = [{"prompt": f"Question {n}?", "completion": f"Answer {n}", "reward": n % 3 / 2} for n in range(60)]


def rows_file(folder: Path, rows: list[dict[str, object]]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(("rows", "words"), [(PAIRS, "better answers"), (GRADED, "example answers")], ids=["pairs", "graded"])
def test_data_of_another_kind_is_split_and_stored_but_not_started(ctx, tmp_path, rows, words):
    path = rows_file(tmp_path, rows)
    staged_id, found = datasets.stage(ctx.settings, path, path.name, "ann")
    assert found.ready
    dataset = datasets.settle(ctx.settings, ctx.store, staged_id, "ann")
    assert dataset.rows == 60
    now = plan(ctx.settings, ctx.store, Draft(method="sl", dataset=staged_id), "ann")
    assert not now.ready
    assert now.missing is not None
    assert now.missing.step == "data"
    assert words in now.missing.words
    (problem,) = now.problems
    assert problem.field == "method"
    assert "supervised" in problem.message


def test_a_long_setting_is_kept_on_disk_and_only_its_name_stands_in_the_address(ctx):
    long = "Answer as a pirate. " * 400
    draft = noted(ctx.settings, Draft(), "ann", "teacher_prompt", long)
    assert len(draft.to_query()) < 200
    assert _in_full(ctx.settings, draft, "ann").changes == (("teacher_prompt", long),)
    assert _in_full(ctx.settings, draft, "bob").changes == (), "another owner's address brings no text along"
    assert noted(ctx.settings, Draft(), "ann", "seed", "3").changes == (("seed", "3"),)
