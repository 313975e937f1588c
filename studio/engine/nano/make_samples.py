"""Write the sample data sets of ``assets/samples``: CSV, a JSON array, JSON Lines; always the same bytes.

Guarantees: prompts are unique within a file; nothing in them is about a real person, shop or order.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

from studio.engine.nano.sample_arithmetic import arithmetic_row
from studio.engine.nano.sample_concise import Pair, concise_pair
from studio.engine.nano.sample_formal import formal_row
from studio.engine.nano.sample_piglatin import pig_latin_row
from studio.engine.nano.sample_school import school_row
from studio.engine.nano.sample_tickets import ticket_row

SEED = 2026


def unique_rows(make: Callable[[random.Random], tuple[str, str]], count: int, seed: int) -> list[tuple[str, str]]:
    """``count`` rows with different prompts, in the order they were made."""
    rng, rows = random.Random(seed), dict[str, str]()  # noqa: S311 - made-up text, no secret
    while len(rows) < count:
        prompt, completion = make(rng)
        rows.setdefault(prompt, completion)
    return list(rows.items())


def write_samples(folder: Path) -> None:
    """Write every sample into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("prompt", "completion"))
    writer.writerows(unique_rows(ticket_row, 600, SEED))
    _write(folder / "support_tickets.csv", table.getvalue())
    formal = [{"prompt": prompt, "completion": completion} for prompt, completion in unique_rows(formal_row, 600, SEED)]
    _write(folder / "casual_to_formal.json", json.dumps(formal, indent=1, ensure_ascii=False) + "\n")
    pig = (
        json.dumps({"prompt": prompt, "completion": completion}) for prompt, completion in unique_rows(pig_latin_row, 600, SEED)
    )
    _write(folder / "pig_latin.jsonl", "\n".join(pig) + "\n")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("prompt", "chosen", "rejected"))
    writer.writerows((pair.prompt, pair.chosen, pair.rejected) for pair in concise_pairs())
    _write(folder / "concise.csv", table.getvalue())
    _write(folder / "arithmetic.jsonl", _lines(unique_rows(arithmetic_row, 600, SEED), "ground_truth"))
    _write(folder / "school.jsonl", _lines(unique_rows(school_row, 500, SEED), "completion"))


def concise_pairs() -> list[Pair]:
    """The pairs of ``concise.csv``, each with what its message says."""
    rng, pairs = random.Random(SEED), dict[str, Pair]()  # noqa: S311 - made-up text, no secret
    while len(pairs) < 540:
        pair = concise_pair(rng)
        pairs.setdefault(pair.prompt, pair)
    return list(pairs.values())


def _lines(rows: list[tuple[str, str]], second: str) -> str:
    return "".join(json.dumps({"prompt": prompt, second: text}, ensure_ascii=False) + "\n" for prompt, text in rows)


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)
