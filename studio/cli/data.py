"""``validate``, ``recommend`` and ``samples``: everything that can be known before a run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from studio import datasets, methods, models, recipe
from studio import samples as shipped
from studio.cli.output import Output
from studio.data import Dataset, RefusedFile
from studio.errors import DataError
from studio.settings import Settings
from studio.store import Store

_MARKS: Final = {"error": "set aside", "warning": "look", "info": "note"}


def samples_arguments(parser: argparse.ArgumentParser) -> None:
    """``samples`` takes none of its own."""
    del parser


def samples(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the data sets that ship with the studio."""
    del asked, settings
    found = shipped.samples()
    output.result([{**asdict(sample), "file": str(sample.file)} for sample in found])
    output.table(["name", "file", "what it teaches"], [(s.name, s.file.name, s.description) for s in found])
    return 0


def mapping_argument(parser: argparse.ArgumentParser) -> None:
    """``--column PART=NAME``, shared by every verb that reads a file."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=NAME",
        help="say which column plays which part, for example prompt=Question; repeat for several",
    )


def validate_arguments(parser: argparse.ArgumentParser) -> None:
    """``validate FILE [--column PART=NAME …]``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, JSON or JSONL")
    mapping_argument(parser)


def validate(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Read every row and report what was found; 0 when at least one row can be used. Keeps nothing."""
    with _scratch(settings) as aside:
        try:
            _, found = datasets.stage(aside, asked.file, asked.file.name, aside.owner, mapping=mapping_of(asked))
        except RefusedFile as error:
            if not output.as_json:
                raise
            output.result({"file_name": asked.file.name, "outcome": "rejected", "findings": [asdict(error.finding)]})
            return 1
    report = found.to_dict()
    # A path that is gone when the command ends would only mislead.
    del report["folder"]
    output.result(report)
    output.say(f"{found.file_name}: {found.format}, {found.encoding}. {found.shape.why if found.shape else 'Not recognised.'}")
    output.say(f"{found.rows_usable:,} of {found.rows_total:,} rows can be used.")
    for finding in found.findings:
        lines = f"  (line {', '.join(map(str, finding.lines))})" if finding.lines else ""
        output.say(f"  {_MARKS[finding.severity]:>9}  {finding.message}{lines}")
        if finding.next_step:
            output.say(f"{'':>11}  Next: {finding.next_step}")
    return 0 if found.ready else 1


def recommend_arguments(parser: argparse.ArgumentParser) -> None:
    """``recommend FILE --method sl --model nano``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, JSON or JSONL")
    method_arguments(parser)
    mapping_argument(parser)


def method_arguments(parser: argparse.ArgumentParser) -> None:
    """``--method`` and ``--model``, shared by ``recommend`` and ``train``."""
    parser.add_argument("--method", choices=[method.id for method in methods.METHODS if method.available], default="sl")
    parser.add_argument("--model", default="nano", help="name of a model in the catalogue (default: nano)")


def recommend(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Recommend every setting for this file, with reason and source. Keeps nothing."""
    with _scratch(settings) as aside:
        store = Store(aside.database)
        try:
            facts = recipe.facts_of(take_in(aside, store, asked.file, mapping_of(asked))[1])
        finally:
            store.close()
    found = recipe.recommend(facts, models.get(asked.model), asked.method)
    output.result(
        {
            "recipe": found.recipe.to_dict(),
            "settings": [asdict(setting) for setting in found.settings],
            "badge": found.badge,
            "badge_reason": found.badge_reason,
            "steps": found.steps,
            "minutes_estimate": found.minutes_estimate,
            "facts": asdict(facts),
        }
    )
    rows = [(s.label, s.text, s.reason, s.source) for s in found.settings]
    output.table(["setting", "value", "why", "source"], rows)
    output.say(f"\nLearning rate: {found.badge}. {found.badge_reason}")
    output.say(f"{found.steps} steps, {recipe.about(found.minutes_estimate)}.")
    return 0


def mapping_of(asked: argparse.Namespace) -> dict[str, str] | None:
    """The columns that were named on the command line. Raises ``DataError`` for one without an equals sign."""
    named: Sequence[str] = asked.column
    pairs: dict[str, str] = {}
    for text in named:
        part, equals, column = text.partition("=")
        if not (part and equals and column):
            raise DataError(f"{text!r} does not name a column.", where="--column", next_step="Write it as prompt=Question.")
        pairs[part] = column
    return pairs or None


def take_in(settings: Settings, store: Store, file: Path, mapping: Mapping[str, str] | None) -> tuple[str, Dataset]:
    """Stage a file and settle it as a data set, refusing columns that were only guessed at. Returns its id too."""
    staged_id, found = datasets.stage(settings, file, file.name, settings.owner, mapping=mapping)
    if found.needs_confirmation and found.shape is not None:
        guess = ", ".join(f"{part}={column}" for part, column in found.shape.columns)
        raise DataError(
            f"The columns look like {guess}, but that is a guess.",
            where=file.name,
            next_step=f"Confirm it: {' '.join(f'--column {part}={column}' for part, column in found.shape.columns)}",
        )
    if not found.ready:
        worst = next((finding for finding in found.findings if finding.severity == "error"), None)
        raise DataError(
            worst.message if worst else "No row of this file can be used.",
            where=file.name,
            next_step=(worst.next_step if worst else "") or "Run validate on the file to see every finding.",
        )
    return staged_id, datasets.settle(settings, store, staged_id, settings.owner)


@contextmanager
def _scratch(settings: Settings) -> Generator[Settings]:
    """The same settings over a home folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tuning-fork-") as folder:
        yield replace(settings, home=Path(folder))
