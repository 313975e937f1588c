from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from studio import datasets, kept, methods, models, samples
from studio.errors import SettingError
from studio.models.prices import Price
from studio.recipe import FIELDS
from studio.settings import Settings
from studio.store import Store
from tests.wizards.conftest import Nobody, Starts
from tests.wizards.test_plan import PAIRS, rows_file
from wizards import card, models_list, settings, settings_html, settings_table, shell
from wizards.draft import Draft
from wizards.earlier import Earlier
from wizards.models_list import Sought
from wizards.plan import Plan, plan
from wizards.settings_html import Screen
from wizards.shell import Context, Said, Visit

TASKS = [{"prompt": f"What is {n} + 3?", "answer": str(n + 3)} for n in range(80)]


@dataclass
class House:
    """A studio with one data set of each kind, split."""

    ctx: Context
    starts: Starts
    data: dict[str, str]

    def draft(self, method: str, **changed) -> Draft:
        kind = {"dpo": "pairs", "rlhf": "pairs", "rl": "tasks"}.get(method, "examples")
        usual = {"method": method, "dataset": self.data[kind]}
        answers = (("examples", "yes"),) if method == "sl" else ()
        return Draft(answers=answers, **(usual | changed)).at("settings")

    def now(self, draft: Draft) -> Plan:
        return plan(self.ctx.settings, self.ctx.store, draft, "ann")

    def shown(self, draft: Draft, known: Earlier | None = None) -> Screen | None:
        offer = settings.offer(self.ctx, Visit(draft, "ann"))
        return settings.screen(self.now(draft), draft, replace(offer, earlier=known or Earlier()), "a.csv")

    def edit(self, draft: Draft, name: str, text: str) -> Draft:
        return settings.edited(self.ctx, Visit(draft, "ann"), name, text)

    def press(self, draft: Draft, name: str, value: str = "") -> Draft:
        return settings.pressed(self.ctx, Visit(draft, "ann"), Said(name, value))


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Iterator[House]:
    home = tmp_path_factory.mktemp("settings")
    made = Settings(home=home / "home", upload_limit_bytes=10_000_000)
    made.home.mkdir()
    store = Store(made.database)
    starts = Starts(store)
    ctx = Context(made, store, Nobody(), starts, owner_of=lambda _: "ann")
    files = {"examples": samples.samples()[0].file}
    for name, rows in (("pairs", PAIRS), ("tasks", TASKS)):
        folder = home / name
        folder.mkdir()
        files[name] = rows_file(folder, rows)
    yield House(ctx, starts, {name: settled(made, store, path) for name, path in files.items()})
    store.close()


def settled(made: Settings, store: Store, path: Path) -> str:
    staged_id, _ = datasets.stage(made, path, path.name, "ann")
    datasets.settle(made, store, staged_id, "ann")
    return staged_id


def page_of(found: Screen | None) -> str:
    assert found is not None
    return str(settings_html.dial(found)) + str(settings_html.rest(found))


def rows_of(found: Screen) -> tuple[settings_table.Row, ...]:
    return (*found.made_of, *found.main, *found.advanced)


EVERY = [each.id for each in methods.METHODS]


@pytest.mark.parametrize("method", EVERY)
def test_every_setting_of_every_method_stands_once_with_value_reason_source_and_badge(house, method):
    draft = house.draft(method)
    found = house.shown(draft)
    rows = rows_of(found)
    recipe = found.recipe
    hidden = {row for row in ("judge", "start_from") if row not in {each.setting.name for each in rows}}
    drawn_apart = {"method", "model", "reward", "budget_usd"}
    assert {row.setting.name for row in rows} == {spec.name for spec in recipe.specs} - drawn_apart - hidden
    for row in rows:
        assert row.setting.reason, row.setting.name
        assert row.setting.source, row.setting.name
        assert row.setting.badge in settings_table.BADGES
        assert row.text or FIELDS[row.setting.name].blank or row.needed
    assert not any(row.changed or row.problem for row in rows)
    page = page_of(found)
    assert page.count("data-field=") == len(rows) + 1 + (2 if len(found.models) >= 4 else 0)
    assert "aria-invalid" not in page
    assert f"The other {len(found.advanced)} settings" in page


def test_a_wrong_value_is_said_at_its_field_and_stops_the_start(house):
    draft = house.edit(house.draft("sl"), "learning_rate", "fast")
    row = next(row for row in house.shown(draft).main if row.setting.name == "learning_rate")
    assert row.text == "fast"
    assert "learning rate" in row.problem
    page = page_of(house.shown(draft))
    assert 'aria-invalid="true"' in page
    assert 'aria-describedby="tf-set-learning_rate-says"' in page
    assert house.now(draft).missing.words == "Correct 1 setting first"
    assert shell.start(house.ctx, Visit(draft, "ann")).step == "settings"


def test_changes_are_marked_and_counted_and_one_press_takes_them_back(house):
    draft = house.edit(house.draft("sl"), "epochs", " 2 ")
    assert draft.changes == (("epochs", "2"),)
    assert house.now(draft).recipe.epochs == 2
    assert "1 setting changed" in page_of(house.shown(draft))
    two = house.edit(draft, "seed", "7")
    assert "2 settings changed" in page_of(house.shown(two))
    assert house.press(two, "reset", "epochs").changes == (("seed", "7"),)
    assert house.press(two, "reset-all").changes == ()


def test_typing_the_recommended_value_is_no_change(house):
    draft = house.draft("sl")
    usual = house.now(draft).recommendation.recipe
    assert house.edit(draft, "learning_rate", f"{usual.learning_rate:e}").changes == ()


def test_the_dial_has_three_positions_and_keeps_what_was_changed(house):
    draft = house.edit(house.draft("sl"), "seed", "7")
    positions = house.shown(draft).positions
    assert [(each.label, each.chosen) for each in positions] == [("Gentle", False), ("Standard", True), ("Thorough", False)]
    for each in positions:
        turned = house.press(draft, "dial", each.dial)
        recipe = house.now(turned).recipe
        assert recipe.steps(house.now(turned).facts.train_rows) == each.steps
        assert recipe.seed == 7
    assert house.press(draft, "dial", "to eleven").dial == "standard"
    assert house.press(house.press(draft, "dial", "gentle"), "reset-all") == replace(draft, changes=())


def test_fields_that_do_not_exist_cannot_be_set(house):
    draft = house.draft("sl")
    assert house.edit(draft, "__class__", "x") == draft
    assert house.edit(draft, "method", "rl") == draft
    assert house.now(draft.with_change("dpo_beta", "9")).ready, "a setting of another method changes nothing"


def test_an_unknown_model_is_a_sentence_and_a_list_to_choose_from(house):
    draft = house.edit(house.draft("sl"), "model", "no/such-model")
    found = house.now(draft)
    assert found.missing is not None
    assert house.shown(draft) is None
    page = settings_html.stuck(found.problems, models.catalogue(house.ctx.settings), {})
    assert "no/such-model" in page
    assert 'data-pick="model" data-value="nano"' in page


def test_a_file_that_does_not_fit_the_goal_offers_the_ways_out(house):
    draft = house.draft("sl", dataset=house.data["pairs"])
    now = house.now(draft)
    assert now.missing == shell.plan(house.ctx.settings, house.ctx.store, draft, "ann").missing
    assert now.missing.step == "goal"
    assert 'data-pick="method" data-value="dpo"' in settings_html.clashing(now.clash)
    assert house.press(draft, "method", "dpo").method == "dpo"
    assert house.press(draft, "data").step == "data"


# ---- the model list ----


def hosted() -> tuple[models.Model, ...]:
    return tuple(model for model in models.everything() if not model.local)


def test_models_are_searched_and_filtered_and_the_one_in_use_stays(house):
    served = hosted()
    name = served[0].name
    page = models_list.html(served, name, Sought("llama 8b"), {}).split("tf-models-text")[-1]
    for model in served:
        fits = "llama" in model.name.lower() and "8b" in model.name.lower()
        assert (f'data-value="{model.name}"' in page) == (fits and model.name != name)
    assert "In use" in page
    assert f"of {len(served)} models fit" in page
    base = models_list.html(served, name, Sought(kind="base"), {}).split("tf-models-text")[-1]
    assert all(f'data-value="{model.name}"' not in base for model in served if model.kind != "base")
    assert "0 of" in models_list.html(served, name, Sought("zzz"), {})


def test_where_to_start_is_said_for_three_wishes():
    served = hosted()
    starts = {one.aim: one.model for one in models.start_here(served)}
    assert set(starts) == set(models_list.AIMS)
    page = models_list.html(served, starts["speed"].name, Sought(), {})
    assert f"Start with {starts['quality'].label}" in page
    assert page.count("In use") == 1 + list(starts.values()).count(starts["speed"])


def test_a_price_comes_with_its_day_and_source_or_is_said_to_be_unknown(house):
    served = hosted()[:2]
    known = Price(0.13, 0.4, 0.4, 0.2, "2020-01-05", "the price list")
    page = models_list.html(served, "", Sought(), {served[0].name: known})
    assert "read 0.13, write 0.4, train 0.4 USD for a million tokens (2020-01-05, the price list)" in page
    assert "may have changed since" in page
    assert page.count("price not known") == 1


def test_the_cost_is_said_before_the_start_and_a_budget_can_be_set(house):
    draft = house.draft("sl")
    assert house.now(draft).cost.sentence in page_of(house.shown(draft))
    limited = house.edit(draft, "budget_usd", "0.5")
    assert house.now(limited).recipe.budget_usd == 0.5
    wrong = house.edit(draft, "budget_usd", "a lot")
    assert 'aria-describedby="tf-set-budget_usd-says"' in page_of(house.shown(wrong))
    assert "once every setting is in order" in page_of(house.shown(wrong))


@pytest.mark.parametrize("text", ["", "base:", "instruct:qwen 8b", ":30b", "hybrid.moe.medium:a3b"])
def test_what_is_sought_survives_its_address(text):
    assert Sought.from_text(text).to_text() == text


def test_searching_changes_the_view_and_choosing_keeps_what_is_about_the_goal(house):
    draft = house.edit(house.draft("sl"), "models-text", "  qwen   8b ")
    assert draft.view == "models::qwen 8b"
    assert house.shown(draft).sought == Sought("qwen 8b")
    assert house.edit(draft, "models-text", "").view == ""
    changed = house.draft("distill").with_change("teacher_prompt", "Be brief.").with_change("epochs", "2")
    after = house.press(changed, "model", "Qwen/Qwen3-8B")
    assert (after.model, after.changes) == ("Qwen/Qwen3-8B", (("teacher_prompt", "Be brief."),))


def test_a_hostile_search_is_only_text():
    page = models_list.html(hosted(), "nano", Sought.from_text(':<script>${1}"'), {})
    assert "<script>" not in page
    assert "${" not in page


# ---- earlier runs ----


def test_a_run_to_start_from_brings_its_rank_and_leaves_with_it(house, monkeypatch):
    known = Earlier(starts=(("run-1", "First try, supervised, run-1"),), ranks=(("run-1", 4),))
    monkeypatch.setattr(settings.earlier, "of", lambda *_: known)
    draft = house.draft("sl")
    row = next(row for row in house.shown(draft, known).made_of if row.setting.name == "start_from")
    assert row.choices == (("", "The model as it comes"), ("run-1", "First try, supervised, run-1"))
    assert 'data-field="start_from"' not in page_of(house.shown(draft)), "without a run there is no choice"
    after = house.edit(draft, "start_from", "run-1")
    assert dict(after.changes) == {"lora_rank": "4", "start_from": "run-1"}
    assert house.edit(after, "start_from", "").changes == ()


# ---- distillation ----


def test_the_long_prompt_is_asked_for_kept_on_disk_and_trained_with(house):
    draft = house.draft("distill")
    now = house.now(draft)
    assert now.asks == ("teacher_prompt",)
    assert now.missing.words == "Write the long prompt first"
    page = page_of(house.shown(draft))
    assert "<textarea" in page
    assert "needed" in page
    assert "aria-invalid" not in page, "nobody is blamed for what they have not been asked yet"
    long = "Answer as our help desk does. ${x} </textarea><script>\n" * 60
    after = house.edit(draft, "teacher_prompt", long)
    assert len(after.to_query()) < 300
    assert kept.said(house.ctx.settings, "ann", dict(after.changes)["teacher_prompt"]) == long.strip()
    assert house.now(after).recipe.teacher_prompt == long.strip()
    page = page_of(house.shown(after))
    assert "<script>" not in page
    assert page.count("</textarea>") == 1


def test_the_other_kind_of_distillation_has_other_settings(house):
    draft = house.edit(house.draft("distill"), "distillation", "on_policy")
    recipe = house.now(draft).recipe
    assert recipe.distillation == "on_policy"
    names = {row.setting.name for row in rows_of(house.shown(draft))}
    assert "teacher_prompt" not in names
    assert "group_size" in names
    assert house.press(draft, "reset-all").changes == (("distillation", "on_policy"),)


# ---- the run card ----


def test_the_start_button_starts_or_names_what_is_missing(house):
    empty = card.planned("embedded", house.now(Draft()))
    assert (empty.act.label, empty.act.value) == ("Choose your goal first", "goal")
    goal = card.planned("embedded", house.now(Draft(method="sl")))
    assert (goal.act.label, goal.act.value) == ("Add your data first", "data")
    assert card.planned("embedded", house.now(Draft(method="sl", dataset="data-notyet1"))).act.label == "Split your data first"
    draft = house.draft("sl")
    full = card.planned("embedded", house.now(draft))
    assert (full.act.label, full.pill, full.state) == ("Start training", "Ready", "good")
    after = shell.start(house.ctx, Visit(draft, "ann"))
    assert (after.step, after.run) == ("train", house.starts.made[-1][0])
    assert house.starts.made[-1][1] == house.now(draft).recipe


def test_the_card_says_method_data_model_work_time_and_price(house):
    now = house.now(house.draft("sl"))
    made = card.html(card.planned("embedded", now))
    for words in (
        "Supervised",
        "because you have good example answers",
        "support_tickets.csv",
        "nano",
        "on this computer",
        "free",
    ):
        assert words in made
    assert "not decided yet" in card.html(card.planned("embedded", house.now(Draft())))


@pytest.mark.parametrize(
    ("method", "words"),
    [("sl", "examples"), ("dpo", "pairs"), ("rl", "questions"), ("rlhf", "questions"), ("distill", "examples")],
)
def test_the_card_counts_what_the_method_learns_from(house, method, words):
    now = house.now(house.draft(method))
    made = card.html(card.planned("embedded", now))
    assert f"{now.recipe.batch_size} {words}" in made


def test_the_card_shows_a_run_once_there_is_one(house):
    after = shell.start(house.ctx, Visit(house.draft("sl"), "ann"))
    made = card.of(house.ctx.settings, house.ctx.store, after, "ann")
    assert "Waiting" in made
    assert after.run in made
    assert after.run not in card.of(house.ctx.settings, house.ctx.store, after, "bob")


def test_a_refused_start_is_the_error_itself(house, monkeypatch):
    monkeypatch.setattr(house.starts, "refusal", SettingError("No.", where="epochs"))
    with pytest.raises(SettingError):
        shell.start(house.ctx, Visit(house.draft("sl"), "ann"))
