"""Did it help? From votes to one honest answer.

Guarantees: the answer may be looked at after every vote, and still at most 1 session in 20 between equal models ever names a
winner, however many challengers there are; the prompt is the unit, not the vote; the order of votes, the sides on which answers
stood and repeated clicks change nothing; ties count one half in the win rate and nothing in the evidence. No winner is named
below 20 closed prompts.

``verdict`` and ``judge`` cost a few milliseconds for 200 prompts and ten raters (a quarter of a second the first time, when
scipy loads); what stands in drawers is computed when first read.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from studio.compare.evidence import (
    THRESHOLD,
    Conclusion,
    Spread,
    conclude,
    held,
    interval,
    log_evidence,
    more_prompts_needed,
    no_difference,
)
from studio.compare.gold import GoldCheck, gold_check
from studio.compare.lengths import LengthControlled, length_controlled
from studio.compare.paragraph import paragraph
from studio.compare.record import Arm, Record, pair_of
from studio.compare.reference import Blinding, Reference, blinding, reference_numbers
from studio.compare.sentences import About, caveats, headline, odds, sentence
from studio.compare.slices import Criterion, Slice, criteria_of, slices_of
from studio.compare.strengths import Strength, strengths
from studio.compare.votes import Tally, Vote, tally
from studio.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

__all__ = [
    "FEWEST_PROMPTS",
    "MOST_PROMPTS",
    "Checkpoint",
    "RaterShare",
    "State",
    "Verdict",
    "Vote",
    "judge",
    "state_of",
    "verdict",
]

State = Literal["too_early", "tuned_better", "base_better", "no_difference", "leaning", "no_evidence", "stopped"]

FEWEST_PROMPTS = 20
"""Closed prompts below which no winner is named, whatever the evidence."""
MOST_PROMPTS = 200
"""Closed prompts at which a session ends that was given no cap of its own."""

_LEANING = math.log(3.0)
# Farther ahead than this a forecast from the present win rate is worth nothing.
_FORECAST = 1000


@dataclass(frozen=True, slots=True)
class RaterShare:
    """One rater's part. ``win_rate`` is over this rater's own votes; the two ``without`` say what is left if they go.

    ``win_rate_without`` is ``None`` when nothing would be left; ``verdict_without`` follows from the interval alone, over the
    ``n_without`` prompts that are left.
    """

    rater: str
    n_prompts: int
    win_rate: float
    win_rate_without: float | None
    verdict_without: Conclusion
    n_without: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One challenger against the reference: its own verdict, at the threshold of all, and its place on a common scale."""

    arm: Arm
    verdict: Verdict
    strength: Strength


@dataclass(frozen=True)
class Verdict:
    """What the votes say, and how surely.

    ``win_rate`` is the challenger's mean prompt score, ``None`` before the first vote; ``low`` and ``high`` are the ends of
    the always-valid 95 % interval; ``evidence`` is the e-value against "no difference" (held at the largest float where it
    would overflow; ``log_evidence`` is exact). ``verdict`` follows from the interval alone (``tuned`` for the challenger,
    ``base`` for the reference); ``state`` adds the minimum, the cap and the shades in between, and is what to show. ``n_items``
    counts closed prompts, ``n_rated`` those of them that people saw; the ``leaned`` counts are prompts; shares are of the votes
    that count, ``None`` without any. ``more_prompts_needed`` is a forecast, ``None`` when settled or out of sight.

    ``challengers`` are compared with one reference, so each is decided at ``threshold`` = 20 x that many, and the intervals
    hold together with 95 %.
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
    challengers: int = 1
    about: About = field(default_factory=About)
    challenger: str = "tuned"
    record: Record | None = field(default=None, repr=False, compare=False)

    @property
    def fewest(self) -> int:
        """Closed prompts that a winner needs at least."""
        return FEWEST_PROMPTS

    @property
    def threshold(self) -> float:
        """Evidence at which this is decided."""
        return THRESHOLD * self.challengers

    @property
    def n_raters(self) -> int:
        """People with at least one vote that counts."""
        return len(self.raters)

    @property
    def settled(self) -> bool:
        """The stop rule: decided, shown to be no difference, or at its cap, so that more votes are not called for."""
        return self.state in {"tuned_better", "base_better", "no_difference", "stopped"}

    @property
    def more_votes_needed(self) -> int | None:
        """``more_prompts_needed`` times the votes that a prompt has had on average."""
        if self.more_prompts_needed is None:
            return None
        return math.ceil(self.more_prompts_needed * self.n_votes / self.n_rated) if self.n_rated else self.more_prompts_needed

    @property
    def winner(self) -> Conclusion:
        """Who may be named: as ``verdict``, but nobody below the minimum of prompts."""
        return self.verdict if self.n_items >= FEWEST_PROMPTS else "undecided"

    @property
    def headline(self) -> str:
        """The state in a few words."""
        return headline(self)

    @property
    def sentence(self) -> str:
        """The verdict in one plain sentence with its numbers, fit to be quoted."""
        return sentence(self)

    @property
    def stamps(self) -> tuple[str, ...]:
        """What the prompts are not, in sentences."""
        return self.record.stamps if self.record else ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Caveats that belong under the sentence, most important first."""
        return tuple(caveats(self))

    @cached_property
    def paragraph(self) -> str:
        """What was done, what came out and what it does not say, in one paragraph that a teacher can quote."""
        return paragraph(self)

    @property
    def sides_shown(self) -> tuple[int, int]:
        """Votes that count and were cast while the challenger's answer stood on the left, and on the right."""
        shown = [vote.tuned_side for vote in self.tally.votes]
        return shown.count("left"), shown.count("right")

    @property
    def sides_chosen(self) -> tuple[int, int]:
        """Votes that count and went to the left answer, and to the right."""
        chosen = [vote.choice for vote in self.tally.votes]
        return chosen.count("left"), chosen.count("right")

    @property
    def odds(self) -> str:
        """The evidence as ``31 : 1``."""
        return odds(self.evidence)

    @property
    def reference(self) -> Reference:
        """Textbook numbers for the details drawer; show them only with ``reference.LABEL``."""
        return reference_numbers(self.tally)

    @cached_property
    def length_controlled(self) -> LengthControlled:
        """The win rate with length held equal; a reference number."""
        lengths: dict[str, tuple[int, int]] = {}
        if self.record is not None:
            for prompt, known in self.record.lengths.items():
                if self.challenger in known and self.record.reference in known:
                    lengths[prompt] = known[self.challenger], known[self.record.reference]
        return length_controlled(self.tally.votes, lengths)

    @cached_property
    def slices(self) -> tuple[Slice, ...]:
        """The same on some of the prompts; exploratory. Those below ten prompts have no ``part``."""
        return tuple(slices_of(self.record, self.challenger, self.tally)) if self.record else ()

    @cached_property
    def criteria(self) -> tuple[Criterion, ...]:
        """The same for each question beside the overall one; exploratory."""
        return tuple(criteria_of(self.record, self.challenger)) if self.record else ()

    @cached_property
    def blinding(self) -> Blinding:
        """How well raters could tell which side was the challenger's, from what they said before the reveal."""
        told = [guess.right for guess in self.record.guesses] if self.record else []
        return blinding(right=told.count(True), wrong=told.count(False), unsure=told.count(None))

    @cached_property
    def gold(self) -> GoldCheck | None:
        """How raters did on pairs with a known answer, ``None`` when there were none."""
        return gold_check(self.record.gold) if self.record else None

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Every challenger against the reference, this one included. A plain ``verdict`` has none."""
        return tuple(_checkpoints(self)) if self.record else ()


def verdict(
    votes: Iterable[Vote],
    *,
    automatic_ties: Collection[str] = (),
    closed: Collection[str] | None = None,
    cap: int | None = None,
    challengers: int = 1,
    about: About | None = None,
) -> Verdict:
    """Judge a session from its vote log, oldest vote first.

    ``automatic_ties`` are the prompts on which both models gave the identical text. ``closed`` names the prompts that have all
    the ratings they will get, and has to be given while several raters are still at work: a score that may still change must
    not be judged. ``None`` says that every prompt with a vote is closed. ``cap`` is the number of prompts, automatic ties
    included, that the session covers and ends at; without one it ends at 200, and automatic ties count at once instead of at
    the pace of the rating. ``challengers`` is the number of arms that are compared with the same reference; ``about`` says how
    the two are called. Raises ``SettingError`` for a cap below 1.
    """
    if cap is not None and cap < 1:
        raise SettingError(f"A session cannot end after {cap} prompts.", where="cap", next_step="Use 1 or more.")
    counted = tally(votes, automatic_ties=automatic_ties, closed=closed, planned=cap)
    scores, n_rated, limit = counted.scores, len(counted.rated), cap or MOST_PROMPTS
    spread, n, threshold = Spread.of(scores), len(scores), THRESHOLD * challengers
    log_e, conclusion, (low, high) = log_evidence(spread), conclude(spread, threshold), interval(spread, threshold)
    state = state_of(spread, cap=limit, threshold=threshold)
    outcomes, n_votes = counted.outcomes, len(counted.votes)
    return Verdict(
        win_rate=spread.mean if n else None,
        low=low,
        high=high,
        evidence=held(log_e),
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
        more_prompts_needed=_more_prompts(spread, state, threshold),
        cap=limit,
        raters=tuple(_raters(counted, threshold)),
        tally=counted,
        challengers=challengers,
        about=about or About(),
    )


def judge(record: Record) -> Verdict:
    """Judge a session of any number of arms. The verdict's own numbers are about the first challenger.

    What is not needed at once (slices, criteria, checkpoints, textbook numbers) is computed when it is read.
    """
    return _judged(record, record.challengers[0])


def _judged(record: Record, arm: Arm) -> Verdict:
    pair = pair_of(arm.name, record.reference)
    reference = next(one for one in record.arms if one.name == record.reference)
    result = verdict(
        record.votes(arm.name, record.reference),
        automatic_ties=record.automatic_ties.get(pair, ()),
        closed=record.closed_of(pair),
        cap=record.caps.get(pair),
        challengers=len(record.challengers),
        about=About.of(arm, reference),
    )
    return replace(result, challenger=arm.name, record=record)


def _checkpoints(first: Verdict) -> Iterator[Checkpoint]:
    record = first.record
    assert record is not None  # noqa: S101 - the caller has looked
    judged = {arm.name: first if arm.name == first.challenger else _judged(record, arm) for arm in record.challengers}
    scores = {
        pair: judged[pair[0]].tally.scores if pair[1] == record.reference else _counted(record, *pair).scores
        for pair in record.pairs
    }
    found = strengths([arm.name for arm in record.arms], record.reference, scores)
    for arm in record.challengers:
        yield Checkpoint(arm, judged[arm.name], found[arm.name])


def _counted(record: Record, one: str, other: str) -> Tally:
    pair = pair_of(one, other)
    ties, closed, cap = record.automatic_ties.get(pair, ()), record.closed_of(pair), record.caps.get(pair)
    return tally(record.votes(one, other), automatic_ties=ties, closed=closed, planned=cap)


def state_of(spread: Spread, *, cap: int = MOST_PROMPTS, threshold: float = THRESHOLD) -> State:
    """The rule that ends sessions, on the scores of closed prompts."""
    n = spread.n
    if n < FEWEST_PROMPTS:
        return "stopped" if n >= cap else "too_early"
    conclusion = conclude(spread, threshold)
    if conclusion != "undecided":
        return "tuned_better" if conclusion == "tuned" else "base_better"
    if no_difference(spread, threshold):
        return "no_difference"
    if n >= cap:
        return "stopped"
    return "leaning" if log_evidence(spread) >= _LEANING else "no_evidence"


def _more_prompts(spread: Spread, state: State, threshold: float) -> int | None:
    missing = FEWEST_PROMPTS - int(spread.n)
    if state == "too_early":
        return missing
    if state in {"leaning", "no_evidence", "stopped"}:
        return more_prompts_needed(spread, at_least=max(1, missing), most=_FORECAST, threshold=threshold)
    return None


def _raters(counted: Tally, threshold: float) -> Iterator[RaterShare]:
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
            verdict_without=conclude(rest, threshold),
            n_without=int(rest.n),
        )
