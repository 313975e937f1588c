"""Small made-up records (people, orders, events, messages to a shop) and the many ways English tells them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from studio.engine.nano import words
from studio.engine.nano.copying import code
from studio.engine.nano.grammar import an, say


@dataclass(frozen=True, slots=True)
class Record:
    """What happened, as text and as fields. ``questions`` maps a field to plain ways to ask for it."""

    text: str
    fields: dict[str, str]
    questions: dict[str, str]


def product(rng: random.Random) -> str:
    """A thing sold in a shop, sometimes with a colour or a size."""
    noun = rng.choice(words.PRODUCTS if rng.random() < 0.65 else words.COMPOUND_PRODUCTS)
    extra = rng.random()
    if extra < 0.4:
        return f"{rng.choice(words.COLOURS)} {noun}"
    return f"{rng.choice(words.SIZES)} {noun}" if extra < 0.5 else noun


def full_name(rng: random.Random) -> str:
    """First and last name."""
    return f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"


def clock(rng: random.Random) -> str:
    """A time of day."""
    hour = rng.randint(1, 12)
    return rng.choice((f"{hour} o'clock", f"{hour}:{rng.choice(('00', '15', '30', '45'))}", f"{hour} pm", f"{hour} am"))


def money(rng: random.Random) -> str:
    """An amount in euros or dollars."""
    amount = rng.randint(2, 400)
    return rng.choice((f"{amount} euros", f"{amount} dollars", f"${amount}", f"{amount}.{rng.randint(10, 99)} euros"))


def date(rng: random.Random) -> str:
    """A day of the year."""
    day, month = rng.randint(1, 28), rng.choice(words.MONTHS)
    return rng.choice((f"{day} {month}", f"{month} {day}"))


_PERSON_QUESTIONS = {
    "name": "[What is the name|Who is this about|Which name is given]",
    "age": "[What is the age|How old is <first>|What age is given]",
    "city": "[Which city is it|Where does <first> live|What is the city]",
    "job": "[What is the job|What work does <first> do]",
    "hobby": "[What does <first> like|What is the hobby]",
    "email": "[What is the email address|What is the email]",
}


def person(rng: random.Random) -> Record:
    """Somebody's name, age, city, job and hobby."""
    fields = {
        "name": full_name(rng) if rng.random() < 0.5 else rng.choice(words.FIRST_NAMES),
        "age": str(rng.randint(6, 90)),
        "city": rng.choice(words.CITIES),
        "job": rng.choice(words.JOBS),
        "hobby": rng.choice(words.HOBBIES),
        "email": "",
    }
    first = fields["name"].split()[0]
    account = f"{first.lower()}{rng.choice(('', '.', '_'))}{rng.randint(1, 99)}"
    fields["email"] = f"{account}@{rng.choice(('mail', 'post', 'inbox', 'letter'))}.example"
    parts = _person_sentences(rng, fields)
    chosen = rng.sample(list(parts), rng.randint(2, 4))
    opening = say(
        rng,
        "[This is <name>.|I met <name> today.|<name> is [a friend of mine|my neighbour|new here].|Let me tell you about"
        " <name>.]",
        name=fields["name"],
    )
    text = " ".join([opening, *(parts[key] for key in chosen)])
    kept = ["name", *chosen]
    return Record(
        text, {key: fields[key] for key in kept}, {key: say(rng, _PERSON_QUESTIONS[key], first=first) for key in kept}
    )


def _person_sentences(rng: random.Random, fields: Mapping[str, str]) -> dict[str, str]:
    """One sentence for each field but the name."""
    him = rng.choice(("he", "she"))
    return {
        "age": say(
            rng,
            "[<He> is <age> years old.|<He> is <age>.|<He> turned <age> this year.]",
            He=him.capitalize(),
            age=fields["age"],
        ),
        "city": say(
            rng,
            "[<He> lives in <city>.|<His> home is in <city>.|<He> comes from <city>.]",
            He=him.capitalize(),
            His="His" if him == "he" else "Her",
            city=fields["city"],
        ),
        "job": say(
            rng,
            "[<He> works as <job>.|<He> is <job>.|<His> job: <job>.]",
            He=him.capitalize(),
            His="His" if him == "he" else "Her",
            job=an(fields["job"]),
        ),
        "hobby": say(
            rng,
            "[<He> likes <hobby>.|<He> loves <hobby>.|<He> spends the weekend <hobby>.]",
            He=him.capitalize(),
            hobby=fields["hobby"],
        ),
        "email": say(
            rng,
            "[<His> address is <email>.|Write to <email>.|You can reach <him> at <email>.]",
            His="His" if him == "he" else "Her",
            him="him" if him == "he" else "her",
            email=fields["email"],
        ),
    }


def event(rng: random.Random) -> Record:
    """A meeting, with who, what, where and when."""
    fields = {
        "person": rng.choice(words.FIRST_NAMES),
        "event": rng.choice(
            ("meeting", "dinner", "concert", "lesson", "party", "match", "lunch", "interview", "tour", "workshop", "picnic")
        ),
        "place": rng.choice(words.PLACES),
        "day": rng.choice(words.DAYS),
        "time": clock(rng),
    }
    text = say(
        rng,
        "[The <event> with <person> is on <day> at <time> in the <place>.|On <day> at <time>, <person> has <an> in the"
        " <place>.|<person> invites you to <an>: <day>, <time>, <place>.|Come to the <place> on <day>. The <event> with"
        " <person> starts at <time>.|<person> moved the <event> to <day>, <time>. We meet at the <place>.|Reminder: <event>,"
        " <day> <time>, <place>, with <person>.|Hi, this is <person>. Can we have the <event> on <day> at <time>? I will wait"
        " at the <place>.]",
        an=an(fields["event"]),
        **fields,
    )
    questions = {
        "person": "[Who is it with|Who is named|Which person is it]",
        "event": "[What is planned|What kind of event is it|What is the event]",
        "place": "[Where is it|Where does it happen|What is the place]",
        "day": "[Which day is it|On which day|What is the day]",
        "time": "[What time is it|When does it start|What is the time]",
    }
    return Record(text, fields, {key: say(rng, ask) for key, ask in questions.items()})


def purchase(rng: random.Random) -> Record:
    """Somebody bought something for some money."""
    fields = {
        "buyer": full_name(rng) if rng.random() < 0.4 else rng.choice(words.FIRST_NAMES),
        "item": product(rng),
        "price": money(rng),
        "shop": rng.choice(("market", "shop", "station", "bakery", "museum", "online store", "harbour", "corner shop")),
        "date": date(rng),
    }
    text = say(
        rng,
        "[<buyer> bought <an> for <price> at the <shop> on <date>.|On <date>, <buyer> paid <price> for <an> at the"
        " <shop>.|<an_> was sold to <buyer> at the <shop> for <price> on <date>.|Receipt. Date: <date>. Buyer: <buyer>. Item:"
        " <item>. Price: <price>. Place: <shop>.|<buyer> went to the <shop> on <date> and came home with <an>. It cost"
        " <price>.]",
        an=an(fields["item"]),
        an_=an(fields["item"]).capitalize(),
        **fields,
    )
    questions = {
        "buyer": "[Who bought it|Who paid|Who is the buyer]",
        "item": "[What was bought|What is the item|Which thing was sold]",
        "price": "[How much was it|What did it cost|What is the price]",
        "shop": "[Where was it bought|Where was it sold]",
        "date": "[When was that|On what date|What is the date]",
    }
    return Record(text, fields, {key: say(rng, ask) for key, ask in questions.items()})


PROBLEMS: tuple[tuple[str, str], ...] = (
    # what the customer says, one word for it
    ("[arrived broken|came broken|was broken when it arrived|broke on the first day|is broken]", "broken"),
    ("[has a scratch|came with a scratch|is scratched on one side|has a crack|is cracked|has a dent]", "scratched"),
    ("[never arrived|has not arrived|is not here yet|has still not come|did not arrive]", "missing"),
    ("[is late|is a week late|should have been here on Monday|is taking too long]", "late"),
    ("[is the wrong colour|came in the wrong colour|has the wrong colour]", "colour"),
    ("[is too small|is too big|does not fit|is the wrong size]", "size"),
    ("[does not work|stopped working|does not start|will not turn on|stopped after two days]", "dead"),
    ("[makes a loud noise|is very noisy|makes a strange noise]", "noise"),
    ("[was charged twice|was billed two times|appears twice on my bill]", "bill"),
    ("[has a missing part|came without the cable|is missing a piece|came without a manual]", "part"),
)
WISHES: tuple[tuple[str, str], ...] = (
    ("[I would like my money back|Please give me a refund|Can I get a refund|I want a refund]", "refund"),
    ("[Please send a new one|Can you send another one|I would like a new one|Can I get a replacement]", "replacement"),
    ("[Can somebody repair it|Please repair it|Can you fix it|I would like it repaired]", "repair"),
    ("[Where is it now|Can you tell me where it is|When will it come|Please check where it is]", "answer"),
    ("[Please cancel the order|I want to cancel|Can you cancel it|Please cancel it]", "cancel"),
    ("[Please call me|Can somebody call me back|Please phone me]", "call"),
)


def ticket(rng: random.Random) -> Record:
    """A customer's message to a shop: who, which order, what thing, what is wrong, what is wanted."""
    problem, kind = rng.choice(PROBLEMS)
    wish, wanted = rng.choice(WISHES)
    fields = {"name": full_name(rng), "number": code(rng), "product": product(rng), "problem": kind, "wish": wanted}
    item, number, name = fields["product"], fields["number"], fields["name"]
    body = say(
        rng,
        f"[my <item> {problem}|the <item> {problem}|the <item> I ordered [last week|on <day>|in <month>|] {problem}"
        f"|the <item> from order <number> {problem}]",
        item=item,
        number=number,
        day=rng.choice(words.DAYS),
        month=rng.choice(words.MONTHS),
    ).replace("  ", " ")
    hello = say(rng, "[Hello|Hi|Good morning|Hi there|Dear team|Good evening|Hey|Hello there], ")
    order = (
        ""
        if number in body
        else say(
            rng,
            "[The order number is <n>.|Order <n>.|My order is <n>.|It is order number <n>.|Order number: <n>.|(order <n>)]",
            n=number,
        )
    )
    me = say(rng, "[My name is <name>.|I am <name>.|This is <name>.]", name=name)
    end = say(rng, "[Thanks|Thank you|Best wishes|Regards|Kind regards|Yours], <name>", name=name)
    ask = say(rng, wish) + rng.choice((".", "?"))
    layouts = (
        [hello + body + ".", order, ask, end],
        [hello + "this is " + name + ". " + body[0].upper() + body[1:] + ".", ask, order],
        [me, body[0].upper() + body[1:] + ".", order, ask],
        [order or body[0].upper() + body[1:] + ".", body[0].upper() + body[1:] + "." if order else "", ask, end],
        [hello + body + "!", ask, me, order],
    )
    text = " ".join(part for part in rng.choice(layouts) if part)
    questions = {
        "name": "[What is the customer's name|Who wrote this|Who is writing]",
        "number": "[What is the order number|Which order is it|Find the order number]",
        "product": "[What is the product|Which product is it about|What did they order]",
        "problem": "[What is the problem in one word|What kind of problem is it]",
        "wish": "[What does the customer want in one word|What is the wish]",
    }
    return Record(text, fields, {key: say(rng, ask_) for key, ask_ in questions.items()})


RECORDS = (person, event, purchase, ticket, ticket)
