"""The ways in which data comes to the data step: what each form, card and list does.

Guarantees: work on a file is begun, not done, here; a small file is waited for a moment so that no bar flickers by; a token is
handed on in memory and never part of a draft, an address or a message.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from studio import data, datasets, origins, samples
from studio.data.sources.hub import HubDataset
from studio.errors import DataError, NotFoundError
from studio.settings import Secret
from studio.work import Failed, Working
from wizards import forms
from wizards.draft import Draft
from wizards.plan import noted
from wizards.shell import Context, Visit

#: What a press does: ``act(ctx, visit, value)``.
Act = Callable[[Context, Visit, str], Draft]

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
    draft = with_dataset(visit.draft, staged_id)
    wait(ctx, visit, staged_id)
    return draft


def with_dataset(draft: Draft, dataset_id: str) -> Draft:
    """The draft with this data; what was decided about other data is forgotten."""
    return replace(draft, dataset=dataset_id, mapping=(), changes=(), view="")


def wait(ctx: Context, visit: Visit, staged_id: str) -> None:
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


def _sample(ctx: Context, visit: Visit, name: str) -> Draft:
    chosen = samples.sample(name)
    draft = _brought(ctx, visit, origins.FromFile(chosen.file), chosen.file.name)
    # What no data can tell, such as the prompt of a teacher, comes with the sample.
    for field, value in chosen.settings.items() if chosen.method == draft.method else ():
        draft = noted(ctx.settings, draft, visit.owner, field, value)
    return draft


def _earlier(ctx: Context, visit: Visit, dataset_id: str) -> Draft:
    return with_dataset(visit.draft, ctx.store.datasets.get(dataset_id, visit.owner).id)


def _another(ctx: Context, visit: Visit, _: str) -> Draft:
    """Back to the beginning. The studio sweeps away what was never split some days later, so the way back works until then."""
    del ctx
    return with_dataset(visit.draft, "")


def _again(ctx: Context, visit: Visit, _: str) -> Draft:
    """A data set that is split already is opened as a new one, to divide or repair it in another way."""
    return with_dataset(visit.draft, datasets.again(ctx.settings, ctx.store, visit.draft.dataset, visit.owner))


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


def _hub(ctx: Context, visit: Visit, value: str) -> Draft:
    """Fetch a data set of the Hub. Without a configuration or a split, the usual one is looked up first."""
    sent = {name: text.strip() for name, text in forms.sent(value).items()}
    name = sent.get("name", "").removeprefix("https://huggingface.co/datasets/").strip("/")
    if not name:
        raise DataError("No data set was named.", next_step="Type its name as on the Hub, such as owner/name.")
    token = Secret(sent["token"]) if sent.get("token") else None
    configuration, split = sent.get("config", ""), sent.get("split", "")
    if not configuration or not split:
        found = datasets.look_up_hub(ctx.settings, name, token=token)
        configuration = configuration or found.default
        split = split or _usual_split(found, configuration)
    origin = origins.FromHub(name, configuration, split, token=token)
    return _brought(ctx, visit, origin, f"{name} ({split})")


def _usual_split(found: HubDataset, configuration: str) -> str:
    """The training split, or the only one. Raises ``DataError`` when it has to be chosen."""
    names = [split.name for each in found.configurations if each.name == configuration for split in each.splits]
    if "train" in names or len(names) == 1:
        return "train" if "train" in names else names[0]
    raise DataError(
        f"This data set has several splits: {', '.join(names[:20]) or 'none that could be read'}.",
        where=found.name,
        next_step="Type the one that you want.",
    )


def _mix(ctx: Context, visit: Visit, value: str) -> Draft:
    """Mix earlier data sets, each with its portion."""
    sent = dict(forms.sent(value))
    name, order = sent.pop("name", "").strip() or "Mixture", sent.pop("order", "")
    portions = [_portion(ident, words) for ident, words in sent.items() if words]
    if len(portions) < 2:
        raise DataError("A mixture needs two data sets.", next_step="Choose how much of each, for at least two.")
    usual = data.default_plan(sum(row.rows for row in ctx.store.datasets.all(visit.owner) if sent.get(row.id)))
    plan = replace(usual, order=order if order in ("source", "length") else "")
    mixed = datasets.begin_mix(ctx.settings, ctx.store, portions, name[:80], visit.owner, plan)
    draft = with_dataset(visit.draft, mixed)
    wait(ctx, visit, mixed)
    return draft


def _portion(ident: str, words: str) -> origins.Portion:
    replay, _, share = words.rpartition(" ")
    try:
        return origins.Portion(ident, weight=float(share), replay=replay == "replay")
    except ValueError as error:
        raise DataError("This is no portion.", where=words[:40], next_step="Choose one from the list.") from error


ACTS: Final[Mapping[str, Act]] = {
    "sample": _sample,
    "earlier": _earlier,
    "another": _another,
    "again": _again,
    "paste": _paste,
    "path": _path,
    "hub": _hub,
    "mix": _mix,
}
