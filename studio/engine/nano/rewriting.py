"""Tasks that say the same thing in another way: tense, person, number, politeness, length, spelling of contractions."""

from __future__ import annotations

import random
from collections.abc import Callable

from studio.engine.nano import words
from studio.engine.nano.grammar import Turn, an, capital, say
from studio.engine.nano.people import product

_CONTRACTIONS = (
    ("I'm", "I am"),
    ("you're", "you are"),
    ("it's", "it is"),
    ("we're", "we are"),
    ("they're", "they are"),
    ("don't", "do not"),
    ("doesn't", "does not"),
    ("can't", "cannot"),
    ("won't", "will not"),
    ("isn't", "is not"),
    ("didn't", "did not"),
    ("I've", "I have"),
    ("we've", "we have"),
    ("I'll", "I will"),
    ("we'll", "we will"),
    ("that's", "that is"),
)
_SUBJECTS = (
    ("I", "I", "my"),
    ("you", "you", "your"),
    ("we", "we", "our"),
    ("they", "they", "their"),
    ("he", "he", "his"),
    ("she", "she", "her"),
)
_WHEN = {
    "past": ("yesterday", "last week", "on Monday"),
    "now": ("every day", "often", "on Sundays"),
    "future": ("tomorrow", "next week", "soon"),
}


def _thing(rng: random.Random) -> str:
    pool = rng.choice((words.OBJECTS, words.PRODUCTS, words.FOODS))
    noun = rng.choice(pool)
    return rng.choice(
        (f"the {noun}", an(noun), f"the {rng.choice(words.COLOURS)} {noun}", f"the {rng.choice(words.ADJECTIVES)} {noun}")
    )


def tense(rng: random.Random) -> Turn:
    """Past, present, future, and the one that goes on now."""
    verb = rng.choice(words.VERBS)
    name, thing = rng.choice(words.FIRST_NAMES), _thing(rng)
    where = rng.choice(("", "", f" at the {rng.choice(words.PLACES)}", f" in {rng.choice(words.CITIES)}"))
    forms = {
        "present": f"{name} {verb[1]} {thing}{where}.",
        "past": f"{name} {verb[2]} {thing}{where}.",
        "future": f"{name} will {verb[0]} {thing}{where}.",
        "continuous": f"{name} is {verb[3]} {thing}{where}.",
    }
    source, target = rng.sample(list(forms), 2)
    asks = {
        "present": "[Put this in the present tense|Present tense|Say it in the present]",
        "past": "[Put this in the past tense|Past tense|Say it in the past|Make it past]",
        "future": "[Put this in the future|Future tense|Say it with will]",
        "continuous": "[Say that it is happening now|Use the -ing form|Present continuous]",
    }
    return Turn(f"{say(rng, asks[target])}: {forms[source]}", forms[target], exact=True)


def negate(rng: random.Random) -> Turn:
    """Make it negative, or a question."""
    verb = rng.choice(words.VERBS)
    name, thing = rng.choice(words.FIRST_NAMES), _thing(rng)
    past = rng.random() < 0.5
    plain = f"{name} {verb[2] if past else verb[1]} {thing}."
    helper = "did" if past else "does"
    if rng.random() < 0.5:
        return Turn(
            say(rng, "[Make it negative|Say the opposite|Add not|Negative]: ") + plain,
            f"{name} {helper} not {verb[0]} {thing}.",
            exact=True,
        )
    return Turn(
        say(rng, "[Make it a question|Turn into a question|Ask this]: ") + plain,
        f"{capital(helper)} {name} {verb[0]} {thing}?",
        exact=True,
    )


def contraction(rng: random.Random) -> Turn:
    """Short forms to long forms and back."""
    short, long_ = rng.choice(_CONTRACTIONS)
    rest = say(
        rng,
        (
            "[<ing> the <n>|in the <p>|happy about the <n>|very <a>|sure about it|ready for the <n>]"
            if short.endswith(("'m", "'re", "'s", "isn't"))
            else "[<base> the <n>|<base> it|<base> <an> today|<base> the <n> in the <p>]"
        ),
        ing=rng.choice(words.VERBS)[3],
        base=rng.choice(words.VERBS)[0],
        n=rng.choice(words.OBJECTS),
        an=an(rng.choice(words.PRODUCTS)),
        p=rng.choice(words.PLACES),
        a=rng.choice(words.ADJECTIVES),
    )
    first = (
        ""
        if short[0] == "I" or short.split("'")[0] in ("you", "it", "we", "they", "that")
        else rng.choice(("I ", "We ", "They ", "You "))
    )
    if short in ("doesn't", "isn't"):
        first = rng.choice(("She ", "He ", "It ", f"{rng.choice(words.FIRST_NAMES)} "))
    a, b = f"{capital(first + short)} {rest}.", f"{capital(first + long_)} {rest}."
    if rng.random() < 0.7:
        return Turn(
            say(rng, "[Write without short forms|Write out the short forms|Use the long form|No short forms]: ") + a,
            b,
            exact=True,
        )
    return Turn(say(rng, "[Use short forms|Make it shorter with a short form]: ") + b, a, exact=True)


def polite(rng: random.Random) -> Turn:
    """A blunt order as a polite request, or a friendly text as a short one."""
    verb, thing = rng.choice(words.VERBS)[0], _thing(rng)
    tail = rng.choice(("", "", " today", " tomorrow", f" on {rng.choice(words.DAYS)}", f" by {rng.choice(words.DAYS)}", " now"))
    blunt = say(
        rng,
        "[<v> <t><w>.|<v> <t><w>!|Just <v2> <t><w>.|You must <v2> <t><w>.|I want you to <v2> <t><w>.]",
        v=capital(verb),
        v2=verb,
        t=thing,
        w=tail,
    )
    kind = rng.random()
    if kind < 0.6:
        return Turn(
            say(rng, "[Make this polite|Say this politely|Ask more politely|Rewrite as a polite request|Be polite]: ") + blunt,
            f"Could you please {verb} {thing}{tail}?",
            exact=True,
        )
    request = say(
        rng,
        "[Would you be so kind as to|Could you please|Would you mind if I asked you to|I would be very happy if you could] <v>"
        " <t><w>?",
        v=verb,
        t=thing,
        w=tail,
    )
    return Turn(
        say(rng, "[Make it shorter|Say it in fewer words|Shorter, please|Be brief]: ") + request,
        f"Please {verb} {thing}{tail}.",
        exact=True,
    )


_CASUAL = (
    ("gonna", "going to"),
    ("wanna", "want to"),
    ("gotta", "have to"),
    ("u", "you"),
    ("thx", "thank you"),
    ("pls", "please"),
    ("yeah", "yes"),
    ("nope", "no"),
    ("kinda", "rather"),
    ("tons of", "many"),
    ("kids", "children"),
    ("guys", "people"),
    ("stuff", "things"),
    ("asap", "as soon as possible"),
    ("ok", "all right"),
    ("cause", "because"),
    ("super", "very"),
    ("cheap", "inexpensive"),
    ("get", "receive"),
    ("buy", "purchase"),
    ("help", "assist"),
    ("ask", "enquire"),
    ("need", "require"),
    ("start", "begin"),
    ("fix", "repair"),
)


def casual(rng: random.Random) -> Turn:
    """One casual word and its careful form, alone or in a sentence."""
    loose, careful = rng.choice(_CASUAL)
    if rng.random() < 0.35:
        return Turn(
            say(rng, "[What is a more formal word for|Say more formally:|A careful word for] <w>[?|]", w=loose),
            careful,
            exact=True,
        )
    left, right = " ".join(rng.sample(words.COMMON, rng.randint(1, 3))), " ".join(rng.sample(words.COMMON, rng.randint(1, 3)))
    return Turn(
        say(rng, "[Use a more formal word for <w>|Replace the casual word <w>]: <l> <w> <r>", w=loose, l=left, r=right),
        f"{left} {careful} {right}",
        exact=True,
    )


def person_change(rng: random.Random) -> Turn:
    """From one person to another."""
    verb = rng.choice(words.VERBS)
    one, other = rng.sample(_SUBJECTS, 2)
    thing = rng.choice(words.OBJECTS)

    def line(subject: tuple[str, str, str]) -> str:
        form = verb[1] if subject[0] in ("he", "she") else verb[0]
        return f"{capital(subject[0])} {form} {subject[2]} {thing}."

    return Turn(
        say(rng, "[Change <a> to <b>|Say it with <b>|Use <b> and not <a>]: ", a=one[0], b=other[0]) + line(one),
        line(other),
        exact=True,
    )


def plural(rng: random.Random) -> Turn:
    """One and many."""
    noun = rng.choice(words.OBJECTS + words.PRODUCTS + words.FOODS)
    special = {"leaf": "leaves", "knife": "knives", "shelf": "shelves", "mouse": "mice", "fish": "fish", "scarf": "scarves"}
    many = special.get(noun) or (
        noun + "es"
        if noun.endswith(("s", "x", "ch", "sh", "to"))
        else noun[:-1] + "ies"
        if noun[-1] == "y" and noun[-2] not in "aeio"
        else noun + "s"
    )
    if rng.random() < 0.6:
        return Turn(
            say(rng, "[What is the plural of <w>?|Plural of <w>|One <w>, two|More than one <w>?]", w=noun), many, exact=True
        )
    return Turn(say(rng, "[What is the singular of <w>?|Singular of <w>|Two <w>, one]", w=many), noun, exact=True)


def tidy(rng: random.Random) -> Turn:
    """Put in the missing capital letter and full stop, or take away double spaces."""
    text = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.VERBS)[2]} {_thing(rng)} at the {rng.choice(words.PLACES)}"
    if rng.random() < 0.5:
        return Turn(
            say(rng, "[Add the full stop and the capital letters|Correct this|Tidy this up|Fix the spelling]: ") + text.lower(),
            text + ".",
            exact=True,
        )
    return Turn(
        say(rng, "[Take out the extra spaces|Only one space between words]: ") + text.replace(" ", "  "), text, exact=True
    )


def opposite_sentence(rng: random.Random) -> Turn:
    """The same sentence with the opposite adjective, or another thing."""
    pair = rng.choice(words.OPPOSITES)
    if rng.random() < 0.5:
        pair = (pair[1], pair[0])
    noun = rng.choice(words.EVERYDAY_NOUNS)
    line = rng.choice(("The {n} is {a}.", "It is {an} {n}.", "I have a very {a} {n}.", "That {n} looks {a}."))
    first, second = (line.format(n=noun, a=word, an=an(word)) for word in pair)
    return Turn(
        say(rng, "[Say the opposite|Use the opposite of <w>|Turn the meaning around]: ", w=pair[0]) + first, second, exact=True
    )


def longer(rng: random.Random) -> Turn:
    """Join two sentences, or make a full sentence of notes."""
    name, thing, place = rng.choice(words.FIRST_NAMES), product(rng), rng.choice(words.PLACES)
    one, two = rng.sample(words.VERBS, 2)
    if rng.random() < 0.5:
        link = rng.choice(("and", "but", "because", "so"))
        a, b = f"{name} {one[2]} the {thing}", f"{rng.choice(words.FIRST_NAMES)} {two[2]} the {rng.choice(words.OBJECTS)}"
        return Turn(
            say(rng, "[Join with <l>|Make one sentence with <l>|Use <l>]: ", l=link) + f"{a}. {b}.",
            f"{a} {link} {b}.",
            exact=True,
        )
    return Turn(
        say(rng, "[Make a full sentence|Write a sentence from these notes|Notes to sentence]: ")
        + f"{name} / {one[0]} / {thing} / {place}",
        f"{name} {one[2]} the {thing} at the {place}.",
        exact=True,
    )


GENERATORS: tuple[tuple[Callable[[random.Random], Turn], float], ...] = (
    (tense, 4.0),
    (negate, 2.5),
    (contraction, 2.0),
    (polite, 3.0),
    (casual, 2.5),
    (person_change, 1.5),
    (plural, 1.5),
    (tidy, 2.0),
    (opposite_sentence, 1.5),
    (longer, 2.5),
)
