"""The run card: what would be trained, or what is being trained, always in sight, with the one next act.

Guarantees: the pure half knows no Gradio; a state is said in words; the button starts the run or names what is missing and
leads there. On a phone the same card is a bar at the bottom (see ``studio.css``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from studio import methods, models
from studio.errors import NotFoundError
from studio.recipe import Recipe, about
from studio.settings import Place, Settings
from studio.store import Job, JobStatus, RunRow, Store
from wizards import widgets
from wizards.draft import Draft
from wizards.gauges import money
from wizards.plan import Plan, dataset_of, plan
from wizards.widgets import Html, State, tag

_WHERE: Final[dict[Place, str]] = {"embedded": "on this computer", "hosted": "on Tinker", "cluster": "on your cluster"}
_PRICE: Final[dict[Place, str]] = {
    "embedded": "free",
    "hosted": "price not known here",
    "cluster": "paid by whoever runs the cluster",
}


@dataclass(frozen=True, slots=True)
class Act:
    """The button of the card."""

    label: str
    pick: str
    value: str = ""
    phase: str = ""
    primary: bool = True


@dataclass(frozen=True, slots=True)
class Screen:
    """All that the card shows. ``lines`` are name, value and a quieter remark; an empty value means not decided yet."""

    heading: str
    lines: tuple[tuple[str, str, str], ...]
    pill: str
    state: State
    brief: str
    changed: int = 0
    act: Act | None = None


def of(settings: Settings, store: Store, draft: Draft, owner: str) -> Html:
    """The card of this draft."""
    run, job = _run(store, draft.run, owner)
    if run is not None and job is not None and draft.step in ("train", "compare", "verdict"):
        dataset = dataset_of(settings, store, run.dataset_id, owner)
        return html(
            running(settings.place, run, job, "" if dataset is None else _rows(dataset.rows, dataset.inspection.rows_rejected))
        )
    return html(planned(settings.place, plan(settings, store, draft, owner)))


def _run(store: Store, run_id: str, owner: str) -> tuple[RunRow | None, Job | None]:
    if not run_id:
        return None, None
    try:
        return store.runs.get(run_id, owner), store.jobs.get(run_id)
    except NotFoundError:
        return None, None


def planned(place: Place, now: Plan) -> Screen:
    """The card before a run starts."""
    name = methods.method(now.method).name if now.method else ""
    lines = [("method", name, f"because {now.because}" if now.because else ""), ("data", *_data_line(now))]
    if now.recipe is not None and now.facts is not None:
        lines.append(("model", models.get(now.recipe.model).label, _WHERE[place]))
        lines.extend(_work_lines(now.recipe, now.facts.train_rows))
        lines.append(("time", about(now.minutes), ""))
        lines.append(("price", *_price(place, now)))
    missing = now.missing
    if missing is None:
        return Screen(
            "Your run",
            tuple(lines),
            "Ready",
            "good",
            f"{about(now.minutes)}, {_price(place, now)[0]}",
            len(now.changed),
            Act("Start training", "start", phase="Starting the training process"),
        )
    act = Act(missing.words, "go", missing.step, primary=False)
    return Screen("Your run", tuple(lines), "Not ready yet", "quiet", missing.words, len(now.changed), act)


def _price(place: Place, now: Plan) -> tuple[str, str]:
    """What the run may cost, and what limits it."""
    cost = now.cost
    if place != "hosted" or cost is None or cost.low_usd is None or cost.high_usd is None:
        return _PRICE[place], ""
    budget = now.recipe.budget_usd if now.recipe is not None else None
    limit = f"stops at {money(budget)}" if budget is not None else "no budget set"
    low, high = money(cost.low_usd), money(cost.high_usd)
    return (f"about {high}" if low == high else f"{low} to {high}"), limit


def _data_line(now: Plan) -> tuple[str, str]:
    if now.dataset is None:
        return "", ""
    return _rows(now.dataset.rows, now.dataset.inspection.rows_rejected), now.dataset.inspection.file_name


def _rows(rows: int, aside: int) -> str:
    return f"{rows:,} rows" + (f", {aside:,} set aside" if aside else "")


def _work_lines(recipe: Recipe, train_rows: int) -> list[tuple[str, str, str]]:
    steps = recipe.steps(train_rows)
    passes = "1 pass" if recipe.epochs == 1 else f"{recipe.epochs} passes"
    size, unit = _batch(recipe)
    return [
        ("steps", f"{steps:,}", f"{passes} over your training rows"),
        ("batch", size, unit),
    ]


def _batch(recipe: Recipe) -> tuple[str, str]:
    """What one step learns from."""
    if any(spec.name == "group_size" for spec in recipe.specs):
        answers = f"{recipe.group_size} answers each, so {recipe.batch_size * recipe.group_size:,} answers a step"
        return f"{recipe.batch_size} questions", answers
    return f"{recipe.batch_size} {'pairs' if recipe.method == 'dpo' else 'examples'}", "in each step"


#: What a job's status is called, and its colour.
JOB_WORDS: Final[dict[JobStatus, tuple[str, State]]] = {
    "queued": ("Waiting", "quiet"),
    "starting": ("Starting", "live"),
    "running": ("Running", "live"),
    "stopping": ("Stopping", "warn"),
    "stopped": ("Stopped", "warn"),
    "completed": ("Finished", "good"),
    "failed": ("Failed", "bad"),
    "interrupted": ("Interrupted", "bad"),
}


def running(place: Place, run: RunRow, job: Job, rows: str) -> Screen:
    """The card of a run that exists."""
    words, state = JOB_WORDS[job.status]
    recipe = Recipe.from_json(run.recipe_json)
    lines = (
        ("run", run.name, run.id),
        ("method", methods.method(run.method).name, ""),
        ("data", rows, ""),
        ("model", models.get(recipe.model).label, _WHERE[place]),
        ("batch", *_batch(recipe)),
        ("rate", f"{recipe.learning_rate:.3g}", "learning rate"),
        ("price", _PRICE[place], ""),
    )
    brief = f"step {job.done:,} of {job.total:,}" if job.total else run.name
    return Screen("This run", tuple(line for line in lines if line[1]), words, state, brief)


def html(screen: Screen) -> Html:
    """The card as markup: a summary line, the facts, and the button."""
    rows = [(name, _value(value, remark)) for name, value, remark in screen.lines]
    note = f"{screen.changed} setting{'s' if screen.changed > 1 else ''} changed" if screen.changed else ""
    act = screen.act
    return tag(
        "section",
        tag(
            "div",
            tag("h2", screen.heading),
            widgets.pill(screen.pill, screen.state),
            tag("span", screen.brief, cls="tf-card-brief"),
            tag(
                "button",
                widgets.icon("up"),
                type="button",
                cls="tf-card-more",
                data_card_toggle=True,
                aria_expanded="false",
                aria_label="Show the whole run card",
            ),
            cls="tf-card-head",
        ),
        tag("div", widgets.facts(rows), tag("p", note, cls="tf-card-note") if note else None, cls="tf-card-body"),
        widgets.button(act.label, act.pick, value=act.value, kind="primary" if act.primary else "secondary", phase=act.phase)
        if act
        else None,
        cls="tf-card",
        aria_label=screen.heading,
    )


def _value(value: str, remark: str) -> Html:
    if not value:
        return tag("span", "not decided yet", cls="tf-undecided")
    return widgets.join((tag("span", value, cls="tf-strong"), tag("span", remark, cls="tf-remark") if remark else None), " ")
