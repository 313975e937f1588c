"""The decision tree: every path is walked, every question helps, every ending is honest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import methods
from studio.errors import NotFoundError, SettingError
from studio.methods import ENDINGS, FIRST, METHODS, QUESTIONS, Ending, Question

ALL_PATHS = list(methods.paths())


def test_every_path_ends_as_its_choices_say():
    for way, ending in ALL_PATHS:
        answers = {question.id: choice.id for question, choice in way}
        assert methods.walk(answers) is ending
        assert methods.path(answers) == way
        assert len(answers) == len(way), "no question comes twice"
        assert len(way) <= 8


def test_every_question_and_every_ending_is_on_a_path():
    asked = {question.id for way, _ in ALL_PATHS for question, _ in way}
    reached = {ending.id for _, ending in ALL_PATHS}
    assert asked == set(QUESTIONS)
    assert reached == set(ENDINGS)


def test_examples_lead_to_supervised_learning_in_one_click():
    ending = methods.walk({FIRST: "yes"})
    assert isinstance(ending, Ending)
    assert (ending.id, ending.method, ending.available) == ("sl", "sl", True)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"examples": "no", "score": "yes"}, "rl"),
        ({"examples": "no", "score": "no", "pairs": "yes", "reuse": "no"}, "dpo"),
        ({"examples": "no", "score": "no", "pairs": "yes", "reuse": "yes"}, "rlhf"),
        ({"examples": "no", "score": "no", "pairs": "no", "start": "poor"}, "collect_first"),
        ({"examples": "no", "score": "no", "pairs": "no", "start": "untried"}, "prompt_first"),
        ({"examples": "unsure", "look": "most"}, "sl"),
    ],
)
def test_known_goals(answers, expected):
    ending = methods.walk(answers)
    assert isinstance(ending, Ending)
    assert ending.id == expected


def test_every_question_has_examples_and_help_for_the_unsure():
    for question in QUESTIONS.values():
        assert question.title.endswith("?")
        assert question.text.endswith((".", "?"))
        ids = [choice.id for choice in question.choices]
        assert len(ids) == len(set(ids))
        assert ids[-1] == "unsure"
        assert 3 <= len(ids) <= 4
        for choice in question.choices:
            assert choice.label
            assert choice.example.endswith((".", "?"))


def test_only_endings_that_can_train_say_so():
    available = {method.id for method in METHODS if method.available}
    assert available == {"sl"}
    for ending in ENDINGS.values():
        assert ending.available == (ending.method in available)
        if ending.method is not None and not ending.available:
            assert "cannot train this way yet" in ending.advice
        if not ending.available:
            assert ending.prepare, "says what to do meanwhile"
            assert ending.template is not None


def test_templates_are_small_tables():
    import csv
    import io

    for ending in ENDINGS.values():
        if ending.template is not None:
            header, *rows = csv.reader(io.StringIO(ending.template.text))
            assert header[0] == "prompt"
            assert rows
            assert all(len(row) == len(header) and all(row) for row in rows)


def test_words_are_calm():
    everything = [text for question in QUESTIONS.values() for text in (question.title, question.text)]
    everything += [
        text for ending in ENDINGS.values() for text in (ending.title, ending.because, ending.advice, *ending.prepare)
    ]
    everything += [text for method in METHODS for text in (method.plain, method.when, method.when_not, method.needs)]
    assert not [text for text in everything if "!" in text or "  " in text or not text.strip()]


def test_an_earlier_answer_can_be_changed():
    answers = {"examples": "no", "score": "yes"}
    assert methods.walk({**answers, "examples": "yes"}) is ENDINGS["sl"]


def test_an_unknown_answer_names_its_question():
    with pytest.raises(SettingError) as caught:
        methods.walk({"examples": "perhaps"})
    assert caught.value.where == "examples"
    assert "yes, no, unsure" in caught.value.next_step


@given(st.lists(st.integers(min_value=0, max_value=3), min_size=10, max_size=10))
def test_any_sequence_of_choices_ends(picks):
    answers: dict[str, str] = {}
    for pick in picks:
        node = methods.walk(answers)
        if isinstance(node, Ending):
            return
        assert isinstance(node, Question)
        answers[node.id] = node.choices[pick % len(node.choices)].id
    pytest.fail("ten answers were not enough")


@pytest.mark.parametrize(("count", "level"), [(0, "too few"), (99, "too few"), (100, "few"), (499, "few"), (500, "enough")])
def test_readiness_of_supervised_data(count, level):
    assert methods.readiness("sl", count).level == level


def test_minimums_are_those_we_publish():
    assert {method.id: (method.minimum, method.recommended) for method in METHODS} == {
        "sl": (100, 500),
        "rl": (50, 500),
        "dpo": (500, 1_000),
        "rlhf": (500, 1_000),
        "distill": (100, 500),
    }


def test_an_unknown_method_is_refused():
    with pytest.raises(NotFoundError):
        methods.method("magic")
