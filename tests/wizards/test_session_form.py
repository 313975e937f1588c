"""The options of a session: what is typed becomes the session, what is wrong is said, and what it can show is not made up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from studio.compare import blind
from studio.compare.planning import pairs_for_each, plan_session, reading_minutes
from studio.compare.sessions import SessionPlan
from studio.errors import RunError, SettingError
from tests.wizards.world import OWNER, World
from wizards import compare, session_form
from wizards.session_form import Offered
from wizards.shell import Once, Said

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(24)]
HERE = Offered(prompts=24, challengers=1, words=119, references=True, pairs=24)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def send(world: World, run: str, pressed: str = "open", **fields: str):
    said = Said(session_form.FORM, json.dumps({**fields, "pressed": pressed}))
    return compare.pressed(world.ctx, world.visit(run=run, step="compare"), said)


def test_what_is_typed_becomes_the_session(world):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS)
    draft = send(
        world,
        run.id,
        prompts="20",
        raters="4",
        ratings="2",
        overlap="10 %",
        criteria="Correct\n\n Friendly ",
        comments="yes",
        seconds="2.5",
        days="7",
    )
    assert not isinstance(draft, Once)
    assert (draft.comparison, draft.view) == (comparison, "")
    options = SessionPlan.of(world.store.ratings.session(draft.session)).options
    assert (options.prompts, options.ratings_per_prompt, options.overlap) == (20, 2, 0.1)
    assert options.per_rater == 2 + 9
    assert options.criteria == ("Correct", "Friendly")
    assert (options.comments, options.min_seconds, options.expires_days) == (True, 2.5, 7.0)
    page = str(compare.html(compare.screen(world.ctx, world.visit(run=run.id, session=draft.session, step="compare"))))
    assert "The session is open" in page
    assert "Session options" not in page


def test_options_are_folded_and_the_plan_is_worked_out_only_for_those_who_look(world, monkeypatch):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    visit = world.visit(run=run.id, step="compare")
    with monkeypatch.context() as patched:
        patched.setattr(session_form.planning, "plan_session", None)
        page = str(compare.html(compare.screen(world.ctx, visit)))
    assert 'aria-expanded="false"' in page
    assert "What this session can show" not in page
    draft = compare.pressed(world.ctx, visit, Said(session_form.DOOR, "open"))
    assert not isinstance(draft, Once)
    page = str(compare.html(compare.screen(world.ctx, replace(visit, draft=draft))))
    assert "What this session can show" in page
    folded = compare.pressed(world.ctx, replace(visit, draft=draft), Said(session_form.DOOR))
    assert not isinstance(folded, Once)
    assert folded.view == ""


def test_the_shares_of_as_many_people_as_were_named_cover_every_prompt(world):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    draft = send(world, run.id, raters="5", ratings="2", overlap="25")
    assert not isinstance(draft, Once)
    for name in "ABCDE":
        blind.invite(world.store, draft.session, OWNER, name)
    deals = world.store.ratings.all_deals(draft.session)
    per_prompt = {f"p{at:03}": sum(one.prompt_id == f"p{at:03}" for one in deals) for at in range(24)}
    assert min(per_prompt.values()) >= 2


@pytest.mark.parametrize(
    ("field", "text", "label"),
    [
        ("prompts", "many", "Prompts to rate"),
        ("overlap", "nan", "Share that everybody sees"),
        ("overlap", "140", "Share that everybody sees"),
        ("seconds", "-1", "Least seconds"),
        ("gold", "99", "Test pairs"),
        ("criteria", "overall", "Further questions"),
        ("criteria", "a\na", "Further questions"),
        ("days", "0", "Days that an invite lasts"),
    ],
)
def test_what_cannot_work_is_said_at_its_field_and_stays_typed(world, field, text, label):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    once = send(world, run.id, **{field: text})
    assert isinstance(once, Once)
    assert label in str(once.said)
    assert not world.store.ratings.all(OWNER)
    assert session_form.typed(once.draft.view) == {field: text}
    assert session_form.part(HERE, once.draft.view)


def test_right_answers_that_are_all_alike_make_no_test_pairs(world):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    once = send(world, run.id, gold="3")
    assert isinstance(once, Once)
    assert "no reference answers of which gold items" in str(once.said)


def test_hostile_text_stays_text_and_too_much_is_refused(world):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    draft = send(world, run.id, "plan", criteria="</textarea><script>${1}</script>")
    page = str(session_form.part(HERE, draft.view))
    assert "<script>" not in page
    assert "${" not in page
    with pytest.raises(SettingError, match="too much text"):
        send(world, run.id, criteria="x" * 2_000)


def test_there_is_nothing_to_open_while_nobody_has_answered(world):
    run = world.run("completed")
    world.comparison(run, PAIRS, status="running")
    with pytest.raises(RunError):
        send(world, run.id)


def test_the_plan_is_that_of_the_rule_and_the_time_a_least():
    page = str(session_form.part(HERE, "options=1&prompts=20&raters=3&ratings=1"))
    plan = plan_session(20)
    assert plan.sentence in page
    assert f"{plan.rows[0].prompts_needed}" in page
    assert "Each of 3 people rates 7 pairs: at least 4 minutes of reading" in page
    assert "less than a minute" in str(session_form.part(Offered(3, 1, 10, False, 3), "options=1"))
    assert "Test pairs" not in str(session_form.part(Offered(3, 1, 10, False, 3), "options=1"))
    assert "Who meets whom" in str(session_form.part(Offered(24, 3, 10, True, 70), "options=1"))
    assert "Who meets whom" not in page
    assert "One person rates 70 pairs" in str(session_form.part(Offered(24, 3, 10, True, 70), "options=1"))
    assert "rates up to 142 pairs" in str(session_form.part(Offered(24, 3, 10, True, 70), "options=1&pairs=all"))


def test_time_and_shares():
    assert reading_minutes(476) == 2.0
    assert pairs_for_each(24, 1, None) == 24
    assert pairs_for_each(24, 4, 4) == 24
    assert pairs_for_each(24, 4, 1) == 6
    assert pairs_for_each(25, 4, 2, shared=5) == 15
    assert pairs_for_each(10, 3, 2, shared=10) == 10
