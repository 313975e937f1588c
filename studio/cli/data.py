"""``validate`` and ``samples``, and how every verb takes a file in: everything that can be known of data before a run.

Guarantees: ``validate --json`` prints the keys and words of ``studio.data.report``; neither verb keeps a copy of the file.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from studio import data, datasets, fitting, methods, recipe
from studio import samples as shipped
from studio.cli.output import Output
from studio.data import Container, Dataset, Finding, Fix, Inspection, Reading, SplitPlan
from studio.datasets import Tell
from studio.errors import DataError
from studio.origins import FromFile
from studio.settings import Settings
from studio.store import Store

_MARKS: Final = {"error": "set aside", "warning": "look", "info": "note"}
_TRAINING: Final = {"RL": "reinforcement learning (RL)", "DPO": "preference training (DPO)"}
_FILE: Final = "CSV, JSON, JSON lines or Parquet, also packed with gzip"
_SHOWN_LINES: Final = 8
_CONTAINERS: Final[dict[Container, str]] = {
    "csv": "CSV",
    "json_array": "a JSON list",
    "json_object": "a JSON object",
    "jsonl": "JSON lines",
    "parquet": "Parquet",
}


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


def reading_argument(parser: argparse.ArgumentParser) -> None:
    """How a file is to be read, shared by every verb that reads one."""
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="PART=NAME",
        help="say which column plays which part, for example prompt=Question; repeat for several",
    )
    parser.add_argument(
        "--fix",
        action="append",
        default=[],
        metavar="ID[=VALUE]",
        help="apply a fix that validate offers; repeat for several, they are applied in this order",
    )
    parser.add_argument("--encoding", default="", metavar="NAME", help="read the text in this encoding, for example cp1250")
    parser.add_argument(
        "--header", choices=("names", "data"), help="what the first line of a table is: column names, or data already"
    )


def reading_of(asked: argparse.Namespace) -> Reading:
    """How the command line wants the file read. Raises ``DataError`` for a column without an equals sign."""
    fixes: Sequence[str] = asked.fix
    pairs = (text.partition("=") for text in fixes)
    return Reading(
        mapping=mapping_of(asked),
        fixes=tuple(Fix(name, value) for name, _, value in pairs),
        encoding=asked.encoding,
        header=None if asked.header is None else asked.header == "names",
    )


def validate_arguments(parser: argparse.ArgumentParser) -> None:
    """``validate FILE [--method M] [--rows OUT] [--column PART=NAME …] [--fix ID[=VALUE] …] [--encoding E] [--header H]``."""
    parser.add_argument("file", type=Path, metavar="FILE", help=_FILE)
    parser.add_argument("--method", choices=[method.id for method in methods.METHODS], help="check it for this method, too")
    parser.add_argument("--rows", type=Path, metavar="OUT", help="write the usable rows to this file, as JSON lines")
    reading_argument(parser)


def validate(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Read every row and report what was found; 0 unless the file cannot be used. Keeps nothing but ``--rows``."""
    try:
        return _validated(asked, settings, output)
    except DataError as error:
        if not output.as_json:
            raise
        output.result(data.refusal_report(error, asked.file.name))
        return 1


def _validated(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    reading = reading_of(asked)
    with scratch(settings) as aside, progress_line() as tell:
        origin = FromFile(asked.file, by_path=True, in_place=True)
        staged_id, found = datasets.stage(aside, origin, asked.file.name, aside.owner, reading=reading, tell=tell)
        extra = fitting.findings(found, asked.method) if asked.method else ()
        report = data.report(found, extra)
        written = 0
        if asked.rows is not None and report["outcome"] != "rejected":
            written = datasets.write_clean(aside, staged_id, aside.owner, asked.rows, tell=tell)
    output.result(report)
    _say(found, (*found.findings, *extra), report, output)
    if written:
        output.say(f"{written:,} rows were written to {asked.rows}.")
    return 1 if report["outcome"] == "rejected" else 0


def _say(found: Inspection, findings: Sequence[Finding], report: Mapping[str, Any], output: Output) -> None:
    """The report for a person."""
    output.say(f"{found.file_name}: {_packing(found)}. {found.shape.why if found.shape else 'Not recognised.'}")
    if found.shape is not None and found.shape.training != "SL":
        output.say(f"It is for {_TRAINING[found.shape.training]}. {found.shape.method_why}".rstrip())
    output.say(f"{found.rows_usable:,} of {found.rows_total:,} rows can be used: {report['outcome'].replace('_', ' ')}.")
    for finding in findings:
        output.say(f"  {_MARKS[finding.severity]:>9}  {finding.message}{_lines(finding)}")
        if finding.next_step:
            output.say(f"{'':>11}  Next: {finding.next_step}")
        for offer in finding.fixes:
            value = f"={offer.fix.value}" if offer.fix.value else ""
            output.say(f"{'':>11}  Fix:  {offer.label} (--fix {shlex.quote(offer.fix.id + value)})")


def _packing(found: Inspection) -> str:
    words = [_CONTAINERS[found.container]]
    if found.delimiter not in (None, ","):
        words.append("separated by tabs" if found.delimiter == "\t" else f"separated by {found.delimiter!r}")
    return ", ".join([*words, *filter(None, [found.encoding])])


def _lines(finding: Finding) -> str:
    if not finding.lines:
        return ""
    shown = ", ".join(f"{line:,}" for line in finding.lines[:_SHOWN_LINES])
    rest = finding.count - min(len(finding.lines), _SHOWN_LINES)
    return f"  (line {shown}{f' and {rest:,} more' if rest > 0 else ''})"


@contextmanager
def progress_line() -> Generator[Tell]:
    """A line on standard error that says how far the work is; nothing when nobody looks at a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[words]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        line = bar.add_task("starting", total=None, words="")
        yield lambda progress: bar.update(
            line, description=progress.phase, completed=progress.done, total=progress.total or None, words=progress.words
        )


def method_arguments(parser: argparse.ArgumentParser) -> None:
    """``--method`` and ``--model``, shared by ``recommend`` and ``train``."""
    parser.add_argument("--method", choices=[method.id for method in methods.METHODS if method.available], default="sl")
    parser.add_argument("--model", default="nano", help="name of a model in the catalogue (default: nano)")


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


def take_in(
    settings: Settings,
    store: Store,
    file: Path,
    reading: Reading,
    *,
    method: str = "sl",
    plan: SplitPlan | None = None,
    in_place: bool = False,
) -> tuple[str, Dataset]:
    """Stage a file and settle it as a data set that can be trained on with ``method``. Returns its id too.

    Raises ``DataError`` for columns that were only guessed at, and for data of another kind of training.
    """
    origin = FromFile(file, by_path=True, in_place=in_place)
    with progress_line() as tell:
        staged_id, found = datasets.stage(settings, origin, file.name, settings.owner, reading=reading, tell=tell)
        try:
            _require_trainable(found, file.name, method)
            return staged_id, datasets.settle(settings, store, staged_id, settings.owner, plan, tell=tell)
        except BaseException:
            datasets.dismiss(settings, staged_id, settings.owner)
            raise


def require_ready(found: Inspection, name: str) -> None:
    """Raise ``DataError`` for columns that were only guessed at, and when no row can be used."""
    if found.needs_confirmation and found.shape is not None:
        guess = ", ".join(f"{part}={column}" for part, column in found.shape.columns)
        confirmed = " ".join(f"--column {shlex.quote(f'{part}={column}')}" for part, column in found.shape.columns)
        raise DataError(
            f"The columns look like {guess}, but that is a guess.", where=name, next_step=f"Confirm it: {confirmed}"
        )
    if not found.ready:
        worst = next((finding for finding in found.findings if finding.severity == "error"), None)
        raise DataError(
            worst.message if worst else "No row of this file can be used.",
            where=name,
            next_step=(worst.next_step if worst else "") or "Run validate on the file to see every finding.",
        )


def _require_trainable(found: Inspection, name: str, method: str) -> None:
    require_ready(found, name)
    training = found.shape.training if found.shape is not None else "SL"
    unfit = recipe.cannot_train(training, method)
    if unfit is not None:
        ways = f" Or train it as it is: --method {methods.ways(training)[0]}"
        raise DataError(
            unfit.what, where=name, next_step=f"{fitting.way_out(found)}.{ways}" if method == "sl" else unfit.next_step
        )


@contextmanager
def scratch(settings: Settings) -> Generator[Settings]:
    """The same settings over a home folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tuning-fork-") as folder:
        yield replace(settings, home=Path(folder))
