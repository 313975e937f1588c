"""What the stage says about the file, as findings: one code, one count, the first lines, one sentence, one next step.

Guarantees: every row was looked at, none is sampled; the counts are exact; the same stage gives the same findings in the same
order (errors first, then warnings, then what is only good to know).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from studio.data.findings import about_rows
from studio.data.findings.about_file import about_columns, about_encoding
from studio.data.findings.about_rows import FEWEST_PROMPTS, Rows
from studio.data.findings.near import Near
from studio.data.reading.table import Table
from studio.data.sources.source import Source
from studio.data.staging.stage import MESSAGES
from studio.data.types import Example, Finding, Lengths, LengthStats, Message, Reading, Shape, messages_from

__all__ = ["FEWEST_PROMPTS", "Report", "check", "check_rows"]

_ORDER: Final = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class Report:
    """The numbers and findings of one stage."""

    total: int
    usable: int
    duplicates: int
    near_duplicates: int
    lengths: LengthStats
    findings: tuple[Finding, ...]
    example: Example | None


def check(
    source: Source,
    table: Table,
    shape: Shape | None,
    stage: Path,
    connection: duckdb.DuckDBPyConnection,
    *,
    near: Near,
    reading: Reading,
    sample: Sequence[Mapping[str, object]] = (),
) -> Report:
    """Everything about one file and its rows. ``sample`` are the first rows, by column."""
    chosen = bool(reading.mapping)
    about_file = (*table.findings, *about_encoding(source), *about_columns(table, shape, sample, chosen=chosen))
    return check_rows(shape, stage, connection, near, about_file)


def check_rows(
    shape: Shape | None,
    stage: Path,
    connection: duckdb.DuckDBPyConnection,
    near: Near,
    others: Sequence[Finding] = (),
) -> Report:
    """Everything about the rows of a stage, together with ``others`` that are known already.

    ``near`` is what was found about near-duplicates. The stage is read once per question.
    """
    rows = Rows(stage, connection)
    total, usable = rows.one(f"SELECT count(*), count(*) FILTER (reason IS NULL) FROM {rows.all}")
    findings = [
        *others,
        *about_rows.set_aside(rows),
        *(_about_usable(rows, shape, near) if usable and shape else ()),
        *(about_rows.amount(rows, total, usable) if shape and shape.kind != "text" else ()),
    ]
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    copies = sum(finding.count for finding in findings if finding.code == "duplicates")
    return Report(total, usable, copies, near.rows, _lengths(rows), tuple(findings), _example(rows))


def _about_usable(rows: Rows, shape: Shape, near: Near) -> list[Finding]:
    return [
        *about_rows.copies(rows, near),
        *about_rows.doubts(rows),
        *(about_rows.pairs(rows) if shape.training == "DPO" else ()),
        *about_rows.rewards(rows, shape),
        *about_rows.answers(rows, shape),
    ]


def _lengths(rows: Rows) -> LengthStats:
    values = ", ".join(
        f"quantile_disc({length}, 0.5), quantile_disc({length}, 0.95), max({length}), sum({length})" for length in ("lp", "lc")
    )
    found = [int(value or 0) for value in rows.one(f"SELECT {values} FROM {rows.usable}")]
    return LengthStats(Lengths(*found[:4]), Lengths(*found[4:]))


def _example(rows: Rows) -> Example | None:
    """The first usable row with its good answer, if it has one."""
    found = rows.one(f"SELECT line, {MESSAGES}, completion FROM {rows.usable} ORDER BY row_id LIMIT 1")
    if not found:
        return None
    line, turns, answer = found
    messages = [turn for turn in messages_from(turns) if turn.content or turn.more]
    if answer and messages[-1:] != [] and messages[-1].role != "assistant":
        messages.append(Message("assistant", answer))
    return Example(line, tuple(messages))
