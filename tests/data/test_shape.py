"""Which column is what: exact names, whole-word synonyms, and what is left to a person."""

from __future__ import annotations

import pytest

from studio.data.shape import chosen, recognise, tokens
from studio.errors import DataError


@pytest.mark.parametrize(
    ("columns", "kind", "found"),
    [
        (["prompt", "completion"], "prompt_completion", {"prompt": "prompt", "completion": "completion"}),
        (["response", "id", "prompt"], "prompt_completion", {"prompt": "prompt", "completion": "response"}),
        ([" Prompt ", "COMPLETION"], "prompt_completion", {"prompt": " Prompt ", "completion": "COMPLETION"}),
        (
            ["system", "prompt", "completion"],
            "prompt_completion",
            {"prompt": "prompt", "completion": "completion", "system": "system"},
        ),
        (["id", "messages"], "messages", {"messages": "messages"}),
        (["instruction", "output"], "alpaca", {"instruction": "instruction", "output": "output"}),
        (["input", "output", "instruction"], "alpaca", {"instruction": "instruction", "output": "output", "input": "input"}),
        (["messages", "prompt", "completion"], "messages", {"messages": "messages"}),
    ],
)
def test_exact_names(columns, kind, found):
    shape = recognise(columns)
    assert (shape.kind, dict(shape.columns), shape.exact) == (kind, found, True)


@pytest.mark.parametrize(
    ("columns", "prompt", "completion"),
    [
        (["Response", "User Question"], "User Question", "Response"),
        (["question", "answer"], "question", "answer"),
        (["customerQuery", "agentReply"], "customerQuery", "agentReply"),
        (["input", "output"], "input", "output"),
        (["source_text", "target_text"], "source_text", "target_text"),
        (["id", "question", "answer", "answer_id"], "question", "answer"),
    ],
)
def test_synonyms_are_found_but_wait_for_confirmation(columns, prompt, completion):
    shape = recognise(columns)
    assert shape.kind == "prompt_completion"
    assert (shape.column("prompt"), shape.column("completion"), shape.exact) == (prompt, completion, False)
    assert prompt in shape.why
    assert completion in shape.why


@pytest.mark.parametrize(
    "columns",
    [
        ["prompt"],
        ["promptly", "completions_total_cost"],
        ["What is the best answer to this question?", "It is the answer to the question"],
        [],
        [""],
    ],
)
def test_parts_of_words_and_sentences_are_no_names(columns):
    assert recognise(columns) is None


def test_a_tie_is_told():
    assert "as well" in recognise(["question", "first answer", "second answer"]).why


def test_whole_words():
    assert tokens("userQuestion_Text 2") == ("user", "question", "text", "2")


def test_a_chosen_mapping_is_checked():
    columns = ("a", "b", "c")
    assert chosen({"prompt": "a", "completion": "b", "system": ""}, columns).columns == (("prompt", "a"), ("completion", "b"))
    assert chosen({"instruction": "a", "output": "b", "input": "c"}, columns).kind == "alpaca"
    for mapping, words in (
        ({"prompt": "a"}, "do not make"),
        ({"prompt": "a", "completion": "z"}, "no column 'z'"),
        ({"prompt": "a", "completion": "a"}, "two parts"),
        ({"prompt": "a", "completion": "b", "colour": "c"}, "no part"),
    ):
        with pytest.raises(DataError, match=words):
            chosen(mapping, columns)
