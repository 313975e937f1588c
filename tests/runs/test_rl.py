"""Practice for a reward: the cookbook's loop on the embedded engine, what it leaves behind, and where it stops."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from studio import rewards
from studio.recipe import Recipe
from studio.rewards import Score, TaskRow
from studio.runs import envs, files, heldout, rl, rollouts
from studio.runs.checkpoints import known
from studio.runs.desk import StopAsked
from studio.runs.envs import Question, Rewarded
from studio.runs.metrics import MetricsFile
from studio.runs.practice import Practice
from studio.runs.rollouts import Answer, Group
from tests.runs.practising import NANO, bench, lines

pytestmark = pytest.mark.filterwarnings("ignore:Using the future:FutureWarning")

RECIPE = Recipe.from_dict(
    {**NANO, "method": "rl", "reward": {"kind": "number"}, "learning_rate": 2e-3, "batch_size": 4, "group_size": 4}
    | {"epochs": 4, "max_tokens": 6, "max_steps": 3}
)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    rows = [{"prompt": f"Which is larger, {a} or {a + 30}?", "reference": str(a + 30)} for a in range(10, 60)]
    with bench(tmp_path_factory.mktemp("practice"), rows) as made:
        yield made


@pytest.fixture(scope="module")
def done(tasks):
    """A whole stage of three steps."""
    run_id = tasks.run(RECIPE)
    return run_id, rl.train(tasks.desk(run_id), tasks.link, tasks.work(run_id))


def test_every_step_leaves_its_answers_and_the_numbers_follow_from_them(tasks, done):
    run_id, result = done
    folder = tasks.folder(run_id)
    assert rollouts.steps(folder) == (1, 2, 3)
    metrics = MetricsFile(folder / files.METRICS)
    metrics.read()
    assert metrics.finished == 3
    groups = [rollouts.read(folder, step) for step in (1, 2, 3)]
    assert all(len(step) == 4 and all(len(group.answers) == 4 for group in step) for step in groups)
    assert [point.value for point in metrics.series("reward")] == [
        pytest.approx(sum(a.reward for g in step for a in g.answers) / 16) for step in groups
    ]
    assert [point.step for point in metrics.series("reward")] == [1, 2, 3]
    assert [point.value for point in metrics.series("signal_share")] == [sum(not g.flat for g in s) / 4 for s in groups]
    for group in groups[0]:
        mean = sum(answer.reward for answer in group.answers) / 4
        for answer in group.answers:
            assert answer.advantage == pytest.approx(answer.reward - mean)
            assert [part.name for part in answer.parts] == ["number"]
            # What nano says differs from run to run; what it is worth follows from what it said.
            worth = rewards.score(rewards.Number(), answer.text, TaskRow(group.prompt, group.reference)).value
            assert answer.reward == (0.0 if answer.cut else worth)
    assert result["reward_last"] == metrics.series("reward")[-1].value


def test_held_out_questions_are_answered_before_and_after_and_never_practised(tasks, done):
    run_id, result = done
    folder = tasks.folder(run_id)
    checks = rollouts.steps(folder / heldout.FOLDER)
    assert checks == (0, 3)
    asked = {group.prompt for step in (1, 2, 3) for group in rollouts.read(folder, step)}
    for step, name in zip(checks, ("validation_reward_first", "validation_reward_last"), strict=True):
        groups = rollouts.read(folder / heldout.FOLDER, step)
        assert not asked & {group.prompt for group in groups}
        assert result[name] == pytest.approx(rollouts.summary(groups).reward)
    # Before the first step it is its own start.
    assert result["validation_kl_first"] == pytest.approx(0, abs=1e-4)
    # Estimated on a few answers it may be below nothing; only weights that learned nothing are no distance away.
    learned = any(not group.flat for step in (1, 2, 3) for group in rollouts.read(folder, step))
    assert not learned or abs(result["validation_kl_last"]) > 1e-5


def test_everything_that_the_server_worked_on_is_counted(tasks, done):
    run_id, _ = done
    folder = tasks.folder(run_id)
    metrics = MetricsFile(folder / files.METRICS)
    metrics.read()
    practice = [group for step in (1, 2, 3) for group in rollouts.read(folder, step)]
    checks = [group for step in (0, 3) for group in rollouts.read(folder / heldout.FOLDER, step)]
    answered = sum(answer.tokens for group in (*practice, *checks) for answer in group.answers)
    assert metrics.tokens_of("sample") == answered
    asked = sum(group.prompt_tokens * len(group.answers) for group in (*practice, *checks))
    # The start reads what was answered to held-out questions, to tell the distance.
    reference = sum(group.prompt_tokens + answer.tokens for group in checks for answer in group.answers)
    assert metrics.tokens_of("prefill") == asked + reference
    learned = [group for group in practice if not group.flat]
    assert metrics.tokens_of("train") == sum(g.prompt_tokens + a.tokens for g in learned for a in g.answers)


def test_a_stop_saves_where_it_stands_and_the_rest_asks_what_it_would_have_asked(tasks, done):
    run_id = tasks.run(RECIPE)
    desk = tasks.desk(run_id)
    said = []

    def say(text):
        # The wish comes when the first step is reported, so while the second one is at work.
        said.append(text)
        if text.startswith("step 1 of 3"):
            desk.wish_to_stop()

    work = tasks.work(run_id)
    desk.say = say
    with pytest.raises(StopAsked, match="saved at step 2 of 3"):
        rl.train(desk, tasks.link, work)
    assert any("mean reward" in text for text in said)
    saved = known(work.folder, work.length.per_pass)
    assert [(one.step, one.final) for one in saved] == [(2, False)]
    assert saved[-1].sampler_path, "what was learned can be compared"

    work = tasks.work(run_id)
    assert work.begun_at == 2
    result = rl.train(tasks.desk(run_id), tasks.link, work)
    metrics = MetricsFile(work.folder / files.METRICS)
    metrics.read()
    assert metrics.finished == 3
    assert [point.step for point in metrics.series("reward")] == [1, 2, 3]
    assert result["validation_reward_first"] is not None
    assert known(work.folder, work.length.per_pass)[-1].final
    whole, resumed = tasks.folder(done[0]), tasks.folder(run_id)
    for step in (1, 2, 3):
        assert {g.prompt for g in rollouts.read(resumed, step)} == {g.prompt for g in rollouts.read(whole, step)}
    assert sum(1 for line in lines(resumed / files.METRICS) if "progress/batch" in line) == 3


def test_a_limit_on_the_distance_saves_and_ends_the_run_with_a_reason(tasks, monkeypatch):
    # Measured on a few answers it may be below nothing; which distance it is does not matter here.
    monkeypatch.setattr(Practice, "_drift", lambda self: 0.7 if self._step else None)
    run_id = tasks.run(replace(RECIPE, kl_coef=0.01, kl_limit=0.5))
    work = tasks.work(run_id)
    with pytest.raises(StopAsked) as found:
        rl.train(tasks.desk(run_id), tasks.link, work)
    assert "It moved 0.70" in found.value.reason
    assert "its limit is 0.50" in found.value.reason
    assert "Compare it" in found.value.next_step
    assert known(work.folder, work.length.per_pass)[-1].step >= 1
    metrics = MetricsFile(work.folder / files.METRICS)
    metrics.read()
    assert metrics.series("kl"), "a penalty shows the distance at every step"


class _Scorer:
    def __init__(self, *values):
        self.values = values

    async def __call__(self, items):
        return [Score(value, (), None if value is not None else "no reference") for value in self.values[: len(items)]]

    def require_enough(self):
        pass


def _sampled(tokens=3):
    from types import SimpleNamespace as Made

    return Made(transitions=[Made(ob=Made(length=7), ac=Made(tokens=[1] * tokens))])


def _answered(text, *, cut=False):
    from types import SimpleNamespace as Made

    return Made(text=text, cut=cut)


def rewards_of(scores, *, cut=()):
    kept = []
    question = Question((), TaskRow("Why?", "because"))
    group = Rewarded(question, None, len(scores), kept.append, score=_Scorer(*scores), lowest=-1.0)
    envs_ = [_answered(str(place), cut=place in cut) for place in range(len(scores))]
    found = asyncio.run(group.compute_group_rewards([_sampled() for _ in scores], envs_))
    return [reward for reward, _ in found], kept[0]


def test_an_answer_that_could_not_be_scored_pulls_in_no_direction():
    rewards, group = rewards_of([1.0, None, 0.0, 0.5])
    mean = sum(rewards) / 4
    assert rewards[1] - mean == pytest.approx(0)
    assert [answer.reward for answer in group.answers] == [1.0, None, 0.0, 0.5]
    assert group.answers[1].advantage is None
    assert group.answers[1].error == "no reference"
    assert [answer.advantage for answer in group.answers[2:]] == pytest.approx([-0.5, 0.0])
    assert rewards_of([None, None])[0] == [0.0, 0.0]


def test_an_answer_that_never_ends_gets_the_lowest_score():
    rewards, group = rewards_of([1.0, 1.0], cut={1})
    assert rewards == [1.0, -1.0]
    assert group.answers[1].cut


def test_each_pass_asks_every_question_once_in_an_order_of_its_own(tasks, tmp_path):
    work = replace(tasks.work(tasks.run(replace(RECIPE, max_steps=None))), folder=tmp_path)
    rows = envs.Questions(work.dataset.train.path, work.cache)
    each = work.length.per_pass
    passes = []
    for seed in (0, 0, 1):
        seeded = replace(work, recipe=replace(work.recipe, seed=seed))
        steps = envs.Steps(seeded, rows, lambda question, step: (question.row.prompt, step))
        asked = [steps.get_batch(index) for index in range(2 * each)]
        assert [step for batch in asked for _, step in batch] == [s for s in range(1, 2 * each + 1) for _ in range(4)]
        first, second = ([prompt for batch in part for prompt, _ in batch] for part in (asked[:each], asked[each:]))
        assert len(set(first)) == len(first) == 4 * each
        assert first != second
        passes.append(first)
        # A resumed run begins anywhere.
        assert envs.Steps(seeded, rows, lambda question, step: question.row.prompt).get_batch(each) == second[:4]
    assert passes[0] == passes[1] != passes[2]


def test_rollouts_survive_half_a_line_and_are_begun_anew(tmp_path):
    answers = (Answer("a", 1.0, (), 2, 0.5), Answer("b" * 9_000, 0.0, (), 4, -0.5, cut=True))
    group = Group("Why?", answers, "a", 5)
    rollouts.add(tmp_path, 7, group)
    with (tmp_path / "rollouts/000007.jsonl").open("a") as file:
        file.write('{"prompt": "half')
    (found,) = rollouts.read(tmp_path, 7)
    assert found.answers[0] == answers[0]
    assert len(found.answers[1].text) == rollouts.MOST_CHARACTERS + 2
    assert rollouts.steps(tmp_path) == (7,)
    numbers = rollouts.summary([found, Group("Flat?", (Answer("c", 1.0, (), 3, 0.0), Answer("d", 1.0, (), 3, 0.0)))])
    assert (numbers.reward, numbers.signal, numbers.answer_tokens, numbers.cut) == (0.75, 0.5, 3.0, 0.25)
    assert numbers.spread == pytest.approx(0.75**0.5 / 2)
    rollouts.begin(tmp_path, 7)
    assert rollouts.read(tmp_path, 7) == ()
    assert rollouts.summary(()) is None
