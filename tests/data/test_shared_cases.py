"""The awkward files that the whole project is held against: the public report and the written rows, graded from outside."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from studio import data

CASES = Path(__file__).parents[3] / "shared" / "cases"
FILES = CASES / "files"

pytestmark = pytest.mark.skipif(not (FILES / "expected.json").exists(), reason="the shared cases are not beside this checkout")


def _expected() -> dict[str, dict]:
    path = FILES / "expected.json"
    return json.loads(path.read_text("utf-8"))["files"] if path.exists() else {}


def _grade(entry: dict, result: dict) -> list[str]:
    spec = importlib.util.spec_from_file_location("shared_grade", CASES / "grade.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.grade(entry, result)


def _result(path: Path, folder: Path) -> dict:
    try:
        found = data.inspect(path, path.name, folder)
    except data.RefusedFile as refused:
        return data.refusal_report(refused, path.name)
    told = data.report(found)
    return {
        **told,
        "first_problem_line": min(told["problem_lines"], default=None),
        "warnings": set(told["warnings"]),
        "rows": list(data.canonical_rows(found)),
    }


@pytest.mark.parametrize("name", _expected())
def test_shared_case(name, tmp_path):
    entry = _expected()[name]
    result = _result(FILES / name, tmp_path / "dataset")
    assert _grade(entry, result) == []
    if result["outcome"] != "rejected":
        # What the grader leaves open, the policy does not: every row is accounted for, and told in its words.
        assert sum(result["reasons"].values()) == result["rejected_rows"]
        assert set(result["reasons"]) <= set(json.loads((FILES / "expected.json").read_text())["policy"]["reasons"])
    elif "reason" in entry:
        assert entry["reason"] in {finding["code"] for finding in result["findings"]}
