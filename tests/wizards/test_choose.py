from __future__ import annotations

from dataclasses import replace

import pytest

from studio import datasets, methods
from studio.methods import Ending, Method, Question
from tests.wizards.test_plan import PAIRS, rows_file
from wizards import choose, clash, method_card
from wizards.choose import Screen
from wizards.draft import Draft
from wizards.shell import Said, Visit

TRAINS = [each for each in methods.ENDINGS.values() if each.available and each.method]
ADVISES = [each for each in methods.ENDINGS.values() if each.method is None]


def press(draft: Draft, name: str, value: str = "") -> Draft:
    return choose.pressed(Visit(draft, "ann"), Said(name, value))


def test_one_press_leads_from_the_landing_page_to_the_data():
    after = press(Draft(), "choose", "yes")
    assert (after.step, after.method) == ("data", "sl")


def test_every_path_can_be_walked_and_every_answer_changed():
    for way, ending in methods.paths():
        draft = Draft()
        for question, choice in way:
            at = choose.screen(draft).at
            assert isinstance(at, Question)
            assert at.id == question.id
            draft = choose.chosen(draft, choice.id)
        assert choose.screen(draft).at == ending
        trains = ending.available and ending.method
        assert draft.method == (ending.method if trains else "")
        assert set(ending.preset) <= set(draft.changes)
        assert draft.step == ("data" if trains and not ending.prepare else "goal")
        for at, (question, _) in enumerate(way):
            again = choose.reopened(draft, question.id)
            assert choose.screen(again).at == question
            assert len(again.answers) == at
            assert again.method == ""


def test_the_way_taken_stands_on_the_page_with_a_change_for_each_answer():
    way, ending = max(methods.paths(), key=lambda found: len(found[0]))
    made = choose.html(Screen(ending, way))
    for question, choice in way:
        assert choice.label.replace("'", "&#39;") in made
        assert f'data-pick="reopen" data-value="{question.id}"' in made


@pytest.mark.parametrize("ending", TRAINS, ids=lambda each: each.id)
def test_an_ending_that_trains_shows_the_card_of_its_method(ending):
    made = choose.html(Screen(ending, ()))
    method = methods.method(ending.method)
    for words in (method.when, method.when_not, method.needs, method.time, method.stability, method.cost):
        assert words.replace("'", "&#39;") in made
    assert f"{method.minimum:,} {method.unit} make a start, {method.recommended:,} are comfortable." in made
    assert "Continue to your data" in made


@pytest.mark.parametrize("ending", ADVISES, ids=lambda each: each.id)
def test_an_ending_that_does_not_train_says_what_to_do_instead(ending):
    made = choose.html(Screen(ending, ()))
    assert "Use examples instead" in made
    assert "Continue to your data" not in made
    assert len(ending.prepare) >= 3
    for line in ending.prepare:
        assert line.replace("'", "&#39;") in made


def test_examples_instead_starts_over_with_what_works():
    draft = Draft(answers=(("examples", "no"), ("score", "yes")), changes=(("kl_coef", "0.1"),))
    after = press(draft, "examples")
    assert (after.step, after.method, after.changes) == ("data", "sl", ())
    assert isinstance(choose.screen(after).at, Ending)


def test_who_knows_the_method_needs_no_questions():
    after = press(Draft(), "method", "sl")
    assert (after.method, after.answers) == ("sl", ())
    now = choose.screen(after)
    assert isinstance(now.at, Method)
    made = choose.html(now)
    assert "You chose: Supervised" in made
    assert "Ask me the questions instead" in made
    asked = press(after, "restart")
    assert isinstance(choose.screen(asked).at, Question)


def test_every_way_of_training_is_listed_once_with_a_button():
    ready = [each for each in methods.METHODS if each.available]
    made = method_card.every(methods.METHODS, "sl")
    assert made.count("<li>") == len(ready)
    assert made.count('data-pick="method"') == len(ready) - 1


def test_answers_from_an_old_link_lead_to_the_first_question():
    now = choose.screen(Draft(answers=(("examples", "perhaps"),)))
    assert isinstance(now.at, Question)
    assert now.at.id == methods.FIRST
    assert isinstance(choose.screen(Draft(method="alchemy")).at, Question)


def test_each_question_helps_who_is_not_sure():
    first = choose.html(choose.screen(Draft()))
    assert "Not sure" in first
    assert "is-quiet" in first
    assert "tabindex" in first


def test_the_template_is_in_the_link_itself():
    ending = next(each for each in methods.ENDINGS.values() if each.template)
    made = choose.html(Screen(ending, ()))
    assert 'href="data:text/csv' in made
    assert "http" not in made


# ---- the file against the answers ----


@pytest.fixture
def pairs(ctx, tmp_path):
    """Pairs that wait to be split."""
    path = rows_file(tmp_path, PAIRS)
    return datasets.stage(ctx.settings, path, path.name, "ann")


def test_a_file_that_contradicts_the_answers_is_said_to_with_the_ways_out(pairs):
    staged_id, found = pairs
    draft = replace(press(Draft(), "choose", "yes"), dataset=staged_id).at("goal")
    now = choose.screen(draft, found)
    assert now.clash is not None
    made = choose.html(now)
    assert "Your file holds pairs of a better and a worse answer" in made
    assert "Use the better answers as examples" in made
    for way in methods.ways("DPO"):
        assert f'data-pick="method" data-value="{way}"' in made
        after = press(draft, "method", way)
        assert (after.method, after.answers, after.dataset) == (way, (), staged_id)
        assert choose.screen(after, found).clash is None


def test_while_the_questions_are_open_the_file_is_only_named(pairs):
    now = choose.screen(Draft(dataset=pairs[0]), pairs[1])
    assert now.clash is None
    assert "holds pairs of a better and a worse answer" in choose.html(now)


def test_rows_are_compared_with_what_the_method_needs(pairs):
    now = choose.screen(Draft(method="dpo", dataset=pairs[0]), pairs[1])
    assert "You have 60 pairs" in choose.html(now)


@pytest.mark.parametrize("training", ["SL", "DPO", "RL"])
def test_a_clash_is_said_exactly_where_a_method_cannot_use_the_data(training):
    for method in methods.METHODS:
        found = clash.of(method.id, training)
        assert (found is None) == (method.id in methods.ways(training))
        if found is not None:
            assert found.ways == methods.ways(training)
            assert "Use another file" in clash.html(found)
    assert clash.of("", training) is None
    assert clash.of("sl", None) is None
