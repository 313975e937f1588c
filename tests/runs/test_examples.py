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
from studio.runs import examples, stages
from studio.runs.work import Start, Work
from studio.store import RunRow

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


def work_of(tmp_path: Path, rows: list[dict], *, order: str = "", method: str = "sl", stage: str = "train", **changes) -> Work:
    source = tmp_path / "original"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    split = replace(data.PLANS[0], order=order)
    dataset = data.split(data.inspect(source, "rows.jsonl", tmp_path / "staged"), split)
    recipe = recommend(DataFacts(dataset.train.rows, dataset.validation.rows), models.get("nano")).recipe
    recipe = replace(recipe, method=method, batch_size=1, **changes)
    found = next(one for one in stages.of(recipe) if one.key == stage)
    run = RunRow("run-1", "local", "A run", "dat-1", method, "nano", "{}", 0.0, "", "", "{}", "")
    length = stages.length(recipe, found, dataset.train.rows)
    return Work(run, recipe, dataset, found, tmp_path / "run", length, (), Start(), {})


def datums(work: Work, epoch: int = 0, *, paired: bool = False):
    training, _ = examples.split(work, paired=paired)()
    training.set_epoch(epoch)
    return [datum for place in range(len(training)) for datum in training.get_batch(place)]


def texts(found) -> list[str]:
    tokenizer = template(models.get("nano")).tokenizer
    return [tokenizer.decode([*one.model_input.to_ints(), one.loss_fn_inputs["target_tokens"].data[-1]]) for one in found]


@pytest.mark.parametrize("target", ["last_assistant_message", "last_assistant_turn", "all_assistant_messages", "all_tokens"])
def test_tool_chats_of_an_openai_file_train_unchanged(tmp_path, target):
    work = work_of(tmp_path, [chat(n) for n in range(12)], train_on=target)
    rows = {row.messages[0].content: row for row in data.rows(work.dataset.train.path)}
    found = datums(work)
    assert len(found) == len(rows)
    for one, text in zip(found, texts(found), strict=True):
        row = next(row for question, row in rows.items() if f"{question}<|im_end|>" in text)
        shown = template(models.get("nano")).rendering(row.messages, target, work.recipe.max_length)
        assert text == shown.text
        assert '"name": "weather"' in text
        weights = one.loss_fn_inputs["weights"].data
        assert sum(weight > 0 for weight in weights) == shown.trained
        assert sum(weights) == pytest.approx(1.0 if shown.trained else 0.0)


def test_a_plain_question_trains_as_before(tmp_path):
    work = work_of(tmp_path, [{"prompt": f"Q{n}", "completion": f"A{n}"} for n in range(12)])
    found = texts(datums(work))
    assert sorted(found) == sorted(
        f"<|im_start|>user\n{row.prompt}<|im_end|>\n<|im_start|>assistant\n{row.completion}<|im_end|>"
        for row in data.rows(work.dataset.train.path)
    )


def test_a_curriculum_is_not_shuffled(tmp_path):
    rows = [{"prompt": f"Q{n}", "completion": "A" * (40 - n)} for n in range(24)]
    ordered = work_of(tmp_path, rows, order="length")
    answers = [row.completion for row in data.rows(ordered.dataset.train.path)]
    assert answers == sorted(answers, key=len)
    for epoch in (0, 1):
        shown = texts(datums(ordered, epoch))
        assert [text.rpartition("assistant\n")[2].removesuffix("<|im_end|>") for text in shown] == answers
    free = replace(ordered, dataset=replace(ordered.dataset, plan=replace(ordered.dataset.plan, order="")))
    assert texts(datums(free, 1)) != texts(datums(ordered, 1))


def test_rows_that_the_format_cannot_hold_are_refused_before_the_first_step(tmp_path):
    work = work_of(tmp_path, [chat(n) for n in range(12)])
    without = replace(work, recipe=replace(work.recipe, renderer="role_colon"))
    with pytest.raises(RunError, match="cannot be written for nano") as caught:
        examples.split(without)()
    assert "way to write tool calls" in caught.value.what
    assert caught.value.next_step
    with pytest.raises(RunError):
        examples.scorer(without)


PAIRS = [
    {"prompt": f"Say {n}.", "chosen": f"{n}", "rejected": f"The number that you would like to hear is {n}, of course."}
    for n in range(24)
]


def test_pairs_train_better_before_worse_and_weigh_each_token_of_an_answer_alike(tmp_path):
    work = work_of(tmp_path, PAIRS, method="dpo")
    found = datums(work, paired=True)
    assert len(found) == 2 * work.dataset.train.rows
    rows = {row.prompt: row for row in data.rows(work.dataset.train.path)}
    written = texts(found)
    for better, worse, one, other in zip(found[0::2], found[1::2], written[0::2], written[1::2], strict=True):
        row = next(row for prompt, row in rows.items() if f"{prompt}<|im_end|>" in one)
        assert one.endswith(f"assistant\n{row.completion}<|im_end|>")
        assert other.endswith(f"assistant\n{row.rejected}<|im_end|>")
        for datum, answer in ((better, row.completion), (worse, row.rejected)):
            weights = datum.loss_fn_inputs["weights"].data
            tokens = template(models.get("nano")).tokenizer.encode(answer, add_special_tokens=False)
            assert set(weights) == {0.0, 1.0}
            assert sum(weights) == len(tokens) + 1


def test_a_warm_up_learns_the_better_answers_alone(tmp_path):
    work = work_of(tmp_path, PAIRS, method="dpo", stage="warm_start", warm_start_epochs=1)
    answers = {text.rpartition("assistant\n")[2].removesuffix("<|im_end|>") for text in texts(datums(work))}
    assert answers == {row.completion for row in data.rows(work.dataset.train.path)}
