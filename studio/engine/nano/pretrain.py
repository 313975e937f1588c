"""Pre-training: batches of whole conversations, a Qwen3 of about three million parameters, and a loop that can be resumed.

Guarantees: weights stay fp32 throughout (matrix products may use bf16 where the processor has it); step *n* of a seed always
sees the same batch, also after a resume; the published folder is replaced file by file and never holds half a file.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from studio.engine.nano.corpus import Conversation, conversations, render
from studio.engine.nano.tokenizer import (
    CONTEXT,
    END_OF_TEXT,
    IM_END,
    IM_START,
    encoded,
    load_tokenizer,
    token_id,
    train_tokenizer,
)

_WINDOW = 4096
_MAX_LENGTH = 1024
_CHECKPOINT = "pretraining.pt"


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to train. ``batch_tokens`` counts padding; ``prompt_share`` of each prompt is learnt too."""

    seed: int = 0
    steps: int = 3_750
    batch_tokens: int = 4_096
    matrix_rate: float = 0.008
    vector_rate: float = 0.005
    warmup: int = 150
    decay_share: float = 0.2
    prompt_share: float = 0.12
    precision: str = "auto"
    device: str = "auto"


@dataclass(frozen=True, slots=True)
class Batch:
    """Right-padded token ids (rows x length), and which positions are learnt (same shape, bool)."""

    ids: torch.Tensor
    learnt: torch.Tensor


def start_tokenizer(seed: int, work: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of ``seed``: taken from ``work`` where an earlier start left it, else trained and kept there."""
    folder = work / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        train_tokenizer(seed).save_pretrained(folder)
    return load_tokenizer(folder)


def architecture(tokenizer: PreTrainedTokenizerFast) -> Qwen3Config:
    """The shape of nano: four layers, width 192, six heads that share three keys, tied embeddings."""
    return Qwen3Config.from_dict(
        {
            "vocab_size": len(tokenizer),
            "hidden_size": 192,
            "intermediate_size": 640,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 3,
            "head_dim": 32,
            "max_position_embeddings": CONTEXT,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
            "tie_word_embeddings": True,
            "bos_token_id": None,
            "eos_token_id": token_id(tokenizer, IM_END),
            "pad_token_id": token_id(tokenizer, END_OF_TEXT),
            "dtype": "float32",
        }
    )


def encode(tokenizer: PreTrainedTokenizerFast, conversation: Conversation) -> tuple[list[int], list[bool]]:
    """Token ids of the rendered conversation, and for each whether it is written by the assistant (its end token included)."""
    ids = encoded(tokenizer, render(conversation.messages))
    start, end = token_id(tokenizer, IM_START), token_id(tokenizer, IM_END)
    heading = len(encoded(tokenizer, f"{IM_START}assistant\n"))
    written, roles, inside, opened = [False] * len(ids), iter(conversation.messages), False, 0
    answering = False
    for place, token in enumerate(ids):
        if token == start:
            answering, inside, opened = next(roles).role == "assistant", True, place
        elif inside and answering and place >= opened + heading:
            written[place] = True
        if token == end:
            inside = False
    return ids, written


def batches(tokenizer: PreTrainedTokenizerFast, plan: Plan) -> Iterator[Batch]:
    """Endless batches of conversations of like length, at most ``plan.batch_tokens`` tokens each."""
    stream, rng = conversations(plan.seed), random.Random(plan.seed)  # noqa: S311 - a repeatable order, no secret
    while True:
        rows = [encode(tokenizer, item) for item in itertools.islice(stream, _WINDOW)]
        rows = sorted((row for row in rows if len(row[0]) <= _MAX_LENGTH), key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[bool]]]] = [[]]
        for row in rows:
            if (len(groups[-1]) + 1) * len(row[0]) > plan.batch_tokens and groups[-1]:
                groups.append([])
            groups[-1].append(row)
        rng.shuffle(groups)
        for group in groups:
            yield _padded(group, token_id(tokenizer, END_OF_TEXT), rng, plan.prompt_share)


def _padded(group: list[tuple[list[int], list[bool]]], pad: int, rng: random.Random, share: float) -> Batch:
    length = max(len(ids) for ids, _ in group)
    ids = torch.full((len(group), length), pad, dtype=torch.long)
    learnt = torch.zeros((len(group), length), dtype=torch.bool)
    for place, (row, written) in enumerate(group):
        ids[place, : len(row)] = torch.tensor(row)
        learnt[place, : len(row)] = torch.tensor([w or rng.random() < share for w in written])
    return Batch(ids, learnt)


def rate_at(step: int, plan: Plan) -> float:
    """Share of the full learning rate: a linear rise, a plateau, and a cosine fall to zero over the last ``decay_share``."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    fall = plan.decay_share * plan.steps
    left = plan.steps - step
    return 1.0 if left >= fall else 0.5 * (1 - math.cos(math.pi * left / fall))


def loss_of(model: Qwen3ForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean cross-entropy over the learnt positions; logits are computed for those positions only."""
    hidden = model.model(input_ids=batch.ids).last_hidden_state[:, :-1]
    wanted = batch.learnt[:, 1:]
    logits = model.lm_head(hidden[wanted])
    return functional.cross_entropy(logits.float(), batch.ids[:, 1:][wanted])


def _optimisers(model: Qwen3ForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the layers, Adam for embeddings and norms (https://kellerjordan.github.io/posts/muon)."""
    inner = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inner, lr=plan.matrix_rate, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=plan.vector_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _device(plan: Plan) -> torch.device:
    name = plan.device if plan.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _half(plan: Plan, device: torch.device) -> bool:
    if plan.precision != "auto":
        return plan.precision == "bf16"
    # Emulated bf16 is far slower than fp32, so only processors with the instructions use it.
    return device.type == "cuda" or "avx512_bf16" in _processor_flags()


def _processor_flags() -> str:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def publish(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write weights, configuration and tokenizer to ``out``, each file put in place in one move."""
    draft = out.with_name(out.name + ".draft")
    draft.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(draft.iterdir()):
        file.chmod(0o644)  # safetensors writes files that only their owner can read
        file.replace(out / file.name)
    draft.rmdir()


def pretrain(
    tokenizer: PreTrainedTokenizerFast, plan: Plan, out: Path, work: Path, *, publish_every: int = 250
) -> Qwen3ForCausalLM:
    """Train by ``plan``; keep a resumable checkpoint in ``work`` and a usable model in ``out``; return the final model."""
    device = _device(plan)
    torch.manual_seed(plan.seed)
    model = Qwen3ForCausalLM(architecture(tokenizer)).train()
    nn.Module.to(model, device)
    optimisers = _optimisers(model, plan)
    work.mkdir(parents=True, exist_ok=True)
    first = _resume(work / _CHECKPOINT, model, optimisers)
    half, started, seen, losses = _half(plan, device), time.monotonic(), 0, list[float]()
    for step, batch in enumerate(itertools.islice(batches(tokenizer, plan), plan.steps)):
        if step < first:
            continue
        moved = Batch(batch.ids.to(device), batch.learnt.to(device))
        for optimiser, full in zip(optimisers, (plan.matrix_rate, plan.vector_rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = full * rate_at(step, plan)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            loss = loss_of(model, moved)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        seen += batch.ids.numel()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            _report(work, step + 1, losses[-50:], seen, time.monotonic() - started)
        if (step + 1) % publish_every == 0 or step + 1 == 300:
            _checkpoint(work / _CHECKPOINT, model, optimisers, step + 1, plan)
            publish(model, tokenizer, out)
    publish(model, tokenizer, out)
    return model.eval()


def _report(work: Path, step: int, losses: list[float], seen: int, seconds: float) -> None:
    line = {
        "step": step,
        "loss": round(sum(losses) / len(losses), 4),
        "tokens": seen,
        "tokens_per_second": round(seen / seconds),
    }
    print(json.dumps(line), flush=True)
    with (work / "pretraining.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _checkpoint(path: Path, model: Qwen3ForCausalLM, optimisers: list[torch.optim.Optimizer], step: int, plan: Plan) -> None:
    draft = path.with_suffix(".draft")
    state: dict[str, Any] = {
        "step": step,
        "plan": asdict(plan),
        "model": model.state_dict(),
        "optimisers": [o.state_dict() for o in optimisers],
    }
    torch.save(state, draft)
    draft.replace(path)


def _resume(path: Path, model: Qwen3ForCausalLM, optimisers: list[torch.optim.Optimizer]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    return int(state["step"])
