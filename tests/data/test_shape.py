"""Which column is what: exact names, whole-word synonyms, and what is left to a person."""

from __future__ import annotations

import pytest

from studio.data.shape import chosen, plainly_named, recognise, tokens, unknown
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
        ({"completion": "a"}, "do not make"),
        ({"prompt": "a", "completion": "z"}, "no column 'z'"),
        ({"prompt": "a", "completion": "a"}, "two parts"),
        ({"prompt": "a", "completion": "b", "colour": "c"}, "no part"),
    ):
        with pytest.raises(DataError, match=words):
            chosen(mapping, columns)


@pytest.mark.parametrize(
    ("mapping", "kind", "found", "training"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, None, "preference", "DPO"),
        ({"chosen": "a", "rejected": "b"}, None, "preference_hh", "DPO"),
        ({"instruction": "a", "chosen": "b", "rejected": "c"}, None, "preference", "DPO"),
        ({"prompt": "a", "chosen": "b"}, None, "prompt_completion", "SL"),
        ({"chosen": "a"}, None, "messages", "SL"),
        ({"prompt": "a", "reward": "b"}, None, "rl_reward", "RL"),
        ({"prompt": "a", "completion": "b", "reward": "c"}, None, "rl_reward", "RL"),
        ({"prompt": "a", "reward_name": "b"}, None, "rl_reward", "RL"),
        ({"prompt": "a", "answer": "b"}, None, "rl_answer", "RL"),
        ({"prompt": "a", "test": "b"}, None, "rl_answer", "RL"),
        ({"messages": "a"}, "sharegpt", "messages", "SL"),
        ({"text": "a"}, None, "text", "SL"),
        ({"prompt": "a", "completion": "b", "messages": "c"}, "mixed", "mixed", "SL"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference_messages", "preference", "DPO"),
    ],
)
def test_every_form_can_be_chosen(mapping, kind, found, training):
    shape = chosen(mapping, ("a", "b", "c"), (), kind)
    assert (shape.kind, shape.training, shape.exact) == (found, training, True)
    assert shape.method_why


def test_a_form_that_is_wanted_needs_its_parts():
    with pytest.raises(DataError, match="Not all parts") as error:
        chosen({"prompt": "a", "completion": "b"}, ("a", "b"), (), "rl_reward")
    assert "reward" in error.value.next_step


@pytest.mark.parametrize(
    ("names", "code", "words"),
    [
        (["prompt"], "missing_column", "prompts"),
        (["id", "question"], "missing_column", "question"),
        (["foo", "bar"], "columns_not_recognised", '"foo", "bar"'),
    ],
)
def test_what_is_missing_is_said(names, code, words):
    found, message, next_step = unknown(names)
    assert found == code
    assert words in message
    assert next_step


def test_pairs_whose_prompt_is_nowhere():
    rows = [{"chosen": f"A {n}", "rejected": f"B {n}"} for n in range(10)]
    assert recognise(["chosen", "rejected"], rows) is None
    assert unknown(["chosen", "rejected"], rows)[0] == "missing_column"


def test_only_a_sure_shape_in_its_own_words_needs_no_telling():
    assert plainly_named(recognise(["prompt", "response"]))
    assert plainly_named(recognise(["conversations"]))
    assert not plainly_named(recognise(["Prompt", "completion"]))
    assert not plainly_named(recognise(["question", "answer"]))


def test_two_names_that_differ_in_case_only_are_not_sure():
    shape = recognise(["prompt", "Prompt", "completion"])
    assert not shape.exact
    assert "same name" in shape.why


@pytest.mark.parametrize(
    ("names", "rows", "columns"),
    [
        # Numbers, dates and flags are about a row; the texts are what it says.
        (["id", "query", "reply"], [{"id": n, "query": f"q {n}", "reply": f"r {n}"} for n in range(9)], {"prompt": "query"}),
        (["user", "text", "answer"], [{"user": n, "text": f"q {n}", "answer": f"r {n}"} for n in range(9)], {"prompt": "text"}),
    ],
)
def test_contents_decide_between_names(names, rows, columns):
    shape = recognise(names, rows)
    assert columns.items() <= dict(shape.columns).items()
    assert not shape.exact


def test_questions_without_answers_are_a_form_of_their_own():
    rows = [{"prompt": f"What is {n}?", "id": str(n)} for n in range(10)]
    alone = recognise(["prompt"], [{"prompt": row["prompt"]} for row in rows])
    assert (alone.kind, alone.training, alone.exact) == ("prompts", "RL", True)
    beside = recognise(["prompt", "id"], rows)
    assert (beside.kind, beside.exact) == ("prompts", False), "another column may hold the answers"
    assert recognise(["prompt"]) is None, "a name alone is no evidence"
    assert recognise(["prompt", "completion"], [{**row, "completion": ""} for row in rows]).kind == "prompt_completion"
    assert chosen({"prompt": "prompt"}, ("prompt", "id")).kind == "prompts"


def test_questions_are_read_split_and_told(desk):
    from studio import data

    found = desk("question,id\n" + "".join(f"How tall is tower {n}?,{n}\n" for n in range(40))).inspection
    assert (found.shape.kind, found.rows_usable, found.outcome) == ("prompts", 40, "accepted_with_warnings")
    assert "no_answers" in {finding.code for finding in found.findings}
    parts = data.split(found)
    first = data.rows(parts.train.path)[0]
    assert first.prompt.startswith("How tall is tower")
    assert (first.completion, first.reference, first.reward) == ("", "", None)
