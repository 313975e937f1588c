"""Macro F1: the value that the library's own page gives, what must not move it, and an interval about the same number."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from studio.compare.labels import _counts, _macro, are_labels, macro_f1
from studio.compare.measures import Answered, measure_answers

DUE = [*"012012"] * 4
TOLD = [*"021001"] * 4


def test_the_known_answer_of_the_library():
    assert macro_f1(TOLD, DUE, DUE).base == pytest.approx(0.26666, abs=1e-4)
    assert macro_f1(TOLD, DUE, DUE).tuned == 1.0


def test_an_answer_that_is_no_label_is_a_miss_and_no_label_of_its_own():
    due = [*"aaabbb"]
    found = macro_f1([*"aaabb", "I think b"], due, due)
    assert found.base == pytest.approx((1.0 + 2 * 2 / (2 * 2 + 0 + 1)) / 2)


def test_a_label_that_is_rare_counts_as_much_as_the_others():
    due = ["often"] * 18 + ["rare"] * 2
    assert macro_f1(["often"] * 20, due, due).base == pytest.approx((2 * 18 / (2 * 18 + 2)) / 2)


def test_what_is_resampled_is_the_number_that_the_library_gives():
    chance = np.random.default_rng(1)
    for _ in range(20):
        due, told = ([str(one) for one in chance.integers(0, 4, 30)] for _ in range(2))
        labels = sorted(set(due))
        ours = float(_macro(_counts(told, due, labels), -1))
        assert ours == pytest.approx(f1_score(due, told, labels=labels, average="macro", zero_division=0))


def test_the_interval_lies_around_the_difference_and_does_not_know_the_order():
    found = macro_f1(TOLD, DUE, DUE)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.tuned - found.base < found.high
    assert macro_f1(TOLD[::-1], DUE[::-1], DUE[::-1]) == found


@pytest.mark.parametrize(
    ("references", "labels"),
    [
        (["yes", "no"] * 5, True),
        (["yes", "no"] * 4, False),
        (["yes"] * 10, False),
        ([*map(str, range(12))] * 5, True),
        ([*map(str, range(13))] * 5, False),
        (["yes", ""] * 5, False),
        ([], False),
    ],
)
def test_only_few_references_that_come_often_are_labels(references, labels):
    assert are_labels(references) == labels


def test_it_is_measured_where_the_data_holds_labels_and_nowhere_else():
    def names(references):
        rows = [Answered(str(at), text, "yes", " yes ") for at, text in enumerate(references)]
        return {one.name: one for one in measure_answers(rows)}

    found = names(["yes", "no"] * 6)["macro_f1"]
    assert found.base == found.tuned == pytest.approx(1 / 3)
    assert (found.low, found.n, found.unit) == (None, 12, "share")
    assert "macro_f1" not in names([f"Sentence number {at}." for at in range(12)])
    assert "macro_f1" not in names(['{"a": 1}', '{"a": 2}'] * 6)
