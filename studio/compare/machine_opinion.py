"""What a model's ratings of a session come to, beside what people said and never among it.

Guarantees: a pair counts only when the model judged it in both orders; orders that contradict each other make a tie, and how
often that happened is said; a missing rating is no score; the numbers come from the same rules as those of people, so that the
interval is valid however often it is looked at. Pure: values in, values out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

from studio.compare.fields import identifier, list_of, mapping, objects, one_of, place, required, text_of, whole
from studio.compare.record import Ballot, Pair, Record, pair_of
from studio.compare.reference import Agreement, agreement_of
from studio.compare.verdict import Checkpoint, Verdict, judge
from studio.compare.votes import Vote
from studio.errors import DataError
from studio.store import MISSING, Choice, Missing

if TYPE_CHECKING:
    from studio.store import MachineRatingRow

LABEL: Final = "a model's opinion, not counted"
_RATER: Final = "model"
_GIVEN: Final = ("left", "right", "tie", "both_bad")


@dataclass(frozen=True, slots=True)
class Rating:
    """What the model said about one pair in one order: ``left`` was shown first. Without a choice ``missing`` says why."""

    prompt_id: str
    left: str
    right: str
    choice: Choice | None
    missing: str = ""

    @classmethod
    def of(cls, row: MachineRatingRow) -> Rating:
        """The part of a stored rating that numbers rest on."""
        return cls(row.prompt_id, row.left_arm, row.right_arm, row.choice, row.missing)

    @property
    def said(self) -> str:
        """The arm that was chosen, ``tie`` or ``both_bad``; empty when missing."""
        return {"left": self.left, "right": self.right, None: ""}.get(self.choice, str(self.choice))


@dataclass(frozen=True, slots=True)
class Section:
    """One model's part of a session: who it was, how it was asked, and what it said.

    ``ties`` are prompts on which two arms gave the identical text, ``caps`` how many prompts each two arms cover, these
    included. ``settings`` hold everything that was asked for, and no key.
    """

    judge: str
    model: str
    ratings: tuple[Rating, ...]
    ties: Mapping[Pair, tuple[str, ...]]
    caps: Mapping[Pair, int]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Opinion:
    """What one model thinks of a session.

    ``pairs`` is how many it was asked about in at least one order, ``judged`` how many in both with a readable verdict;
    ``contradicted`` of those changed with the order and count as ties. ``missing`` counts single ratings by their reason.
    Of the ``decisive`` ratings, ``first`` chose the answer that was shown first.
    """

    section: Section
    verdict: Verdict
    agreement: Agreement
    n_decisive: int
    pairs: int
    judged: int
    contradicted: int
    missing: Mapping[Missing, int]
    first: int
    decisive: int

    @cached_property
    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Every challenger against the reference."""
        return self.verdict.checkpoints


def opinion(section: Section, people: Record) -> Opinion:
    """Judge what the model said; ``people`` is the record of the session, for its arms and for the agreement."""
    by_pair: dict[tuple[str, Pair], list[Rating]] = defaultdict(list)
    for one in section.ratings:
        by_pair[one.prompt_id, pair_of(one.left, one.right)].append(one)
    both = {key: ratings for key, ratings in sorted(by_pair.items(), key=_order) if _whole(ratings)}
    ballots = tuple(_ballot(ratings) for ratings in both.values())
    record = Record(people.arms, people.reference, ballots, section.ties, None, section.caps)
    decisive = [one for one in section.ratings if one.choice in ("left", "right")]
    reasons = Counter(one.missing for one in section.ratings if one.choice is None)
    agreement, n_decisive = _agreement(record, people)
    return Opinion(
        section=section,
        verdict=judge(record),
        agreement=agreement,
        n_decisive=n_decisive,
        pairs=len(by_pair),
        judged=len(both),
        contradicted=sum(len({one.said for one in ratings}) > 1 for ratings in both.values()),
        missing={reason: reasons[reason] for reason in MISSING},
        first=sum(one.choice == "left" for one in decisive),
        decisive=len(decisive),
    )


def _order(item: tuple[tuple[str, Pair], object]) -> tuple[str, list[str]]:
    (prompt_id, pair), _ = item
    return prompt_id, sorted(pair)


def _whole(ratings: Sequence[Rating]) -> bool:
    return len({one.left for one in ratings if one.choice is not None}) == 2


def _ballot(ratings: Sequence[Rating]) -> Ballot:
    """Both orders as one ballot: what they agree on, and a tie where they do not."""
    first = ratings[0]
    said = {one.said for one in ratings}
    agreed = first.choice if len(said) == 1 and first.choice is not None else "tie"
    return Ballot(first.prompt_id, _RATER, agreed, first.left, first.right)


def _agreement(record: Record, people: Record) -> tuple[Agreement, int]:
    """How far the model agrees with the majority of the people, over pairs that both judged; and on how many both took a side.

    A tie among people, or between people, is an even majority.
    """
    votes: list[Vote] = []
    decisive = 0
    theirs = {one.arm.name: one.verdict.tally for one in judge(people).checkpoints}
    for one in judge(record).checkpoints:
        majority = dict(theirs[one.arm.name].rated)
        for mine in one.verdict.tally.votes:
            if mine.prompt_id in majority:
                unit, score = f"{one.arm.name} {mine.prompt_id}", majority[mine.prompt_id]
                choice: Choice = "left" if score > 0.5 else "right" if score < 0.5 else "tie"
                votes += [Vote(unit, "people", choice, "left"), replace(mine, prompt_id=unit)]
                decisive += choice != "tie" and mine.choice in ("left", "right")
    return agreement_of(votes), decisive


# ---- the form in a file of votes ----


def as_section(section: Section) -> dict[str, Any]:
    """The section as plain JSON values, for the file of votes."""
    return {
        "judge": section.judge,
        "model": section.model,
        "label": LABEL,
        "settings": dict(section.settings),
        "matchups": [
            {"arms": sorted(pair), "automatic_ties": list(section.ties.get(pair, ())), "cap": cap}
            for pair, cap in sorted(section.caps.items(), key=lambda item: sorted(item[0]))
        ],
        "ratings": [asdict(one) for one in section.ratings],
    }


def opinions_of(document: object, people: Record) -> list[dict[str, Any]]:
    """The opinions in a parsed file of votes as plain JSON values. Raises ``DataError`` that names the place."""
    fields = mapping(document, "", "This is not a file of votes.")
    names = tuple(arm.name for arm in people.arms)
    listed = objects(fields, "machine")
    return [as_json(opinion(_section(one, f"machine[{at}]", names), people)) for at, one in enumerate(listed)]


def _section(fields: Mapping[str, object], where: str, names: tuple[str, ...]) -> Section:
    ties: dict[Pair, tuple[str, ...]] = {}
    caps: dict[Pair, int] = {}
    for at, item in enumerate(objects(fields, "matchups", where=f"{where}.")):
        here = f"{where}.matchups[{at}]"
        pair = _pair(tuple(one_of(value, names, f"{here}.arms") for value in list_of(item, "arms", f"{here}.")), here)
        same = list_of(item, "automatic_ties", f"{here}.")
        ties[pair] = tuple(identifier(value, f"{here}.automatic_ties[{i}]") for i, value in enumerate(same))
        caps[pair] = whole(item.get("cap"), f"{here}.cap", least=1)
    ratings = [
        _rating(one, f"{where}.ratings[{at}]", names) for at, one in enumerate(objects(fields, "ratings", where=f"{where}."))
    ]
    return Section(text_of(fields, "judge", where), text_of(fields, "model", where), tuple(ratings), ties, caps, {})


def _pair(both: tuple[str, ...], where: str) -> Pair:
    if len(both) != 2 or both[0] == both[1]:
        raise DataError("Two different arms belong here.", where=place(where, "arms"))
    return pair_of(*both)


def _rating(item: Mapping[str, object], where: str, names: tuple[str, ...]) -> Rating:
    left, right = (one_of(required(item, side, where), names, f"{where}.{side}") for side in ("left", "right"))
    _pair((left, right), where)
    choice = item.get("choice")
    given = None if choice is None else cast("Choice", one_of(choice, _GIVEN, f"{where}.choice"))
    missing = one_of(required(item, "missing", where), MISSING, f"{where}.missing") if given is None else ""
    return Rating(identifier(required(item, "prompt_id", where), f"{where}.prompt_id"), left, right, given, missing)


def as_json(found: Opinion) -> dict[str, Any]:
    """The opinion's numbers as plain JSON values, under their label. The first challenger's stand on top."""
    return {
        "judge": found.section.judge,
        "model": found.section.model,
        "label": LABEL,
        **_numbers(found.verdict),
        "n_pairs": found.pairs,
        "n_judged": found.judged,
        "n_contradicted": found.contradicted,
        "missing": dict(found.missing),
        "first_chosen": found.first,
        "n_decisive_ratings": found.decisive,
        "agreement_with_people": asdict(found.agreement) | {"n_decisive": found.n_decisive},
        "checkpoints": [
            {"name": one.arm.name, "label": one.arm.label or one.arm.name, **_numbers(one.verdict)} for one in found.checkpoints
        ],
    }


def _numbers(found: Verdict) -> dict[str, Any]:
    names: Iterable[str] = ("win_rate", "low", "high", "evidence", "threshold", "verdict", "n_items", "n_rated")
    return {name: getattr(found, name) for name in names}
