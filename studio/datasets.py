"""A file comes in: from an upload, a path, a text, the Hub or a sample to a data set that runs can be started from.

Guarantees: all work on a file is done by a process of its own (``studio.work``), so no file takes the studio down and no page
waits; the original is never changed; what was found before stays until a new reading is complete; nothing is recorded in the
store before the split is complete. Whose a folder is, and when it goes, is in ``studio.shelf``.

``begin_…`` return at once, ``state`` says how far it is; the functions without ``begin`` stay until it is done. A failure is an
error of ``studio.errors`` either way.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from studio import data, models, work
from studio.data import Dataset, Fix, Inspection, Preview, Reading, SplitPlan
from studio.data.sources.hub import HubDataset
from studio.errors import DataError, NotFoundError, StoreError
from studio.origins import FromFile, FromHub, Origin, Portion, bring, check, hub_dataset, secrets
from studio.settings import Secret, Settings
from studio.shelf import ASKING, NOTE, ORIGIN, SETTLED, folder_of, has_inspection, new_folder, own, sweep
from studio.store import Store
from studio.work import Cancelled, Done, Failed, Limits, Progress, State, Ticket, Working
from studio.work.files import read_json, remove, second_name, write_json
from studio.work.tasks import FIRST_ROWS, ORIGINAL, READING

Tell = Callable[[Progress], None]

#: What belongs to one split of the rows, or was made for handing out.
_OF_THE_SPLIT: Final = frozenset(
    {
        "train.parquet",
        "validation.parquet",
        "test.parquet",
        "dataset.json",
        "DATA_CARD.md",
        SETTLED,
        "clean.jsonl",
        "set_aside.csv",
    }
)
_CLEAN: Final = "clean.jsonl"
_REJECTED: Final = "set_aside.csv"


def begin_stage(
    settings: Settings, source: Origin | Path, name: str, owner: str, *, reading: Reading | None = None, tied: bool = False
) -> str:
    """Give a file a folder of its own and begin to check every row; the id under which it is staged.

    ``name`` is what the person calls it and never becomes a path. ``tied`` work ends with this process. Raises ``DataError``
    when the file is not there or larger than the limit, ``StoreError`` when the disk refuses.
    """
    source = FromFile(source) if isinstance(source, Path) else source
    if isinstance(source, FromFile):
        check(settings, source, name)
    sweep(settings)
    with new_folder(settings, owner) as (staged_id, folder):
        origin = {"name": name} | bring(source, folder)
        write_json(folder / ORIGIN, origin)
        asked = {**origin, "fingerprint": "", "reading": asdict(reading or Reading())}
        online = isinstance(source, FromHub)
        work.start(
            "inspect", Ticket(folder), asked, limits=_limits(settings), secrets=secrets(source), online=online, tied=tied
        )
    return staged_id


def begin_reading(settings: Settings, staged_id: str, owner: str, reading: Reading, *, tied: bool = False) -> None:
    """Begin to check the same file again, read in another way. What was found before stays until this is complete.

    Raises ``DataError`` when it is being worked on, is in use by runs, or the file has changed; ``NotFoundError``.
    """
    before = find(settings, staged_id, owner)
    folder = folder_of(settings, staged_id)
    if (folder / SETTLED).exists():
        raise DataError("This data set is split already, and runs rely on it.", next_step="Begin again with a copy of it.")
    origin = read_json(folder / ORIGIN) or {"name": before.file_name, "source": ""}
    if not (folder / ORIGINAL).exists() and not origin["source"]:
        raise DataError("This data set has no file of its own to read again.", next_step="Change what it was made from.")
    # What was counted is about the rows as they were.
    work.forget(Ticket(folder, "tokens"))
    asked = {**origin, "get": "", "fingerprint": before.fingerprint, "reading": asdict(reading)}
    work.start("inspect", Ticket(folder), asked, limits=_limits(settings), tied=tied)


def begin_settle(settings: Settings, staged_id: str, owner: str, plan: SplitPlan | None = None, *, tied: bool = False) -> None:
    """Begin to split what was checked; ``settled`` records it when that is done. Raises ``DataError``, ``NotFoundError``."""
    find(settings, staged_id, owner)
    folder = folder_of(settings, staged_id)
    if (folder / SETTLED).exists():
        raise DataError("This data set is split already, and runs rely on it.", next_step="Begin again with a copy of it.")
    work.start("split", Ticket(folder), {"plan": asdict(plan) if plan else None}, limits=_limits(settings), tied=tied)


def again(settings: Settings, store: Store, dataset_id: str, owner: str) -> str:
    """The same checked rows under a new id, for another split or other fixes: a data set that was split is never changed.

    Takes hardly any room: the files get second names. Raises ``NotFoundError``, ``StoreError``.
    """
    before = folder_of(settings, store.datasets.get(dataset_id, owner).id)
    with new_folder(settings, owner) as (staged_id, folder):
        for path in before.iterdir():
            if path.is_file() and path.name not in {*_OF_THE_SPLIT, NOTE}:
                second_name(path, folder / path.name)
    return staged_id


def begin_tokens(settings: Settings, dataset_id: str, owner: str, model: str, train_on: str) -> None:
    """Begin to count the tokens of every row for this model, beside any other work; ``studio.tokens.known`` has them then.

    Counting for another model that is under way is ended. Raises ``NotFoundError``, ``StoreError``.
    """
    folder = own(settings, dataset_id, owner)
    ticket = Ticket(folder, "tokens")
    known = models.get(model)
    asked = {"model": known.name, "train_on": train_on}
    if isinstance(work.state(ticket), Working):
        if work.arguments(ticket) == asked:
            return
        work.cancel(ticket)
    work.start("tokens", ticket, asked, limits=_limits(settings), online=not known.local)


def tokens_state(settings: Settings, dataset_id: str, owner: str) -> State | None:
    """Where counting stands; ``None`` when it never began for this reading. Raises ``NotFoundError``."""
    return work.state(Ticket(own(settings, dataset_id, owner), "tokens"))


def begin_mix(
    settings: Settings,
    store: Store,
    portions: Sequence[Portion],
    name: str,
    owner: str,
    plan: SplitPlan | None = None,
    *,
    tied: bool = False,
) -> str:
    """Begin to make one data set of several of this owner's, split or only checked; its id. ``settled`` records it in the end.

    Raises ``NotFoundError``, ``StoreError``; what does not go together is told as the outcome.
    """
    ingredients = [
        {"folder": str(_theirs(settings, store, portion.dataset_id, owner).resolve())}
        | {"weight": portion.weight, "name": portion.name, "replay": portion.replay}
        for portion in portions
    ]
    with new_folder(settings, owner) as (staged_id, folder):
        write_json(folder / ORIGIN, {"name": name, "source": "", "get": "mix"})
        asked = {"ingredients": ingredients, "name": name, "plan": asdict(plan) if plan else None}
        work.start("mix", Ticket(folder), asked, limits=_limits(settings), tied=tied)
    return staged_id


def look_up_hub(settings: Settings, name: str, *, token: Secret | None = None, revision: str = "") -> HubDataset:
    """The configurations and splits of a data set on the Hub, asked by a child. Raises ``DataError``, ``StoreError``."""
    settings.datasets.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=ASKING, dir=settings.datasets) as folder:
        asked = {"name": name, "revision": revision}
        secret = secrets(FromHub(name, "", "", token=token))
        ticket = work.start(
            "look_up", Ticket(Path(folder)), asked, limits=_limits(settings), secrets=secret, online=True, tied=True
        )
        return hub_dataset(_stay(ticket, None))


def state(settings: Settings, staged_id: str, owner: str) -> State | None:
    """Where the work on it stands; ``None`` when there never was any. Raises ``NotFoundError`` when it is not this owner's."""
    return work.state(Ticket(own(settings, staged_id, owner)))


def cancel(settings: Settings, staged_id: str, owner: str) -> State | None:
    """End the work now. A file that was never checked to the end is gone then; otherwise what was found before stays."""
    folder = own(settings, staged_id, owner)
    ended = work.cancel(Ticket(folder))
    if isinstance(ended, Cancelled) and not has_inspection(folder):
        remove(folder)
    return ended


def dismiss(settings: Settings, staged_id: str, owner: str) -> None:
    """Remove a staged file that nobody wants any more, with any work on it. A split data set stays."""
    folder = own(settings, staged_id, owner)
    for slot in ("rows", "tokens", "export"):
        work.cancel(Ticket(folder, slot))
    if not (folder / SETTLED).exists():
        remove(folder)


def find(settings: Settings, staged_id: str, owner: str) -> Inspection:
    """What was found in a staged file, by the last reading that is complete.

    Raises ``NotFoundError`` when there is none, or it is somebody else's.
    """
    folder = own(settings, staged_id, owner)
    if not isinstance(work.state(Ticket(folder)), Working):
        work.tidy(Ticket(folder))
    return data.reopen(folder)


def first_rows(settings: Settings, staged_id: str, owner: str) -> Preview | None:
    """What the start of a large file shows while it is read for the first time. Raises ``NotFoundError``."""
    found = read_json(own(settings, staged_id, owner) / FIRST_ROWS)
    return None if found is None else Preview.from_dict(found)


def name_of(settings: Settings, staged_id: str, owner: str) -> str:
    """What the person calls the file, also while it is read for the first time. Raises ``NotFoundError``."""
    return str((read_json(own(settings, staged_id, owner) / ORIGIN) or {"name": ""})["name"])


def reading_of(settings: Settings, staged_id: str, owner: str) -> Reading:
    """The reading that ``find`` shows. Raises ``NotFoundError``."""
    found = read_json(own(settings, staged_id, owner) / READING)
    return Reading() if found is None else Reading.from_dict(found)


def settled(settings: Settings, store: Store, staged_id: str, owner: str) -> Dataset:
    """Record a split that is complete as a data set of this owner, under the same id. Doing it again changes nothing.

    Raises ``NotFoundError`` when nothing is split, ``StoreError``.
    """
    folder = own(settings, staged_id, owner)
    dataset = data.load(folder)
    # The mark first: what is marked is never swept nor changed, and if the store refuses now, the next call records it.
    (folder / SETTLED).touch()
    if not _is_recorded(store, staged_id, owner):
        try:
            store.datasets.add(
                staged_id,
                owner=owner,
                name=dataset.inspection.file_name,
                rows=dataset.rows,
                fingerprint=dataset.inspection.fingerprint,
                manifest_json=json.dumps(dict(dataset.details), ensure_ascii=False),
            )
        except StoreError:
            # A second tab may have been faster.
            if not _is_recorded(store, staged_id, owner):
                raise
    return dataset


def stage(
    settings: Settings,
    origin: Origin | Path,
    name: str,
    owner: str,
    *,
    mapping: Mapping[str, str] | None = None,
    reading: Reading | None = None,
    tell: Tell | None = None,
) -> tuple[str, Inspection]:
    """``begin_stage``, and stay until every row is checked. What was refused leaves no folder behind.

    Raises ``DataError`` (``data.RefusedFile`` when there is no table in it), ``StoreError``.
    """
    asked = replace(reading or Reading(), mapping=mapping) if mapping else reading
    staged_id = begin_stage(settings, origin, name, owner, reading=asked, tied=True)
    folder = folder_of(settings, staged_id)
    try:
        _stay(Ticket(folder), tell)
        return staged_id, data.reopen(folder)
    except BaseException:
        remove(folder)
        raise


def read_again(settings: Settings, staged_id: str, owner: str, reading: Reading, *, tell: Tell | None = None) -> Inspection:
    """``begin_reading``, and stay until it is done. Raises ``DataError``, ``NotFoundError``, ``StoreError``."""
    begin_reading(settings, staged_id, owner, reading, tied=True)
    _stay(Ticket(folder_of(settings, staged_id)), tell)
    return find(settings, staged_id, owner)


def remap(settings: Settings, staged_id: str, owner: str, mapping: Mapping[str, str]) -> Inspection:
    """Check the same file again with the columns that the person chose. Raises ``DataError``, ``NotFoundError``."""
    return read_again(settings, staged_id, owner, replace(reading_of(settings, staged_id, owner), mapping=dict(mapping)))


def apply_fixes(settings: Settings, staged_id: str, owner: str, *fixes: Fix) -> Inspection:
    """Check the same file again with these fixes after those before. Raises ``DataError``, ``NotFoundError``."""
    before = reading_of(settings, staged_id, owner)
    return read_again(settings, staged_id, owner, replace(before, fixes=(*before.fixes, *fixes)))


def undo(settings: Settings, staged_id: str, owner: str, count: int = 1) -> Inspection:
    """Check the same file again without the last ``count`` fixes. Raises ``DataError``, ``NotFoundError``."""
    before = reading_of(settings, staged_id, owner)
    return read_again(settings, staged_id, owner, replace(before, fixes=before.fixes[: max(0, len(before.fixes) - count)]))


def settle(
    settings: Settings, store: Store, staged_id: str, owner: str, plan: SplitPlan | None = None, *, tell: Tell | None = None
) -> Dataset:
    """Split a staged file and record it as a data set of this owner, under the same id.

    Raises ``DataError`` when it cannot be split, ``StoreError``, ``NotFoundError``.
    """
    begin_settle(settings, staged_id, owner, plan, tied=True)
    _stay(Ticket(folder_of(settings, staged_id)), tell)
    return settled(settings, store, staged_id, owner)


def load(settings: Settings, store: Store, dataset_id: str, owner: str) -> Dataset:
    """The split data set with this id. Raises ``NotFoundError`` when it is not this owner's, ``DataError`` when damaged."""
    return data.load(folder_of(settings, store.datasets.get(dataset_id, owner).id))


def export_clean(settings: Settings, staged_id: str, owner: str) -> Path:
    """The usable rows as a file of JSON lines that can be handed out. Raises ``NotFoundError``, ``StoreError``."""
    return _exported(settings, own(settings, staged_id, owner), "export_clean", _CLEAN)


def write_clean(settings: Settings, staged_id: str, owner: str, destination: Path, *, tell: Tell | None = None) -> int:
    """Write the usable rows to a file of the person's choice; how many. Raises ``StoreError`` when it cannot be written."""
    folder = own(settings, staged_id, owner)
    return _export(settings, folder, "export_clean", destination.expanduser().resolve(), tell)


def export_rejected(settings: Settings, staged_id: str, owner: str) -> Path:
    """The rows that were set aside as a CSV with reason and line, safe to open in a spreadsheet."""
    return _exported(settings, own(settings, staged_id, owner), "export_rejected", _REJECTED)


def _theirs(settings: Settings, store: Store, dataset_id: str, owner: str) -> Path:
    """The folder of a data set of this owner, split or only checked."""
    try:
        return own(settings, dataset_id, owner)
    except NotFoundError:
        # A data set of an earlier version carries no note; the store knows whose it is.
        return folder_of(settings, store.datasets.get(dataset_id, owner).id)


def _is_recorded(store: Store, dataset_id: str, owner: str) -> bool:
    try:
        store.datasets.get(dataset_id, owner)
    except NotFoundError:
        return False
    return True


def _limits(settings: Settings) -> Limits:
    return Limits(memory_bytes=settings.data_memory_bytes, seconds=settings.data_seconds)


def _stay(ticket: Ticket, tell: Tell | None) -> Mapping[str, Any]:
    """Until it is done; ends it when this is interrupted."""
    try:
        match work.wait(ticket, tell):
            case Failed(_, error):
                raise error
            case Cancelled():
                raise data.Cancelled("The work was cancelled.", next_step="Begin again when you like.")
            case Done(_, result):
                return result
    except BaseException:
        work.cancel(ticket)
        raise


def _exported(settings: Settings, folder: Path, task: str, name: str) -> Path:
    """A file that is made once for each reading."""
    data.reopen(folder)
    path = folder / name
    if not path.exists() or path.stat().st_mtime_ns < (folder / "inspection.json").stat().st_mtime_ns:
        _export(settings, folder, task, path, None)
    return path


def _export(settings: Settings, folder: Path, task: str, path: Path, tell: Tell | None) -> int:
    ticket = work.start(task, Ticket(folder, "export"), {"file": str(path)}, limits=_limits(settings), tied=True)
    return int(_stay(ticket, tell)["rows"])
