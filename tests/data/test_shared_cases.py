"""The awkward files that the whole project is held against, as far as this version reads them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from studio import data
from studio.data.db import connect
from studio.data.stage import rows_of

CASES = Path(__file__).parents[3] / "shared" / "cases"
FILES = CASES / "files"

pytestmark = pytest.mark.skipif(not (FILES / "expected.json").exists(), reason="the shared cases are not beside this checkout")

# Forms that this version refuses, or reads without the checks that belong to them.
LATER = {
    "parquet": "Parquet files",
    "preference": "pairs of answers",
    "preference_messages": "pairs of answers",
    "rl_reward": "rewards",
    "rl_answer": "answers for a grader",
    "sharegpt": "ShareGPT conversations",
}
LATER_WARNINGS = {"personal_data", "secrets"}


def _expected() -> dict[str, dict]:
    path = FILES / "expected.json"
    return json.loads(path.read_text("utf-8"))["files"] if path.exists() else {}


def _covered(entry: dict) -> bool:
    forms = {entry.get("data_format"), entry.get("container")}
    return not forms & set(LATER) and not set(entry.get("warnings", [])) & LATER_WARNINGS


def _grade(entry: dict, result: dict) -> list[str]:
    spec = importlib.util.spec_from_file_location("shared_grade", CASES / "grade.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.grade(entry, result)


def _result(path: Path, folder: Path) -> dict:
    try:
        found = data.inspect(path, path.name, folder)
    except data.RefusedFile:
        return {"outcome": "rejected", "usable_rows": 0, "rejected_rows": 0}
    query = f"SELECT prompt, completion, messages FROM {rows_of(found.folder / 'stage.parquet')}"
    with connect(found.folder) as connection:
        rows = connection.execute(f"{query} WHERE reason IS NULL ORDER BY row_id").fetchall()
    errors = [finding for finding in found.findings if finding.severity == "error"]
    return {
        "outcome": found.outcome,
        "usable_rows": found.rows_usable,
        "rejected_rows": found.rows_rejected,
        "data_format": found.shape and found.shape.kind,
        "training_type": found.shape and "SL",
        "reasons": {finding.code: finding.count for finding in errors},
        "first_problem_line": min((line for finding in errors for line in finding.lines), default=None),
        "duplicate_rows": found.duplicate_rows,
        "warnings": {finding.code for finding in found.findings} | ({"rows_rejected"} if found.rows_rejected else set()),
        "rows": [{"messages": turns} if turns else {"prompt": ask, "completion": answer} for ask, answer, turns in rows],
    }


@pytest.mark.parametrize("name", [name for name, entry in _expected().items() if _covered(entry)])
def test_shared_case(name, tmp_path):
    entry = _expected()[name]
    assert _grade(entry, _result(FILES / name, tmp_path / "dataset")) == []


@pytest.mark.parametrize("name", [name for name, entry in _expected().items() if not _covered(entry)])
def test_forms_of_later_versions_are_read_or_refused_but_never_crash(name, tmp_path):
    result = _result(FILES / name, tmp_path / "dataset")
    assert result["outcome"] in ("accepted", "accepted_with_warnings", "rejected")
