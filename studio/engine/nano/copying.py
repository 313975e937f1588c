"""Tasks whose answer is copied from the prompt: repeat, pick, join, look up, reorder, spell.

They are the larger half of the corpus on purpose: a model this small is only worth fine-tuning if it can copy a name or a
number that it has never seen, and copying is learnt from many small, unpredictable examples.
"""

from __future__ import annotations

import json
import random
import string

from studio.engine.nano import words
from studio.engine.nano.grammar import Turn, capital, listed, say

_POOLS = (words.COMMON, words.OFFICE, words.EVERYDAY_NOUNS, words.ADJECTIVES, words.COLOURS, words.FIRST_NAMES, words.CITIES)
_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_VOWELS = "aeiou"


def some_words(rng: random.Random, low: int, high: int, *, distinct: bool = True) -> list[str]:
    """Between ``low`` and ``high`` words, of one pool or mixed."""
    count = rng.randint(low, high)
    pool = rng.choice(_POOLS) if rng.random() < 0.6 else words.COMMON + words.OFFICE + words.EVERYDAY_NOUNS
    return rng.sample(pool, count) if distinct else [rng.choice(pool) for _ in range(count)]


def made_up(rng: random.Random) -> str:
    """A pronounceable word that no list holds, such as ``dorvik``."""
    parts = [rng.choice("bcdfghjklmnprstvwz") + rng.choice(_VOWELS) for _ in range(rng.randint(1, 3))]
    return "".join(parts) + rng.choice(("", "n", "r", "s", "k", "l", "x", "m"))


def code(rng: random.Random) -> str:
    """An order number or code in one of several shapes."""
    digits = "".join(rng.choice(string.digits) for _ in range(rng.randint(3, 7)))
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 3)))
    return rng.choice((digits, digits, f"{letters}-{digits}", f"{letters}{digits}", f"{digits[:2]}-{digits[2:]}"))


def anything(rng: random.Random) -> str:
    """A text of a few words, names, codes or made-up words."""
    kind = rng.random()
    if kind < 0.45:
        return " ".join(some_words(rng, 1, 9, distinct=False))
    if kind < 0.6:
        return " ".join(made_up(rng) for _ in range(rng.randint(1, 5)))
    if kind < 0.72:
        return " ".join(code(rng) for _ in range(rng.randint(1, 3)))
    if kind < 0.86:
        return f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
    mixed = [rng.choice((made_up, code, lambda r: r.choice(words.COMMON)))(rng) for _ in range(rng.randint(2, 6))]
    return " ".join(mixed)


def repeat(rng: random.Random) -> Turn:
    """Say the same text again."""
    text = anything(rng)
    prompt = say(
        rng,
        "[Repeat after me|Say this|Say exactly|Copy this text|Write this again|Repeat|Echo|Please repeat|Type]: <text>",
        text=text,
    )
    return Turn(prompt, text, exact=True)


def quote(rng: random.Random) -> Turn:
    """Put the text between quotation marks, brackets or stars, or take them off."""
    text = anything(rng)
    left, right, name = rng.choice(
        (('"', '"', "quotes"), ("(", ")", "brackets"), ("*", "*", "stars"), ("[", "]", "square brackets"))
    )
    if rng.random() < 0.5:
        return Turn(say(rng, "[Put|Write|Set] this in <name>: ", name=name) + text, f"{left}{text}{right}", exact=True)
    return Turn(say(rng, "[Take away|Remove|Drop] the <name>: ", name=name) + f"{left}{text}{right}", text, exact=True)


def nth_word(rng: random.Random) -> Turn:
    """Pick a word by its place."""
    chosen = some_words(rng, 3, 7)
    place = rng.randrange(min(len(chosen), 5))
    which = _ORDINALS[place]
    if rng.random() < 0.3:
        which, place = "last", len(chosen) - 1
    text = " ".join(chosen)
    ask = say(
        rng,
        "[What is the <which> word of|Quote the <which> word of|Give me the <which> word in|Which word comes <which> in]"
        ' "<text>"[?|]',
        which=which,
        text=text,
    )
    return Turn(ask, chosen[place], exact=True)


def after(rng: random.Random) -> Turn:
    """Which word stands before or after another."""
    chosen = some_words(rng, 3, 8)
    place = rng.randrange(len(chosen) - 1)
    side = rng.random() < 0.65
    sep = rng.choice((", ", " ", " - ", " > "))
    listing = sep.join(chosen)
    key, answer = (chosen[place], chosen[place + 1]) if side else (chosen[place + 1], chosen[place])
    ask = say(
        rng,
        "[Here is a list: <items>. What comes <side> <key>?|<items>\nWhat comes right <side> <key>?|In <items>, which word is"
        " <side> <key>?]",
        items=listing,
        side="after" if side else "before",
        key=key,
    )
    return Turn(ask, answer, exact=True)


def look_up(rng: random.Random) -> Turn:
    """Keys and values, some made up; give the value of one key."""
    count = rng.randint(2, 6)
    keys = {
        rng.choice((made_up, lambda r: r.choice(words.EVERYDAY_NOUNS), lambda r: r.choice(words.FIRST_NAMES)))(rng)
        for _ in range(count)
    }
    pairs = [
        (key, rng.choice((code, made_up, lambda r: r.choice(words.COLOURS), lambda r: r.choice(words.COMMON)))(rng))
        for key in sorted(keys)
    ]
    rng.shuffle(pairs)
    key, value = rng.choice(pairs)
    link, sep = rng.choice(((" is ", ", "), (" = ", "\n"), (": ", "\n"), (" -> ", "; "), (" means ", ". "), (" has ", ". ")))
    facts = sep.join(f"{k}{link}{v}" for k, v in pairs)
    ask = say(rng, "<facts>[.\n|\n]" if sep == ". " else "<facts>\n", facts=facts)
    ask += say(rng, "[What is|Give the value of|Look up|And] <key>?", key=key)
    return Turn(ask, value, exact=True)


def few_shot(rng: random.Random) -> Turn:
    """A pattern shown twice or more; go on with it."""
    kind = rng.randrange(6)
    items = some_words(rng, 3, 6)
    fns = (
        lambda w: w.upper(),
        lambda w: f"{w} {w}",
        lambda w: f"<{w}>",
        lambda w: f'"{w}"',
        lambda w: f"the {w}",
        lambda w: f"{w}!",
    )
    arrow = rng.choice((" -> ", " => ", " : ", " = "))
    lines = [f"{item}{arrow}{fns[kind](item)}" for item in items[:-1]]
    return Turn("\n".join([*lines, f"{items[-1]}{arrow}".rstrip()]), fns[kind](items[-1]), exact=True)


def join_list(rng: random.Random) -> Turn:
    """Rewrite a list with other marks: commas, bullets, numbers, JSON, lines, reversed."""
    items = some_words(rng, 2, 6)
    given = rng.choice((", ", " ", "\n", " and ", "; ")).join(items)
    bullets = "\n".join(f"- {item}" for item in items)
    numbers = "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))
    ask, answer = rng.choice(
        (
            ("[Make a bullet list of|Write as a bullet list|Turn into bullets]", bullets),
            ("[Number these|Make a numbered list of|Write as a numbered list]", numbers),
            ("[Make a JSON list of|Write as a JSON array|Give me a JSON array of]", json.dumps(items)),
            ("[Join with commas|Put commas between|Write with commas]", ", ".join(items)),
            ("[Join with dashes|Put dashes between]", "-".join(items)),
            ("[Put each on its own line|One per line]", "\n".join(items)),
            ("[Write backwards, last one first|Reverse the list|Turn the order around]", ", ".join(reversed(items))),
            ("[Join these in a sentence|Say these with and]", capital(listed(items)) + "."),
        )
    )
    return Turn(say(rng, ask) + ": " + given, answer, exact=True)


def edit_list(rng: random.Random) -> Turn:
    """Add, remove or replace one item, or say whether it is there."""
    items = some_words(rng, 3, 6)
    other = made_up(rng) if rng.random() < 0.4 else rng.choice([w for w in words.COMMON if w not in items])
    target = rng.choice(items)
    text = ", ".join(items)
    kind = rng.randrange(5)
    if kind == 0:
        rest = ", ".join(item for item in items if item != target)
        return Turn(say(rng, "[Remove|Take out|Leave out|Drop] <x> from: <t>", x=target, t=text), rest, exact=True)
    if kind == 1:
        return Turn(say(rng, "[Add|Put] <x> at the end: <t>", x=other, t=text), f"{text}, {other}", exact=True)
    if kind == 2:
        swapped = ", ".join(other if item == target else item for item in items)
        return Turn(say(rng, "[Replace|Change|Swap] <x> [with|to|by] <y>: <t>", x=target, y=other, t=text), swapped, exact=True)
    if kind == 3:
        asked, answer = (target, "Yes.") if rng.random() < 0.5 else (other, "No.")
        return Turn(say(rng, "Is <x> in [this|the] list? <t>", x=asked, t=text), answer, exact=True)
    count = words.NUMBER_WORDS[len(items)]
    return Turn(
        say(rng, "How many [words|items|things] are [in this list|here]? <t>", t=text), capital(count) + ".", exact=True
    )


def letters(rng: random.Random) -> Turn:
    """Spelling and small operations on one word."""
    word = rng.choice(words.COMMON + words.OFFICE + words.EVERYDAY_NOUNS) if rng.random() < 0.75 else made_up(rng)
    if rng.random() < 0.1:
        word = rng.choice(words.FIRST_NAMES)
    low = word.lower()
    kind = rng.choices(range(12), (5, 2, 2, 2, 1, 3, 3, 2, 2, 2, 1, 2))[0]
    spelled = {
        0: ("[Spell|How do you spell|Spell the word|Spell out] <w>[?|]", "-".join(word)),
        1: ("[What is the first letter of|First letter of|Which letter starts] <w>?", word[0]),
        2: ("[What is the last letter of|Last letter of|Which letter ends] <w>?", word[-1]),
        3: ("[Write <w> in capital letters|Put <w> in upper case|Upper case: <w>]", word.upper()),
        4: ("[Reverse the letters of|Write backwards:|Spell backwards:] <w>", word[::-1]),
        5: ("[Remove the first letter of|Cut off the first letter of|Without its first letter:] <w>", word[1:]),
        6: ("[Move the first letter of <w> to the end|Put the first letter of <w> last]", word[1:] + word[0]),
        7: ("[Add|Put] <suffix> at the end of <w>", ""),
        8: ("[Does <w> start with a vowel|Is the first letter of <w> a vowel]?", "Yes." if low[0] in _VOWELS else "No."),
        9: ("[Put spaces between the letters of|Letter by letter:] <w>", " ".join(word)),
        10: ("[How many letters does <w> have|How many letters are in <w>]?", str(len(word))),
        11: ("[Join the letters|Put the letters together|Which word is this]: <s>", word),
    }
    suffix = rng.choice(("ing", "ed", "er", "s", "ly", "ness", "ful", "able", "ish", "o", "ay", "way"))
    template, answer = spelled[kind]
    if kind == 7:
        answer = word + suffix
    return Turn(say(rng, template, w=word, suffix=suffix, s=rng.choice(("-", " ")).join(word)), answer, exact=True)


def each_word(rng: random.Random) -> Turn:
    """The same small operation on every word of a phrase."""
    chosen = some_words(rng, 2, 6)
    text = " ".join(chosen)
    template, answer = rng.choice(
        (
            ("[Write in capital letters|Upper case|Put in upper case|Shout]: <t>", text.upper()),
            ("[Capitalise every word|Title case]: <t>", " ".join(capital(word) for word in chosen)),
            ("[Give the first letters of|Initials of|First letter of each word]: <t>", " ".join(word[0] for word in chosen)),
            ("[Say every word twice|Double each word]: <t>", " ".join(f"{word} {word}" for word in chosen)),
            (
                "[Drop the first letter of each word|Cut the first letter of every word]: <t>",
                " ".join(w[1:] for w in chosen if w[1:]),
            ),
            ("[Write in lower case|Lower case]: <u>", text.lower()),
            ('[How many words are in|Count the words in] "<t>"?', str(len(chosen))),
            ("[Spell each word|Spell]: <t>", " ".join("-".join(word) for word in chosen)),
        )
    )
    return Turn(say(rng, template, t=text, u=text.upper()), answer, exact=True)


def between(rng: random.Random) -> Turn:
    """What stands in quotes or brackets inside a longer text."""
    inner = anything(rng)
    before, rest = some_words(rng, 1, 5), some_words(rng, 1, 5)
    left, right, name = rng.choice(
        (('"', '"', "quotes"), ("(", ")", "brackets"), ("[", "]", "square brackets"), ("*", "*", "stars"))
    )
    text = f"{' '.join(before)} {left}{inner}{right} {' '.join(rest)}"
    return Turn(
        say(rng, "[What is in the|What stands between the|Give me the text in] <name>? <t>", name=name, t=text),
        inner,
        exact=True,
    )


GENERATORS = (
    (repeat, 6.0),
    (quote, 2.5),
    (nth_word, 3.0),
    (after, 3.0),
    (look_up, 6.0),
    (few_shot, 3.0),
    (join_list, 4.0),
    (edit_list, 4.0),
    (letters, 7.0),
    (each_word, 4.0),
    (between, 2.5),
)
