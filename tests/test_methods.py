"""The decision tree: every path is walked, every question helps, every ending is honest."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data, methods
from studio.errors import NotFoundError, SettingError
from studio.methods import ENDINGS, FIRST, METHODS, QUESTIONS, Ending, Question
from studio.recipe import spec_of

ALL_PATHS = list(methods.paths())


def test_every_path_ends_as_its_choices_say():
    for way, ending in ALL_PATHS:
        answers = {question.id: choice.id for question, choice in way}
        assert methods.walk(answers) is ending
        assert methods.path(answers) == way
        assert len(answers) == len(way), "no question comes twice"
        assert len(way) <= 9


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
        ({"examples": "no", "score": "yes", "sometimes": "some"}, "rl"),
        ({"examples": "no", "score": "yes", "sometimes": "unsure"}, "rl"),
        ({"examples": "no", "score": "yes", "sometimes": "never"}, "collect_first"),
        ({"examples": "no", "score": "yes", "sometimes": "always"}, "prompt_first"),
        ({"examples": "no", "score": "no", "pairs": "yes", "reuse": "no"}, "dpo"),
        ({"examples": "no", "score": "no", "pairs": "yes", "reuse": "yes", "enough": "many"}, "rlhf"),
        ({"examples": "no", "score": "no", "pairs": "yes", "reuse": "yes", "enough": "few"}, "dpo"),
        ({"examples": "no", "score": "no", "pairs": "no", "start": "works", "price": "prompt"}, "distill_prompt"),
        ({"examples": "no", "score": "no", "pairs": "no", "start": "works", "price": "bigger"}, "distill_on_policy"),
        ({"examples": "no", "score": "no", "pairs": "no", "start": "works", "price": "unsure"}, "collect_with_prompt"),
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


def test_every_method_trains_and_every_method_is_the_end_of_a_path():
    assert all(method.available for method in METHODS)
    assert {ending.method for _, ending in ALL_PATHS if ending.method} == {method.id for method in METHODS}
    assert {ending.id for _, ending in ALL_PATHS if ending.method is None} == {
        "collect_first",
        "collect_with_prompt",
        "prompt_first",
    }


def test_an_ending_says_what_to_do_and_gives_a_file_to_begin_with():
    for ending in ENDINGS.values():
        assert ending.available == (ending.method is not None)
        if ending.id != "sl":
            assert ending.prepare
        if ending.id not in ("sl", "sl_from_edits"):
            assert ending.template is not None


def test_both_kinds_of_distillation_are_reached_with_their_setting():
    assert ENDINGS["distill_prompt"].preset == (("distillation", "prompt"),)
    assert ENDINGS["distill_on_policy"].preset == (("distillation", "on_policy"),)
    for ending in ENDINGS.values():
        for name, value in ending.preset:
            spec = spec_of(name)
            assert ending.method in spec.methods
            assert spec.read(value) == value


def test_each_method_says_when_it_fits_what_it_takes_and_what_it_costs():
    for method in METHODS:
        for words in (method.plain, method.when, method.when_not, method.needs, method.time, method.stability, method.cost):
            assert words.endswith(".")
            assert len(words) > 20
        assert 0 < method.minimum <= method.recommended
        assert method.data


def test_each_kind_of_data_trains_somehow_the_simplest_way_first():
    assert methods.ways("SL") == ("sl", "distill")
    assert methods.ways("DPO") == ("dpo", "rlhf")
    assert methods.ways("RL") == ("rl", "distill")


def test_the_tree_is_a_document():
    found = json.loads(json.dumps(methods.document()))
    assert found["first"] == FIRST
    assert [one["id"] for one in found["methods"]] == [method.id for method in METHODS]
    assert {one["id"] for one in found["questions"]} == set(QUESTIONS)
    assert {one["id"] for one in found["endings"]} == set(ENDINGS)
    assert len(found["paths"]) == len(ALL_PATHS)
    for path in found["paths"]:
        ending = methods.walk(path["answers"])
        assert isinstance(ending, Ending)
        assert ending.id == path["ending"]


@pytest.mark.parametrize(
    "template",
    # In one order: a set of texts has another one in each process.
    dict.fromkeys(ending.template for ending in ENDINGS.values() if ending.template),
    ids=lambda one: one.file_name,
)
def test_a_template_is_read_as_what_it_is_for(template, tmp_path):
    path = tmp_path / template.file_name
    path.write_text(template.text, encoding="utf-8")
    found = data.inspect(path, path.name, tmp_path / "dataset")
    kinds = {ending.method for ending in ENDINGS.values() if ending.template == template and ending.method}
    if found.shape is None:
        assert kinds == {"distill"}
        return
    assert all(found.shape.training in methods.method(method).data for method in kinds)


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
    answers = {"examples": "no", "score": "yes", "sometimes": "some"}
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
