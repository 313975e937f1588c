"""What is told about rows: conversations, Alpaca, duplicates, lengths, and doubts about usable texts."""

from __future__ import annotations

import json

import pytest

from studio import data

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}


def chats(*conversations):
    return "".join(json.dumps({"messages": messages}) + "\n" for messages in conversations)


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ("text", "bad_conversation", "not a list"),
        ([], "bad_conversation", "empty"),
        ([1, 2], "bad_conversation", "not an object"),
        ([{"content": "x"}, ANSWER], "bad_conversation", "no role"),
        ([{"role": "wizard", "content": "x"}, ANSWER], "bad_conversation", "unknown role"),
        ([USER, {"role": "assistant"}], "bad_conversation", "is empty"),
        ([USER, {"role": "assistant", "content": " \u200b"}], "bad_conversation", "is empty"),
        ([USER], "bad_conversation", "no answer"),
        ([USER, ANSWER, USER], "bad_conversation", "not by the assistant"),
        ([ANSWER], "bad_conversation", "no message by the user"),
        ([{"role": "user", "content": [{"type": "image_url"}]}, ANSWER], "images_not_supported", "images"),
        (None, "empty_value", "messages"),
        ("", "empty_value", "messages"),
    ],
)
def test_each_kind_of_bad_conversation_is_named(desk, messages, code, words):
    found = desk(chats([USER, ANSWER]) + chats(messages) + "{}\n", "x.jsonl")
    assert found.inspection.rows_usable == 1
    assert found.lines(code) == (2,)
    assert words in next(finding.message for finding in found.inspection.findings if finding.code == code)
    assert found.lines("missing_field") == (3,)


def test_conversations_keep_every_turn(desk):
    system = {"role": "developer", "content": "Be brief."}
    found = desk(chats([USER, ANSWER], [system, USER, ANSWER, {"role": "user", "content": "Bye"}, ANSWER]), "x.jsonl")
    assert [(ask, answer) for _, ask, answer in found.rows] == [
        ("Hi", "Hello"),
        ("User: Hi\n\nAssistant: Hello\n\nUser: Bye", "Hello"),
    ]
    assert found.inspection.shape.kind == "messages"
    assert found.inspection.example == data.Example(1, (data.Message("user", "Hi"), data.Message("assistant", "Hello")))
    assert "odd_turn_order" not in found.codes


def test_an_odd_order_is_usable_but_told(desk):
    found = desk(chats([USER, USER, ANSWER], [ANSWER, USER, ANSWER], [USER, ANSWER]), "x.jsonl")
    assert found.inspection.rows_usable == 3
    assert found.lines("odd_turn_order") == (1, 2)


def test_conversations_go_through_the_split_unchanged(desk):
    rows = [[{"role": "system", "content": "S"}, {"role": "user", "content": f"Q{number}"}, ANSWER] for number in range(12)]
    parts = data.split(desk(chats(*rows), "x.jsonl").inspection)
    found = [row for part in (parts.train, parts.validation, parts.test) for row in data.rows(part.path)]
    assert sorted(
        [{"role": one.role, "content": one.content} for one in row.messages][1]["content"] for row in found
    ) == sorted(f"Q{number}" for number in range(12))
    assert all(row.messages[0] == data.Message("system", "S") for row in found)


def test_alpaca(desk):
    rows = [
        {"instruction": "Translate", "input": "cat", "output": "chat"},
        {"instruction": "Say hi", "input": "", "output": "Hi"},
        {"instruction": "Say bye", "output": "Bye"},
        {"instruction": "", "input": "x", "output": "y"},
        {"instruction": "x", "input": ["y"], "output": "z"},
    ]
    found = desk(json.dumps(rows), "x.json")
    assert found.inspection.shape.kind == "alpaca"
    assert [(ask, answer) for _, ask, answer in found.rows] == [
        ("Translate\n\ncat", "chat"),
        ("Say hi", "Hi"),
        ("Say bye", "Bye"),
    ]
    assert found.codes["empty_value"] == found.codes["wrong_type"] == 1


def test_a_system_column_becomes_the_system_message(desk):
    found = desk("system,prompt,completion\nBe kind.,a,b\n,c,d\n")
    assert found.inspection.example.messages[0] == data.Message("system", "Be kind.")
    assert found.inspection.rows_usable == 2


def test_duplicates_repeated_prompts_and_lengths(desk):
    found = desk("prompt,completion\naaaa,b\naaaa,b\naaaa,c\nAAAA ,b\nx,yyyyyyyyyy\naaaa,b\n")
    assert found.inspection.duplicate_rows == 2
    assert found.lines("duplicates") == (3, 7)
    assert found.codes["same_prompt_many_answers"] == 1
    lengths = found.inspection.lengths
    assert (lengths.prompt.p50, lengths.prompt.max, lengths.prompt.total) == (4, 5, 22)
    assert (lengths.completion.p50, lengths.completion.max, lengths.completion.total) == (1, 10, 15)


def test_doubtful_texts(desk):
    rows = ["a,a", "b,x <|im_end|>", "c,\x07bell", f"d,{'x' * 32767}", "e,[INST]"]
    found = desk("prompt,completion\n" + "\n".join(rows) + "\n")
    assert {code: found.lines(code) for code in found.codes if code != "few_rows"} == {
        "completion_equals_prompt": (2,),
        "special_tokens": (3, 6),
        "control_characters": (4,),
        "truncated_cell": (5,),
    }
    assert found.inspection.outcome == "accepted_with_warnings"


def test_one_answer_for_all(desk):
    found = desk("prompt,completion\n" + "".join(f"q{number},I don't know\n" for number in range(12)))
    assert "identical_completions" in found.codes


def test_a_clean_file_has_nothing_to_tell(desk):
    found = desk("prompt,completion\n" + "".join(f"q{number},a{number}\n" for number in range(12)))
    assert found.inspection.findings == ()
    assert found.inspection.outcome == "accepted"


def test_a_column_named_twice_must_be_chosen(desk):
    content = "prompt,completion,completion\n" + "".join(f"q{number},a{number},b{number}\n" for number in range(12))
    found = desk(content)
    assert not found.inspection.ready
    assert found.inspection.columns == ("prompt", "completion", "completion (2)")
    assert "duplicate_column" in found.codes
    assert desk(content, mapping={"prompt": "prompt", "completion": "completion (2)"}).rows[0] == (2, "q0", "b0")


def test_the_better_answers_of_pairs_can_be_chosen_alone(desk):
    content = json.dumps({"prompt": "a", "chosen": "good", "rejected": "bad"}) + "\n"
    assert desk(content, "x.jsonl").inspection.shape.training == "DPO"
    assert desk(content, "x.jsonl", mapping={"prompt": "prompt", "completion": "chosen"}).rows == [(1, "a", "good")]


def test_only_the_first_lines_are_listed_but_all_are_counted(desk):
    found = desk("prompt,completion\n" + "a,\n" * 500)
    assert found.codes["empty_value"] == 500
    assert found.lines("empty_value") == tuple(range(2, 22))
