"""Staged rows as conversations: every form, bounded batches, a share that depends on the text alone."""

from __future__ import annotations

import json

import pytest

from studio import data
from studio.data import Message, Reading
from studio.data.conversations import conversation, conversations, letters, usable_ids
from studio.errors import NotFoundError


@pytest.fixture
def staged(tmp_path):
    def make(rows, **reading):
        source = tmp_path / "original"
        source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return data.inspect(source, "rows.jsonl", tmp_path / "staged", **reading)

    return make


def everything(inspection, share=1.0):
    return sorted((row for batch in conversations(inspection, share) for row in batch), key=lambda row: row.row_id)


def test_questions_and_conversations_become_turns(staged):
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "Q"},
        {"role": "assistant", "content": "A", "weight": 1},
    ]
    (row,) = everything(staged([{"messages": turns}]))
    assert [(turn.role, turn.content) for turn in row.messages] == [(turn["role"], turn["content"]) for turn in turns]
    assert json.loads(row.messages[-1].more) == {"weight": 1}
    (row,) = everything(staged([{"prompt": "Q", "completion": "A"}]))
    assert row.messages == (Message("user", "Q"), Message("assistant", "A"))
    assert (row.line, row.completion, row.rejected) == (1, "", "")


def test_a_task_ends_before_its_answer(staged):
    rows = everything(
        staged([{"prompt": f"{n}+1?", "answer": str(n + 1)} for n in range(3)], reading=Reading(kind="rl_answer"))
    )
    assert rows[0].messages == (Message("user", "0+1?"),)
    assert (rows[0].completion, rows[0].rejected) == ("", "")


def test_only_usable_rows_and_one_by_one(staged):
    inspection = staged(
        [{"prompt": "Q", "completion": "A"}, {"prompt": "", "completion": "A"}, {"prompt": "R", "completion": "B"}]
    )
    assert [row.row_id for row in everything(inspection)] == [0, 2] == sorted(usable_ids(inspection).tolist())
    assert conversation(inspection, 2) == everything(inspection)[1]
    for missing in (1, 7):
        with pytest.raises(NotFoundError):
            conversation(inspection, missing)


def test_batches_are_bounded_and_complete(staged, monkeypatch):
    monkeypatch.setattr("studio.data.conversations._BATCH", 7)
    inspection = staged([{"prompt": f"Q{n}", "completion": "A"} for n in range(20)])
    batches = list(conversations(inspection))
    assert [len(batch) for batch in batches] == [7, 7, 6]
    assert len(everything(inspection)) == 20


def test_a_share_is_the_same_rows_whatever_their_order(staged):
    rows = [{"prompt": f"Question {n}", "completion": f"Answer {n}"} for n in range(600)]
    inspection = staged(rows)
    drawn = {row.messages for row in everything(inspection, 0.2)}
    assert 80 < len(drawn) < 160
    assert len(usable_ids(inspection, 0.2)) == len(drawn)
    more = {row.messages for row in everything(inspection, 0.4)}
    assert drawn < more
    assert {row.messages for row in everything(staged(rows[::-1]), 0.2)} == drawn


def test_letters_count_all_that_is_read(staged):
    turns = [("system", "Sys"), ("user", "Hello"), ("assistant", "Hi"), ("user", "Again"), ("assistant", "Bye!")]
    chat = [{"role": role, "content": content} for role, content in turns]
    ((one,),) = letters(staged([{"messages": chat}]))
    assert (one.prompt, one.answers) == (3 + 5 + 2 + 5, (4,))
    ((one,),) = letters(staged([{"system": "Sys", "prompt": "Hello", "completion": "Bye!"}]))
    assert (one.prompt, one.answers) == (8, (4,))
