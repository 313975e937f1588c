"""``sample`` and ``verdict``: what the tuned model does, and whether that is better."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from studio.cli.output import Output
from studio.compare import generate
from studio.compare.recompute import verdict_from_document
from studio.compare.report_html import votes_in
from studio.compare.slices import LABEL as EXPLORATORY
from studio.errors import DataError
from studio.settings import Settings
from studio.store import Store


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
    """``verdict EXPORT.json|REPORT.html``."""
    parser.add_argument(
        "votes", type=Path, metavar="EXPORT.json", help="exported votes, or a report that carries them; - reads standard input"
    )


def verdict(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Compute win rate, always-valid interval, evidence and verdict, and everything beside it, from votes alone."""
    del settings
    found = verdict_from_document(document_of(asked.votes))
    output.result(found)
    output.say(str(found["paragraph"]))
    for note in cast("list[str]", found["notes"]):
        output.say(f"- {note}")
    _tables(found, output)
    return 0


def _tables(found: dict[str, Any], output: Output) -> None:
    rows = [(name, found[name]) for name in ("win_rate", "low", "high", "evidence", "verdict", "n_items", "blinding_index")]
    output.table(["", ""], [(name, _number(value)) for name, value in rows])
    numbers = ("win_rate", "low", "high", "evidence", "verdict")
    if len(found["checkpoints"]) > 1:
        listed = [(one["name"], *(_number(one[name]) for name in (*numbers, "elo"))) for one in found["checkpoints"]]
        output.table(["challenger", *numbers, "elo"], listed, title=f"\nEach needs evidence of {found['threshold']:g} : 1")
    people: dict[str, dict[str, Any]] = found["per_rater"]
    without, says = found["leave_one_out"], found["verdict_without"]
    output.table(
        ["rater", "prompts", "win rate", "win rate without", "verdict without"],
        [(who, one["n"], _number(one["win_rate"]), _number(without[who]), says[who]) for who, one in people.items()],
        title="\nRaters",
    )
    parts = [
        (f"{name}: {value}", part["n"], *(_number(part[number]) for number in numbers))
        for name, values in {**found["slices"], "criterion": found["criteria"]}.items()
        for value, part in values.items()
    ]
    if parts:
        output.table(["part", "prompts", *numbers], parts, title=f"\nParts, {EXPLORATORY}")
    reference: dict[str, Any] = found["reference"] | {"length": found["length_controlled"]}
    output.say(f"\nReference numbers, {reference['label']}:")
    output.table(["", ""], [(name, value) for name, value in _flat(reference) if not name.endswith("label")])


def document_of(path: Path) -> dict[str, Any]:
    """The votes in an export, or in a report that carries them. Raises ``DataError``."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        found = json.loads(votes_in(text) or text)
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=str(path), next_step="Check the path.") from error
    except ValueError as error:
        raise DataError(f"This is not JSON: {error}.", where=str(path), next_step="Export the votes again.") from error
    if not isinstance(found, dict):
        raise DataError("This is not an export of votes.", where=str(path), next_step="Export the votes again.")
    return cast("dict[str, Any]", found)


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
