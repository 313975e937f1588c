"""Did it help? From votes to one honest answer.

Guarantees: the answer may be looked at after every vote, and still at most 1 session in 20 between equal models ever names a
winner; the prompt is the unit, not the vote; the order of votes, the sides on which answers stood and repeated clicks change
nothing; ties count one half in the win rate and nothing in the evidence. No winner is named below 20 closed prompts.

``verdict`` costs a few milliseconds for 200 prompts (a quarter of a second the first time, when scipy loads); the textbook
numbers behind ``Verdict.reference`` are computed when first read.

The file that ``verdict_from_document`` reads holds the votes in the order in which they were cast:

    {"items": [{"prompt_id": "p01", "rater": "ana", "choice": "left", "tuned_side": "right"}, …]}

An item may say ``"unblinded": true``; the file may name ``automatic_ties`` (a list of prompt ids) and ``cap`` (prompts that the
session covers); anything else in it is left alone.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

from studio.compare.evidence import Conclusion, Spread, conclude, interval, log_evidence, more_prompts_needed, no_difference
from studio.compare.reference import LABEL, Reference, reference_numbers
from studio.compare.sentences import HEADLINES, caveats, odds, sentence
from studio.compare.votes import CHOICES, SIDES, Choice, Side, Tally, Vote, tally
from studio.errors import DataError, SettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

__all__ = [
    "FEWEST_PROMPTS",
    "MOST_PROMPTS",
    "RaterShare",
    "State",
    "Verdict",
    "Vote",
    "as_json",
    "verdict",
    "verdict_from_document",
]

State = Literal["too_early", "tuned_better", "base_better", "no_difference", "leaning", "no_evidence", "stopped"]

FEWEST_PROMPTS = 20
"""Closed prompts below which no winner is named, whatever the evidence."""
MOST_PROMPTS = 200
"""Closed prompts at which a session ends that was given no cap of its own."""

_LEANING = math.log(3.0)
# Farther ahead than this a forecast from the present win rate is worth nothing.
_FORECAST = 1000
_SHAPE = 'A vote file looks like {"items": [{"prompt_id", "rater", "choice", "tuned_side"}, …]}.'


@dataclass(frozen=True, slots=True)
class RaterShare:
    """One rater's part. ``win_rate`` is over this rater's own votes; the two ``without`` say what is left if they go.

    ``win_rate_without`` is ``None`` when nothing would be left.
    """

    rater: str
    n_prompts: int
    win_rate: float
    win_rate_without: float | None
    verdict_without: Conclusion


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the votes say, and how surely.

    ``win_rate`` is the tuned model's mean prompt score, ``None`` before the first vote; ``low`` and ``high`` are the ends of
    the always-valid 95 % interval; ``evidence`` is the e-value against "no difference" (held at the largest float where it
    would overflow; ``log_evidence`` is exact). ``verdict`` follows from the interval alone; ``state`` adds the minimum, the
    cap and the shades in between, and is what to show. ``n_items`` counts closed prompts, ``n_rated`` those of them that
    people saw; the ``leaned`` counts are prompts; shares are of the votes that count, ``None`` without any.
    ``more_prompts_needed`` is a forecast, ``None`` when settled or out of sight.
    """

    win_rate: float | None
    low: float
    high: float
    evidence: float
    log_evidence: float
    verdict: Conclusion
    state: State
    n_items: int
    n_rated: int
    n_automatic_ties: int
    n_open: int
    n_votes: int
    n_skipped: int
    n_unblinded: int
    leaned_tuned: int
    leaned_base: int
    leaned_even: int
    tie_share: float | None
    both_bad_share: float | None
    win_rate_rated: float | None
    more_prompts_needed: int | None
    cap: int
    raters: tuple[RaterShare, ...]
    tally: Tally = field(repr=False)

    @property
    def fewest(self) -> int:
        """Closed prompts that a winner needs at least."""
        return FEWEST_PROMPTS

    @property
    def n_raters(self) -> int:
        """People with at least one vote that counts."""
        return len(self.raters)

    @property
    def headline(self) -> str:
        """The state in a few words."""
        return HEADLINES[self.state]

    @property
    def sentence(self) -> str:
        """The verdict in one plain sentence with its numbers, fit to be quoted."""
        return sentence(self)

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats that belong under the sentence, most important first."""
        return tuple(caveats(self))

    @property
    def odds(self) -> str:
        """The evidence as ``31 : 1``."""
        return odds(self.evidence)

    @property
    def reference(self) -> Reference:
        """Textbook numbers for the details drawer; show them only with ``reference.LABEL``."""
        return reference_numbers(self.tally)


def verdict(
    votes: Iterable[Vote],
    *,
    automatic_ties: Collection[str] = (),
    closed: Collection[str] | None = None,
    cap: int | None = None,
) -> Verdict:
    """Judge a session from its vote log, oldest vote first.

    ``automatic_ties`` are the prompts on which both models gave the identical text. ``closed`` names the prompts that have all
    the ratings they will get, and has to be given while several raters are still at work: a score that may still change must
    not be judged. ``None`` says that every prompt with a vote is closed. ``cap`` is the number of prompts, automatic ties
    included, that the session covers and ends at; without one it ends at 200, and automatic ties count at once instead of at
    the pace of the rating. Raises ``SettingError`` for a cap below 1.
    """
    if cap is not None and cap < 1:
        raise SettingError(f"A session cannot end after {cap} prompts.", where="cap", next_step="Use 1 or more.")
    counted = tally(votes, automatic_ties=automatic_ties, closed=closed, planned=cap)
    scores, n_rated, limit = counted.scores, len(counted.rated), cap or MOST_PROMPTS
    spread, n = Spread.of(scores), len(scores)
    log_e, conclusion, (low, high) = log_evidence(spread), conclude(spread), interval(spread)
    state = _state(spread, n, limit)
    outcomes, n_votes = counted.outcomes, len(counted.votes)
    return Verdict(
        win_rate=spread.mean if n else None,
        low=low,
        high=high,
        evidence=math.exp(log_e) if log_e < math.log(sys.float_info.max) else sys.float_info.max,
        log_evidence=log_e,
        verdict=conclusion,
        state=state,
        n_items=n,
        n_rated=n_rated,
        n_automatic_ties=counted.n_automatic_ties,
        n_open=counted.n_open,
        n_votes=n_votes,
        n_skipped=counted.n_skipped,
        n_unblinded=counted.n_unblinded,
        leaned_tuned=sum(score > 0.5 for score in scores),
        leaned_base=sum(score < 0.5 for score in scores),
        leaned_even=sum(score == 0.5 for score in scores),
        tie_share=outcomes["tie"] / n_votes if n_votes else None,
        both_bad_share=outcomes["both_bad"] / n_votes if n_votes else None,
        win_rate_rated=math.fsum(score for _, score in counted.rated) / n_rated if n_rated else None,
        more_prompts_needed=_more_prompts(spread, state),
        cap=limit,
        raters=tuple(_raters(counted)),
        tally=counted,
    )


def _state(spread: Spread, n: int, cap: int) -> State:
    if n < FEWEST_PROMPTS:
        return "stopped" if n >= cap else "too_early"
    conclusion = conclude(spread)
    if conclusion != "undecided":
        return "tuned_better" if conclusion == "tuned" else "base_better"
    if no_difference(spread):
        return "no_difference"
    if n >= cap:
        return "stopped"
    return "leaning" if log_evidence(spread) >= _LEANING else "no_evidence"


def _more_prompts(spread: Spread, state: State) -> int | None:
    missing = FEWEST_PROMPTS - int(spread.n)
    if state == "too_early":
        return missing
    if state in {"leaning", "no_evidence", "stopped"}:
        return more_prompts_needed(spread, at_least=max(1, missing), most=_FORECAST)
    return None


def _raters(counted: Tally) -> Iterator[RaterShare]:
    """Each rater's own win rate, and what the others say without them."""
    points, counts = defaultdict[str, int](int), defaultdict[str, int](int)
    own: dict[str, list[Vote]] = defaultdict(list)
    for vote in counted.votes:
        points[vote.prompt_id] += vote.half_points
        counts[vote.prompt_id] += 1
        own[vote.rater].append(vote)
    for rater in sorted(own):
        mine = {vote.prompt_id: vote.half_points for vote in own[rater]}
        left = {prompt: count - (prompt in mine) for prompt, count in counts.items()}
        others = [(points[prompt] - mine.get(prompt, 0)) / (2 * count) for prompt, count in left.items() if count]
        rest = Spread.of(others + [0.5] * counted.n_ties_counted)
        yield RaterShare(
            rater=rater,
            n_prompts=len(mine),
            win_rate=sum(mine.values()) / (2 * len(mine)),
            win_rate_without=rest.mean if rest.n else None,
            verdict_without=conclude(rest),
        )


def verdict_from_document(document: object) -> dict[str, Any]:
    """Judge a parsed vote file. Raises ``DataError`` that names the item and the field when it cannot be read.

    The answer holds ``win_rate`` (null without votes), ``low``, ``high``, ``evidence``, ``verdict`` (``tuned``, ``base`` or
    ``undecided``, by the interval alone), ``n_items``, what the verdict page shows besides, and the textbook numbers under
    ``reference``.
    """
    if not isinstance(document, Mapping):
        raise DataError("This is not a file of votes.", next_step=_SHAPE)
    fields = cast("Mapping[str, object]", document)
    items = _list(fields, "items")
    ties = [
        _identifier(value, f"automatic_ties[{i}]") for i, value in enumerate(_list(fields, "automatic_ties", optional=True))
    ]
    return as_json(verdict([_vote(item, f"items[{i}]") for i, item in enumerate(items)], automatic_ties=ties, cap=_cap(fields)))


def as_json(result: Verdict) -> dict[str, Any]:
    """Everything a verdict holds as plain JSON values, without the votes themselves."""
    outcomes = result.tally.outcomes
    return {
        "win_rate": result.win_rate,
        "low": result.low,
        "high": result.high,
        "evidence": result.evidence,
        "log_evidence": result.log_evidence,
        "verdict": result.verdict,
        "state": result.state,
        "headline": result.headline,
        "sentence": result.sentence,
        "notes": list(result.notes),
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
        "cap": result.cap,
        "per_rater": {share.rater: {"n": share.n_prompts, "win_rate": share.win_rate} for share in result.raters},
        "leave_one_out": {share.rater: share.win_rate_without for share in result.raters},
        "verdict_without": {share.rater: share.verdict_without for share in result.raters},
        "reference": {"label": LABEL} | asdict(result.reference),
    }


def _vote(item: object, where: str) -> Vote:
    if not isinstance(item, Mapping):
        raise DataError("This vote is not an object.", where=where, next_step=_SHAPE)
    fields = cast("Mapping[str, object]", item)
    unblinded = fields.get("unblinded", False)
    if not isinstance(unblinded, bool):
        raise DataError(f"{_shown(unblinded)} is neither true nor false.", where=f"{where}.unblinded")
    return Vote(
        prompt_id=_identifier(_required(fields, "prompt_id", where), f"{where}.prompt_id"),
        rater=_identifier(_required(fields, "rater", where), f"{where}.rater"),
        choice=cast("Choice", _one_of(fields, "choice", CHOICES, where)),
        tuned_side=cast("Side", _one_of(fields, "tuned_side", SIDES, where)),
        unblinded=unblinded,
    )


def _required(fields: Mapping[str, object], name: str, where: str) -> object:
    if name not in fields:
        raise DataError("This field is missing.", where=f"{where}.{name}", next_step=_SHAPE)
    return fields[name]


def _one_of(fields: Mapping[str, object], name: str, allowed: tuple[str, ...], where: str) -> str:
    value = _required(fields, name, where)
    if not isinstance(value, str) or value not in allowed:
        choices = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise DataError(f"{_shown(value)} is not one of the choices.", where=f"{where}.{name}", next_step=f"Use {choices}.")
    return value


def _identifier(value: object, where: str) -> str:
    """Take text, or a whole number as spreadsheets write it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{_shown(value)} cannot be an id.", where=where, next_step="Use text that is not empty.")
    return value


def _list(fields: Mapping[str, object], name: str, *, optional: bool = False) -> Sequence[object]:
    value = fields.get(name, [] if optional else None)
    if not isinstance(value, list):
        what = "The list of votes is missing." if name == "items" and value is None else f"{_shown(value)} is not a list."
        raise DataError(what, where=name, next_step=_SHAPE)
    return cast("list[object]", value)


def _cap(fields: Mapping[str, object]) -> int | None:
    cap = fields.get("cap")
    if cap is not None and (not isinstance(cap, int) or isinstance(cap, bool) or cap < 1):
        raise DataError(f"{_shown(cap)} is not a number of prompts.", where="cap", next_step="Use a whole number from 1.")
    return cap


def _shown(value: object) -> str:
    """A value as an error may quote it: short, and in the file's own spelling."""
    if isinstance(value, list | Mapping):
        return "A list" if isinstance(value, list) else "An object"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "A number this long"
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."
