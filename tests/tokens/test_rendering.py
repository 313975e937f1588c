"""The rendering is what training uses: held against the datum that the cookbook's own data pipeline builds."""

from __future__ import annotations

import json
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import models
from studio.data.types import Message
from studio.models import rendering
from studio.models.rendering import CannotRender, NoTokenizer, supports_tools, uses_tools
from tests.tokens.conftest import CALL, RENDERERS, TARGETS, TEXTS, TOOL_CHAT, WEATHER, chats, more, written

HELLO = (Message("user", "Say hi"), Message("assistant", "Hi 🦊!"))


def cookbook_datum(template, conversation, target, max_length):
    """What the cookbook makes of plain messages, nothing of ours in between; the weights are not scaled."""
    from tinker_cookbook.renderers import TrainOnWhat
    from tinker_cookbook.supervised.data import conversation_to_datum

    datum = conversation_to_datum(conversation, template.renderer, max_length, TrainOnWhat(target), reduction="none")
    targets = datum.loss_fn_inputs["target_tokens"].data
    return (
        [*datum.model_input.to_ints(), targets[-1]],
        list(targets),
        [float(one) for one in datum.loss_fn_inputs["weights"].data],
    )


def plain(turns):
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def test_a_small_row_by_hand():
    found = written().rendering(HELLO, "last_assistant_message")
    assert found.text == "<|im_start|>user\nSay hi<|im_end|>\n<|im_start|>assistant\nHi 🦊!<|im_end|>"
    learned = [token for token in found.tokens if token.trained]
    assert "".join(token.text for token in learned) == "Hi 🦊!<|im_end|>"
    assert found.trained == len(learned)
    assert [token.text for token in found.tokens if token.special] == [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_start|>",
        "<|im_end|>",
    ]
    assert found.cut == 0


def test_a_character_of_several_tokens_is_shown_once_where_it_is_complete():
    found = written().rendering(HELLO, "last_assistant_message")
    fox = next(place for place, token in enumerate(found.tokens) if token.text == "🦊")
    assert found.tokens[fox - 1].text == ""
    assert "".join(token.text for token in found.tokens[fox - 3 : fox + 1]).strip() == "🦊"


def test_marks_in_a_persons_text_are_text():
    found = written().rendering((Message("user", "<|im_end|>"), Message("assistant", "ok")), "last_assistant_message")
    assert sum(token.special for token in found.tokens) == 4
    assert "<|im_end|><|im_end|>" in found.text


@pytest.mark.filterwarnings("ignore:use_system_prompt")
@pytest.mark.parametrize("renderer", RENDERERS)
@given(turns=chats(), target=st.sampled_from(TARGETS), max_length=st.none() | st.integers(16, 80))
def test_tokens_and_loss_are_those_of_the_cookbooks_datum(renderer, turns, target, max_length):
    template = written(renderer)
    try:
        found = template.rendering(turns, target, max_length)
    except CannotRender:
        with pytest.raises(ValueError):  # noqa: PT011 - the cookbook's own refusals share nothing else
            cookbook_datum(template, plain(turns), target, max_length)
        return
    ids, targets, weights = cookbook_datum(template, plain(turns), target, max_length)
    seen = [token for token in found.tokens if not token.cut]
    assert [token.id for token in seen] == ids
    # The datum says at each position what comes next, so its targets and weights are those of the tokens from the second on.
    assert [token.id for token in seen[1:]] == targets
    assert [float(token.trained) for token in seen[1:]] == weights
    assert found.trained == sum(weights)
    assert not seen[0].trained
    assert found.cut == len(found.tokens) - len(seen)


@pytest.mark.filterwarnings("ignore:use_system_prompt")
@pytest.mark.parametrize("renderer", RENDERERS)
@given(turns=chats(weights=True), target=st.sampled_from(TARGETS), max_length=st.integers(16, 80))
def test_training_gets_what_is_shown(renderer, turns, target, max_length):
    template = written(renderer)
    try:
        found = template.rendering(turns, target, max_length)
    except CannotRender:
        return
    datum = template.datum(turns, target, max_length)
    seen = [token for token in found.tokens if not token.cut]
    assert [*datum.model_input.to_ints(), datum.loss_fn_inputs["target_tokens"].data[-1]] == [token.id for token in seen]
    assert [weight > 0 for weight in datum.loss_fn_inputs["weights"].data] == [token.trained for token in seen[1:]]


@given(text=TEXTS)
def test_the_pieces_join_to_the_text(text):
    template = written()
    found = template.rendering((Message("user", text), Message("assistant", text)), "all_tokens")
    assert found.text == f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n{text}<|im_end|>"


@given(turns=chats(weights=True))
def test_a_weight_of_zero_is_never_learned(turns):
    found = written().rendering(turns, "all_assistant_messages")
    learned = [turn for turn in turns if turn.role == "assistant" and json.loads(turn.more or "{}").get("weight") != 0]
    shown = "".join(token.text for token in found.tokens if token.trained)
    assert shown == "".join(f"{turn.content}<|im_end|>" for turn in learned)


def test_where_the_cookbook_cannot_leave_out_an_answer_the_refusal_says_so():
    turns = (*HELLO, Message("user", "And?"), Message("assistant", "Wrong", more(weight=0)))
    with pytest.raises(CannotRender, match="single answers"):
        written("kimi_k2").rendering(turns, "all_assistant_messages")
    found = written("kimi_k2").rendering((Message("system", "You help."), *turns), "all_assistant_messages")
    assert "".join(token.text for token in found.tokens if token.trained).endswith("Hi 🦊!<|im_end|>")


def test_a_weight_of_zero_on_the_last_answer_leaves_nothing_of_it():
    turns = (*HELLO, Message("user", "And?"), Message("assistant", "Wrong", more(weight=0)))
    assert written().rendering(turns, "last_assistant_message").trained == 0
    found = written().rendering(turns, "all_assistant_messages")
    assert "".join(token.text for token in found.tokens if token.trained) == "Hi 🦊!<|im_end|>"


def test_a_tool_chat_is_written_as_the_cookbook_writes_it():
    from tinker_cookbook.renderers import ToolCall, TrainOnWhat

    template = written()
    front = template.renderer.create_conversation_prefix_with_tools([WEATHER], "You help.")
    call = ToolCall(id="call_1", function=ToolCall.FunctionBody(name="weather", arguments='{"city": "Zürich"}'))
    conversation = [
        *front,
        {"role": "user", "content": "Weather in Zürich?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"sun": true}', "tool_call_id": "call_1", "name": "weather"},
        {"role": "assistant", "content": "Sunny."},
    ]
    for target in TARGETS:
        whole, weights = template.renderer.build_supervised_example(conversation, train_on_what=TrainOnWhat(target))
        found = template.rendering(TOOL_CHAT, target)
        assert [token.id for token in found.tokens] == whole.to_ints()
        assert [token.trained for token in found.tokens[1:]] == [weight > 0 for weight in weights.tolist()[1:]]
    assert '"name": "weather", "description": "Weather of a city"' in found.text
    assert "<tool_response>\n" in found.text


def test_what_each_target_teaches_in_a_tool_chat():
    def taught(target):
        return "".join(token.text for token in written().rendering(TOOL_CHAT, target).tokens if token.trained)

    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Z\\u00fcrich"}}\n</tool_call><|im_end|>'
    assert taught("last_assistant_message") == "Sunny.<|im_end|>"
    assert taught("last_assistant_turn") == call + "Sunny.<|im_end|>"
    assert taught("all_assistant_messages") == call + "Sunny.<|im_end|>"
    assert taught("all_tokens") == written().rendering(TOOL_CHAT, "all_tokens").text.removeprefix("<|im_start|>")


def test_tools_may_stand_on_any_first_turn_and_calls_in_the_older_form():
    turns = (
        Message("user", "Weather?", more(functions=[WEATHER])),
        Message("assistant", "", more(function_call={"name": "weather", "arguments": {"city": "Bern"}})),
    )
    text = written().rendering(turns, "last_assistant_message").text
    assert text.startswith("<|im_start|>system\n# Tools")
    assert '{"name": "weather", "arguments": {"city": "Bern"}}' in text


def test_tool_definitions_and_weights_together():
    turns = (TOOL_CHAT[0], TOOL_CHAT[1], Message("assistant", "", more(tool_calls=[CALL], weight=0)), *TOOL_CHAT[3:])
    found = written().rendering(turns, "all_assistant_messages")
    assert "".join(token.text for token in found.tokens if token.trained) == "Sunny.<|im_end|>"
    assert len(found.tokens) == len(written().rendering(TOOL_CHAT, "all_tokens").tokens)


@pytest.mark.parametrize("renderer", ["role_colon", "llama3"])
@pytest.mark.parametrize("turns", [TOOL_CHAT, TOOL_CHAT[:3], (*HELLO[:1], TOOL_CHAT[3], HELLO[1])])
def test_a_format_without_tools_refuses_in_words(renderer, turns):
    for write in (lambda: written(renderer).rendering(turns, "all_tokens"), lambda: written(renderer).prompt(turns)):
        with pytest.raises(CannotRender, match="no way to write tool calls") as caught:
            write()
        assert caught.value.code == "unsupported_tools"
        assert "Qwen3" in caught.value.next_step


@pytest.mark.parametrize("renderer", RENDERERS)
def test_which_formats_have_tools_is_what_the_cookbook_says(renderer):
    try:
        written(renderer).renderer.create_conversation_prefix_with_tools([WEATHER], "")
    except NotImplementedError:
        assert not supports_tools(renderer)
    else:
        assert supports_tools(renderer)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_which_formats_rewrite_history_is_what_the_cookbook_says(renderer):
    assert rendering.rewrites_history(renderer) is not written(renderer).renderer.has_extension_property


@pytest.mark.parametrize("renderer", [name for name in RENDERERS if supports_tools(name)])
def test_every_format_with_tools_writes_the_tool_chat(renderer):
    text = written(renderer).rendering(TOOL_CHAT, "all_assistant_messages").text
    for part in ("weather", "Zürich", "sun", "Sunny."):
        assert part in text or json.dumps(part)[1:-1] in text


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (more(tool_calls="weather"), "not a list"),
        (more(tool_calls=[{"function": {"arguments": "{}"}}]), "does not name"),
        (more(tool_calls=[{"function": {"name": "weather", "arguments": "{"}}]), "not JSON"),
        (more(tools=[{"type": "function"}]), "does not name"),
        (more(tools={"name": "weather"}), "not a list"),
        ("[1]", "not a JSON object"),
        ("{", "not JSON"),
    ],
)
def test_damaged_tool_calls_are_refused_in_words(bad, words):
    with pytest.raises(CannotRender, match=words) as caught:
        written().rendering((Message("user", "Weather?"), Message("assistant", "", bad)), "last_assistant_message")
    assert caught.value.code == "bad_conversation"


def test_thinking_aloud_in_a_format_without_is_refused_in_words():
    turns = (Message("user", "2+2?"), Message("assistant", "<think>\n2+2 is 4\n</think>\n\n4"))
    with pytest.raises(CannotRender, match="cannot hold this conversation"):
        written("qwen3_disable_thinking").rendering(turns, "last_assistant_message")
    assert rendering.risky(turns)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("key", ["reasoning_content", "thinking"])
def test_thoughts_beside_an_answer_are_learned_where_the_format_has_a_place_for_them(renderer, key):
    turns = (Message("user", "2+2?"), Message("assistant", "Four", more(**{key: "two and two"})))
    found = written(renderer).rendering(turns, "last_assistant_message")
    taught = "".join(token.text for token in found.tokens if token.trained)
    assert "Four" in taught
    assert ("two and two" in taught) == ("two and two" in found.text) == (renderer in rendering.WITH_THINKING)


def test_an_empty_conversation_is_refused():
    with pytest.raises(CannotRender):
        written().rendering((), "last_assistant_message")


def test_what_uses_tools():
    assert not uses_tools(HELLO)
    assert not uses_tools((Message("user", "a", more(name="Ann")), Message("assistant", "b", more(weight=0, tools=None))))
    assert all(uses_tools((turn,)) for turn in (TOOL_CHAT[0], TOOL_CHAT[2], TOOL_CHAT[3]))


def test_a_tokenizer_that_nobody_can_fetch_is_missed_at_once(monkeypatch, tmp_path):
    monkeypatch.setattr(rendering, "_reachable", lambda _: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(NoTokenizer, match="not on this computer"):
        rendering.tokenizer_of(models.get("Qwen/Qwen3-4B-Instruct-2507"))


def test_importing_is_light():
    heavy = {"torch", "tinker", "tinker_cookbook", "transformers", "datasets", "pandas"}
    code = f"import sys, studio.tokens, studio.models.rendering; print(*sorted({heavy!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == []


def test_two_tokenizers_at_once_leave_the_hub_switched_as_it_was(monkeypatch):
    from huggingface_hub import constants

    first_in, first_may_go, second_in, second_may_go = (threading.Event() for _ in range(4))
    monkeypatch.setattr(rendering, "_reachable", lambda address: False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def inside(arrived, may_go):
        with rendering._hub_as_it_is():
            arrived.set()
            may_go.wait(10)

    first = threading.Thread(target=inside, args=(first_in, first_may_go))
    second = threading.Thread(target=inside, args=(second_in, second_may_go))
    first.start()
    assert first_in.wait(10)
    second.start()
    # Without taking turns the second is in by now, and would put back the switch of the first.
    second_in.wait(0.3)
    first_may_go.set()
    first.join(10)
    second_may_go.set()
    second.join(10)
    assert constants.HF_HUB_OFFLINE is False
