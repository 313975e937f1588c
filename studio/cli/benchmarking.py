"""``benchmark``: public questions for a run and its base model, marked by the cookbook.

Guarantees: without a task nothing is asked and nothing fetched; where the questions are not to be had, it fails with what to do
and without a score.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from studio.cli.output import Output
from studio.errors import SettingError
from studio.settings import Settings
from studio.store import Store


def benchmark_arguments(parser: argparse.ArgumentParser) -> None:
    """``benchmark [RUN|MODEL --task NAME]``."""
    parser.add_argument("target", nargs="?", metavar="RUN|MODEL", help="id of a run, or the name of a base model such as nano")
    parser.add_argument(
        "--task",
        metavar="NAME",
        help="what to ask; without one the benchmarks are listed. inspect_evals/NAME is a task of Inspect",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions (default: all)")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N", help="longest answer (default: %(default)s)")


def benchmark(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the benchmarks, or ask one."""
    # Imported when it is used: it loads the cookbook.
    from studio.compare.generate_benchmark import BENCHMARKS, Terms, run_benchmark

    if asked.task is None:
        output.result([{"name": name, "what": what} for name, what in BENCHMARKS.items()])
        output.table(["benchmark", "what it asks"], list(BENCHMARKS.items()))
        output.say("Their questions come from the Hugging Face Hub.")
        return 0
    if asked.target is None:
        raise SettingError("Whom shall it ask?", where="RUN|MODEL", next_step="Name a run, or a base model such as nano.")
    terms = Terms(asked.task, asked.limit, asked.max_tokens)
    store = Store(settings.database)
    try:
        found = run_benchmark(settings, store, asked.target, terms, tell=output.say)
    finally:
        store.close()
    scores = [one for one in (found.base, found.tuned) if one is not None]
    output.result(
        {
            "target": asked.target,
            **asdict(terms),
            "scores": [_plain(asdict(one)) for one in scores],
            "measure": asdict(found.measure) if found.measure else None,
            "trained_on": None,
        }
    )
    rows = [(one.name, f"{one.right:g} of {one.n}" if one.n else "", str(one.failed), str(one.cut)) for one in scores]
    output.table(["model", "right", "failed (not counted)", "cut off"], rows)
    output.table(["", *(one.name for one in scores)], _metrics(scores))
    if found.measure is not None:
        ends = "not known" if found.measure.low is None else f"{found.measure.low:+.3f} to {found.measure.high:+.3f}"
        output.say(f"Difference: {found.measure.difference:+.3f}, 95 % interval {ends}, over {found.measure.n} questions.")
    output.say("Whether any of these questions was in the training data, of the base model or of the run, is not known.")
    return 0


def _plain(score: dict[str, Any]) -> dict[str, Any]:
    """Without the marks of single questions."""
    return {name: value for name, value in score.items() if name != "marks"}


def _metrics(scores: list[Any]) -> list[tuple[str, ...]]:
    names = sorted({name for one in scores for name in one.metrics})
    return [(name, *(f"{one.metrics[name]:.4g}" if name in one.metrics else "" for one in scores)) for name in names]
