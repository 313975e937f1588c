"""The sample *Casual to formal*: quick messages between colleagues, and the same as a letter in one house style.

House style: ``Dear NAME,``, a blank line, one or two full sentences, a blank line, ``Kind regards,`` and the sender.
"""

from __future__ import annotations

import random

from studio.engine.nano import words
from studio.engine.nano.grammar import say

_THINGS = (
    "report",
    "invoice",
    "contract",
    "budget",
    "draft",
    "agenda",
    "presentation",
    "survey",
    "price list",
    "meeting notes",
    "schedule",
    "guest list",
    "order form",
    "project plan",
    "newsletter",
    "manual",
    "customer list",
    "sales figures",
    "travel plan",
    "test results",
    "photos",
    "tickets",
    "receipt",
    "estimate",
    "lesson plan",
)
_MANY = ("meeting notes", "sales figures", "test results", "photos", "tickets")
_EVENTS = (
    "meeting",
    "workshop",
    "training",
    "interview",
    "team lunch",
    "call",
    "review",
    "parents' evening",
    "staff party",
    "lesson",
    "tour",
    "presentation",
)
_WHEN = ("today", "tomorrow", "this week", "next week", "by noon", "by <day>", "on <day>", "before the <event>")
#: A quick message and its formal form; both are templates over the same slots.
_CORES: tuple[tuple[str, str], ...] = (
    (
        "[can u send me|pls send me|could u shoot me|send me] the <thing> <when>[?|]",
        "Could you please send me the <thing> <when>?",
    ),
    (
        "[can u check|pls check|have a quick look at|can u look at] the <thing> <when>[?|]",
        "Could you please check the <thing> <when>?",
    ),
    ("[can u fix|pls fix|gotta fix|u need to fix] the <thing> <when>", "Could you please correct the <thing> <when>?"),
    ("[can u print|pls print|print] <n> copies of the <thing>[?|]", "Could you please print <n> copies of the <thing>?"),
    (
        "[wheres the <thing>?|any idea where the <thing> <be>?|where did u put the <thing>?]",
        "Could you please tell me where the <thing> <be>?",
    ),
    ("[any news on|whats up with|heard anything about] the <thing>?", "Is there any news about the <thing>?"),
    (
        "[cant make it to|gonna miss|wont be at] the <event> [on <day>|on <day>, sorry]",
        "I am sorry that I cannot attend the <event> on <day>.",
    ),
    ("[gonna be|im|ill be] <n> min late for the <event>", "I will be <n> minutes late for the <event>."),
    ("[can we move|lets move|wanna move] the <event> to <day>[?|]", "Would it be possible to move the <event> to <day>?"),
    ("[wanna come to|u coming to|r u coming to] the <event> on <day>?", "Would you like to come to the <event> on <day>?"),
    ("[thx for|thanks a ton for|cheers for] the <thing>[!|, its great|, love it]", "Thank you very much for the <thing>."),
    ("[sorry, forgot|oops, forgot|my bad, forgot] the <thing>", "I apologise for forgetting the <thing>."),
    ("[cant open|the link is dead for] the <thing>", "Unfortunately, I am unable to open the <thing>."),
    ("[cant find|lost|no idea where i put] the <thing>", "Unfortunately, I am unable to find the <thing>."),
    (
        "[the <thing> <be> wrong|theres a mistake in the <thing>|the <thing> <be> full of mistakes]",
        "I have found a mistake in the <thing>.",
    ),
    ("[i need|gimme|need] <n> more days for the <thing>", "I would need <n> more days for the <thing>."),
    ("[whos paying for|who pays for] the <event>?", "Could you please tell me who pays for the <event>?"),
    ("[done with|finished|just finished] the <thing>", "I have completed the <thing>."),
    ("[dont forget|remember] the <event> on <day>[!|]", "Please remember the <event> on <day>."),
    (
        "[is the <event> still on for|the <event> is still happening on|still doing the <event> on] <day>?",
        "Will the <event> take place on <day>?",
    ),
    ("[how much is|whats the price of] the <thing>?", "Could you please tell me the price of the <thing>?"),
)
_EXTRAS: tuple[tuple[str, str], ...] = (
    ("[im swamped|way too much to do]", "I have a great deal of work at the moment."),
    ("[im sick|feeling awful]", "I am not feeling well."),
    ("[the boss wants it|boss is asking]", "The manager has asked for it."),
    ("[no rush|whenever u can]", "There is no hurry."),
    ("[its urgent|asap pls|like right now]", "It is urgent."),
    ("[call me|gimme a call]", "Please call me."),
    ("[lmk|let me know]", "Please let me know."),
    ("[trains a mess today|stuck on the train]", "My train is delayed."),
)


def formal_row(rng: random.Random) -> tuple[str, str]:
    """One quick message and its letter."""
    to, sender = rng.sample(words.FIRST_NAMES, 2)
    slots = {
        "thing": rng.choice(_THINGS),
        "event": rng.choice(_EVENTS),
        "day": rng.choice(words.DAYS),
        "n": rng.choice((2, 3, 4, 5, 6, 8, 10, 15, 20, 30)),
    }
    slots["be"] = "are" if slots["thing"] in _MANY else "is"
    slots["when"] = say(rng, rng.choice(_WHEN), **slots)
    quick, careful = rng.choice(_CORES)
    quick, careful = say(rng, quick, **slots), say(rng, careful, **slots)
    if rng.random() < 0.4:
        loose, full = rng.choice(_EXTRAS)
        quick += say(rng, "[, |. | - ]") + say(rng, loose)
        careful += " " + full
    if rng.random() < 0.5:
        for day in words.DAYS:
            quick = quick.replace(day, day.lower())
    message = say(
        rng,
        "[hey|hi|yo|hello|hiya|morning] <to>[,|!|] <quick>[.|] [thx|cheers|bye|see ya|ta] <me>",
        to=to,
        quick=quick,
        me=sender,
    )
    return message.replace("?.", "?").replace("?,", "?").replace("!.", "!").replace(
        "!,", "!"
    ), f"Dear {to},\n\n{careful}\n\nKind regards,\n{sender}"
