"""Train, validation and test: written once, sealed by a stable hash, and verified after writing.

Guarantees: prompts that are equal up to case, white space and Unicode form are always in the same part; an exact copy of a row
is kept once; the part of a prompt depends on its text and the shares alone, so neither the order of the rows nor a second run
nor the number of processor cores changes it; each part has at least half its share of the prompts, and never less than one;
a data set that was only half written is never loaded (``dataset.json`` comes last).

The rule, and what it costs. A hash of the normalised prompt falls on 10,000 buckets; the first ones are test, the last ones
validation, the rest train. So adding rows never moves an old prompt while the shares stay the same, but the sizes only come
near the shares: with 100 prompts, a 10 % part has 10 give or take 3. Two exceptions make small files work, and both are
counted in ``moved_prompts`` or ``kept_in_train``: a part that would get less than half its share takes the prompts nearest
to its border, and a prompt repeated so often that it would fill a held-out part alone stays in train. When a file grows past
500 rows the default shares shrink the held-out parts, which moves held-out prompts to train and never the other way.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb

from studio.data.check import FEWEST_PROMPTS
from studio.data.db import LONG_ROWS, connect, disk_errors, literal, parquet, readable, writable
from studio.data.intake import write_json
from studio.data.stage import KEY_VERSION, MESSAGES, normalised, rows_of
from studio.data.types import Dataset, Inspection, Part, Row, SplitPlan, messages_from
from studio.errors import DataError, NotFoundError, StoreError

PartName = Literal["train", "validation", "test"]

#: The shares on offer, and the number of usable rows from which the first one is the default.
PLANS = (SplitPlan("80/15/5", 80, 15, 5), SplitPlan("70/20/10", 70, 20, 10))
SMALL = 500

_PARTS: tuple[PartName, ...] = ("train", "validation", "test")
_BUCKETS = 10_000
# A prompt with this many rows is no giant whatever the shares, so that tiny files split as any other.
_NEVER_GIANT = 5
_RECORD = "dataset.json"
_COLUMNS = "prompt_id, line, prompt, completion, messages"
_RULE = "part by md5(normalised prompt) mod 10000: the lowest are test, the highest validation, the others train"


def default_plan(usable_rows: int) -> SplitPlan:
    """80/15/5, or 70/20/10 below 500 rows, where a smaller share would leave too few rows to check with."""
    return PLANS[0] if usable_rows >= SMALL else PLANS[1]


def split(inspection: Inspection, plan: SplitPlan | None = None, *, name: str | None = None) -> Dataset:
    """Write ``train, validation, test .parquet`` and ``dataset.json`` into the inspection's folder, replacing an earlier split.

    Raises ``DataError`` when the columns are unknown or there are fewer than three different prompts, ``StoreError`` when the
    disk is full.
    """
    if not inspection.ready:
        raise DataError(
            "There are no usable rows to split.", where=inspection.file_name, next_step="Repair the file or choose its columns."
        )
    folder, plan = inspection.folder, plan or default_plan(inspection.rows_usable)
    stage = folder / "stage.parquet"
    if not stage.exists():
        raise NotFoundError("The prepared rows are gone.", where=inspection.file_name, next_step="Choose the file again.")
    with disk_errors(inspection.file_name):
        (folder / _RECORD).unlink(missing_ok=True)
    row_bytes = inspection.bytes // inspection.rows_total
    with connect(folder, inspection.file_name, row_bytes=row_bytes) as connection:
        kept = _assign(rows_of(stage), plan, inspection, connection)
        moved = _fill(plan, kept["prompts"], connection)
        sql = {part: _write(folder, stage, part, connection, row_bytes) for part in _PARTS}
        counts = _verify(folder, kept["rows"], connection)
        seal = _seal(folder / "test.parquet", connection)
    details: dict[str, Any] = {
        "format": 1,
        "name": name or Path(inspection.file_name).stem,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "fingerprint": inspection.fingerprint,
        "mapping": dict(inspection.shape.columns) if inspection.shape else {},
        "plan": asdict(plan),
        "rows": counts,
        "prompts": kept["prompts"],
        "rows_rejected": inspection.rows_rejected,
        "duplicates_dropped": inspection.rows_usable - kept["rows"],
        "moved_prompts": moved,
        "kept_in_train": kept["giants"],
        "shared_prompts": 0,
        "test_seal": seal,
        "rules": [*inspection.rules, "exact copies are kept once", _RULE, f"key: {KEY_VERSION}"],
        "normalised_prompt": normalised("prompt"),
        "sql": sql,
        "versions": {"duckdb": duckdb.__version__, "python": platform.python_version()},
        "inspection": inspection.to_dict(),
    }
    with disk_errors(inspection.file_name):
        write_json(folder / _RECORD, details)
    return load(folder)


def load(folder: Path) -> Dataset:
    """The data set in this folder. Raises ``NotFoundError`` when there is none and ``StoreError`` when a part is missing."""
    try:
        details = json.loads((folder / _RECORD).read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(
            "There is no data set in this folder.", where=str(folder), next_step="Prepare the file again."
        ) from error
    except (OSError, ValueError) as error:
        raise StoreError(
            "The record of this data set cannot be read.", where=str(folder), next_step="Prepare the file again."
        ) from error
    dataset = _dataset(folder, details)
    for part in (dataset.train, dataset.validation, dataset.test):
        if not part.path.exists():
            raise StoreError(f"The part {part.path.name} is missing.", where=str(folder), next_step="Prepare the file again.")
    return dataset


def rows(path: Path, limit: int | None = None, offset: int = 0) -> list[Row]:
    """Rows of a part in file order; all of them unless ``limit`` says otherwise."""
    some = "" if limit is None else f"LIMIT {int(limit)} OFFSET {int(offset)}"
    query = f"SELECT {_COLUMNS} FROM read_parquet({readable(path)}, file_row_number=true) ORDER BY file_row_number {some}"
    with _reading(path) as connection:
        found = connection.execute(query).fetchall()
    return [Row(ident, line, prompt, completion, messages_from(turns)) for ident, line, prompt, completion, turns in found]


def prompt_ids(path: Path) -> tuple[str, ...]:
    """The ids of a part's rows in file order. Equal prompts share the first 16 characters."""
    with _reading(path) as connection:
        return _ids(path, connection)


def export_jsonl(path: Path, destination: Path) -> int:
    """Write a part as ``{"messages": [...]}`` per line, as the Tinker cookbook reads it; returns the number of rows."""
    partial, written = destination.with_name(destination.name + ".part"), 0
    query = f"SELECT messages FROM read_parquet({readable(path)}, file_row_number=true) ORDER BY file_row_number"
    with _reading(path) as connection, disk_errors(destination.name):
        result = connection.execute(query)
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            while batch := result.fetchmany(1000):
                file.writelines(json.dumps({"messages": turns}, ensure_ascii=False) + "\n" for (turns,) in batch)
                written += len(batch)
        partial.replace(destination)
    return written


@contextmanager
def _reading(path: Path) -> Generator[duckdb.DuckDBPyConnection]:
    if not path.exists():
        raise NotFoundError(
            f"The file {path.name} is missing.", where=str(path.parent), next_step="Prepare the data set again."
        )
    with connect(path.parent, row_bytes=LONG_ROWS) as connection:
        yield connection


def _assign(stage: str, plan: SplitPlan, inspection: Inspection, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Make the tables ``kept`` (one row of each kind) and ``prompts`` (each with its part); returns their sizes."""
    usable = f"FROM {stage} WHERE reason IS NULL"
    connection.execute(
        f"CREATE TEMP TABLE kept AS SELECT min(row_id) AS row_id, any_value(prompt_key) AS prompt_key {usable} GROUP BY row_key"
    )
    found = connection.execute("SELECT count(*), count(DISTINCT prompt_key) FROM kept").fetchone()
    total, prompts = found or (0, 0)
    if prompts < FEWEST_PROMPTS:
        raise DataError(
            f"The file has only {prompts} different usable prompt{'' if prompts == 1 else 's'}; a split into three parts needs "
            f"at least {FEWEST_PROMPTS}.",
            where=inspection.file_name,
            next_step="Add examples with other prompts: 50 to 100 are a good start.",
        )
    giant = max(_NEVER_GIANT, int(total * min(plan.test, plan.validation) / 100))
    test, validation = round(plan.test * _BUCKETS / 100), _BUCKETS - round(plan.validation * _BUCKETS / 100)
    connection.execute(f"""
        CREATE TEMP TABLE prompts AS SELECT *, CASE WHEN giant THEN 'train' WHEN bucket < {test} THEN 'test'
          WHEN bucket >= {validation} THEN 'validation' ELSE 'train' END AS part
        FROM (SELECT prompt_key, prompt_key % {_BUCKETS} AS bucket, count(*) > {giant} AS giant
          FROM kept GROUP BY prompt_key)""")
    giants = connection.execute("SELECT count(*) FROM prompts WHERE giant").fetchone()
    return {"rows": total, "prompts": prompts, "giants": giants[0] if giants else 0}


def _fill(plan: SplitPlan, prompts: int, connection: duckdb.DuckDBPyConnection) -> int:
    """Give every part at least half its share of the prompts; returns how many prompts had to move."""
    shares = {"train": plan.train, "validation": plan.validation, "test": plan.test}
    least = {part: max(1, int(prompts * share / 200)) for part, share in shares.items()}
    # Who is nearest to the border with the part in need. Giants leave train last.
    nearest = {
        "test": "giant, bucket, prompt_key",
        "validation": "giant, bucket DESC, prompt_key",
        ("train", "test"): "giant, bucket DESC, prompt_key",
        ("train", "validation"): "giant, bucket, prompt_key",
    }
    moved = 0
    while True:
        counts = dict.fromkeys(_PARTS, 0) | dict(
            connection.execute("SELECT part, count(*) FROM prompts GROUP BY part").fetchall()
        )
        needy = next((part for part in _PARTS if counts[part] < least[part]), None)
        if needy is None:
            return moved
        giver = max((part for part in _PARTS if part != needy), key=lambda part: counts[part] - least[part])
        number = min(least[needy] - counts[needy], counts[giver] - least[giver])
        order = nearest[(needy, giver)] if needy == "train" else nearest[needy]
        connection.execute(f"""
            UPDATE prompts SET part = {literal(needy)} WHERE prompt_key IN (
              SELECT prompt_key FROM prompts WHERE part = {literal(giver)} ORDER BY {order} LIMIT {number})""")
        moved += number


def _write(folder: Path, stage: Path, part: PartName, connection: duckdb.DuckDBPyConnection, row_bytes: int) -> str:
    """Write one part under a temporary name, then rename it; returns the SQL that made it."""
    path = folder / f"{part}.parquet"
    partial = folder / f"{part}.parquet.part"
    ident = "lower(lpad(to_hex(prompt_key), 16, '0') || '-' || lpad(to_hex(row_key), 16, '0'))"
    chosen = f"SELECT row_id FROM kept SEMI JOIN (FROM prompts WHERE part = {literal(part)}) USING (prompt_key)"
    start = f"SELECT {ident} AS prompt_id, line, prompt, completion, {' '.join(MESSAGES.split())} AS messages FROM "
    end = f" SEMI JOIN ({chosen}) USING (row_id) ORDER BY row_id"
    try:
        connection.execute(f"COPY ({start}{rows_of(stage)}{end}) TO {writable(partial)} ({parquet(row_bytes)})")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return f"{start}'stage.parquet'{end}"


def _verify(folder: Path, expected: int, connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count what was written and look for shared prompts in the written texts themselves, not in our own keys."""
    parts = {part: f"read_parquet({readable(folder / f'{part}.parquet')})" for part in _PARTS}
    counts: dict[str, int] = {}
    for part, table in parts.items():
        found = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        counts[part] = found[0] if found else 0
    texts = " UNION ALL ".join(
        f"SELECT {literal(part)} AS part, md5_number_lower({normalised('prompt')}) AS text FROM {table}"
        for part, table in parts.items()
    )
    found = connection.execute(
        f"SELECT count(*) FROM (SELECT text FROM ({texts}) GROUP BY text HAVING count(DISTINCT part) > 1)"
    ).fetchone()
    if found is None or found[0] or sum(counts.values()) != expected or min(counts.values()) == 0:
        raise StoreError(
            "The parts on disk are not what was computed, so they were not kept.",
            where=str(folder),
            next_step="Check the disk, and prepare the data set again.",
        )
    return counts


def _ids(path: Path, connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    query = f"SELECT prompt_id FROM read_parquet({readable(path)}, file_row_number=true) ORDER BY file_row_number"
    return tuple(ident for (ident,) in connection.execute(query).fetchall())


def _seal(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """SHA-256 over the sorted ids of the test rows: the same held-out prompts give the same seal, in any order."""
    return hashlib.sha256("\n".join(sorted(_ids(path, connection))).encode()).hexdigest()


def _dataset(folder: Path, details: Mapping[str, Any]) -> Dataset:
    train, validation, test = (Part(folder / f"{part}.parquet", details["rows"][part]) for part in _PARTS)
    return Dataset(
        folder=folder,
        name=details["name"],
        inspection=replace(Inspection.from_dict(details["inspection"]), folder=folder),
        plan=SplitPlan(**details["plan"]),
        train=train,
        validation=validation,
        test=test,
        duplicates_dropped=details["duplicates_dropped"],
        moved_prompts=details["moved_prompts"],
        details=details,
    )
