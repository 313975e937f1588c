"""Helpers of the data room's tests: a file from text or bytes, inspected, with its staged rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from studio import data
from studio.data.db import connect
from studio.data.staging.stage import rows_of


@dataclass(frozen=True)
class Desk:
    """What an inspection found, with the usable rows in file order."""

    inspection: data.Inspection
    rows: list[tuple[int, str, str]]

    @property
    def codes(self) -> dict[str, int]:
        return {finding.code: finding.count for finding in self.inspection.findings}

    def lines(self, code: str) -> tuple[int, ...]:
        return next(finding.lines for finding in self.inspection.findings if finding.code == code)


def staged(inspection: data.Inspection) -> list[tuple[int, str, str]]:
    rows = rows_of(inspection.folder / "stage.parquet")
    query = f"SELECT line, prompt, completion FROM {rows} WHERE reason IS NULL ORDER BY row_id"
    with connect(inspection.folder) as connection:
        return connection.execute(query).fetchall()


def inspected(folder: Path, content: str | bytes, name: str = "file.csv", **options) -> Desk:
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "original.dat"
    source.write_bytes(content.encode() if isinstance(content, str) else content)
    found = data.inspect(source, name, folder / "dataset", **options)
    return Desk(found, staged(found))


@pytest.fixture
def desk(tmp_path) -> Callable[..., Desk]:
    return lambda content, name="file.csv", **options: inspected(tmp_path, content, name, **options)
