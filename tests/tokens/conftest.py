"""nano with any renderer, conversations of every kind, and a data set that needs no engine."""

from __future__ import annotations

import copy
import json
from functools import cache

import pytest
from hypothesis import strategies as st

from studio import data, models
from studio.data.types import Message
from studio.models.rendering import Template, tokenizer_of

#: Every format of the catalogue.
RENDERERS = tuple(sorted({renderer for model in models.everything() for renderer in model.renderers}))
#: The marks of those formats that nano's tokenizer does not know.
_DEEPSEEK = (
    "Assistant",
    "User",
    "begin▁of▁sentence",
    "end▁of▁sentence",
    "tool▁calls▁begin",
    "tool▁calls▁end",
    "tool▁call▁begin",
)
_KIMI = ("assistant", "middle", "system", "user")
_MARKS = (
    *(f"<\uff5c{name}\uff5c>" for name in (*_DEEPSEEK, "tool▁call▁end", "tool▁output▁begin", "tool▁output▁end", "tool▁sep")),
    *(f"<|im_{name}|>" for name in _KIMI),
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|call|>", "<|constrain|>"),
    *("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>", "<|tool_call_end|>"),
    *("<|tool_call_argument_begin|>",),
)
TARGETS = ("last_assistant_message", "last_assistant_turn", "all_assistant_messages", "all_tokens")

WEATHER = {"name": "weather", "description": "Weather of a city", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}


def more(**keys: object) -> str:
    return json.dumps(keys, ensure_ascii=False)


#: What an OpenAI fine-tuning file with tools holds, as the data room hands it on.
TOOL_CHAT = (
    Message("system", "You help.", more(tools=[{"type": "function", "function": WEATHER}])),
    Message("user", "Weather in Zürich?"),
    Message("assistant", "", more(tool_calls=[CALL])),
    Message("tool", '{"sun": true}', more(tool_call_id="call_1")),
    Message("assistant", "Sunny."),
)


@cache
def tokenizer(renderer: str = "qwen3_instruct"):
    """nano's tokenizer, with the marks of all formats where nano's own format is not asked for."""
    from transformers import AddedToken

    own = copy.deepcopy(tokenizer_of(models.get("nano")))
    if renderer != "qwen3_instruct":
        own.add_tokens([AddedToken(mark, special=True, normalized=False) for mark in _MARKS], special_tokens=True)
    if renderer == "role_colon":
        own.bos_token = "<|begin_of_text|>"
    return own


@cache
def written(renderer: str = "qwen3_instruct") -> Template:
    return Template(models.get("nano"), renderer, tokenizer(renderer))


#: Letters of one to four bytes, marks of the format, white space, and what renderers look for.
_PIECES = st.sampled_from(
    ["a", "Z", "7", "é", "ß", "中", "🦊", "👩‍👩‍👧", "\u0301", " ", "\n", "<", ">", "|", "<|im_end|>", "User:", "\ufffd"]
)
TEXTS = st.one_of(st.lists(_PIECES, min_size=1, max_size=12).map("".join), st.text(st.characters(codec="utf-8"), min_size=1))


@st.composite
def chats(draw, weights: bool = False) -> tuple[Message, ...]:
    """A conversation that ends with an answer; with weights, some answers say whether they are to be learned."""
    turns = [Message("system", draw(TEXTS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        turns.append(Message("user", draw(TEXTS)))
        weight = draw(st.sampled_from([None, 0, 1])) if weights else None
        turns.append(Message("assistant", draw(TEXTS), "" if weight is None else more(weight=weight)))
    return tuple(turns)


@pytest.fixture
def inspected(tmp_path):
    """A function that stages rows (dictionaries) and gives their inspection."""

    def make(rows, name="rows.jsonl", **reading):
        source = tmp_path / "original"
        source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return data.inspect(source, name, tmp_path / "staged", **reading)

    return make
