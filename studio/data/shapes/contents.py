"""What the values of a column look like, from the first few hundred rows.

Guarantees: looks at values only, never at names; a value of any type and depth is looked at without an error; nothing here
judges a row: that is done later, for every row.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: A share from which on a column counts as being so. Files have bad rows, so it is less than all of them.
MOST = 0.8

#: Words for a thumb up and a thumb down, in lower case.
THUMBS_UP = (
    *("true", "1", "yes", "y", "up", "thumbs_up", "thumbs up", "thumb up", "good", "desirable", "like", "liked"),
    *("positive", "+1", "\N{THUMBS UP SIGN}", "upvote"),
)
THUMBS_DOWN = (
    *("false", "0", "no", "n", "down", "thumbs_down", "thumbs down", "thumb down", "bad", "undesirable", "dislike"),
    *("disliked", "negative", "-1", "\N{THUMBS DOWN SIGN}", "downvote"),
)
_PLAIN_FLAGS = frozenset({"0", "1", "yes", "no", "y", "n", "positive", "negative", "good", "bad"})
#: How the speakers of a written-out conversation are marked in one text: a pattern with the speaker in its only group, and what
#: else the style puts behind each turn. Every text of a style begins with a speaker.
SCRIPTS: tuple[tuple[str, str], ...] = (
    (r"\n\n(Human|Assistant): ?", ""),
    (r"\n*###? ?(Human|Assistant|User|System|Instruction|Response): ?\n?", r"\s*"),
    (r"<\|im_start\|>(system|user|assistant|tool)\n", r"(?:<\|im_end\|>)?\s*"),
    (r"(?:<s>)?\s*(\[/?INST\]) ?", r"\s*(?:</s>)?\s*"),
    (r"(?:^|\n)+(User|Human|Question|Q|Assistant|AI|Bot|Answer|A): ?", r"\s*"),
)
#: Who is meant by the words in ``SCRIPTS``, in lower case.
SCRIPT_ROLES = {
    "human": "user",
    "instruction": "user",
    "[inst]": "user",
    "question": "user",
    "q": "user",
    "response": "assistant",
    "[/inst]": "assistant",
    "answer": "assistant",
    "a": "assistant",
    "ai": "assistant",
    "bot": "assistant",
}

_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*(?:[eE][-+]?\d+)?%?")
_CHECKABLE = re.compile(r"####\s*\S|\\boxed\{")
_LETTER = re.compile(r"[^\W\d_]")
_SPEAKERS = tuple(re.compile(speaker) for speaker, _ in SCRIPTS)
_ROLE_KEYS = ("role", "from")
_CONTENT_KEYS = ("content", "value", "tool_calls", "function_call")


@dataclass(frozen=True, slots=True)
class Look:
    """Shares (0 to 1) of the values that are there. ``filled`` is the share of all rows that have a value.

    ``chat``: a list of turns (or its JSON text); ``sharegpt``: with from and value; ``asks``: a chat whose last turn is not the
    assistant's. ``transcript``: one text with Human and Assistant in it. ``flag``: a thumb up or down; ``thumb``: in words that
    mean nothing else. ``solution``: the text has a marked final answer; ``number``: it is one number.
    """

    filled: float = 0.0
    text: float = 0.0
    number: float = 0.0
    flag: float = 0.0
    thumb: float = 0.0
    chat: float = 0.0
    sharegpt: float = 0.0
    asks: float = 0.0
    transcript: float = 0.0
    solution: float = 0.0
    ground_truth: float = 0.0
    distinct: int = 0


def look(values: Sequence[object]) -> Look:
    """How these values look; a missing key is None."""
    filled = [value for value in values if not blank(value)]
    if not filled:
        return Look()
    chats = [turns for turns in map(turns_of, filled) if turns is not None]

    def share(fits: Callable[[Any], object], of: Sequence[object] = filled) -> float:
        return sum(bool(fits(value)) for value in of) / len(filled)

    return Look(
        filled=len(filled) / len(values),
        text=share(_is_text),
        number=share(is_number),
        flag=share(lambda value: thumb(value) is not None),
        thumb=share(lambda value: thumb(value) is not None and str(value).strip().lower() not in _PLAIN_FLAGS),
        chat=len(chats) / len(filled),
        sharegpt=share(lambda turns: any("from" in turn for turn in turns), chats),
        asks=share(lambda turns: str(_first(turns[-1], _ROLE_KEYS) or "").lower() in ("user", "human"), chats),
        transcript=share(lambda value: isinstance(value, str) and _is_script(value)),
        solution=share(lambda value: isinstance(value, str) and _CHECKABLE.search(value)),
        ground_truth=share(lambda value: isinstance(found := parsed(value), dict) and "ground_truth" in found),
        distinct=len({json.dumps(value, sort_keys=True, default=str) for value in filled}),
    )


def blank(value: object) -> bool:
    """Missing, null, or nothing that shows."""
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})


def is_number(value: object) -> bool:
    """A number, or a text that is nothing but one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, float)):
        return not isinstance(value, float) or math.isfinite(value)
    return isinstance(value, str) and _NUMBER.fullmatch(value.strip().lstrip("$€£")) is not None


def thumb(value: object) -> bool | None:
    """True for a thumb up, False for a thumb down, None for anything else."""
    word = str(value).strip().lower() if isinstance(value, (str, bool, int, float)) else ""
    word = word.removesuffix(".0")
    return True if word in THUMBS_UP else False if word in THUMBS_DOWN else None


def parsed(value: object) -> object:
    """The value itself, or what its JSON text says."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def turns_of(value: object) -> Sequence[Mapping[str, Any]] | None:
    """The turns of a conversation: a list of objects with a role (or from), also inside ``messages`` or as one object."""
    found = parsed(value)
    if isinstance(found, dict):
        found = found["messages"] if isinstance(found.get("messages"), list) else [found]
    if not isinstance(found, list) or not found:
        return None
    turns = [turn for turn in found if isinstance(turn, dict) and _has(turn, _ROLE_KEYS) and _has(turn, _CONTENT_KEYS)]
    return turns if len(turns) >= len(found) / 2 and turns else None


def shared_start(pairs: Sequence[tuple[object, object]]) -> float:
    """The share of pairs of texts that begin with the same words and then differ."""
    texts = [(one.split(), two.split()) for one, two in pairs if isinstance(one, str) and isinstance(two, str)]
    told = [(one, two) for one, two in texts if one and two]
    return sum(one[:2] == two[:2] and len(one) > 2 < len(two) for one, two in told) / len(told) if told else 0.0


def _is_script(text: str) -> bool:
    """A conversation written out: it begins with a speaker, and another one answers."""
    for speaker in _SPEAKERS:
        marked = "\n\n" + text.strip()
        spoken = [SCRIPT_ROLES.get(name.lower(), name.lower()) for name in speaker.findall(marked)]
        if {"user", "assistant"} <= set(spoken) and not speaker.split(marked)[0].strip():
            return True
    return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and _LETTER.search(value) is not None and turns_of(value) is None


def _has(turn: Mapping[str, Any], keys: Sequence[str]) -> bool:
    return any(key.lower() in keys for key in turn)


def _first(turn: Mapping[str, Any], keys: Sequence[str]) -> object:
    return next((content for key, content in turn.items() if key.lower() in keys), None)
