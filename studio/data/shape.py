"""Which known form a table has, from its column names alone: whole words, never parts of words.

Guarantees: a name that is exactly the expected one always wins; a name that only resembles it gives a shape that is not
``exact``, which a person should confirm; two columns that fit a part equally well are never chosen between silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from studio.data.types import Kind, Shape
from studio.errors import DataError

#: The parts of each form, in the order in which the forms are looked for: those that must be there, those that may be.
PARTS: dict[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "messages": (("messages",), ()),
    "prompt_completion": (("prompt", "completion"), ("system",)),
    "alpaca": (("instruction", "output"), ("input", "system")),
}
_EXACT: Mapping[str, frozenset[str]] = {
    "messages": frozenset({"messages"}),
    "prompt": frozenset({"prompt"}),
    "completion": frozenset({"completion", "response"}),
    "instruction": frozenset({"instruction"}),
    "input": frozenset({"input"}),
    "output": frozenset({"output"}),
    "system": frozenset({"system", "system prompt"}),
}
# Words that mean the part when they are whole words of a name. Earlier words are the stronger ones.
_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "messages": ("messages", "conversation", "chat", "dialogue", "dialog"),
    "prompt": ("prompt", "question", "query", "instruction", "problem", "request", "input", "user", "human", "source"),
    "completion": ("completion", "response", "answer", "output", "reply", "solution", "assistant", "bot", "target"),
}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_A_WORD = re.compile(r"[\W_]+")
# A heading is a few words; anything longer is a sentence that happens to hold the word.
_LONGEST_NAME = 4


def normal(name: str) -> str:
    """A column name without case, marks and separators: ``' User_Question '`` and ``userQuestion`` become ``user question``."""
    return " ".join(tokens(name))


def tokens(name: str) -> tuple[str, ...]:
    """The whole words of a column name, in lower case."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    return tuple(word for word in _NOT_A_WORD.split(spaced.casefold()) if word)


def recognise(names: Iterable[str]) -> Shape | None:
    """The shape that these column names have, or None. Exact names first; then synonyms, marked as not exact."""
    columns = list(dict.fromkeys(names))
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(normal(column), column)
    for kind, (needed, optional) in PARTS.items():
        found = {part: _exactly(part, by_name) for part in (*needed, *optional)}
        chosen = {part: column for part, column in found.items() if column is not None}
        if all(part in chosen for part in needed) and len(set(chosen.values())) == len(chosen):
            return Shape(kind, tuple(chosen.items()), True, _exact_why(kind, chosen))
    return _resembling(columns, by_name)


def chosen(mapping: Mapping[str, str], columns: Sequence[str]) -> Shape:
    """The shape that a person chose. Raises ``DataError`` for an unknown part, a missing part or a missing column."""
    picked = {part: column for part, column in mapping.items() if column}
    kind: Kind | None = next((kind for kind in PARTS if set(PARTS[kind][0]) <= set(picked)), None)
    if kind is None:
        raise DataError(
            "The chosen columns do not make a prompt and an answer.",
            where=", ".join(picked) or "columns",
            next_step="Choose one column for the prompt and one for the completion, or one column of messages.",
        )
    needed, optional = PARTS[kind]
    for part, column in picked.items():
        if part not in needed + optional:
            raise DataError(f"{part!r} is no part of this form.", where=part, next_step=f"Use {', '.join(needed + optional)}.")
        if column not in columns:
            raise DataError(
                f"The file has no column {column!r}.", where=part, next_step=f"Its columns are: {', '.join(columns[:20])}."
            )
    if len(set(picked.values())) < len(picked):
        raise DataError("One column cannot play two parts.", where="columns", next_step="Choose a different column for each.")
    return Shape(kind, tuple(picked.items()), True, "You chose the columns.")


def _exactly(part: str, by_name: Mapping[str, str]) -> str | None:
    return next((column for name, column in by_name.items() if name in _EXACT[part]), None)


def _exact_why(kind: Kind, columns: Mapping[str, str]) -> str:
    if kind == "messages":
        return f'The column "{columns["messages"]}" holds conversations.'
    if kind == "alpaca":
        parts = " and ".join(f'"{columns[part]}"' for part in ("instruction", "input") if part in columns)
        return f'The file is in the Alpaca form: {parts} make the prompt, "{columns["output"]}" is the answer.'
    return f'The columns are called "{columns["prompt"]}" and "{columns["completion"]}".'


def _resembling(columns: Sequence[str], by_name: Mapping[str, str]) -> Shape | None:
    system = _exactly("system", by_name)
    rest = [column for column in columns if column != system]
    prompts, answers = _ranked("prompt", rest), _ranked("completion", rest)
    pairs = [(p + a, prompt, answer) for p, prompt in prompts for a, answer in answers if prompt != answer]
    if not pairs:
        chats = _ranked("messages", rest)
        if not chats:
            return None
        return Shape("messages", (("messages", chats[0][1]),), False, f'The column "{chats[0][1]}" sounds like conversations.')
    best = min(pairs, key=lambda pair: pair[0])
    _, prompt, answer = best
    why = f'"{prompt}" sounds like the prompt and "{answer}" like the answer.'
    if sum(pair[0] == best[0] for pair in pairs) > 1:
        why += " Other columns would fit as well."
    found = (("prompt", prompt), ("completion", answer), *((("system", system),) if system else ()))
    return Shape("prompt_completion", found, False, why)


def _ranked(part: str, columns: Sequence[str]) -> list[tuple[int, str]]:
    """Columns whose name holds a word for this part, with a penalty: 0 is the part's own name, higher is weaker."""
    ranked: list[tuple[int, str]] = []
    for column in columns:
        words = tokens(column)
        if not 0 < len(words) <= _LONGEST_NAME or normal(column) in _EXACT["system"]:
            continue
        hits = [rank for rank, synonym in enumerate(_SYNONYMS[part]) if synonym in words]
        if hits:
            # A name that is nothing but the word is stronger than one that also says something else ("answer id").
            ranked.append((2 * min(hits) + (0 if len(words) == 1 else 25), column))
    return sorted(ranked)
