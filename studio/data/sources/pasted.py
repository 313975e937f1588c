"""A table that was pasted as text: from a spreadsheet, a web page, a terminal or an editor.

Guarantees: the text is written to one file in the working folder and then goes the way of every other file; only the frames
that people draw around tables (Markdown, terminals, code fences) are taken off, and every cell keeps its text.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from studio.data.db import disk_errors
from studio.errors import DataError

#: What such a file is called.
NAME = "Pasted table"
#: More than this should come as a file.
MOST_CHARACTERS = 20_000_000

_FENCE = re.compile(r"\A\s*(`{3,}|~{3,})[^\n`]*\n(?P<inside>.*?)\n?[ \t]*\1\s*\Z", re.DOTALL)
# The line between head and rows: dashes, and the signs that frames are drawn with.
_RULE = re.compile(r"[ \t]*[|+]?[ \t]*:?[-=]{2,}:?[ \t]*(?:[|+][ \t]*:?[-=]+:?[ \t]*)*[|+]?[ \t]*")
_ROW_COUNT = re.compile(r"\(?\d+ rows?\)?", re.IGNORECASE)
_BETWEEN = re.compile(r"(?<!\\)\|")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_HEAD_WITHIN = 5


def pasted(text: str, folder: Path) -> Path:
    """Write the text into ``folder`` (made if missing) and give the file. Raises ``DataError`` for nothing, or far too much."""
    if not text.strip("\ufeff \t\r\n"):
        raise DataError("Nothing was pasted.", where=NAME, next_step="Copy the cells with their column names and paste them.")
    if len(text) > MOST_CHARACTERS:
        raise DataError(
            f"The pasted text has {len(text):,} characters; up to {MOST_CHARACTERS:,} can be pasted.",
            where=NAME,
            next_step="Save it as a file and choose the file.",
        )
    fenced = _FENCE.match(text)
    content = fenced["inside"] if fenced else text
    table = _framed(content)
    path = folder / "pasted.dat"
    with disk_errors(NAME):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes((content if table is None else _as_csv(table)).encode("utf-8", "replace"))
    return path


def _framed(text: str) -> list[list[str]] | None:
    """The cells of a table that is drawn with strokes, or None when the text is none."""
    lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    rules = [place for place, line in enumerate(lines[:_HEAD_WITHIN]) if _is_rule(line)]
    if not rules or len(lines) <= rules[0] + 1:
        return None
    # A frame may begin with a rule of its own; the head stands above the first rule below it.
    start = rules[0] + 1 if rules[0] == 0 else rules[0] - 1
    head = lines[start].strip()
    # Only a drawn frame has rules further down; in Markdown a row of dashes is a row.
    below = [line for line in lines[start + 1 :] if not (rules[0] == 0 and _is_rule(line))]
    if rules[0] > 0:
        del below[0]
    if below and _ROW_COUNT.fullmatch(below[-1].strip()):
        del below[-1]
    rows = [_cells(line, left=head.startswith("|"), right=head.endswith("|")) for line in (head, *below)]
    return rows if len(rows[0]) > 1 else None


def _is_rule(line: str) -> bool:
    return bool(_RULE.fullmatch(line)) and ("|" in line or "+" in line)


def _cells(line: str, *, left: bool, right: bool) -> list[str]:
    inside = line.strip().removeprefix("|") if left else line
    if right and inside.rstrip().endswith("|") and not inside.rstrip().endswith("\\|"):
        inside = inside.rstrip()[:-1]
    return [_BREAK.sub("\n", cell.strip().replace("\\|", "|")) for cell in _BETWEEN.split(inside)]


def _as_csv(rows: list[list[str]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
