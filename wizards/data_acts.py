"""What each press and each edit on the data step does, once there is data.

Guarantees: looking changes the address and nothing else; work on a file is begun, not done, here; what cannot be done raises an
error that says why and what to do next. How data comes is in ``data_bringing``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from studio import data, datasets, fitting, methods
from studio.data import Fix, Inspection, Reading, SplitPlan, desk
from studio.data.staging import fixes
from studio.errors import DataError, NotFoundError
from studio.recipe import FIELDS
from studio.work import Working
from wizards import data_bringing, forms
from wizards.data_bringing import Act, wait
from wizards.data_reading import plan_of, shares_of
from wizards.desk import mapping
from wizards.desk.findings import safe_fixes
from wizards.desk.view import View
from wizards.desk.words import parts_of
from wizards.draft import Draft
from wizards.plan import dataset_of
from wizards.shell import Context, Said, Visit


def _read_again(ctx: Context, visit: Visit, reading: Reading) -> None:
    datasets.begin_reading(ctx.settings, visit.draft.dataset, visit.owner, reading)
    wait(ctx, visit, visit.draft.dataset)


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
    if name == "header":
        return _fixed(ctx, visit, (Fix("header", said.value),))
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


# --- looking -----------------------------------------------------------------------------------------------------------------


def _open(name: str) -> Act:
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


def _method(ctx: Context, visit: Visit, value: str) -> Draft:
    """Train in another way, which fits what the file holds; what was said and set for the other way is forgotten."""
    inspection = datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    if inspection.shape is None or value not in methods.ways(inspection.shape.training):
        raise DataError("This way of training does not fit the file.", next_step="Choose another way, or another file.")
    return replace(visit.draft, method=value, answers=(), changes=())


def _better(ctx: Context, visit: Visit, _: str) -> Draft:
    """Learn from good answers alone: the better ones of pairs, or the right ones of tasks, as examples."""
    inspection = datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    if inspection.shape is None or inspection.shape.training == "DPO":
        return _fixed(ctx, visit, (fitting.BETTER_ANSWERS,))
    prompt, answer = inspection.shape.column("prompt"), mapping.answer_of(inspection.shape)
    if not prompt or not answer:
        raise DataError("No column holds good answers.", next_step="Add a column with a good answer to each question.")
    return _chosen(ctx, visit, "prompt_completion", {"prompt": prompt, "completion": answer})


def _leave_out(ctx: Context, visit: Visit, value: str) -> Draft:
    """One row less, by hand."""
    if not value.isdecimal():
        return visit.draft
    return _fixed(ctx, visit, (Fix("leave_out_rows", fixes.rows_value("by_hand", (int(value),))),))


def _fixed(ctx: Context, visit: Visit, wanted: tuple[Fix, ...]) -> Draft:
    reading = datasets.reading_of(ctx.settings, visit.draft.dataset, visit.owner)
    for fix in wanted:
        reading = fixes.fixed(reading, fix)
    return _reread(ctx, visit, reading, wanted)


def _undo(ctx: Context, visit: Visit, value: str) -> Draft:
    """Take back as many of the last repairs as ``value`` says."""
    before = reading = datasets.reading_of(ctx.settings, visit.draft.dataset, visit.owner)
    for _ in range(min(len(reading.fixes), int(value) if value.isdecimal() else 1)):
        reading = fixes.undone(reading)
    return _reread(ctx, visit, reading, before.fixes[len(reading.fixes) :])


def _reread(ctx: Context, visit: Visit, reading: Reading, changed: tuple[Fix, ...]) -> Draft:
    """Begin to read the file anew; what was chosen about columns that are others now is forgotten."""
    _read_again(ctx, visit, reading)
    others = any(fix.id in fixes.OTHER_COLUMNS for fix in changed)
    return replace(visit.draft, mapping=()) if others else visit.draft


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
    wait(ctx, visit, draft.dataset)
    if isinstance(datasets.state(ctx.settings, draft.dataset, visit.owner), Working):
        return draft
    datasets.settled(ctx.settings, ctx.store, draft.dataset, visit.owner)
    return draft.at("settings")


def _stop(ctx: Context, visit: Visit, _: str) -> Draft:
    """End the work. Where there is nothing from before, back to the beginning, which then says so."""
    datasets.cancel(ctx.settings, visit.draft.dataset, visit.owner)
    try:
        datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    except NotFoundError:
        begun = data_bringing.with_dataset(visit.draft, "")
        return replace(begun, view=View(way="stopped").to_text())
    return visit.draft


def _continue(ctx: Context, visit: Visit, _: str) -> Draft:
    del ctx
    return visit.draft.at("settings")


_ACTS: Final[Mapping[str, Act]] = {
    **data_bringing.ACTS,
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
    "method": _method,
    "better": _better,
    "leave-out": _leave_out,
    "undo": _undo,
    "plan": _plan,
    "shares": _shares,
    "split": _split,
    "stop": _stop,
    "continue": _continue,
}
