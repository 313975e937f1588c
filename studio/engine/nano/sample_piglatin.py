"""The sample *Pig Latin*: short English phrases, and the same in the children's secret language.

Rule: consonants before the first vowel go to the end, then ``ay``; a word that begins with a vowel just takes ``way``; ``qu``
moves as one; ``y`` is a vowel unless it comes first.
"""

from __future__ import annotations

import random

from studio.engine.nano.grammar import say
from studio.engine.nano.words import pool

_THINGS = pool(
    "cat dog hen duck frog fish mouse horse apple egg cake bread soup rice ship train tree flower stone box book clock chair"
    " table lamp window door bell ball hat shoe coat ring queen king girl boy baby farmer doctor teacher island forest river"
    " school garden kitchen street"
)
_HOW = pool(
    "red blue green black white small big old new happy sad quick slow quiet warm cold clean empty open bright sweet strong"
    " round funny kind"
)
_DO = pool("sees finds takes likes wants helps brings keeps paints draws follows watches carries loves hears")
_WHERE = pool("in on under near behind after")


def pig_latin(word: str) -> str:
    """One lower-case word in Pig Latin."""
    if word[0] in "aeiou":
        return word + "way"
    for place in range(1, len(word)):
        if word[place] in "aeiouy":
            cut = place + 1 if word[place - 1 : place + 1] == "qu" else place
            return word[cut:] + word[:cut] + "ay"
    return word + "ay"


def pig_latin_row(rng: random.Random) -> tuple[str, str]:
    """One phrase and its Pig Latin."""
    one, two = rng.sample(_THINGS, 2)
    phrase = say(
        rng,
        "[the <h> <a>|my <h> <a>|a <h> <a>|the <a> <d> the <b>|the <a> and the <b>|the <a> <w> the <b>|a <a> <w> my <b>|the <h>"
        " <a> <d> my <b>|<a> and <b>|one <h> <a>]",
        a=one,
        b=two,
        h=rng.choice(_HOW),
        d=rng.choice(_DO),
        w=rng.choice(_WHERE),
    )
    return phrase, " ".join(pig_latin(word) for word in phrase.split())
