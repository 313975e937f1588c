"""``compare``, ``sample`` and ``verdict``: what the tuned model does, and whether that is better."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, cast

from studio.cli.output import Output
from studio.compare import generate
from studio.compare.generate import CompareSettings
from studio.compare.measures import Measure
from studio.compare.recompute import verdict_from_document
from studio.errors import DataError, RunError
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import Store

_PAUSE: Final = 0.25


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """``compare RUN [--max-prompts N]``."""
    parser.add_argument("run", metavar="RUN", help="id of a completed run; `runs` lists them")
    parser.add_argument("--max-prompts", type=int, metavar="N", help="answer at most N held-out prompts (default: 200)")


def compare(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let both models answer the held-out prompts, store the answers, and print the measures side by side."""
    store = Store(settings.database)
    try:
        wanted = CompareSettings() if asked.max_prompts is None else CompareSettings(max_prompts=asked.max_prompts)
        comparison = generate.start_comparison(settings, store, asked.run, settings.owner, wanted)
        with Supervisor(settings, store) as supervisor:
            supervisor.submit(comparison.id)
            while not (job := store.jobs.get(comparison.id)).ended:
                time.sleep(_PAUSE)
        if job.status != "completed":
            raise RunError(
                f"The comparison is {job.status}. {job.reason}".strip(), where=comparison.id, next_step=job.next_step
            )
        found = generate.measures(store, comparison.id, settings.owner)
        answers = len(store.comparisons.answers(comparison.id))
    finally:
        store.close()
    output.result(
        {"run_id": asked.run, "comparison_id": comparison.id, "answers": answers, "measures": [asdict(one) for one in found]}
    )
    output.table(["measure", "base", "tuned", "difference (95 %)", "prompts"], [_line(one) for one in found])
    output.say(f"\n{answers} answers are stored as {comparison.id}. Rate them blind: tuning-fork ui")
    return 0


def sample_arguments(parser: argparse.ArgumentParser) -> None:
    """``sample RUN|nano --prompt TEXT``."""
    parser.add_argument("target", metavar="RUN|MODEL", help="id of a run, or the name of a base model such as nano")
    parser.add_argument("--prompt", required=True, help="what to answer; - reads it from standard input")
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N", help="longest answer, in tokens (default: 256)")
    parser.add_argument("--temperature", type=float, default=0.0, help="0 gives the most likely answer (default: 0)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw when the temperature is above 0 (default: 0)")


def sample(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Answer one prompt."""
    prompt = sys.stdin.read() if asked.prompt == "-" else asked.prompt
    store = Store(settings.database)
    try:
        # Asked first: nobody should wait for an answer that cannot be stamped.
        learned = generate.was_trained_on(settings, store, asked.target, prompt)
        text = generate.sample_once(
            settings,
            store,
            asked.target,
            prompt,
            max_tokens=asked.max_tokens,
            temperature=asked.temperature,
            seed=asked.seed,
        )
    finally:
        store.close()
    output.result({"target": asked.target, "prompt": prompt, "answer": text, "trained_on": learned})
    output.say(text)
    if learned:
        output.say("\nThis run was trained on this very prompt, so the answer shows what it memorised.")
    return 0


def verdict_arguments(parser: argparse.ArgumentParser) -> None:
    """``verdict VOTES.json``."""
    parser.add_argument("votes", type=Path, metavar="VOTES.json", help="exported votes; - reads standard input")


def verdict(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Compute win rate, always-valid interval, evidence and verdict, and the reference numbers, from votes alone."""
    del settings
    found = verdict_from_document(_document(asked.votes))
    output.result(found)
    output.say(str(found["sentence"]))
    rows = [(name, found[name]) for name in ("win_rate", "low", "high", "evidence", "verdict", "n_items")]
    output.table(["", ""], [(name, _number(value)) for name, value in rows])
    reference: dict[str, Any] = found["reference"]
    output.say(f"\nReference numbers, {reference['label']}:")
    output.table(["", ""], list(_flat({name: value for name, value in reference.items() if name != "label"})))
    return 0


def _document(path: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        found = json.loads(text)
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=str(path), next_step="Check the path.") from error
    except ValueError as error:
        raise DataError(f"This is not JSON: {error}.", where=str(path), next_step="Export the votes again.") from error
    if not isinstance(found, dict):
        raise DataError("This is not an export of votes.", where=str(path), next_step="Export the votes again.")
    return cast("dict[str, Any]", found)


def _line(measure: Measure) -> tuple[str, str, str, str, str]:
    share = measure.unit == "share"

    def shown(value: float | None) -> str:
        if value is None:
            return "not known"
        return f"{100 * value:.0f} %" if share else f"{value:,.3g}"

    between = "" if measure.low is None else f"{shown(measure.low)} to {shown(measure.high)}"
    return measure.label, shown(measure.base), shown(measure.tuned), between, str(measure.n)


def _flat(numbers: dict[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in numbers.items():
        if isinstance(value, dict):
            yield from _flat(cast("dict[str, Any]", value), f"{before}{name} ")
        else:
            yield f"{before}{name}", _number(value)


def _number(value: object) -> str:
    if isinstance(value, tuple | list):
        return " to ".join(_number(end) for end in cast("list[object]", value))
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
