"""The studio in the terminal: every verb calls the same domain function as its page.

Guarantees: with ``--json`` standard output holds one JSON document and nothing else; exit status 0 means that what was asked
for is done, 1 that it failed with a message that says what to do next, 2 that the command itself was wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from studio.cli import data, judging, serving, training
from studio.cli.output import Output
from studio.errors import StudioError
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Verb:
    """One word of the command line: its arguments, and the function that does it and returns the exit status."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    act: Callable[[argparse.Namespace, Settings, Output], int]


VERBS: Final[tuple[Verb, ...]] = (
    Verb("ui", "serve the studio in the browser", serving.ui_arguments, serving.ui),
    Verb("samples", "list the sample data sets", data.samples_arguments, data.samples),
    Verb("validate", "check every row of a file", data.validate_arguments, data.validate),
    Verb("recommend", "recommend every setting, with its reason", data.recommend_arguments, data.recommend),
    Verb("train", "train on a file or a sample data set", training.train_arguments, training.train),
    Verb("runs", "list the runs", training.runs_arguments, training.runs),
    Verb("stop", "stop a run and keep what it has learned", training.one_run_arguments, training.stop),
    Verb("resume", "go on with a stopped or interrupted run", training.resume_arguments, training.resume),
    Verb("compare", "let base and tuned answer the held-out prompts", judging.compare_arguments, judging.compare),
    Verb("sample", "answer one prompt with a run or a base model", judging.sample_arguments, judging.sample),
    Verb("verdict", "compute the verdict from a file of votes", judging.verdict_arguments, judging.verdict),
    Verb("engine", "serve the embedded engine for any Tinker client", serving.engine_arguments, serving.engine),
)


def parser() -> argparse.ArgumentParser:
    """The whole command line, for ``main`` and for the tests that read its help."""
    top = argparse.ArgumentParser(prog="tuning-fork", description="From a file of examples to a verdict you can trust.")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        sub = verbs.add_parser(verb.name, help=verb.summary, description=f"{verb.summary[0].upper()}{verb.summary[1:]}.")
        verb.arguments(sub)
        sub.add_argument(
            "--home", type=Path, help="folder for everything the studio keeps (default: $STUDIO_HOME or your data folder)"
        )
        sub.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        sub.set_defaults(act=verb.act)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    asked = parser().parse_args(argv)
    output = Output(as_json=asked.json)
    try:
        status: int = asked.act(asked, Settings.from_env().with_home(asked.home), output)
    except StudioError as error:
        output.failure(error)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader, for example `head`, has seen enough; nothing is wrong.
        sys.stderr.close()
        return 0
    return status
