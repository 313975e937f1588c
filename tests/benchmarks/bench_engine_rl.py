"""What one GRPO step costs through SDK, HTTP and the embedded engine, against the plain sum of its parts.

One step is 16 prompts by 8 samples by 32 tokens: a snapshot of the weights for sampling, the samples, a reward per sample, and
one training step with the loss ``importance_sampling``. The plain sum is what nobody can do without: one ``model.generate`` on
one batch and one forward, backward and AdamW step on as many tokens, with the same weights, threads and machine. Both
alternate in one run, so that a busy machine disturbs them alike. Engine seconds ÷ plain seconds, at most 1.25 is asked for:

    groups     one request of 8 samples per prompt
    singles    128 requests of one sample, as the cookbook's loop sends them

Run it with ``python tests/benchmarks/bench_engine_rl.py [--model nano|FOLDER] [--threads N] [--rounds N] [--json]``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tinker
import torch
from tinker import types

from studio.engine.specs import spec_for
from tests.benchmarks.serving import RANK, datum, padded_left, parser_for, plain_model, plain_optimizer, served

PROMPTS = 16
SAMPLES = 8
NEW_TOKENS = 32

#: One rollout: prompt, sampled tokens, the sampler's log-probabilities.
Rollout = tuple[list[int], list[int], list[float]]


def prompts_of(vocabulary: int, seed: int) -> list[list[int]]:
    """Prompts as long as short questions: 12 to 40 tokens."""
    rng = np.random.default_rng(seed)
    return [rng.integers(3, vocabulary - 8, int(length)).tolist() for length in rng.integers(12, 41, PROMPTS)]


def rewards_of(rollouts: list[Rollout]) -> list[float]:
    """A reward that any answer gets some of: the share of even tokens, centred in its group."""
    raw = np.array([np.mean([token % 2 == 0 for token in tokens]) for _, tokens, _ in rollouts]).reshape(PROMPTS, SAMPLES)
    return (raw - raw.mean(axis=1, keepdims=True)).reshape(-1).tolist()


class Plain:
    """What anybody would write with transformers and PEFT."""

    def __init__(self, source: str) -> None:
        self.model = plain_model(source)
        self.optimizer = plain_optimizer(self.model, 1e-5, fused=True)

    def step(self, prompts: list[list[int]]) -> dict[str, float]:
        clock = Clock()
        rollouts = self._sample(prompts)
        clock.lap("sampling")
        advantages = rewards_of(rollouts)
        clock.lap("reward")
        self._train(rollouts, advantages)
        clock.lap("training")
        return clock.laps

    @torch.inference_mode()
    def _sample(self, prompts: list[list[int]]) -> list[Rollout]:
        self.model.eval()
        padded = padded_left(prompts)
        out = self.model.generate(
            **padded, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, pad_token_id=0,
            num_return_sequences=SAMPLES, min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS,
        )  # fmt: skip
        answers = out[:, padded["input_ids"].shape[1] :].tolist()
        return [(prompts[row // SAMPLES], answer, []) for row, answer in enumerate(answers)]

    def _train(self, rollouts: list[Rollout], advantages: list[float]) -> None:
        self.model.train()
        width = max(len(prompt) + len(answer) for prompt, answer, _ in rollouts) - 1
        ids, targets, mask = (torch.zeros((len(rollouts), width), dtype=torch.long) for _ in range(3))
        weights = torch.zeros((len(rollouts), width))
        for row, ((prompt, answer, _), advantage) in enumerate(zip(rollouts, advantages, strict=True)):
            whole = torch.tensor(prompt + answer)
            size = len(whole) - 1
            ids[row, :size], targets[row, :size], mask[row, :size] = whole[:-1], whole[1:], 1
            weights[row, len(prompt) - 1 : size] = advantage
        logits = self.model(input_ids=ids, attention_mask=mask).logits
        logp = -torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        loss = -(torch.exp(logp - logp.detach()) * weights.flatten()).sum()
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        loss.item()


class Served:
    """The same step as a client of the engine; ``singles`` sends one request per sample."""

    def __init__(self, service: tinker.ServiceClient, model: str) -> None:
        self.training: Any = service.create_lora_training_client(base_model=model, rank=RANK).result()

    def step(self, prompts: list[list[int]], *, singles: bool) -> dict[str, float]:
        return asyncio.run(self._step(prompts, singles=singles))

    async def _step(self, prompts: list[list[int]], *, singles: bool) -> dict[str, float]:
        clock = Clock()
        sampler = await self.training.save_weights_and_get_sampling_client_async()
        clock.lap("snapshot")
        params = types.SamplingParams(max_tokens=NEW_TOKENS, temperature=1.0, stop=[])
        count, repeat = (1, SAMPLES) if singles else (SAMPLES, 1)
        asked = [prompt for prompt in prompts for _ in range(repeat)]
        replies = await asyncio.gather(
            *(sampler.sample_async(types.ModelInput.from_ints(prompt), count, params) for prompt in asked)
        )
        rollouts = [
            (prompt, list(sequence.tokens), list(sequence.logprobs))
            for prompt, reply in zip(asked, replies, strict=True)
            for sequence in reply.sequences
        ]
        clock.lap("sampling")
        advantages = rewards_of(rollouts)
        clock.lap("reward")
        data = [example(rollout, advantage) for rollout, advantage in zip(rollouts, advantages, strict=True)]
        gradient = await self.training.forward_backward_async(data, "importance_sampling")
        step = await self.training.optim_step_async(types.AdamParams(learning_rate=1e-5, eps=1e-8))
        await gradient.result_async()
        await step.result_async()
        clock.lap("training")
        return clock.laps


def example(rollout: Rollout, advantage: float) -> types.Datum:
    prompt, answer, logprobs = rollout
    silent = [0.0] * (len(prompt) - 1)
    return datum(prompt + answer, logprobs=[*silent, *logprobs], advantages=[*silent, *([advantage] * len(answer))])


class Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def compare(plain: Plain, engine: Served, vocabulary: int, rounds: int) -> dict[str, Any]:
    ways = {
        "plain": plain.step,
        "groups": lambda prompts: engine.step(prompts, singles=False),
        "singles": lambda prompts: engine.step(prompts, singles=True),
    }
    laps: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for turn in range(-1, rounds):
        for way, step in ways.items():
            found = step(prompts_of(vocabulary, turn + 1))
            if turn >= 0:  # the first turn warms up
                laps[way].append(found)
    found: dict[str, Any] = {}
    for way, turns in laps.items():
        parts = {name: round(statistics.median(turn[name] for turn in turns), 4) for name in turns[0]}
        found[way] = {"seconds": round(statistics.median(sum(turn.values()) for turn in turns), 4), **parts}
    for way in ("groups", "singles"):
        pairs = zip(laps[way], laps["plain"], strict=True)
        found[way]["ratio"] = round(statistics.median(sum(a.values()) / sum(b.values()) for a, b in pairs), 3)
    return found


def main(argv: list[str] | None = None) -> int:
    options = parser_for(__doc__, rounds=9).parse_args(argv)
    torch.set_num_threads(options.threads)
    plain = Plain(spec_for(options.model).source)
    vocabulary = plain.model.get_input_embeddings().weight.shape[0]
    with served(options) as (_, service):
        found = compare(plain, Served(service, options.model), vocabulary, options.rounds)
    if options.json:
        print(json.dumps(found))
        return 0
    for way, values in found.items():
        parts = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if name not in ("seconds", "ratio"))
        ratio = f", ratio {values['ratio']}" if "ratio" in values else ""
        print(f"{way}: {values['seconds']:.3f} s a step{ratio} ({parts})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
