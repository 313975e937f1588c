"""Tasks about a given text: find a field, list fields, make or read JSON, check, label, sum up in one line, answer politely."""

from __future__ import annotations

import json
import random

from studio.engine.nano import words
from studio.engine.nano.copying import code, made_up
from studio.engine.nano.grammar import Turn, an, capital, listed, say
from studio.engine.nano.people import RECORDS, Record, full_name, money, person, product, ticket

_KEY_NAMES = {
    "name": ("name", "full_name", "Name", "who"),
    "number": ("order_number", "number", "order_id", "Order", "ref"),
    "product": ("product", "item", "thing", "Product"),
    "person": ("person", "with", "guest", "Person"),
    "buyer": ("buyer", "paid_by", "Buyer"),
    "price": ("price", "cost", "amount", "Price"),
}


def _record(rng: random.Random) -> Record:
    return rng.choice(RECORDS)(rng)


def _with_text(rng: random.Random, text: str, ask: str) -> str:
    return say(
        rng, "[<t>\n\n<a>|<t>\n<a>|<t> <a>|<a>\n\n<t>|<a>\n<t>|Read this: <t>\n<a>|Text: <t>\nQuestion: <a>]", t=text, a=ask
    )


def find_field(rng: random.Random) -> Turn:
    """One field, as a word or in a sentence."""
    record = _record(rng)
    key = rng.choice(list(record.fields))
    value = record.fields[key]
    ask = record.questions[key] + "?"
    style = rng.random()
    if style < 0.6:
        return Turn(_with_text(rng, record.text, ask), value, exact=True)
    if style < 0.8:
        return Turn(_with_text(rng, record.text, f"{ask} Answer in a sentence."), f"The {key} is {value}.", exact=True)
    return Turn(_with_text(rng, record.text, f"Give only the {key}."), value, exact=True)


def list_fields(rng: random.Random) -> Turn:
    """Several named fields, as lines, commas or JSON with the keys that were asked for."""
    record = _record(rng)
    keys = rng.sample(list(record.fields), rng.randint(2, min(4, len(record.fields))))
    names = {key: rng.choice(_KEY_NAMES.get(key, (key, key, capital(key)))) for key in keys}
    values = {names[key]: record.fields[key] for key in keys}
    style = rng.random()
    asked = listed(list(values))
    if style < 0.5:
        ask = say(
            rng,
            "[Give <k> as JSON.|Make a JSON object with <k>.|Answer with JSON, keys <k>.|Extract <k> as JSON.|JSON with <k>,"
            " please.]",
            k=asked,
        )
        return Turn(_with_text(rng, record.text, ask), json.dumps(values), exact=True)
    if style < 0.75:
        ask = say(rng, "[Write <k>, one per line.|List <k> line by line.|Fill in <k>.]", k=asked)
        return Turn(_with_text(rng, record.text, ask), "\n".join(f"{k}: {v}" for k, v in values.items()), exact=True)
    ask = say(rng, "[Give <k>, with commas between.|Only <k>, with commas.|Tell me <k>, separated by commas.]", k=asked)
    return Turn(_with_text(rng, record.text, ask), ", ".join(values.values()), exact=True)


def check_field(rng: random.Random) -> Turn:
    """Say whether a claim about the text is right."""
    record = _record(rng)
    other = rng.choice(RECORDS)(rng)
    key = rng.choice(list(record.fields))
    if rng.random() < 0.5 or other.fields.get(key, record.fields[key]) == record.fields[key]:
        return Turn(_with_text(rng, record.text, f"Is the {key} {record.fields[key]}? Yes or no."), "Yes.", exact=True)
    wrong = other.fields[key]
    return Turn(
        _with_text(rng, record.text, f"Is the {key} {wrong}? Yes or no."), f"No, the {key} is {record.fields[key]}.", exact=True
    )


def write_json(rng: random.Random) -> Turn:
    """JSON from keys and values that the prompt names."""
    pool = {
        "name": lambda: rng.choice(words.FIRST_NAMES),
        "city": lambda: rng.choice(words.CITIES),
        "age": lambda: rng.randint(1, 99),
        "colour": lambda: rng.choice(words.COLOURS),
        "product": lambda: product(rng),
        "code": lambda: code(rng),
        "day": lambda: rng.choice(words.DAYS),
        "animal": lambda: rng.choice(words.ANIMALS)[0],
        "price": lambda: rng.randint(1, 500),
        "count": lambda: rng.randint(0, 40),
        "open": lambda: rng.random() < 0.5,
        "tags": lambda: rng.sample(words.COMMON, rng.randint(1, 3)),
        made_up(rng): lambda: made_up(rng),
        "job": lambda: rng.choice(words.JOBS),
        "month": lambda: rng.choice(words.MONTHS),
        "food": lambda: rng.choice(words.FOODS),
    }
    record = {key: pool[key]() for key in rng.sample(list(pool), rng.randint(1, 5))}
    said = {
        k: "true" if v is True else "false" if v is False else ", ".join(v) if isinstance(v, list) else str(v)
        for k, v in record.items()
    }
    plain = rng.choice((", ", "\n", "; ")).join(rng.choice((f"{k}: {v}", f"{k} is {v}", f"{k} = {v}")) for k, v in said.items())
    ask = say(rng, "[Make a JSON record|Write JSON|Turn this into JSON|Write this as a JSON object|As JSON]: ")
    return Turn(ask + plain, json.dumps(record), exact=True)


def read_json(rng: random.Random) -> Turn:
    """Answer from JSON, or change it."""
    record = (
        person(rng).fields
        if rng.random() < 0.5
        else {"id": code(rng), "item": product(rng), "price": money(rng), "buyer": full_name(rng)}
    )
    key = rng.choice(list(record))
    text = json.dumps(record)
    kind = rng.randrange(5)
    if kind == 0:
        return Turn(
            _with_text(rng, text, say(rng, "[What is the <k>|Give the <k>|Which <k> is it]?", k=key)), record[key], exact=True
        )
    if kind == 1:
        return Turn(_with_text(rng, text, say(rng, "[List the keys.|Which keys are there?]")), ", ".join(record), exact=True)
    if kind == 2:
        return Turn(
            _with_text(rng, text, "Write this as plain lines."), "\n".join(f"{k}: {v}" for k, v in record.items()), exact=True
        )
    if kind == 3:
        value = made_up(rng) if rng.random() < 0.5 else rng.choice(words.COMMON)
        return Turn(_with_text(rng, text, f"Set {key} to {value}."), json.dumps({**record, key: value}), exact=True)
    rest = {k: v for k, v in record.items() if k != key}
    return Turn(_with_text(rng, text, f"Remove {key}."), json.dumps(rest), exact=True)


_LABELS = {
    "broken": "damage",
    "scratched": "damage",
    "missing": "delivery",
    "late": "delivery",
    "colour": "wrong item",
    "size": "wrong item",
    "dead": "fault",
    "noise": "fault",
    "bill": "payment",
    "part": "incomplete",
}


def label(rng: random.Random) -> Turn:
    """Sort a text into a class."""
    kind = rng.random()
    if kind < 0.5:
        record = ticket(rng)
        topic = _LABELS[record.fields["problem"]]
        ask = say(
            rng,
            "[What is the topic: damage, delivery, wrong item, fault, payment or incomplete?|Sort this message into damage,"
            " delivery, wrong item, fault, payment or incomplete.]",
        )
        return Turn(_with_text(rng, record.text, ask), capital(topic) + ".", exact=True)
    thing, mood = rng.choice((product(rng), rng.choice(words.FOODS), f"{rng.choice(words.PLACES)}")), rng.random() < 0.5
    good = (
        "[I love the <x>. It is [great|lovely|wonderful|perfect].|The <x> is [great|wonderful|very good] and I am happy with"
        " it.|What a lovely <x>!|The best <x> I ever had.|The <x> works well and looks nice.]"
    )
    bad = (
        "[I do not like the <x>.|The <x> is [bad|terrible|awful] and I am sad about it.|What a bad <x>.|The worst <x> I ever"
        " had.|The <x> was a waste of money.|I am angry about the <x>. It is awful.]"
    )
    text = say(rng, good if mood else bad, x=thing)
    ask = say(rng, "[Is this positive or negative?|Good or bad review?|Is the writer happy or unhappy?]")
    pair = {"Is t": ("Positive.", "Negative."), "Good": ("Good.", "Bad."), "Is t_": ("", "")}
    answer = ("Happy.", "Unhappy.") if "happy" in ask else pair["Good"] if ask.startswith("Good") else pair["Is t"]
    return Turn(_with_text(rng, text, ask), answer[0] if mood else answer[1], exact=True)


def summary(rng: random.Random) -> Turn:
    """A short text in one line."""
    who, thing, place, day = rng.choice(words.FIRST_NAMES), product(rng), rng.choice(words.PLACES), rng.choice(words.DAYS)
    verb = rng.choice(words.VERBS)
    extra = say(
        rng,
        "[The weather was <w>.|It was a <w> day.|<who> was [happy|tired|glad|late].|There were many people.|A dog was"
        " barking.|The sun was shining.|It rained a little.|Nobody said a word.|They had tea first.]",
        w=rng.choice(("sunny", "cold", "warm", "grey", "windy", "rainy")),
        who=who,
    )
    core = say(
        rng,
        "[<who> went to the <place>.|On <day>, <who> was at the <place>.|<who> took the bus to the <place>.]",
        who=who,
        place=place,
        day=day,
    )
    act = say(
        rng,
        "[There <who> <past> <an>.|<who> <past> <an> there.|At the <place>, <who> <past> <an>.]",
        who=who,
        past=verb[2],
        an=an(thing),
        place=place,
    )
    after = say(
        rng, "[Then <who> went home.|Later it got dark.|After that, everybody went home.|In the end, all was well.]", who=who
    )
    parts = [core, act, after]
    parts.insert(rng.randint(0, 3), extra)
    ask = say(
        rng,
        "[Sum this up in one sentence|Summarise in one line|Give a short summary|Say this in one sentence|What happened, in one"
        " line]",
    )
    return Turn(
        _with_text(rng, " ".join(parts), ask + rng.choice((".", ":", "?"))),
        f"{who} {verb[2]} {an(thing)} at the {place}.",
        exact=True,
    )


def title(rng: random.Random) -> Turn:
    """A title or subject line for a customer's message."""
    record = ticket(rng)
    ask = say(rng, "[Write a subject line for this message.|Give this message a title.|What would be a good subject line?]")
    return Turn(_with_text(rng, record.text, ask), f"Order {record.fields['number']}: {record.fields['product']}", exact=True)


_REPLIES = {
    "refund": (
        "[We will send your money back within <n> days.|You will get a refund within <n> days.|Your refund is on its way.]"
    ),
    "replacement": (
        "[We will send a new <item> today.|A new <item> is on its way to you.|You will get another <item> within <n> days.]"
    ),
    "repair": "[Please send the <item> to us and we will repair it.|Our workshop will repair the <item> for you.]",
    "answer": "[We are checking where it is and will write to you tomorrow.|Your parcel should arrive within <n> days.]",
    "cancel": "[We have cancelled order <number>.|Order <number> is cancelled, and you pay nothing.]",
    "call": "[A colleague will call you today.|We will call you tomorrow morning.]",
}


def reply(rng: random.Random) -> Turn:
    """A polite answer to a customer's message."""
    record = ticket(rng)
    first = record.fields["name"].split()[0]
    answer = say(
        rng,
        "[Hello|Dear|Hi] <first>, [thank you for your message|thank you for writing to us|we are sorry about the <item>|I am"
        f" sorry to hear that]. {_REPLIES[record.fields['wish']]}[ Kind regards, the service team.| Have a nice day.| Please"
        " write again if you need more help.|]",
        first=first,
        item=record.fields["product"],
        number=record.fields["number"],
        n=rng.randint(2, 9),
    )
    if rng.random() < 0.5:
        return Turn(record.text, answer)
    return Turn(
        _with_text(rng, record.text, say(rng, "[Write a polite reply.|Answer this customer.|Reply to the customer.]")), answer
    )


GENERATORS = (
    (find_field, 9.0),
    (list_fields, 9.0),
    (check_field, 2.0),
    (write_json, 5.0),
    (read_json, 4.0),
    (label, 4.0),
    (summary, 4.0),
    (title, 2.0),
    (reply, 5.0),
)
