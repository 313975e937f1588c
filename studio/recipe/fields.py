"""The fields of a recipe: one table for all methods, in the order in which people should meet them.

Guarantees: this one table drives parsing, validation and display, so that the wizard, the terminal and a YAML file accept and
refuse the same things with the same sentences; each method has only the fields that it uses.
"""

from __future__ import annotations

from typing import Final

from studio.errors import SettingError
from studio.methods import MethodId
from studio.recipe.spec import FieldSpec, Value

_ANSWERING: Final[frozenset[MethodId]] = frozenset({"rl", "rlhf", "distill"})
_REWARDED: Final[frozenset[MethodId]] = frozenset({"rl", "rlhf"})
_PAIRED: Final[frozenset[MethodId]] = frozenset({"dpo", "rlhf"})
#: What is trained by the cookbook's loops with a schedule and a choice of Adam settings; its RL loop has neither.
_SCHEDULED: Final[frozenset[MethodId]] = frozenset({"sl", "dpo", "distill"})
_SL: Final[frozenset[MethodId]] = frozenset({"sl"})
_RL: Final[frozenset[MethodId]] = frozenset({"rl"})
_DPO: Final[frozenset[MethodId]] = frozenset({"dpo"})
_RLHF: Final[frozenset[MethodId]] = frozenset({"rlhf"})
_DISTILL: Final[frozenset[MethodId]] = frozenset({"distill"})
_YES_NO: Final = (("yes", "Yes"), ("no", "No"))

_WHAT = (
    FieldSpec(
        "method",
        "Training method",
        "method",
        "choice",
        choices=(
            ("sl", "Supervised learning"),
            ("rl", "Reinforcement learning"),
            ("dpo", "Preference training (DPO)"),
            ("rlhf", "Learning from human feedback (RLHF)"),
            ("distill", "Distillation"),
        ),
        required=True,
    ),
    FieldSpec(
        "distillation",
        "What is passed on",
        "kind of distillation",
        "choice",
        choices=(("prompt", "A long prompt that works"), ("on_policy", "What a bigger model knows")),
        advanced=False,
        methods=_DISTILL,
    ),
    FieldSpec("model", "Model that is tuned", "base model", "text", advanced=False, required=True),
    FieldSpec("teacher", "Model that teaches", "teacher", "text", advanced=False, methods=_DISTILL),
    FieldSpec(
        "teacher_prompt",
        "The long prompt that is baked in",
        "teacher's prompt",
        "text",
        advanced=False,
        methods=_DISTILL,
        only="prompt",
        long=True,
    ),
    FieldSpec("reward", "How an answer is scored", "reward", "reward", advanced=False, methods=_RL, long=True),
    FieldSpec("judge", "Judge of an earlier run to use again", "reward model", "text", methods=_RLHF, blank=True),
    FieldSpec("start_from", "Go on from an earlier run", "starting checkpoint", "text", blank=True),
    FieldSpec("renderer", "How messages are written for the model", "renderer", "text", required=True),
)

_HOW = (
    FieldSpec(
        "learning_rate",
        "How strongly each step changes the model",
        "learning rate",
        "number",
        above=0,
        high=0.1,
        advanced=False,
        required=True,
    ),
    FieldSpec("lora_rank", "How much the tuned part can hold", "LoRA rank", "whole", low=1, high=512, required=True),
    FieldSpec(
        "batch_size",
        "Examples per step",
        "batch size",
        "whole",
        "examples",
        low=1,
        high=4096,
        advanced=False,
        required=True,
    ),
    FieldSpec(
        "group_size",
        "Answers to each question",
        "group size",
        "whole",
        "answers",
        low=2,
        high=256,
        advanced=False,
        methods=_ANSWERING,
        only="on_policy",
    ),
    FieldSpec("epochs", "Passes over your data", "epochs", "whole", "passes", low=1, high=1000, advanced=False, required=True),
    FieldSpec(
        "lr_schedule",
        "How the step size changes over time",
        "learning-rate schedule",
        "choice",
        choices=(
            ("linear", "Falls steadily to zero"),
            ("cosine", "Falls slowly, then fast, then slowly"),
            ("constant", "Stays the same"),
        ),
        methods=_SCHEDULED,
        only="prompt",
        required=True,
    ),
    FieldSpec(
        "dpo_beta",
        "How closely it stays with the model it began as",
        "DPO beta",
        "number",
        above=0,
        high=10,
        advanced=False,
        methods=_DPO,
    ),
    FieldSpec(
        "kl_coef",
        "How strongly it is held to the reference",
        "KL coefficient",
        "number",
        high=10,
        advanced=False,
        methods=_ANSWERING,
        only="on_policy",
    ),
    FieldSpec(
        "kl_limit",
        "Stop when it has moved this far from where it began",
        "KL limit",
        "number",
        "nats per token",
        above=0,
        high=100,
        optional=True,
        methods=_REWARDED,
    ),
    FieldSpec(
        "max_tokens",
        "Longest answer it may give",
        "maximum answer length",
        "whole",
        "tokens",
        low=1,
        high=131_072,
        advanced=False,
        methods=_ANSWERING,
    ),
    FieldSpec(
        "temperature",
        "How much answers to one question differ",
        "temperature",
        "number",
        above=0,
        high=2,
        methods=_ANSWERING,
    ),
    FieldSpec(
        "loss",
        "How a scored answer becomes a step",
        "loss",
        "choice",
        choices=(
            ("importance_sampling", "Weighted by how likely the answer is now"),
            ("ppo", "The same, with a limit on each word (PPO)"),
            ("cispo", "The same, with the weight itself limited (CISPO)"),
            ("dro", "Drawn back towards what it was (DRO)"),
        ),
        methods=_ANSWERING,
        only="on_policy",
    ),
    FieldSpec(
        "substeps",
        "Steps taken on each batch of answers",
        "substeps",
        "whole",
        "steps",
        low=1,
        high=64,
        methods=_ANSWERING,
        only="on_policy",
    ),
    FieldSpec(
        "drop_flat_groups",
        "Leave out questions whose answers all scored the same",
        "constant-reward groups removed",
        "choice",
        choices=_YES_NO,
        methods=_REWARDED,
    ),
)

_EARLIER_STAGES = (
    FieldSpec(
        "warm_start_epochs",
        "Passes over the better answers first",
        "supervised warm start",
        "whole",
        "passes",
        high=100,
        methods=_PAIRED,
    ),
    FieldSpec(
        "warm_start_learning_rate",
        "How strongly each step of the warm start changes the model",
        "learning rate of the warm start",
        "number",
        above=0,
        high=0.1,
        methods=_PAIRED,
    ),
    FieldSpec(
        "judge_epochs",
        "Passes over the pairs for the judge",
        "epochs of the reward model",
        "whole",
        "passes",
        low=1,
        high=100,
        methods=_RLHF,
    ),
    FieldSpec(
        "judge_learning_rate",
        "How strongly each step changes the judge",
        "learning rate of the reward model",
        "number",
        above=0,
        high=0.1,
        methods=_RLHF,
    ),
    FieldSpec(
        "judge_batch_size",
        "Pairs per step for the judge",
        "batch size of the reward model",
        "whole",
        "pairs",
        low=1,
        high=4096,
        methods=_RLHF,
    ),
)

_AROUND = (
    FieldSpec(
        "budget_usd",
        "Most that the run may cost",
        "budget",
        "number",
        "USD",
        above=0,
        high=1_000_000,
        optional=True,
        advanced=False,
    ),
    FieldSpec(
        "eval_every",
        "How often to check on the validation rows",
        "evaluation interval",
        "whole",
        "steps",
        high=1_000_000,
        required=True,
    ),
    FieldSpec(
        "save_every", "How often to save on the way", "checkpoint interval", "whole", "steps", high=1_000_000, required=True
    ),
    FieldSpec(
        "max_length",
        "Longest example",
        "maximum length",
        "whole",
        "tokens",
        low=16,
        high=1_048_576,
        methods=_SL | _PAIRED | _DISTILL,
        required=True,
    ),
    FieldSpec(
        "train_on",
        "What the model learns from",
        "training target",
        "choice",
        choices=(
            ("last_assistant_message", "The last answer of each example"),
            ("last_assistant_turn", "The last answer, and the tool calls that led to it"),
            ("all_assistant_messages", "Every answer in each example"),
            ("all_tokens", "Everything, the questions too"),
        ),
        methods=_SL,
        required=True,
    ),
    FieldSpec("max_steps", "Stop after this many steps", "step limit", "whole", "steps", low=1, high=10_000_000, optional=True),
    FieldSpec("seed", "Shuffle of the examples", "seed", "whole", high=2**31 - 1),
    FieldSpec(
        "adam_beta1",
        "Memory of the optimiser for direction",
        "Adam beta 1",
        "number",
        high=0.9999,
        methods=_SCHEDULED,
        only="prompt",
    ),
    FieldSpec(
        "adam_beta2",
        "Memory of the optimiser for size",
        "Adam beta 2",
        "number",
        high=0.99999,
        methods=_SCHEDULED,
        only="prompt",
    ),
    FieldSpec(
        "adam_eps",
        "Guard against division by zero",
        "Adam epsilon",
        "number",
        above=0,
        high=0.01,
        methods=_SCHEDULED,
        only="prompt",
    ),
)

#: Every field by name, in the order in which people should meet them.
FIELDS: dict[str, FieldSpec] = {spec.name: spec for spec in (*_WHAT, *_HOW, *_EARLIER_STAGES, *_AROUND)}


def fields_of(method: str, distillation: str = "prompt") -> tuple[FieldSpec, ...]:
    """The fields that a recipe of this method has, in their order. ``distillation`` matters for that method only."""
    return tuple(spec for spec in FIELDS.values() if spec.used(method, distillation))


def parse_field(name: str, text: str) -> Value:
    """The value that a person typed for field ``name``. Raises ``SettingError`` with the sentence to show at the field."""
    return spec_of(name).read(text)


def spec_of(name: str) -> FieldSpec:
    """The field called ``name``; ``SettingError`` when a recipe has none of that name."""
    if name not in FIELDS:
        raise SettingError(
            f"A recipe has no setting called {name!r}.", where=name, next_step=f"The settings are: {', '.join(FIELDS)}."
        )
    return FIELDS[name]
