"""What is told about rows as a set: labels, contradictions, rewards, scripts, lengths; and that rows and counts agree."""

from __future__ import annotations

import json

import pytest

from studio.data.db import connect
from studio.data.findings import conditions, offers, sentences
from studio.data.staging.stage import STAGE, rows_of


def jsonl(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def finding(desk, code):
    return next(one for one in desk.inspection.findings if one.code == code)


def labelled(*labels):
    return "prompt,completion\n" + "".join(f"question number {place},{label}\n" for place, label in enumerate(labels))


def test_labels_are_counted_and_an_imbalance_is_told(desk):
    found = desk(labelled(*["yes"] * 95, *["no"] * 5))
    assert finding(found, "class_balance").count == 2
    assert '"yes" 95 %' in finding(found, "class_balance").message
    assert finding(found, "label_imbalance").count == 95
    balanced = desk(labelled(*["yes", "no"] * 20))
    assert "label_imbalance" not in balanced.codes


@pytest.mark.parametrize(
    "answers",
    [
        [f"answer {place}" for place in range(30)],
        ["yes", "no"],
        [f"{'word ' * 20}{place % 2}" for place in range(30)],
    ],
    ids=["all different", "too few rows", "too long"],
)
def test_other_answers_are_no_labels(desk, answers):
    assert not {"class_balance", "contradicting_labels"} & set(desk(labelled(*answers)).codes)


def test_one_prompt_with_two_labels_is_a_contradiction(desk):
    content = labelled(*["yes", "no"] * 10) + "question number 3,yes\n"
    found = desk(content)
    assert found.lines("contradicting_labels") == (5, 22)
    assert "1 prompt has" in finding(found, "contradicting_labels").message


def test_a_pair_the_other_way_round_is_a_contradiction(desk):
    rows = [{"prompt": f"q{place}", "chosen": "good", "rejected": "bad"} for place in range(3)]
    found = desk(jsonl([*rows, {"prompt": "Q1 ", "chosen": "bad", "rejected": "good"}]), "x.jsonl")
    assert found.lines("contradicting_pairs") == (2, 4)
    assert "contradicting_labels" not in found.codes
    assert "contradicting_pairs" not in desk(jsonl(rows), "x.jsonl").codes


def test_equal_rewards_teach_nothing(desk):
    def rows(*rewards):
        return jsonl({"prompt": f"q{place}", "completion": f"a{place}", "reward": one} for place, one in enumerate(rewards))

    assert desk(rows(1, 1, 1), "x.jsonl").codes["constant_reward"] == 3
    assert "constant_reward" not in desk(rows(1, 0, 1), "x.jsonl").codes


def test_answers_that_cannot_be_compared_are_told_when_most_can(desk):
    def rows(*answers):
        return jsonl({"question": f"How much is {place}?", "answer": one} for place, one in enumerate(answers))

    mapping = {"prompt": "question", "answer": "answer"}
    numbers = [f"so it is #### {place}" for place in range(9)]
    assert desk(rows(*numbers, "I do not know"), "x.jsonl", mapping=mapping).lines("answer_not_checkable") == (10,)
    words = ["Paris", "Rome", "Berlin", "Oslo", "7"]
    assert "answer_not_checkable" not in desk(rows(*words), "x.jsonl", mapping=mapping).codes


def test_scripts_are_told_when_answers_use_several(desk):
    answers = ["plain words"] * 5 + ["обычные слова"] * 3 + ["普通的话"] * 2 + ["naïve café", "42", "👍"]
    found = desk(labelled(*(f"{one} {place}" for place, one in enumerate(answers))))
    message = finding(found, "language_mix").message
    assert "Latin (55 %), Cyrillic (27 %) and Chinese or Japanese (18 %)" in message
    assert found.lines("language_mix") == (7, 8, 9, 10, 11)


def test_one_row_in_another_script_is_no_mix(desk):
    assert "language_mix" not in desk(labelled(*["plain words"] * 20, "обычные слова")).codes
    assert "language_mix" not in desk(labelled(*["Größe, façade, žluťoučký"] * 20, *["plain"] * 20)).codes


def test_a_few_very_long_answers_are_told(desk):
    found = desk(labelled(*["short answer"] * 50, "x " * 2000))
    assert found.lines("length_outliers") == (52,)
    assert "length_outliers" not in desk(labelled(*["short answer"] * 50, "x " * 200)).codes


def test_conversations_may_end_alike(desk):
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    thanks = [{"role": "user", "content": "Thanks"}, {"role": "assistant", "content": "You are welcome."}]
    rows = [{"messages": [{"role": "user", "content": f"q{place}"}, turns[1], *thanks]} for place in range(4)]
    assert "identical_completions" not in desk(jsonl(rows), "x.jsonl").codes


def test_all_columns_with_nothing_in_them_are_named(desk):
    assert 'nothing in "completion" or "prompt"' in finding(desk("prompt,completion\na,\n,b\nc,d\n"), "empty_value").message


def test_curly_quotation_marks_get_their_own_advice(desk):
    found = desk("prompt,completion\na,b\nc,\u201cone, two\u201d\nd,e\nf,g\n")
    assert "straight" in finding(found, "wrong_column_count").next_step


EVERYTHING = [
    {"prompt": "p1", "completion": "mail a@b.com and \x07"},
    {"prompt": "p2", "completion": "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCD"},
    {"prompt": "p3", "completion": "trÃ¨s <|im_end|>"},
    {"prompt": "p3", "completion": "zero\u200bwidth caf\ufffd "},
    {"prompt": "p4", "completion": "null"},
    {"prompt": "p5", "completion": "#N/A"},
    {"prompt": "p6", "completion": "P6"},
    {"prompt": "p7", "completion": 7},
    {"prompt": "p8", "completion": ""},
    {"prompt": "p9", "completion": "the same answer here"},
    {"prompt": "p9", "completion": "the same answer here"},
    {"prompt": "P9!", "completion": "The same answer here."},
    {"prompt": "p10", "completion": "обычные слова"},
    {"prompt": "p11", "completion": "другие слова"},
    {"prompt": "p12", "completion": "long " * 1000},
    *({"prompt": f"more {place}", "completion": f"reply {chr(97 + place) * 5}"} for place in range(25)),
]


def test_the_rows_of_a_condition_are_those_that_a_finding_counts(desk):
    found = desk(jsonl(EVERYTHING), "x.jsonl")
    told = {one.code: one for one in found.inspection.findings}
    assert {
        "personal_data",
        "secrets",
        "mojibake",
        "special_tokens",
        "near_duplicates",
        "language_mix",
        "length_outliers",
    } <= set(told)
    stage = found.inspection.folder / STAGE
    with connect(found.inspection.folder) as connection:
        for code, one in told.items():
            if not one.lines:
                continue
            holds = conditions.condition(code, stage)
            query = f"SELECT count(*), min(line, 20) FROM {rows_of(stage)} WHERE {holds}"
            count, lines = connection.execute(query).fetchone()
            assert tuple(lines) == one.lines, code
            if code != "same_prompt_many_answers":
                assert count == one.count, code


def test_every_finding_has_a_sentence_an_example_and_a_next_step(desk):
    for one in desk(jsonl(EVERYTHING), "x.jsonl").inspection.findings:
        assert one.message.endswith((".", "?")), one
        if one.lines and one.severity != "info":
            assert one.example or one.code == "empty_value", one
        if one.severity == "warning" and one.code != "non_text_value":
            assert one.next_step, one


def test_every_doubt_and_every_offer_is_known():
    assert set(sentences.DOUBTS) <= set(conditions._SINGLE)
    assert set(offers.OFFERED) <= {*conditions._SINGLE, *conditions._COMPARED}


def test_the_same_file_gives_the_same_findings(desk):
    content = jsonl(EVERYTHING)
    assert desk(content, "x.jsonl").inspection.findings == desk(content, "x.jsonl").inspection.findings


def test_of_two_reasons_that_are_as_common_the_same_one_is_named_each_time(desk):
    turns = (
        [{"role": "user", "content": "Hi"}],
        [{"role": "assistant", "content": "Hello"}, {"role": "user", "content": "Bye"}],
    )
    chats = [[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}], [], *turns]
    words = [finding(desk(jsonl({"messages": chat} for chat in order), "x.jsonl"), "bad_conversation").message
             for order in (chats, chats[::-1]) for _ in range(3)]  # fmt: skip
    assert len(set(words)) == 1
