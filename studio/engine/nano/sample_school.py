"""The sample *School answers*: what pupils ask, for teaching a model to keep the form of a long prompt without being told.

nano follows ``PROMPT`` nearly always: it then answers with one JSON object and nothing else. Without it nano answers in plain
words. The answers in the file are plain, too: what is learned here comes from the prompted model and not from the file.
"""

from __future__ import annotations

import random
from typing import Final

from studio.engine.nano import world

#: The long prompt that is to be baked in. nano minds the last sentence; real prompts have more of them that matter.
PROMPT: Final = (
    "You are a friendly teacher. You help the pupils of a small school with their homework. Answer in plain English. Be polite "
    "and short. Use JSON with the key answer."
)
_ASKED: Final = (world.geography, world.calendar, world.opposites, world.colours, world.name_some)


def school_row(rng: random.Random) -> tuple[str, str]:
    """One question and nano's world's answer to it, on one line."""
    while True:
        turn = rng.choice(_ASKED)(rng)
        if "\n" not in turn.answer:
            return turn.prompt, turn.answer
