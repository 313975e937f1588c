"""Which fine-tuning settings suit nano: a small sweep over the sample data sets, kept in ``assets/nano/measured.json``.

Guarantees: every number in the file comes from a run of this module; the settings it recommends are those of a run in the list.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.engine.nano.finetune import Outcome, Pair, Shot, finetune, halves
from studio.engine.nano.tokenizer import load_tokenizer
from studio.samples import Sample, samples

COMMAND = "python -m studio.engine.nano measure"
#: What is recommended, and what the sweep varies around it.
CHOSEN = Shot(learning_rate=0.004, lora_rank=16, batch_size=16, steps=180)
EPOCHS = 6
_RATES = (0.001, 0.002, 0.004, 0.008)
_RANKS = (8, 32)
_BATCHES = (8, 32)


def read_pairs(file: Path) -> list[Pair]:
    """The prompt and completion of every row of a sample."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".csv":
        rows: list[dict[str, str]] = list(csv.DictReader(text.splitlines(keepends=True)))
    elif file.suffix == ".json":
        rows = json.loads(text)
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    return [Pair(row["prompt"], row["completion"]) for row in rows]


def plan(first: str, others: Sequence[str]) -> list[tuple[str, Shot]]:
    """The runs: the whole sweep on the first sample, the chosen settings on the others."""
    base = CHOSEN
    sweep = [Shot(rate, base.lora_rank, base.batch_size, base.steps) for rate in _RATES]
    sweep += [Shot(base.learning_rate, rank, base.batch_size, base.steps) for rank in _RANKS]
    sweep += [Shot(base.learning_rate, base.lora_rank, size, base.steps) for size in _BATCHES]
    sweep += [
        Shot(base.learning_rate, base.lora_rank, base.batch_size, steps) for steps in (base.steps // 3, base.steps * 2 // 3)
    ]
    return [(first, shot) for shot in sweep] + [(name, base) for name in others]


def measure(folder: Path) -> dict[str, Any]:
    """Run the plan with the model in ``folder``; write and return ``measured.json``."""
    tokenizer = load_tokenizer(folder)
    known = {one.name: one for one in samples() if one.method == "sl"}
    runs: list[dict[str, Any]] = []
    first, *others = known
    for name, shot in plan(first, others):
        train, held_out = halves(read_pairs(known[name].file))
        runs.append(_row(known[name], shot, finetune(folder, tokenizer, train, held_out, shot)))
        print(json.dumps(runs[-1]), flush=True)
    chosen = [
        run
        for run in runs
        if (run["learning_rate"], run["lora_rank"], run["batch_size"], run["steps"])
        == (CHOSEN.learning_rate, CHOSEN.lora_rank, CHOSEN.batch_size, CHOSEN.steps)
    ]
    result = {
        "model": "nano",
        "learning_rate": CHOSEN.learning_rate,
        "lora_rank": CHOSEN.lora_rank,
        "batch_size": CHOSEN.batch_size,
        "min_steps": CHOSEN.steps,
        "max_epochs": EPOCHS,
        "seconds_per_step": round(statistics.median(run["seconds"] / run["steps"] for run in chosen), 3),
        "measured_on": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "command": COMMAND,
        "runs": runs,
    }
    path, draft = folder / "measured.json", folder / "measured.json.draft"
    if path.is_file():
        # The other methods are measured by runs of the studio itself.
        result["methods"] = json.loads(path.read_text(encoding="utf-8")).get("methods", {})
    draft.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return result


def _row(one: Sample, shot: Shot, outcome: Outcome) -> dict[str, Any]:
    return {
        "sample": one.name,
        "learning_rate": shot.learning_rate,
        "lora_rank": shot.lora_rank,
        "batch_size": shot.batch_size,
        "steps": shot.steps,
        "loss_before": round(outcome.loss_before, 4),
        "loss_after": round(outcome.loss_after, 4),
        "exact_before": round(outcome.exact_before, 4),
        "exact_after": round(outcome.exact_after, 4),
        "seconds": round(outcome.seconds, 1),
    }
