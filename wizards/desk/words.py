"""Numbers, lines and parts of a row in the words of the data step.

Guarantees: pure; every number is said with what it counts; line numbers are those of an editor.
"""

from __future__ import annotations

from typing import Final

from studio import data
from studio.data import Finding, Inspection, Shape
from studio.data import shape as shapes
from studio.data.types import Kind

#: What a part of a form is called.
PARTS: Final = {
    "prompt": "What you ask (prompt)",
    "completion": "The good answer (completion)",
    "instruction": "The instruction",
    "input": "The input",
    "output": "The good answer (output)",
    "messages": "The conversation (messages)",
    "system": "The standing instruction (system)",
    "chosen": "The better answer (chosen)",
    "rejected": "The worse answer (rejected)",
    "answer": "The right result (answer)",
    "test": "The test that checks it",
    "reward": "The points (reward)",
    "reward_name": "The rule that gives points",
    "label": "Good or bad (label)",
    "text": "The text",
}
#: What a column of the stage is called at the head of a table.
HEADS: Final = {
    "system": "Standing instruction",
    "prompt": "What is asked",
    "completion": "The answer",
    "rejected": "The worse answer",
    "reference": "The right result",
    "reward": "Points",
    "raw": "As it stands in the file",
    "script": "Writing",
}
#: What a form is called.
KINDS: Final[dict[Kind, str]] = {
    "prompt_completion": "Questions and answers",
    "messages": "Conversations",
    "sharegpt": "Conversations (ShareGPT)",
    "alpaca": "Instructions (Alpaca)",
    "mixed": "Several forms in one file",
    "text": "Plain text",
    "preference": "A better and a worse answer",
    "preference_hh": "Two transcripts, better and worse",
    "preference_messages": "Two conversations, better and worse",
    "rl_answer": "Questions with a result that can be checked",
    "rl_reward": "Answers with points",
    "prompts": "Questions without answers",
}
SPEAKERS: Final = {"system": "Standing instruction", "user": "Question", "assistant": "Answer", "tool": "Tool"}


def size(count: int) -> str:
    """Bytes as people say them."""
    for unit, step in (("GB", 1024**3), ("MB", 1024**2), ("kB", 1024)):
        if count >= step:
            return f"{count / step:.0f} {unit}" if count >= 10 * step or count % step == 0 else f"{count / step:.1f} {unit}"
    return f"{count} bytes"


def counted(rows: int) -> str:
    """In words: "1 row", "1,204 rows"."""
    return "1 row" if rows == 1 else f"{rows:,} rows"


def lines(finding: Finding) -> str:
    """In words: "line 3", "lines 3, 17 and 20", "lines 3, 17, 20 and 41 more"."""
    if not finding.lines:
        return ""
    if len(finding.lines) == 1 and finding.count == 1:
        return f"line {finding.lines[0]:,}"
    shown = [f"{line:,}" for line in finding.lines[:8]]
    rest = finding.count - len(shown)
    last = f"{rest:,} more" if rest > 0 else shown.pop()
    return f"lines {', '.join(shown)} and {last}" if shown else f"lines {last}"


def head(column: str, inspection: Inspection) -> str:
    """What a column of the stage is called; another column of the file keeps its own name."""
    if column[:1] == "x" and column[1:].isdecimal() and int(column[1:]) < len(inspection.extras):
        return inspection.extras[int(column[1:])]
    if column == "completion" and inspection.shape is not None and inspection.shape.kind.startswith("preference"):
        return "The better answer"
    return HEADS.get(column, column)


def summary(inspection: Inspection) -> str:
    """The whole file in one sentence."""
    if inspection.shape is None and inspection.rows_total:
        columns = "columns without names" if inspection.header is False else "columns whose names say nothing to the studio"
        return f"{counted(inspection.rows_total)}, and {columns}."
    if inspection.rows_total == 1 and inspection.rows_usable == 1:
        return "1 row, and it can be used."
    if not inspection.rows_total:
        return "It has column names, but no rows."
    rows = f"{inspection.rows_usable:,} of {inspection.rows_total:,} rows can be used"
    if not inspection.rows_rejected and inspection.rows_usable:
        rows = f"All {inspection.rows_usable:,} rows can be used"
    aside = f", {inspection.rows_rejected:,} set aside" if inspection.rows_rejected and inspection.rows_usable else ""
    return f"{rows}{aside}."


def different(inspection: Inspection) -> int:
    """Usable rows without exact copies."""
    return inspection.rows_usable - inspection.duplicate_rows


def splittable(inspection: Inspection) -> bool:
    """Whether three parts can be filled: the columns are known, and there are enough different rows.

    Rows that differ in their answers only can still be too few prompts; the split itself then says so.
    """
    return inspection.ready and different(inspection) >= data.FEWEST_PROMPTS


def parts_of(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parts that a form must have, and those that it may have; none for a form that is not known."""
    return next((parts for known, parts in shapes.PARTS.items() if known == kind), ((), ()))


def pairs(shape: Shape) -> str:
    """Which column plays which part, in one line."""
    return ", ".join(f"{part} is “{column}”" for part, column in shape.columns)


def clip(text: str, longest: int = 400, *, length: int | None = None) -> str:
    """A long text cut short, saying how much is left; ``length`` is that of the whole when ``text`` is only its start."""
    whole = len(text) if length is None else length
    if whole <= longest:
        return text
    return f"{text[:longest]} … ({whole - min(longest, len(text)):,} more characters)"
