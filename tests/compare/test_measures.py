"""What a program can count: known answers by hand, hostile answers, and intervals that hold."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.compare.measures import (
    Answered,
    Measure,
    exact_match,
    json_fields,
    json_valid,
    measure_answers,
    measure_loss,
    normalise,
    outline,
    parse_json,
)
from studio.errors import DataError

TICKET = '{"product": "lamp", "urgent": true, "order": {"id": 7, "items": ["a", "b"]}}'


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("Paris", "Paris", True),
        ("  Paris\n", "Paris", True),
        ("a\r\n b", "a\tb", True),
        ("a\u00a0b", "a b", True),
        ("cafe\u0301", "café", True),
        ("paris", "Paris", False),
        ("Paris.", "Paris", False),
        ("ab", "a b", False),
        ("", "", True),
        ("", "Paris", False),
        ('{"b": 1, "a": "x"}', '{"a": "x","b":1}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 1.0}', '{"a": 1}', True),
        ('{"a": []}', '{"a": {}}', False),
        ('{"a": 1, "b": 2}', '{"a": 1}', False),
        ('["a", "b"]', '["b", "a"]', False),
        ('{"0": 1}', "[1]", False),
    ],
)
def test_exact_match(answer: str, reference: str, same: bool) -> None:
    assert exact_match(answer, reference) == float(same)


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ("{}", True),
        (" [1, 2]\n", True),
        (TICKET, True),
        ("42", False),
        ('"text"', False),
        ("null", False),
        ("", False),
        ("```json\n{}\n```", False),
        ('Here it is: {"a": 1}', False),
        ('{"a": 1} done', False),
        ('{"a": NaN}', False),
        ("[Infinity]", False),
        ("{'a': 1}", False),
        ('{"a": 1,}', False),
        ("[" * 100_000, False),
        ("[" * 5_000 + "]" * 5_000, False),
        ("[" + "9" * 10_000 + "]", False),
    ],
)
def test_json_validity(answer: str, valid: bool) -> None:
    assert json_valid(answer) == float(valid)
    assert (parse_json(answer) is not None) == valid


def test_valid_json_of_the_wrong_kind_is_not_what_was_asked_for() -> None:
    assert json_valid("[1]", TICKET) == 0.0
    assert json_valid("[1]", "not json") == 1.0


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (TICKET, 1.0),
        ('{"product": "lamp"}', 1 / 5),
        ('{"product": " lamp ", "urgent": 1}', 1 / 5),
        ('{"order": {"items": ["a", "b"], "id": 7}, "urgent": true}', 4 / 5),
        ('{"product": "lamp", "urgent": true, "order": {"id": 7, "items": ["b", "a"]}}', 3 / 5),
        (TICKET[:-1] + ', "more": 1}', 1.0),
        ("lamp", 0.0),
        ("[]", 0.0),
    ],
)
def test_json_fields(answer: str, share: float) -> None:
    assert json_fields(answer, TICKET) == pytest.approx(share)


def test_an_empty_object_is_matched_by_an_empty_object_alone() -> None:
    assert json_fields("{}", "{}") == 1.0
    assert json_fields('{"a": 1}', "{}") == 0.0


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", None),
        (" \n ", None),
        ("42", "number"),
        ("-1,204.50", "number"),
        ("$ 5", "line"),
        ("$5", "number"),
        ("12 %", "number"),
        ("42 apples", "line"),
        ("One line.", "line"),
        ("One.\nTwo.", "lines"),
        ("- one\n- two", "bullets"),
        ("• one", "bullets"),
        ("1. one\n2) two", "numbered"),
        ("Here:\n- one", "lines"),
    ],
)
def test_outline(text: str, form: str | None) -> None:
    assert outline(text) == form


def rows(references: list[str], base: str, tuned: str) -> list[Answered]:
    return [Answered(f"p{i}", reference, base, tuned) for i, reference in enumerate(references)]


def names(measures: tuple[Measure, ...]) -> list[str]:
    return [measure.name for measure in measures]


def test_the_references_choose_the_measures() -> None:
    assert names(measure_answers(rows([TICKET] * 3 + ["text"], "{}", "{}"))) == ["exact", "json_valid", "json_fields", "length"]
    assert names(measure_answers(rows([TICKET] + ["text"] * 3, "{}", "{}"))) == ["exact", "format", "length"]
    assert names(measure_answers(rows(["7", "12", "1,000"], "x", "y"))) == ["exact", "format", "length"]
    assert names(measure_answers(rows(["a\nb", "7", "- x"], "x", "y"))) == ["exact", "length"]
    assert names(measure_answers(rows(["", " "], "x", "y"))) == ["length"]
    assert measure_answers([]) == ()


def test_json_measures_count_only_the_prompts_that_want_json() -> None:
    measures = {m.name: m for m in measure_answers(rows([TICKET] * 3 + ["text"], "text", TICKET))}
    assert (measures["exact"].n, measures["json_valid"].n, measures["json_fields"].n) == (4, 3, 3)
    assert (measures["exact"].base, measures["exact"].tuned) == (0.25, 0.75)
    assert (measures["json_valid"].base, measures["json_valid"].tuned) == (0.0, 1.0)


def test_a_difference_with_its_interval() -> None:
    answers = [Answered(f"p{i}", "yes", "yes" if i < 10 else "no", "yes" if i < 70 else "no") for i in range(100)]
    exact = measure_answers(answers)[0]
    assert (exact.base, exact.tuned, exact.n, exact.better, exact.unit) == (0.1, 0.7, 100, "higher", "share")
    assert exact.difference == pytest.approx(0.6)
    # The paired differences are 60 ones and 40 zeros: the normal interval is 0.6 ± 0.096.
    assert (exact.low, exact.high) == (pytest.approx(0.504, abs=0.02), pytest.approx(0.696, abs=0.02))


def test_pairing_counts() -> None:
    """Both arms right on the same half: no difference at all, however unsure each of the two numbers is."""
    answers = [Answered(f"p{i}", "yes", "yes" if i % 2 else "no", "yes" if i % 2 else "never") for i in range(50)]
    exact = measure_answers(answers)[0]
    assert (exact.base, exact.tuned, exact.low, exact.high) == (0.5, 0.5, None, None)


def test_one_prompt_has_no_interval() -> None:
    assert all((m.low, m.high, m.n) == (None, None, 1) for m in measure_answers(rows(["yes"], "no", "yes")))


def test_the_order_of_prompts_does_not_matter() -> None:
    answers = [Answered(f"p{i}", "7", str(i % 9), "7" if i % 3 else "many") for i in range(60)]
    shuffled = answers[:]
    random.Random(1).shuffle(shuffled)
    assert measure_answers(shuffled) == measure_answers(answers)


def test_length_has_no_better_side() -> None:
    length = measure_answers(rows(["x"] * 4, "four", "seventy"))[-1]
    assert (length.base, length.tuned, length.better, length.unit) == (4.0, 7.0, "neither", "characters")


@given(st.text(max_size=40), st.text(max_size=40))
@settings(deadline=None)
def test_any_text_gets_a_score(answer: str, reference: str) -> None:
    for score in (exact_match, json_valid, json_fields):
        assert 0 <= score(answer, reference) <= 1
    assert exact_match(answer, answer) == 1.0
    assert normalise(normalise(answer)) == normalise(answer)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), values, max_size=4))
@settings(deadline=None)
def test_the_same_json_in_another_spelling_is_right(value: dict[str, object]) -> None:
    compact = json.dumps(value, sort_keys=True, separators=(",", ":"))
    spacious = json.dumps(dict(reversed(list(value.items()))), indent=3, ensure_ascii=False)
    assert json_fields(spacious, compact) == 1.0
    assert exact_match(spacious, compact) == 1.0


def test_loss_and_perplexity_by_hand() -> None:
    base = [[math.log(0.5)] * 3, [math.log(0.25)]]
    tuned = [[math.log(0.5)] * 3, [math.log(0.5)]]
    loss, perplexity = measure_loss(base, tuned)
    assert (loss.base, loss.tuned) == (pytest.approx(math.log(2) * 5 / 4), pytest.approx(math.log(2)))
    assert (perplexity.base, perplexity.tuned) == (pytest.approx(2**1.25), pytest.approx(2.0))
    assert (loss.better, loss.unit, loss.n) == ("lower", "nats per token", 2)


def test_loss_interval_covers_the_truth() -> None:
    """Tuned is 0.5 nats better on each token on average; 95 % intervals of 100 data sets hold that in about 95."""
    held = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        base = [-chance.exponential(2.0, size=chance.integers(5, 40)) for _ in range(60)]
        tuned = [row + 0.5 + chance.normal(0, 0.6) + chance.normal(0, 0.3, size=row.size) for row in base]
        loss, _ = measure_loss([row.tolist() for row in base], [row.tolist() for row in tuned])
        assert loss.low is not None
        assert loss.high is not None
        held += loss.low <= -0.5 <= loss.high
    assert held >= 88


def test_a_prompt_without_tokens_is_left_out() -> None:
    loss, _ = measure_loss([[-1.0], [], [-2.0]], [[-0.5], [], [-0.5]])
    assert (loss.n, loss.base, loss.tuned) == (2, 1.5, 0.5)


def test_a_hopeless_model_has_a_perplexity_too() -> None:
    _, perplexity = measure_loss([[-5000.0], [-4000.0]], [[-1.0], [-1.0]])
    assert math.isfinite(perplexity.base)


@pytest.mark.parametrize(
    ("base", "tuned"),
    [
        ([], []),
        ([[]], [[]]),
        ([[-1.0]], [[-1.0], [-1.0]]),
        ([[-1.0, -1.0]], [[-1.0]]),
        ([[math.nan]], [[-1.0]]),
        ([[-1.0]], [[-math.inf]]),
        ([[math.inf, -math.inf]], [[-1.0, -1.0]]),
    ],
)
def test_token_scores_that_cannot_be_compared_are_refused(base: list[list[float]], tuned: list[list[float]]) -> None:
    with pytest.raises(DataError):
        measure_loss(base, tuned)
