"""The file of votes, read: a parsed JSON document becomes a ``Record``, or a ``DataError`` names the place that is wrong.

Guarantees: nothing outside the file is asked; whatever the file holds, nothing but a ``DataError`` comes out; keys that the
numbers do not need are left alone. The file holds the votes in the order in which they were cast:

    {"items": [{"prompt_id": "p01", "rater": "ana", "choice": "left", "tuned_side": "right"}, …]}

That is version 1: base against tuned. Version 2 names the arms, and each item its sides:

    {"version": 2, "arms": [{"name": "base", "reference": true}, {"name": "run-2", "label": "Second try"}],
     "items": [{"prompt_id": "p01", "rater": "ana", "choice": "left", "left": "run-2", "right": "base"}, …]}

An item may say ``unblinded`` and ``criteria`` ({name: choice}). The file may name ``automatic_ties`` (prompt ids), ``cap``
(prompts that the session covers), or for every two arms ``matchups`` ([{challenger, reference, automatic_ties, cap}]);
``closed`` (prompt ids; with more than two arms {prompt_id, arms: [one, other]}); ``slices`` ({prompt: {name: value}});
``lengths`` ({prompt: {arm: characters}}); ``gold`` ({votes: [{gold_id, rater, right}]}); ``raters`` ([{rater, guess,
tuned_side}]); ``stamps`` and ``prompt_source``. An item of a file made by hand may carry ``slice``, ``len_base`` and
``len_tuned`` itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, cast

from studio.compare.fields import (
    flag,
    identifier,
    list_of,
    mapping,
    objects,
    one_of,
    optional_mapping,
    place,
    required,
    shown,
    text_of,
    whole,
)
from studio.compare.record import Arm, Ballot, Gold, Guess, Pair, Record, pair_of
from studio.compare.votes import CHOICES, SIDES
from studio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studio.store import Choice

    Fields = Mapping[str, object]

_BASE_AND_TUNED: Final = (Arm("base", kind="base"), Arm("tuned", kind="run"))
_GUESSES: Final = ("left", "right", "unsure")
_SOURCES: Final[Mapping[str, str]] = {
    "held_out": "held out from training",
    "list": "of the owner's own list",
    "pack": "of a regression pack",
}


def record_from_document(document: object) -> Record:
    """Read a parsed vote file. Raises ``DataError`` that names the item and the field when it cannot be read."""
    fields = mapping(document, "", "This is not a file of votes.")
    items = objects(fields, "items", needed=True)
    arms, reference = _arms(fields)
    names = tuple(arm.name for arm in arms)
    challengers = tuple(name for name in names if name != reference)
    read = _Reader(names, reference, challengers)
    slices, lengths = _slices(fields), _lengths(fields, names)
    _from_items(items, slices, lengths)
    ties, caps = read.matchups(fields) or (read.prompts(fields, "automatic_ties"), read.caps(fields.get("cap")))
    return Record(
        arms=arms,
        reference=reference,
        ballots=tuple(read.ballot(item, f"items[{at}]") for at, item in enumerate(items)),
        automatic_ties=ties,
        closed=_closed(read, fields),
        caps=caps,
        slices=slices,
        lengths=lengths,
        gold=_gold(fields),
        guesses=_guesses(fields, reference),
        stamps=_stamps(fields),
        source=_source(fields),
    )


class _Reader:
    """Reads what depends on the arms. ``challengers`` are the names but the reference."""

    def __init__(self, names: tuple[str, ...], reference: str, challengers: tuple[str, ...]) -> None:
        self._names = names
        self._reference = reference
        self._challengers = challengers
        self._first = challengers[0]

    def ballot(self, item: Fields, where: str) -> Ballot:
        left, right = self._sides(item, where)
        criteria: dict[str, Choice] = {
            identifier(name, f"{where}.criteria"): cast("Choice", one_of(value, CHOICES, place(f"{where}.criteria", name)))
            for name, value in optional_mapping(item, "criteria", where).items()
        }
        return Ballot(
            prompt_id=identifier(required(item, "prompt_id", where), f"{where}.prompt_id"),
            rater=identifier(required(item, "rater", where), f"{where}.rater"),
            choice=cast("Choice", one_of(required(item, "choice", where), CHOICES, f"{where}.choice")),
            left=left,
            right=right,
            unblinded=flag(item, "unblinded", where),
            criteria=criteria,
            comment=text_of(item, "comment", where),
        )

    def _sides(self, item: Fields, where: str) -> tuple[str, str]:
        """The arms left and right: by name, or in a session of two by the side of the challenger."""
        named = "left" in item or "right" in item
        if not named and len(self._challengers) > 1:
            raise DataError("This field is missing.", where=f"{where}.left", next_step="Name the arms left and right.")
        if not named:
            side = one_of(required(item, "tuned_side", where), SIDES, f"{where}.tuned_side")
            both = (self._first, self._reference)
            return both if side == "left" else (both[1], both[0])
        left, right = (one_of(required(item, side, where), self._names, f"{where}.{side}") for side in SIDES)
        if left == right:
            raise DataError("Both sides show the same arm.", where=f"{where}.right", next_step="Name two different arms.")
        told = item.get("tuned_side")
        if told is not None and len(self._challengers) == 1:
            side = one_of(told, SIDES, f"{where}.tuned_side")
            if (left if side == "left" else right) != self._first:
                raise DataError("This does not agree with left and right.", where=f"{where}.tuned_side")
        return left, right

    def prompts(self, fields: Fields, name: str) -> dict[Pair, tuple[str, ...]]:
        """Prompt ids per pair. A plain id speaks of the only pair there is."""
        found: dict[Pair, list[str]] = defaultdict(list)
        for at, value in enumerate(list_of(fields, name)):
            where = f"{name}[{at}]"
            if isinstance(value, Mapping):
                one = cast("Fields", value)
                pair = self._pair(one, where)
                found[pair].append(identifier(required(one, "prompt_id", where), f"{where}.prompt_id"))
            elif len(self._challengers) > 1:
                raise DataError(
                    "With more than two arms a prompt id alone says too little.",
                    where=where,
                    next_step='Write {"prompt_id": …, "arms": [one, other]}.',
                )
            else:
                found[pair_of(self._first, self._reference)].append(identifier(value, where))
        return {pair: tuple(prompts) for pair, prompts in found.items()}

    def _pair(self, item: Fields, where: str) -> Pair:
        both = [one_of(value, self._names, f"{where}.arms") for value in list_of(item, "arms", f"{where}.")]
        if len(both) != 2 or both[0] == both[1]:
            raise DataError("Two different arms belong here.", where=f"{where}.arms")
        return pair_of(*both)

    def matchups(self, fields: Fields) -> tuple[dict[Pair, tuple[str, ...]], dict[Pair, int]] | None:
        """Automatic ties and caps of every two arms that were dealt, where the file tells them apart."""
        listed = objects(fields, "matchups")
        ties: dict[Pair, tuple[str, ...]] = {}
        caps: dict[Pair, int] = {}
        for at, item in enumerate(listed):
            where = f"matchups[{at}]"
            one, other = (
                one_of(required(item, role, where), self._names, f"{where}.{role}") for role in ("challenger", "reference")
            )
            if one == other:
                raise DataError("Two different arms belong here.", where=f"{where}.reference")
            pair = pair_of(one, other)
            same = list_of(item, "automatic_ties", f"{where}.")
            ties[pair] = tuple(identifier(value, f"{where}.automatic_ties[{i}]") for i, value in enumerate(same))
            if item.get("cap") is not None:
                caps[pair] = whole(item["cap"], f"{where}.cap", least=1)
        return (ties, caps) if listed else None

    def caps(self, cap: object) -> dict[Pair, int]:
        """One number for every challenger, or one for each."""
        if cap is None:
            return {}
        if not isinstance(cap, Mapping):
            most = whole(cap, "cap", least=1)
            return {pair_of(name, self._reference): most for name in self._challengers}
        given = cast("Mapping[object, object]", cap)
        return {
            pair_of(one_of(name, self._challengers, "cap"), self._reference): whole(value, place("cap", name), least=1)
            for name, value in given.items()
        }


def _arms(fields: Fields) -> tuple[tuple[Arm, ...], str]:
    listed = objects(fields, "arms")
    if not listed:
        return _BASE_AND_TUNED, "base"
    arms: list[Arm] = []
    references: list[str] = []
    for at, item in enumerate(listed):
        where = f"arms[{at}]"
        name = identifier(required(item, "name", where), f"{where}.name")
        if any(arm.name == name for arm in arms):
            raise DataError(f"{shown(name)} stands here twice.", where=f"{where}.name")
        arms.append(Arm(name, text_of(item, "label", where), text_of(item, "kind", where)))
        if flag(item, "reference", where):
            references.append(name)
    if len(arms) < 2:
        raise DataError("A session compares two or more arms.", where="arms")
    if len(references) > 1:
        raise DataError("Only one arm can be the reference.", where="arms")
    if not references:
        references = [arm.name for arm in arms if arm.name == "base"] or [arms[0].name]
    return tuple(arms), references[0]


def _closed(read: _Reader, fields: Fields) -> dict[Pair, frozenset[str]] | None:
    if fields.get("closed") is None:
        return None
    return {pair: frozenset(prompts) for pair, prompts in read.prompts(fields, "closed").items()}


def _slices(fields: Fields) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for prompt, values in optional_mapping(fields, "slices").items():
        where = place("slices", prompt)
        named = mapping(values, where, f"{shown(values)} is not an object.").items()
        found[prompt] = {
            identifier(name, where): identifier(value, place(where, name)) for name, value in named if value not in (None, "")
        }
    return found


def _lengths(fields: Fields, names: tuple[str, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for prompt, values in optional_mapping(fields, "lengths").items():
        where = place("lengths", prompt)
        found[prompt] = {
            name: whole(value, f"{where}.{name}")
            for name, value in mapping(values, where, f"{shown(values)} is not an object.").items()
            if name in names
        }
    return found


def _from_items(items: Sequence[Fields], slices: dict[str, dict[str, str]], lengths: dict[str, dict[str, int]]) -> None:
    """Take what a file made by hand says of a prompt in the vote itself; what the file says in its own place stays."""
    for at, item in enumerate(items):
        where = f"items[{at}]"
        if item.get("slice") is not None:
            prompt = identifier(required(item, "prompt_id", where), f"{where}.prompt_id")
            slices.setdefault(prompt, {}).setdefault("slice", identifier(item["slice"], f"{where}.slice"))
        for arm in ("base", "tuned"):
            if item.get(f"len_{arm}") is not None:
                prompt = identifier(required(item, "prompt_id", where), f"{where}.prompt_id")
                lengths.setdefault(prompt, {}).setdefault(arm, whole(item[f"len_{arm}"], f"{where}.len_{arm}"))


def _gold(fields: Fields) -> tuple[Gold, ...]:
    votes = objects(optional_mapping(fields, "gold"), "votes", where="gold.")
    found: list[Gold] = []
    for at, item in enumerate(votes):
        where = f"gold.votes[{at}]"
        right = item.get("right")
        if right is not None and not isinstance(right, bool):
            raise DataError(f"{shown(right)} is neither true nor false.", where=f"{where}.right")
        named = identifier(required(item, "gold_id", where), f"{where}.gold_id")
        found.append(Gold(named, identifier(required(item, "rater", where), f"{where}.rater"), right))
    return tuple(found)


def _guesses(fields: Fields, reference: str) -> tuple[Guess, ...]:
    """What raters said at the end; who was not asked, or said nothing, is left out."""
    found: list[Guess] = []
    for at, item in enumerate(objects(fields, "raters")):
        where = f"raters[{at}]"
        side = _challenger_side(item, reference, where)
        if item.get("guess") in (None, "") or side is None:
            continue
        guess = one_of(item["guess"], _GUESSES, f"{where}.guess")
        rater = identifier(required(item, "rater", where), f"{where}.rater")
        found.append(Guess(rater, None if guess == "unsure" else guess == side))
    return tuple(found)


def _challenger_side(item: Fields, reference: str, where: str) -> str | None:
    """The side that the question was about. ``None`` when it showed two challengers, so that it had no right answer."""
    if item.get("tuned_side") is not None:
        return one_of(item["tuned_side"], SIDES, f"{where}.tuned_side")
    arms = optional_mapping(item, "arms", where)
    sides = [side for side in SIDES if arms.get(side) is not None and arms[side] != reference]
    return sides[0] if len(sides) == 1 and len(arms) == 2 else None


def _stamps(fields: Fields) -> tuple[str, ...]:
    """Sentences about what prompts are not, from a list, or by prompt, counted."""
    value = fields.get("stamps")
    if not isinstance(value, Mapping):
        return tuple(_stamp(one, f"stamps[{at}]") for at, one in enumerate(list_of(fields, "stamps")))
    by_prompt = cast("Fields", value)
    counts = Counter(_stamp(stamp, place("stamps", prompt)) for prompt, stamp in by_prompt.items())
    return tuple(f"{many:,} {'prompt' if many == 1 else 'prompts'}: {text}" for text, many in sorted(counts.items()))


def _stamp(value: object, where: str) -> str:
    if isinstance(value, Mapping):
        found = cast("Fields", value)
        return identifier(required(found, "text", where), f"{where}.text")
    return identifier(value, where)


def _source(fields: Fields) -> str:
    found = optional_mapping(fields, "prompt_source")
    kind, name = found.get("kind"), text_of(found, "name", "prompt_source")
    if not isinstance(kind, str) or kind not in _SOURCES:
        return ""
    return f"of the regression pack “{name}”" if kind == "pack" and name else _SOURCES[kind]
