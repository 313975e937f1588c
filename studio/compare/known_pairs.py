"""Gold items: pairs of which the better answer is known, so that a session can say how carefully somebody rates.

Guarantees: a gold item looks to a rater like any other pair; it is in no verdict; the worse answer is one that somebody really
gave to another prompt, never a text that was made to look bad.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any, Final, cast

from studio.errors import DataError
from studio.store.rows import AnswerRow, GoldRow

if TYPE_CHECKING:
    import random

#: Two references that are more alike than this could both be right.
_MOST_ALIKE: Final = 0.5
# Enough of a text to see that it is another one; the comparison takes the square of it.
_LOOKED_AT: Final = 400
_TRIES: Final = 20
_SHAPE: Final = 'A list of gold items looks like [{"prompt": "…", "better": "…", "worse": "…"}].'


@dataclass(frozen=True, slots=True)
class KnownPair:
    """A prompt, as the JSON of its turns, with an answer that is better and one that is worse."""

    prompt_json: str
    better: str
    worse: str


def from_references(
    answers: Sequence[AnswerRow], count: int, *, avoid: Collection[str] = (), chance: random.Random | None = None
) -> tuple[KnownPair, ...]:
    """Up to ``count`` items: a prompt's reference answer against the reference answer of quite another prompt.

    Prompts in ``avoid`` are taken only when there are not enough others. Empty when references are missing or all alike.
    """
    source = chance or secrets.SystemRandom()
    by_prompt = {one.prompt_id: one for one in answers if one.reference.strip()}
    listed = list(by_prompt.values())
    source.shuffle(listed)
    found: list[KnownPair] = []
    for one in sorted(listed, key=lambda answer: answer.prompt_id in avoid):
        if len(found) == count:
            break
        others = source.sample(listed, min(_TRIES, len(listed)))
        worse = next((other for other in others if _unlike(one.reference, other.reference)), None)
        if worse is not None:
            found.append(KnownPair(one.prompt_json, one.reference, worse.reference))
    return tuple(found)


def from_json(text: str) -> tuple[KnownPair, ...]:
    """The owner's own items. Raises ``DataError`` that names the item when the text cannot be read."""
    try:
        listed = json.loads(text)
    except ValueError as error:
        raise DataError(f"This is not JSON: {error}.", next_step=_SHAPE) from error
    if not isinstance(listed, list) or not listed:
        raise DataError("This is not a list of gold items.", next_step=_SHAPE)
    return tuple(_item(one, f"[{at}]") for at, one in enumerate(cast("list[Any]", listed)))


def rows(items: Sequence[KnownPair]) -> tuple[GoldRow, ...]:
    """The items as the store keeps them; it fills in the session."""
    return tuple(GoldRow("", f"gold-{at}", "", one.prompt_json, one.better, one.worse) for at, one in enumerate(items, start=1))


def _item(one: object, where: str) -> KnownPair:
    item = cast("Mapping[str, object]", one) if isinstance(one, Mapping) else {}
    texts: list[str] = []
    for name in ("prompt", "better", "worse"):
        value = item.get(name)
        if not isinstance(value, str) or not value.strip():
            raise DataError("This text is missing.", where=f"{where}.{name}", next_step=_SHAPE)
        texts.append(value)
    prompt, better, worse = texts
    if better.strip() == worse.strip():
        raise DataError("Both answers are the same.", where=where, next_step="Give one that is clearly worse.")
    return KnownPair(json.dumps([{"role": "user", "content": prompt}], ensure_ascii=False), better, worse)


def _unlike(one: str, other: str) -> bool:
    first, second = one.strip().casefold()[:_LOOKED_AT], other.strip().casefold()[:_LOOKED_AT]
    return first != second and SequenceMatcher(None, first, second).ratio() <= _MOST_ALIKE
