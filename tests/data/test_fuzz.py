"""A few seconds of the program that damages files at random; ``python -m tests.data.fuzz_reading`` runs for longer."""

from __future__ import annotations

import pytest

from tests.data import fuzz_reading


@pytest.mark.slow
def test_damaged_files_are_read_or_refused(tmp_path):
    ended, broken, _ = fuzz_reading.run(6, seed=20, keep=tmp_path)
    assert not broken, broken[0]
    assert sum(ended.values()) >= 10
    assert len(ended) > 2


def test_the_program_notices_what_breaks(tmp_path, monkeypatch):
    def crash(*_: object, **__: object) -> str:
        raise KeyError("boom")

    monkeypatch.setattr(fuzz_reading, "read", crash)
    ended, broken, _ = fuzz_reading.run(0.2, seed=0, keep=tmp_path)
    assert ended["broken"] == len(broken) == len(list(tmp_path.iterdir())) > 0
    assert "boom" in broken[0]
