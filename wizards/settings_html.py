"""What the settings step looks like: the dial, what the run is made of, the tables, and the same for the terminal.

Guarantees: pure; every setting of the recipe stands on the page exactly once; what is advanced is folded, and its number told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from studio.models import Model
from studio.recipe import Dial, FieldProblem, Recipe
from wizards import clash, models_list, settings_table, widgets
from wizards.clash import Clash
from wizards.models_list import Prices, Sought
from wizards.settings_table import Row
from wizards.widgets import Html, tag


@dataclass(frozen=True, slots=True)
class Position:
    """One position of the dial: what it is called and does, how many steps it means, and how long they take."""

    dial: Dial
    label: str
    says: str
    steps: int
    time: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Searches:
    """Where settings are found by trying: the learning rate alone, or several. ``wanted`` says why the first is needed."""

    probe: str
    sweep: str
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole step for a plan that has data. ``models`` are those on offer, ``sought`` what is looked for among them."""

    recipe: Recipe
    positions: tuple[Position, ...]
    made_of: tuple[Row, ...]
    main: tuple[Row, ...]
    advanced: tuple[Row, ...]
    model: Row
    budget: Row
    cost: str
    models: tuple[Model, ...]
    prices: Prices
    sought: Sought
    changed: int
    file_name: str
    searches: Searches | None = None


def dial(now: Screen) -> Html:
    """The question of the step, and its one big answer."""
    positions = (_position(each) for each in now.positions)
    return widgets.join(
        (
            widgets.title(
                "How thorough should it be?", "Everything else follows from your data. You can start now, or look closer."
            ),
            tag("div", *positions, cls="tf-positions", role="group", aria_label="How thorough"),
        )
    )


def rest(now: Screen) -> Html:
    """What the run is made of, every setting, and the same for the terminal."""
    undo = widgets.button("Back to everything recommended", "reset-all", kind="quiet", sign="undo") if now.changed else None
    return widgets.join(
        (
            tag(
                "section",
                tag("h2", "What it is made of"),
                tag("div", *(settings_table.card(row) for row in now.made_of), _model(now), cls="tf-made-of"),
                cls="tf-part",
            ),
            tag(
                "section",
                tag("div", tag("h2", "The settings that matter most"), _count(now.changed), undo, cls="tf-part-head"),
                _searches(now.searches) if now.searches is not None else None,
                settings_table.table(now.main, "The settings that matter most"),
                cls="tf-part",
            ),
            widgets.more(
                f"The other {len(now.advanced)} settings",
                settings_table.table(now.advanced, "The other settings"),
                keep="settings-all",
            ),
            _cost(now),
            _terminal(now),
        )
    )


def _searches(now: Searches) -> Html:
    """The ways to find settings by trying, loud only where nobody knows a learning rate for this model."""
    said = now.wanted or "Not sure about a value? Short runs on your own data can find a better one."
    probe = tag(
        "a", "Find the learning rate", href=now.probe, cls=f"tf-button {'tf-primary' if now.wanted else 'tf-secondary'}"
    )
    sweep = tag("a", "Try several settings", href=now.sweep, cls="tf-button tf-secondary")
    return tag(
        "div",
        widgets.pill("not calibrated", "warn") if now.wanted else None,
        tag("span", said),
        tag("div", probe, sweep, cls="tf-strip-acts"),
        cls="tf-strip tf-searches is-wanted" if now.wanted else "tf-strip tf-searches",
    )


def _cost(now: Screen) -> Html:
    """What it will cost as far as anybody knows, and the most that it may."""
    return tag(
        "section",
        tag("h2", "What it costs"),
        tag(
            "div",
            tag(
                "div",
                tag("p", now.cost, cls="tf-strong"),
                tag(
                    "p",
                    "The same count goes on while it trains. When the budget is used up, the run saves what it has learned and "
                    "stops; nothing is lost.",
                    cls="tf-remark",
                ),
            ),
            tag(
                "div",
                tag("label", tag("strong", "Stop at (budget)"), for_="tf-set-budget_usd"),
                settings_table.control(now.budget),
                settings_table.back(now.budget),
            ),
            cls="tf-cost tf-sheet",
        ),
        cls="tf-part",
    )


def _count(changed: int) -> Html | None:
    if not changed:
        return None
    return widgets.pill(f"{changed} setting{'s' if changed > 1 else ''} changed", "live")


def _position(now: Position) -> Html:
    return tag(
        "button",
        tag("strong", now.label),
        tag("span", now.says),
        tag("span", f"{now.steps:,} steps, {now.time}"),
        type="button",
        cls="tf-position",
        aria_pressed="true" if now.chosen else "false",
        data_pick="dial",
        data_value=now.dial,
    )


def _model(now: Screen) -> Html:
    """The model in use with its reason, and the list to choose another one from."""
    used = next((model for model in now.models if model.name == now.recipe.model), None)
    setting = now.model.setting
    name = used.label if used is not None else now.recipe.model
    others = len(now.models) - (1 if used is not None else 0)
    folded = (
        widgets.more(
            f"Choose another model ({others} more)",
            models_list.html(now.models, now.recipe.model, now.sought, now.prices),
            keep="settings-models",
        )
        if others
        else None
    )
    problem = tag("p", now.model.problem, cls="tf-field-problem") if now.model.problem else None
    return tag(
        "div",
        tag(
            "div",
            tag("strong", setting.label),
            tag("span", f"({setting.term})", cls="tf-remark"),
            cls="tf-made-head",
        ),
        tag("p", tag("strong", name, cls="tf-made-name"), tag("span", f" {used.size}" if used is not None else "")),
        tag("p", setting.reason, cls="tf-field-note"),
        tag("p", settings_table.badge(setting.badge), tag("span", setting.source), cls="tf-made-source"),
        problem,
        folded,
        tag("p", tag("a", "All models, with sizes and prices", href="/models"), cls="tf-field-note"),
        cls="tf-made",
    )


def _terminal(now: Screen) -> Html:
    """The recipe as a file, and the command that repeats this run."""
    yaml = now.recipe.to_yaml()
    save = tag(
        "a",
        widgets.icon("file"),
        tag("span", "Download recipe.yaml"),
        href="data:text/yaml;charset=utf-8," + quote(yaml),
        download="recipe.yaml",
        cls="tf-button tf-secondary",
    )
    command = f"tuning-fork train {now.file_name} --method {now.recipe.method} --model {now.recipe.model} --recipe recipe.yaml"
    return widgets.more(
        "The same from the terminal",
        tag("pre", command, cls="tf-sample", id="tf-command"),
        tag("p", "The recipe as a file:"),
        tag("pre", yaml, cls="tf-sample", id="tf-recipe"),
        tag("div", save, cls="tf-acts"),
        keep="settings-terminal",
    )


def clashing(found: Clash) -> Html:
    """The file and the goal contradict each other: nothing can be recommended before that is settled."""
    return widgets.join((widgets.title("Your file and your goal do not fit"), clash.html(found)))


def stuck(problems: Sequence[FieldProblem], models: Sequence[Model], prices: Prices) -> Html:
    """Nothing can be recommended: say why, and where to go."""
    what = problems[0].message if problems else "There is nothing to recommend for yet."
    if problems and problems[0].field == "model":
        return widgets.join(
            (
                widgets.title("Which model should be tuned?"),
                widgets.notice(what),
                models_list.html(models, "", Sought(), prices),
            )
        )
    return widgets.join(
        (
            widgets.title("Settings"),
            widgets.empty("Your data comes first", what, widgets.button("Go to your data", "back", kind="primary")),
        )
    )
