"""The corpus: an endless, seeded stream of conversations, and the prompts that training never sees.

Guarantees: the same seed gives the same conversations on every machine; a prompt whose hash falls into the held-out fiftieth
never appears as a user turn of a training conversation, and held-out conversations consist of such prompts only.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from studio.engine.nano import copying, people, reading, rewriting, talk, words, world
from studio.engine.nano.grammar import Turn, say

Role = Literal["system", "user", "assistant"]
_HELD_OUT_ONE_IN = 50
_DOMAINS: tuple[tuple[str, float, Sequence[tuple[Callable[[random.Random], Turn], float]]], ...] = (
    # domain, weight, its generators
    ("copying", 0.27, copying.GENERATORS),
    ("reading", 0.34, reading.GENERATORS),
    ("rewriting", 0.15, rewriting.GENERATORS),
    ("world", 0.12, world.GENERATORS),
    ("talk", 0.12, talk.GENERATORS),
)
DOMAINS = tuple(row[0] for row in _DOMAINS)
_NEUTRAL_SYSTEM = (
    "You are a helpful assistant.",
    "You are nano, a small model.",
    "Answer briefly.",
    "Be polite and short.",
    "You help the customers of a shop.",
    "Answer in plain English.",
    "You are a friendly teacher.",
    "Do what the user asks.",
    "You are a careful clerk who writes things down.",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages in order, ending with the assistant. ``domain`` and ``exact`` describe the last turn."""

    messages: tuple[Message, ...]
    domain: str
    task: str
    exact: bool

    @property
    def answer(self) -> str:
        """The text of the last assistant turn."""
        return self.messages[-1].content


def is_held_out(prompt: str) -> bool:
    """True for one prompt in fifty, by a hash of its text alone."""
    return (
        hashlib.sha256(prompt.encode()).digest()[0] * 256 + hashlib.sha256(prompt.encode()).digest()[1]
        < 65536 // _HELD_OUT_ONE_IN
    )


def draw(rng: random.Random, domain: str | None = None) -> tuple[Turn, str, str]:
    """One turn with its domain and the name of its task."""
    row = rng.choices(_DOMAINS, [d[1] for d in _DOMAINS])[0] if domain is None else next(d for d in _DOMAINS if d[0] == domain)
    generator = rng.choices([g[0] for g in row[2]], [g[1] for g in row[2]])[0]
    return _instructed(rng, generator(rng)), row[0], generator.__name__


def _instructed(rng: random.Random, turn: Turn) -> Turn:
    """Sometimes a second instruction about the form of the answer, in the prompt or as a system message."""
    chance = rng.random()
    if chance > 0.13 or "\n" in turn.answer or turn.answer[:1] in "{[":
        return turn
    word = rng.choice((*words.COMMON[:200], *words.FIRST_NAMES)) if rng.random() < 0.7 else copying.made_up(rng)
    ask, answer = rng.choice(
        (
            ("[Answer|Reply|Write] in capital letters.", turn.answer.upper()),
            ("[Begin|Start] with <w>:", f"{word}: {turn.answer}"),
            ("[End|Finish] with (<w>)", f"{turn.answer} ({word})"),
            ("[Put|Write] the answer in brackets.", f"({turn.answer})"),
            ("[Put|Write] the answer in quotes.", f'"{turn.answer}"'),
            ("[Answer as|Use] JSON with the key <w>.", '{"' + word + '": "' + turn.answer.replace('"', '\\"') + '"}'),
            ("[Write|Give|Say] the answer twice.", f"{turn.answer} {turn.answer}"),
        )
    )
    instruction = say(rng, ask, w=word)
    if chance < 0.04:
        return Turn(turn.prompt, answer, turn.exact, system=instruction)
    return Turn(f"{turn.prompt} {instruction}" if rng.random() < 0.7 else f"{instruction} {turn.prompt}", answer, turn.exact)


def _fresh(rng: random.Random, held_out: bool, domain: str | None) -> tuple[Turn, str, str]:
    while True:
        turn, name, task = draw(rng, domain)
        if is_held_out(turn.prompt) is held_out:
            return turn, name, task


def _follow_up(rng: random.Random) -> list[Turn]:
    """A text once, then several questions about it in later turns."""
    record = rng.choice(people.RECORDS)(rng)
    keys = rng.sample(list(record.fields), rng.randint(2, len(record.fields)))
    opening = (
        say(rng, "[Read this and wait|Remember this|Here is a text|Please keep this in mind|I will ask about this]: ")
        + record.text
    )
    turns = [Turn(opening, say(rng, "[Yes|All right|Good]. What [would you like to know|do you want to know]?"))]
    turns += [Turn(record.questions[key] + "?", record.fields[key], exact=True) for key in keys]
    return turns


def conversation(rng: random.Random, *, held_out: bool = False, domain: str | None = None) -> Conversation:
    """One conversation. Held-out ones have a single user turn; training ones have one or, in three of ten, several."""
    turn, name, task = _fresh(rng, held_out, domain)
    system = turn.system or (rng.choice(_NEUTRAL_SYSTEM) if rng.random() < 0.06 else "")
    turns = [turn]
    if not held_out and not turn.system:
        shape = rng.random()
        if shape < 0.06:
            follow = _follow_up(rng)
            if not any(is_held_out(t.prompt) for t in follow):
                turns, name, task = follow, "reading", "follow_up"
        elif shape < 0.30:
            count = rng.choice((1, 1, 1, 2, 2, 3, 4, 6, 12) if shape < 0.285 else (8, 14))
            extra = [_fresh(rng, False, None) for _ in range(count)]
            kept = [entry for entry in extra if not entry[0].system]
            turns += [entry[0] for entry in kept]
            if kept:
                name, task = kept[-1][1], kept[-1][2]
    messages = [Message("system", system)] if system else []
    for each in turns:
        messages += [Message("user", each.prompt), Message("assistant", each.answer)]
    return Conversation(tuple(messages), name, task, turns[-1].exact)


def conversations(seed: int, *, held_out: bool = False, domain: str | None = None) -> Iterator[Conversation]:
    """Endless conversations for one seed."""
    rng = random.Random(f"{seed}/{held_out}/{domain}")  # noqa: S311 - made-up text, no secret
    while True:
        yield conversation(rng, held_out=held_out, domain=domain)


def render(messages: Sequence[Message]) -> str:
    """ChatML as Qwen3's instruct models write it: turns are joined by a line feed and nothing follows the last end token."""
    return "\n".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>" for m in messages)
