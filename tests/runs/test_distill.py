"""A prompt that is baked in, and a teacher that corrects: the cookbook's loops on the embedded engine."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studio.data import Message
from studio.errors import RunError
from studio.recipe import Recipe
from studio.runs import distill, files, rollouts, teaching
from studio.runs.metrics import MetricsFile
from studio.runs.teaching import Taught, complete, prompted
from tests.runs.practising import NANO, bench, lines

pytestmark = pytest.mark.filterwarnings("ignore:Using the future:FutureWarning")

COLOURS = (
    "the sky,grass,snow,a banana,a lemon,a tomato,coal,a carrot,milk,chocolate,a cherry,the sun,a leaf,the sea,honey,a pig"
)
PROMPT = "Use JSON with the key answer."
BAKED = Recipe.from_dict(
    {**NANO, "method": "distill", "distillation": "prompt", "teacher": "nano", "teacher_prompt": PROMPT, "lora_rank": 8}
    | {
        "learning_rate": 8e-3,
        "batch_size": 8,
        "epochs": 3,
        "lr_schedule": "linear",
        "max_tokens": 24,
        "temperature": 0.5,
        "max_length": 96,
    }
)
ON_POLICY = Recipe.from_dict(
    {**NANO, "method": "distill", "distillation": "on_policy", "teacher": "nano", "kl_coef": 1.0, "learning_rate": 1e-3}
    | {"batch_size": 4, "group_size": 2, "epochs": 1, "max_tokens": 6, "max_steps": 2, "max_length": 96}
)


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    asked = ("What colour is {}?", "Which colour is {}?", "Tell me the colour of {}.")
    rows = [{"prompt": form.format(thing), "completion": "It has one."} for thing in COLOURS.split(",") for form in asked]
    with bench(tmp_path_factory.mktemp("teaching"), rows) as made:
        yield made


@pytest.fixture(scope="module")
def baked(questions):
    run_id = questions.run(BAKED)
    # An earlier process had one answer and was killed in the middle of the second.
    folder = questions.folder(run_id)
    folder.mkdir(parents=True)
    given = {"part": "train", "place": 3, "answer": "from before", "cut": False}
    (folder / teaching.ANSWERS).write_text(json.dumps(given) + '\n{"part": "train", "pl')
    work = questions.work(run_id)
    return work, distill.train(questions.desk(run_id), questions.link, work)


def test_the_student_answers_in_the_teachers_form_without_the_prompt(baked):
    work, result = baked
    taught = lines(work.folder / "taught.jsonl")
    assert len(taught) == work.dataset.train.rows
    assert PROMPT not in (work.folder / "taught.jsonl").read_text()
    as_json = [row for row in taught if row["messages"][-1]["content"].startswith('{"answer": "')]
    assert len(as_json) > 0.7 * len(taught)
    assert result["validation_layout_first"] < 0.3
    assert result["validation_layout_last"] > 0.6
    assert result["validation_loss_last"] < result["validation_loss_first"]
    assert result["train_loss_last"] < result["train_loss_first"]
    metrics = MetricsFile(work.folder / files.METRICS)
    metrics.read()
    assert metrics.finished == work.total
    assert metrics.tokens_of("sample") > 0
    # What each check was measured on can be read, the teacher's answers beside the student's.
    held_out = work.folder / rollouts.HELD_OUT
    assert rollouts.steps(held_out) == (0, work.total)
    checked = rollouts.read(held_out, work.total)
    assert len(checked) == work.dataset.validation.rows
    formed = [group.answers[0].parts[1].value for group in checked]
    assert sum(formed) / len(formed) == pytest.approx(result["validation_layout_last"])
    assert all(distill.layout(g.answers[0].text) == distill.layout(g.compared) for g in checked if g.answers[0].parts[1].value)


def test_answers_of_an_earlier_process_are_not_asked_for_again(baked):
    work, _ = baked
    answers = []
    for line in (work.folder / teaching.ANSWERS).read_text().splitlines():
        try:
            answers.append(json.loads(line))
        except ValueError:
            assert line == '{"part": "train", "pl'
    places = [row["place"] for row in answers if row["part"] == "train"]
    assert sorted(places) == list(range(work.dataset.train.rows)), "each question is asked once"
    assert [row["answer"] for row in answers if row["place"] == 3 and row["part"] == "train"] == ["from before"]


def test_on_policy_the_student_is_pulled_towards_its_teacher(questions):
    run_id = questions.run(ON_POLICY)
    work = questions.work(run_id)
    result = distill.train(questions.desk(run_id), questions.link, work)
    metrics = MetricsFile(work.folder / files.METRICS)
    metrics.read()
    assert metrics.finished == 2
    # The teacher is what the student began as.
    assert result["teacher_kl_first"] == pytest.approx(0, abs=1e-4)
    assert result["validation_teacher_kl_first"] == pytest.approx(0, abs=1e-4)
    assert len(metrics.series("validation_teacher_kl")) == 2
    assert rollouts.steps(work.folder) == (1, 2)
    assert all(answer.reward is None for group in rollouts.read(work.folder, 1) for answer in group.answers)
    assert not {"reward", "signal_share", "missing_share"} & metrics.names, "a teacher gives no reward"
    assert metrics.series("answer_tokens")


def test_a_teacher_without_pull_is_refused(questions):
    run_id = questions.run(ON_POLICY)
    work = questions.work(run_id)
    with pytest.raises(RunError, match="learn nothing"):
        distill.train(questions.desk(run_id), questions.link, replace(work, recipe=replace(work.recipe, kl_coef=0.0)))


def test_the_prompt_comes_in_front_of_what_is_there():
    asked = (Message("user", "Hi"),)
    assert prompted("Be brief.", asked) == (Message("system", "Be brief."), *asked)
    own = (Message("system", "You are nano."), *asked)
    assert prompted("Be brief.", own)[0].content == "Be brief.\n\nYou are nano."


def test_unfinished_answers_are_no_examples_and_the_number_of_steps_stays():
    good, cut, empty = (Taught((), text, ended) for text, ended in (("yes", False), ("and th", True), ("", False)))
    assert complete([good, cut, empty, good]) == [good] * 4
    assert complete([cut]) == []


@pytest.mark.parametrize(
    ("text", "other", "same"),
    [
        ('{"answer": "blue"}', '{"answer": "very dark green"}', True),
        ('{"answer": "blue"}', "Blue.", False),
        ("(the sky)", "(42)", True),
        ("- one\n- two", "- one, two", False),
        ("It is red.", "Yes.", True),
    ],
)
def test_a_layout_is_what_stands_around_the_words(text, other, same):
    assert (distill.layout(text) == distill.layout(other)) is same
