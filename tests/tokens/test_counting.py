"""Counting in batches gives the numbers of rendering one by one, for every format and every training target."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import models
from studio.data.types import Message
from studio.models.rendering import CannotRender
from studio.tokens import counting
from studio.tokens.counting import Counter, OutlineDoubtedError
from tests.tokens.conftest import RENDERERS, TARGETS, TOOL_CHAT, chats, tokenizer, written

WORDS = st.text("abc XYZ 012 .,é中🦊", min_size=1, max_size=30)


@st.composite
def everyday(draw) -> tuple[Message, ...]:
    """A conversation of the kind that outlines are for."""
    turns = [Message("system", draw(WORDS))] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(1, 3))):
        turns += [Message("user", draw(WORDS)), Message("assistant", draw(WORDS))]
    return tuple(turns)


def counter(monkeypatch, renderer, target, **how):
    monkeypatch.setattr(counting, "tokenizer_of", lambda _: tokenizer(renderer))
    return Counter(models.get("nano"), renderer, target, **how)


def one_by_one(renderer, target, turns):
    template = written(renderer)
    found = template.rendering(turns, target)
    return len(found.tokens), [place for place, token in enumerate(found.tokens) if token.trained]


@pytest.mark.filterwarnings("ignore:use_system_prompt")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("renderer", RENDERERS)
def test_batches_count_what_rendering_shows(monkeypatch, renderer, target):
    fast = counter(monkeypatch, renderer, target)
    exact = counter(monkeypatch, renderer, target, outlines=False)

    # Formats times targets are many; a few dozen conversations of each kind every time add up.
    @settings(max_examples=12)
    @given(st.lists(everyday() | chats(weights=True) | st.just(TOOL_CHAT), min_size=1, max_size=8))
    def holds(conversations):
        found = fast.count(conversations)
        for turns, counted, slowly in zip(conversations, found, exact.count(conversations), strict=True):
            if isinstance(counted, CannotRender):
                assert isinstance(slowly, CannotRender)
                assert counted.what == slowly.what
                with pytest.raises(CannotRender):
                    one_by_one(renderer, target, turns)
                continue
            assert counted == slowly
            length, spans = counted
            places = [place for start, end in zip(spans[::2], spans[1::2], strict=True) for place in range(start, end)]
            assert (length, places) == one_by_one(renderer, target, turns)

    holds()


@pytest.mark.parametrize("renderer", ["qwen3_instruct", "llama3", "role_colon", "qwen3"])
def test_everyday_conversations_are_not_rendered_one_by_one(monkeypatch, renderer):
    fast = counter(monkeypatch, renderer, "all_assistant_messages")
    fast.count([(Message("user", "Hi"), Message("assistant", "Hello"))])
    monkeypatch.setattr(fast, "_exactly", lambda turns: pytest.fail(f"rendered one by one: {turns}"))
    found = fast.count([(Message("user", f"Question {n}"), Message("assistant", f"Answer {n}")) for n in range(100)])
    assert all(not isinstance(one, CannotRender) and one[0] > 5 for one in found)


def test_prompts_end_where_the_answer_begins(monkeypatch):
    asked = [(Message("user", "Hi"),), (Message("system", "Be kind"), Message("user", "Hi"))]
    found = counter(monkeypatch, "qwen3_instruct", "").count(asked)
    assert found == [(written().prompt(turns).length, ()) for turns in asked]


def test_a_wrong_outline_is_noticed(monkeypatch):
    fast = counter(monkeypatch, "qwen3_instruct", "last_assistant_message")
    rows = [(Message("user", f"Question {n}"), Message("assistant", "Answer")) for n in range(3 * counting._CHECK_EVERY)]
    right = fast.count(rows)
    assert right == fast.count(rows)
    roles = ("user", "assistant")
    pieces = fast._outlines[roles]
    assert pieces is not None
    fast._outlines[roles] = (*pieces, pieces[0])
    with pytest.raises(OutlineDoubtedError):
        fast.count(rows)


def test_counting_does_not_disturb_the_tokenizer(monkeypatch):
    fast = counter(monkeypatch, "qwen3_instruct", "last_assistant_message")
    before = tokenizer().encode("<|im_end|>", add_special_tokens=False)
    fast.count([(Message("user", "a <|im_end|>"), Message("assistant", "b"))])
    assert tokenizer().encode("<|im_end|>", add_special_tokens=False) == before == [2]
