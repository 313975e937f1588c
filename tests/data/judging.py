"""Judges rows given as Python values, without a file: the shape is recognised (or chosen), and every row is judged by SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from studio.data.db import literal
from studio.data.judges import judged
from studio.data.shape import chosen, recognise
from studio.data.types import Shape

FIELDS = "reason, detail, system, prompt, completion, rejected, messages, reference, reward, reward_name, converted, odd_turns"


@dataclass(frozen=True)
class Ruled:
    """The shape and the judged rows, one dictionary each."""

    shape: Shape
    rows: list[dict]

    @property
    def reasons(self) -> list[str | None]:
        return [row["reason"] for row in self.rows]

    @property
    def usable(self) -> list[dict]:
        return [row for row in self.rows if row["reason"] is None]

    def turns(self, place: int = 0) -> list[tuple[str, str]]:
        return [(turn["role"], turn["content"]) for turn in self.rows[place]["messages"]]


def ruled(
    rows: Sequence[Mapping[str, object]],
    *,
    cells: bool = False,
    mapping: Mapping[str, str] | None = None,
    shape: Shape | None = None,
) -> Ruled:
    """Judge rows of a JSON file, or of a table when ``cells``: then every value is a text."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    sampled = [{name: row.get(name, "") for name in names} for row in rows] if cells else list(rows)
    found = shape or (chosen(mapping, names, sampled) if mapping else recognise(names, sampled))
    assert found is not None, f"not recognised: {names}"
    connection = duckdb.connect()
    connection.execute("CREATE TABLE file (place INTEGER, raw VARCHAR)")
    connection.executemany("INSERT INTO file VALUES (?, ?)", [(place, json.dumps(row)) for place, row in enumerate(sampled)])
    parts = "".join(f", {_part(part, column, cells)}" for part, column in found.columns)
    texts = f"SELECT place, NULL::VARCHAR AS problem{parts} FROM file"
    cursor = connection.execute(f"SELECT {FIELDS} FROM ({judged(texts, found, 'place')}) ORDER BY place")
    return Ruled(found, [dict(zip(FIELDS.split(", "), row, strict=True)) for row in cursor.fetchall()])


def _part(part: str, column: str, cells: bool) -> str:
    path = literal("/" + column.replace("~", "~0").replace("/", "~1"))
    kind = "'VARCHAR'" if cells else f"json_type(raw, {path})"
    return f"json_extract_string(raw, {path}) AS {part}_text, {kind} AS {part}_type"
