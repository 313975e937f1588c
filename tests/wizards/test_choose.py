from __future__ import annotations

import pytest

from studio import methods
from studio.methods import Ending, Question
from wizards import choose
from wizards.draft import Draft
from wizards.shell import Said, Visit


def test_one_press_leads_from_the_landing_page_to_the_data():
    after = choose.pressed(Visit(Draft(), "ann"), Said("choose", "yes"))
    assert (after.step, after.method) == ("data", "sl")


@pytest.mark.parametrize(("way", "ending"), list(methods.paths()))
def test_every_path_can_be_walked_and_taken_back(way, ending):
    draft = Draft()
    for question, choice in way:
        at = choose.screen(draft.answers).at
        assert isinstance(at, Question)
        assert at.id == question.id
        draft = choose.chosen(draft, choice.id)
    assert choose.screen(draft.answers).at == ending
    trains = ending.available and ending.method
    assert draft.method == (ending.method if trains else "")
    assert draft.step == ("data" if trains and not ending.prepare else "goal")
    for _ in way:
        draft = choose.back(draft)
    assert (draft.answers, draft.method) == ((), "")


@pytest.mark.parametrize("ending", [each for each in methods.ENDINGS.values() if not each.available])
def test_an_ending_that_cannot_be_trained_says_so_and_offers_a_way_on(ending):
    made = choose.html(choose.Screen(ending, (("Q", "A"),)))
    assert "Use examples instead" in made
    assert "Continue to your data" not in made
    if ending.method:
        assert "Not in this version yet" in made
    for line in ending.prepare:
        assert line.split(".")[0].split("'")[0] in made.replace("&#39;", "'")


def test_examples_instead_starts_over_with_what_works():
    draft = Draft(answers=(("examples", "no"), ("score", "yes")))
    after = choose.pressed(Visit(draft, "ann"), Said("examples"))
    assert (after.step, after.method) == ("data", "sl")
    assert isinstance(choose.screen(after.answers).at, Ending)


def test_answers_from_an_old_link_lead_to_the_first_question():
    now = choose.screen((("examples", "perhaps"),))
    assert isinstance(now.at, Question)
    assert now.at.id == methods.FIRST


def test_each_question_helps_who_is_not_sure_or_has_no_such_choice():
    first = choose.html(choose.screen(()))
    assert "Not sure" in first
    assert "is-quiet" in first
    assert "tabindex" in first


def test_the_template_is_in_the_link_itself():
    ending = next(each for each in methods.ENDINGS.values() if each.template)
    made = choose.html(choose.Screen(ending, ()))
    assert 'href="data:text/csv' in made
    assert "http" not in made
