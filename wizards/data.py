"""Step 2, *Data*: bring a file or a sample, see what was understood, decide the split.

Guarantees: every row has been checked before anything is shown; columns that were guessed are confirmed by the person before
they are split. What the step looks like is in ``data_screen``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gradio as gr

from studio import data, datasets, samples
from studio.data import SplitPlan
from studio.errors import DataError, NotFoundError
from studio.store import DatasetRow
from wizards import widgets
from wizards.data_screen import Screen, below, drop_note, top
from wizards.draft import Draft
from wizards.plan import dataset_of
from wizards.shell import Action, Context, Said, StepParts, Visit


def plan_named(name: str, usable_rows: int) -> SplitPlan:
    """The plan that the person chose, or the one that fits this many rows."""
    return next((plan for plan in data.PLANS if plan.name == name), data.default_plan(usable_rows))


def read(ctx: Context, visit: Visit) -> Screen:
    """What this visitor's data step shows."""
    local = ctx.settings.place == "embedded"
    base = Screen(
        limit_bytes=ctx.settings.upload_limit_bytes,
        place="It stays on this computer." if local else "It stays here until you train.",
    )
    draft = visit.draft
    if not draft.dataset:
        return replace(base, samples=samples.samples(), earlier=latest(ctx.store.datasets.all(visit.owner)))
    dataset = dataset_of(ctx.settings, ctx.store, draft.dataset, visit.owner)
    if dataset is not None:
        return replace(base, inspection=dataset.inspection, dataset=dataset, plan=dataset.plan)
    inspection = datasets.find(ctx.settings, draft.dataset, visit.owner)
    plan = plan_named(draft.view, inspection.rows_usable - inspection.duplicate_rows)
    return replace(base, inspection=inspection, plan=plan, chosen_columns=draft.mapping)


def latest(rows: Sequence[DatasetRow], most: int = 5) -> tuple[DatasetRow, ...]:
    """The newest data sets, each file once: the same file added twice is one thing to a person."""
    by_file: dict[tuple[str, str], DatasetRow] = {}
    for row in sorted(rows, key=lambda each: each.created_at, reverse=True):
        by_file.setdefault((row.name, row.fingerprint), row)
    return tuple(by_file.values())[:most]


def uploaded(ctx: Context, visit: Visit, path: str | None) -> Draft:
    """A file has arrived."""
    if path is None:
        return visit.draft
    source = Path(path)
    return _with_dataset(visit.draft, datasets.stage(ctx.settings, source, source.name, visit.owner)[0])


def _with_dataset(draft: Draft, dataset_id: str) -> Draft:
    return replace(draft, dataset=dataset_id, mapping=(), changes=(), view="")


def mapped(ctx: Context, visit: Visit, role: str, column: str) -> Draft:
    """A column was chosen for a role; when every role has one, the file is checked again with them.

    A column that had another role changes places with the one that this role had.
    """
    inspection = datasets.find(ctx.settings, visit.draft.dataset, visit.owner)
    known = dict(inspection.shape.columns) if inspection.shape is not None else {}
    before = known | dict(visit.draft.mapping)
    swapped = {other: before[role] for other, taken in before.items() if taken == column and before.get(role)}
    chosen = before | swapped | {role: column}
    needed = tuple(known) or ("prompt", "completion")
    if all(chosen.get(each) for each in needed):
        if len({chosen[each] for each in needed}) < len(needed):
            raise DataError(
                f"“{column}” cannot be two things at once.", where="columns", next_step="Choose another column for one of them."
            )
        datasets.remap(ctx.settings, visit.draft.dataset, visit.owner, {each: chosen[each] for each in needed})
    return replace(visit.draft, mapping=tuple(chosen.items()))


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    draft = visit.draft
    match said.name:
        case "sample":
            sample = samples.sample(said.value)
            return _with_dataset(draft, datasets.stage(ctx.settings, sample.file, sample.file.name, visit.owner)[0])
        case "earlier":
            return _with_dataset(draft, ctx.store.datasets.get(said.value, visit.owner).id)
        case "another":
            return _with_dataset(draft, "")
        case "plan":
            return replace(draft, view=said.value)
        case "split":
            inspection = datasets.find(ctx.settings, draft.dataset, visit.owner)
            plan = plan_named(draft.view, inspection.rows_usable - inspection.duplicate_rows)
            datasets.settle(ctx.settings, ctx.store, draft.dataset, visit.owner, plan)
            return draft.at("settings")
        case _:
            return draft.at("settings")


def build(ctx: Context) -> StepParts:
    """Title, drop zone, and a panel for the rest; see ``shell`` for how it is plugged in."""
    title_panel = widgets.panel()
    with gr.Column(elem_classes="tf-drop") as zone:
        upload = gr.File(
            label="Your file", show_label=False, file_count="single", type="filepath", elem_id="tf-upload", height=120
        )
        note = widgets.panel()
    rest = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        try:
            now = read(ctx, visit)
        except NotFoundError:
            # An old address of an upload that was never split: begin again.
            now = read(ctx, replace(visit, draft=_with_dataset(visit.draft, "")))
        shown = gr.update(visible=now.inspection is None)
        return top(now), shown, gr.update(value=None), drop_note(now), below(now)

    return StepParts(
        outputs=(title_panel, zone, upload, note, rest),
        show=show,
        actions=(
            Action(
                upload.upload,
                lambda visit, _, path: uploaded(ctx, visit, path),
                inputs=(upload,),
                phase="Reading your file and checking every row",
            ),
            Action(rest.pick, lambda visit, said: pressed(ctx, visit, said)),
            Action(rest.edit, lambda visit, said: mapped(ctx, visit, said.name, said.value)),
        ),
    )
