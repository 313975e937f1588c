"""What is told about a file as a whole: its encoding, its columns, its form.

Guarantees: what was recognised beyond doubt is not told; what was guessed always is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from studio.data import shape as shapes
from studio.data.findings.offers import encoding_offers
from studio.data.reading.table import Table
from studio.data.sources.source import BAD_BYTES, Source
from studio.data.staging.fixes import header_offer
from studio.data.types import Finding, Shape

_SHOWN = 12


def about_encoding(source: Source) -> Iterator[Finding]:
    """Whether the file was in another encoding than UTF-8."""
    if source.re_encoded:
        words = next((line.strip() for line in source.sample.splitlines() if not line.isascii()), "")[:200]
        words = words.replace(BAD_BYTES.decode(), "\ufffd")
        message = f"The file was not in UTF-8. It was read as {source.encoding_name}; check that the example looks right."
        next_step = "If it looks wrong, choose another encoding, or save the file as UTF-8 and choose it again."
        yield Finding("re_encoded", "warning", 1, (), message, next_step, words, encoding_offers(source, words))


def about_columns(
    table: Table, shape: Shape | None, rows: Sequence[Mapping[str, object]], *, chosen: bool
) -> Iterator[Finding]:
    """Which columns play which part, and which are not used.

    ``rows`` are the first ones; ``chosen`` is true when a person mapped the columns.
    """
    for name in sorted(table.twice):
        message = f'Several columns are called "{name}".'
        yield Finding("duplicate_column", "info" if shape else "error", 1, (), message, "Choose which one is meant.")
    if shape is None:
        code, message, next_step = shapes.unknown(tuple(table.columns), rows)
        first = (header_offer(names=False),) if table.format == "csv" and table.named else ()
        yield Finding(code, "error", 1, (), message, next_step, fixes=first)
        return
    if shape.kind == "text":
        message = f'The file holds plain text ("{shape.column("text")}"), so there is nothing to answer to.'
        yield Finding(
            "unsupported_format", "error", 1, (), message, "Write each text as a prompt and an answer, in two columns."
        )
        return
    if shape.kind == "prompts":
        message = f'The file holds questions ("{shape.column("prompt")}") and no answers.'
        next_step = (
            "A stronger model can answer them (distillation), or a program can score attempts (reinforcement). "
            "To learn from examples, choose or add a column with the answers."
        )
        yield Finding("no_answers", "warning", 1, (), message, next_step)
    if shape.kind == "mixed":
        message = "Some rows hold messages, others a prompt and an answer. All of them are used."
        yield Finding("mixed_formats", "warning", 1, (), message, "Check that the rows belong together.")
    spellings = any(len(table.columns.get(name, ())) > 1 for _, name in shape.columns)
    if spellings or not shapes.plainly_named(shape):
        message = "Using " + ", ".join(f'"{name}" as {part}' for part, name in shape.columns) + "."
        next_step = "" if shape.exact else "Check this, and choose other columns if it is wrong."
        yield Finding("columns_mapped", "info" if chosen else "warning", 1, (), message, next_step)
    used = {name for _, name in shape.columns}
    unused = [name for name in table.columns if name not in used]
    if unused:
        shown = ", ".join(f'"{name}"' for name in unused[:_SHOWN]) + (" and more" if len(unused) > _SHOWN else "")
        yield Finding("extra_columns", "info", len(unused), (), f"Not used for training: {shown}.")
