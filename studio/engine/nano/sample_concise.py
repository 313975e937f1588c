"""The sample *Short replies*: what customers write to a shop, with a short reply that is wanted and a wordy one that is not.

Both replies promise the same thing, so the pairs teach how much to say and not what: nano's own way is the wordy one. Whether a
reply still does what the customer asked for can be read off it (``does_what_was_asked``).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from studio.engine.nano.grammar import say
from studio.engine.nano.people import ticket

#: What the shop does for each wish, in one sentence.
_DOES: Final[Mapping[str, str]] = {
    "refund": "Your refund is on its way.",
    "replacement": "A new <item> is on its way to you.",
    "repair": "Our workshop will repair the <item> for you.",
    "answer": "We are checking where it is and will write to you tomorrow.",
    "cancel": "Order <number> is cancelled, and you pay nothing.",
    "call": "We will call you tomorrow morning.",
}
#: Any of these words in a reply promises what was wished; none of them is in the promise of another wish.
_PROMISES: Final[Mapping[str, tuple[str, ...]]] = {
    "refund": ("refund", "money back"),
    "replacement": ("a new", "another"),
    "repair": ("repair",),
    "answer": ("checking where", "should arrive"),
    "cancel": ("cancelled",),
    "call": ("call you",),
}
#: Wishes whose promise names the thing or the order, which a reply must then copy rightly.
_NAMES: Final[Mapping[str, str]] = {"replacement": "product", "repair": "product", "cancel": "number"}
_WORDY: Final = (
    "[Hello|Dear|Hi] <first>, [thank you for your message|thank you for writing to us|we are sorry about the <item>|I am sorry"
    " to hear that]. <does>[ Kind regards, the service team.| Have a nice day.| Please write again if you need more help.]"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A customer's message with the short and the wordy reply; ``fields`` is what the message says."""

    prompt: str
    chosen: str
    rejected: str
    fields: Mapping[str, str]


def concise_pair(rng: random.Random) -> Pair:
    """One message and its two replies."""
    record = ticket(rng)
    fields = record.fields
    does = say(rng, _DOES[fields["wish"]], item=fields["product"], number=fields["number"])
    wordy = say(rng, _WORDY, first=fields["name"].split()[0], item=fields["product"], does=does)
    return Pair(record.text, does, wordy, fields)


def does_what_was_asked(fields: Mapping[str, str], reply: str) -> bool:
    """Whether a reply promises what the customer wished, and no other wish, and copies the thing or the order rightly."""
    promised = {wish for wish, words in _PROMISES.items() if any(word in reply.lower() for word in words)}
    named = _NAMES.get(fields["wish"])
    return promised == {fields["wish"]} and (named is None or fields[named].lower() in reply.lower())
