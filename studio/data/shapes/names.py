"""What column names mean: whole words, never parts of words.

Guarantees: a name means the same in any case and with any separators; the form's own names are listed here and nowhere else; a
word that only resembles a part is ranked, never taken for the part's own name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from studio.data.types import Kind

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NOT_A_WORD = re.compile(r"[\W_]+")
# A heading is a few words; anything longer is a sentence that happens to hold the word.
LONGEST_NAME = 4

_SYSTEM = ("system", "system prompt", "system message")
_TOOLS = ("tools", "functions")
#: The names that each form itself uses for its parts, the strongest first.
OWN: Mapping[Kind, Mapping[str, tuple[str, ...]]] = {
    "messages": {"messages": ("messages",), "tools": _TOOLS, "system": _SYSTEM},
    "sharegpt": {"messages": ("conversations", "conversation"), "tools": _TOOLS, "system": _SYSTEM},
    "prompt_completion": {"prompt": ("prompt",), "completion": ("completion", "response"), "system": _SYSTEM},
    "alpaca": {
        "instruction": ("instruction",),
        "input": ("input", "context"),
        "output": ("output", "response"),
        "system": _SYSTEM,
    },
    "preference": {"prompt": ("prompt", "input", "question", "instruction", "messages"), "system": _SYSTEM},
    "rl_reward": {
        "prompt": ("prompt", "question", "problem", "messages"),
        "reward": ("reward", "rewards"),
        "reward_name": ("reward name", "reward function", "reward fn", "reward func", "reward type", "grader"),
        "completion": ("completion", "response"),
        "system": _SYSTEM,
    },
    "rl_answer": {
        "prompt": ("prompt", "question", "problem", "messages"),
        "answer": (
            *("ground truth", "reference answer", "expected answer", "correct answer", "gold answer", "gold", "reference"),
            *("reward model", "answer"),
        ),
        "test": ("test", "tests", "test cases", "test list", "test code", "unit tests", "unit test"),
        "reward_name": ("reward name", "reward function", "reward fn", "reward func", "reward type", "grader"),
        "system": _SYSTEM,
    },
}
#: The better and the worse answer, as the known preference forms call them.
PAIRS: tuple[tuple[str, str], ...] = (
    ("chosen", "rejected"),
    ("preferred output", "non preferred output"),
    ("text", "rejected text"),
)
#: Names of a column that only says whether an answer was liked.
LABELS = (
    *("label", "kto tag", "thumbs", "thumb", "thumbs up", "feedback", "desirable", "is desirable", "liked", "vote", "upvote"),
    *("rating", "accepted", "is good", "good", "is accepted", "user feedback", "preference"),
)
#: Names of a column that says which of two answers won.
WINNERS = ("winner", "label", "preference", "preferred", "choice", "chosen", "better", "verdict", "result")

# Words that mean the part when they are whole words of a name. Earlier words are the stronger ones.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "messages": ("messages", "conversations", "conversation", "chat", "dialogue", "dialog", "turns", "transcript"),
    "prompt": (
        *("prompt", "question", "query", "instruction", "problem", "request", "input", "user", "human", "source"),
        *("message", "ask", "text", "sentence", "review", "comment", "email", "ticket", "document", "article", "passage"),
        *("frage", "eingabe", "pregunta", "domanda", "pergunta", "vraag", "pytanie", "вопрос", "问题", "質問", "질문"),
    ),
    "completion": (
        *("completion", "response", "answer", "output", "reply", "solution", "assistant", "bot", "target"),
        *("antwort", "ausgabe", "réponse", "reponse", "respuesta", "risposta", "resposta", "antwoord", "odpowiedź", "ответ"),
        *(
            "回答",
            "答案",
            "답변",
            "translation",
            "summary",
            "label",
            "category",
            "class",
            "sentiment",
            "intent",
            "topic",
            "tag",
        ),
    ),
}
_GOOD = frozenset(
    {
        *("chosen", "preferred", "better", "best", "accepted", "winner", "winning", "win", "good", "positive"),
        *("favored", "favoured", "favorite", "upvoted"),
    }
)
_BAD = frozenset(
    {
        *("rejected", "dispreferred", "unpreferred", "worse", "worst", "loser", "losing", "lose", "bad", "negative"),
        *("unfavored", "disfavored", "downvoted", "unaccepted"),
    }
)
_NOT = frozenset({"non", "not", "un", "dis"})
# Words that say a column is about the row, not a text of the row.
_ABOUT = frozenset(
    {
        *("id", "ids", "uuid", "index", "idx", "date", "time", "timestamp", "created", "updated", "count", "length"),
        *("tokens", "score", "scores", "url", "hash"),
    }
)


def tokens(name: str) -> tuple[str, ...]:
    """The whole words of a column name, in lower case."""
    spaced = _CAMEL.sub(" ", unicodedata.normalize("NFKC", name))
    return tuple(word for word in _NOT_A_WORD.split(spaced.casefold()) if word)


def normal(name: str) -> str:
    """A column name without case, marks and separators: ``' User_Question '`` and ``userQuestion`` become ``user question``."""
    return " ".join(tokens(name))


def spelled_as_is(kind: Kind, part: str, column: str) -> bool:
    """Whether the column is written just as the form itself writes this part, up to the separator of its words."""
    family: Kind = "preference" if kind.startswith("preference") else kind
    own = OWN.get(family, {}).get(part, (part,))
    if part in ("chosen", "rejected"):
        own = tuple(name for pair in PAIRS for name in pair)
    plain = column.replace("_", " ").replace("-", " ")
    return plain in own or column == part


def ranked(part: str, columns: Iterable[str]) -> list[tuple[int, str]]:
    """Columns whose name holds a word for this part, with a penalty: 0 is the part's own name, higher is weaker."""
    found: list[tuple[int, str]] = []
    for column in columns:
        words = tokens(column)
        if not 0 < len(words) <= LONGEST_NAME or normal(column) in _SYSTEM:
            continue
        hits = [rank for rank, synonym in enumerate(SYNONYMS[part]) if synonym in words]
        if hits:
            # A name that is nothing but the word is stronger than one that also says something else ("answer id").
            more = 0 if len(words) == 1 else 60 if _ABOUT & set(words) else 25
            found.append((2 * min(hits) + more, column))
    return sorted(found)


def opposites(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of columns whose names differ only in saying better and worse: ``good_answer`` and ``bad_answer``."""
    good: dict[tuple[str, ...], list[str]] = {}
    bad: dict[tuple[str, ...], list[str]] = {}
    for column in columns:
        words = tokens(column)
        if not 0 < len(words) <= LONGEST_NAME or _ABOUT & set(words):
            continue
        rest = tuple(word for word in words if word not in _GOOD | _BAD | _NOT)
        negated = bool(_NOT & set(words))
        if _BAD & set(words) or (negated and _GOOD & set(words)):
            bad.setdefault(rest, []).append(column)
        elif _GOOD & set(words):
            good.setdefault(rest, []).append(column)
    return [(one, other) for rest, found in good.items() for one in found for other in bad.get(rest, ())]


def rivals(columns: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of columns that are called the same but for a last letter or number: ``response_a`` and ``response_b``."""
    by_stem: dict[tuple[str, ...], dict[str, str]] = {}
    for column in columns:
        words = tokens(column)
        if 1 < len(words) <= LONGEST_NAME and words[-1] in ("a", "b", "0", "1", "2") and not _ABOUT & set(words):
            by_stem.setdefault(words[:-1], {})[words[-1]] = column
    ends = (("a", "b"), ("0", "1"), ("1", "2"))
    return [
        (ended[one], ended[two])
        for ended in by_stem.values()
        for one, two in ends
        if len(ended) == 2 and {one, two} <= set(ended)
    ]


def last_word(column: str) -> str:
    """The last word of a name, which tells two rivals apart."""
    return tokens(column)[-1]
