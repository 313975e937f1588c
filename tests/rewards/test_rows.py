"""A reward sees the same row wherever it scores: tried, practised for, checked on held-out questions, and compared."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from studio import data, models, rewards
from studio.compare import prompts
from studio.errors import StoreError
from studio.models.rendering import template
from studio.rewards import TaskRow
from studio.rewards.of_data import some_rows
from studio.runs import envs
from tests.runs.test_examples import work_of

#: Right when the answer is what stands in a column that no form knows, under the name that the person gave it.
CODE = """
def score(prompt, answer, reference, row):
    return answer == row["how hard?"] and "note" in row
"""


def lines(count: int = 40) -> list[dict[str, str]]:
    return [
        {"prompt": f"Add {n} and {n}.", "reference": str(2 * n), "how hard?": f"level {n}", "note": "x"} for n in range(count)
    ]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory):
    return work_of(tmp_path_factory.mktemp("rows"), lines(), method="rl")


def by_prompt(rows) -> dict[str, TaskRow]:
    return {row.prompt: row for row in rows}


def test_a_reward_sees_the_columns_by_their_own_names_wherever_it_scores(work):
    train, written = work.dataset.train, template(models.get("nano"))
    tried = by_prompt(some_rows(train.path, train.rows))
    practised = by_prompt(one.row for one in envs.questions(work, train, written))
    assert tried == practised
    assert len(tried) == train.rows
    held_out = by_prompt(one.row for one in envs.held_out(work, written))
    assert held_out == by_prompt(some_rows(work.dataset.validation.path, 40))
    compared = by_prompt(prompts.question_of(0, row).task for row in data.rows(work.dataset.test.path))
    assert compared == by_prompt(some_rows(work.dataset.test.path, 40))
    seen = tried | held_out | compared
    assert seen == {
        row["prompt"]: TaskRow(row["prompt"], row["reference"], extra={"how hard?": row["how hard?"], "note": "x"})
        for row in lines()
    }
    some = [next(iter(rows.values())) for rows in (tried, practised, held_out, compared)]
    with rewards.batch_scorer(rewards.Python(code=CODE)) as scorer:
        items = [(row.extra["how hard?"], row) for row in some] + [("easy", row) for row in some]
        found = asyncio.run(scorer(items))
    assert [score.value for score in found] == [1, 1, 1, 1, 0, 0, 0, 0], found[0].error


def rewritten(record: Path, **inspection: object) -> None:
    told = json.loads(record.read_text("utf-8"))
    told["inspection"] = {name: value for name, value in told["inspection"].items() if name not in inspection}
    told["inspection"] |= {name: value for name, value in inspection.items() if value is not None}
    record.write_text(json.dumps(told), encoding="utf-8")


def test_a_data_set_that_kept_no_names_is_read_by_place_and_a_broken_record_is_said(tmp_path):
    work = work_of(tmp_path, lines(), method="rl")
    record = work.dataset.folder / "dataset.json"
    rewritten(record, extras=None)
    (row,) = some_rows(work.dataset.train.path, 1)
    assert set(row.extra) == {"x0", "x1"}
    assert next(iter(envs.Questions(work.dataset.train.path, work.cache))).row.extra == row.extra
    record.write_text("{", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be read"):
        data.rows(work.dataset.train.path)


def test_a_written_answer_is_the_reference_where_the_row_has_none(tmp_path):
    chats = [[{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": str(n)}] for n in range(40)]
    work = work_of(tmp_path, [{"messages": chat} for chat in chats])
    tried = by_prompt(some_rows(work.dataset.train.path, 40))
    assert len(tried) == work.dataset.train.rows
    assert all(row == TaskRow(prompt, prompt[4:-1]) for prompt, row in tried.items())
    assert tried == by_prompt(one.row for one in envs.Questions(work.dataset.train.path, work.cache))
