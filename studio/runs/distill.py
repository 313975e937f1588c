"""Learning from a teacher: a long prompt that works is baked in, or a bigger model corrects the student's own answers.

Guarantees: the loops are the cookbook's. For a prompt, ``supervised.train.main`` as its recipe ``prompt_distillation`` runs it:
the prompted teacher answers every question once, and the student learns these answers without the prompt. On policy,
``distillation.train_on_policy.main``: the student answers, and each token is pulled towards what the teacher would have said
(reverse KL). Held-out questions are answered by teacher and student, and compared, before the first step and after the last.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import tinker
from tinker_cookbook.distillation import train_on_policy
from tinker_cookbook.distillation.datasets import DistillationDatasetConfig, TeacherConfig
from tinker_cookbook.renderers import TrainOnWhat
from tinker_cookbook.supervised import train as supervised
from tinker_cookbook.supervised.data import FromConversationFileBuilder
from tinker_cookbook.supervised.types import ChatDatasetBuilderCommonConfig

from studio.errors import RunError
from studio.models.rendering import Template, template
from studio.rewards.rows import spoken
from studio.runs import envs, examples, heldout, rl, rollouts, sft, teaching
from studio.runs.attendant import Attendant, finish, first_and_last, run_loop
from studio.runs.link import beside
from studio.runs.meter import Meter
from studio.runs.metrics import VALIDATION
from studio.runs.practice import Practice
from studio.runs.rollouts import Answer, Group, Part
from studio.runs.teaching import Taught

if TYPE_CHECKING:
    from studio.runs.desk import Desk
    from studio.runs.link import Link
    from studio.runs.work import Result, Work

_CONVERSATIONS: Final = "taught.jsonl"
_OF_A_PROMPT: Final = ("validation_match", "validation_layout", "validation_loss", "validation_answer_tokens")
_ON_POLICY: Final = ("validation_teacher_kl", "validation_answer_tokens")
_WORDS: Final = re.compile(r"\w+(?:[ '\u2019-]\w+)*")


def train(desk: Desk, link: Link, work: Work) -> Result:
    """Do the rest of the steps, and return first and last numbers. Raises as ``Trainer.train`` says."""
    return _from_prompt(desk, link, work) if work.recipe.distillation == "prompt" else _on_policy(desk, link, work)


def _from_prompt(desk: Desk, link: Link, work: Work) -> Result:
    meter = Meter(desk, work)
    written = template(work.model, work.recipe.renderer)
    rows = list(envs.questions(work, work.dataset.train, written))
    known = envs.held_out(work, written)
    taught, exam = beside(link, _taught(desk, work, meter, rows, known), check=desk.check)
    path = work.folder / _CONVERSATIONS
    teaching.write_conversations(path, teaching.complete(taught))
    attendant = Examining(desk, work, meter, Student(work, meter, written, exam) if exam else None)
    run_loop(desk, link, attendant, supervised.main(_prompt_config(work, attendant, path)))
    metrics = finish(desk, link, work, attendant)
    losses = metrics.train()
    found: dict[str, float | None] = {
        "train_loss_first": losses[0].value if losses else None,
        "train_loss_last": losses[-1].value if losses else None,
        "taught_rows": sum(not one.cut for one in taught),
    }
    for name in _OF_A_PROMPT:
        found |= first_and_last(metrics, name)
    return found


async def _taught(
    desk: Desk, work: Work, meter: Meter, rows: Sequence[envs.Question], known: Sequence[envs.Question]
) -> tuple[list[Taught], list[Taught]]:
    """The teacher's answers to the training questions, and its most likely ones to the held-out questions."""
    desk.phase("asking the teacher")
    client = await teaching.client_of(work)
    one = teaching.Teacher(teaching.model_of(work), client, work.recipe.teacher_prompt, meter)
    train = await teaching.ask_all(desk, work, one, "train", rows, work.recipe.temperature)
    return train, await teaching.ask_all(desk, work, one, "validation", known, 0.0)


def _prompt_config(work: Work, attendant: Attendant, path: Path) -> supervised.Config:
    recipe = work.recipe
    data = FromConversationFileBuilder(
        common_config=ChatDatasetBuilderCommonConfig(
            model_name_for_tokenizer=work.model.wire_name,
            renderer_name=recipe.renderer,
            max_length=recipe.max_length,
            batch_size=recipe.batch_size,
            train_on_what=TrainOnWhat.LAST_ASSISTANT_MESSAGE,
        ),
        file_path=str(path),
        shuffle_seed=recipe.seed,
    )
    return sft.config(work, attendant, data, "tuning_fork_prompt_distillation")


class Examining(Attendant):
    """The attendant that tells its student how many steps are finished, so that the answers can be read by them."""

    def __init__(self, desk: Desk, work: Work, meter: Meter, student: Student | None) -> None:
        super().__init__(desk, work, meter, student)
        self._student = student

    async def score_saved(self, sampler_path: str) -> dict[str, float]:
        """As every attendant does, after the last step."""
        self._at(self._work.total)
        return await super().score_saved(sampler_path)

    async def _score(self, training_client: tinker.TrainingClient) -> dict[str, float]:
        self._at(self._step)
        return await super()._score(training_client)

    def _at(self, step: int) -> None:
        if self._student is not None:
            self._student.step = step


class Student:
    """Examines the student without the prompt: does it answer as the prompted teacher did? Answers are the most likely ones.

    They are kept as those of every check are (``rollouts.HELD_OUT``), under ``step``, with the teacher's beside them.
    """

    def __init__(self, work: Work, meter: Meter, written: Template, exam: Sequence[Taught]) -> None:
        self._work = work
        self._meter = meter
        self._written = written
        self._exam = exam
        data = [written.datum(one.conversation, examples.LAST_ANSWER, work.recipe.max_length) for one in exam if not one.cut]
        data = [datum for datum in data if any(weight > 0 for weight in datum.loss_fn_inputs["weights"].data)]
        self._losses = examples.ExampleScorer(data, written.tokenizer) if data else None
        self.tokens = 0
        self.step = 0

    async def __call__(self, sampling_client: tinker.SamplingClient) -> dict[str, float]:
        """``match``: the same answer. ``layout``: the same marks around its words. Both shares from 0 to 1; and the loss."""
        given = await asyncio.gather(*(self._answer(sampling_client, place) for place in range(len(self._exam))))
        count = len(self._exam)
        folder = self._work.folder / rollouts.HELD_OUT
        rollouts.begin(folder, self.step)
        for (text, tokens), one in zip(given, self._exam, strict=True):
            rollouts.add(folder, self.step, _kept(one, text, tokens))
        found = {
            f"{VALIDATION}/match": sum(text == one.answer for (text, _), one in zip(given, self._exam, strict=True)) / count,
            f"{VALIDATION}/layout": sum(
                layout(text) == layout(one.answer) for (text, _), one in zip(given, self._exam, strict=True)
            )
            / count,
            f"{VALIDATION}/answer_tokens": sum(tokens for _, tokens in given) / count,
        }
        self.tokens = self._losses.tokens if self._losses else 0
        return {**found, **(await self._losses(sampling_client) if self._losses else {})}

    async def _answer(self, client: tinker.SamplingClient, place: int) -> tuple[str, int]:
        asked = self._written.prompt(self._exam[place].turns)
        limits = tinker.SamplingParams(max_tokens=self._work.recipe.max_tokens, temperature=0.0, stop=self._written.stop)
        found = (await client.sample(prompt=asked, num_samples=1, sampling_params=limits)).sequences[0]
        self._meter.count("prefill", asked.length)
        self._meter.count("sample", len(found.tokens))
        return self._written.text(found.tokens).strip(), len(found.tokens)


def _kept(one: Taught, text: str, tokens: int) -> Group:
    same, form = text == one.answer, layout(text) == layout(one.answer)
    parts = (
        Part("same words", float(same)),
        Part("same form", float(form)),
    )
    return Group(spoken(one.turns), (Answer(text, None, parts, tokens, None),), compared=one.answer)


def layout(text: str) -> str:
    """What is left of a text when its words are taken out: marks, brackets, line breaks. ``{"a": "b c"}`` is ``{"w": "w"}``."""
    return _WORDS.sub("w", text.strip())


def _on_policy(desk: Desk, link: Link, work: Work) -> Result:
    if work.recipe.kl_coef <= 0:
        raise RunError(
            "The teacher's pull is zero, so the student would learn nothing.",
            where="kl_coef",
            next_step="Start a new run with a KL coefficient above zero; 1 is usual.",
        )
    meter = Meter(desk, work)
    written = template(work.model, work.recipe.renderer)
    _require_same_tokens(work, written)
    rows = envs.questions(work, work.dataset.train, written)
    known = envs.held_out(work, written)

    def asked(place: int, count: int, keep: Callable[[Group], None]) -> envs.Practice:
        return envs.Practice(known[place], written, count, keep)

    def group(question: envs.Question, step: int) -> envs.Practice:
        return envs.Practice(question, written, work.recipe.group_size, rl.keeper(work, step))

    teacher = heldout.Reference("teacher_kl", lambda: asyncio.run(teaching.client_of(work)), teaches=True)
    checks = heldout.HeldOut(work, meter, len(known), asked, teacher) if known else None
    attendant = Practice(desk, work, meter, checks, drops_flat=False, references=0, taught=True)
    data = envs.Ready(made=lambda: envs.Steps(work, rows, group))
    with attendant.noting():
        run_loop(desk, link, attendant, train_on_policy.main(_on_policy_config(work, attendant, data)))
    metrics = finish(desk, link, work, attendant)
    found: dict[str, float | None] = {}
    for name in _ON_POLICY:
        found |= first_and_last(metrics, name)
    steps = metrics.series("teacher_kl")
    return {
        **found,
        "teacher_kl_first": steps[0].value if steps else None,
        "teacher_kl_last": steps[-1].value if steps else None,
    }


def _on_policy_config(work: Work, attendant: Practice, data: envs.Ready) -> train_on_policy.Config:
    recipe = work.recipe
    teacher = TeacherConfig(base_model=teaching.model_of(work).wire_name, load_checkpoint_path=work.teacher_path or None)
    return train_on_policy.Config(
        log_path=str(work.folder),
        model_name=work.model.wire_name,
        recipe_name="tuning_fork_on_policy_distillation",
        load_checkpoint_path=work.start.state_path or None,
        renderer_name=recipe.renderer,
        dataset_configs=[
            DistillationDatasetConfig(dataset_builder=data, teacher_config=teacher, groups_per_batch=recipe.batch_size)
        ],
        learning_rate=recipe.learning_rate,
        lora_rank=recipe.lora_rank,
        max_tokens=recipe.max_tokens,
        temperature=recipe.temperature,
        kl_penalty_coef=recipe.kl_coef,
        loss_fn=recipe.loss,
        num_substeps=recipe.substeps,
        evaluator_builders=[lambda: attendant.evaluator],
        eval_every=1,
        save_every=0,
        max_steps=work.total,
    )


def _require_same_tokens(work: Work, written: Template) -> None:
    """The teacher judges the student's very tokens. Raises ``RunError`` when it has others."""
    teacher = teaching.model_of(work)
    if template(teacher).tokenizer.get_vocab() != written.tokenizer.get_vocab():
        raise RunError(
            f"{teacher.label} cuts texts into other tokens than {work.model.label}, so it cannot judge them token by token.",
            where="teacher",
            next_step="Choose a teacher of the same family, or pass on a prompt instead.",
        )
