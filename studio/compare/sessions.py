"""Rating sessions from the owner's side: what a session is about, and opening, pausing, extending and closing it.

Guarantees: what a session covers is fixed and stored when it opens, and only grows afterwards; a session is never taken back:
closed and abandoned ones stay in the record, with a line of history for every change. Who sits in it is in ``seats``, how far
it is in ``standing``, what raters see in ``blind``, what it came to in ``outcome``.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import combinations
from typing import Any, Final, Literal, Self

from studio.compare.dealing import Unit, draw, order, share
from studio.compare.dealing import taken as load_of
from studio.compare.giveaways import shown
from studio.compare.known_pairs import KnownPair, from_references, rows
from studio.errors import NotFoundError, RunError, SettingError
from studio.store import AnswerRow, ArmRow, ComparisonRow, DealRow, Pairing, SessionRow, Store

Matching = Literal["reference", "all"]
Dealer = Callable[[Sequence[DealRow]], Sequence[Pairing]]

#: A session shows at most this many prompts: beyond it, more raters are worth more than more prompts.
MOST_PAIRS: Final = 200
MOST_GOLD: Final = 20
DAY: Final = 86_400.0
_MOST_CRITERIA: Final = 5
_LONGEST_CRITERION: Final = 60


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """What the owner chooses when a session opens.

    ``prompts``: how many are rated (``None``: all, at most ``MOST_PAIRS``). ``ratings_per_prompt``: by how many people each
    (``None``: everybody rates everything). ``per_rater``: how many pairs one person is dealt at most. ``overlap``: the share of
    prompts, 0 to 1, that everybody sees all the same. ``criteria``: questions beside the overall one. ``comments``: whether
    raters may write one. ``gold``: pairs of which the better answer is known, to see how carefully somebody rates.
    ``min_seconds``: the least time between two votes. ``pairs``: each challenger against the reference, or all against all.
    ``expires_days``: how long an invite leads in. ``login``: whether signed-in people may take a seat themselves.
    Raises ``SettingError`` for a value that cannot work.
    """

    prompts: int | None = None
    ratings_per_prompt: int | None = None
    per_rater: int | None = None
    overlap: float = 0.0
    criteria: tuple[str, ...] = ()
    comments: bool = False
    gold: int = 0
    min_seconds: float = 0.0
    pairs: Matching = "reference"
    expires_days: float = 30.0
    login: bool = False

    def __post_init__(self) -> None:
        for name in ("prompts", "ratings_per_prompt", "per_rater"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, "Choose 1 or more.")
        _require(0.0 <= self.overlap <= 1.0, "overlap", "Use a share from 0 to 1.")
        _require(0 <= self.gold <= MOST_GOLD, "gold", f"Use a whole number from 0 to {MOST_GOLD}.")
        _require(0.0 <= self.min_seconds <= 120.0, "min_seconds", "Use a number of seconds from 0 to 120.")
        _require(0.0 < self.expires_days <= 366.0, "expires_days", "Use a number of days up to 366.")
        _require(self.pairs in ("reference", "all"), "pairs", "Use reference or all.")
        names = {one.strip().casefold() for one in self.criteria}
        good = all(0 < len(one.strip()) <= _LONGEST_CRITERION for one in self.criteria)
        _require(
            len(self.criteria) <= _MOST_CRITERIA, "criteria", f"Ask at most {_MOST_CRITERIA} questions beside the overall one."
        )
        _require(
            good and len(names) == len(self.criteria) and "overall" not in names,
            "criteria",
            f"Give each question an own name of 1 to {_LONGEST_CRITERION} characters other than “overall”.",
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The options that ``asdict`` wrote, of this version or an earlier one."""
        known = {one.name for one in fields(cls)}
        found: dict[str, Any] = {name: entry for name, entry in value.items() if name in known}
        found["criteria"] = tuple(found.get("criteria", ()))
        return cls(**found)


@dataclass(frozen=True, slots=True)
class PairPlan:
    """Two arms that are compared. ``identical`` are prompts of the session on which they gave the same answer, others not."""

    challenger: str = "tuned"
    against: str = "base"
    identical: tuple[str, ...] = ()

    @property
    def arms(self) -> frozenset[str]:
        """Both, without an order."""
        return frozenset((self.challenger, self.against))


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What a session is about: prompts that people rate, and prompts to which all arms gave the same answer.

    ``overlap`` are prompts that everybody sees.
    """

    rated: tuple[str, ...]
    automatic_ties: tuple[str, ...]
    pairs: tuple[PairPlan, ...] = (PairPlan(),)
    overlap: tuple[str, ...] = ()
    options: SessionOptions = field(default_factory=SessionOptions)

    @classmethod
    def of(cls, session: SessionRow) -> Self:
        """The plan of a stored session. Those of the first version hold prompts only, for base against tuned."""
        found = json.loads(session.settings_json)
        pairs = [PairPlan(one["challenger"], one["against"], tuple(one["identical"])) for one in found.get("pairs", ())]
        return cls(
            tuple(found["rated"]),
            tuple(found["automatic_ties"]),
            tuple(pairs) or (PairPlan(),),
            tuple(found.get("overlap", ())),
            SessionOptions.from_dict(found.get("options", {})),
        )

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps({"version": 2, **asdict(self)}, sort_keys=True)

    @property
    def units(self) -> tuple[Unit, ...]:
        """Everything that one vote can be about: each rated prompt with each two arms that answered it differently."""
        return tuple(unit for pair in self.pairs for unit in self.units_of(pair))

    def units_of(self, pair: PairPlan, prompts: Sequence[str] | None = None) -> tuple[Unit, ...]:
        """The part of one pair of arms; of ``prompts`` only, when given."""
        same = set(pair.identical)
        listed = self.rated if prompts is None else prompts
        return tuple(Unit(prompt_id, pair.challenger, pair.against) for prompt_id in listed if prompt_id not in same)

    def ties_of(self, pair: PairPlan) -> tuple[str, ...]:
        """Prompts on which these two gave the same answer."""
        return (*self.automatic_ties, *pair.identical)


def open_session(
    store: Store,
    comparison_id: str,
    owner: str,
    *,
    prompts: int | None = None,
    options: SessionOptions | None = None,
    known: Sequence[KnownPair] = (),
) -> SessionRow:
    """Open a rating session over complete answers. ``prompts`` is short for an option of that name.

    ``known`` are the owner's own gold items; without any, ``options.gold`` of them are made from the reference answers.
    Raises ``NotFoundError`` for somebody else's comparison, ``SettingError`` for options that cannot work, ``RunError`` while
    answers are missing or when all arms gave the same answer everywhere.
    """
    comparison = store.comparisons.get(comparison_id, owner)
    wanted = options or SessionOptions()
    if prompts is not None:
        wanted = replace(wanted, prompts=prompts)
    if store.jobs.get(comparison.id).status != "completed":
        raise RunError("The answers are not complete yet.", next_step="Wait until both models have answered every prompt.")
    _require_sealed(store, comparison)
    arms, answers = store.comparisons.arms(comparison.id), store.comparisons.answers(comparison.id)
    told = answered_by_all(answers, [arm.name for arm in arms])
    matched = _pairs(arms, wanted.pairs)
    same = {pair.arms: _identical(told, pair) for pair in matched}
    drawn = draw(tuple(told), set.intersection(*same.values()), min(wanted.prompts or MOST_PAIRS, MOST_PAIRS))
    if not drawn.rated:
        raise RunError(
            "Both models gave the same answer to every prompt, so there is nothing to rate.",
            next_step="Train longer, or with more or different examples, and compare again.",
        )
    pairs = tuple(replace(pair, identical=_of(drawn.rated, same[pair.arms])) for pair in matched)
    overlap = drawn.rated[: round(wanted.overlap * len(drawn.rated))]
    plan = SessionPlan(drawn.rated, drawn.automatic_ties, pairs, overlap, wanted)
    _require_room(plan)
    items = tuple(known) or from_references(answers, wanted.gold, avoid=drawn.rated)
    if wanted.gold and not items:
        raise SettingError(
            "The prompts have no reference answers of which gold items could be made.",
            where="gold",
            next_step="Give pairs of your own, or open the session without gold items.",
        )
    return store.ratings.open_session(
        owner=owner,
        comparison_id=comparison.id,
        settings_json=plan.to_json(),
        gold=rows(items),
        event=f"Opened with {len(plan.rated):,} prompts to rate.",
    )


def pause(store: Store, session_id: str, owner: str) -> bool:
    """Take no votes for now; ``False`` when it is not open. Raises ``NotFoundError``."""
    return store.ratings.move(owned_session(store, session_id, owner).id, "paused", "Paused.")


def resume(store: Store, session_id: str, owner: str) -> bool:
    """Take votes again after a pause; ``False`` when it is not paused. Raises ``NotFoundError``."""
    return store.ratings.move(owned_session(store, session_id, owner).id, "open", "Resumed.")


def close(store: Store, session_id: str, owner: str) -> None:
    """Take no more votes, for good; the session stays in the record. Twice is once. Raises ``NotFoundError``."""
    store.ratings.move(owned_session(store, session_id, owner).id, "closed", "Closed.")


def extend(store: Store, session_id: str, owner: str, *, prompts: int = 0, days: float = 0.0) -> SessionPlan:
    """Add prompts that were not drawn yet, let invites lead in for ``days`` from now, or both; the plan afterwards.

    New prompts come at the end of the order of everybody who is still blind; where ``per_rater`` limits their part, they wait
    for new raters. How often a prompt is rated stays as it was: a prompt that has all its ratings must not change its score.
    Raises ``NotFoundError``, ``SettingError`` when nothing would change, ``RunError`` when it is closed or nothing is left.
    """
    session = owned_session(store, session_id, owner)
    if prompts < 0 or days < 0 or not (prompts or days):
        raise SettingError("An extension adds prompts or days.", where="prompts", next_step="Say how many.")
    if session.state == "closed":
        raise RunError("This session is closed.", next_step="Open a new session over the same answers.")
    if prompts:
        answers = store.comparisons.answers(session.comparison_id)
        names = [arm.name for arm in store.comparisons.arms(session.comparison_id)]
        told = answered_by_all(answers, names)
        store.ratings.extend(
            session.id, f"Extended by up to {prompts:,} prompts.", lambda row: _longer(store, row, told, prompts)
        )
    if days:
        store.ratings.prolong(session, time.time() + days * DAY, f"Invites last {days:g} more days.")
    return SessionPlan.of(owned_session(store, session_id, owner))


def owned_session(store: Store, session_id: str, owner: str) -> SessionRow:
    """The session, if it is this owner's; somebody else's looks the same as none. Raises ``NotFoundError``."""
    session = store.ratings.session(session_id)
    if session.owner != owner:
        raise NotFoundError(f"There is no session {session_id!r}.", next_step="Open the link that you were given.")
    return session


def answered_by_all(answers: Sequence[AnswerRow], arms: Sequence[str]) -> dict[str, dict[str, AnswerRow]]:
    """Prompt id → arm → answer, for the prompts that every arm answered, in the order of the prompts."""
    found: dict[str, dict[str, AnswerRow]] = defaultdict(dict)
    for answer in answers:
        found[answer.prompt_id][answer.arm] = answer
    return {prompt_id: by_arm for prompt_id, by_arm in found.items() if set(arms) <= set(by_arm)}


def answer_pairs(answers: Sequence[AnswerRow]) -> dict[str, tuple[AnswerRow, AnswerRow]]:
    """Prompt id → answers of the reference and of the first challenger, for the prompts that both answered, in their order.

    Takes answers as the store gives them: those of one prompt in the order of the arms.
    """
    names = list(dict.fromkeys(one.arm for one in answers))
    first = ("base", "tuned") if {"base", "tuned"} <= set(names) else tuple(names[:2])
    if len(first) < 2:
        return {}
    return {prompt_id: (both[first[0]], both[first[1]]) for prompt_id, both in answered_by_all(answers, first).items()}


def _longer(store: Store, session: SessionRow, told: Mapping[str, Mapping[str, AnswerRow]], more: int) -> tuple[str, Dealer]:
    """The longer plan of a session, and what each rater is dealt of what is new."""
    plan = SessionPlan.of(session)
    rest = [prompt_id for prompt_id in told if prompt_id not in {*plan.rated, *plan.automatic_ties}]
    same = {pair.arms: _identical(told, pair) for pair in plan.pairs}
    drawn = draw(rest, set.intersection(*same.values()), min(more, MOST_PAIRS - len(plan.rated)))
    if not drawn.rated:
        raise RunError(
            "Every prompt that this session can show is in it already.",
            next_step="Invite more people, or compare on more prompts.",
        )
    pairs = tuple(replace(pair, identical=(*pair.identical, *_of(drawn.rated, same[pair.arms]))) for pair in plan.pairs)
    added = tuple(unit for pair in pairs for unit in plan.units_of(pair, drawn.rated))
    longer = replace(
        plan,
        rated=(*plan.rated, *drawn.rated),
        automatic_ties=(*plan.automatic_ties, *drawn.automatic_ties),
        pairs=pairs,
        options=replace(plan.options, prompts=len(plan.rated) + len(drawn.rated)),
    )
    reference = store.comparisons.arms(session.comparison_id)[0].name
    load = load_of(())

    def dealt(before: Sequence[DealRow]) -> Sequence[Pairing]:
        if plan.options.per_rater is not None or not before:
            return ()
        mine = order(share(added, load=load, planned=plan.options.ratings_per_prompt), reference=reference)
        load.update((one.prompt_id, frozenset((one.left_arm, one.right_arm))) for one in mine)
        return mine

    return longer.to_json(), dealt


def _pairs(arms: Sequence[ArmRow], matching: Matching) -> tuple[PairPlan, ...]:
    reference, *challengers = (arm.name for arm in arms)
    pairs = [PairPlan(name, reference) for name in challengers]
    if matching == "all":
        pairs += [PairPlan(later, earlier) for earlier, later in combinations(challengers, 2)]
    return tuple(pairs)


def _identical(told: Mapping[str, Mapping[str, AnswerRow]], pair: PairPlan) -> set[str]:
    return {
        prompt_id
        for prompt_id, by_arm in told.items()
        if shown(by_arm[pair.challenger].text) == shown(by_arm[pair.against].text)
    }


def _of(listed: Sequence[str], chosen: set[str]) -> tuple[str, ...]:
    return tuple(one for one in listed if one in chosen)


def _require(holds: bool, name: str, advice: str) -> None:
    if not holds:
        raise SettingError("This value cannot work.", where=name, next_step=advice)


def _require_room(plan: SessionPlan) -> None:
    most, shared = plan.options.per_rater, set(plan.overlap)
    needed = sum(unit.prompt_id in shared for unit in plan.units)
    _require(
        most is None or most >= needed,
        "per_rater",
        f"Everybody is to see {needed:,} pairs; raise the number for one rater, or lower the share that everybody sees.",
    )


def _require_sealed(store: Store, comparison: ComparisonRow) -> None:
    """Answers count only under the seal of their run: it is what says that no prompt was trained on."""
    if comparison.run_id is None:
        return
    sealed = store.runs.get(comparison.run_id, comparison.owner).seal
    # Answers of a version without seals say nothing about them.
    answered_under = json.loads(comparison.settings_json).get("run_seal", "")
    if answered_under and answered_under != sealed:
        raise RunError(
            "These answers were made under another seal of the run, so some prompts may have been trained on.",
            where=comparison.id,
            next_step="Ask both models again.",
        )
