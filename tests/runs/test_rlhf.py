"""A judge from pairs, and practice for what it prefers: on the embedded engine, and in the cases that end a run."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from tinker_cookbook.preference.types import Comparison
from tinker_cookbook.rl.preference_envs import get_pairs_chunked

from studio.errors import RunError
from studio.recipe import Recipe
from studio.rewards import TaskRow
from studio.runs import files, heldout, judge, rlhf, rollouts, stages
from studio.runs.checkpoints import known
from studio.runs.envs import Question
from studio.runs.metrics import MetricsFile
from tests.runs.practising import NANO, bench, lines

pytestmark = pytest.mark.filterwarnings("ignore:Using the future:FutureWarning")

COLOURS = "red blue green black white pink grey brown"
RECIPE = Recipe.from_dict(
    {**NANO, "method": "rlhf", "lora_rank": 16, "learning_rate": 1e-3, "batch_size": 2, "group_size": 3, "epochs": 1}
    | {"max_tokens": 4, "max_steps": 2, "kl_coef": 0.1, "max_length": 64}
    | {"judge_learning_rate": 8e-3, "judge_epochs": 8, "judge_batch_size": 8}
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    asked = [f"{colour} {animal}" for colour in COLOURS.split() for animal in ("cat", "dog", "hen", "cow", "pig")]
    rows = [{"prompt": f"Say {words}.", "chosen": "Yes.", "rejected": "No, I will not."} for words in asked]
    with bench(tmp_path_factory.mktemp("pairs"), rows) as made:
        yield made


@pytest.fixture(scope="module")
def judged(pairs):
    """A run whose judge is trained."""
    run_id = pairs.run(RECIPE)
    work = pairs.work(run_id, 0)
    return run_id, work, judge.train(pairs.desk(run_id), pairs.link, work)


def test_the_judge_learns_from_pairs_in_a_stage_of_its_own(pairs, judged):
    _, work, result = judged
    assert [stage.key for stage in stages.of(RECIPE)] == ["judge", "train"]
    assert result["accuracy_first"] == pytest.approx(0.5, abs=0.2)
    assert result["accuracy"] >= 0.9
    assert result["rows"] == pairs.dataset.validation.rows
    assert stages.is_done(work.folder)
    assert known(work.folder, work.length.per_pass)[-1].sampler_path, "later runs can use it again"
    # Both orders of every pair, so that the place of an answer says nothing.
    assert {line["num_sequences"] for line in lines(work.folder / files.METRICS) if "num_sequences" in line} == {16}


@pytest.fixture(scope="module")
def practised(pairs, judged):
    run_id, before, _ = judged
    final = known(before.folder, before.length.per_pass)[-1]
    work = pairs.work(run_id, 1, earlier={"judge": final})
    return work, rlhf.train(pairs.desk(run_id), pairs.link, work)


def test_practice_for_the_judge_is_measured_against_the_start(practised):
    work, result = practised
    metrics = MetricsFile(work.folder / files.METRICS)
    metrics.read()
    assert metrics.finished == 2
    assert 0 <= result["validation_reward_first"] <= 1
    assert result["validation_kl_first"] == pytest.approx(0, abs=1e-4)
    assert result["kl_last"] == metrics.series("kl")[-1].value
    for step in (1, 2):
        groups = rollouts.read(work.folder, step)
        assert [len(group.answers) for group in groups] == [3, 3]
        for group in groups:
            # What one wins the others lose; an answer that does not end loses one more.
            wins = [answer.parts[0].value for answer in group.answers]
            assert sum(wins) == pytest.approx(0)
            assert [a.reward for a in group.answers] == pytest.approx(
                [w - a.cut for w, a in zip(wins, group.answers, strict=True)]
            )
            assert sum(answer.advantage for answer in group.answers) == pytest.approx(0)
    held = rollouts.read(work.folder / heldout.FOLDER, 2)
    assert {answer.reward for group in held for answer in group.answers} <= {0.0, 0.25, 0.5, 0.75, 1.0}
    kept = json.loads((work.folder / "start-answers.json").read_text())
    assert len(kept) == len(held)


def test_a_later_run_uses_the_judge_again_and_examines_it_on_its_own_pairs(pairs, judged, practised):
    run_id, before, _ = judged
    recipe = Recipe.from_dict({**RECIPE.to_dict(), "judge": run_id, "max_steps": 1})
    assert [stage.key for stage in stages.of(recipe)] == ["train"]
    again = pairs.run(recipe)
    path = known(before.folder, before.length.per_pass)[-1].sampler_path
    result = rlhf.train(pairs.desk(again), pairs.link, pairs.work(again, judge_path=path))
    assert result["judge_accuracy"] >= 0.9


@pytest.mark.parametrize(
    ("accuracy", "pairs_held", "good"),
    [
        (0.5, 10_000, False),
        (0.59, 10_000, False),
        (0.61, 10_000, True),
        (0.7, 10, False),
        (0.8, 10, True),
        (1.0, 2, False),
        (1.0, 3, True),
    ],
)
def test_only_a_judge_that_clearly_beats_chance_goes_on(accuracy, pairs_held, good):
    if good:
        judge.require_clear(accuracy, pairs_held)
        return
    with pytest.raises(RunError, match="tossing a coin") as found:
        judge.require_clear(accuracy, pairs_held)
    assert "more pairs" in found.value.next_step


class _LikesShort:
    """Prefers the shorter answer, and whatever comes first when both are as long."""

    async def __call__(self, comparison: Comparison) -> float:
        first, second = (len(each[0]["content"]) for each in (comparison.completion_A, comparison.completion_B))
        return 1.0 if second < first else -1.0


def test_an_answer_is_weighed_against_the_starts_in_both_orders():
    class Said:
        def __init__(self, text):
            self.text = text

    group = rlhf.Against(Question((), TaskRow("Why?")), None, 3, lambda group: None, judge=_LikesShort(), other="12345")
    scores = asyncio.run(group.scores([Said("123"), Said("1234567"), Said("12345")]))
    assert [score.value for score in scores] == [1.0, 0.0, 0.5]


@pytest.mark.parametrize("size", [2, 4, 5, 9])
def test_every_answer_of_a_group_is_compared_with_every_other_one(size):
    written = SimpleNamespace(renderer=None)
    group = rlhf._group(Question((), TaskRow("Why?")), written, _LikesShort(), size, lambda group: None)
    pairs = get_pairs_chunked(group.num_envs, group.tournament_pattern, group.matchup_group_size)
    assert sorted(pairs) == [(one, other) for one in range(size) for other in range(size) if one != other]


def test_a_row_of_pairs_is_a_comparison_with_the_better_answer_first():
    row = {
        "training": "DPO",
        "system": "Be kind.",
        "prompt": "Hi",
        "completion": "Hello!",
        "rejected": "What?",
        "messages": None,
    }
    found = judge.comparison(row)
    assert found.prompt_conversation == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    assert (found.completion_A[0]["content"], found.completion_B[0]["content"]) == ("Hello!", "What?")
