"""Columns of Arrow that numpy makes and reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from studio.data.arrow import integers, missing, numbers, repeated, strings

_WHOLE_WAY = """
import sys
from pathlib import Path
from studio import data

folder = Path(sys.argv[1])
for kind in ("csv", "jsonl"):
    file = folder / f"rows.{kind}"
    data.split(data.inspect(file, file.name, folder / kind))
assert "pyarrow" in sys.modules
print("pandas" in sys.modules)
"""


def test_numbers_come_back_as_they_went() -> None:
    values = np.array([0, -1, 2**62], np.int64)
    assert numbers(integers(values)).tolist() == values.tolist()
    assert numbers(pa.chunked_array([integers(values[:1]), integers(values[1:])])).tolist() == values.tolist()
    assert integers(np.arange(6, dtype=np.uint32)[::2]).to_pylist() == [0, 2, 4]


def test_a_null_is_no_number() -> None:
    with pytest.raises(ValueError, match="1 of 2"):
        numbers(pa.array([1, None]))


def test_texts_of_one_size_and_of_one_kind() -> None:
    letters = np.frombuffer("abé".encode() + b"cdef", np.uint8)
    assert strings(4, letters).to_pylist() == ["abé", "cdef"]
    assert repeated("SL", 3).to_pylist() == ["SL"] * 3
    assert missing(pa.string()).as_py() is None


def test_the_whole_way_of_a_file_needs_no_pandas(tmp_path: Path) -> None:
    rows = [(f"What is {number}?", f"It is {number}.") for number in range(40)]
    (tmp_path / "rows.csv").write_text("prompt,completion\n" + "".join(f"{ask},{told}\n" for ask, told in rows))
    lines = (f'{{"prompt": "{ask}", "completion": "{told}"}}\n' for ask, told in rows)
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    command = [sys.executable, "-c", _WHOLE_WAY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "False"
