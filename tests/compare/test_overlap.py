"""Words in common: known values by hand and by the libraries themselves, scripts without spaces, and endless answers."""

from __future__ import annotations

import math
import random

import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu

from studio.compare.measures import Answered, measure_answers
from studio.compare.overlap import _Words, bleu, rouge_l, token_f1, words


@pytest.mark.parametrize(
    ("answer", "reference", "f1", "longest"),
    [
        ("the cat sat", "the cat sat", 1.0, 1.0),
        ("The cat, sat!", "the cat sat", 1.0, 1.0),
        ("sat cat the", "the cat sat", 1.0, 1 / 3),
        ("the cat", "the cat sat down", 2 / 3, 2 / 3),
        ("the the the", "the cat", 2 / 5, 2 / 5),
        ("", "the cat", 0.0, 0.0),
        ("Über den Wölken", "über den wölken", 1.0, 1.0),
        ("Пёс спит", "пёс спит", 1.0, 1.0),
        ("私は猫です", "私は犬です", 4 / 5, 4 / 5),
    ],
)
def test_words_in_common(answer: str, reference: str, f1: float, longest: float):
    assert token_f1(answer, reference) == pytest.approx(f1)
    assert rouge_l(answer, reference) == pytest.approx(longest)


def test_the_longest_common_subsequence_is_that_of_rouge_score():
    scorer, chance = RougeScorer(["rougeL"], tokenizer=_Words()), random.Random(7)
    for _ in range(200):
        texts = [" ".join(chance.choice("abcde") for _ in range(chance.randrange(25))) for _ in range(2)]
        assert rouge_l(texts[0], texts[1]) == pytest.approx(scorer.score(texts[1], texts[0])["rougeL"].fmeasure)


def test_words_of_any_script():
    assert words("Don't stop: 3.5 Äpfel, cafe\u0301!") == ["don", "t", "stop", "3", "5", "äpfel", "café"]
    assert words("") == []


TEXTS = [
    ("a man walks his dog in the park today", "a man walks the dog in the park", "a man walks his dog in the park today"),
    ("there is no time to lose in this game", "no time", "there is no time to lose in the game"),
    ("she reads a long book about the sea", "a book", "she reads a long book about the sea"),
]


def test_bleu_is_that_of_sacrebleu():
    references, base, tuned = ([row[place] for row in TEXTS] for place in range(3))
    found = bleu(base, tuned, references)
    assert found.base == pytest.approx(corpus_bleu(base, [references]).score)
    assert found.tuned == pytest.approx(corpus_bleu(tuned, [references]).score)


def test_bleu_has_an_interval_and_equal_sides_have_none():
    rows = [TEXTS[place % 3] for place in range(24)]
    references, base, tuned = ([row[place] for row in rows] for place in range(3))
    found = bleu(base, tuned, references)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.tuned - found.base < found.high
    same = bleu(base, base, references)
    assert (same.low, same.high) == (None, None)


def test_sentences_are_measured_by_their_words_and_labels_are_not():
    rows = [Answered(f"p{place}", *TEXTS[place % 3]) for place in range(12)]
    found = {one.name: one for one in measure_answers(rows)}
    assert {"exact", "f1", "rouge_l", "bleu", "length"} <= set(found)
    assert found["f1"].tuned > found["f1"].base
    assert (found["bleu"].unit, found["bleu"].n) == ("BLEU", 12)
    labels = [Answered(f"p{place}", ("yes", "no")[place % 2], "yes", "no") for place in range(12)]
    assert {one.name for one in measure_answers(labels)} == {"exact", "macro_f1", "format", "length"}


def test_an_answer_without_end_is_measured_too():
    assert 0 < rouge_l("word " * 20_000, "word word word") < 0.01
    assert math.isfinite(bleu(["word " * 5_000], ["x"], ["word"]).base)
