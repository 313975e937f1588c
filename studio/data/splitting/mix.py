"""Several data sets made into one, with weights and names, without anything that was held out slipping into training.

Guarantees: a row that was put into a part when its source was split is never put into a less strict one (test is stricter than
validation, validation than train), and neither is anything that hangs together with it; a prompt that several sources share
goes to the strictest of its parts; which rows a weight takes or repeats depends on their texts alone; the outcome is an
ordinary data set folder with a stage of its own, and the sources are only read.

A weight says how often a training row comes: 2 is twice, 0.5 is every second row, 1.5 is every row once and every second row
twice. Held-out rows come once, or the share ``min(1, weight)`` of them. Of a data set that is replayed, so that a model that
was trained on it does not forget it, only training rows come, and a held-out prompt that it was trained on is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from studio.data.db import connect, disk_errors
from studio.data.findings.check import check_rows
from studio.data.findings.near import NEAR, find
from studio.data.intake import reopen, write_json
from studio.data.splitting import blend
from studio.data.splitting.assign import assign, keep_one_of_each, list_prompts
from studio.data.splitting.card import write_card
from studio.data.splitting.columns import ordering, value_of
from studio.data.splitting.leaks import verified
from studio.data.splitting.links import tie
from studio.data.splitting.parts import MIXTURE, default_plan, details_of, load, placed_words, recorded, seal_of
from studio.data.staging.keying import KEY_VERSION
from studio.data.staging.stage import STAGE, rows_of
from studio.data.types import Dataset, Kind, Shape, SplitPlan, TrainingType, Watch
from studio.errors import DataError, NotFoundError

_MOST: Final = 50
_MOST_TIMES: Final = 100
_WORDS: Final = {"SL": "examples with an answer", "DPO": "pairs of answers", "RL": "tasks that a reward judges"}


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One source of a mixture: the folder of a data set, or of a file that was checked but not split.

    ``name`` is what its rows are called (``Row.source``), the data set's own name by default. ``replay`` takes training rows
    only, the share ``weight`` of them.
    """

    folder: Path
    weight: float = 1.0
    name: str = ""
    replay: bool = False


def mix(
    folder: Path,
    ingredients: Sequence[Ingredient],
    plan: SplitPlan | None = None,
    *,
    name: str = "",
    watch: Watch | None = None,
) -> Dataset:
    """Make one data set of several in ``folder`` (made if missing).

    ``plan`` decides where rows go that no source has split yet, what stays together, and in which order the training rows come:
    shuffled by their hash, by ``length``, by ``source`` (in the order of ``ingredients``), or by a column. Raises ``DataError``
    for sources that do not go together, ``NotFoundError`` for a folder that holds none, ``StoreError``, ``Cancelled``.
    """
    sources = _named(_opened(ingredients))
    shape = _common_shape(sources)
    title = name.strip() or " + ".join(source.name for source in sources)[:120]
    with disk_errors(title):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in ("dataset.json", MIXTURE, NEAR):
            (folder / stale).unlink(missing_ok=True)
    files = tuple(file for source in sources for file in blend.files_of(source))
    row_bytes = max(blend.row_bytes(source) for source in sources)
    with connect(folder, title, row_bytes=row_bytes, files=files) as connection:
        extras = blend.extras_of(sources)
        blend.write_stage(sources, extras, folder, connection, watch)
        rows = rows_of(folder / STAGE)
        found = find(folder / STAGE, connection, watch=watch)
        report = check_rows(shape, folder / STAGE, connection, found)
        inspection = blend.inspection_of(title, sources, shape, extras, folder, report, connection)
        plan = plan or default_plan(inspection.rows_usable)
        group = value_of(plan.group, inspection) if plan.group else ""
        near = folder / NEAR if plan.near else None
        keep_one_of_each(rows, connection)
        blend.make_pins(sources, connection)
        ties = tie(rows, shape.training, near, group, connection)
        if plan.stratify:
            blend.make_strata(rows, value_of(plan.stratify, inspection), connection)
        done = assign(plan, connection, title, pinned=True)
        list_prompts(connection)
        blend.make_doses(sources, rows, connection)
        order = "" if plan.order in ("", blend.SOURCE) else ordering(plan.order, inspection, rows, connection)
        sql = blend.write_parts(rows, inspection, plan, order, row_bytes, connection, watch)
        told = blend.told(sources, connection)
        counts = verified(folder, blend.expected(connection), connection, training=shape.training, near=near, group=group)
        seal = seal_of(folder / "test.parquet", connection)
    with disk_errors(title):
        write_json(folder / "inspection.json", inspection.to_dict())
        write_json(folder / MIXTURE, {"sources": told})
    details = {
        **details_of(inspection, plan, title, counts, seal),
        **placed_words(done, ties, plan, near is not None),
        "duplicates_dropped": inspection.rows_usable - done.rows,
        "sql": sql,
        "mixture": told,
    }
    dataset = recorded(folder, details, title)
    write_card(dataset)
    return dataset


def _opened(ingredients: Sequence[Ingredient]) -> list[blend.Source]:
    if not 1 <= len(ingredients) <= _MOST:
        raise DataError(
            f"A mixture has 1 to {_MOST} sources; these are {len(ingredients)}.", next_step="Choose other data sets."
        )
    return [_source(place, ingredient) for place, ingredient in enumerate(ingredients)]


def _source(place: int, ingredient: Ingredient) -> blend.Source:
    most = 1 if ingredient.replay else _MOST_TIMES
    if not 0 < ingredient.weight <= most:
        raise DataError(
            f"The weight {ingredient.weight:g} cannot be used.",
            where=ingredient.name or ingredient.folder.name,
            next_step=f"Use a number above 0 and up to {most}.",
        )
    try:
        dataset: Dataset | None = load(ingredient.folder)
    except NotFoundError:
        dataset = None
    inspection = dataset.inspection if dataset else reopen(ingredient.folder)
    where = ingredient.name or inspection.file_name
    if ingredient.replay and dataset is None:
        raise DataError(
            "Only a data set that was split can be replayed: nothing else says what was trained on.",
            where=where,
            next_step="Split it first, or mix it in without replay.",
        )
    if dataset and f"key: {KEY_VERSION}" not in dataset.details["rules"]:
        raise DataError(
            "This data set was split by another rule, so its held-out rows could not be told apart.",
            where=where,
            next_step="Prepare the file again.",
        )
    if not inspection.ready or inspection.shape is None:
        raise DataError(
            "There are no usable rows in it.", where=where, next_step="Repair the file, choose its columns, or leave it out."
        )
    return blend.Source(
        place,
        ingredient.name.strip() or (dataset.name if dataset else Path(where).stem),
        ingredient.weight,
        ingredient.replay,
        inspection,
        inspection.shape,
        dataset,
    )


def _named(sources: Sequence[blend.Source]) -> list[blend.Source]:
    """The same sources under names that differ: the second "faq" becomes "faq (2)"."""
    seen: dict[str, int] = {}
    named: list[blend.Source] = []
    for source in sources:
        seen[source.name] = seen.get(source.name, 0) + 1
        times = seen[source.name]
        named.append(source if times == 1 else replace(source, name=f"{source.name} ({times})"))
    return named


def _common_shape(sources: Sequence[blend.Source]) -> Shape:
    """The form of the mixture. Prompts with answers and conversations go together; what trains differently does not."""
    trainings: list[TrainingType] = list(dict.fromkeys(source.shape.training for source in sources))
    if len(trainings) > 1:
        by_training = {training: next(s.name for s in sources if s.shape.training == training) for training in trainings}
        held = " and ".join(f'"{by_training[training]}" holds {_WORDS[training]}' for training in trainings)
        pairs = "DPO" in trainings and "SL" in trainings
        raise DataError(
            f"These cannot be trained on together: {held}.",
            next_step="Learn from the better answers of the pairs alone, and mix again."
            if pairs
            else "Mix data sets that are trained on in the same way.",
        )
    training: TrainingType = trainings[0]
    kinds: list[Kind] = list(dict.fromkeys(source.shape.kind for source in sources))
    if training == "RL" and len(kinds) > 1:
        raise DataError(
            "Some of these tasks are judged by an answer and others by a reward, which one run cannot do.",
            next_step="Mix only tasks that are judged in the same way.",
        )
    common: dict[TrainingType, Kind] = {"SL": "messages", "DPO": "preference_messages", "RL": kinds[0]}
    kind = kinds[0] if len(kinds) == 1 else common[training]
    same = sources[0].shape.columns if len({source.shape.columns for source in sources}) == 1 else ()
    why = f"Mixed from {len(sources)} data set{'' if len(sources) == 1 else 's'}."
    return Shape(kind, same, True, why, training, sources[0].shape.method_why)
