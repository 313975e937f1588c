"""A report as a section of a model card, in Markdown.

Guarantees: it says what the page says, without the list of votes; text from outside can be no heading, link, image, table or
HTML; the only picture in it is the one that is named, which lies beside the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.compare import report_picture
from studio.data.splitting.card import escaped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studio.compare.report import Report
    from studio.compare.report_parts import Part, Table


def markdown(report: Report, *, picture: str = "", level: int = 2) -> str:
    """The section, with headings from ``level`` on. ``picture`` names the file of ``report_picture``; empty for none."""
    return "\n\n".join(_blocks(report, picture, "#" * level)) + "\n"


def _blocks(report: Report, picture: str, mark: str) -> Iterator[str]:
    verdict = report.verdict
    yield f"{mark} Did it help? {escaped(verdict.headline)}"
    yield f"> {escaped(verdict.paragraph)}"
    if picture and verdict.win_rate is not None:
        yield f"![{escaped(report_picture.words(verdict))}]({picture})"
    for part in report.parts:
        yield from _part(part, mark)
    yield f"{mark}# Compute it again"
    yield f"Every number about votes comes from the votes alone:\n\n```\ntuning-fork verdict {report.votes_name} --json\n```"
    yield _listed(report.expected)


def _part(part: Part, mark: str) -> Iterator[str]:
    tables = [one for one in part.tables if not one.log]
    if not (part.points or part.facts or tables):
        return
    yield f"{mark}# {escaped(part.title)}"
    if part.label:
        yield f"*{escaped(part.label[:1].upper() + part.label[1:])}.*"
    if part.text:
        yield " ".join(escaped(one) for one in part.text)
    if part.points:
        yield "\n".join(f"- {escaped(one)}" for one in part.points)
    if part.facts:
        yield _listed(part.facts)
    for one in tables:
        if len(part.tables) > 1:
            yield f"{mark}## {escaped(one.caption)}"
        yield _table(one)


def _listed(facts: tuple[tuple[str, ...], ...]) -> str:
    return "\n".join(f"- {escaped(name)}: {escaped(value)}" for name, value in facts)


def _table(table: Table) -> str:
    rule = ["---:" if at in table.numeric else "---" for at in range(len(table.columns))]
    lines = [table.columns, rule, *table.rows]
    return "\n".join(f"| {' | '.join(cell if at == 1 else escaped(cell) for cell in line)} |" for at, line in enumerate(lines))
