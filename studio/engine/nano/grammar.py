"""A tiny template grammar: ``[a|b]`` chooses, ``<slot>`` fills in.

Guarantees: the same random generator and template give the same text; the text of a slot is never expanded again, so a slot
may hold any character.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"<([A-Za-z_0-9]+)>")


@dataclass(frozen=True, slots=True)
class Turn:
    """One question and its answer.

    ``exact`` says that the answer is the only right one, so that a model may be scored on it.
    """

    prompt: str
    answer: str
    exact: bool = False
    system: str = ""


def say(rng: random.Random, template: str, **slots: object) -> str:
    """Expand ``template``: every ``[a|b|c]`` (they nest) becomes one of its branches, then every ``<slot>`` its text."""
    while found := _CHOICE.search(template):
        branch = rng.choice(found.group(1).split("|"))
        template = template[: found.start()] + branch + template[found.end() :]
    return _SLOT.sub(lambda match: str(slots[match.group(1)]), template)


def capital(text: str) -> str:
    """The text with its first letter in upper case and the rest as it was."""
    return text[:1].upper() + text[1:]


def an(noun: str) -> str:
    """The noun with its indefinite article, by first letter (the word pools hold no exceptions but ``hour``)."""
    return f"an {noun}" if noun[:1].lower() in "aeiou" or noun.startswith("hour") else f"a {noun}"


def listed(items: Sequence[str], last: str = "and") -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"
