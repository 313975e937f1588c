"""Records a run before anything is started.

Guarantees: a run that is recorded can be trained: its recipe passed every check against its data set, and is stored as it is.
"""

from __future__ import annotations

from studio import data, models
from studio.errors import SettingError
from studio.recipe import Recipe, facts_of, validate
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id


def create_run(settings: Settings, store: Store, *, dataset_id: str, recipe: Recipe, name: str, owner: str) -> RunRow:
    """A new run with a queued job of the same id; ``Supervisor.submit`` sets it going.

    Raises ``SettingError`` with the name of the first field that cannot work, ``NotFoundError`` for a data set that is not this
    owner's, ``DataError`` when its files are gone, ``StoreError``.
    """
    row = store.datasets.get(dataset_id, owner)
    facts = facts_of(data.load(settings.datasets / checked_id(row.id)))
    problems = validate(recipe, facts)
    if problems:
        raise SettingError(problems[0].message, where=problems[0].field, next_step="Change this setting and start again.")
    model = models.get(recipe.model)
    if model.name not in {one.name for one in models.catalogue(settings)}:
        raise SettingError(
            f"{model.label} cannot be trained where this studio trains ({settings.place}).",
            where="model",
            next_step="Choose a model from the list, or connect to a server that has it.",
        )
    return store.runs.add(
        owner=owner,
        name=name.strip() or row.name,
        dataset_id=row.id,
        method=recipe.method,
        model=recipe.model,
        recipe_json=recipe.to_json(),
    )
