"""What is asked of both models: refusals, the plan, the choice of prompts, and the measures; no model is needed here."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data, models
from studio.compare import generate
from studio.compare.generate import CompareSettings, Plan
from studio.compare.giveaways import NOTHING, flags, shown, visible
from studio.data import SplitPlan
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.recipe import DataFacts, Recipe, recommend
from studio.settings import Secret, Settings
from studio.store import AnswerRow, RunRow, Store, new_id

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def a_run(
    settings: Settings, store: Store, rows: list[tuple[str, str]] | list[str], *, path: str = "tinker://m/sampler_weights/f"
) -> RunRow:
    dataset_id = new_id("dat")
    file = settings.home / f"{dataset_id}.csv"
    with file.open("w", newline="") as handle:
        if isinstance(rows[0], str):
            handle.write("\n".join(rows))
        else:
            csv.writer(handle).writerows([("prompt", "completion"), *rows])
    inspection = data.inspect(file, "mine.csv", settings.datasets / dataset_id)
    dataset = data.split(inspection, SplitPlan("even", 40, 20, 40))
    store.datasets.add(
        dataset_id, owner="local", name="mine", rows=dataset.rows, fingerprint=inspection.fingerprint, manifest_json="{}"
    )
    recipe = recommend(DataFacts(dataset.train.rows, dataset.validation.rows), models.get("nano")).recipe
    run = store.runs.add(
        owner="local", name="Mine", dataset_id=dataset_id, method="sl", model="nano", recipe_json=recipe.to_json()
    )
    store.runs.update(run.id, sampler_path=path)
    store.jobs.move(run.id, "completed")
    return store.runs.get(run.id, "local")


ROWS = [(f"What is the colour of thing number {i}?", f"Thing {i} is blue.") for i in range(60)]


# ---- settings and plan ----


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("max_prompts", 0), ("max_prompts", 201), ("temperature", -0.1), ("temperature", 2.1), ("temperature", float("nan"))),
        *(("top_p", 0.0), ("top_p", 1.1), ("top_k", 0), ("max_tokens", 0), ("seed", -1), ("seed", 2**31)),
    ],
)
def test_a_value_that_cannot_work_is_refused_at_its_field(field: str, value: float):
    with pytest.raises(SettingError) as caught:
        CompareSettings(**{field: value})
    assert caught.value.where == field


def test_the_plan_is_stored_whole_and_reads_back(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    comparison = generate.start_comparison(settings, store, run.id, "local", CompareSettings(max_prompts=5, seed=7))
    plan = Plan.of(comparison)
    assert plan.to_json() == comparison.settings_json
    assert (plan.max_prompts, plan.seed, plan.temperature) == (5, 7, 0.0)
    assert plan.sampler_path == run.sampler_path
    assert plan.wire_name == "tuning-fork/nano"
    assert plan.dataset_fingerprint == store.datasets.get(run.dataset_id, "local").fingerprint
    job = store.jobs.get(comparison.id)
    assert (job.kind, job.status) == ("answers", "queued")


def test_answers_have_room_for_twice_the_longest_in_the_data(settings: Settings, store: Store):
    short = generate.start_comparison(settings, store, a_run(settings, store, ROWS).id, "local")
    assert Plan.of(short).max_tokens == 64
    chars = models.get("nano").chars_per_token
    long = [(prompt, "word " * 100) for prompt, _ in ROWS]
    wide = generate.start_comparison(settings, store, a_run(settings, store, long).id, "local")
    assert Plan.of(wide).max_tokens == pytest.approx(2 * 499 / chars, abs=2)
    endless = [(prompt, "word " * 5000) for prompt, _ in ROWS]
    capped = generate.start_comparison(settings, store, a_run(settings, store, endless).id, "local")
    assert Plan.of(capped).max_tokens == 1024


# ---- starting ----


def test_the_same_request_is_the_same_comparison(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    first = generate.start_comparison(settings, store, run.id, "local")
    assert generate.start_comparison(settings, store, run.id, "local") == first
    assert generate.start_comparison(settings, store, run.id, "local", CompareSettings(temperature=0.7)).id != first.id
    store.jobs.move(first.id, "completed")
    assert generate.start_comparison(settings, store, run.id, "local") == first
    assert store.jobs.get(first.id).status == "completed"


@pytest.mark.parametrize("status", ["failed", "stopped", "interrupted"])
def test_answers_that_broke_off_are_queued_again(settings: Settings, store: Store, status: str):
    run = a_run(settings, store, ROWS)
    first = generate.start_comparison(settings, store, run.id, "local")
    store.jobs.move(first.id, status)
    assert generate.start_comparison(settings, store, run.id, "local").id == first.id
    assert store.jobs.get(first.id).status == "queued"


def test_a_run_that_trained_on_is_compared_anew(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    first = generate.start_comparison(settings, store, run.id, "local")
    store.runs.update(run.id, sampler_path="tinker://m/sampler_weights/later")
    assert generate.start_comparison(settings, store, run.id, "local").id != first.id


def test_a_run_without_a_result_is_refused(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS, path="")
    with pytest.raises(RunError, match="left no model") as caught:
        generate.start_comparison(settings, store, run.id, "local")
    assert caught.value.next_step
    assert store.comparisons.of_run(run.id, "local") == ()


@pytest.mark.parametrize("status", ["queued", "starting", "running", "stopping"])
def test_a_run_that_still_trains_is_refused(settings: Settings, store: Store, status: str):
    run = a_run(settings, store, ROWS)
    store.jobs.move(run.id, status)
    with pytest.raises(RunError, match=f"still {status}"):
        generate.start_comparison(settings, store, run.id, "local")


def test_somebody_elses_run_is_not_there(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    with pytest.raises(NotFoundError):
        generate.start_comparison(settings, store, run.id, "eve")
    comparison = generate.start_comparison(settings, store, run.id, "local")
    for ask in (generate.measures, generate.answers_complete):
        with pytest.raises(NotFoundError):
            ask(store, comparison.id, "eve")


def test_a_model_that_runs_elsewhere_is_refused(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    hosted = dataclasses.replace(settings, place="hosted", api_key=Secret("tml-x"))
    with pytest.raises(NotFoundError, match="does not run where"):
        generate.start_comparison(hosted, store, run.id, "local")


def test_no_measures_before_the_end(settings: Settings, store: Store):
    comparison = generate.start_comparison(settings, store, a_run(settings, store, ROWS).id, "local")
    assert generate.measures(store, comparison.id, "local") == ()
    assert not generate.answers_complete(store, comparison.id, "local")


# ---- prompts ----


def planned(settings: Settings, store: Store, run: RunRow, **options: int) -> tuple[generate.Question, ...]:
    comparison = generate.start_comparison(settings, store, run.id, "local", CompareSettings(**options))
    return generate.questions(settings, Plan.of(comparison))


def test_the_prompts_are_held_out_rows_without_their_answers(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    asked = planned(settings, store, run)
    dataset = data.load(settings.datasets / run.dataset_id)
    held_out = {row.prompt_id: row for row in data.rows(dataset.test.path)}
    seen_in_training = {row.prompt for part in (dataset.train, dataset.validation) for row in data.rows(part.path)}
    assert len(asked) == dataset.test.rows > 0
    assert [one.position for one in asked] == list(range(len(asked)))
    for one in asked:
        row = held_out[one.prompt_id]
        assert [turn.role for turn in one.messages] == ["user"]
        assert (one.messages[0].content, one.reference) == (row.prompt, row.completion)
        assert one.messages[0].content not in seen_in_training


def test_a_smaller_draw_depends_on_the_seed_only(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    first = planned(settings, store, run, max_prompts=8)
    assert planned(settings, store, run, max_prompts=8) == first
    assert len(first) == 8
    draws = {tuple(one.prompt_id for one in planned(settings, store, run, max_prompts=8, seed=seed)) for seed in range(5)}
    assert len(draws) == 5


def test_a_system_prompt_is_part_of_the_prompt(settings: Settings, store: Store):
    lines = [
        json.dumps({"messages": [{"role": "system", "content": "Be brief."}, *turns]})
        for turns in (
            [{"role": "user", "content": f"Question {i}?"}, {"role": "assistant", "content": f"Answer {i}."}] for i in range(30)
        )
    ]
    run = a_run(settings, store, lines)
    for one in planned(settings, store, run):
        assert [turn.role for turn in one.messages] == ["system", "user"]
        assert one.reference.startswith("Answer")


def test_a_prompt_is_asked_once_however_often_it_stands_there(settings: Settings, store: Store):
    run = a_run(settings, store, [(f"Name thing {i // 3}.", f"Answer {i}.") for i in range(90)])
    asked = planned(settings, store, run)
    assert len({one.messages[0].content for one in asked}) == len(asked)


def test_a_changed_held_out_part_is_refused(settings: Settings, store: Store):
    run = a_run(settings, store, ROWS)
    comparison = generate.start_comparison(settings, store, run.id, "local")
    folder = settings.datasets / run.dataset_id
    (folder / "test.parquet").write_bytes((folder / "train.parquet").read_bytes())
    with pytest.raises(DataError, match="put aside"):
        generate.questions(settings, Plan.of(comparison))


# ---- measures ----


def answer(prompt: int, arm: str, text: str, *, nll: float | None = 1.0, tokens: int = 4, reference: str = "yes") -> AnswerRow:
    return AnswerRow("cmp-x", f"p{prompt}", arm, "local", prompt, "[]", reference, text, 3, "stop", nll, tokens)


def test_measures_are_those_of_the_answers():
    rows = [answer(i, "base", "no", nll=2.0) for i in range(4)] + [answer(i, "tuned", "yes", nll=0.5) for i in range(4)]
    found = {one.name: one for one in generate.measured(tuple(rows))}
    assert (found["exact"].base, found["exact"].tuned) == (0.0, 1.0)
    assert (found["loss"].base, found["loss"].tuned) == (2.0, 0.5)
    assert found["loss"].n == 4


def test_a_long_reference_weighs_as_many_tokens_as_it_has():
    rows = (
        *(answer(0, "base", "a", nll=1.0, tokens=1), answer(0, "tuned", "a", nll=1.0, tokens=1)),
        *(answer(1, "base", "a", nll=3.0, tokens=3), answer(1, "tuned", "a", nll=2.0, tokens=3)),
    )
    loss = next(one for one in generate.measured(rows) if one.name == "loss")
    assert (loss.base, loss.tuned) == (2.5, 1.75)


def test_a_reference_that_one_model_could_not_be_scored_on_is_left_out_of_both():
    rows = (
        *(answer(0, "base", "a", nll=9.0), answer(0, "tuned", "a", nll=None, tokens=0)),
        *(answer(1, "base", "a", nll=3.0), answer(1, "tuned", "a", nll=2.0)),
    )
    loss = next(one for one in generate.measured(rows) if one.name == "loss")
    assert (loss.base, loss.tuned, loss.n) == (3.0, 2.0, 1)
    assert "loss" not in {one.name for one in generate.measured(rows[:2])}


def test_thinking_is_not_measured():
    rows = (answer(0, "base", "<think>no</think>yes"), answer(0, "tuned", "yes<|im_end|>"))
    exact = next(one for one in generate.measured(rows) if one.name == "exact")
    assert (exact.base, exact.tuned) == (1.0, 1.0)


# ---- what is shown ----


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain", "plain"),
        ("  blank edges\n", "blank edges"),
        ("<think>\nsecret\n</think>\n\nAnswer", "Answer"),
        ("secret</think>Answer", "Answer"),
        ("<think>cut off in the mid", ""),
        ("<|im_start|>assistant\nHi<|im_end|>", "assistant\nHi"),
        ("a <| b |> c", "a <| b |> c"),
        ("<s>struck</s>", "<s>struck</s>"),
        ("", ""),
    ],
)
def test_what_is_taken_out(text: str, seen: str):
    assert visible(text) == seen
    assert shown(text) == (seen or NOTHING)


@given(st.text(max_size=200))
def test_looking_twice_changes_nothing(text: str):
    assert visible(visible(text)) == visible(text) or "think>" in text or "<|" in text
    assert shown(text)


def test_flags_name_what_gives_an_answer_away():
    def of(text: str, stop: str = "stop") -> tuple[str, ...]:
        return flags(dataclasses.replace(answer(0, "base", text), stop_reason=stop), ("nano", "Pirate talk"))

    assert of("The sky is blue.") == ()
    assert of("I am Qwen, a model.") == ("names_model",)
    assert of("as a NANO model") == ("names_model",)
    assert of("nanometre and banana") == ()
    assert of("x<|im_end|>y") == ("special_tokens",)
    assert of("<think>hm</think>y") == ("thinking",)
    assert of("cut", "length") == ("truncated",)
    assert of("") == ("empty",)


def test_pages_and_terminal_do_not_pay_for_the_models():
    code = (
        "import sys, studio.compare.generate, studio.compare.blind, studio.compare.outcome, studio.compare.answers_job\n"
        "print(*sorted({'torch', 'tinker', 'tinker_cookbook', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


# ---- pairs and tasks ----


def a_run_on(settings: Settings, store: Store, rows: list[dict[str, str]], method: str, **changes: object) -> RunRow:
    """A run on a file of pairs or tasks, without its training."""
    run = a_run(settings, store, [json.dumps(row) for row in rows])
    recipe = dataclasses.replace(Recipe.from_json(run.recipe_json), method=method, **changes)
    other = store.runs.add(
        owner="local", name="Mine", dataset_id=run.dataset_id, method=method, model="nano", recipe_json=recipe.to_json()
    )
    store.runs.update(other.id, sampler_path="tinker://m/sampler_weights/f")
    store.jobs.move(other.id, "completed")
    return store.runs.get(other.id, "local")


def test_of_a_pair_the_prompt_is_asked_and_the_better_answer_is_the_reference(settings: Settings, store: Store):
    worse = "I am delighted to tell you that the thing which you have in mind has the colour number {0}, of course. " * 2
    rows = [{"prompt": f"Colour of thing {i}?", "chosen": f"Blue {i}.", "rejected": worse.format(i)} for i in range(60)]
    run = a_run_on(settings, store, rows, "dpo")
    plan = Plan.of(generate.start_comparison(settings, store, run.id, "local"))
    asked = generate.questions(settings, plan)
    known = {row["prompt"]: row["chosen"] for row in rows}
    assert asked
    for one in asked:
        assert [turn.role for turn in one.messages] == ["user"]
        assert one.reference == known[one.messages[-1].content]
    # The base model may answer like the worse ones, and must not be cut off for it.
    assert plan.max_tokens >= 2 * len(worse) / models.get("nano").chars_per_token - 4
    assert generate.reward_of(store, plan, "local") is None


def test_of_a_task_the_right_answer_is_the_reference_and_the_reward_is_measured(settings: Settings, store: Store):
    rows = [{"prompt": f"What is {i} + 1?", "answer": str(i + 1)} for i in range(60)]
    run = a_run_on(settings, store, rows, "rl", reward='{"kind": "number"}', max_tokens=96)
    plan = Plan.of(generate.start_comparison(settings, store, run.id, "local"))
    asked = generate.questions(settings, plan)
    assert plan.max_tokens == 96
    assert {one.messages[-1].content: one.reference for one in asked}.items() <= {
        r["prompt"]: r["answer"] for r in rows
    }.items()
    right = {one.prompt_id: one.reference for one in asked}
    answers = tuple(
        AnswerRow("c", one.prompt_id, arm, "local", one.position, "[]", one.reference, text, 1, "stop", None, 0)
        for one in asked
        for arm, text in (("base", "nobody knows"), ("tuned", f"It is {right[one.prompt_id]}."))
    )
    reward = generate.reward_of(store, plan, "local")
    found = {one.name: one for one in generate.measured(answers, reward=reward, asked_of=asked)}
    assert (found["reward"].base, found["reward"].tuned) == (0.0, 1.0)
    assert found["exact"].tuned == 0.0


def test_a_written_answer_with_a_score_is_no_reference(settings: Settings, store: Store):
    rows = [{"prompt": f"Name number {i}", "completion": f"wrong {i}", "reward": str(i % 2)} for i in range(60)]
    run = a_run_on(settings, store, rows, "rl", reward='{"kind": "length", "most": 5}')
    asked = generate.questions(settings, Plan.of(generate.start_comparison(settings, store, run.id, "local")))
    assert {one.reference for one in asked} == {""}
