"""Step 3, *Settings*: one dial first, then every setting with its value, its reason and its source.

Guarantees: what is typed is checked at once and the sentence stands at its field; a changed value is marked and one press takes
it back; what is not known (a time, a learning rate for this model) is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from studio import models
from studio.models import Model
from studio.recipe import FIELDS, Badge, FieldProblem, Recipe, Recommendation, Setting, about, minutes, spec_of, with_field
from wizards import widgets
from wizards.draft import Draft
from wizards.plan import Plan, plan
from wizards.shell import Action, Context, Said, StepParts, Visit
from wizards.widgets import Html, State, tag

_DIAL: Final = "epochs"
_BADGES: Final[dict[Badge, State]] = {
    "calibrated": "good",
    "measured by us": "good",
    "borrowed": "warn",
    "not calibrated": "warn",
    "rule": "quiet",
}


@dataclass(frozen=True, slots=True)
class Position:
    """One position of the dial: what it is called, how many passes it means, and how long they take."""

    label: str
    epochs: int
    steps: int
    time: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``text`` is what stands in the field: the typed text while it has a problem."""

    setting: Setting
    text: str
    choices: tuple[tuple[str, str], ...]
    changed: bool
    problem: str
    warning: str


@dataclass(frozen=True, slots=True)
class Screen:
    """The whole step for a plan that has data."""

    badge: Badge
    badge_reason: str
    positions: tuple[Position, ...]
    main: tuple[Row, ...]
    advanced: tuple[Row, ...]
    changed: int
    yaml: str
    command: str


def screen(now: Plan, draft: Draft, catalogue: Sequence[Model], file_name: str) -> Screen | None:
    """What to show, or ``None`` while there is nothing to recommend for."""
    recommendation, recipe = now.recommendation, now.recipe
    if recommendation is None or recipe is None or now.facts is None:
        return None
    rows = tuple(
        _row(setting, now, recipe, draft, catalogue) for setting in recommendation.settings if setting.name != "method"
    )
    limit = f" --max-steps {recipe.max_steps}" if recipe.max_steps else ""
    return Screen(
        recommendation.badge,
        recommendation.badge_reason,
        _positions(now, recommendation, recipe),
        tuple(row for row in rows if not row.setting.advanced),
        tuple(row for row in rows if row.setting.advanced),
        len({*now.changed, *(name for name, _ in draft.changes)}),
        recipe.to_yaml(),
        f"tuning-fork train {file_name} --method {recipe.method} --model {recipe.model}{limit}",
    )


def _row(setting: Setting, now: Plan, recipe: Recipe, draft: Draft, catalogue: Sequence[Model]) -> Row:
    typed = dict(draft.changes)
    problem = next((each.message for each in now.problems if each.field == setting.name), "")
    value = recipe.to_dict()[setting.name]
    text = typed[setting.name] if problem and setting.name in typed else spec_of(setting.name).show(value)
    choices = setting.choices
    if setting.name == "model":
        choices = tuple((model.name, model.label) for model in catalogue)
    elif setting.name == "renderer":
        choices = tuple((name, name) for name in models.get(recipe.model).renderers)
    warning = next((each.message for each in now.warnings if each.field == setting.name), "")
    return Row(setting, text, choices, setting.name in now.changed or setting.name in typed, problem, warning)


def _positions(now: Plan, recommendation: Recommendation, recipe: Recipe) -> tuple[Position, ...]:
    """Half as many passes, as recommended, and twice as many. The dial turns nothing else."""
    usual = recommendation.recipe.epochs
    found: list[Position] = []
    for label, epochs in (("Quick look", usual // 2), ("Recommended", usual), ("Thorough", usual * 2)):
        if epochs < 1 or spec_of(_DIAL).problem(epochs) or now.facts is None:
            continue
        turned = replace(recipe, epochs=epochs)
        steps = turned.steps(now.facts.train_rows)
        found.append(Position(label, epochs, steps, about(minutes(turned, now.facts)), recipe.epochs == epochs))
    return tuple(found)


# --- acts ------------------------------------------------------------------------------------------------------------------


def edited(draft: Draft, now: Plan, name: str, text: str) -> Draft:
    """The draft after a field was left with this text. What equals the recommendation is no change."""
    if name not in FIELDS or name == "method":
        return draft
    if name == "model":
        return replace(draft, model=text, changes=())
    if now.recommendation is None:
        return draft.with_change(name, text)
    usual = now.recommendation.recipe
    try:
        same = with_field(usual, name, text) == usual
    except ValueError:
        same = False
    return draft.with_change(name, None if same else text.strip())


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    draft = visit.draft
    match said.name:
        case "reset":
            return draft.with_change(said.value, None)
        case "reset-all":
            return replace(draft, changes=())
        case "dial":
            return edited(draft, plan(ctx.settings, ctx.store, draft, visit.owner), _DIAL, said.value)
        case _:
            return draft.at("data")


# --- markup ----------------------------------------------------------------------------------------------------------------


def html(now: Screen) -> Html:
    """The step as markup."""
    undo = widgets.button("Back to everything recommended", "reset-all", kind="quiet", sign="undo") if now.changed else None
    return widgets.join(
        (
            widgets.title(
                "How thorough should it be?", "Everything else follows from your data. You can start now, or look closer."
            ),
            tag(
                "div", *(_position(each) for each in now.positions), cls="tf-positions", role="group", aria_label="How thorough"
            ),
            tag(
                "section",
                tag("div", tag("h2", "The settings that matter most"), undo, cls="tf-part-head"),
                tag(
                    "p",
                    widgets.pill(now.badge, _BADGES[now.badge]),
                    tag("span", now.badge_reason, cls="tf-remark"),
                    cls="tf-badge",
                ),
                _table(now.main, "The settings that matter most"),
                cls="tf-part",
            ),
            widgets.more(
                f"The other {len(now.advanced)} settings", _table(now.advanced, "The other settings"), keep="settings-all"
            ),
            widgets.more(
                "The same from the terminal",
                tag("pre", now.command, cls="tf-sample", id="tf-command"),
                tag("p", "The recipe as a file:"),
                tag("pre", now.yaml, cls="tf-sample", id="tf-recipe"),
                keep="settings-terminal",
            ),
        )
    )


def _position(now: Position) -> Html:
    passes = "1 pass" if now.epochs == 1 else f"{now.epochs} passes"
    return tag(
        "button",
        tag("strong", now.label),
        tag("span", f"{passes}, {now.steps:,} steps"),
        tag("span", now.time),
        type="button",
        cls="tf-position",
        aria_pressed="true" if now.chosen else "false",
        data_pick="dial",
        data_value=str(now.epochs),
    )


def _table(rows: Sequence[Row], caption: str) -> Html:
    head = tag("tr", *(tag("th", name, scope="col") for name in ("Setting", "Value", "Why", "Source")))
    body = (_line(row) for row in rows)
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, cls="tf-table tf-settings")


def _line(row: Row) -> Html:
    setting = row.setting
    ident = f"tf-set-{setting.name}"
    mark = tag("span", "changed", cls="tf-changed") if row.changed else None
    back = (
        widgets.button(f"Back to {_shown(setting)}", "reset", value=setting.name, kind="quiet", sign="undo")
        if row.changed
        else None
    )
    name = tag("label", tag("strong", setting.label), tag("span", f" ({setting.term})", cls="tf-remark"), for_=ident)
    why = tag("td", setting.reason, data_label="Why")
    return tag(
        "tr",
        tag("th", name, mark, scope="row"),
        tag("td", _field(row, ident), back, data_label="Value"),
        why,
        tag("td", setting.source, cls="tf-source", data_label="Source"),
        cls="is-changed" if row.changed else None,
    )


def _shown(setting: Setting) -> str:
    return dict(setting.choices).get(setting.text, setting.text)


def _field(row: Row, ident: str) -> Html:
    says = row.problem or row.warning
    about_it = f"{ident}-says" if says else None
    shared = {
        "id": ident,
        "data_field": row.setting.name,
        "aria_describedby": about_it,
        "aria_invalid": "true" if row.problem else None,
    }
    if row.choices:
        options = (tag("option", words, value=value, selected=value == row.text) for value, words in row.choices)
        field = tag("select", *options, value=row.text, **shared)
    else:
        field = tag("input", type="text", value=row.text, autocomplete="off", spellcheck="false", **shared)
    unit = tag("span", row.setting.unit, cls="tf-unit") if row.setting.unit else None
    note = tag("p", says, id=about_it, cls="tf-field-problem" if row.problem else "tf-field-warning") if says else None
    return tag("div", tag("div", field, unit, cls="tf-input"), note, cls="tf-field")


def _stuck(problems: Sequence[FieldProblem]) -> Html:
    """Nothing can be recommended: say why, and where to go."""
    what = problems[0].message if problems else "There is nothing to recommend for yet."
    return widgets.join(
        (
            widgets.title("Settings"),
            widgets.empty("Your data comes first", what, widgets.button("Go to your data", "back", kind="primary")),
        )
    )


def build(ctx: Context) -> StepParts:
    """One panel; see ``shell`` for how it is plugged in."""
    panel = widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
        name = now.dataset.inspection.file_name if now.dataset is not None else ""
        found = screen(now, visit.draft, models.catalogue(ctx.settings), name)
        return (html(found) if found is not None else _stuck(now.problems),)

    def edit(visit: Visit, said: Said) -> Draft:
        return edited(visit.draft, plan(ctx.settings, ctx.store, visit.draft, visit.owner), said.name, said.value)

    return StepParts(
        outputs=(panel,),
        show=show,
        actions=(Action(panel.pick, lambda visit, said: pressed(ctx, visit, said)), Action(panel.edit, edit)),
    )
