"""Records a run before anything is started.

Guarantees: a run that is recorded can be trained: its recipe passed every check against its data set, and is stored as it is;
what it will be trained on is sealed on disk before it is recorded, and so are the weights that it begins with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from studio import data, models
from studio.errors import SettingError
from studio.models import Model
from studio.recipe import Recipe, facts_of, validate
from studio.recipe.cost import TokenCounts, judges_of
from studio.runs import seal, sources, stages
from studio.runs.meter import Counts, cost_of
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id, new_id

#: The recipe as a person can read it, edit it and run it again, in the run's folder.
RECIPE: Final = "recipe.yaml"


def create_run(
    settings: Settings,
    store: Store,
    *,
    dataset_id: str,
    recipe: Recipe,
    name: str,
    owner: str,
    ancestors: Sequence[str] = (),
    run_id: str = "",
) -> RunRow:
    """A new run with a queued job of the same id; ``Supervisor.submit`` sets it going.

    ``run_id`` is an id that was chosen before (``new_id("run")``), where somebody must know it first.
    ``ancestors`` are further runs that it knows the rows of, beside those that the recipe names.

    Raises ``SettingError`` with the name of the first field that cannot work, ``NotFoundError`` for a data set that is not this
    owner's, ``DataError`` when its files are gone, ``StoreError``.
    """
    row = store.datasets.get(dataset_id, owner)
    dataset = data.load(settings.datasets / checked_id(row.id))
    facts = facts_of(dataset)
    problems = validate(recipe, facts)
    if problems:
        raise SettingError(problems[0].message, where=problems[0].field, next_step="Change this setting and start again.")
    named = sources.resolve(settings, store, recipe, owner)
    for model in sources.models_of(store, recipe, owner):
        _require_served(settings, model, recipe)
    _require_price(settings, recipe, named.teacher)
    run_id = run_id or new_id("run")
    folder = settings.runs / checked_id(run_id)
    try:
        sealed = seal.seal_run(settings, store, run_id, owner, dataset, (*sources.ancestors(recipe), *ancestors))
        sources.keep(folder, named)
        stages.write_outline(folder, recipe, dataset.train.rows, named.teacher)
        (folder / RECIPE).write_text(recipe.to_yaml(), "utf-8")
        return store.runs.add(
            owner=owner,
            name=name.strip() or row.name,
            dataset_id=row.id,
            method=recipe.method,
            model=recipe.model,
            recipe_json=recipe.to_json(),
            run_id=run_id,
            seal=sealed,
        )
    except BaseException:
        seal.forget(settings, run_id)
        raise


def _require_served(settings: Settings, model: Model, recipe: Recipe) -> None:
    if model.name not in {one.name for one in models.catalogue(settings)}:
        tuned = model.name == recipe.model
        raise SettingError(
            f"{model.label} cannot be {'trained' if tuned else 'asked'} where this studio trains ({settings.place}).",
            where="model" if tuned else "teacher" if recipe.teacher else "judge",
            next_step="Choose a model from the list, or connect to a server that has it.",
        )


def _require_price(settings: Settings, recipe: Recipe, teacher: str) -> None:
    """A limit in dollars can only be held where a dollar's worth of tokens is known."""
    taught = models.get(teacher) if teacher else None
    names = [recipe.model, *((teacher,) if teacher else ()), *judges_of(recipe)]
    one = TokenCounts(prefill=1)
    counts = Counts(one, one if taught else TokenCounts(), dict.fromkeys(judges_of(recipe), one))
    if recipe.budget_usd is not None and cost_of(counts, models.get(recipe.model), taught, settings.home) is None:
        raise SettingError(
            f"The price of {' or '.join(names)} is not known, so a budget cannot be watched.",
            where="budget_usd",
            next_step="Enter its prices, or leave the budget out and limit the steps.",
        )
