"""What nano knows: a small world of animals, colours, countries, days, opposites, plain words and little sums."""

from __future__ import annotations

import random
from collections.abc import Callable

from studio.engine.nano import words
from studio.engine.nano.grammar import Turn, an, capital, listed, say

_COLOUR_OF = (
    ("the sky", "blue"),
    ("grass", "green"),
    ("snow", "white"),
    ("a banana", "yellow"),
    ("a lemon", "yellow"),
    ("a tomato", "red"),
    ("coal", "black"),
    ("a carrot", "orange"),
    ("milk", "white"),
    ("chocolate", "brown"),
    ("a cherry", "red"),
    ("an elephant", "grey"),
    ("the sun", "yellow"),
    ("a leaf", "green"),
    ("blood", "red"),
    ("the sea", "blue"),
    ("night", "black"),
    ("honey", "gold"),
    ("a pig", "pink"),
)
_MEANINGS = (
    ("kettle", "a thing that boils water"),
    ("umbrella", "a thing that keeps you dry in the rain"),
    ("library", "a place with many books"),
    ("bakery", "a place where bread is made"),
    ("teacher", "a person who helps others to learn"),
    ("doctor", "a person who helps ill people"),
    ("farmer", "a person who grows food"),
    ("bridge", "a way over a river or a road"),
    ("clock", "a thing that shows the time"),
    ("map", "a picture of a place from above"),
    ("winter", "the coldest season"),
    ("summer", "the warmest season"),
    ("breakfast", "the first meal of the day"),
    ("dinner", "the evening meal"),
    ("refund", "money that is given back"),
    ("invoice", "a list of what you have to pay"),
    ("ladder", "a thing to climb up"),
    ("harbour", "a safe place for ships"),
    ("airport", "a place where planes land"),
    ("museum", "a place that shows old or fine things"),
    ("pilot", "a person who flies planes"),
    ("tailor", "a person who makes clothes"),
    ("pencil", "a thing to write and draw with"),
    ("wallet", "a small case for money"),
    ("mirror", "a glass in which you see yourself"),
    ("blanket", "a warm cover for a bed"),
    ("forest", "a place with many trees"),
    ("desert", "a dry place with little life"),
    ("island", "land with water all around"),
    ("mountain", "very high land"),
    ("week", "seven days"),
    ("year", "twelve months"),
    ("hour", "sixty minutes"),
    ("minute", "sixty seconds"),
    ("neighbour", "a person who lives near you"),
    ("uncle", "the brother of your mother or father"),
    ("order", "a request to buy something"),
)
_SHAPES = (("triangle", 3), ("square", 4), ("rectangle", 4), ("pentagon", 5), ("hexagon", 6))
_SEASONS = {
    "winter": ("December", "January", "February"),
    "spring": ("March", "April", "May"),
    "summer": ("June", "July", "August"),
    "autumn": ("September", "October", "November"),
}
_GROUPS: dict[str, tuple[str, ...]] = {
    "animal": tuple(row[0] for row in words.ANIMALS),
    "colour": words.COLOURS,
    "city": words.CITIES,
    "country": tuple(row[0] for row in words.COUNTRIES),
    "food": words.FOODS,
    "job": words.JOBS,
    "day": words.DAYS,
    "month": words.MONTHS,
    "hobby": words.HOBBIES,
    "place": words.PLACES,
}
_PLURALS = {"city": "cities", "country": "countries", "hobby": "hobbies", "food": "foods"}


def colours(rng: random.Random) -> Turn:
    """Say what colour a thing is."""
    thing, colour = rng.choice(_COLOUR_OF)
    kind = rng.random()
    if kind < 0.6:
        full = rng.random() < 0.5
        ask = (
            say(
                rng,
                "[What colour is <x>?|Tell me the colour of <x>.|<X> has which colour?|Which colour is <x>?]",
                x=thing,
                X=capital(thing),
            )
            if not full
            else say(
                rng,
                "[What colour is <x>?|Which colour is <x>?] [Answer in a sentence.|Use a full sentence.|Write a sentence.]",
                x=thing,
            )
        )
        return Turn(ask, f"{capital(thing)} is {colour}." if full else capital(colour) + ".", exact=True)
    other = rng.choice(words.COLOURS)
    claim, truth = (colour, True) if rng.random() < 0.5 or other == colour else (other, False)
    ask = say(rng, "[Is <x> <c>?|True or not: <x> is <c>?|Is it right that <x> is <c>?]", x=thing, c=claim)
    return Turn(ask, "Yes." if truth else f"No, {thing} is {colour}.", exact=True)


def animals(rng: random.Random) -> Turn:
    """Sounds, legs, homes and young of animals."""
    name, sound, legs, home, young = rng.choice(words.ANIMALS)
    number = words.NUMBER_WORDS[legs]
    ask, answer = rng.choice(
        (
            (
                "[What does <a> do|What sound or move is typical of <a>|What can you say about <a>]?",
                f"{capital(an(name))} {sound}.",
            ),
            (
                "[How many legs does <a> have|How many legs has <a>|Tell me how many legs <a> has]?",
                f"{capital(an(name))} has {number} legs.",
            ),
            (
                "[Where does <a> live|What is the home of <a>|Where do you find <a>]?",
                f"{capital(an(name))} lives in {'a' if home[0] not in 'aeiou' else 'an'} {home}.",
            ),
            (
                "[What is a young <n> called|What do we call a young <n>|Name the young of <a>]?",
                f"A young {name} is called {an(young)}.",
            ),
        )
    )
    if rng.random() < 0.25:
        other = rng.choice(words.ANIMALS)
        asked = rng.choice((legs, other[2]))
        text = say(rng, "[Does <a> have <k> legs|Has <a> got <k> legs]?", a=an(name), k=words.NUMBER_WORDS[asked])
        return Turn(text, "Yes." if asked == legs else f"No, {an(name)} has {number} legs.", exact=True)
    return Turn(say(rng, ask, a=an(name), n=name), answer, exact=True)


def geography(rng: random.Random) -> Turn:
    """Capitals, continents and languages."""
    country, city, continent, language = rng.choice(words.COUNTRIES)
    ask, answer, short = rng.choice(
        (
            (
                (
                    "[What is the capital of <c>|Name the capital of <c>|Which city is the capital of <c>|Tell me the capital"
                    " of <c>]"
                ),
                f"The capital of {country} is {city}.",
                city,
            ),
            ("[On which continent is <c>|Which continent is <c> on|Where is <c>]", f"{country} is in {continent}.", continent),
            (
                "[Which language do people speak in <c>|What language is spoken in <c>|What do people speak in <c>]",
                f"People in {country} speak {language}.",
                language,
            ),
            (
                "[<t> is the capital of which country|Which country has the capital <t>|In which country is <t>]",
                f"{city} is the capital of {country}.",
                country,
            ),
        )
    )
    text = say(rng, ask, c=country, t=city)
    if rng.random() < 0.3:
        return Turn(text + say(rng, "? [Answer in one word.|Only the name.|Just the answer.]"), short, exact=True)
    return Turn(text + "?", answer, exact=True)


def calendar(rng: random.Random) -> Turn:
    """Days, months, seasons and shapes."""
    if rng.random() < 0.2:
        shape, corners = rng.choice(_SHAPES)
        return Turn(
            say(rng, "How many corners [does <a> have|has <a>]?", a=an(shape)),
            f"{capital(an(shape))} has {words.NUMBER_WORDS[corners]} corners.",
            exact=True,
        )
    if rng.random() < 0.25:
        season, months = rng.choice(list(_SEASONS.items()))
        month = rng.choice(months)
        return Turn(
            say(rng, "[In which season is <m>|Which season is <m> in]?", m=month), f"{month} is in {season}.", exact=True
        )
    pool = rng.choice((words.DAYS, words.MONTHS))
    place = rng.randrange(len(pool))
    step = rng.choice((1, 1, -1, 2))
    word = {1: "[comes after|follows|is right after]", -1: "[comes before|is right before]", 2: "comes two after"}[step]
    kind = "day" if pool is words.DAYS else "month"
    return Turn(
        say(rng, f"[Which <k> {word} <d>|What <k> {word} <d>]?", k=kind, d=pool[place]),
        pool[(place + step) % len(pool)] + ".",
        exact=True,
    )


def opposites(rng: random.Random) -> Turn:
    """Opposite words."""
    a, b = rng.choice(words.OPPOSITES)
    if rng.random() < 0.5:
        a, b = b, a
    full = rng.random() < 0.4
    ask = say(rng, "[What is the opposite of|Give the opposite of|Opposite of|The opposite of] <w>", w=a)
    return Turn(ask + ("? Answer in a sentence." if full else "?"), f"The opposite of {a} is {b}." if full else b, exact=True)


def meanings(rng: random.Random) -> Turn:
    """Definitions, both ways."""
    word, meaning = rng.choice(_MEANINGS)
    if rng.random() < 0.65:
        ask = say(
            rng,
            "[What is <a>?|What does <w> mean?|Define <w>.|Explain the word <w>.|Tell me what <a> is.|Please explain: <w>]",
            a=an(word),
            w=word,
        )
        return Turn(ask, f"{capital(an(word))} is {meaning}.", exact=True)
    return Turn(
        say(rng, "[Which word means: <m>?|What do you call <m>?|Find the word: <m>]", m=meaning),
        capital(word) + ".",
        exact=True,
    )


def name_some(rng: random.Random) -> Turn:
    """Lists of a kind, and which kind a thing is."""
    kind = rng.choice(list(_GROUPS))
    many = _PLURALS.get(kind, kind + "s")
    if rng.random() < 0.4:
        thing = rng.choice(_GROUPS[kind])
        return Turn(
            say(rng, "[What kind of thing is|Which group does|To what kind belongs] <w>[?| belong to?|]", w=thing),
            f"{capital(thing)} is {an(kind)}.",
            exact=True,
        )
    count = rng.randint(2, 5)
    items = rng.sample(_GROUPS[kind], count)
    ask = say(
        rng,
        "[Name|List|Tell me|Give me|Write down] <n> <k>",
        n=words.NUMBER_WORDS[count] if rng.random() < 0.7 else count,
        k=many,
    )
    style = rng.random()
    if style < 0.4:
        return Turn(ask + rng.choice((".", "", ", please.")), capital(listed(items)) + ".")
    if style < 0.7:
        return Turn(ask + say(rng, "[ as a list.|, one per line.| in bullets.]"), "\n".join(f"- {item}" for item in items))
    return Turn(
        ask + say(rng, "[ and number them.|, with numbers.]"), "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1))
    )


def sums(rng: random.Random) -> Turn:
    """Little sums, plain or as a story."""
    kind = rng.randrange(6)
    a, b = (rng.randint(0, 20), rng.randint(0, 20)) if rng.random() < 0.7 else (rng.randint(0, 60), rng.randint(0, 39))
    if kind == 0:
        return Turn(
            say(rng, "[What is|Work out|How much is|Calculate|Add:] <a> [+|plus] <b>[?|]", a=a, b=b), str(a + b), exact=True
        )
    if kind == 1:
        a, b = max(a, b), min(a, b)
        return Turn(
            say(rng, "[What is|Work out|How much is|Calculate] <a> [-|minus] <b>[?|]", a=a, b=b), str(a - b), exact=True
        )
    if kind == 2:
        a, b = rng.randint(1, 10), rng.randint(1, 10)
        return Turn(say(rng, "[What is|Work out|How much is] <a> [times|x|*] <b>[?|]", a=a, b=b), str(a * b), exact=True)
    if kind == 3:
        a, b = rng.randint(0, 99), rng.randint(0, 99)
        word = "larger" if rng.random() < 0.5 else "smaller"
        answer = max(a, b) if word == "larger" else min(a, b)
        return Turn(say(rng, "[Which is|Which number is] <w>, <a> or <b>?", w=word, a=a, b=b), str(answer), exact=True)
    if kind == 4:
        return Turn(say(rng, "[Is <a> even or odd|Even or odd: <a>]?", a=a), "Even." if a % 2 == 0 else "Odd.", exact=True)
    name, item = (
        rng.choice(words.FIRST_NAMES),
        rng.choice(("apple", "book", "coin", "cookie", "pencil", "stone", "ticket", "flower")),
    )
    a, b = rng.randint(2, 12), rng.randint(2, 8)
    if rng.random() < 0.5:
        return Turn(
            say(
                rng,
                "<n> has <a> <i>s and [gets|finds|buys] <b> more. How many <i>s does <n> have now?",
                n=name,
                a=a,
                b=b,
                i=item,
            ),
            f"{name} has {a + b} {item}s.",
            exact=True,
        )
    a += b
    return Turn(
        say(rng, "<n> had <a> <i>s and [gave away|lost|sold] <b>. How many <i>s are left?", n=name, a=a, b=b, i=item),
        f"There are {a - b} {item}s left.",
        exact=True,
    )


def numbers(rng: random.Random) -> Turn:
    """Number words, and what comes next."""
    number = rng.randint(0, 20)
    kind = rng.randrange(3)
    if kind == 0:
        return Turn(
            say(rng, "[Write <n> as a word|<n> in words|Spell the number <n>]", n=number),
            words.NUMBER_WORDS[number],
            exact=True,
        )
    if kind == 1:
        return Turn(
            say(rng, "[Write <w> as a number|<w> in digits|The number <w>]", w=words.NUMBER_WORDS[number]),
            str(number),
            exact=True,
        )
    start, step, count = rng.randint(0, 30), rng.choice((1, 1, 2, 5, 10)), rng.randint(3, 5)
    run = [start + step * i for i in range(count + 1)]
    return Turn(say(rng, "[What comes next|Go on|Next number]: ") + ", ".join(map(str, run[:-1])), str(run[-1]), exact=True)


GENERATORS: tuple[tuple[Callable[[random.Random], Turn], float], ...] = (
    (colours, 1.2),
    (animals, 2.0),
    (geography, 2.5),
    (calendar, 1.5),
    (opposites, 1.0),
    (meanings, 1.5),
    (name_some, 2.0),
    (sums, 4.0),
    (numbers, 1.5),
)
