"""``tree`` and ``recommend`` in the terminal, and that what is called counted is what training reads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from studio import data, methods, models, recipe, tokens
from studio.cli import main
from studio.data.splitting.stored import rows
from studio.models.rendering import template
from studio.recipe.cost import estimate

SETTING = {"value", "reason", "source", "badge"}


def lines(path: Path, found: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


@pytest.fixture
def home(tmp_path):
    return ["--home", str(tmp_path / "home")]


def answers(path: Path) -> Path:
    return lines(
        path, [{"prompt": f"What is {n} + {n}?", "completion": f"It is {n + n}, " + "well " * (n % 7)} for n in range(60)]
    )


def pairs(path: Path) -> Path:
    return lines(path, [{"prompt": f"Say {n}?", "chosen": f"{n}", "rejected": f"{n} it is " * (1 + n % 5)} for n in range(60)])


def tasks(path: Path) -> Path:
    return lines(path, [{"prompt": f"What is {n} + {n}?", "ground_truth": f"{n + n}"} for n in range(60)])


def test_the_tree_is_printed_for_programs_and_for_people(home, capsys):
    assert main(["tree", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(methods.document()))
    assert main(["tree", *home]) == 0
    said = capsys.readouterr().out
    for question in methods.QUESTIONS.values():
        assert question.title in said


@pytest.mark.parametrize(
    ("write", "method", "more"),
    [
        (tasks, "rl", []),
        (pairs, "dpo", ["--dial", "gentle"]),
        (answers, "distill", ["--distillation", "on_policy"]),
    ],
    ids=["rl", "dpo", "distill"],
)
def test_every_setting_is_a_value_with_reason_source_and_badge(tmp_path, home, capsys, write, method, more):
    file = write(tmp_path / "rows.jsonl")
    asked = ["recommend", str(file), "--method", method, "--model", "Qwen/Qwen3.5-4B", *more]
    assert main([*asked, "--budget", "2.5", "--json", *home]) == 0
    found = json.loads(capsys.readouterr().out)
    kind = found["recipe"].get("distillation", "prompt")
    assert [one["name"] for one in found["settings"]] == [spec.name for spec in recipe.fields_of(method, kind)]
    assert all(one.keys() >= SETTING and one["reason"] and one["source"] and one["badge"] for one in found["settings"])
    assert found["recipe"]["budget_usd"] == 2.5
    assert found["cost"]["sentence"]
    assert found["asks"] == []
    assert recipe.Recipe.from_yaml(found["yaml"]).to_dict() == found["recipe"]
    if method == "rl":
        assert json.loads(found["recipe"]["reward"])["kind"] == "number"


def test_data_of_another_kind_is_refused_with_both_ways_out(tmp_path, home, capsys):
    file = pairs(tmp_path / "pairs.jsonl")
    assert main(["recommend", str(file), *home]) == 1
    said = capsys.readouterr().err
    assert "--fix better_answers" in said
    assert "--method dpo" in said
    assert main(["recommend", str(file), "--method", "rl", *home]) == 1
    assert "direct preference optimisation" in capsys.readouterr().err


@pytest.fixture
def counted(tmp_path):
    """A split data set with its tokens counted by nano's own tokenizer, and the facts of it."""

    def make(write):
        path = write(tmp_path / "rows.jsonl")
        inspection = data.inspect(path, path.name, tmp_path / "dataset")
        dataset = data.split(inspection, data.default_plan(inspection.rows_usable))
        tokens.profile(dataset, models.get("nano"))
        return dataset, tokens.with_tokens(recipe.facts_of(dataset), dataset, models.get("nano"))

    return make


@pytest.mark.parametrize(("write", "method"), [(answers, "sl"), (pairs, "dpo")], ids=["sl", "dpo"])
def test_counted_tokens_are_those_that_training_reads(counted, write, method):
    nano = models.get("nano")
    dataset, facts = counted(write)
    written = template(nano)
    chosen = recipe.recommend(facts, nano, method).recipe
    chosen = replace(chosen, batch_size=1, epochs=2, eval_every=10, warm_start_epochs=0)

    def read(part) -> int:
        """Positions that the datums of one part hold."""
        found = 0
        for row in rows(part.path):
            for answer in (row.completion, row.rejected) if method == "dpo" else (row.completion,):
                turns = (data.Message("user", row.prompt), data.Message("assistant", answer))
                found += written.datum(turns, "last_assistant_message", chosen.max_length).model_input.length
        return found

    cost = estimate(chosen, facts, nano)
    assert cost is not None
    assert cost.exact
    steps = chosen.steps(dataset.train.rows)
    assert steps == 2 * dataset.train.rows
    checks = -(-steps // 10) + 1
    if method == "sl":
        assert cost.low.train == 2 * read(dataset.train)
        assert cost.low.prefill == checks * read(dataset.validation)
    else:
        assert cost.low.train == 2 * 2 * read(dataset.train)
        pairs_read = 2 * (read(dataset.train) + 2 * dataset.train.rows)
        assert cost.low.prefill == pairs_read + (checks + 1) * read(dataset.validation)


def test_what_was_cut_off_makes_an_estimate_of_a_count(counted):
    _, facts = counted(answers)
    nano = models.get("nano")
    chosen = replace(recipe.recommend(facts, nano).recipe, max_length=16)
    cost = estimate(chosen, facts, nano)
    assert cost is not None
    assert not cost.exact
