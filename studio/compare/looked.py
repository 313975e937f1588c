"""Whether the owner has seen who answered what, before anybody could say that their own votes are blind.

Guarantees: a look is on disk before the answers are shown, and is never forgotten; it is a line of the comparison's history
that anybody can read.
"""

from __future__ import annotations

from typing import Final

from studio.store import Store

_LOOKED: Final = "The owner looked at the answers with the names of those who gave them."


def note_look(store: Store, comparison_id: str, owner: str) -> None:
    """Keep that the owner is about to see the answers with their names. Twice is once. Raises ``NotFoundError``."""
    if not has_looked(store, comparison_id, owner):
        store.jobs.tell(store.comparisons.get(comparison_id, owner).id, _LOOKED)


def has_looked(store: Store, comparison_id: str, owner: str) -> bool:
    """Whether the owner has seen the answers with their names. Raises ``NotFoundError``."""
    comparison = store.comparisons.get(comparison_id, owner)
    return any(one.text == _LOOKED for one in store.jobs.events(comparison.id))
