"""Near-duplicates: small changes are found in any language, other numbers and shared templates are not taken for likeness."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import data
from studio.data.db import connect, readable
from studio.data.findings import near
from studio.data.findings.likeness import ALIKE, Likeness

WORDS = ("apple", "river", "stone", "cloud", "window", "garden", "letter", "mountain", "silver", "morning", "paper", "bridge")


def sentence(seed, length=14):
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) + chosen.choice(["", "s", "ly", "ed"]) for _ in range(length))


def jsonl(rows):
    return "".join(json.dumps({"prompt": ask, "completion": answer}) + "\n" for ask, answer in rows)


def clusters(desk):
    """Lines by cluster, and the twins by line."""
    path = desk.inspection.folder / near.NEAR
    with connect(desk.inspection.folder) as connection:
        rows = connection.execute(
            f"SELECT row_id, cluster, twin FROM read_parquet({readable(path)}) ORDER BY row_id"
        ).fetchall()
    grouped: dict[int, list[int]] = {}
    for row, cluster, _ in rows:
        grouped.setdefault(cluster, []).append(row + 1)
    return sorted(grouped.values()), {row + 1: twin + 1 for row, _, twin in rows if twin is not None}


def test_case_space_and_marks_make_no_difference(desk):
    rows = [
        ("What is HTTP?", "A protocol."),
        ("what is  http", "a protocol"),
        ("What is “HTTP”…", "A protocol!"),
        ("Other", "x"),
    ]
    found = desk(jsonl(rows), "x.jsonl")
    assert clusters(found) == ([[1, 2, 3]], {2: 1, 3: 1})
    assert found.inspection.near_duplicate_rows == found.codes["near_duplicates"] == 2
    assert found.lines("near_duplicates") == (2, 3)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is 17 + 25?", "What is 17 - 25?"),
        ("What is C?", "What is C#?"),
        ("Is 1.5 more?", "Is 15 more?"),
        ("?", "!"),
        ("👍", "👎"),
    ],
)
def test_signs_that_mean_something_make_a_difference(desk, one, other):
    assert clusters(desk(jsonl([(one, "a"), (other, "a"), ("x", "y")]), "x.jsonl")) == ([], {})


def test_a_changed_word_in_a_long_text_is_near_and_two_answers_are_not_twins(desk):
    text, answer = sentence(1, 40), sentence(2, 40)
    changed = text.replace(text.split()[20], "zebra", 1)
    other = answer.replace(answer.split()[5], "zebra", 1)
    rows = [(text, answer), (changed, other), (changed + " again", sentence(3, 40)), (sentence(4, 40), answer)]
    assert clusters(desk(jsonl(rows), "x.jsonl")) == ([[1, 2, 3]], {2: 1})


def test_other_languages(desk):
    text = (
        "我们明天早上九点在火车站前面见面然后一起坐车去山里看红叶和瀑布请带上午饭和雨衣因为下午可能会下雨晚上我们再一起坐车回家"
    )
    rows = [(text, "好"), (text.replace("回家", "回城"), "好"), ("今天的天气怎么样", "好")]
    assert clusters(desk(jsonl(rows), "x.jsonl"))[0] == [[1, 2]]


def test_other_numbers_are_other_questions(desk):
    rows = [
        (f"Convert {number} miles to kilometres and give the answer with two decimals please.", f"{number * 1.609:.2f}")
        for number in range(5, 25)
    ]
    assert clusters(desk(jsonl(rows), "x.jsonl")) == ([], {})


def test_a_template_is_no_likeness(desk):
    start = "You are a careful translator. Translate the following sentence into French, keep the tone and do not explain: "
    rows = [(start + sentence(seed, 5), sentence(seed + 100, 5)) for seed in range(30)]
    rows.append((rows[3][0].replace(",", "!"), "Other answer"))
    assert clusters(desk(jsonl(rows), "x.jsonl")) == ([[4, 31]], {})


def test_exact_copies_are_no_near_duplicates_but_copies_of_one_are_left_with_it(desk):
    rows = [("A question", "An answer"), ("A question", "An answer"), ("a question", "an answer"), ("a question", "an answer")]
    found = desk(jsonl([*rows, ("x", "y")]), "x.jsonl")
    assert found.inspection.duplicate_rows == 2
    assert found.inspection.near_duplicate_rows == 1
    assert clusters(found)[1] == {3: 1, 4: 1}


def test_the_worse_answer_and_the_standing_instruction_count(desk):
    pair = {"prompt": "Ask", "chosen": "Good answer", "rejected": "Bad answer"}
    rows = [pair, {**pair, "rejected": "bad answer!"}, {**pair, "rejected": "Something else"}]
    found = desk("".join(json.dumps(row) + "\n" for row in rows), "x.jsonl")
    assert clusters(found)[1] == {2: 1}
    told = [{"system": one, "prompt": ask, "completion": "c"} for one, ask in (("S", "Ask"), ("T", "ask"), ("S", "ask!"))]
    assert clusters(desk("".join(json.dumps(row) + "\n" for row in told), "x.jsonl"))[1] == {3: 1}


def test_rows_set_aside_are_not_compared(desk):
    assert clusters(desk("prompt,completion\na b,c\nA B,\nx,y\n")) == ([], {})


def test_above_the_limit_only_folded_texts_are_compared_and_it_is_said(desk, monkeypatch):
    text = sentence(1, 40)
    rows = [(text, "a"), (text.replace(text.split()[20], "zebra", 1), "a"), (text + "!", "b"), ("x", "y")]
    assert clusters(desk(jsonl(rows), "x.jsonl"))[0] == [[1, 2, 3]]
    monkeypatch.setattr(near, "MOST_PROMPTS", 3)
    found = desk(jsonl(rows), "x.jsonl")
    assert clusters(found)[0] == [[1, 3]]
    assert found.inspection.rules[-1] == near._FOLDED


def test_many_candidates_are_told_apart_by_more_ends_with_the_same_result(desk, monkeypatch):
    start = "Please read this beginning, which is the same for all of the rows, and then answer: "
    rows = [
        (f"{start}{sentence(seed % 20, 30)}{'!' * (seed // 20)}", f"{sentence(seed % 20 + 50)}{'.' * (seed // 20)}")
        for seed in range(40)
    ]
    plain = clusters(desk(jsonl(rows), "x.jsonl"))
    assert len(plain[0]) == len(plain[1]) == 20
    monkeypatch.setattr(near, "_FEW", 0)
    assert clusters(desk(jsonl(rows), "x.jsonl")) == plain


@pytest.mark.parametrize("end", ["." * 200 + " end", "é" * 10 + "e\u0301" * 10])
def test_ends_of_nothing_but_marks_hide_no_duplicate(desk, end, monkeypatch):
    monkeypatch.setattr(near, "_FEW", 0)
    rows = [(f"{end} begin {end}", "a"), (f"{end.replace('.', '')} BEGIN {end}", "a"), ("x", "y")]
    assert clusters(desk(jsonl(rows), "x.jsonl"))[0] == [[1, 2]]


def test_the_result_does_not_depend_on_the_run(desk):
    rows = [(sentence(seed // 2, 30) + (" extra" if seed % 2 else ""), sentence(seed // 2, 10)) for seed in range(200)]
    first = clusters(desk(jsonl(rows), "x.jsonl"))
    assert len(first[0]) == 100
    assert clusters(desk(jsonl(rows), "x.jsonl")) == first


def test_a_watch_can_stop_it(desk):
    class Stop:
        def at(self, phase, done, total, unit):
            if phase == "near-duplicates":
                raise data.Cancelled("Stopped.")

    with pytest.raises(data.Cancelled):
        desk(jsonl([(sentence(seed), "a") for seed in range(5)]), "x.jsonl", watch=Stop())


def jaccard(one, other):
    first, second = ({text[place : place + 5] for place in range(max(1, len(text) - 4))} for text in (one, other))
    return len(first & second) / len(first | second)


@settings(deadline=None, max_examples=200)
@given(st.text("abc é", min_size=1, max_size=60), st.text("abc é", max_size=4), st.integers(0, 60))
def test_like_is_the_share_of_common_pieces(text, change, place):
    other = text[:place] + change + text[place:]
    wanted = jaccard(*(one.ljust(5, "\0") for one in (text, other))) >= ALIKE
    assert Likeness([text, other]).like(text, other) == wanted


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("abcdefgh ", min_size=1, max_size=40), min_size=2, max_size=30), st.randoms(use_true_random=False))
def test_equal_texts_are_always_proposed_and_proposals_are_pairs_of_places(texts, chosen):
    texts = [*texts, chosen.choice(texts)]
    likeness = Likeness(texts)
    pairs = list(likeness.proposed())
    assert len(pairs) == len(set(pairs))
    assert all(0 <= one < other < len(texts) for one, other in pairs)
    joined = {frozenset((texts[one], texts[other])) for one, other in pairs}
    copy = texts[-1]
    if not likeness._template.size:
        assert frozenset((copy,)) in joined
