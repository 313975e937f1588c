"""Practice for a judge's reward (RLHF), in the cookbook's own loop: the judge compares the answers to each question.

Guarantees: the loop is ``rl.train.main`` over the cookbook's pairwise groups: an answer's reward is how much more often it wins
than loses against the others of its group, less one when it does not end. That reward is zero on average by its nature, so
progress is measured on held-out questions: how often the judge prefers the answer to one that the start gave, one half before
the first step. Neither the judge nor the start changes meanwhile. What a judge likes is not what people like: the distance from
the start is measured at every check, and the recipe's limit on it ends the run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import tinker
from tinker_cookbook import renderers
from tinker_cookbook.completers import TinkerTokenCompleter
from tinker_cookbook.preference.types import Comparison, PreferenceModel
from tinker_cookbook.rl.preference_envs import PairwisePreferenceGroupBuilder, TournamentPattern
from tinker_cookbook.rl.rollouts import do_group_rollout
from tinker_cookbook.rl.types import Env, Metrics, Trajectory

from studio import models, rewards
from studio.data.types import Message
from studio.models.rendering import template
from studio.recipe import Recipe
from studio.rewards import Score
from studio.runs import envs, heldout, judge, rl
from studio.runs.desk import Desk
from studio.runs.envs import Answering, Question
from studio.runs.judge import Judge
from studio.runs.link import beside
from studio.runs.meter import Meter
from studio.runs.rollouts import Answer, Group, Part

if TYPE_CHECKING:
    from studio.models import Model
    from studio.runs.link import Link
    from studio.runs.work import Result, Work

#: What the start answered to the held-out questions: sampled once, so that every check compares with the same answers.
_START_ANSWERS: Final = "start-answers.json"
_WEIGHED: Final = {
    1.0: "prefers it in both orders",
    0.75: "prefers it in one order and cannot say in the other",
    0.5: "has no clear preference",
    0.25: "prefers the answer from before in one order and cannot say in the other",
    0.0: "prefers the answer from before in both orders",
}


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Do the rest of the steps, and return first and last numbers. Raises as ``Trainer.train`` says."""
    meter = Meter(desk, work)
    written = template(work.model, work.recipe.renderer)
    rows = envs.questions(work, work.dataset.train, written)
    known = envs.held_out(work, written)
    asked = beside(link, _judge(desk, work, meter), check=desk.check)
    accuracy = beside(link, _examined(desk, work, meter, asked), check=desk.check) if work.recipe.judge else None
    before = beside(link, _start_answers(desk, work, meter, known), check=desk.check)

    def against_start(place: int, count: int, keep: Callable[[Group], None]) -> envs.Practice:
        def compared(group: Group) -> None:
            keep(replace(group, compared=before[place]))

        return Against(known[place], written, count, compared, judge=asked, other=before[place])

    def group(question: Question, step: int) -> Judged:
        return _group(question, written, asked, work.recipe.group_size, rl.keeper(work, step))

    start = heldout.Reference("kl", lambda: heldout.start_client(work))
    checks = heldout.HeldOut(work, meter, len(known), against_start, start) if known else None
    metrics = rl.practise(desk, link, work, meter, checks, lambda: envs.Steps(work, rows, group))
    return {**rl.numbers(metrics), **({} if accuracy is None else {"judge_accuracy": accuracy})}


@dataclass(frozen=True)
class Judged(PairwisePreferenceGroupBuilder):
    """The cookbook's group whose answers are compared with each other, with a record of what came of it."""

    question: Question = field(kw_only=True)
    written: envs.Template = field(kw_only=True)
    keep: Callable[[Group], None] = field(kw_only=True, repr=False)

    async def make_envs(self) -> Sequence[Env]:
        """One for each answer, asked as everywhere else: also where a conversation holds tools."""
        return [Answering(self.question, self.written) for _ in range(self.num_envs)]

    async def compute_group_rewards(
        self, trajectory_group: list[Trajectory], env_group: Sequence[Env]
    ) -> list[tuple[float, Metrics]]:
        """The cookbook's rewards, kept with the answers that they were given for."""
        found = await super().compute_group_rewards(trajectory_group, env_group)
        mean = sum(reward for reward, _ in found) / len(found)
        answers = tuple(
            Answer(
                text=env.text,
                reward=reward,
                parts=(Part("wins less losses", float(numbers["win_minus_loss"]), "against the other answers"),),
                tokens=len(trajectory.transitions[0].ac.tokens),
                advantage=reward - mean,
                cut=env.cut,
            )
            for env, trajectory, (reward, numbers) in zip(env_group, trajectory_group, found, strict=True)
            if isinstance(env, Answering)
        )
        self.keep(Group(self.question.row.prompt, answers, self.question.better, trajectory_group[0].transitions[0].ob.length))
        return found


def _group(
    question: Question, written: envs.Template, asked: PreferenceModel, size: int, keep: Callable[[Group], None]
) -> Judged:
    """``size`` answers to a question, every one compared with every other one in both orders."""
    return Judged(
        convo_prefix=judge.said(question.turns),
        policy_renderer=written.renderer,
        tournament_pattern=TournamentPattern.ALL_PAIRS_BOTH_WAYS,
        preference_model=asked,
        num_envs=size,
        # The cookbook compares inside fours unless told, and would leave a fifth answer without any comparison.
        matchup_group_size=size,
        question=question,
        written=written,
        keep=keep,
    )


@dataclass(frozen=True)
class Against(envs.Practice):
    """Answers that are compared with another one: 1 when the judge prefers them in both orders, 0 the other, 1/2 neither."""

    judge: Judge = field(kw_only=True, repr=False)
    other: str = field(kw_only=True)

    async def scores(self, answers: Sequence[Answering]) -> Sequence[Score]:
        """Asked in both orders: a judge that likes the first place likes nobody better for it."""
        pairs = [
            Comparison(
                judge.said(self.question.turns), judge.said([_answered(self.other)]), judge.said([_answered(answer.text)])
            )
            for answer in answers
        ]
        verdicts = await asyncio.gather(*(self.judge(pair) for pair in pairs), *(self.judge(pair.swap()) for pair in pairs))
        second, first = verdicts[: len(pairs)], verdicts[len(pairs) :]
        return [_weighed((one - two + 2) / 4) for one, two in zip(second, first, strict=True)]


def _weighed(value: float) -> Score:
    """``value`` from 0 to 1, with what it says of the two orders."""
    return Score(value, (rewards.Part("the judge", 1.0, value, _WEIGHED.get(value, "")),))


async def _judge(desk: Desk, work: Work, meter: Meter) -> Judge:
    """The judge of this run, or of the one that the recipe names."""
    stage = work.earlier.get("judge")
    path = stage.sampler_path if stage is not None else work.judge_path
    client = await tinker.ServiceClient().create_sampling_client(model_path=path)
    return Judge(template(_judging_model(desk, work)), client, meter)


def _judging_model(desk: Desk, work: Work) -> Model:
    """The model that the judge was made from: that of the run that trained it."""
    recipe = work.recipe
    while recipe.method == "rlhf" and recipe.judge:
        recipe = Recipe.from_json(desk.store.runs.get(recipe.judge, work.run.owner).recipe_json)
    return models.get(recipe.model)


async def _examined(desk: Desk, work: Work, meter: Meter, asked: Judge) -> float:
    """How a judge from elsewhere does on this run's held-out pairs. Raises ``RunError`` when it does not beat chance."""
    desk.phase("examining the judge")
    examiner = judge.held_out(work, _judging_model(desk, work), meter)
    found = await examiner(asked.sampling_client)
    accuracy = next(iter(found.values()))
    judge.require_clear(accuracy, examiner.pairs)
    return accuracy


async def _start_answers(desk: Desk, work: Work, meter: Meter, known: Sequence[Question]) -> list[str]:
    """One answer of the start to each held-out question, the same for every process of this run."""
    kept = work.folder / _START_ANSWERS
    if not kept.is_file():
        desk.phase("asking the model before training")
        client = await asyncio.to_thread(heldout.start_client, work)
        policy = TinkerTokenCompleter(client, max_tokens=work.recipe.max_tokens, temperature=work.recipe.temperature)
        written = template(work.model, work.recipe.renderer)
        groups: list[Group] = []
        order = [envs.Practice(question, written, 1, groups.append) for question in known]
        sampled = await asyncio.gather(*(do_group_rollout(one, policy) for one in order))
        meter.count("sample", sum(answer.tokens for group in groups for answer in group.answers))
        meter.count("prefill", sum(group.prompt_tokens for group in groups))
        texts = [
            renderers.get_text_content(written.renderer.parse_response(group.trajectories_G[0].transitions[0].ac.tokens)[0])
            for group in sampled
        ]
        draft = kept.with_suffix(".draft")
        draft.write_text(json.dumps(texts, ensure_ascii=False), "utf-8")
        draft.replace(kept)
    return [str(text) for text in json.loads(kept.read_text("utf-8"))]


def _answered(text: str) -> Message:
    return Message("assistant", text)
