"""Records a run before anything is started.

Guarantees: a run that is recorded can be trained: its recipe passed every check against its data set, and is stored as it is;
what it will be trained on is sealed on disk before it is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from studio import data, models
from studio.errors import SettingError
from studio.recipe import Recipe, facts_of, validate
from studio.runs import seal
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id, new_id


def create_run(
    settings: Settings,
    store: Store,
    *,
    dataset_id: str,
    recipe: Recipe,
    name: str,
    owner: str,
    ancestors: Sequence[str] = (),
) -> RunRow:
    """A new run with a queued job of the same id; ``Supervisor.submit`` sets it going.

    ``ancestors`` are the runs whose checkpoints it goes on from.

    Raises ``SettingError`` with the name of the first field that cannot work, ``NotFoundError`` for a data set that is not this
    owner's, ``DataError`` when its files are gone, ``StoreError``.
    """
    row = store.datasets.get(dataset_id, owner)
    dataset = data.load(settings.datasets / checked_id(row.id))
    facts = facts_of(dataset)
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
    run_id = new_id("run")
    try:
        return store.runs.add(
            owner=owner,
            name=name.strip() or row.name,
            dataset_id=row.id,
            method=recipe.method,
            model=recipe.model,
            recipe_json=recipe.to_json(),
            run_id=run_id,
            seal=seal.seal_run(settings, store, run_id, owner, dataset, ancestors),
        )
    except BaseException:
        seal.forget(settings, run_id)
        raise
