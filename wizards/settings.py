"""Step 3, *Settings*: one dial, what the run is made of, what it costs, and every setting with its value, reason and source.

Guarantees: what is typed is checked at once and the sentence stands at its field; a changed value is marked, counted, and one
press takes it back; what is not known (a time, a price, a learning rate for this model) is said, not guessed; a file that does
not fit the goal is said to, with the ways out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import gradio as gr

from studio import models
from studio.models import Model
from studio.recipe import FIELDS, Dial, Recipe, Setting, about, minutes, spec_of, with_field
from studio.recipe.cost import price
from wizards import clash, earlier, reward, settings_html, widgets
from wizards.draft import Draft
from wizards.earlier import Earlier
from wizards.models_list import Prices, Sought
from wizards.plan import DIALS, OF_THE_GOAL, Plan, noted, plan, recommended, with_changes
from wizards.settings_html import Position, Screen, Searches
from wizards.settings_table import Row
from wizards.shell import Action, Context, Said, StepParts, Visit
from wizards.sweep_asked import probe_href, sweep_href

_DIAL: Final[Mapping[Dial, tuple[str, str]]] = {
    "gentle": ("Gentle", "Changes little, forgets little"),
    "standard": ("Standard", "What we would do"),
    "thorough": ("Thorough", "Takes longer, learns more"),
}
#: What a run is made of, as blocks of their own above the table.
_MADE_OF: Final = ("distillation", "teacher", "teacher_prompt", "judge", "start_from")
#: Settings that are drawn somewhere else than in the table.
_APART: Final = frozenset({"method", "model", "reward", "budget_usd", *_MADE_OF})
_SOUGHT: Final = "models:"

Choices = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to choose from here: models with their prices, and earlier runs."""

    models: tuple[Model, ...]
    prices: Prices
    earlier: Earlier = field(default_factory=Earlier)


def screen(now: Plan, draft: Draft, offer: Offer, file_name: str) -> Screen | None:
    """What to show, or ``None`` while there is nothing to recommend for."""
    recommendation, recipe = now.recommendation, now.recipe
    if recommendation is None or recipe is None:
        return None
    lists = _lists(offer.models, recipe, offer.earlier)
    rows = {each.name: _row(each, now, recipe, lists) for each in recommendation.settings}
    table = [row for name, row in rows.items() if name not in _APART]
    return Screen(
        recipe=recipe,
        positions=_positions(now, draft),
        made_of=tuple(rows[name] for name in _MADE_OF if name in rows and _is_choice(rows[name])),
        main=tuple(row for row in table if not row.setting.advanced),
        advanced=tuple(row for row in table if row.setting.advanced),
        model=rows["model"],
        budget=rows["budget_usd"],
        cost=_cost(now),
        models=offer.models,
        prices=offer.prices,
        sought=Sought.from_text(draft.view.removeprefix(_SOUGHT) if draft.view.startswith(_SOUGHT) else ""),
        changed=sum(row.changed for row in rows.values()),
        file_name=file_name,
        searches=_searches(now, draft, recipe),
    )


def _searches(now: Plan, draft: Draft, recipe: Recipe) -> Searches | None:
    """Where settings are found by trying; ``None`` while they could not be trained with, or nothing could judge the runs."""
    if not now.ready or now.facts is None or now.recommendation is None or not now.facts.validation_rows:
        return None
    found = Searches(probe_href(draft), sweep_href(draft, recipe))
    if now.recommendation.badge != "not calibrated" or "learning_rate" in now.changed:
        return found
    return replace(found, wanted="Nobody has measured a learning rate for this model. Three short runs on your data find one.")


def _lists(catalogue: Sequence[Model], recipe: Recipe, known: Earlier) -> dict[str, Choices]:
    """The choices that depend on the place, the model and the runs there are."""
    student = models.get(recipe.model)
    able = [one for one in catalogue if recipe.distillation == "prompt" or one.teaches(student)]
    return {
        "renderer": tuple((name, name) for name in student.renderers),
        "teacher": (*((one.name, one.label) for one in able), *known.teachers),
        "judge": (("", "Train a new judge on these pairs"), *known.judges),
        "start_from": (("", "The model as it comes"), *known.starts),
    }


def _is_choice(row: Row) -> bool:
    """A list that offers nothing but the one value is no choice, and only takes room."""
    return row.changed or row.setting.name not in ("judge", "start_from") or len(row.choices) > 1


def _row(setting: Setting, now: Plan, recipe: Recipe, lists: Mapping[str, Choices]) -> Row:
    name = setting.name
    needed = name in now.asks
    problem = "" if needed else next((each.message for each in now.problems if each.field == name), "")
    shown = spec_of(name).show(recipe.to_dict()[name])
    return Row(
        setting,
        now.typed.get(name, shown) if problem else shown,
        lists.get(name, setting.choices),
        name in now.changed or (bool(problem) and name in now.typed),
        problem,
        next((each.message for each in now.warnings if each.field == name), ""),
        setting.long,
        needed,
    )


def _cost(now: Plan) -> str:
    if now.cost is not None:
        return now.cost.sentence
    return "It is estimated once every setting is in order." if now.problems else "What it costs is not known."


def _positions(now: Plan, draft: Draft) -> tuple[Position, ...]:
    """What each position of the dial would mean with everything else as it is."""
    facts, model, dataset = now.facts, now.model, now.dataset
    if facts is None or model is None or dataset is None:
        return ()
    found: list[Position] = []
    for dial in DIALS.values():
        turned, _ = with_changes(recommended(facts, model, replace(draft, dial=dial), dataset).recipe, now.typed)
        label, says = _DIAL[dial]
        time = about(minutes(turned, facts))
        found.append(Position(dial, label, says, turned.steps(facts.train_rows), time, draft.dial == dial))
    return tuple(found)


# --- acts ------------------------------------------------------------------------------------------------------------------


def edited(ctx: Context, visit: Visit, name: str, text: str) -> Draft:
    """The draft after a field was left with this text. What equals the recommendation is no change."""
    draft = visit.draft
    if name.startswith("models-"):
        return _looking(draft, name, text)
    if name not in FIELDS or name == "method":
        return draft
    if name == "model":
        return replace(_of_the_goal(draft), model=text)
    if name == "distillation":
        return _of_the_goal(draft).with_change(name, text)
    now = plan(ctx.settings, ctx.store, draft, visit.owner)
    if name == "start_from":
        draft = _at_its_rank(draft, text, earlier.of(ctx.settings, ctx.store, visit.owner, draft.model))
    usual = now.recommendation.recipe if now.recommendation is not None else None
    if usual is not None and _same(usual, name, text):
        return draft.with_change(name, None)
    return noted(ctx.settings, draft, visit.owner, name, text.strip())


def _looking(draft: Draft, name: str, text: str) -> Draft:
    sought = Sought.from_text(draft.view.removeprefix(_SOUGHT)).looking(name, text).to_text()
    return replace(draft, view=f"{_SOUGHT}{sought}" if sought else "")


def _of_the_goal(draft: Draft) -> Draft:
    """Another model has other settings; what is about the data and the goal stays."""
    return replace(draft, changes=tuple(pair for pair in draft.changes if pair[0] in OF_THE_GOAL))


def _at_its_rank(draft: Draft, run_id: str, known: Earlier) -> Draft:
    """What goes on from a run keeps the size of what that run has tuned."""
    rank = dict(known.ranks).get(run_id)
    return draft.with_change("lora_rank", None if rank is None else str(rank))


def _same(usual: Recipe, name: str, text: str) -> bool:
    try:
        return with_field(usual, name, text) == usual
    except ValueError:
        return False


def pressed(ctx: Context, visit: Visit, said: Said) -> Draft:
    """What each press on this step does."""
    draft = visit.draft
    match said.name:
        case "reset":
            return draft.with_change(said.value, None)
        case "reset-all":
            return replace(draft, changes=tuple(pair for pair in draft.changes if pair[0] == "distillation"), dial="standard")
        case "dial":
            return replace(draft, dial=said.value if said.value in DIALS else "standard")
        case "model":
            return edited(ctx, visit, "model", said.value)
        case "method":
            return clash.switched(draft, said.value)
        case _:
            return draft.at("data")


def offer(ctx: Context, visit: Visit) -> Offer:
    """What this visitor can choose from."""
    served = models.catalogue(ctx.settings)
    prices = {model.name: price(model, ctx.settings.home) for model in served}
    return Offer(served, prices, earlier.of(ctx.settings, ctx.store, visit.owner, visit.draft.model))


def build(ctx: Context) -> StepParts:
    """Three panels, with the one for the reward between the dial and the settings; see ``shell`` for how it is plugged in."""
    top, scoring, rest = widgets.panel(), widgets.panel(), widgets.panel()

    def show(visit: Visit) -> Sequence[object]:
        now = plan(ctx.settings, ctx.store, visit.draft, visit.owner)
        if visit.seen:
            same = visit.seen == reward.seen(ctx, visit, now)
            return (gr.skip(), gr.skip() if same else reward.html(ctx, visit, now), gr.skip())
        name = now.dataset.inspection.file_name if now.dataset is not None else ""
        here = offer(ctx, visit)
        found = screen(now, visit.draft, here, name)
        if now.clash is not None:
            return (settings_html.clashing(now.clash), "", "")
        if found is None:
            return (settings_html.stuck(now.problems, here.models, here.prices), "", "")
        return (settings_html.dial(found), reward.html(ctx, visit, now), settings_html.rest(found))

    def press(visit: Visit, said: Said) -> Draft:
        act = reward.pressed if said.name.startswith("reward") else pressed
        return act(ctx, visit, said)

    def edit(visit: Visit, said: Said) -> Draft:
        if said.name.startswith("reward"):
            return reward.edited(ctx, visit, said)
        return edited(ctx, visit, said.name, said.value)

    panels = (top, scoring, rest)
    return StepParts(
        outputs=panels,
        show=show,
        actions=(*(Action(panel.pick, press) for panel in panels), *(Action(panel.edit, edit) for panel in (scoring, rest))),
        ticking=(scoring,),
    )
