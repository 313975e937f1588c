"""How the evidence grew: the course of one verdict, prompt by prompt.

Guarantees: pure; its last point is the verdict's own evidence. Every prompt enters with the score that it has now, at the place
where its last vote came. Automatic ties are left out: a tie moves no evidence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.compare.evidence import evidence_path

if TYPE_CHECKING:
    from studio.compare.verdict import Verdict


def course(verdict: Verdict) -> tuple[float, ...]:
    """Natural logarithm of the evidence after each closed prompt that people rated. Empty for a verdict without a record."""
    record = verdict.record
    if record is None:
        return ()
    last: dict[str, int] = {}
    for at, vote in enumerate(record.votes(verdict.challenger, record.reference)):
        if not vote.unblinded and vote.choice != "skip":
            last[vote.prompt_id] = at
    rated = sorted(verdict.tally.rated, key=lambda one: last[one[0]])
    return evidence_path([score for _, score in rated])
