"""How verbs speak: text and tables for people on standard output, or one JSON document; errors always on standard error."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from studio.errors import DataError, StudioError


@dataclass(frozen=True, slots=True)
class Output:
    """Prints for a person, or as JSON when asked."""

    as_json: bool

    def result(self, document: object) -> None:
        """The JSON document; nothing when the person reads text."""
        if self.as_json:
            json.dump(document, sys.stdout, ensure_ascii=False, indent=2, default=str)
            sys.stdout.write("\n")

    def say(self, text: str = "") -> None:
        """A line for a person; nothing when JSON was asked for."""
        if not self.as_json:
            print(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
        """A table for a person. Cells are data: markup in them is shown, not obeyed."""
        if self.as_json:
            return
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for index, column in enumerate(columns):
            # The first column is what one copies: an id or a name.
            table.add_column(column, overflow="fold", no_wrap=index == 0 and len(columns) > 2)
        for row in rows:
            table.add_row(*(_plain(cell) for cell in row))
        Console(markup=False, highlight=False).print(table, markup=False)

    def failure(self, error: StudioError) -> None:
        """What happened, where, and what to do next, on standard error."""
        if self.as_json:
            document = {"error": {"what": error.what, "where": error.where, "next_step": error.next_step}}
            json.dump(document, sys.stderr, ensure_ascii=False)
            sys.stderr.write("\n")
            return
        place = f"{error.where}: " if error.where else ""
        print(f"{place}{error.what}", file=sys.stderr)
        if error.next_step:
            print(f"Next: {error.next_step}", file=sys.stderr)


def write_whole(path: Path, text: str) -> None:
    """Write a file of the person's choice whole or not at all. Raises ``DataError`` when it cannot be written."""
    beside = path.with_name(f".{path.name}.{time.time_ns()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="replace", newline="")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise DataError(
            f"The file cannot be written: {error.strerror}.", where=str(path), next_step="Choose another place."
        ) from error


def _plain(cell: object) -> Text:
    text = "" if cell is None else str(cell)
    # Control characters in a data set must not drive the terminal.
    return Text("".join(ch if ch.isprintable() or ch == "\n" else "\ufffd" for ch in text))
