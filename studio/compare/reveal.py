"""When a rater learns which side was which: the question before it, and what they are told.

Guarantees: nobody is told a side before every pair of theirs has an answer or the session is closed; what they guessed before
is recorded with the telling, once; gold items are counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

from studio.compare.dealing import BETTER
from studio.compare.seeing import Item, Message, Seat, Visit, as_dealt, item_of, seat_of
from studio.errors import RunError, SettingError
from studio.store import ArmRow, Choice, DealRow, Side, Store

Guess = Literal["left", "right", "unsure"]

GUESSES: Final[tuple[Guess, ...]] = get_args(Guess)


@dataclass(frozen=True, slots=True)
class Question:
    """What a rater is asked before the reveal: on which side of this pair the ``challenger`` stands.

    ``base_and_tuned`` says that the two are a base model and the same model tuned, for which there are plainer words.
    """

    item: Item
    challenger: str
    against: str
    base_and_tuned: bool


@dataclass(frozen=True, slots=True)
class RevealedItem:
    """One pair with the arms that this rater saw left and right. ``tuned_side`` is the side of the challenger."""

    position: int
    messages: tuple[Message, ...]
    left: str
    right: str
    choice: Choice | None
    tuned_side: Side
    left_label: str = ""
    right_label: str = ""


@dataclass(frozen=True, slots=True)
class Reveal:
    """Which side was which, and this rater's own votes. ``guessed_right`` is ``None`` for ``unsure``.

    Gold items are not among the ``items``: of ``gold`` that this rater answered they got ``gold_right`` right. ``several``
    says that there were more than two arms, so that ``tuned_won`` counts all challengers.
    """

    items: tuple[RevealedItem, ...]
    guess: Guess
    guessed_right: bool | None
    tuned_won: int
    base_won: int
    ties: int
    both_bad: int
    skipped: int
    gold: int = 0
    gold_right: int = 0
    several: bool = False
    base_and_tuned: bool = True


def question(store: Store, token: str) -> Question:
    """The question before the reveal, about the last pair of this rater's order. Raises as ``finish`` does."""
    seat = seat_of(store, token)
    _require_done(seat)
    dealt = seat.deals[-1]
    arms = _arms(store, seat)
    challenger, against = (arms[name] for name in _roles(seat, dealt))
    return Question(
        item_of(store, Visit(seat.rater, seat.session), dealt.position),
        challenger.label,
        against.label,
        _base_and_tuned(arms.values()),
    )


def finish(store: Store, token: str, guess: str) -> Reveal:
    """Reveal the sides to a rater who is done, and record what they guessed before.

    ``guess`` is about the last pair of this rater's order (sides change from pair to pair): on which side the tuned model's
    answer was. The first guess stays; asking again reveals again. Raises ``RunError`` while pairs are open in a session that
    is not closed, ``SettingError`` for an unknown guess, ``NotFoundError`` for an unknown token.
    """
    seat = seat_of(store, token)
    _require_done(seat)
    if guess not in GUESSES:
        raise SettingError("This is not an answer to the question.", where="guess", next_step="Say left, right or not sure.")
    store.ratings.reveal(seat.rater.id, guess)
    return _reveal(store, seat_of(store, token))


def tuned_side(dealt: DealRow, challenger: str = "tuned") -> Side:
    """On which side the challenger's answer stands."""
    return "left" if dealt.left_arm == challenger else "right"


def outcome_of(choice: Choice, side: Side) -> str:
    """``tuned``, ``base``, or the choice itself where no side was chosen. ``side`` is the challenger's."""
    if choice in ("left", "right"):
        return "tuned" if choice == side else "base"
    return choice


def _require_done(seat: Seat) -> None:
    missing = len(seat.deals) - len(seat.said)
    if missing and seat.session.state != "closed" and seat.rater.revealed_at is None:
        raise RunError(f"You have {missing} left to rate.", next_step="Rate or skip them first.")


def _arms(store: Store, seat: Seat) -> dict[str, ArmRow]:
    return {arm.name: arm for arm in store.comparisons.arms(seat.session.comparison_id)}


def _roles(seat: Seat, dealt: DealRow) -> tuple[str, str]:
    """The challenger and what it is compared with."""
    both = frozenset((dealt.left_arm, dealt.right_arm))
    pair = next(pair for pair in seat.plan.pairs if pair.arms == both)
    return pair.challenger, pair.against


def _base_and_tuned(arms: Iterable[ArmRow]) -> bool:
    return [(one.name, one.kind) for one in arms] == [("base", "base"), ("tuned", "run")]


def _reveal(store: Store, seat: Seat) -> Reveal:
    arms = _arms(store, seat)
    items: list[RevealedItem] = []
    gold: list[bool] = []
    for dealt in seat.deals:
        choice = seat.said.get(dealt.position)
        if dealt.kind == "gold":
            if choice and choice != "skip":
                gold.append(choice == dealt.side_of(BETTER))
            continue
        side = tuned_side(dealt, _roles(seat, dealt)[0])
        messages, left, right = as_dealt(store, seat.session, dealt)
        names = (arms[dealt.left_arm].label, arms[dealt.right_arm].label)
        items.append(RevealedItem(dealt.position, messages, left, right, choice, side, *names))
    counts = Counter(outcome_of(one.choice, one.tuned_side) for one in items if one.choice)
    guess = cast("Guess", seat.rater.guess)
    last = tuned_side(seat.deals[-1], _roles(seat, seat.deals[-1])[0])
    return Reveal(
        items=tuple(items),
        guess=guess,
        guessed_right=None if guess == "unsure" else guess == last,
        tuned_won=counts["tuned"],
        base_won=counts["base"],
        ties=counts["tie"],
        both_bad=counts["both_bad"],
        skipped=counts["skip"],
        gold=len(gold),
        gold_right=sum(gold),
        several=len(arms) > 2,
        base_and_tuned=_base_and_tuned(arms.values()),
    )
