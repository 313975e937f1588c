"""The studio in the terminal: every verb calls the same domain function as its page.

Guarantees: with ``--json`` standard output holds one JSON document and nothing else; exit status 0 means that what was asked
for is done, 1 that it failed with a message that says what to do next, 2 that the command itself was wrong.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

from studio.cli.output import Output
from studio.errors import StudioError
from studio.settings import Settings


@dataclass(frozen=True, slots=True)
class Verb:
    """One word of the command line.

    ``module`` of this package has ``NAME_arguments(parser)`` and ``NAME(asked, settings, output)``, which does it and returns
    the exit status.
    """

    name: str
    summary: str
    module: str

    def load(self) -> ModuleType:
        """The verb's module. Imported only when the verb is used: `ui` should not wait for what `verdict` needs."""
        return importlib.import_module(f"studio.cli.{self.module}")


VERBS: Final[tuple[Verb, ...]] = (
    Verb("ui", "serve the studio in the browser", "serving"),
    Verb("samples", "list the sample data sets", "data"),
    Verb("validate", "check every row of a file", "data"),
    Verb("split", "split a file into train, validation and test, with a data card", "splitting"),
    Verb("mix", "mix several files or data sets into one", "splitting"),
    Verb("tree", "print the questions that lead to a method", "planning"),
    Verb("recommend", "recommend every setting, with its reason", "planning"),
    Verb("reward", "try a reward on a few rows before training", "rewards"),
    Verb("train", "train on a file or a sample data set", "training"),
    Verb("probe", "find the learning rate with three short runs", "sweeping"),
    Verb("sweep", "try several settings and see which are best", "sweeping"),
    Verb("sweeps", "list the sweeps, or show one", "sweeping"),
    Verb("recipe", "list the cookbook's own recipes, or run one", "recipes"),
    Verb("runs", "list the runs", "training"),
    Verb("stop", "stop a run and keep what it has learned", "training"),
    Verb("resume", "go on with a stopped or interrupted run", "training"),
    Verb("compare", "let two or more models answer the same prompts", "comparing"),
    Verb("measure", "count what a program can count, and show what changed most", "comparing"),
    Verb("benchmark", "ask public questions that the cookbook marks", "benchmarking"),
    Verb("sample", "answer one prompt with a run or a base model", "judging"),
    Verb("session", "rate answers blind: open a session, invite people, close it", "sessions"),
    Verb("judge", "let a model judge a session, beside the people", "machine"),
    Verb("verdict", "compute the verdict from a file of votes", "judging"),
    Verb("report", "write what a session came to as a page or for a model card", "reporting"),
    Verb("engine", "serve the embedded engine for any Tinker client", "serving"),
)


def parser(asked_for: str = "") -> argparse.ArgumentParser:
    """The command line: every verb by name, and the arguments of the one that is asked for."""
    top = argparse.ArgumentParser(prog="tuning-fork", description="From a file of examples to a verdict you can trust.")
    verbs = top.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        sub = verbs.add_parser(verb.name, help=verb.summary, description=f"{verb.summary[0].upper()}{verb.summary[1:]}.")
        if verb.name != asked_for:
            continue
        getattr(verb.load(), f"{verb.name}_arguments")(sub)
        sub.add_argument(
            "--home", type=Path, help="folder for everything the studio keeps (default: $STUDIO_HOME or your data folder)"
        )
        sub.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        sub.set_defaults(act=getattr(verb.load(), verb.name))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    asked = parser(words[0] if words else "").parse_args(words)
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
