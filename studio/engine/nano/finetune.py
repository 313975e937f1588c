"""A plain PyTorch + PEFT fine-tuning loop for nano: what the studio's own runs are compared with and planned by.

Guarantees: the loss counts the answer's tokens and its end token only; adapters sit on every linear layer, the output layer
included, with alpha 32 whatever the rank, as the embedded engine does; greedy answers; the base weights never change.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from studio.engine.nano.tokenizer import END_OF_TEXT, IM_END, decoded, encoded, token_id

_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
_ALPHA = 32
_ANSWER_LIMIT = 160


#: The base, or the base with an adapter: both are called and generate alike.
Model = Qwen3ForCausalLM | PeftModel


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt and the answer it should get."""

    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Shot:
    """The settings of one run. ``learning_rate`` falls linearly to zero over ``steps`` steps of ``batch_size`` examples."""

    learning_rate: float
    lora_rank: int
    batch_size: int
    steps: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Held-out numbers before and after. Losses are nats per answer token; exact is a share of answers."""

    loss_before: float
    loss_after: float
    exact_before: float
    exact_after: float
    seconds: float
    misses: tuple[tuple[str, str, str], ...]


def load_model(folder: Path) -> Qwen3ForCausalLM:
    """The fp32 weights in ``folder``, ready to answer."""
    model: Qwen3ForCausalLM = Qwen3ForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    return model.eval()


def prompt_ids(tokenizer: PreTrainedTokenizerFast, prompt: str) -> list[int]:
    """ChatML of one user turn, up to the point where the assistant begins."""
    return encoded(tokenizer, f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n")


def halves(pairs: Sequence[Pair], seed: int = 0, share: float = 0.8) -> tuple[list[Pair], list[Pair]]:
    """Shuffled, then ``share`` for training and the rest held out."""
    mixed = list(pairs)
    random.Random(seed).shuffle(mixed)  # noqa: S311 - a repeatable order, no secret
    cut = round(share * len(mixed))
    return mixed[:cut], mixed[cut:]


def _batch(tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]) -> tuple[torch.Tensor, torch.Tensor]:
    end, pad = token_id(tokenizer, IM_END), token_id(tokenizer, END_OF_TEXT)
    rows = [(prompt_ids(tokenizer, p.prompt), [*encoded(tokenizer, p.answer), end]) for p in pairs]
    length = max(len(asked) + len(answer) for asked, answer in rows)
    ids = torch.full((len(rows), length), pad)
    labels = torch.full((len(rows), length), -100)
    for place, (asked, answer) in enumerate(rows):
        ids[place, : len(asked) + len(answer)] = torch.tensor(asked + answer)
        labels[place, len(asked) : len(asked) + len(answer)] = torch.tensor(answer)
    return ids, labels


def _nats(model: Model, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    logits = model(input_ids=ids).logits[:, :-1]
    wanted = labels[:, 1:]
    total = functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), wanted.reshape(-1), ignore_index=-100, reduction="sum"
    )
    return total, int((wanted != -100).sum())


@torch.no_grad()
def held_out_loss(model: Model, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair], batch: int = 32) -> float:
    """Mean nats per answer token over all ``pairs``."""
    total, count = 0.0, 0
    for start in range(0, len(pairs), batch):
        nats, tokens = _nats(model, *_batch(tokenizer, pairs[start : start + batch]))
        total, count = total + nats.item(), count + tokens
    return total / count


@torch.no_grad()
def answers(
    model: Model, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[list[int]], limit: int = _ANSWER_LIMIT
) -> list[tuple[str, bool]]:
    """Greedy answers, in order, each with whether it ended with the end token."""
    end, pad = token_id(tokenizer, IM_END), token_id(tokenizer, END_OF_TEXT)
    generate: Any = getattr(model, "generate")  # noqa: B009 - its type names attributes that this model lacks
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found: dict[int, tuple[str, bool]] = {}
    for start in range(0, len(order), 64):
        chunk = order[start : start + 64]
        length = max(len(prompts[place]) for place in chunk)
        ids = torch.tensor([[pad] * (length - len(prompts[place])) + prompts[place] for place in chunk])
        mask = torch.tensor([[0] * (length - len(prompts[place])) + [1] * len(prompts[place]) for place in chunk])
        made = generate(
            input_ids=ids, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=end, pad_token_id=pad
        )
        for place, row in zip(chunk, made[:, length:].tolist(), strict=True):
            ended = end in row
            found[place] = (decoded(tokenizer, row[: row.index(end)] if ended else row), ended)
    return [found[place] for place in range(len(prompts))]


def exact_share(
    model: Model, tokenizer: PreTrainedTokenizerFast, pairs: Sequence[Pair]
) -> tuple[float, tuple[tuple[str, str, str], ...]]:
    """Share of greedy answers equal to the reference, and the first misses as (prompt, wanted, got)."""
    given = answers(model, tokenizer, [prompt_ids(tokenizer, pair.prompt) for pair in pairs])
    misses = tuple(
        (p.prompt, p.answer, text)
        for p, (text, ended) in zip(pairs, given, strict=True)
        if text.strip() != p.answer or not ended
    )
    return 1 - len(misses) / len(pairs), misses[:8]


def finetune(
    folder: Path, tokenizer: PreTrainedTokenizerFast, train: Sequence[Pair], held_out: Sequence[Pair], shot: Shot
) -> Outcome:
    """Fine-tune a fresh adapter on ``train``; measure on ``held_out`` before and after; ``seconds`` is the training alone."""
    model = load_model(folder)
    loss_before, (exact_before, _) = held_out_loss(model, tokenizer, held_out), exact_share(model, tokenizer, held_out)
    torch.manual_seed(shot.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT warns about the tied output layer; its adapter is never merged here
        tuned: Any = get_peft_model(model, LoraConfig(r=shot.lora_rank, lora_alpha=_ALPHA, target_modules=list(_TARGETS)))
    optimiser = torch.optim.Adam(
        [p for p in tuned.parameters() if p.requires_grad], lr=shot.learning_rate, betas=(0.9, 0.95), eps=1e-12
    )
    rng, pool = random.Random(shot.seed), list[Pair]()  # noqa: S311 - a repeatable order, no secret
    started = time.monotonic()
    for step in range(shot.steps):
        if len(pool) < shot.batch_size:
            pool = [*pool, *rng.sample(list(train), len(train))]
        chosen, pool = pool[: shot.batch_size], pool[shot.batch_size :]
        optimiser.param_groups[0]["lr"] = shot.learning_rate * (1 - step / shot.steps)
        nats, tokens = _nats(tuned, *_batch(tokenizer, chosen))
        torch.autograd.backward(nats / tokens)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    seconds = time.monotonic() - started
    tuned.eval()
    exact_after, misses = exact_share(tuned, tokenizer, held_out)
    return Outcome(loss_before, held_out_loss(tuned, tokenizer, held_out), exact_before, exact_after, seconds, misses)
