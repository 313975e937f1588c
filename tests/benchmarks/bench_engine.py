"""How much of a plain loop's speed is left when the same work goes through SDK, HTTP and the embedded engine.

Ratios, each from the same process run, the same threads and the same tokens, in alternating rounds so that a busy machine
disturbs both sides alike:

    sft       tokens per second of SDK + engine ÷ a plain PyTorch + PEFT loop            (at least 0.85 is asked for)
    sampling  tokens per second of 64 requests at once ÷ ``model.generate`` on one batch (at least 0.80 is asked for)
    adapters  tokens per second of 8 adapters by 8 requests at once ÷ the same, one adapter after the other

Run it with ``python tests/benchmarks/bench_engine.py [--model nano|FOLDER] [--threads N] [--rounds N] [--json]``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tinker
import torch
from tinker import types

from studio.engine.specs import spec_for
from tests.benchmarks.serving import (
    RANK,
    datum,
    examples,
    padded_left,
    parser_for,
    plain_model,
    plain_optimizer,
    served,
)

BATCH = 32
NEW_TOKENS = 64
REQUESTS = 64
ADAPTERS = 8


class Plain:
    """What anybody would write with transformers and PEFT."""

    def __init__(self, source: str) -> None:
        self.model = plain_model(source)
        self.optimizer = plain_optimizer(self.model, 1e-4)

    def train(self, batches: list[list[list[int]]]) -> int:
        self.model.train()
        for batch in batches:
            width = max(len(tokens) for tokens in batch) - 1
            ids, labels, mask = (torch.full((len(batch), width), fill) for fill in (0, -100, 0))
            for row, tokens in enumerate(batch):
                ids[row, : len(tokens) - 1] = torch.tensor(tokens[:-1])
                labels[row, : len(tokens) - 1] = torch.tensor(tokens[1:])
                mask[row, : len(tokens) - 1] = 1
            logits = self.model(input_ids=ids, attention_mask=mask).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=-100)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss.item()
        return sum(len(tokens) - 1 for batch in batches for tokens in batch)

    @torch.inference_mode()
    def sample(self, prompts: list[list[int]]) -> int:
        self.model.eval()
        padded = padded_left(prompts)
        with self.model.disable_adapter():
            out = self.model.generate(
                **padded, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS, pad_token_id=0,
            )  # fmt: skip
        return int((out.shape[1] - padded["input_ids"].shape[1]) * len(prompts))


class Served:
    """The same work as a client of the engine."""

    def __init__(self, service: tinker.ServiceClient, model: str) -> None:
        self.training = service.create_lora_training_client(base_model=model, rank=RANK).result()
        self.sampling = service.create_sampling_client(base_model=model).result()
        trained = [service.create_lora_training_client(base_model=model, rank=RANK).result() for _ in range(ADAPTERS)]
        self.adapters = [client.save_weights_and_get_sampling_client().result() for client in trained]

    def train(self, batches: list[list[list[int]]]) -> int:
        adam = types.AdamParams(learning_rate=1e-4, beta1=0.9, beta2=0.95, eps=1e-8)
        pending: deque[Any] = deque()
        for batch in batches:
            step = self.training.forward_backward([datum(tokens) for tokens in batch], "cross_entropy")
            pending.append((step, self.training.optim_step(adam)))
            if len(pending) > 1:  # one step ahead, as the cookbook's loop
                [future.result() for future in pending.popleft()]
        while pending:
            [future.result() for future in pending.popleft()]
        return sum(len(tokens) - 1 for batch in batches for tokens in batch)

    def sample(self, prompts: list[list[int]]) -> int:
        return self._sample([(self.sampling, prompt) for prompt in prompts])

    def together(self, prompts: list[list[int]]) -> int:
        return self._sample([(self.adapters[n % ADAPTERS], prompt) for n, prompt in enumerate(prompts)])

    def turns(self, prompts: list[list[int]]) -> int:
        return sum(
            self._sample([(adapter, prompt) for prompt in prompts[n::ADAPTERS]]) for n, adapter in enumerate(self.adapters)
        )

    def _sample(self, asked: list[tuple[Any, list[int]]]) -> int:
        params = types.SamplingParams(max_tokens=NEW_TOKENS, temperature=1.0, stop=[])
        futures = [sampler.sample(types.ModelInput.from_ints(prompt), 1, params) for sampler, prompt in asked]
        return sum(len(sequence.tokens) for future in futures for sequence in future.result().sequences)


def clock(work: Any, argument: Any) -> float:
    """Tokens per second."""
    began = time.perf_counter()
    tokens = work(argument)
    return tokens / (time.perf_counter() - began)


def compare(plain: Plain, engine: Served, vocabulary: int, rounds: int, steps: int) -> dict[str, dict[str, float]]:
    batches = [examples(vocabulary, BATCH, seed=seed) for seed in range(steps)]
    prompts = examples(vocabulary, REQUESTS, 40, seed=99)
    ways = {
        "sft": (plain.train, engine.train, batches, "plain_tokens_per_s"),
        "sampling": (plain.sample, engine.sample, prompts, "plain_tokens_per_s"),
        "adapters": (engine.turns, engine.together, prompts, "turns_tokens_per_s"),
    }
    found: dict[str, dict[str, float]] = {}
    for name, (other, ours, argument, label) in ways.items():
        clock(other, argument[:ADAPTERS]), clock(ours, argument[:ADAPTERS])  # warm up
        pairs = [(clock(other, argument), clock(ours, argument)) for _ in range(rounds)]
        found[name] = {
            label: round(statistics.median(pair[0] for pair in pairs), 1),
            "engine_tokens_per_s": round(statistics.median(pair[1] for pair in pairs), 1),
            "ratio": round(statistics.median(pair[1] / pair[0] for pair in pairs), 3),
        }
    return found


def main(argv: list[str] | None = None) -> int:
    options = parser_for(__doc__, rounds=5, steps=12).parse_args(argv)
    torch.set_num_threads(options.threads)
    plain = Plain(spec_for(options.model).source)
    vocabulary = plain.model.get_input_embeddings().weight.shape[0]
    with served(options) as (_, service):
        found = compare(plain, Served(service, options.model), vocabulary, options.rounds, options.steps)
    if options.json:
        print(json.dumps(found))
        return 0
    for name, values in found.items():
        print(f"{name}: " + ", ".join(f"{label} {value}" for label, value in values.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
