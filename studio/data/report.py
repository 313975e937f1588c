"""What is said about a checked file in the words of the terminal's contract.

Guarantees: keys and words are stable, the sentences inside findings are not; numbers cover every row, and lists of lines are
cut at a length that can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from studio.data.db import connect
from studio.data.staging.stage import NOT_JUDGED, STAGE, rows_of
from studio.data.types import Finding, Inspection, RefusedFile
from studio.errors import DataError

#: How many lines of rows that were set aside are listed; ``reasons`` counts all of them.
LISTED_LINES: Final = 1000


def report(inspection: Inspection, more: Sequence[Finding] = ()) -> dict[str, Any]:
    """Everything about a file that was read.

    ``more`` are findings about what it is meant for: an error among them rejects it, anything less does not change the
    outcome, because the file itself is in order. ``rejected_rows`` counts rows that were judged and set aside; a file whose
    columns nobody knows has none. Raises ``StoreError`` when the prepared rows cannot be read.
    """
    reasons, lines = _set_aside(inspection)
    findings = (*inspection.findings, *more)
    outcome = inspection.outcome
    if any(finding.severity == "error" for finding in more):
        outcome = "rejected"
    rejected = sum(reasons.values())
    shape = inspection.shape
    told = shape is not None and (inspection.rows_usable > 0 or shape.kind == "text")
    return {
        "file_name": inspection.file_name,
        "outcome": outcome,
        "container": inspection.container,
        "encoding": inspection.encoding,
        "delimiter": inspection.delimiter,
        "data_format": _format(shape.kind) if shape and told else None,
        "training_type": shape.training if shape and inspection.ready else None,
        "usable_rows": inspection.rows_usable,
        "rejected_rows": rejected,
        "reasons": reasons,
        "problem_lines": lines,
        "duplicate_rows": inspection.duplicate_rows,
        "near_duplicate_rows": inspection.near_duplicate_rows,
        "warnings": _warnings(findings, rejected),
        "findings": [asdict(finding) for finding in findings],
        "mapping": dict(shape.columns) if shape else {},
        "exact": shape.exact if shape else False,
        "columns": list(inspection.columns),
        "fingerprint": inspection.fingerprint,
    }


def refusal_report(error: DataError, file_name: str = "") -> dict[str, Any]:
    """The same keys for a file in which no table was found, or that could not be read as it was asked for."""
    # Without a code of its own it says nothing about what the file is.
    finding = (
        error.finding if isinstance(error, RefusedFile) else Finding("not_read", "error", 1, (), error.what, error.next_step)
    )
    return {
        "file_name": file_name or error.where,
        "outcome": "rejected",
        "container": None,
        "encoding": None,
        "delimiter": None,
        "data_format": None,
        "training_type": None,
        "usable_rows": 0,
        "rejected_rows": 0,
        "reasons": {},
        "problem_lines": [],
        "duplicate_rows": 0,
        "near_duplicate_rows": 0,
        "warnings": [],
        "findings": [asdict(finding)],
        "mapping": {},
        "exact": False,
        "columns": [],
        "fingerprint": "",
    }


def _format(kind: str) -> str:
    """The three ways to write pairs down are one form to whoever reads the report."""
    return "preference" if kind.startswith("preference") else kind


def _warnings(findings: Sequence[Finding], rejected: int) -> list[str]:
    codes = {finding.code for finding in findings if finding.severity == "warning"}
    return sorted(codes | ({"rows_rejected"} if rejected else set()))


def _set_aside(inspection: Inspection) -> tuple[dict[str, int], list[int]]:
    """How many rows were set aside for which reason, and the first lines of such rows."""
    aside = f"FROM {rows_of(inspection.folder / STAGE)} WHERE reason IS NOT NULL AND reason <> '{NOT_JUDGED}'"
    with connect(inspection.folder, inspection.file_name) as connection:
        counted = connection.execute(
            f"SELECT reason, count(*) {aside} GROUP BY reason ORDER BY count(*) DESC, reason"
        ).fetchall()
        lines = connection.execute(f"SELECT line {aside} ORDER BY line LIMIT {LISTED_LINES}").fetchall()
    return dict(counted), [line for (line,) in lines]
