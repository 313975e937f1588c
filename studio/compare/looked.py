"""Whether the owner has seen who answered what, before anybody could say that their own votes are blind.

Guarantees: a look is on disk before the answers are shown, and is never forgotten; it is a line of the comparison's history
that anybody can read. Comparisons of one run on the same prompts hold the same answers, so a look at one is a look at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from studio.store import ComparisonRow, Store

_LOOKED: Final = "The owner looked at the answers with the names of those who gave them."


def note_look(store: Store, comparison_id: str, owner: str) -> None:
    """Keep that the owner is about to see the answers with their names. Twice is once. Raises ``NotFoundError``."""
    comparison = store.comparisons.get(comparison_id, owner)
    if not _noted(store, comparison):
        store.jobs.tell(comparison.id, _LOOKED)


def has_looked(store: Store, comparison_id: str, owner: str) -> bool:
    """Whether the owner has seen these answers with their names, here or in ``kin``. Raises ``NotFoundError``."""
    here = store.comparisons.get(comparison_id, owner)
    return _noted(store, here) or any(_noted(store, one) for one in kin(store, here))


def kin(store: Store, here: ComparisonRow) -> Iterator[ComparisonRow]:
    """The other comparisons of the same run in which some of the same prompts are asked."""
    if here.run_id is None:
        return
    asked = _prompts(store, here)
    for other in store.comparisons.of_run(here.run_id, here.owner):
        if other.id != here.id and not asked.isdisjoint(_prompts(store, other)):
            yield other


def _prompts(store: Store, comparison: ComparisonRow) -> frozenset[str]:
    return frozenset(one.prompt_id for one in store.comparisons.prompts(comparison.id))


def _noted(store: Store, comparison: ComparisonRow) -> bool:
    return any(one.text == _LOOKED for one in store.jobs.events(comparison.id))
