"""What each press and each edit on the data step does.

Guarantees: work on a file is begun, not done, here; a small file is waited for a moment so that no bar flickers by; what cannot
be done raises an error that says why and what to do next; a token is handed on in memory and never part of a draft.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from studio import data, datasets, origins, samples
from studio.data import Fix, Inspection, Reading, SplitPlan, desk, fixes
from studio.errors import DataError, NotFoundError
from studio.recipe import FIELDS
from studio.work import Failed, Working
from wizards import forms
from wizards.data_reading import plan_of, shares_of
from wizards.desk.findings import safe_fixes
from wizards.desk.view import View
from wizards.desk.words import parts_of
from wizards.draft import Draft
from wizards.plan import dataset_of
from wizards.shell import Context, Said, Visit

#: Seconds that a press waits for the work that it began, before the page shows how far it is.
_PATIENCE: Final = 2.5
_BETWEEN_LOOKS: Final = 0.05


def uploaded(ctx: Context, visit: Visit, path: str | None) -> Draft:
    """A file has arrived."""
    if path is None:
        return visit.draft
    source = Path(path)
    return _brought(ctx, visit, origins.FromFile(source), source.name)


def _brought(ctx: Context, visit: Visit, origin: origins.Origin, name: str) -> Draft:
    """Begin to read it. What was brought before and never split is let go."""
    staged_id = datasets.begin_stage(ctx.settings, origin, name, visit.owner)
    draft = _with_dataset(visit.draft, staged_id)
    _wait(ctx, visit, staged_id)
    return draft


def _with_dataset(draft: Draft, dataset_id: str) -> Draft:
    return replace(draft, dataset=dataset_id, mapping=(), changes=(), view="")


def _wait(ctx: Context, visit: Visit, staged_id: str) -> None:
    """Until the work is done, or a moment has passed. A first reading that failed is an error here, and is let go."""
    end = time.monotonic() + _PATIENCE
    while True:
        at = datasets.state(ctx.settings, staged_id, visit.owner)
        if isinstance(at, Failed):
            _let_go(ctx, visit, staged_id)
            raise at.error
        if not isinstance(at, Working) or time.monotonic() > end:
            return
        time.sleep(_BETWEEN_LOOKS)


def _let_go(ctx: Context, visit: Visit, staged_id: str) -> None:
    """Remove a file that was never read to the end."""
    try:
        datasets.find(ctx.settings, staged_id, visit.owner)
    except NotFoundError:
        datasets.dismiss(ctx.settings, staged_id, visit.owner)


def _read_again(ctx: Context, visit: Visit, reading: Reading) -> None:
    datasets.begin_reading(ctx.settings, visit.draft.dataset, visit.owner, reading)
    _wait(ctx, visit, visit.draft.dataset)


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    act = _ACTS.get(said.name)
    return visit.draft if act is None else act(ctx, visit, said.value)


def edited(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each field does when it is left changed."""
    name, _, part = said.name.partition(":")
    if name == "part" and part:
        return mapped(ctx, visit, part, said.value)
    if name == "kind":
        return _kind(ctx, visit, said.value)
    view = View.from_text(visit.draft.view)
    match name:
        case "search":
            return _viewing(visit, view.looking(text=said.value.strip()))
        case "show" | "finding" | "part":
            return _viewing(visit, view.looking(**{name: said.value}))
        case "page":
            return _page(visit, said.value)
        case "line":
            return _line(ctx, visit, said.value)
        case "group" | "stratify" | "order":
            return _viewing(visit, replace(view, **{name: said.value}))
        case _:
            return visit.draft


def _viewing(visit: Visit, view: View) -> Draft:
    return replace(visit.draft, view=view.to_text())


# --- bringing ----------------------------------------------------------------------------------------------------------------


def _sample(ctx: Context, visit: Visit, name: str) -> Draft:
    file = samples.sample(name).file
    return _brought(ctx, visit, origins.FromFile(file), file.name)


def _earlier(ctx: Context, visit: Visit, dataset_id: str) -> Draft:
    return _with_dataset(visit.draft, ctx.store.datasets.get(dataset_id, visit.owner).id)


def _another(ctx: Context, visit: Visit, _: str) -> Draft:
    """Back to the beginning. The studio sweeps away what was never split some days later, so the way back works until then."""
    del ctx
    return _with_dataset(visit.draft, "")


def _again(ctx: Context, visit: Visit, _: str) -> Draft:
    """A data set that is split already is opened as a new one, to divide or repair it in another way."""
    return _with_dataset(visit.draft, datasets.again(ctx.settings, ctx.store, visit.draft.dataset, visit.owner))


def _paste(ctx: Context, visit: Visit, value: str) -> Draft:
    text = forms.sent(value).get("text", "")
    if not text.strip():
        raise DataError(
            "There is nothing to read yet.", where="Paste a table", next_step="Paste your rows into the field first."
        )
    return _brought(ctx, visit, origins.FromText(text), "Pasted rows")


def _path(ctx: Context, visit: Visit, value: str) -> Draft:
    named = forms.sent(value).get("path", "").strip().strip("\"'")
    if not ctx.settings.paths_allowed:
        raise DataError("Files are not read by path here.", next_step="Upload the file.")
    if not named:
        raise DataError("No path was given.", next_step="Type the path of the file, such as /home/you/examples.jsonl.")
    path = Path(named).expanduser()
    return _brought(ctx, visit, origins.FromFile(path, by_path=True), path.name)


# --- looking -----------------------------------------------------------------------------------------------------------------


def _open(name: str) -> Callable[[Context, Visit, str], Draft]:
    """An act that changes one thing of the view."""

    def act(ctx: Context, visit: Visit, value: str) -> Draft:
        del ctx
        view = View.from_text(visit.draft.view)
        # Read back as from an address: what cannot be meant is dropped there.
        return _viewing(visit, View.from_text(replace(view, **{name: value}).to_text()))

    return act


def _rows_of(ctx: Context, visit: Visit, code: str) -> Draft:
    del ctx
    return _viewing(visit, View.from_text(visit.draft.view).everything().looking(finding=code))


def _like(ctx: Context, visit: Visit, like: str) -> Draft:
    del ctx
    return _viewing(visit, View.from_text(visit.draft.view).everything().looking(like=like))


def _everything(ctx: Context, visit: Visit, _: str) -> Draft:
    del ctx
    return _viewing(visit, View.from_text(visit.draft.view).everything())


def _page(visit: Visit, value: str) -> Draft:
    view = View.from_text(visit.draft.view)
    return _viewing(visit, replace(view, page=int(value))) if value.isdecimal() and len(value) < 10 else visit.draft


def _row(ctx: Context, visit: Visit, value: str) -> Draft:
    del ctx
    view = View.from_text(visit.draft.view)
    return _viewing(visit, replace(view, tab="seen", row=int(value) + 1)) if value.isdecimal() else visit.draft


def _line(ctx: Context, visit: Visit, value: str) -> Draft:
    """The row that stands on this line, or the nearest one before it."""
    if not value.isdecimal() or len(value) > 12:
        return visit.draft
    found = desk.row_at(_inspection(ctx, visit), int(value))
    return visit.draft if found is None else _row(ctx, visit, str(found))


def _train_on(ctx: Context, visit: Visit, value: str) -> Draft:
    del ctx
    known = {name for name, _ in FIELDS["train_on"].choices}
    return visit.draft.with_change("train_on", value) if value in known else visit.draft


def _inspection(ctx: Context, visit: Visit) -> Inspection:
    dataset = dataset_of(ctx.settings, ctx.store, visit.draft.dataset, visit.owner)
    return dataset.inspection if dataset is not None else datasets.find(ctx.settings, visit.draft.dataset, visit.owner)


# --- columns -----------------------------------------------------------------------------------------------------------------


def _known(ctx: Context, visit: Visit) -> tuple[Inspection, str, Mapping[str, str]]:
    """The file, its form, and the columns as they are chosen so far."""
    inspection = datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    chosen = dict(visit.draft.mapping)
    kind = chosen.pop("kind", "") or (inspection.shape.kind if inspection.shape is not None else "prompt_completion")
    known = dict(inspection.shape.columns) if inspection.shape is not None else {}
    return inspection, kind, {part: column for part, column in (known | chosen).items() if column}


def _kind(ctx: Context, visit: Visit, kind: str) -> Draft:
    """Another form: its parts are asked for, and what is known already stays."""
    _, _, before = _known(ctx, visit)
    parts = {part for group in parts_of(kind) for part in group}
    return _chosen(ctx, visit, kind, {part: column for part, column in before.items() if part in parts})


def mapped(ctx: Context, visit: Visit, part: str, column: str) -> Draft:
    """A column was chosen for a part; when every part has one, the file is checked again with them.

    A column that played another part changes places with the one that this part had.
    """
    _, kind, before = _known(ctx, visit)
    swapped = {other: before[part] for other, taken in before.items() if column and taken == column and before.get(part)}
    return _chosen(ctx, visit, kind, {**before, **swapped, part: column}, column=column)


def _chosen(ctx: Context, visit: Visit, kind: str, chosen: Mapping[str, str], column: str = "") -> Draft:
    """Keep the choice; read again once it is complete."""
    picked = {part: name for part, name in chosen.items() if name}
    needed = parts_of(kind)[0]
    if needed and all(picked.get(part) for part in needed):
        if len(set(picked.values())) < len(picked):
            raise DataError(
                f"“{column}” cannot be two things at once.", where="columns", next_step="Choose another column for one of them."
            )
        reading = datasets.reading_of(ctx.settings, visit.draft.dataset, visit.owner)
        _read_again(ctx, visit, replace(reading, mapping=picked))
    return replace(visit.draft, mapping=(("kind", kind), *chosen.items()))


# --- repairs -----------------------------------------------------------------------------------------------------------------


def _fix(ctx: Context, visit: Visit, value: str) -> Draft:
    ident, _, argument = value.partition("\n")
    return _fixed(ctx, visit, (Fix(ident, argument),))


def _fix_safe(ctx: Context, visit: Visit, _: str) -> Draft:
    inspection = datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    return _fixed(ctx, visit, tuple(offer.fix for offer in safe_fixes(inspection)))


def _better(ctx: Context, visit: Visit, _: str) -> Draft:
    return _fixed(ctx, visit, (Fix("better_answers"),))


def _fixed(ctx: Context, visit: Visit, wanted: tuple[Fix, ...]) -> Draft:
    reading = datasets.reading_of(ctx.settings, visit.draft.dataset, visit.owner)
    for fix in wanted:
        reading = fixes.fixed(reading, fix)
    _read_again(ctx, visit, reading)
    return visit.draft


def _undo(ctx: Context, visit: Visit, value: str) -> Draft:
    """Take back as many of the last repairs as ``value`` says."""
    reading = datasets.reading_of(ctx.settings, visit.draft.dataset, visit.owner)
    for _ in range(min(len(reading.fixes), int(value) if value.isdecimal() else 1)):
        reading = fixes.undone(reading)
    _read_again(ctx, visit, reading)
    return visit.draft


# --- dividing ----------------------------------------------------------------------------------------------------------------


def _plan(ctx: Context, visit: Visit, name: str) -> Draft:
    del ctx
    view = View.from_text(visit.draft.view)
    return _viewing(visit, replace(view, shares=name)) if shares_of(name) is not None else visit.draft


def _shares(ctx: Context, visit: Visit, value: str) -> Draft:
    """Three shares of one's own. Raises ``DataError`` when they do not add up to 100."""
    sent = forms.sent(value)
    try:
        train, validation, test = (
            float(sent.get(name, "").replace(",", ".").strip(" %")) for name in ("train", "validation", "test")
        )
    except ValueError as error:
        raise DataError(
            "A share is a number, such as 80.", where="Shares of your own", next_step="Type three numbers."
        ) from error
    SplitPlan("", train, validation, test)
    return _plan(ctx, visit, f"{train:g}/{validation:g}/{test:g}")


def _split(ctx: Context, visit: Visit, _: str) -> Draft:
    """Divide, and go on to the settings as soon as that is done; a large file shows how far it is in the meantime."""
    draft = visit.draft
    inspection = datasets.find(ctx.settings, draft.dataset, visit.owner)
    plan = plan_of(View.from_text(draft.view), inspection, data.groupable(inspection))
    datasets.begin_settle(ctx.settings, draft.dataset, visit.owner, plan)
    _wait(ctx, visit, draft.dataset)
    if isinstance(datasets.state(ctx.settings, draft.dataset, visit.owner), Working):
        return draft
    datasets.settled(ctx.settings, ctx.store, draft.dataset, visit.owner)
    return draft.at("settings")


def _stop(ctx: Context, visit: Visit, _: str) -> Draft:
    datasets.cancel(ctx.settings, visit.draft.dataset, visit.owner)
    return visit.draft


def _continue(ctx: Context, visit: Visit, _: str) -> Draft:
    del ctx
    return visit.draft.at("settings")


_ACTS: Final[Mapping[str, Callable[[Context, Visit, str], Draft]]] = {
    "sample": _sample,
    "earlier": _earlier,
    "another": _another,
    "again": _again,
    "paste": _paste,
    "path": _path,
    "way": _open("way"),
    "tab": _open("tab"),
    "page": lambda _, visit, value: _page(visit, value),
    "row": _row,
    "rows-of": _rows_of,
    "like": _like,
    "everything": _everything,
    "train-on": _train_on,
    "fix": _fix,
    "fix-safe": _fix_safe,
    "better": _better,
    "undo": _undo,
    "plan": _plan,
    "shares": _shares,
    "split": _split,
    "stop": _stop,
    "continue": _continue,
}
