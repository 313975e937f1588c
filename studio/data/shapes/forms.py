"""The known forms: which parts each has, and which training method it fits.

Guarantees: every form and every part that the data room knows is listed here; a form trains in one way, and the sentence that
says why is plain English.
"""

from __future__ import annotations

from collections.abc import Mapping

from studio.data.types import Kind, TrainingType

#: The parts of each form: those that must be there, those that may be.
PARTS: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "messages": (("messages",), ("tools", "system", "label", "images")),
    "sharegpt": (("messages",), ("tools", "system", "label", "images")),
    "prompt_completion": (("prompt", "completion"), ("system", "label", "images")),
    "alpaca": (("instruction", "output"), ("input", "system", "history", "label", "images")),
    "mixed": ((), ("prompt", "completion", "messages", "conversations", "instruction", "input", "output", "system", "tools")),
    "preference": (("prompt", "chosen", "rejected"), ("messages", "input", "system", "label", "images")),
    "preference_hh": (("chosen", "rejected"), ("system", "label")),
    "preference_messages": (("chosen", "rejected"), ("prompt", "messages", "input", "system", "label", "tools", "images")),
    "rl_reward": (("prompt", "reward"), ("messages", "reward_name", "completion", "system")),
    "rl_answer": (("prompt", "answer"), ("messages", "test", "reward_name", "completion", "system")),
    "prompts": (("prompt",), ("messages", "system")),
    "text": (("text",), ()),
}
#: What a person may choose, and the form that it makes: the first whose parts are all chosen.
CHOICES: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    ("preference", ("prompt", "chosen", "rejected")),
    ("preference", ("instruction", "chosen", "rejected")),
    ("preference_hh", ("chosen", "rejected")),
    ("rl_reward", ("prompt", "reward")),
    ("alpaca", ("instruction", "output")),
    ("prompt_completion", ("prompt", "completion")),
    ("rl_answer", ("prompt", "answer")),
    ("rl_answer", ("prompt", "test")),
    ("rl_reward", ("prompt", "reward_name")),
    ("prompt_completion", ("prompt", "chosen")),
    ("messages", ("messages",)),
    ("messages", ("chosen",)),
    ("prompts", ("prompt",)),
    ("text", ("text",)),
)

_TRAINING: Mapping[Kind, TrainingType] = {
    "preference": "DPO",
    "preference_hh": "DPO",
    "preference_messages": "DPO",
    "rl_reward": "RL",
    "rl_answer": "RL",
    "prompts": "RL",
}
_COPY = "so the model learns by copying good answers (supervised)."
_PREFER = "Each row has a better and a worse answer to one prompt, so the model learns to prefer the better one (DPO)."
_WHY: Mapping[Kind, str] = {
    "messages": f"Each conversation ends with the answer to give, {_COPY}",
    "sharegpt": f"Each conversation ends with the answer to give, {_COPY}",
    "prompt_completion": f"Each row has a question and the answer to give, {_COPY}",
    "alpaca": f"Each row has an instruction and the answer to give, {_COPY}",
    "mixed": f"Every row ends with the answer to give, {_COPY}",
    "preference": _PREFER,
    "preference_hh": _PREFER,
    "preference_messages": _PREFER,
    "rl_reward": "Each row has a prompt and a reward, so the model learns by trying and being scored (reinforcement).",
    "rl_answer": "Each row has a prompt and an answer to check against, so the model learns by trying (reinforcement).",
    "prompts": "Each row has a question and no answer: a stronger model can write the answers to learn from (distillation), "
    "or the model learns by trying, with a reward that needs no right answer (reinforcement).",
    "text": "The text has no question and no answer, so no method here can learn from it.",
}


def training(kind: Kind) -> TrainingType:
    """How a form trains."""
    return _TRAINING.get(kind, "SL")


def method_why(kind: Kind, *, sure: bool, doubt: str = "") -> str:
    """Why this training method fits, how sure that is, and what speaks for another one."""
    if kind == "text":
        return _WHY[kind]
    return " ".join(filter(None, (_WHY[kind], "This is sure." if sure else "This is a guess: please check it.", doubt)))
