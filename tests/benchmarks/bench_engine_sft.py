"""How fast supervised training is through SDK and engine, against TRL's ``SFTTrainer`` on the same model and data.

Both train a LoRA adapter of the same rank on the same modules of nano, in float32, on the same token sequences in the same
order and batches, with the same number of threads, in alternating rounds of one run. The first steps of a round warm up and do
not count. Asked for is a ratio of at least 1.0:

    sft        tokens per second of SDK + engine ÷ tokens per second of ``SFTTrainer``, loss on every token
    answers    the same with the loss on the last third of each sequence only, as chats are trained

Run it with ``python tests/benchmarks/bench_engine_sft.py [--model nano|FOLDER] [--threads N] [--rounds N] [--json]``; it needs
the extra ``bench``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import tinker
import torch
from datasets import Dataset
from peft import LoraConfig
from tinker import types
from torch.utils.data import SequentialSampler
from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback

from studio.engine.specs import spec_for
from tests.benchmarks.serving import BODY, RANK, datum, examples, parser_for, served

BATCH = 32
WARM = 3
RATE = 1e-5


def answer_mask(tokens: list[int], *, answers: bool) -> list[int]:
    """Which tokens count in the loss: all of them, or the last third."""
    start = (2 * len(tokens)) // 3 if answers else 0
    return [int(place >= start) for place in range(len(tokens))]


class Peer:
    """TRL as its documentation sets it up, without what the other side does not do either (checkpoints, reports)."""

    def __init__(self, source: str, sequences: list[list[int]], folder: str, *, answers: bool) -> None:
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        class Ordered(SFTTrainer):
            """The data in the order in which they are given, as on the other side."""

            def _get_train_sampler(self, *_: Any) -> Any:
                return SequentialSampler(self.train_dataset)

        self.laps: list[float] = []
        laps = self.laps

        class Laps(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                laps.append(time.perf_counter())

        rows = [{"input_ids": tokens, "completion_mask": answer_mask(tokens, answers=answers)} for tokens in sequences]
        config = SFTConfig(
            output_dir=folder, per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=RATE,
            lr_scheduler_type="constant", adam_beta2=0.95, max_grad_norm=0.0, gradient_checkpointing=False, bf16=False,
            use_cpu=True, max_length=None, packing=False, completion_only_loss=True, save_strategy="no", report_to="none",
            logging_strategy="no", disable_tqdm=True, seed=0,
        )  # fmt: skip
        self.trainer: Any = Ordered(
            model=AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32), args=config,
            train_dataset=Dataset.from_list(rows), processing_class=AutoTokenizer.from_pretrained(source),
            # Without the head: TRL refuses an adapter there.
            peft_config=LoraConfig(r=RANK, lora_alpha=32, target_modules=BODY), callbacks=[Laps()],
        )  # fmt: skip
        self.trainer.remove_callback(PrinterCallback)

    def seconds(self) -> float:
        """Time of all steps behind the warm ones."""
        self.laps.clear()
        self.trainer.train()
        return self.laps[-1] - self.laps[WARM - 1]


class Served:
    """The same work as a client of the engine, one step ahead, as the cookbook's loop."""

    def __init__(self, service: tinker.ServiceClient, model: str, sequences: list[list[int]], *, answers: bool) -> None:
        self.training: Any = service.create_lora_training_client(base_model=model, rank=RANK, train_unembed=False).result()
        data = [datum(tokens, [float(flag) for flag in answer_mask(tokens, answers=answers)[1:]]) for tokens in sequences]
        self.batches = [data[start : start + BATCH] for start in range(0, len(data), BATCH)]

    def seconds(self) -> float:
        laps: list[float] = []
        adam = types.AdamParams(learning_rate=RATE, beta1=0.9, beta2=0.95, eps=1e-8)
        pending: deque[Any] = deque()

        def finish() -> None:
            for future in pending.popleft():
                future.result()
            laps.append(time.perf_counter())

        for batch in self.batches:
            pending.append((self.training.forward_backward(batch, "cross_entropy"), self.training.optim_step(adam)))
            if len(pending) > 1:
                finish()
        while pending:
            finish()
        return laps[-1] - laps[WARM - 1]


def compare(service: tinker.ServiceClient, source: str, options: argparse.Namespace, *, answers: bool) -> dict[str, float]:
    sequences = examples(options.vocabulary, BATCH * options.steps, shortest=6)
    counted = sum(len(tokens) - 1 for tokens in sequences[WARM * BATCH :])
    with tempfile.TemporaryDirectory() as folder:
        peer = Peer(source, sequences, folder, answers=answers)
        ours = Served(service, options.model, sequences, answers=answers)
        pairs = [(peer.seconds(), ours.seconds()) for _ in range(options.rounds)]
    return {
        "trl_tokens_per_s": round(counted / statistics.median(pair[0] for pair in pairs), 1),
        "engine_tokens_per_s": round(counted / statistics.median(pair[1] for pair in pairs), 1),
        "ratio": round(statistics.median(pair[0] / pair[1] for pair in pairs), 3),
        "lowest": round(min(pair[0] / pair[1] for pair in pairs), 3),
        "highest": round(max(pair[0] / pair[1] for pair in pairs), 3),
    }


def main(argv: list[str] | None = None) -> int:
    options = parser_for(__doc__, rounds=3, steps=12).parse_args(argv)
    try:
        import trl
    except ImportError:
        print("TRL is not installed: pip install '.[bench]'", file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    source = spec_for(options.model).source
    options.vocabulary = AutoModelForCausalLM.from_pretrained(source).get_input_embeddings().weight.shape[0]
    with served(options) as (_, service):
        found = {
            name: compare(service, source, options, answers=answers) for name, answers in (("sft", False), ("answers", True))
        }
    if options.json:
        print(json.dumps({"trl": trl.__version__, **found}))
        return 0
    for name, values in found.items():
        print(
            f"{name}: engine {values['engine_tokens_per_s']} tokens/s, TRL {trl.__version__} {values['trl_tokens_per_s']}, "
            f"ratio {values['ratio']} ({values['lowest']} to {values['highest']})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
