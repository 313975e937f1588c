"""The cookbook's RL, preference and distillation loops, unmodified, against the engine: one to three steps of each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import chz
import pytest
import tinker
from datasets import Dataset
from tinker_cookbook import renderers
from tinker_cookbook.checkpoint_utils import get_last_checkpoint
from tinker_cookbook.distillation import train_off_policy, train_on_policy
from tinker_cookbook.distillation.datasets import DistillationDatasetConfig, PromptOnlyDataset, TeacherConfig
from tinker_cookbook.preference.comparison_policy_evaluator import ComparisonEvaluator
from tinker_cookbook.preference.preference_datasets import ChatDatasetBuilderFromComparisons, ComparisonDatasetBuilder
from tinker_cookbook.preference.types import Comparison, LabeledComparison, PreferenceModelBuilderFromChatRenderer
from tinker_cookbook.recipes.preference.shorter.env import ShorterComparisonBuilder, ShorterPreferenceModelBuilder
from tinker_cookbook.recipes.prompt_distillation import train as prompt_distillation
from tinker_cookbook.rl import train
from tinker_cookbook.rl.preference_envs import PairwisePreferenceRLDatasetBuilder, TournamentPattern
from tinker_cookbook.rl.problem_env import ProblemEnv, ProblemGroupBuilder
from tinker_cookbook.rl.types import EnvGroupBuilder, RLDataset, RLDatasetBuilder
from tinker_cookbook.supervised import train as supervised_train
from tinker_cookbook.supervised.types import (
    ChatDatasetBuilderCommonConfig,
    SupervisedDataset,
    SupervisedDatasetBuilder,
)
from tinker_cookbook.tokenizer_utils import get_tokenizer

from studio.engine.launch import Engine
from tests.engine.conftest import metrics
from tests.engine.test_cookbook import Batches, Supervised

pytestmark = [
    pytest.mark.usefixtures("outside"),
    pytest.mark.filterwarnings("ignore:Using the future:FutureWarning", "ignore:DEPRECATED:FutureWarning"),
]
RENDERER = "role_colon"


def renderer_of(model: str) -> renderers.Renderer:
    return renderers.get_renderer(RENDERER, get_tokenizer(model))


class Small(ProblemEnv):
    """Half of all byte-level tokens decode to something below 'a': a reward that every group has some of."""

    def __init__(self, renderer: renderers.Renderer, number: int) -> None:
        super().__init__(renderer, format_coef=0.0)
        self.number = number

    def get_question(self) -> str:
        return f"Say {self.number}"

    def check_answer(self, sample_str: str) -> bool:
        return bool(sample_str) and sample_str[0] < "a"

    def check_format(self, sample_str: str) -> bool:
        return True

    def get_reference_answer(self) -> str:
        return str(self.number)


class Numbers(RLDataset):
    def __init__(self, renderer: renderers.Renderer, batches: int) -> None:
        self.renderer, self.batches = renderer, batches

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        return [
            ProblemGroupBuilder(env_thunk=partial(Small, self.renderer, 10 * index + n), num_envs=4, dataset_name="numbers")
            for n in range(3)
        ]

    def __len__(self) -> int:
        return self.batches


@chz.chz
class NumbersBuilder(RLDatasetBuilder):
    model: str
    batches: int = 2

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        return Numbers(renderer_of(self.model), self.batches), Numbers(renderer_of(self.model), 1)


def reinforce(engine: Engine, model: str, folder: Path, builder: Any = None, **options: Any) -> list[dict[str, Any]]:
    known: dict[str, Any] = {
        "log_path": str(folder), "model_name": model, "recipe_name": "test", "learning_rate": 1e-2, "max_tokens": 6,
        "lora_rank": 4, "base_url": engine.base_url, "save_every": 0, "eval_every": 1, "renderer_name": RENDERER,
        "dataset_builder": builder or NumbersBuilder(model=model),
    }  # fmt: skip
    asyncio.run(train.main(train.Config(**{**known, **options})))
    return metrics(folder)


@pytest.mark.parametrize(("loss", "config"), [
    ("importance_sampling", None), ("ppo", None), ("cispo", {"clip_low_threshold": 0.5, "clip_high_threshold": 3.0}),
    ("dro", {"beta": 0.05}),
])  # fmt: skip
def test_rl_takes_a_step_with_every_loss(
    engine: Engine, base_model: str, tmp_path: Path, loss: str, config: dict[str, float] | None
) -> None:
    rows = reinforce(
        engine, base_model, tmp_path / "rl", loss_fn=loss, loss_fn_config=config, max_steps=1, eval_every=0,
        compute_post_kl=True,
    )  # fmt: skip
    # The sampler's numbers are the trainer's, and the step moved the policy.
    assert rows[0]["optim/kl_sample_train_v1"] == pytest.approx(0, abs=1e-4)
    assert rows[0]["kl_pre_post_v2"] > 1e-6


def test_rl_with_a_penalty_substeps_and_a_test_set(engine: Engine, base_model: str, tmp_path: Path) -> None:
    reference = train.KLReferenceConfig(base_model=base_model)
    rows = reinforce(
        engine, base_model, tmp_path / "rl", num_substeps=2, kl_penalty_coef=0.1, kl_reference_config=reference
    )  # fmt: skip
    assert len(rows) == 2
    for row in rows:
        assert 0.0 <= row["env/all/reward/total"] <= 1.0
        assert 0.0 <= row["test/env/all/reward/total"] <= 1.0
        assert row["optim/entropy"] > 0
    # The policy starts as its own reference.
    assert rows[0]["kl_policy_base"] == pytest.approx(0, abs=1e-4)
    assert abs(rows[1]["kl_policy_base"]) > 1e-4
    assert get_last_checkpoint(str(tmp_path / "rl")) is not None


def test_rl_resumes_from_its_checkpoint_and_leaves_flat_groups_out(engine: Engine, base_model: str, tmp_path: Path) -> None:
    folder = tmp_path / "rl"
    builder = NumbersBuilder(model=base_model, batches=3)
    known: dict[str, Any] = {"save_every": 1, "remove_constant_reward_groups": True, "builder": builder}
    reinforce(engine, base_model, folder, **known, max_steps=1)
    lines = (folder / "checkpoints.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if json.loads(line)["name"] != "final"]
    (folder / "checkpoints.jsonl").write_text("".join(kept))
    rows = reinforce(engine, base_model, folder, **known)
    assert [row["progress/batch"] for row in rows] == [0, *range(json.loads(kept[-1])["batch"], 3)] if kept else [0, 0, 1, 2]
    final = get_last_checkpoint(str(folder))
    assert final is not None
    assert final.name == "final"


# ── preferences ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

PAIRS = [{"question": f"Say {n}", "good": "ok" * (1 + n % 2), "bad": "well " * (2 + n % 3)} for n in range(8)]


@chz.chz
class Comparisons(ComparisonDatasetBuilder):
    def get_train_and_test_datasets(self) -> tuple[Dataset, Dataset | None]:
        return Dataset.from_list(PAIRS), Dataset.from_list(PAIRS[:2])

    def example_to_labeled_comparison(self, example: dict[str, str]) -> LabeledComparison | None:
        return LabeledComparison(comparison=comparison(example), label="A")


def comparison(example: dict[str, str]) -> Comparison:
    return Comparison(
        prompt_conversation=[{"role": "user", "content": example["question"]}],
        completion_A=[{"role": "assistant", "content": example["good"]}],
        completion_B=[{"role": "assistant", "content": example["bad"]}],
    )


def test_rl_on_pairs_judged_by_a_rule(engine: Engine, base_model: str, tmp_path: Path) -> None:
    builder = PairwisePreferenceRLDatasetBuilder(
        comparison_builder=ShorterComparisonBuilder(), batch_size=2, policy_renderer_name=RENDERER,
        policy_model_name=base_model, group_size=4, preference_model_builder=ShorterPreferenceModelBuilder(),
    )  # fmt: skip
    rows = reinforce(engine, base_model, tmp_path / "shorter", builder, max_steps=1)
    assert rows[0]["env/all/win_minus_loss"] == pytest.approx(0), "every win is somebody's loss"


def test_the_three_stages_of_rlhf(engine: Engine, base_model: str, tmp_path: Path) -> None:
    common = ChatDatasetBuilderCommonConfig(
        model_name_for_tokenizer=base_model, renderer_name=RENDERER, max_length=250, batch_size=4
    )
    start = supervised_train.Config(
        log_path=str(tmp_path / "start"), model_name=base_model, recipe_name="test", dataset_builder=Supervised(),
        learning_rate=3e-3, lora_rank=4, base_url=engine.base_url, max_steps=1,
    )  # fmt: skip
    asyncio.run(supervised_train.main(start))
    judge = supervised_train.Config(
        log_path=str(tmp_path / "judge"), model_name=base_model, recipe_name="test", lora_rank=4, base_url=engine.base_url,
        dataset_builder=ChatDatasetBuilderFromComparisons(common_config=common, comparison_builder=Comparisons()),
        learning_rate=3e-2, num_epochs=2, eval_every=3, save_every=0,
    )  # fmt: skip
    asyncio.run(supervised_train.main(judge))
    learned = [row["train_mean_nll"] for row in metrics(tmp_path / "judge")]
    assert learned[-1] < learned[0]
    policy, model = get_last_checkpoint(str(tmp_path / "start")), get_last_checkpoint(str(tmp_path / "judge"))
    assert policy is not None
    assert model is not None
    preference = PreferenceModelBuilderFromChatRenderer(
        renderer_name=RENDERER, model_name=base_model, rm_weights_path=model.sampler_path or "", base_url=engine.base_url
    )
    builder = PairwisePreferenceRLDatasetBuilder(
        comparison_builder=Comparisons(), batch_size=2, policy_renderer_name=RENDERER, policy_model_name=base_model,
        group_size=3, preference_model_builder=preference, tournament_pattern=TournamentPattern.ALL_PAIRS_ONE_WAY,
    )  # fmt: skip
    evaluator = partial(
        ComparisonEvaluator, preference_model_builder=preference, comparisons=[comparison(row) for row in PAIRS[:2]],
        renderer_name=RENDERER, model_name_for_tokenizer=base_model, max_tokens=6,
    )  # fmt: skip
    rows = reinforce(
        engine, base_model, tmp_path / "policy", builder, max_steps=1, load_checkpoint_path=policy.state_path,
        evaluator_builders=[evaluator],
    )  # fmt: skip
    assert 0.0 <= rows[0]["win_rate"] <= 1.0
    assert "env/all/win_minus_loss" in rows[0]


# ── distillation ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@chz.chz
class Prompts(RLDatasetBuilder):
    model: str

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        tokenizer = get_tokenizer(self.model)
        texts = [f"Say {n}" for n in range(6)]
        return PromptOnlyDataset(texts, 2, 2, renderer_of(self.model), tokenizer, max_prompt_tokens=64), None


class Same(Batches):
    """One batch again and again, so that its loss can be followed."""

    def get_batch(self, index: int) -> list[tinker.Datum]:
        return super().get_batch(0)


@chz.chz
class Repeated(SupervisedDatasetBuilder):
    def __call__(self) -> tuple[SupervisedDataset, SupervisedDataset | None]:
        return Same(3, 6), None


@pytest.fixture
def teacher(service: tinker.ServiceClient, base_model: str) -> TeacherConfig:
    """The base model after a few steps: somebody whom the student differs from."""
    client: Any = service.create_lora_training_client(base_model=base_model, rank=4, seed=1).result()
    for index in range(3):
        client.forward_backward(Supervised()()[0].get_batch(index), "cross_entropy")
        client.optim_step(tinker.AdamParams(learning_rate=1e-2)).result()
    path = client.save_weights_for_sampler("teacher").result().path
    return TeacherConfig(base_model=base_model, load_checkpoint_path=path)


def test_on_policy_distillation_follows_its_teacher(
    engine: Engine, base_model: str, tmp_path: Path, teacher: TeacherConfig
) -> None:
    config = DistillationDatasetConfig(dataset_builder=Prompts(model=base_model), teacher_config=teacher, groups_per_batch=2)
    asyncio.run(
        train_on_policy.main(
            train_on_policy.Config(
                log_path=str(tmp_path / "on"), model_name=base_model, recipe_name="test", dataset_configs=[config],
                learning_rate=1e-2, max_tokens=6, lora_rank=4, base_url=engine.base_url, save_every=0, eval_every=0,
                compute_post_kl=True, max_steps=2, renderer_name=RENDERER,
            )
        )
    )  # fmt: skip
    rows = metrics(tmp_path / "on")
    assert len(rows) == 2
    # An estimate from a few tokens: it may be negative, but zero only if the teacher were the student.
    assert abs(rows[0]["teacher_kl"]) > 1e-3
    assert rows[0]["kl_pre_post_v2"] > 0


def test_off_policy_distillation_learns_the_teachers_top_tokens(
    engine: Engine, base_model: str, tmp_path: Path, teacher: TeacherConfig
) -> None:
    source = train_off_policy.DatasetWithTeacher(dataset_builder=Repeated(), teacher_config=teacher)
    asyncio.run(
        train_off_policy.main(
            train_off_policy.Config(
                log_path=str(tmp_path / "off"), model_name=base_model, recipe_name="test", dataset_configs=[source],
                learning_rate=1e-2, n_teacher_targets=5, batch_size=6, lora_rank=4, base_url=engine.base_url, max_steps=3,
                renderer_name=RENDERER,
            )
        )
    )  # fmt: skip
    losses = [row["train/loss:sum"] for row in metrics(tmp_path / "off")]
    assert len(losses) == 3
    assert losses[-1] < losses[1] < losses[0]


def test_prompt_distillation_trains_on_what_the_teacher_said(engine: Engine, base_model: str, tmp_path: Path) -> None:
    file = tmp_path / "said.jsonl"
    said = [{"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": f"{n}!"}]} for n in range(8)]
    file.write_text("".join(json.dumps(row) + "\n" for row in said))
    prompt_distillation.cli_main(
        prompt_distillation.CLIConfig(
            file_path=str(file), log_path=str(tmp_path / "run"), model_name=base_model, renderer_name=RENDERER,
            base_url=engine.base_url, batch_size=4, num_epochs=2, lora_rank=4, learning_rate=1e-2, max_length=128,
            save_every=0, eval_every=0, behavior_if_log_dir_exists="delete",
        )
    )  # fmt: skip
    losses = [row["train_mean_nll"] for row in metrics(tmp_path / "run")]
    assert len(losses) >= 2
    assert losses[-1] < losses[0]
