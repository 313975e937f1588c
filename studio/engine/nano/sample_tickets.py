"""The sample *Support tickets to JSON*: customers' messages as they come in, and the record a help desk wants.

Five fields in a fixed order: customer, order, product, problem (six kinds), wants (five kinds). The answer is always decided by
the message, so exact match is a fair measure.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from studio.engine.nano import words
from studio.engine.nano.grammar import an, capital, say

_ELECTRIC = (
    "coffee machine",
    "desk lamp",
    "alarm clock",
    "bread maker",
    "rice cooker",
    "hair dryer",
    "night light",
    "hand mixer",
    "floor lamp",
    "kettle",
    "toaster",
    "laptop",
    "tablet",
    "camera",
    "printer",
    "keyboard",
    "blender",
    "heater",
    "fan",
    "drill",
    "speaker",
    "headset",
    "vacuum",
    "monitor",
    "router",
    "oven",
)
_PLAIN = (
    "garden chair",
    "travel bag",
    "water bottle",
    "winter coat",
    "tea set",
    "office chair",
    "phone case",
    "bike lock",
    "picture frame",
    "sleeping bag",
    "lunch box",
    "board game",
    "tool box",
    "chair",
    "backpack",
    "jacket",
    "watch",
    "mirror",
    "tent",
    "bicycle",
    "helmet",
    "guitar",
    "shelf",
    "umbrella",
    "suitcase",
    "desk",
    "ladder",
)
_PRODUCTS = (*_ELECTRIC, *_PLAIN)
#: Kind of problem, and ways to tell it with ``it`` for the thing; the bool says whether the thing has arrived.
_PROBLEMS: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
    (
        "damaged",
        True,
        (
            "there is a crack [right across it|down one side|on the back]",
            "one corner is [badly dented|torn|bent]",
            "the box was fine but the <p> inside was [smashed|in pieces]",
            "it came out of the box [with a big scratch|with a broken handle|with ugly marks on it]",
            "the <p> was [already broken|in two pieces] when I opened the parcel",
            "something must have hit it on the way, because [the side is dented|one side is cracked]",
        ),
    ),
    (
        "faulty",
        True,
        (
            "it [will not switch on|does not switch on any more|switches itself off]",
            "it worked for [two days|a week|an hour] and then [stopped|gave up]",
            "it makes a [grinding|loud|strange] noise [all the time|when I use it]",
            "the [button|switch|power light] [is stuck|does not do anything]",
            "I followed the manual, but it simply does not work",
            "it keeps stopping after [a minute|a few seconds]",
        ),
    ),
    (
        "wrong item",
        True,
        (
            "you sent me <other> instead",
            "I opened the parcel and found <other>",
            "what came is <other>, and I never asked for that",
            "this is not what I chose: it is the [wrong colour|wrong size|wrong model]",
            "I asked for a <colour> one and got a <colour2> one",
        ),
    ),
    (
        "missing part",
        True,
        (
            "the [<part>|manual|second half] was not in the box",
            "there [is|was] no [<part>|manual|cover] in the box",
            "I cannot use it, because [two screws are missing|one piece is missing|the <part> is missing]",
            "the parcel was open and [the <part>|a piece] was gone",
        ),
    ),
    (
        "late",
        False,
        (
            "it should have been here [on <day>|last week|ten days ago]",
            "I have been waiting for [two weeks|nine days|a month] now",
            "the tracking page has said the same thing [since <day>|for a week]",
            "it still has not been delivered",
            "your email promised it for <day>, and there is no parcel",
        ),
    ),
    (
        "billing",
        False,
        (
            "you charged me twice",
            "my card was charged [twice|two times] for it",
            "the invoice says <m> euros, but the price on the page was <m2>",
            "I was billed for two and only ordered one",
            "the discount code was not taken off the bill",
        ),
    ),
)
_WANTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "refund",
        (
            "I would like my money back",
            "please refund me",
            "I want a full refund",
            "can you pay the money back to my card",
            "just give me back what I paid",
        ),
    ),
    (
        "replacement",
        (
            "please send me another one",
            "could I have a new one",
            "I would like a replacement",
            "can you swap it for a good one",
            "I still want one, so please send it again",
        ),
    ),
    (
        "repair",
        (
            "can your workshop fix it",
            "I would rather have it repaired",
            "please tell me where I can have it repaired",
            "I hope it can be mended",
            "is a repair possible",
        ),
    ),
    (
        "information",
        (
            "can you tell me what is going on",
            "please let me know what happens next",
            "I only want to know what I should do",
            "could you look into it and write to me",
            "please explain this to me",
        ),
    ),
    (
        "cancellation",
        (
            "please cancel the order",
            "I want to cancel the whole thing",
            "take the order off my account, please",
            "I do not want it any more, so please cancel",
            "cancel it, please",
        ),
    ),
)
_ALLOWED = {
    "damaged": ("refund", "replacement", "repair"),
    "faulty": ("refund", "replacement", "repair"),
    "wrong item": ("refund", "replacement", "information"),
    "missing part": ("refund", "replacement", "information"),
    "late": ("refund", "information", "cancellation"),
    "billing": ("refund", "information", "cancellation"),
}
_ASIDES = (
    "It was meant as a present for my [sister|father|neighbour|son].",
    "I have shopped with you for [years|a long time].",
    "I am at home [all week|on <day>] if you need to collect it.",
    "I tried to phone, but [nobody answered|the line was busy].",
    "My [wife|husband|daughter] has the same one and is very happy with it.",
    "I need it for [a trip|work|school] [next week|on <day>].",
    "This is the first time I have had a problem with you.",
    "I can send photos.",
    "I have kept the box.",
    "I paid by card.",
    "The driver was very friendly, by the way.",
)


def ticket_row(rng: random.Random) -> tuple[str, str]:
    """One message and its record."""
    kind, arrived, tellings = rng.choice(_PROBLEMS)
    wanted = rng.choice(_ALLOWED[kind])
    name = f"{rng.choice(words.FIRST_NAMES)} {rng.choice(words.LAST_NAMES)}"
    order = str(rng.randint(10_000, 99_999))
    item, other = rng.sample(_ELECTRIC if kind == "faulty" else _PRODUCTS, 2)
    part = rng.choice(("cable", "charger", "plug") if item in _ELECTRIC else ("strap", "key", "cover", "label"))
    colours = rng.sample(words.COLOURS[:10], 2)
    if kind != "wrong item" and rng.random() < 0.4:
        item = f"{rng.choice(words.COLOURS[:10])} {item}"
    slots = {
        "p": item.split()[-1],
        "item": item,
        "an": an(item),
        "other": an(other),
        "colour": colours[0],
        "colour2": colours[1],
        "n": order,
        "name": name,
        "first": name.split()[0],
        "day": rng.choice(words.DAYS),
        "m": rng.randint(40, 90),
        "m2": rng.randint(10, 39),
        "month": rng.choice(words.MONTHS),
        "part": part,
    }
    trouble = capital(say(rng, rng.choice(tellings), **slots)) + "."
    wish = rng.choice(next(ways for label, ways in _WANTS if label == wanted))
    wish = capital(wish) + ("?" if wish.startswith(("can", "could", "is ")) else ".")
    message = _layout(rng, arrived, trouble, wish, slots)
    record = {"customer": name, "order": order, "product": item, "problem": kind, "wants": wanted}
    return message, json.dumps(record)


def _layout(rng: random.Random, arrived: bool, trouble: str, wish: str, slots: Mapping[str, object]) -> str:
    hello = say(rng, "[Hello|Hi|Hi there|Good morning|Dear support team|Hello everyone|Good afternoon|To whom it may concern],")
    with_order = (
        "[My <item> from order <n> came [today|yesterday|on <day>]|The <item> I bought from you (order <n>) arrived [this"
        " morning|on <day>]|Order <n>, <an>, was delivered [yesterday|today]]."
        if arrived
        else (
            "[I ordered <an> in <month>, order number <n>|My order <n> is for <an>|On <day> I bought <an> from your shop, order"
            " <n>|It is about order <n>, <an>]."
        )
    )
    without = (
        "[My <item> came [today|yesterday|on <day>]|I finally have my <item>|The <item> was delivered on <day>]."
        if arrived
        else "[I ordered <an> [from your page|in <month>]|This is about my <item>|I bought <an> from you]."
    )
    number = "[My order number is <n>.|Order number: <n>.|The order is <n>.|You will find it under <n>.|(Order <n>)|Ref <n>.]"
    bye = "[Thanks|Thank you|Many thanks|Best wishes|Kind regards|Regards|Yours sincerely],[ |\n]<name>"
    me = "[My name is <name>.|I am <name>.|This is <name>.|<name> here.]"
    aside = rng.choice(_ASIDES) if rng.random() < 0.45 else ""
    sep = "\n" if rng.random() < 0.25 else " "
    plans = (
        [hello, with_order, trouble, aside, wish, bye],
        [hello, without, trouble, number, wish, aside, bye],
        [hello, me, with_order, trouble, wish, aside],
        [me, without, trouble, aside, wish, number],
        [with_order, trouble, wish, aside, bye],
        [hello, number, without, trouble, wish, bye],
    )
    parts = [say(rng, part, **slots) if "<" in part or "[" in part else part for part in rng.choice(plans)]
    return sep.join(part for part in parts if part)
