"""What a visitor's data step shows, read from the store, the files and the work on them.

Guarantees: reads only, but for recording a split that is complete and beginning to count tokens; only what the open tab needs
is read; an address of an upload that is gone shows the beginning again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from typing import Final

from studio import data, datasets, fitting, methods, models, samples, tokens
from studio.data import Inspection, SplitPlan, desk
from studio.errors import DataError, NotFoundError, StudioError
from studio.recipe import FIELDS
from studio.store import DatasetRow
from studio.work import Done, Failed, Working
from wizards.desk.screen import Screen, Seen
from wizards.desk.view import View
from wizards.desk.words import different
from wizards.desk.working import Work
from wizards.draft import Draft
from wizards.plan import dataset_of, of_dataset
from wizards.shell import Context, Visit

#: Earlier files on offer.
_MOST: Final = 30
#: Seconds that the page waits for a tokenizer before it says that it is being loaded.
_PATIENCE: Final = 0.3


def read(ctx: Context, visit: Visit) -> Screen:
    """The whole step for this visitor. Raises ``StoreError`` when the files of a data set are damaged."""
    draft = visit.draft
    local = ctx.settings.place == "embedded"
    base = Screen(
        id=draft.dataset,
        view=View.from_text(draft.view),
        limit_bytes=ctx.settings.upload_limit_bytes,
        place="It stays on this computer." if local else "It stays here until you train.",
        paths=ctx.settings.paths_allowed,
        method=draft.method if draft.method in {each.id for each in methods.METHODS} else "sl",
    )
    if not draft.dataset:
        return _start(ctx, visit, base)
    dataset = dataset_of(ctx.settings, ctx.store, draft.dataset, visit.owner)
    if dataset is not None:
        return _tab(ctx, visit, replace(base, inspection=dataset.inspection, dataset=dataset, plan=dataset.plan))
    return _staged(ctx, visit, base)


def _staged(ctx: Context, visit: Visit, base: Screen) -> Screen:
    """A file that is not split yet, or the start when it is gone."""
    owner, staged_id = visit.owner, visit.draft.dataset
    try:
        at = datasets.state(ctx.settings, staged_id, owner)
    except NotFoundError:
        # An old address of an upload that was never split, or one that was stopped: begin again.
        return _start(ctx, visit, replace(base, id="", gone=True))
    if isinstance(at, Done) and at.task in ("split", "mix"):
        dataset = datasets.settled(ctx.settings, ctx.store, staged_id, owner)
        return _tab(ctx, visit, replace(base, inspection=dataset.inspection, dataset=dataset, plan=dataset.plan))
    now = replace(base, work=_work(at, datasets.name_of(ctx.settings, staged_id, owner)) if isinstance(at, Working) else None)
    if isinstance(at, Failed):
        now = replace(now, problem=at.error)
    try:
        inspection = datasets.find(ctx.settings, staged_id, owner)
    except NotFoundError:
        if now.work is None:
            return _start(ctx, visit, replace(now, gone=now.problem is None))
        return replace(now, first=datasets.first_rows(ctx.settings, staged_id, owner))
    groupable = data.groupable(inspection)
    return _tab(
        ctx,
        visit,
        replace(
            now,
            inspection=inspection,
            groupable=groupable,
            plan=plan_of(now.view, inspection, groupable),
            chosen_columns=visit.draft.mapping,
        ),
    )


def _work(at: Working, name: str) -> Work:
    now = at.progress
    return Work(name, now.phase, now.done, now.total, now.unit, now.per_second, at.task)


def _start(ctx: Context, visit: Visit, base: Screen) -> Screen:
    return replace(base, samples=samples.samples(), earlier=latest(ctx.store.datasets.all(visit.owner)))


def latest(rows: Sequence[DatasetRow], most: int = _MOST) -> tuple[DatasetRow, ...]:
    """The newest data sets, each file once: the same file added twice is one thing to a person."""
    by_file: dict[tuple[str, str], DatasetRow] = {}
    for row in sorted(rows, key=lambda each: each.created_at, reverse=True):
        by_file.setdefault((row.name, row.fingerprint), row)
    return tuple(by_file.values())[:most]


def plan_of(view: View, inspection: Inspection, groupable: Sequence[str]) -> SplitPlan:
    """The plan that the view asks for; whatever it cannot mean is the one that fits this many rows."""
    usual = data.default_plan(different(inspection))
    shares = shares_of(view.shares) or usual
    named = {str(place): name for place, name in enumerate(groupable)}
    order = "length" if view.order == "length" else named.get(view.order, "")
    return replace(shares, group=named.get(view.group, ""), stratify=named.get(view.stratify, ""), order=order)


def shares_of(name: str) -> SplitPlan | None:
    """The plan of this name, or of these three numbers; None when it is neither."""
    known = next((plan for plan in data.PLANS if plan.name == name), None)
    if known is not None:
        return known
    try:
        train, validation, test = (float(each) for each in name.split("/"))
        return SplitPlan(name, train, validation, test)
    except (ValueError, DataError):
        return None


def _tab(ctx: Context, visit: Visit, now: Screen) -> Screen:
    """With what the open tab shows. The rows of a file whose columns nobody knows are not looked at."""
    now = _with_more_findings(visit, now)
    inspection = now.inspection
    if inspection is None or inspection.shape is None or not inspection.rows_total:
        return now
    match now.view.tab:
        case "rows":
            return replace(now, page=desk.page(inspection, now.view.look, now.listed))
        case "figures" if inspection.rows_usable:
            return replace(now, figures=desk.figures(inspection))
        case "seen" if inspection.rows_usable:
            return replace(now, seen=seen(ctx, visit, now, inspection))
        case _:
            return now


def _with_more_findings(visit: Visit, now: Screen) -> Screen:
    """With what only the chosen method and the chosen model have against the file."""
    inspection, draft = now.inspection, visit.draft
    if inspection is None or not inspection.ready:
        return now
    fits = fitting.findings(inspection, draft.method) if draft.method else ()
    profile = tokens.known(inspection, model_of(draft), _train_on(draft, inspection, now.dataset))
    long = tokens.findings(profile) if profile is not None else ()
    found = replace(inspection, findings=(*inspection.findings, *fits, *long))
    return replace(now, inspection=found, listed=_listed(profile) if profile is not None else {})


def _listed(profile: tokens.TokenProfile) -> dict[str, tuple[int, ...]]:
    """The rows of findings that only counting tokens knows of."""
    listed = {refusal.code: refusal.row_ids for refusal in profile.refusals}
    return listed | {"too_long": profile.long_row_ids, "nothing_trained": profile.bare_row_ids}


def seen(ctx: Context, visit: Visit, now: Screen, inspection: Inspection) -> Seen:
    """One row as the chosen model reads it, and the counts of all rows: from before, or begun now."""
    model = model_of(visit.draft)
    train_on = _train_on(visit.draft, inspection, now.dataset)
    row_id = now.view.row - 1 if now.view.row else (desk.next_usable(inspection, -1) or 0)
    base = Seen(
        model,
        train_on,
        desk.whole(inspection, row_id),
        before=desk.next_usable(inspection, row_id, -1),
        after=desk.next_usable(inspection, row_id),
    )
    profile = tokens.known(inspection, model, train_on)
    if profile is not None:
        base = replace(base, profile=profile)
    elif now.work is None:
        base = _counted(ctx, visit, base)
    if base.row is not None and base.row.reason:
        return base
    try:
        if not _loaded(model):
            return replace(base, loading=True)
        views = tokens.views(inspection, row_id, model, train_on)
    except StudioError as error:
        return replace(base, trouble=error)
    return replace(base, views=tuple((view.title, view.rendering) for view in views))


def _loaded(model: models.Model) -> bool:
    """Whether rows can be shown as this model reads them. The first time that takes seconds, in which nobody should wait."""
    loading = _loading(model)
    try:
        with contextlib.suppress(TimeoutError):
            loading.result(timeout=_PATIENCE)
    except StudioError:
        # The next look tries again: a network may be there by then.
        _loading.cache_clear()
        raise
    return loading.done()


@cache
def _loading(model: models.Model) -> Future[None]:
    """Load what the model reads with, once in the life of this process."""
    loader = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
    try:
        return loader.submit(tokens.warm_up, model)
    finally:
        loader.shutdown(wait=False)


def _counted(ctx: Context, visit: Visit, base: Seen) -> Seen:
    """Begin to count, or say how far it is."""
    at = datasets.tokens_state(ctx.settings, visit.draft.dataset, visit.owner)
    if isinstance(at, Failed):
        return replace(base, trouble=at.error)
    if not isinstance(at, Working):
        datasets.begin_tokens(ctx.settings, visit.draft.dataset, visit.owner, base.model.name, base.train_on)
        return replace(base, counting="")
    return replace(base, counting=at.progress.words)


def _train_on(draft: Draft, inspection: Inspection, dataset: data.Dataset | None) -> str:
    """What is learned from: the person's choice, or what will be recommended."""
    chosen = dict(draft.changes).get("train_on")
    if chosen in {value for value, _ in FIELDS["train_on"].choices}:
        return str(chosen)
    if dataset is not None and draft.method:
        recipe = of_dataset(draft, dataset).recipe
        if recipe is not None:
            return recipe.train_on
    talks = inspection.shape is not None and inspection.shape.kind in ("messages", "sharegpt", "mixed")
    return "all_assistant_messages" if talks else "last_assistant_message"


def model_of(draft: Draft) -> models.Model:
    """The chosen model, or our own when an old address names another."""
    try:
        return models.get(draft.model)
    except NotFoundError:
        return models.get(Draft().model)
