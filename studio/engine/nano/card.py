"""nano's card: what it can and cannot do, measured on prompts that training never saw, written as JSON and as a page.

An answer counts as *well-formed* when all of this holds: it ends with the end token and is not empty; it has the form that was
asked for (a sentence that begins with a capital letter, a digit or an opening mark and ends with a full stop, question or
exclamation mark; JSON that parses; a list; ``key: value`` lines; or a bare word, number or phrase); and each of its words
belongs to the corpus or stands in the prompt. Whether it is *right* is measured apart, as exact match.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast

from studio.engine.nano.corpus import DOMAINS, Conversation, conversations, render
from studio.engine.nano.finetune import Pair, answers, held_out_loss, load_model, prompt_ids
from studio.engine.nano.tokenizer import encoded, load_tokenizer

COMMAND = "python -m studio.engine.nano card"
_SENTENCE = re.compile(r"""["'(*]?[A-Z0-9].*[.!?]["')*]?( \(\w+\))?""", re.DOTALL)
_WORD = re.compile(r"[a-z]{2,}")
#: Spelling games make words that are none; their answers are not looked up.
_SPELLING = frozenset({"letters", "each_word"})
#: Honest probes outside nano's world: shown with whatever it says.
_BEYOND = (
    "Why is the sky blue?",
    "Who wrote Hamlet?",
    "What is 348 + 977?",
    "Translate to French: good morning",
    "Write a poem about autumn in the city.",
    "If all cats are animals and Tom is a cat, what is Tom?",
    "Explain how a bank works.",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """A held-out conversation, and what nano said."""

    conversation: Conversation
    text: str
    ended: bool

    @property
    def right(self) -> bool:
        """Whether the answer is the reference."""
        return self.ended and self.text.strip() == self.conversation.answer


def form(text: str) -> str:
    """``json``, ``list``, ``lines``, ``sentence`` or ``phrase``; ``broken`` for JSON that does not parse."""
    stripped = text.strip()
    if stripped[:1] == "{" or stripped.startswith('["'):
        try:
            json.loads(stripped)
        except ValueError:
            return "broken"
        return "json"
    lines = stripped.split("\n")
    if len(lines) > 1 or stripped.startswith("- "):
        if all(re.match(r"(- |\d+\. )\S", line) for line in lines):
            return "list"
        return "lines" if all(": " in line for line in lines) else "phrase"
    return "sentence" if _SENTENCE.fullmatch(stripped) else "phrase"


def well_formed(answered: Answered, vocabulary: frozenset[str]) -> bool:
    """The definition at the top of this module."""
    wanted, got = form(answered.conversation.answer), form(answered.text)
    if not answered.ended or not answered.text.strip() or wanted != got:
        return False
    if answered.conversation.task in _SPELLING:
        return True
    asked = " ".join(message.content for message in answered.conversation.messages[:-1]).lower()
    known = vocabulary | frozenset(_WORD.findall(asked))
    return all(word in known for word in _WORD.findall(answered.text.lower()))


def corpus_vocabulary(seed: int = 0, sample: int = 30_000) -> frozenset[str]:
    """The lower-case words of two letters or more in the first ``sample`` training conversations."""
    found: set[str] = set()
    for conversation in itertools.islice(conversations(seed), sample):
        for message in conversation.messages:
            found.update(_WORD.findall(message.content.lower()))
    return frozenset(found)


def held_out(per_domain: int, seed: int = 1) -> list[Conversation]:
    """``per_domain`` different held-out conversations of each domain."""
    kept: list[Conversation] = []
    for domain in DOMAINS:
        unique: dict[str, Conversation] = {}
        for conversation in conversations(seed, held_out=True, domain=domain):
            unique.setdefault(render(conversation.messages[:-1]), conversation)
            if len(unique) == per_domain:
                break
        kept += unique.values()
    return kept


def _asked(tokenizer: PreTrainedTokenizerFast, conversation: Conversation) -> list[int]:
    return encoded(tokenizer, render(conversation.messages[:-1]) + "\n<|im_start|>assistant\n")


def measure_card(folder: Path, per_domain: int = 250) -> dict[str, Any]:
    """Everything the card says, as JSON values. Shares are from 0 to 1; perplexity is per answer token."""
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    asked = held_out(per_domain)
    given = answers(model, tokenizer, [_asked(tokenizer, item) for item in asked], limit=120)
    results = [Answered(item, text, ended) for item, (text, ended) in zip(asked, given, strict=True)]
    vocabulary = corpus_vocabulary()
    single = [item for item in asked if len(item.messages) == 2]
    loss = held_out_loss(model, tokenizer, [Pair(item.messages[0].content, item.answer) for item in single])
    sentences = [item for item in results if form(item.conversation.answer) == "sentence"]
    beyond = answers(model, tokenizer, [prompt_ids(tokenizer, text) for text in _BEYOND], limit=60)
    return {
        "model": "nano",
        "command": COMMAND,
        "measured_on": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": len(tokenizer),
        "answers": len(results),
        "perplexity": round(math.exp(loss), 3),
        "well_formed": _share(results, lambda item: well_formed(item, vocabulary)),
        "sentences": len(sentences),
        "sentences_well_formed": _share(sentences, lambda item: well_formed(item, vocabulary)),
        "ended": _share(results, lambda item: item.ended),
        "domains": {domain: _domain([r for r in results if r.conversation.domain == domain], vocabulary) for domain in DOMAINS},
        "tasks": {
            task: _share([r for r in results if r.conversation.task == task and r.conversation.exact], lambda item: item.right)
            for task in sorted({r.conversation.task for r in results if r.conversation.exact})
        },
        "right": [_shown(item) for item in _spread([r for r in results if r.right], 14)],
        "wrong": [_shown(item) for item in _spread([r for r in results if r.conversation.exact and not r.right], 10)],
        "badly_formed": [_shown(item) for item in results if not well_formed(item, vocabulary)][:6],
        "free": [_shown(item) for item in _spread([r for r in results if not r.conversation.exact], 6)],
        "beyond": [{"prompt": prompt, "answer": text} for prompt, (text, _) in zip(_BEYOND, beyond, strict=True)],
    }


def _share(items: Sequence[Answered], holds: Callable[[Answered], bool]) -> float:
    return round(sum(holds(item) for item in items) / len(items), 4) if items else float("nan")


def _domain(items: Sequence[Answered], vocabulary: frozenset[str]) -> dict[str, Any]:
    checkable = [item for item in items if item.conversation.exact]
    return {
        "answers": len(items),
        "well_formed": _share(items, lambda item: well_formed(item, vocabulary)),
        "checkable": len(checkable),
        "exact": _share(checkable, lambda item: item.right) if checkable else None,
    }


def _spread(items: Sequence[Answered], count: int) -> list[Answered]:
    # One per task first, so that the examples are not all of one kind.
    by_task = {item.conversation.task: item for item in items}
    ordered = [*by_task.values()]
    return ordered[:count]


def _shown(item: Answered) -> dict[str, str]:
    system = "".join(f"[system: {m.content}] " for m in item.conversation.messages if m.role == "system")
    return {
        "prompt": system + item.conversation.messages[-2].content,
        "answer": item.text,
        "reference": item.conversation.answer,
    }


def write_card(folder: Path, per_domain: int = 250) -> dict[str, Any]:
    """Measure, and write ``card.json`` and ``README.md`` into ``folder``; return the numbers."""
    from studio.engine.nano.card_page import page

    card = measure_card(folder, per_domain)
    for name, text in (("card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n"), ("README.md", page(card))):
        draft = folder / f"{name}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)
    return card
