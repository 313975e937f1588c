"""The reward panel without a browser: what it shows, what each field and press makes of the reward, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from studio import datasets, rewards, work
from studio.errors import BackendError
from studio.rewards import TaskRow
from studio.rewards.bench import Bench, Group, Trial
from studio.runs import rehearsal
from studio.settings import Settings
from studio.store import Store
from studio.work.files import Done, Failed, Progress, Working
from tests.rewards import made
from tests.wizards.conftest import Nobody, Starts
from wizards import reward
from wizards import reward_forms as building
from wizards.draft import Draft
from wizards.plan import plan
from wizards.reward_view import View, read, written
from wizards.shell import Context, Said, Visit

HOSTILE = "<img src=x onerror=alert(1)> ${1} `x`"


# One studio with one data set for all tests of this file: none of them changes either.


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory):
    settings = Settings(home=tmp_path_factory.mktemp("home"))
    store = Store(settings.database)
    yield Context(settings, store, Nobody(), Starts(store), owner_of=lambda _: "ann")
    store.close()


@pytest.fixture(scope="module")
def settings(ctx):
    return ctx.settings


@pytest.fixture(scope="module")
def ready(ctx, tmp_path_factory: pytest.TempPathFactory):
    """A draft for RL over questions with number references."""
    path = tmp_path_factory.mktemp("file") / "mine.jsonl"
    rows = [
        {"prompt": f"What is {n} plus {n}? {HOSTILE}", "reference_answer": str(2 * n), "how hard": f"level {n}"}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    staged_id, _ = datasets.stage(ctx.settings, path, path.name, "ann")
    datasets.settle(ctx.settings, ctx.store, staged_id, "ann")
    return Draft(method="rl", dataset=staged_id).at("settings")


@pytest.fixture
def shown(ctx):
    def read_it(draft: Draft):
        return reward.screen(ctx, Visit(draft, "ann"), plan(ctx.settings, ctx.store, draft, "ann"))

    return read_it


@pytest.fixture
def does(ctx):
    """A press (a name without a dot) or an edit."""

    def act(draft: Draft, name: str, value: str = "") -> Draft:
        said = Said(name, value)
        return (reward.edited if "." in name else reward.pressed)(ctx, Visit(draft, "ann"), said)

    return act


def test_the_data_suggests_the_first_reward(ctx, ready, shown):
    now = shown(ready)
    assert now.raw == {"kind": "number"}
    assert (now.changed, now.sure, now.problem) == (False, True, None)
    assert "numbers" in now.reason
    assert len(now.tried) == 3
    assert all(each.reference.value == 1 for each in now.tried)
    made_html = reward.html(ctx, Visit(ready, "ann"), plan(ctx.settings, ctx.store, ready, "ann"))
    assert "What makes an answer good?" in made_html
    assert "<img" not in made_html
    assert "${" not in made_html


def test_a_typed_answer_is_scored_at_once_and_with_its_reason(ready, shown, does):
    draft = does(ready, "reward.answer.0", f"I think 7. {HOSTILE}")
    now = shown(draft)
    assert now.tried[0].score.value == 0
    assert "right is 0" in now.tried[0].score.parts[0].why
    right = does(draft, "reward.answer.0", "It is 0")
    assert shown(right).tried[0].score.value == 1
    assert shown(does(right, "reward.answer.0", "")).tried[0].score is None
    assert does(ready, "reward.answer.99", "x") == ready


def test_what_is_built_is_what_a_run_would_start_with(ctx, ready, shown, does):
    draft = does(ready, "reward-add")
    draft = does(draft, "reward.1.weight", "-0,5")
    draft = does(draft, "reward.1.kind", "contains")
    draft = does(draft, "reward.1.none_of", "sorry\n\nI cannot")
    draft = does(draft, "reward-flip", "1.partial")
    recipe = plan(ctx.settings, ctx.store, draft, "ann").recipe
    built = rewards.parse(recipe.reward)
    part = built.parts[1]
    assert part.weight == -0.5
    assert part.reward == rewards.Contains(none_of=("sorry", "I cannot"), partial=True)
    assert shown(draft).changed
    assert Draft.from_query(draft.to_query()) == draft
    assert shown(does(draft, "reward-remove", "1")).raw == {"kind": "number"}
    assert not shown(does(draft, "reward-suggested")).changed


def test_the_suggested_reward_typed_by_hand_is_no_change(ready, does):
    other = does(ready, "reward.0.kind", "exact")
    assert dict(other.changes)["reward"]
    assert does(other, "reward.0.kind", "number").changes == ()


def test_what_cannot_be_used_stays_on_screen_and_is_never_trained_with(ctx, ready, shown, does):
    draft = does(does(ready, "reward.0.kind", "regex"), "reward.0.pattern", "(unclosed")
    now = shown(draft)
    assert "cannot be read" in now.problem.what
    assert now.raw["pattern"] == "(unclosed"
    recipe = plan(ctx.settings, ctx.store, draft, "ann").recipe
    assert "unclosed" not in recipe.reward
    made_html = reward.html(ctx, Visit(draft, "ann"), plan(ctx.settings, ctx.store, draft, "ann"))
    assert "(unclosed" in made_html
    assert "disabled" in made_html  # trying it has to wait
    mended = does(draft, "reward.0.pattern", "(closed)")
    assert shown(mended).problem is None
    assert json.loads(plan(ctx.settings, ctx.store, mended, "ann").recipe.reward)["pattern"] == "(closed)"


def test_a_number_that_is_none_is_named(ready, shown, does):
    draft = does(ready, "reward.0.tolerance", "a bit")
    assert "number" in shown(draft).problem.what
    assert shown(draft).raw["tolerance"] == "a bit"


def test_text_is_read_too(ready, shown, does):
    draft = does(ready, "reward.yaml", "kind: length\nmost: 3\n")
    assert shown(draft).raw == {"kind": "length", "most": 3}
    assert any("form only" in caution for caution in shown(draft).cautions)
    broken = does(draft, "reward.yaml", "kind: lenght")
    now = shown(broken)
    assert "lenght" in now.yaml
    assert "no kind" in now.yaml_problem
    assert now.raw == {"kind": "length", "most": 3}


@pytest.mark.skipif(bool(rewards.sandbox.trouble()), reason="no sandbox here")
def test_code_is_run_and_its_faults_are_said(ready, shown, does):
    draft = does(ready, "reward.0.kind", "python")
    assert [each.reference.value for each in shown(draft).tried] == [1, 1, 1]
    broken = does(draft, "reward.0.code", "def score(prompt, answer, reference)\n    return 1")
    assert "SyntaxError" in shown(broken).problem.what
    other = does(
        draft, "reward.0.code", "def score(prompt, answer, reference, row):\n    return row['how hard'][:5] == 'level'"
    )
    assert [each.reference.value for each in shown(other).tried] == [1, 1, 1]


def test_rules_wait_for_the_model(ready, shown, does):
    now = shown(does(ready, "reward.0.kind", "rules"))
    assert now.tried == ()
    assert "Try it with the model" in now.preview_note


def test_the_bench_starts_works_ends_and_grows_stale(ctx, ready, shown, does, monkeypatch):
    began = []
    state = None
    monkeypatch.setattr(rehearsal, "begin", lambda *given: began.append(given))
    monkeypatch.setattr(rehearsal, "state", lambda folder: state)
    draft = does(ready, "reward-try")
    assert draft == ready
    _, _, asked, wanted = began[0]
    assert asked == rewards.Number()
    assert (wanted.model, wanted.rows, wanted.answers) == ("nano", 5, 4)

    def page(draft):
        return reward.html(ctx, Visit(draft, "ann"), plan(ctx.settings, ctx.store, draft, "ann"))

    state = Working("try", Progress("answering"))
    assert "data-tick" in page(draft)
    assert "Answering" in page(draft)
    assert reward.seen(ctx, Visit(draft, "ann"), plan(ctx.settings, ctx.store, draft, "ann")) == "reward:answering"

    row = TaskRow(f"What? {HOSTILE}", "4")
    trials = tuple(Trial(text, rewards.score(rewards.Number(), text, row)) for text in ("4", f"5 {HOSTILE}", "4", "none"))
    state = Done("try", json.loads(json.dumps(Bench(rewards.Number(), (Group(row, trials),)).to_dict())))
    assert shown(draft).trying.bench.scores == (1, 0, 1, 0)
    assert not shown(draft).trying.stale
    assert "Scores of 4 answers" in page(draft)
    assert "<img" not in page(draft)
    assert "data-tick" not in page(draft)
    assert shown(does(draft, "reward.0.kind", "exact")).trying.stale

    state = Failed("try", BackendError("The server is gone.", next_step="Try again."))
    assert "The server is gone." in page(draft)
    state = Done("try", {"of": "an older version"})
    assert shown(draft).trying.bench is None


def test_the_bench_can_be_cancelled(ready, does, monkeypatch):
    ended = []
    monkeypatch.setattr(work, "cancel", ended.append)
    does(ready, "reward-cancel")
    assert len(ended) == 1


def test_there_is_nothing_to_build_without_data_or_for_another_method(ctx, ready, shown):
    assert shown(replace(ready, dataset="")) is None
    assert reward.html(ctx, Visit(Draft(), "ann"), plan(ctx.settings, ctx.store, Draft(), "ann")) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward.9.kind", "exact"),
        ("reward.x.kind", "exact"),
        ("reward.0.kind", "gold"),
        ("reward.0.__class__", "x"),
        ("reward.0.ignore_case", "x"),
        ("reward-flip", "0.which"),
        ("reward-flip", "9.partial"),
        ("reward-remove", "0"),
        ("reward-remove", "-1"),
        ("reward-nothing", ""),
    ],
)
def test_what_no_form_sends_changes_nothing(ready, does, shown, name, value):
    draft = does(ready, name, value)
    assert shown(draft).raw == {"kind": "number"}
    assert draft.changes == ()


def test_every_field_of_every_kind_has_its_place_in_the_form():
    for kind in building.KINDS:
        model = type(rewards.parse({"kind": kind.id, **kind.start}))
        fields = {field.alias or name for name, field in model.model_fields.items()} - {"kind"}
        offered = {blank.name for blank in kind.blanks}
        assert offered == fields - ({"rewards", "otherwise"} if kind.id == "column" else set()), kind.id
        for blank in kind.blanks:
            default = model.model_fields.get("schema_text" if blank.name == "schema" else blank.name)
            if default is not None and not default.is_required() and blank.control == "flag":
                assert blank.default == default.default, blank.name


@given(made.anything)
@limits(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_kind_is_written_into_the_form_and_read_out_of_it(value):
    """Leaving each field as it stands changes nothing."""
    raw = rewards.to_mapping(value)
    kind = building.BY_ID[value.kind]
    again = raw
    for blank in kind.blanks:
        if blank.control != "flag":
            again = building.set_field(again, 0, blank.name, building.shown(blank, raw))
    texts = [
        each for value in raw.values() for each in (value if isinstance(value, list) else [value]) if isinstance(each, str)
    ]
    if any(text != text.strip() or len(text.splitlines()) != 1 for text in texts):
        return  # white space around a text is not what a form makes
    assert rewards.to_mapping(rewards.parse(again)) == raw


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=30)), max_size=3), st.text(max_size=40))
@limits(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_somebody_is_doing_survives_in_the_address(settings, typed, text):
    view = View(yaml=text)
    for row, answer in typed:
        view = view.answering(row, answer)
    draft = written(settings, Draft(step="settings", method="rl"), "ann", view)
    assert read(settings, Draft.from_query(draft.to_query()), "ann") == view


@pytest.mark.parametrize(
    "text", ["reward:", "reward:kept:0", "reward:[1]", 'reward:{"raw": 7}', 'reward:{"raw": "["}', "models:x", "x"]
)
def test_an_old_address_is_read_as_nothing(settings, text):
    assert read(settings, Draft(view=text), "ann") == View()
