"""Records a sweep before anything is started.

Guarantees: a sweep that is recorded can be carried out: its plan passed every check against its data set, its limits included.
"""

from __future__ import annotations

from studio import data
from studio.recipe import facts_of
from studio.settings import Settings
from studio.store import Store, SweepRow, checked_id
from studio.sweeps import price
from studio.sweeps.plan import Plan, check


def create_sweep(
    settings: Settings, store: Store, *, dataset_id: str, plan: Plan, name: str, owner: str, sweep_id: str = ""
) -> SweepRow:  # fmt: skip
    """A new sweep with a queued job of the same id; ``Supervisor.submit`` sets it going.

    ``sweep_id`` is an id that was made for it before: asked twice with the same one, there is one sweep.

    Raises ``SettingError`` for a plan that cannot be carried out, ``NotFoundError`` for a data set that is not this owner's,
    ``DataError`` when its files are gone, ``StoreError``.
    """
    row = store.datasets.get(dataset_id, owner)
    facts = facts_of(data.load(settings.datasets / checked_id(row.id)))
    check(plan, facts)
    price.check(plan, facts, settings.home)
    return store.sweeps.add(
        owner=owner, name=name.strip() or row.name, dataset_id=row.id, plan_json=plan.to_json(), sweep_id=sweep_id
    )
