"""Every number of a verdict as plain JSON values, from an exported file alone.

Guarantees: the file is all that is needed, on any machine, and gives the numbers that the page showed when it was exported; the
values are plain JSON, without infinities or NaN. The form of the file is in ``studio.compare.document``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from studio.compare.document import record_from_document
from studio.compare.machine_opinion import opinions_of
from studio.compare.reference import LABEL
from studio.compare.strengths import LABEL as STRENGTH_LABEL
from studio.compare.verdict import judge

if TYPE_CHECKING:
    from studio.compare.gold import GoldCheck
    from studio.compare.slices import Slice
    from studio.compare.verdict import Checkpoint, Verdict


def verdict_from_document(document: object) -> dict[str, Any]:
    """Judge a parsed vote file. Raises ``DataError`` that names the item and the field when it cannot be read.

    The answer holds ``win_rate`` (null without votes), ``low``, ``high``, ``evidence``, ``verdict`` (``tuned``, ``base`` or
    ``undecided``, by the interval alone), ``n_items``, what the verdict page shows besides, and the textbook numbers under
    ``reference``. What models said, if any was asked, is under ``machine`` and in no other number.
    """
    record = record_from_document(document)
    opinions = opinions_of(document, record)
    return as_json(judge(record)) | ({"machine": opinions} if opinions else {})


def as_json(result: Verdict) -> dict[str, Any]:
    """Everything a verdict holds as plain JSON values, without the votes themselves."""
    reference = result.reference
    found: dict[str, Any] = {
        **_numbers(result),
        "headline": result.headline,
        "sentence": result.sentence,
        "paragraph": result.paragraph,
        "notes": list(result.notes),
        "stamps": list(result.stamps),
        "per_rater": {share.rater: {"n": share.n_prompts, "win_rate": share.win_rate} for share in result.raters},
        "leave_one_out": {share.rater: share.win_rate_without for share in result.raters},
        "verdict_without": {share.rater: share.verdict_without for share in result.raters},
        "alpha": reference.agreement.alpha,
        "position": asdict(reference.position),
        "length_controlled": {"label": LABEL} | asdict(result.length_controlled),
        "blinding_index": result.blinding.index,
        "blinding": asdict(result.blinding),
        "slices": _slices_json(result.slices),
        "criteria": {one.name: asdict(one.part) for one in result.criteria if one.part},
        "gold": None if result.gold is None else _gold_json(result.gold),
        "checkpoints": [_checkpoint_json(one) for one in result.checkpoints],
        "reference": {"label": LABEL} | asdict(reference),
    }
    return {name: _as_lists(value) for name, value in found.items()}


def _as_lists(value: object) -> object:
    """The value with lists in the place of tuples, as it comes back from a file."""
    if isinstance(value, dict):
        return {name: _as_lists(one) for name, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list | tuple):
        return [_as_lists(one) for one in cast("list[object]", value)]
    return value


def _numbers(result: Verdict) -> dict[str, Any]:
    outcomes = result.tally.outcomes
    return {
        "win_rate": result.win_rate,
        "low": result.low,
        "high": result.high,
        "evidence": result.evidence,
        "log_evidence": result.log_evidence,
        "threshold": result.threshold,
        "verdict": result.verdict,
        "state": result.state,
        "settled": result.settled,
        "challenger": result.challenger,
        "n_items": result.n_items,
        "n_rated": result.n_rated,
        "n_automatic_ties": result.n_automatic_ties,
        "n_open": result.n_open,
        "n_votes": result.n_votes,
        "n_raters": result.n_raters,
        "n_skipped": result.n_skipped,
        "n_unblinded": result.n_unblinded,
        "vote_counts": {outcome: outcomes[outcome] for outcome in ("tuned", "base", "tie", "both_bad")},
        "item_outcomes": {"tuned": result.leaned_tuned, "even": result.leaned_even, "base": result.leaned_base},
        "tie_share": result.tie_share,
        "both_bad_share": result.both_bad_share,
        "win_rate_rated": result.win_rate_rated,
        "more_prompts_needed": result.more_prompts_needed,
        "more_votes_needed": result.more_votes_needed,
        "cap": result.cap,
    }


def _slices_json(slices: Iterable[Slice]) -> dict[str, Any]:
    """Name → value → numbers. Below ten prompts a slice is hidden, here as on the page."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for one in slices:
        if one.part is not None:
            found[one.name][one.value] = asdict(one.part)
    return dict(found)


def _gold_json(check: GoldCheck) -> dict[str, Any]:
    shares = {one.rater: {"n": one.n, "right": one.right, "skipped": one.skipped, "share": one.share} for one in check.raters}
    return asdict(check) | {"raters": shares}


def _checkpoint_json(one: Checkpoint) -> dict[str, Any]:
    return {
        "name": one.arm.name,
        "label": one.arm.label or one.arm.name,
        "kind": one.arm.kind,
        **_numbers(one.verdict),
        "headline": one.verdict.headline,
        "sentence": one.verdict.sentence,
        "elo": one.strength.elo,
        "elo_label": STRENGTH_LABEL,
        "not_estimable": one.strength.missing,
    }
