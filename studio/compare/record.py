"""One finished or running session as plain values: who compared what with what, and every button that was pressed.

Guarantees: everything that a verdict rests on is in a ``Record`` and nothing else is, so that equal records give equal numbers
on any machine. A session has one *reference* arm (normally the base model); every other arm is a *challenger*. What belongs to
two arms is kept under their ``Pair``, whichever stood on the left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studio.compare.votes import Vote
from studio.errors import DataError

if TYPE_CHECKING:
    from studio.store import Choice

Pair = frozenset[str]


def pair_of(one: str, other: str) -> Pair:
    """The key of two arms, in either order."""
    return frozenset((one, other))


@dataclass(frozen=True, slots=True)
class Arm:
    """One system that answered. ``name`` is unique in the session; ``label`` is what people read, the name when empty."""

    name: str
    label: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One button press on two arms; ``left`` and ``right`` say which arm's answer this rater saw on which side.

    ``criteria`` holds what the same rater answered to the questions beside the overall one.
    """

    prompt_id: str
    rater: str
    choice: Choice
    left: str
    right: str
    unblinded: bool = False
    criteria: Mapping[str, Choice] = field(default_factory=dict[str, "Choice"])
    comment: str = ""

    def __post_init__(self) -> None:
        if self.left == self.right:
            raise DataError("Both sides show the same arm.", where="left", next_step="Compare two different arms.")


@dataclass(frozen=True, slots=True)
class Gold:
    """An answer to a gold item, a pair with a known better side: right, wrong, or ``None`` for skipped. Never in a verdict."""

    item: str
    rater: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class Guess:
    """What a rater said before the reveal about which side was the challenger's: right, wrong, or ``None`` for not sure."""

    rater: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class Record:
    """All that a verdict rests on.

    ``arms`` in the order in which they are told of, ``reference`` one of their names. ``ballots`` is the whole log, oldest
    first. ``automatic_ties`` are prompts on which two arms gave the identical text; ``closed`` the prompts that have all the
    ratings they will get (``None``: every prompt with a vote); ``caps`` the number of prompts that a pair covers, ties
    included. ``slices``: prompt → name → value; ``lengths``: prompt → arm → characters of the text shown. ``stamps`` are plain
    sentences about what the prompts are not; ``source`` says in words where they come from.
    """

    arms: tuple[Arm, ...]
    reference: str
    ballots: tuple[Ballot, ...]
    automatic_ties: Mapping[Pair, tuple[str, ...]] = field(default_factory=dict[Pair, tuple[str, ...]])
    closed: Mapping[Pair, frozenset[str]] | None = None
    caps: Mapping[Pair, int] = field(default_factory=dict[Pair, int])
    slices: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    lengths: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    gold: tuple[Gold, ...] = ()
    guesses: tuple[Guess, ...] = ()
    stamps: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(names) < 2 or len(set(names)) < len(names):
            raise DataError("A session compares two or more different arms.", where="arms")
        if self.reference not in names:
            raise DataError("The reference is not one of the arms.", where="arms")

    @property
    def challengers(self) -> tuple[Arm, ...]:
        """Every arm but the reference, in order."""
        return tuple(arm for arm in self.arms if arm.name != self.reference)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every two arms, each once: (first, second) in the order of the arms, but the reference always second."""
        order = [*(arm.name for arm in self.challengers), self.reference]
        return tuple((one, other) for at, one in enumerate(order) for other in order[at + 1 :])

    def votes(self, challenger: str, against: str, criterion: str = "") -> Iterator[Vote]:
        """The log of one pair as votes for or against ``challenger``, oldest first.

        With a ``criterion`` the votes are the answers to it; who did not answer it has no vote.
        """
        two = pair_of(challenger, against)
        for one in self.ballots:
            if one.left not in two or one.right not in two:
                continue
            choice = one.criteria.get(criterion) if criterion else one.choice
            if choice is not None:
                yield Vote(one.prompt_id, one.rater, choice, "left" if one.left == challenger else "right", one.unblinded)

    def closed_of(self, pair: Pair) -> frozenset[str] | None:
        """The closed prompts of a pair, ``None`` for all with a vote."""
        return None if self.closed is None else self.closed.get(pair, frozenset())
