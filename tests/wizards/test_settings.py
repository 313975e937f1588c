from __future__ import annotations

from dataclasses import replace

import pytest

from studio import datasets, models, samples
from studio.errors import SettingError
from studio.recipe import spec_of
from wizards import card, settings, shell
from wizards.draft import Draft
from wizards.plan import plan
from wizards.shell import Said


@pytest.fixture
def ready(ctx, visit):
    """A draft with a sample that has been split."""
    sample = samples.samples()[0]
    staged_id, _ = datasets.stage(ctx.settings, sample.file, sample.file.name, "ann")
    datasets.settle(ctx.settings, ctx.store, staged_id, "ann")
    return replace(visit().draft, dataset=staged_id).at("settings")


@pytest.fixture
def now(ctx):
    def read(draft: Draft):
        return plan(ctx.settings, ctx.store, draft, "ann")

    return read


@pytest.fixture
def shown(ctx, now):
    def read(draft: Draft):
        return settings.screen(now(draft), draft, models.catalogue(ctx.settings), "a.csv")

    return read


def test_every_setting_stands_with_value_reason_and_source(ready, shown):
    found = shown(ready)
    rows = (*found.main, *found.advanced)
    assert len(rows) >= 12
    assert all((row.text or spec_of(row.setting.name).blank) and row.setting.reason and row.setting.source for row in rows)
    assert not any(row.changed or row.problem for row in rows)
    made = settings.html(found)
    assert made.count("data-field=") == len(rows)
    assert "aria-invalid" not in made


def test_a_wrong_value_is_said_at_its_field_and_stops_the_start(ctx, ready, now, shown, visit):
    draft = settings.edited(ready, now(ready), "learning_rate", "fast")
    row = next(row for row in shown(draft).main if row.setting.name == "learning_rate")
    assert row.text == "fast"
    assert "learning rate" in row.problem
    made = settings.html(shown(draft))
    assert 'aria-invalid="true"' in made
    assert 'aria-describedby="tf-set-learning_rate-says"' in made
    assert now(draft).missing.words == "Correct 1 setting first"
    assert shell.start(ctx, visit(draft)).step == "settings"


def test_a_change_is_marked_and_one_press_takes_it_back(ctx, ready, now, shown, visit):
    draft = settings.edited(ready, now(ready), "epochs", " 2 ")
    assert draft.changes == (("epochs", "2"),)
    assert now(draft).recipe.epochs == 2
    assert "changed" in settings.html(shown(draft))
    assert settings.pressed(ctx, visit(draft), Said("reset", "epochs")).changes == ()
    assert settings.pressed(ctx, visit(draft), Said("reset-all")).changes == ()


def test_typing_the_recommended_value_is_no_change(ready, now):
    usual = now(ready).recommendation.recipe
    draft = settings.edited(ready, now(ready), "learning_rate", f"{usual.learning_rate:e}")
    assert draft.changes == ()


def test_the_dial_turns_the_passes_only(ctx, ready, now, shown, visit):
    positions = shown(ready).positions
    assert [each.label for each in positions if each.chosen] == ["Recommended"]
    thorough = positions[-1]
    draft = settings.pressed(ctx, visit(ready), Said("dial", str(thorough.epochs)))
    assert now(draft).recipe == replace(now(ready).recipe, epochs=thorough.epochs)
    assert now(draft).recipe.steps(now(draft).facts.train_rows) == thorough.steps


def test_fields_that_do_not_exist_cannot_be_set(ready, now):
    assert settings.edited(ready, now(ready), "__class__", "x") == ready
    assert settings.edited(ready, now(ready), "method", "rl") == ready


def test_an_unknown_model_is_a_sentence_not_a_crash(ready, now, shown):
    draft = settings.edited(ready, now(ready), "model", "no/such-model")
    found = now(draft)
    assert found.missing is not None
    assert "no/such-model" in found.problems[0].message
    assert shown(draft) is None


def test_the_start_button_starts_or_names_what_is_missing(ctx, starts, ready, visit, now):
    empty = card.planned("embedded", now(Draft()))
    assert (empty.act.label, empty.act.value) == ("Choose your goal first", "goal")
    goal = card.planned("embedded", now(Draft(method="sl")))
    assert (goal.act.label, goal.act.value) == ("Add your data first", "data")
    assert card.planned("embedded", now(Draft(method="sl", dataset="data-notyet1"))).act.label == "Split your data first"
    full = card.planned("embedded", now(ready))
    assert (full.act.label, full.pill, full.state) == ("Start training", "Ready", "good")
    after = shell.start(ctx, visit(ready))
    assert (after.step, after.run) == ("train", starts.made[0][0])
    assert starts.made[0][1] == now(ready).recipe


def test_the_card_says_method_data_model_work_time_and_price(ready, now):
    made = card.html(card.planned("embedded", now(ready)))
    for words in (
        "Supervised",
        "because you have good example answers",
        "support_tickets.csv",
        "nano",
        "on this computer",
        "free",
    ):
        assert words in made
    assert "not decided yet" in card.html(card.planned("embedded", now(Draft())))
    assert "price not known here" in card.html(card.planned("hosted", now(ready)))


def test_the_card_shows_a_run_once_there_is_one(ctx, ready, visit):
    after = shell.start(ctx, visit(ready))
    made = card.of(ctx.settings, ctx.store, after, "ann")
    assert "Waiting" in made
    assert after.run in made
    assert after.run not in card.of(ctx.settings, ctx.store, after, "bob")


def test_a_refused_start_is_the_error_itself(ctx, starts, ready, visit):
    starts.refusal = SettingError("No.", where="epochs")
    with pytest.raises(SettingError):
        shell.start(ctx, visit(ready))
