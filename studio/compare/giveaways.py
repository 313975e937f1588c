"""What in an answer could tell a rater which model wrote it, and the one text that raters are shown.

Guarantees: ``visible`` treats every answer alike, whichever model wrote it; everything it takes out, and everything telling
that it cannot take out, has a flag, so that a session can say how often it happened on each side. Pure: text in, text out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal

from studio.store.rows import AnswerRow

Flag = Literal["names_model", "special_tokens", "thinking", "truncated", "empty"]

#: What stands in for an answer of which nothing is left to show.
NOTHING: Final = "(no answer)"

# Marks of chat formats: ChatML and its kin, DeepSeek's wide bars, Llama 2, Gemma. Imported answers may come from any of them.
_SPECIAL: Final = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|<\uff5c[^<>\uff5c]{1,40}\uff5c>|\[/?INST\]|<</?SYS>>|<(?:start_of_turn|end_of_turn|bos|eos|pad|unk)>"
)
# An unclosed block reaches to the end: the model was cut off while it was still thinking.
_THINKING: Final = re.compile(r"<(think|thinking)>.*?(?:</\1>|\Z)", re.DOTALL)
_THINKING_END: Final = "</think>"
_FAMOUS: Final = (
    *("Alibaba Cloud", "Anthropic", "ChatGPT", "Claude", "DeepSeek", "Gemini", "GPT-4", "GPT-5", "Kimi", "Llama", "Mistral"),
    *("Nemotron", "OpenAI", "Qwen", "fine-tuned", "finetuned", "base model"),
)


def visible(text: str) -> str:
    """The answer as people and measures see it: no special tokens, no thinking aloud, no blank edges; may be empty."""
    rest = _THINKING.sub("", text)
    # Some templates open the block in the prompt, so that the answer holds only its end.
    rest = rest.rpartition(_THINKING_END)[2]
    return _SPECIAL.sub("", rest).strip()


def shown(text: str) -> str:
    """``visible``, with ``NOTHING`` in the place of an empty answer."""
    return visible(text) or NOTHING


def flags(answer: AnswerRow, model_names: Iterable[str] = ()) -> tuple[Flag, ...]:
    """What gives this answer away. ``model_names`` are names of the model at hand, besides those that everybody knows."""
    found: list[Flag] = []
    seen = visible(answer.text)
    if _pattern((*_FAMOUS, *model_names)).search(seen):
        found.append("names_model")
    if _SPECIAL.search(answer.text):
        found.append("special_tokens")
    if _THINKING.search(answer.text) or _THINKING_END in answer.text:
        found.append("thinking")
    if answer.stop_reason == "length":
        found.append("truncated")
    if not seen:
        found.append("empty")
    return tuple(found)


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(name) for name in names if name) + r")(?!\w)", re.IGNORECASE)
