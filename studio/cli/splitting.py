"""``split`` and ``mix``: a file, or several, become train, validation and test with a data card.

Guarantees: what is written is a data set folder that ``train``, ``mix`` and the studio can go on from; a folder that holds
somebody else's files is not written over; nothing but the outcome stays behind.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from studio import data, datasets
from studio.cli.data import progress_line, reading_argument, reading_of, require_ready
from studio.cli.output import Output
from studio.data import Dataset, Ingredient, SplitPlan
from studio.errors import DataError
from studio.origins import FromFile
from studio.settings import Settings
from studio.store import Store

#: What a data set folder is made of.
FILES: Final = ("train.parquet", "validation.parquet", "test.parquet", "dataset.json", data.CARD)
_OF_A_MIXTURE: Final = ("inspection.json", "stage.parquet", "stage.json", "near.parquet", "mixture.json")
_RECORD: Final = "dataset.json"


def split_arguments(parser: argparse.ArgumentParser) -> None:
    """``split FILE --out DIR [--plan 80/15/5 | --shares A B C] [--group COL] [--stratify COL] [--order COL] …``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="CSV, JSON, JSON lines or Parquet, also packed with gzip")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the three parts and the data card")
    _plan_arguments(parser)
    reading_argument(parser)


def mix_arguments(parser: argparse.ArgumentParser) -> None:
    """``mix OUT FILE[:WEIGHT] … [--replay DIR[:SHARE]] [--name NAME] …``."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the mixture")
    parser.add_argument(
        "sources", nargs="+", metavar="FILE[:WEIGHT]", help="a file, or a folder that split or mix wrote; weight 2 is twice"
    )
    parser.add_argument(
        "--replay",
        action="append",
        default=[],
        metavar="DIR[:SHARE]",
        help="repeat this share of the training rows of an earlier data set, so that they are not forgotten (default: 0.1)",
    )
    parser.add_argument("--name", default="", help="a name for the mixture")
    _plan_arguments(parser)
    reading_argument(parser)


def split(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Check every row, split, verify, and write the parts and the card."""
    plan = _plan_of(asked)
    with _beside(asked.out, settings) as aside:
        store = Store(aside.database)
        try:
            staged_id = _staged(aside, asked.file, asked)
            chosen = _shares(plan, asked, datasets.find(aside, staged_id, aside.owner).rows_usable)
            with progress_line() as tell:
                made = datasets.settle(aside, store, staged_id, aside.owner, chosen, tell=tell)
        finally:
            store.close()
        found = _moved(made, asked.out, FILES)
    return _told(found, output)


def mix(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Mix files and data sets, and write the parts and the card."""
    plan = _plan_of(asked)
    with _beside(asked.out, settings) as aside:
        sources = [_ingredient(aside, text, 1.0, asked) for text in asked.sources]
        sources += [replace(_ingredient(aside, text, 0.1, asked), replay=True) for text in asked.replay]
        usable = sum(data.reopen(one.folder).rows_usable for one in sources if not (one.folder / _RECORD).exists())
        made = data.mix(aside.home / "mixture", sources, _shares(plan, asked, usable), name=asked.name)
        found = _moved(made, asked.out, (*FILES, *_OF_A_MIXTURE))
    return _told(found, output)


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    shares = parser.add_mutually_exclusive_group()
    names = ", ".join(plan.name for plan in data.PLANS)
    shares.add_argument(
        "--plan", metavar="A/B/C", help=f"per cent for train, validation and test ({names}; default: by the number of rows)"
    )
    shares.add_argument(
        "--shares", nargs=3, type=float, metavar=("TRAIN", "VALIDATION", "TEST"), help="the same as three numbers"
    )
    parser.add_argument("--group", default="", metavar="COLUMN", help="keep rows with the same value of this column together")
    parser.add_argument(
        "--stratify", default="", metavar="COLUMN", help="give each value of this column its share of each part"
    )
    parser.add_argument(
        "--order", default="", metavar="COLUMN", help="sort the training rows: length, source (of a mixture), or a column"
    )
    parser.add_argument("--no-near", action="store_true", help="let near-duplicate prompts go to different parts")


def _plan_of(asked: argparse.Namespace) -> SplitPlan | None:
    """The plan with the shares that were named; None when they depend on the number of rows."""
    if asked.shares is None and asked.plan is None:
        return None
    texts: Sequence[str | float] = asked.shares or asked.plan.split("/")
    try:
        train, validation, test = (float(text) for text in texts)
    except ValueError as error:
        raise DataError(
            f"{asked.plan!r} does not name three shares.", where="--plan", next_step="Write it as 80/15/5."
        ) from error
    name = f"{train:g}/{validation:g}/{test:g}"
    return _completed(SplitPlan(name, train, validation, test), asked)


def _shares(plan: SplitPlan | None, asked: argparse.Namespace, rows: int) -> SplitPlan:
    return plan or _completed(data.default_plan(rows), asked)


def _completed(plan: SplitPlan, asked: argparse.Namespace) -> SplitPlan:
    return replace(plan, group=asked.group, stratify=asked.stratify, order=asked.order, near=not asked.no_near)


@contextmanager
def _beside(out: Path, settings: Settings) -> Generator[Settings]:
    """The settings over a home inside ``out``, so that the outcome only has to be renamed; it is gone afterwards.

    Raises ``DataError`` when ``out`` cannot be used.
    """
    ours = (out / _RECORD).exists()
    if not ours and any((out / name).exists() for name in FILES):
        raise DataError(
            "The folder holds files with the names that would be written.", where=str(out), next_step="Choose another folder."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".preparing-", dir=out)
    except OSError as error:
        raise DataError(
            f"The folder cannot be written: {error.strerror}.", where=str(out), next_step="Choose another folder."
        ) from error
    with scratch as folder:
        yield replace(settings, home=Path(folder).resolve())


def _staged(settings: Settings, file: Path, asked: argparse.Namespace) -> str:
    """Check a file; the id under which it is staged. Raises ``DataError`` when it cannot be split."""
    origin = FromFile(file, by_path=True, in_place=True)
    with progress_line() as tell:
        staged_id, found = datasets.stage(settings, origin, file.name, settings.owner, reading=reading_of(asked), tell=tell)
    require_ready(found, file.name)
    return staged_id


def _ingredient(settings: Settings, text: str, weight: float, asked: argparse.Namespace) -> Ingredient:
    path, named = _weighed(text)
    weight = weight if named is None else named
    if path.is_dir():
        return Ingredient(path.resolve(), weight)
    staged_id = _staged(settings, path, asked)
    return Ingredient(datasets.folder_of(settings, staged_id), weight, path.stem)


def _weighed(text: str) -> tuple[Path, float | None]:
    """``FILE:WEIGHT`` taken apart; a name may hold colons itself."""
    name, colon, number = text.rpartition(":")
    if colon and not Path(text).exists():
        try:
            return Path(name), float(number)
        except ValueError:
            return Path(text), None
    return Path(text), None


def _moved(made: Dataset, out: Path, names: Sequence[str]) -> Dataset:
    """Put the outcome in place, the record last: a folder with a record is complete."""
    (out / _RECORD).unlink(missing_ok=True)
    for name in (*(name for name in names if name != _RECORD), _RECORD):
        if (made.folder / name).exists():
            shutil.move(made.folder / name, out / name)
        else:
            (out / name).unlink(missing_ok=True)
    return data.load(out)


def _told(found: Dataset, output: Output) -> int:
    document: dict[str, Any] = json.loads(data.card(found).to_json())
    files = {name: str(found.folder / name) for name in FILES}
    output.result({"out": str(found.folder), "files": files, "rows": document["split"]["rows"], "card": document})
    rows = [(part, f"{number:,}", str(found.folder / f"{part}.parquet")) for part, number in document["split"]["rows"].items()]
    output.table(["part", "rows", "file"], rows)
    output.say(f"{document['split']['prompts']:,} different prompts, none of them in two parts.")
    output.say(f"How it was made: {found.folder / data.CARD}")
    return 0
