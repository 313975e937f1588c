"""Step 3, *Settings*: what the run is made of, one dial, what it costs, and every setting with its value, reason and source.

Guarantees: what is typed is checked at once and the sentence stands at its field; a changed value is marked, counted, and one
press takes it back; what is not known (a time, a price, a learning rate for this model) is said, not guessed; a file that does
not fit the goal is said to, with the ways out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from studio import models
from studio.models import Model
from studio.recipe import FIELDS, FieldProblem, Recipe, Setting, about, minutes, recommend, spec_of, with_field
from wizards import clash, earlier, models_list, reward, settings_table, widgets
from wizards.clash import Clash
from wizards.draft import Draft
from wizards.earlier import Earlier
from wizards.models_list import Sought
from wizards.plan import Dial, Plan, noted, plan, recommended, with_changes
from wizards.settings_table import Row
from wizards.shell import Action, Context, Said, StepParts, Visit
from wizards.widgets import Html, tag

_DIALS: Final[tuple[tuple[Dial, str, str], ...]] = (
    ("gentle", "Gentle", "Changes little, forgets little"),
    ("standard", "Standard", "What we would do"),
    ("thorough", "Thorough", "Learns longer and holds more"),
)
#: What a run is made of, as blocks of their own above the table.
_MADE_OF: Final = ("distillation", "teacher", "teacher_prompt", "judge", "start_from")
#: Settings that are drawn somewhere else than in the table.
_APART: Final = frozenset({"method", "model", "reward", "budget_usd", *_MADE_OF})
#: What is about the data and the goal, and stays when the model changes.
_OF_THE_GOAL: Final = frozenset({"reward", "distillation", "teacher_prompt"})
_VIEW: Final = "models:"


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
class Screen:
    """The whole step for a plan that has data. ``models`` are those on offer, ``sought`` what is looked for among them."""

    recipe: Recipe
    positions: tuple[Position, ...]
    made_of: tuple[Row, ...]
    main: tuple[Row, ...]
    advanced: tuple[Row, ...]
    budget: Row | None
    model: Row
    models: tuple[Model, ...]
    sought: Sought
    changed: int
    cost: str
    command: str


def screen(now: Plan, draft: Draft, catalogue: Sequence[Model], file_name: str, known: Earlier | None = None) -> Screen | None:
    """What to show, or ``None`` while there is nothing to recommend for."""
    recommendation, recipe = now.recommendation, now.recipe
    if recommendation is None or recipe is None or now.facts is None or now.clash is not None:
        return None
    choices = _lists(catalogue, recipe, known or Earlier())
    rows = {setting.name: _row(setting, now, recipe, draft, choices) for setting in recommendation.settings}
    table = [row for name, row in rows.items() if name not in _APART]
    return Screen(
        recipe,
        _positions(now, draft),
        tuple(rows[name] for name in _MADE_OF if name in rows and _offered(rows[name])),
        tuple(row for row in table if not row.setting.advanced),
        tuple(row for row in table if row.setting.advanced),
        rows.get("budget_usd"),
        rows["model"],
        tuple(catalogue),
        Sought.from_text(draft.view.removeprefix(_VIEW) if draft.view.startswith(_VIEW) else ""),
        len({*now.changed, *(name for name, _ in draft.changes)} & {*rows}),
        now.cost.sentence if now.cost is not None else "",
        f"tuning-fork train {file_name} --recipe recipe.yaml",
    )


def _lists(catalogue: Sequence[Model], recipe: Recipe, known: Earlier) -> dict[str, tuple[tuple[str, str], ...]]:
    """The choices that depend on the place, the model and the runs there are."""
    served = tuple((model.name, model.label) for model in catalogue)
    return {
        "renderer": tuple((name, name) for name in models.get(recipe.model).renderers),
        "teacher": (*served, *known.teachers),
        "judge": (("", "Train a new judge from these pairs"), *known.judges),
        "start_from": (("", "The model as it comes"), *known.starts),
    }


def _offered(row: Row) -> bool:
    """A list with nothing but one choice is no choice."""
    return row.changed or row.setting.name not in ("judge", "start_from") or len(row.choices) > 1


def _row(
    setting: Setting, now: Plan, recipe: Recipe, draft: Draft, choices: dict[str, tuple[tuple[str, str], ...]]
) -> Row:
    typed = dict(draft.changes)
    problem = next((each.message for each in now.problems if each.field == setting.name), "")
    spec = spec_of(setting.name)
    shown = spec.show(recipe.to_dict()[setting.name])
    text = now.typed.get(setting.name, shown) if problem else shown
    warning = next((each.message for each in now.warnings if each.field == setting.name), "")
    return Row(
        setting,
        text,
        choices.get(setting.name, setting.choices),
        setting.name in now.changed or setting.name in typed,
        problem,
        warning,
        spec.long,
    )


def _positions(now: Plan, draft: Draft) -> tuple[Position, ...]:
    """What each position would mean with everything else as it is."""
    found: list[Position] = []
    for dial, label, says in _DIALS:
        if now.facts is None or now.model is None:
            continue
        turned, _ = with_changes(recommended(now.facts, now.model, replace(draft, dial=dial)).recipe, now.typed)
        steps = turned.steps(now.facts.train_rows)
        found.append(Position(dial, label, says, steps, about(minutes(turned, now.facts)), draft.dial == dial))
    return tuple(found)
