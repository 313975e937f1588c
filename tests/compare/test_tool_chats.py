"""Held-out tool chats: asked with the same tokens as trained on, scored and shown with the call, and readable for people."""

from __future__ import annotations

import json

import pytest

from studio import models
from studio.compare import blind
from studio.compare.generate import CompareSettings, Plan, Question
from studio.compare.generate_arms import Questioner
from studio.data import Message
from studio.models.rendering import CannotRender, spoken, template
from studio.store import AnswerRow

NANO = models.get("nano")
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather of a city", "parameters": {}}}]
CALLS = [{"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bern"}'}}]
ASKED = (Message("user", "Weather in Bern?", json.dumps({"tools": TOOLS})),)
CALLED = Message("assistant", "", json.dumps({"tool_calls": CALLS}))
ANSWERED = (*ASKED, CALLED, Message("tool", "sun", json.dumps({"tool_call_id": "1"})))
PLAN = Plan("nano", NANO.wire_name, NANO.renderer, "", "", "", "", 1, 0.0, 1.0, -1, 64, 0)
CALL_TEXT = '<tool_call>\n{"name": "weather", "arguments": {"city": "Bern"}}\n</tool_call>'


def prepared(question: Question):
    found = Questioner(NANO, NANO.renderer).prepare(question, PLAN)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("question", "reference"),
    [
        (Question(0, "a", ANSWERED, "Sunny."), "Sunny."),
        (Question(0, "a", ASKED, "", CALLED.more), CALL_TEXT),
        (Question(0, "a", ASKED, "Let me look.", CALLED.more), f"Let me look.\n{CALL_TEXT}"),
    ],
)
def test_the_reference_is_what_the_model_would_have_to_write(question, reference):
    found = prepared(question)
    assert found.question.reference == reference
    ids = found.scored.to_ints()
    assert template(NANO).tokenizer.decode([ids[place] for place in found.reference_at]) == f"{reference}<|im_end|>"
    # Prompt and scored text begin alike, and what is scored begins where the prompt ends.
    assert ids[: found.prompt.length] == found.prompt.to_ints()
    assert found.reference_at[0] == found.prompt.length
    assert '"name": "weather", "description"' in template(NANO).tokenizer.decode(ids)


def test_a_format_without_tools_refuses():
    with pytest.raises(CannotRender, match="tool calls"):
        Questioner(NANO, "role_colon").prompt(ANSWERED)


def test_a_plain_question_is_as_before():
    found = prepared(Question(3, "a", (Message("user", "Hi"),), "Hello"))
    text = template(NANO).tokenizer.decode(found.scored.to_ints())
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>"
    assert found.question.reference == "Hello"
    assert Questioner(NANO, NANO.renderer).params(found.prompt, CompareSettings(max_tokens=7), 5) is not None


def test_people_read_what_was_called():
    assert spoken(CALLED) == 'weather({"city": "Bern"})'
    assert spoken(Message("assistant", "Let me look.", CALLED.more)) == 'Let me look.\nweather({"city": "Bern"})'
    assert spoken(Message("user", "Hi", "{")) == "Hi"
    turns = [{"role": turn.role, "content": turn.content, "more": turn.more} for turn in ANSWERED]
    for told in (turns, [{"role": "user", "content": "Hi"}]):
        answer = AnswerRow("c", "p", "base", "local", 0, json.dumps(told), "", "", 0, "stop", None, 0)
        shown = blind.messages_of(answer)
        assert [turn.role for turn in shown] == [turn["role"] for turn in told]
        assert all(turn.content for turn in shown)
