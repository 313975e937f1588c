"""Train, validation and test: written once, sealed by a stable hash, and verified after writing.

Guarantees: what must not be torn apart never is (see ``assign`` for the rule, and for what added rows can move); an exact copy
of a row is kept once; the part of a row depends on its text and the plan alone, so neither the order of the rows nor a second
run nor the number of processor cores changes it; each part has at least half its share, and never less than one; a
data set that was only half written is never loaded (``dataset.json`` comes last).

When a file grows past 500 rows the default shares shrink the held-out parts, which moves held-out prompts to train and never
the other way.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np

from studio.data.db import connect, disk_errors, literal
from studio.data.findings.near import NEAR
from studio.data.intake import write_json
from studio.data.splitting.assign import PARTS, Assignment, PartName, assign, keep_one_of_each, place_rows
from studio.data.splitting.card import write_card
from studio.data.splitting.carve import Places, carve
from studio.data.splitting.columns import ordering, value_of
from studio.data.splitting.leaks import verified
from studio.data.splitting.links import Ties, tie
from studio.data.splitting.stored import RECORD, ids, reading, record_of, stored, write
from studio.data.staging.keying import KEY_VERSION, normalised
from studio.data.staging.stage import STAGE, rows_of
from studio.data.types import Dataset, Inspection, Part, SplitPlan, TrainingType, Watch
from studio.errors import DataError, NotFoundError, StoreError

#: The shares on offer, and the number of usable rows from which the first one is the default.
PLANS: Final = (SplitPlan("80/15/5", 80, 15, 5), SplitPlan("70/20/10", 70, 20, 10))
SMALL: Final = 500

#: Lies in the folder of a mixture: what became of each source.
MIXTURE: Final = "mixture.json"

# The database only holds keys here; the texts go another way.
_MEMORY: Final = 250_000_000
_RULE: Final = "part by md5(normalised prompt) mod 10000: the lowest are test, the highest validation, the others train"


def default_plan(usable_rows: int) -> SplitPlan:
    """80/15/5, or 70/20/10 below 500 rows, where a smaller share would leave too few rows to check with."""
    return PLANS[0] if usable_rows >= SMALL else PLANS[1]


def split(
    inspection: Inspection,
    plan: SplitPlan | None = None,
    *,
    name: str | None = None,
    provenance: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
) -> Dataset:
    """Write ``train, validation, test .parquet`` and ``dataset.json`` into the inspection's folder, replacing an earlier split.

    ``provenance`` is what is known of where the rows come from, for the card.

    Raises ``DataError`` when the columns are unknown, the plan names one that is not there, or there is not enough for three
    parts, ``StoreError`` when the disk is full, ``Cancelled`` when the watch says so.
    """
    training = _training(inspection)
    folder, plan = inspection.folder, plan or default_plan(inspection.rows_usable)
    with disk_errors(inspection.file_name):
        (folder / RECORD).unlink(missing_ok=True)
    row_bytes = _row_bytes(inspection)
    near = folder / NEAR if plan.near and (folder / NEAR).exists() else None
    group = value_of(plan.group, inspection) if plan.group else ""
    rows = rows_of(folder / STAGE)
    with connect(folder, inspection.file_name, row_bytes=row_bytes, memory=_MEMORY) as connection:
        _tell(watch, "placing the rows", 0, inspection)
        keep_one_of_each(rows, connection)
        ties = tie(rows, training, near, group, connection)
        if plan.stratify:
            _make_strata(rows, value_of(plan.stratify, inspection), connection)
        done = assign(plan, connection, inspection.file_name)
        place_rows(connection)
        places, sql = _placed(rows, inspection, plan, training, connection, watch)
    # What the database held to place the rows is let go before the texts come.
    carve(folder / STAGE, places, _targets(inspection, plan), training, len(inspection.extras), watch)
    with connect(folder, inspection.file_name, row_bytes=row_bytes, memory=_MEMORY) as connection:
        _tell(watch, "verifying the parts", inspection.rows_usable, inspection)
        counts = verified(folder, done.rows, connection, training=training, near=near, group=group)
        seal = seal_of(folder / "test.parquet", connection)
        reasons = dict(
            connection.execute(
                f"SELECT reason, count(*) FROM {rows} WHERE reason IS NOT NULL GROUP BY reason ORDER BY count(*) DESC, reason"
            ).fetchall()
        )
    details = {
        **details_of(inspection, plan, name or Path(inspection.file_name).stem, counts, seal),
        **placed_words(done, ties, plan, near is not None),
        "duplicates_dropped": inspection.rows_usable - done.rows,
        "set_aside": reasons,
        "sql": {part: _movable(query, folder) for part, query in sql.items()},
        "provenance": dict(provenance or {}),
    }
    dataset = recorded(folder, details, inspection.file_name)
    write_card(dataset)
    return dataset


def _training(inspection: Inspection) -> TrainingType:
    """What the rows train. Raises ``DataError`` or ``NotFoundError`` for what cannot be split."""
    if not inspection.ready or inspection.shape is None:
        raise DataError(
            "There are no usable rows to split.", where=inspection.file_name, next_step="Repair the file or choose its columns."
        )
    if (inspection.folder / MIXTURE).exists():
        raise DataError(
            "A mixture keeps the parts that its sources have; split anew, held-out rows would be trained on.",
            where=inspection.file_name,
            next_step="Mix the sources again with the settings that you want.",
        )
    if not (inspection.folder / STAGE).exists():
        raise NotFoundError("The prepared rows are gone.", where=inspection.file_name, next_step="Choose the file again.")
    return inspection.shape.training


def details_of(inspection: Inspection, plan: SplitPlan, name: str, counts: Mapping[str, int], seal: str) -> dict[str, Any]:
    """What every ``dataset.json`` says."""
    return {
        "format": 2,
        "name": name,
        "created_at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "fingerprint": inspection.fingerprint,
        "training": inspection.shape.training if inspection.shape else "SL",
        "mapping": dict(inspection.shape.columns) if inspection.shape else {},
        "plan": asdict(plan),
        "rows": dict(counts),
        "rows_rejected": inspection.rows_rejected,
        "shared_prompts": 0,
        "test_seal": seal,
        "rules": [*inspection.rules, "exact copies are kept once", _RULE, f"key: {KEY_VERSION}"],
        "normalised_prompt": normalised("prompt"),
        "versions": {"duckdb": duckdb.__version__, "python": platform.python_version()},
        # The folder may be moved: whoever loads the record says where it is.
        "inspection": {**inspection.to_dict(), "folder": "."},
    }


def recorded(folder: Path, details: Mapping[str, Any], where: str) -> Dataset:
    """Write ``dataset.json``, which makes the folder a data set, and load it."""
    with disk_errors(where):
        write_json(folder / RECORD, details)
    return load(folder)


def load(folder: Path) -> Dataset:
    """The data set in this folder. Raises ``NotFoundError`` when there is none and ``StoreError`` when a part is missing."""
    dataset = _dataset(folder, record_of(folder))
    for part in (dataset.train, dataset.validation, dataset.test):
        if not part.path.exists():
            raise StoreError(f"The part {part.path.name} is missing.", where=str(folder), next_step="Prepare the file again.")
    return dataset


def seal_of(path: Path, connection: duckdb.DuckDBPyConnection) -> str:
    """SHA-256 over the sorted keys of the test prompts: the same held-out prompts give the same seal, in any order."""
    return _sealed(prompt for prompt, *_ in (ident.split("-") for ident in ids(path, connection)))


def held_out_seal(dataset: Dataset) -> str:
    """The seal of the test part as it lies on disk now; ``details["test_seal"]`` is what it was when it was written."""
    # The first version sealed the whole ids.
    of_prompts = int(dataset.details["format"]) > 1
    with reading(dataset.test.path) as connection:
        return seal_of(dataset.test.path, connection) if of_prompts else _sealed(ids(dataset.test.path, connection))


def _sealed(keys: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


def _row_bytes(inspection: Inspection) -> int:
    lengths = inspection.lengths
    characters = (lengths.prompt.total + lengths.completion.total) // max(1, inspection.rows_usable)
    return max(characters, inspection.bytes // max(1, inspection.rows_total))


def _tell(watch: Watch | None, phase: str, done: int, inspection: Inspection) -> None:
    if watch is not None:
        watch.at(phase, done, inspection.rows_usable, "rows")


def _make_strata(rows: str, value: str, connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute(
        f"CREATE TEMP TABLE strata AS SELECT row_id, nullif(trim({value}), '') AS stratum FROM {rows} WHERE reason IS NULL"
    )


def _targets(inspection: Inspection, plan: SplitPlan) -> dict[int, Path]:
    """The parts that are cut out of the stage in its order, by number, counted from 1."""
    carved = (part for part in PARTS if not (part == "train" and plan.order))
    return {PARTS.index(part) + 1: inspection.folder / f"{part}.parquet" for part in carved}


def _placed(
    rows: str,
    inspection: Inspection,
    plan: SplitPlan,
    training: TrainingType,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch | None,
) -> tuple[Places, dict[PartName, str]]:
    """Where each row goes, and the SQL that gives what each part will be. Training rows in an order are written at once."""
    carved: list[PartName] = [PARTS[number - 1] for number in _targets(inspection, plan)]
    places = _places(rows, carved, connection)
    written: dict[PartName, str] = {part: _query(part, rows, training, inspection) for part in carved}
    if plan.order:
        written["train"] = _write_in_turn(rows, inspection, plan.order, training, connection, watch)
    return places, written


def _places(rows: str, parts: Sequence[PartName], connection: duckdb.DuckDBPyConnection) -> Places:
    """For each row of the stage the number of its part, counted from 1, and 0 for those that go nowhere."""
    found = connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    places = np.zeros(found[0] if found else 0, np.uint8)
    for part in parts:
        chosen = connection.execute(f"SELECT row_id FROM placed WHERE part = {literal(part)}").fetchnumpy()["row_id"]
        places[chosen] = PARTS.index(part) + 1
    return places


def _query(part: PartName, rows: str, training: TrainingType, inspection: Inspection) -> str:
    """The SQL that gives what ``carve`` writes as this part."""
    chosen = f"(SELECT s.* FROM {rows} s SEMI JOIN (FROM placed WHERE part = {literal(part)}) USING (row_id))"
    return f"{stored(chosen, training, len(inspection.extras))} ORDER BY row_id"


def _write_in_turn(
    rows: str,
    inspection: Inspection,
    order: str,
    training: TrainingType,
    connection: duckdb.DuckDBPyConnection,
    watch: Watch | None,
) -> str:
    """Write the training rows as a curriculum; sorted by their keys first, so that little is held of rows that wait."""
    value = ordering(order, inspection, rows, connection)
    connection.execute(f"""
        CREATE TEMP TABLE turns AS SELECT row_id, row_number() OVER (ORDER BY value NULLS LAST, row_id) AS turn
        FROM (SELECT row_id, {value} AS value FROM {rows} SEMI JOIN (FROM placed WHERE part = 'train') USING (row_id))""")
    query = stored(f"(SELECT * FROM {rows} JOIN turns USING (row_id))", training, len(inspection.extras)) + " ORDER BY turn"
    size = _size("train", connection)
    write(query, inspection.folder / "train.parquet", connection, _row_bytes(inspection), watch=watch, rows=size)
    return query


def _size(part: PartName, connection: duckdb.DuckDBPyConnection) -> int:
    found = connection.execute(f"SELECT count(*) FROM placed WHERE part = {literal(part)}").fetchone()
    return found[0] if found else 0


def _movable(query: str, folder: Path) -> str:
    """The query as it would run inside the folder, wherever that is moved to."""
    return " ".join(query.replace(f"{folder}/", "").split())


def placed_words(done: Assignment, ties: Ties, plan: SplitPlan, near: bool) -> dict[str, Any]:
    """What ``dataset.json`` says about how rows found their places."""
    return {
        "prompts": done.prompts,
        "moved_prompts": done.moved,
        "kept_in_train": done.giants,
        "together": {
            "near_duplicates": near,
            "near_clusters": ties.clusters,
            "groups": ties.groups,
            "conversations_begun": ties.beginnings,
            "prompts_tied": ties.tied,
            "components": done.components,
            "largest": done.largest,
        },
        **({"strata": {value: dict(found) for value, found in done.strata.items()}} if plan.stratify else {}),
    }


def _dataset(folder: Path, details: Mapping[str, Any]) -> Dataset:
    train, validation, test = (Part(folder / f"{part}.parquet", details["rows"][part]) for part in PARTS)
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
