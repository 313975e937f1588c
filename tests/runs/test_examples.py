"""From the rows of a part to what the training loop is given, without a server: tool chats, targets, orders, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from studio import data, models
from studio.errors import RunError
from studio.models.rendering import template
from studio.recipe import DataFacts, recommend
from studio.runs import sft

WEATHER = {"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": {}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}


def chat(n: int) -> dict:
    return {
        "messages": [
            {"role": "user", "content": f"Weather on day {n}?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
            {"role": "assistant", "content": f"Sunny on day {n}.", "weight": n % 2},
        ],
        "tools": [WEATHER],
        "parallel_tool_calls": False,
    }


def plan_of(tmp_path: Path, rows: list[dict], *, order: str = "", **changes) -> sft.Plan:
    source = tmp_path / "original"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    split = replace(data.PLANS[0], order=order)
    dataset = data.split(data.inspect(source, "rows.jsonl", tmp_path / "staged"), split)
    recipe = recommend(DataFacts(dataset.train.rows, dataset.validation.rows), models.get("nano")).recipe
    return sft.Plan(
        recipe=replace(recipe, batch_size=1, **changes),
        wire_name=models.get("nano").wire_name,
        train_path=dataset.train.path,
        validation_path=dataset.validation.path,
        validation_rows=dataset.validation.rows,
        steps_per_epoch=dataset.train.rows,
        total=dataset.train.rows,
        start=0,
        name="A run",
        shuffle=not order,
    )


def datums(plan: sft.Plan, folder: Path, epoch: int = 0):
    training, _ = sft.splits(plan, folder)()
    training.set_epoch(epoch)
    return [datum for place in range(len(training)) for datum in training.get_batch(place)]


def texts(found) -> list[str]:
    tokenizer = template(models.get("nano")).tokenizer
    return [tokenizer.decode([*one.model_input.to_ints(), one.loss_fn_inputs["target_tokens"].data[-1]]) for one in found]


@pytest.mark.parametrize("target", ["last_assistant_message", "last_assistant_turn", "all_assistant_messages", "all_tokens"])
def test_tool_chats_of_an_openai_file_train_unchanged(tmp_path, target):
    plan = plan_of(tmp_path, [chat(n) for n in range(12)], train_on=target)
    rows = {row.messages[0].content: row for row in data.rows(plan.train_path)}
    found = datums(plan, tmp_path)
    assert len(found) == len(rows)
    for one, text in zip(found, texts(found), strict=True):
        row = next(row for question, row in rows.items() if f"{question}<|im_end|>" in text)
        shown = template(models.get("nano")).rendering(row.messages, target, plan.recipe.max_length)
        assert text == shown.text
        assert '"name": "weather"' in text
        weights = one.loss_fn_inputs["weights"].data
        assert sum(weight > 0 for weight in weights) == shown.trained
        assert sum(weights) == pytest.approx(1.0 if shown.trained else 0.0)


def test_a_plain_question_trains_as_before(tmp_path):
    plan = plan_of(tmp_path, [{"prompt": f"Q{n}", "completion": f"A{n}"} for n in range(12)])
    found = texts(datums(plan, tmp_path))
    assert sorted(found) == sorted(
        f"<|im_start|>user\n{row.prompt}<|im_end|>\n<|im_start|>assistant\n{row.completion}<|im_end|>"
        for row in data.rows(plan.train_path)
    )


def test_a_curriculum_is_not_shuffled(tmp_path):
    rows = [{"prompt": f"Q{n}", "completion": "A" * (40 - n)} for n in range(24)]
    ordered = plan_of(tmp_path, rows, order="length")
    answers = [row.completion for row in data.rows(ordered.train_path)]
    assert answers == sorted(answers, key=len)
    for epoch in (0, 1):
        shown = texts(datums(ordered, tmp_path, epoch))
        assert [text.rpartition("assistant\n")[2].removesuffix("<|im_end|>") for text in shown] == answers
    shuffled = replace(ordered, shuffle=True)
    assert texts(datums(shuffled, tmp_path, 1)) != texts(datums(ordered, tmp_path, 1))


def test_rows_that_the_format_cannot_hold_are_refused_before_the_first_step(tmp_path):
    plan = plan_of(tmp_path, [chat(n) for n in range(12)])
    without = replace(plan, recipe=replace(plan.recipe, renderer="role_colon"))
    with pytest.raises(RunError, match="cannot be written for nano") as caught:
        sft.splits(without, tmp_path)()
    assert "way to write tool calls" in caught.value.what
    assert caught.value.next_step
    with pytest.raises(RunError):
        sft.validator(without, tmp_path)
