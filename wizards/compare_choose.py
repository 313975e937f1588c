"""Who is compared, and on what: the part of the step *Compare* before anything answers, for those who want more than the usual.

Guarantees: only what can really answer here is offered; who takes part and on which prompts is said, with its numbers, before
anybody is asked; a prompt that somebody was trained on is refused unless the person decides otherwise. Split in two: ``read``
looks, the rest is pure.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio import data, methods, models
from studio.compare import generate
from studio.compare.evidence import THRESHOLD
from studio.compare.lists import answers_of, entries_of
from studio.compare.packs import Pack, packs
from studio.compare.plan import MOST_ARMS, MOST_PROMPTS, SourceKind
from studio.errors import StudioError
from studio.store import RunRow, checked_id
from wizards import forms, widgets
from wizards.compare_asked import LEARNED, Asked, Bring
from wizards.shell import Context, Visit
from wizards.widgets import Html, tag

#: Finished runs that are offered at once; the others are behind a fold.
_AT_ONCE: Final = 5
_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Offer:
    """Somebody who could take part. ``value`` is what a press sends."""

    value: str
    name: str
    note: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """All that this part shows. ``held_out`` is ``None`` where the data set cannot be read; ``trouble`` then says why.

    ``listed`` and ``answers`` count what the files that were brought hold, the latter by their digest.
    """

    run: RunRow
    model: str
    asked: Asked
    steps: tuple[Offer, ...] = ()
    runs: tuple[Offer, ...] = ()
    base_models: tuple[tuple[str, str], ...] = ()
    packs: tuple[Pack, ...] = ()
    held_out: int | None = None
    listed: int = 0
    answers: tuple[tuple[str, int], ...] = ()
    limit_bytes: int = 0
    trouble: StudioError | None = None

    @property
    def arms(self) -> int:
        """How many would answer, or have answered."""
        return 2 + self.asked.size

    @property
    def prompts(self) -> int | None:
        """How many prompts there would be at most; ``None`` when that is not known yet."""
        match self.asked.on:
            case "held_out":
                found = self.held_out
            case "list":
                found = self.listed or None
            case "pack":
                found = sum(one.size for one in self.packs if one.name in self.asked.packs) or None
        return None if found is None else min(found, MOST_PROMPTS)


def read(ctx: Context, visit: Visit, run: RunRow, asked: Asked) -> Screen:
    """Look at what there is. What cannot be read is said on the screen."""
    known = {model.name: model for model in models.catalogue(ctx.settings)}
    label = known[run.model].label if run.model in known else run.model
    now = Screen(run, label, asked, packs=packs(), limit_bytes=ctx.settings.upload_limit_bytes)
    now = replace(
        now, runs=_runs(ctx, visit, run, asked, frozenset(known)), base_models=_models(run, asked, tuple(known.items()))
    )
    try:
        steps = generate.checkpoints_of(ctx.settings, ctx.store, run.id, visit.owner)
        offers = tuple(
            Offer(f"step:{one.step}", f"{run.name}, step {one.step:,}", "on the way", one.step in asked.checkpoints)
            for one in steps
        )
        rows = data.load(ctx.settings.datasets / checked_id(run.dataset_id)).test.rows
        listed = len(entries_of(ctx.settings, asked.listed.digest)) if asked.listed else 0
        answers = tuple((one.digest, len(answers_of(ctx.settings, one.digest))) for one in asked.files)
    except StudioError as error:
        return replace(now, trouble=error)
    return replace(now, steps=offers, held_out=rows, listed=listed, answers=answers)


def _runs(ctx: Context, visit: Visit, mine: RunRow, asked: Asked, known: frozenset[str]) -> tuple[Offer, ...]:
    """Other finished runs that can answer here, newest first."""
    found: list[Offer] = []
    for run in ctx.store.runs.all(visit.owner):
        if run.id == mine.id or not run.sampler_path or run.model not in known or not ctx.store.jobs.get(run.id).ended:
            continue
        days = int((time.time() - run.created_at) // _DAY)
        age = "today" if not days else "1 day ago" if days == 1 else f"{days:,} days ago"
        note = f"{methods.method(run.method).name.lower()}, {age}, {run.id}"
        found.append(Offer(f"with:{run.id}", run.name, note, run.id in asked.against))
    return tuple(found)


def _models(run: RunRow, asked: Asked, known: Sequence[tuple[str, models.Model]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, model.label) for name, model in known if name != run.model and name not in asked.against)


# --- markup ----------------------------------------------------------------------------------------------------------------


def who(now: Screen) -> Html:
    """The title, and who takes part."""
    return widgets.join(
        (
            widgets.title(
                "Who answers, and what?",
                "The usual comparison is the base model against your run on the rows that were set aside. Add others, or ask "
                "something else.",
            ),
            widgets.problem(now.trouble) if now.trouble else None,
            tag(
                "section",
                tag("h2", "Who takes part"),
                tag("div", *_sides(now), cls="tf-axes"),
                _more_runs(now),
                tag(
                    "div",
                    _bringer(now, "answers", "Add answers from a file"),
                    _model_list(now),
                    cls="tf-compare-adders",
                ),
                cls="tf-part",
            ),
            _answers_wanted() if now.asked.bring == "answers" else None,
        )
    )


def _sides(now: Screen) -> list[Html]:
    """The two that are always there, the steps of the run, the newest runs, and everybody who was added."""
    full = now.arms >= MOST_ARMS
    counts = dict(now.answers)
    models_in = [one for one in now.asked.against if one not in {offer.value.partition(":")[2] for offer in now.runs}]
    added = [
        *(Offer(f"with:{one}", one, "base model", True) for one in models_in),
        *(
            Offer(f"file:{one.digest}", one.name, f"{counts.get(one.digest, 0):,} answers from a file", True)
            for one in now.asked.files
        ),
    ]
    shown = [*now.steps, *_first(now.runs), *added]
    return [
        _always(now.model, "before training: what the others are compared with"),
        _always(now.run.name, "your run"),
        *(_switch(one, full=full) for one in shown),
    ]


def _first(runs: Sequence[Offer]) -> list[Offer]:
    return [one for at, one in enumerate(runs) if at < _AT_ONCE or one.chosen]


def _more_runs(now: Screen) -> Html | None:
    rest = [one for one in now.runs if one not in _first(now.runs)]
    if not rest:
        return None
    full = now.arms >= MOST_ARMS
    listed = tag("div", *(_switch(one, full=full) for one in rest), cls="tf-axes")
    return widgets.more(f"The other {len(rest):,} finished runs", listed, keep="compare-runs")


def _always(name: str, note: str) -> Html:
    row = tag(
        "div",
        tag("span", cls="tf-compare-dot", aria_hidden="true"),
        tag("span", tag("strong", name)),
        tag("span", note, cls="tf-axis-now"),
        cls="tf-axis-switch tf-compare-always",
    )
    return tag("div", row, cls="tf-axis is-on")


def _switch(one: Offer, *, full: bool) -> Html:
    switch = tag(
        "button",
        tag("span", widgets.icon("check", 14) if one.chosen else None, cls="tf-box"),
        tag("span", tag("strong", one.name)),
        tag("span", one.note, cls="tf-axis-now"),
        type="button",
        cls="tf-axis-switch",
        aria_pressed="true" if one.chosen else "false",
        data_pick="side",
        data_value=one.value,
        disabled=full and not one.chosen,
    )
    return tag("div", switch, cls="tf-axis is-on" if one.chosen else "tf-axis")


def _bringer(now: Screen, what: Bring, label: str) -> Html:
    on = now.asked.bring == what
    return tag(
        "button",
        label,
        type="button",
        cls="tf-plan tf-way",
        data_pick="bring",
        data_value="" if on else what,
        aria_expanded="true" if on else "false",
    )


def _model_list(now: Screen) -> Html | None:
    if not now.base_models or now.arms >= MOST_ARMS:
        return None
    options = (("", "Add another base model"), *now.base_models)
    return tag(
        "div",
        tag("label", "Add another base model", for_="tf-compare-model", cls="tf-unseen"),
        forms.choice("tf-compare-model", options, "", data_field="compare-model"),
        cls="tf-field",
    )


def _answers_wanted() -> Html:
    return tag(
        "div",
        tag("h3", "The answers of another system"),
        tag(
            "p",
            "A file with a prompt and an answer in each row. It takes part on the prompts that it answers; everybody else is "
            "asked exactly these.",
            cls="tf-remark",
        ),
        cls="tf-compare-wanted",
    )


def what(now: Screen) -> Html:
    """On which prompts."""
    return tag(
        "section",
        tag("h2", "On which prompts"),
        tag("div", *_sources(now), cls="tf-choices is-small", role="group", aria_label="On which prompts"),
        _pack_list(now) if now.asked.on == "pack" else None,
        _listed(now) if now.asked.on == "list" else None,
        cls="tf-part tf-compare-what",
    )


def _sources(now: Screen) -> tuple[Html, ...]:
    rows = "The rows" if now.held_out is None else "The 1 row" if now.held_out == 1 else f"The {now.held_out:,} rows"
    return (
        _source(now, "held_out", "Set aside", f"{rows} that were held out. Your run never trained on them."),
        _source(
            now, "list", "A list of your own", "Prompts that you paste, or a file of them. With answers, if you have them."
        ),
        _source(now, "pack", "What was forgotten", "Regression packs: general abilities, refusals, format, arithmetic."),
    )


def _source(now: Screen, kind: SourceKind, label: str, says: str) -> Html:
    return widgets.choice(label, says, chosen=now.asked.on == kind, data_pick="on", data_value=kind)


def _pack_list(now: Screen) -> Html:
    rows = (
        tag(
            "div",
            tag(
                "button",
                tag("span", widgets.icon("check", 14) if one.name in now.asked.packs else None, cls="tf-box"),
                tag("span", tag("strong", one.title), tag("span", one.description, cls="tf-compare-says")),
                tag("span", f"{one.size:,} prompts", cls="tf-axis-now"),
                type="button",
                cls="tf-axis-switch",
                aria_pressed="true" if one.name in now.asked.packs else "false",
                data_pick="pack",
                data_value=one.name,
            ),
            cls="tf-axis is-on" if one.name in now.asked.packs else "tf-axis",
        )
        for one in now.packs
    )
    return tag("div", *rows, cls="tf-axes tf-compare-packs", role="group", aria_label="Regression packs")


def _listed(now: Screen) -> Html:
    kept = now.asked.listed
    if kept is None:
        return tag(
            "p", "Paste one prompt a line, or add a file: a table with a column called prompt, or plain lines.", cls="tf-remark"
        )
    count = "1 prompt" if now.listed == 1 else f"{now.listed:,} prompts"
    drawn = f" {MOST_PROMPTS:,} of them are drawn." if now.listed > MOST_PROMPTS else ""
    left = f" {kept.left_out:,} lines hold none." if kept.left_out else ""
    return tag(
        "div",
        widgets.icon("file"),
        tag("span", tag("strong", kept.name), tag("span", f" {count}.{drawn}{left}", cls="tf-remark")),
        widgets.button("Another list", "unlist", kind="quiet"),
        cls="tf-compare-file",
    )


def last(now: Screen) -> Html:
    """The list to paste, what becomes of prompts that somebody knows, and the act with its numbers."""
    return widgets.join(
        (
            _paste() if now.asked.on == "list" and now.asked.listed is None else None,
            _learned(now) if now.asked.may_know else None,
            tag("section", tag("h2", "So it will be"), widgets.sheet(widgets.facts(_sum(now))), cls="tf-part tf-terms"),
            tag(
                "div",
                _begin(now),
                widgets.button("Back", "usual", kind="quiet"),
                cls="tf-acts",
            ),
        )
    )


def _begin(now: Screen) -> Html:
    """The act, or the name of what is missing."""
    if now.prompts is None:
        return widgets.button("Choose the prompts first", "begin", kind="primary", disabled=True)
    label = f"Let {counted(now.arms)} answer"
    return widgets.button(label, "begin", kind="primary", sign="arrow", phase="Asking the models")


def _paste() -> Html:
    return forms.form(
        "compare-paste",
        forms.field("Your prompts", forms.area("tf-compare-list", rows=6, name="text"), ident="tf-compare-list"),
        forms.send("Take these prompts", phase="Reading your prompts", kind="secondary"),
        label="Paste prompts",
    )


def _learned(now: Screen) -> Html:
    ways = (
        tag(
            "button",
            tag(
                "span", tag("span", label), widgets.icon("check") if now.asked.learned == value else None, cls="tf-choice-label"
            ),
            tag("span", says, cls="tf-choice-example"),
            type="button",
            cls=f"tf-choice{' is-chosen' if now.asked.learned == value else ''}",
            aria_pressed="true" if now.asked.learned == value else "false",
            data_pick="learned",
            data_value=value,
        )
        for value, label, says in LEARNED
    )
    return tag(
        "section",
        tag("h2", "If somebody was trained on a prompt"),
        tag("p", "Its answer would show what it memorised. What a run was trained on is sealed with it.", cls="tf-remark"),
        tag("div", *ways, cls="tf-choices is-small", role="group", aria_label="If somebody was trained on a prompt"),
        cls="tf-part",
    )


def _sum(now: Screen) -> list[tuple[str, object]]:
    told: list[tuple[str, object]] = [("sides", f"{now.arms} of at most {MOST_ARMS}; {now.model} is the reference")]
    if now.prompts is None:
        told.append(("prompts", "not chosen yet"))
    else:
        asked = now.arms - len(now.asked.files)
        told.append(("prompts", f"{now.prompts:,}" + (" at most, those that the files answer" if now.asked.files else "")))
        told.append(("answers", f"{asked * now.prompts:,} to be made, on the same terms for all"))
    if now.arms > 2:
        each = now.arms - 1
        line = f"So that no luck is called a winner, each needs {THRESHOLD * each:g} : 1 and not {THRESHOLD:g} : 1."
        told.append(("evidence", f"Each of the {each} others is rated against {now.model}. {line}"))
    return told


def counted(arms: int) -> str:
    """Those who are compared, in words."""
    return "both models" if arms == 2 else f"all {arms}"
