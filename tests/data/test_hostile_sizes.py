"""Files that are large in one direction: very many rows, columns or levels, and rows without an end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from studio import data
from studio.data.sources.packing import packing_of, records_of
from studio.data.sources.source import survey

MEASURE = """
import resource, sys
from pathlib import Path
from studio.data.sources.packing import packing_of, records_of
from studio.data.sources.source import survey

source = survey(Path(sys.argv[1]), "x", Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in records_of(source, packing_of(source)))
print(count, before // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "jsonl", "array", "columns"])
def test_millions_of_tiny_rows_take_no_memory(tmp_path, form):
    rows = 1_000_000
    path = tmp_path / "file.dat"
    content = {
        "csv": "prompt,completion\n" + "q,a\n" * rows,
        "jsonl": '{"prompt":"q"}\n' * rows,
        "array": "[" + '{"prompt":"q"},' * (rows - 1) + '{"prompt":"q"}]',
        "columns": json.dumps({"prompt": ["q"] * rows, "completion": ["a"] * rows}),
    }[form]
    path.write_text(content)
    command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2], timeout=280)
    count, before, peak = map(int, done.stdout.split())
    assert count == rows
    assert peak - before < 60


def test_two_hundred_thousand_levels(tmp_path, desk):
    deep = "[" * 200_000 + "]" * 200_000
    good = '{"prompt": "a", "completion": "b"}'
    for content in (
        f'{good}\n{{"prompt": {deep}, "completion": "x"}}\n{good}\n',
        f'[{good}, {{"prompt": {deep}}}, {good}]',
        f'{{"data": [{good}, {{"prompt": {deep}}}, {good}]}}',
        f'{{"about": {deep}, "data": [{good}, {good}]}}',
    ):
        found = desk(content, "x.json")
        assert [answer for _, _, answer in found.rows] == ["b", "b"]
    with pytest.raises(data.RefusedFile):
        desk("{" * 200_000, "x.json")


def test_a_hundred_thousand_columns(desk, tmp_path):
    for content in (",".join(f"c{n}" for n in range(100_000)) + "\n1\n", "c\t" * 100_000 + "\n"):
        with pytest.raises(data.RefusedFile) as refused:
            desk(content)
        assert refused.value.code == "too_many_columns"
    path = tmp_path / "wide.dat"
    path.write_text(json.dumps({f"c{n}": ["x", "y"] for n in range(100_000)}))
    source = survey(path, "x", tmp_path)
    assert len([text for _, _, text in records_of(source, packing_of(source))]) <= 2
    wide = json.dumps({**{f"c{n}": n for n in range(100_000)}, "prompt": "a", "completion": "b"})
    assert desk(f'{{"prompt": "c", "completion": "d"}}\n{wide}\n', "x.jsonl").inspection.rows_total == 2
