"""How much of a plain loop's speed is left when the same work goes through SDK, HTTP and the embedded engine.

Two ratios, each from the same process run, the same threads and the same tokens, in alternating rounds so that a busy machine
disturbs both sides alike:

    sft       tokens per second of SDK + engine ÷ a plain PyTorch + PEFT loop            (at least 0.85 is asked for)
    sampling  tokens per second of 64 requests at once ÷ ``model.generate`` on one batch (at least 0.80 is asked for)

Run it with ``python tests/benchmarks/bench_engine.py [--model nano|FOLDER] [--threads N] [--rounds N] [--json]``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
import warnings
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import tinker
import torch
from peft import LoraConfig, get_peft_model
from tinker import types
from transformers import AutoModelForCausalLM

from studio.engine.launch import Engine, start_engine
from studio.engine.specs import spec_for
from studio.settings import Settings

RANK = 16
BATCH = 32
NEW_TOKENS = 64
REQUESTS = 64


def examples(vocabulary: int, count: int, mean: int, seed: int = 0) -> list[list[int]]:
    """Token sequences whose lengths spread like those of short conversations."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.gamma(4.0, mean / 4.0, count).astype(int), 4, 4 * mean)
    return [rng.integers(3, vocabulary - 8, length + 1).tolist() for length in lengths]


def datum(tokens: list[int]) -> types.Datum:
    inputs = {"target_tokens": tokens[1:], "weights": [1.0] * (len(tokens) - 1)}
    return types.Datum(model_input=types.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=inputs)


class Plain:
    """What anybody would write with transformers and PEFT."""

    def __init__(self, source: str) -> None:
        base = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.model: Any = get_peft_model(base, LoraConfig(r=RANK, lora_alpha=32, target_modules=names))
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)

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
        width = max(map(len, prompts))
        ids, mask = torch.zeros((len(prompts), width), dtype=torch.long), torch.zeros((len(prompts), width), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
        with self.model.disable_adapter():
            out = self.model.generate(
                input_ids=ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
                min_new_tokens=NEW_TOKENS, max_new_tokens=NEW_TOKENS, pad_token_id=0,
            )  # fmt: skip
        return int((out.shape[1] - width) * len(prompts))


class Served:
    """The same work as a client of the engine."""

    def __init__(self, engine: Engine, model: str) -> None:
        self.service = tinker.ServiceClient(base_url=engine.base_url, api_key=engine.api_key.reveal())
        self.training = self.service.create_lora_training_client(base_model=model, rank=RANK).result()
        self.sampling = self.service.create_sampling_client(base_model=model).result()

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
        params = types.SamplingParams(max_tokens=NEW_TOKENS, temperature=1.0, stop=[])
        futures = [self.sampling.sample(types.ModelInput.from_ints(prompt), 1, params) for prompt in prompts]
        return sum(len(sequence.tokens) for future in futures for sequence in future.result().sequences)


def clock(work: Any, argument: Any) -> float:
    """Tokens per second."""
    began = time.perf_counter()
    tokens = work(argument)
    return tokens / (time.perf_counter() - began)


def compare(plain: Plain, served: Served, vocabulary: int, rounds: int, steps: int) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    batches = [examples(vocabulary, BATCH, 60, seed) for seed in range(steps)]
    prompts = examples(vocabulary, REQUESTS, 40, seed=99)
    for name, argument in (("train", batches), ("sample", prompts)):
        clock(getattr(plain, name), argument[:2]), clock(getattr(served, name), argument[:2])  # warm up
        pairs = [(clock(getattr(plain, name), argument), clock(getattr(served, name), argument)) for _ in range(rounds)]
        found["sft" if name == "train" else "sampling"] = {
            "plain_tokens_per_s": round(statistics.median(pair[0] for pair in pairs), 1),
            "engine_tokens_per_s": round(statistics.median(pair[1] for pair in pairs), 1),
            "ratio": round(statistics.median(pair[1] / pair[0] for pair in pairs), 3),
        }
    return found


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    spec = spec_for(options.model)
    plain = Plain(spec.source)
    vocabulary = plain.model.get_input_embeddings().weight.shape[0]
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        with start_engine(settings, [options.model], device=options.device, threads=options.threads) as engine:
            served = Served(engine, options.model)
            found = compare(plain, served, vocabulary, options.rounds, options.steps)
            served.service.close("success").result()
    if options.json:
        print(json.dumps(found))
    else:
        for name, values in found.items():
            print(
                f"{name}: engine {values['engine_tokens_per_s']} tokens/s, "
                f"plain {values['plain_tokens_per_s']}, ratio {values['ratio']}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
