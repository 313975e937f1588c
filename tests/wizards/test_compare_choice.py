"""Who is compared and on what, chosen on the page: what is offered, what a press asks for, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import data
from studio.compare import blind
from studio.compare.generate import Plan
from studio.compare.looked import has_looked
from studio.compare.packs import packs
from studio.compare.prompts import questions
from studio.compare.scores import measured
from studio.errors import DataError, RunError, SettingError
from studio.store import AnswerRow, PromptRow, RunRow
from tests.compare.test_arms import ROWS, a_run, with_checkpoints
from tests.wizards.world import OWNER, World
from wizards import compare, compare_asked, compare_choose
from wizards.compare_asked import Asked, Kept
from wizards.draft import Draft
from wizards.shell import Once, Said


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[tuple[World, RunRow, RunRow]]:
    """A finished run with two steps on the way, and another one."""
    world = World(tmp_path_factory.mktemp("home"))
    run = a_run(world.settings, world.store, name="Mine")
    with_checkpoints(world.settings, run, 4, 8)
    yield world, run, a_run(world.settings, world.store, name="<b>Theirs</b>")
    world.close()


def press(home, name: str, value: str = "", **view: str) -> Draft:
    world, run, _ = home
    done = compare.pressed(world.ctx, world.visit(run=run.id, step="compare", **view), Said(name, value))
    return done.draft if isinstance(done, Once) else done


def chooser(home, asked: Asked) -> compare_choose.Screen:
    world, run, _ = home
    visit = world.visit(run=run.id, step="compare", view=asked.to_view())
    now = compare.screen(world.ctx, visit).choosing
    assert now is not None
    return now


def drawn(now: compare_choose.Screen) -> str:
    return str(compare_choose.who(now)) + str(compare_choose.what(now)) + str(compare_choose.last(now))


def answer(world: World, comparison: str, texts: dict[str, str] | None = None) -> None:
    """Let everybody answer as if they had: with the reference, or as ``texts`` says by the name of the arm."""
    row = world.store.comparisons.get(comparison, OWNER)
    plan = Plan.of(row)
    asked = questions(world.settings, plan)
    rows: list[AnswerRow] = []
    for one in asked:
        prompt = json.dumps([asdict(turn) for turn in one.messages])
        for arm in plan.arms:
            said = (texts or {}).get(arm.name, f"{arm.name} says {one.position}")
            said = said.replace("REFERENCE", one.reference) if one.position % 3 else said
            told = (comparison, one.prompt_id, arm.name, OWNER, one.position, prompt, one.reference)
            rows.append(AnswerRow(*told, said, 8, "stop", 1.0, 4))
    world.store.comparisons.add_answers(rows)
    known = [PromptRow(comparison, one.prompt_id, OWNER, one.position) for one in asked]
    world.store.comparisons.add_prompts(known)
    names = [arm.name for arm in plan.arms]
    found = measured(world.store.comparisons.answers(comparison), arms=names, asked_of=asked)
    world.store.comparisons.update(comparison, measures_json=json.dumps([asdict(one) for one in found]))
    world.store.jobs.update(comparison, done=len(rows), total=len(rows))
    world.store.jobs.move(comparison, "completed")


# ---- the address ----

DIGEST = "0123456789abcdef" * 4
asks = st.builds(
    Asked,
    checkpoints=st.lists(st.integers(0, 10**6), unique=True, max_size=3).map(tuple),
    against=st.lists(st.from_regex(r"(run-)?[a-z0-9]{1,12}", fullmatch=True), unique=True, max_size=3).map(tuple),
    files=st.lists(st.builds(Kept, st.just(DIGEST), st.text(min_size=1, max_size=24)), max_size=1).map(tuple),
    on=st.sampled_from(["held_out", "list", "pack"]),
    packs=st.lists(st.sampled_from([one.name for one in packs()]), unique=True).map(tuple),
    listed=st.none() | st.builds(Kept, st.just(DIGEST), st.text(min_size=1, max_size=24), st.integers(0, 9_999)),
    learned=st.sampled_from(["refuse", "leave_out", "stamp"]),
    bring=st.sampled_from(["", "answers"]),
)


@settings(max_examples=40)
@given(asks)
def test_what_is_put_together_survives_in_the_address(asked):
    draft = replace(Draft(run="run-1"), step="compare", view=asked.to_view())
    assert Asked.from_view(Draft.from_query(draft.to_query()).view) == asked


@pytest.mark.parametrize("view", ["", "rows=1", "ask=2", "&&&", "ask", "all:3"])
def test_a_view_of_something_else_asks_for_nothing(view):
    assert Asked.from_view(view) is None


def test_what_an_address_cannot_mean_is_left_out():
    view = f"ask=1&step=x&file=../../etc/passwd&list={DIGEST[:-1]}+0+a&on=web&pack=mine&learned=yes&bring=me&step=4&step=4"
    assert Asked.from_view(view) == Asked(checkpoints=(4,))


def test_more_than_an_address_holds_is_refused_in_words():
    files = tuple(Kept(f"{at:064x}", "名前" * 12) for at in range(6))
    with pytest.raises(SettingError, match="one address"):
        Asked(files=files).to_view()


# ---- what is offered ----


def test_steps_of_the_run_and_other_finished_runs_are_offered_and_nothing_else(home):
    world, _, theirs = home
    world.run("running", name="Unfinished", sampler=True)
    world.run("completed", name="Bobs", owner="bob")
    now = chooser(home, Asked())
    assert [one.value for one in now.steps] == ["step:4", "step:8"]
    assert [one.value for one in now.runs] == [f"with:{theirs.id}"]
    page = drawn(now)
    assert "&lt;b&gt;Theirs" in page
    assert "<b>Theirs" not in page
    assert f"The {now.held_out} rows" in page
    assert "Unfinished" not in page


def test_what_cannot_be_read_is_said_and_not_hidden(home):
    world, _, _ = home
    bare = world.run("completed", name="Without data")
    visit = world.visit(run=bare.id, step="compare", view=Asked().to_view())
    now = compare.screen(world.ctx, visit).choosing
    assert now is not None
    assert now.trouble is not None
    page = drawn(now)
    assert str(compare_choose.widgets.problem(now.trouble)) in page
    assert "Choose the prompts first" in page


def test_an_unfinished_run_has_nothing_to_choose(home):
    world, _, _ = home
    run = world.run("running")
    now = compare.screen(world.ctx, world.visit(run=run.id, step="compare", view=Asked().to_view()))
    assert now.choosing is None


def test_the_numbers_of_the_comparison_are_said_before_it_begins(home):
    now = chooser(home, Asked(checkpoints=(4, 8)))
    page = drawn(now)
    assert "4 of at most 8; nano is the reference" in page
    assert f"{4 * now.held_out} to be made" in page
    assert "60 : 1 and not 20 : 1" in page
    assert "Let all 4 answer" in page
    assert "If somebody was trained on a prompt" not in page


def test_nobody_more_can_be_added_than_people_can_rate(home):
    full = Asked(checkpoints=(4,), against=tuple(f"run-{at}" for at in range(5)))
    assert "disabled" in str(compare_choose.who(chooser(home, full)))
    assert "disabled" not in str(compare_choose.who(chooser(home, Asked(checkpoints=(4,)))))


# ---- presses ----


def test_presses_put_the_comparison_together_and_begin_it(home):
    world, run, theirs = home
    draft = press(home, "ask")
    for name, value in (("side", "step:8"), ("side", f"with:{theirs.id}"), ("side", "step:4"), ("side", "step:4")):
        draft = press(home, name, value, view=draft.view)
    draft = press(home, "begin", view=draft.view)
    plan = Plan.of(world.store.comparisons.get(draft.comparison, OWNER))
    assert [(one.kind, one.step) for one in plan.arms] == [("base", None), ("run", None), ("checkpoint", 8), ("run", None)]
    assert draft.view == ""
    assert world.supervisor.asked[-1] == ("submit", draft.comparison)
    again = press(home, "begin", view=Asked(checkpoints=(8,), against=(theirs.id,)).to_view())
    assert again.comparison == draft.comparison
    page = str(compare.html(compare.screen(world.ctx, world.visit(run=run.id, comparison=draft.comparison, step="compare"))))
    assert "All 4 are answering" in page


def test_packs_are_chosen_one_by_one_and_none_is_refused(home):
    world = home[0]
    draft = press(home, "on", "pack", view=Asked().to_view())
    assert "Choose the prompts first" in drawn(chooser(home, Asked(on="pack")))
    with pytest.raises(DataError, match="No pack"):
        press(home, "begin", view=draft.view)
    draft = press(home, "pack", "arithmetic", view=draft.view)
    draft = press(home, "pack", "nonsense", view=draft.view)
    draft = press(home, "begin", view=draft.view)
    plan = Plan.of(world.store.comparisons.get(draft.comparison, OWNER))
    assert (plan.source.kind, plan.source.names) == ("pack", ("arithmetic",))


def test_pasted_prompts_are_a_list_and_empty_ones_are_refused(home):
    world = home[0]
    with pytest.raises(DataError, match="no prompt yet"):
        press(home, "compare-paste", json.dumps({"text": " \n"}), view=Asked(on="list").to_view())
    draft = press(home, "compare-paste", json.dumps({"text": "One?\nTwo?\nOne?"}), view=Asked(on="list").to_view())
    asked = Asked.from_view(draft.view)
    assert asked is not None
    assert "2 prompts" in str(compare_choose.what(chooser(home, asked)))
    draft = press(home, "begin", view=draft.view)
    assert Plan.of(world.store.comparisons.get(draft.comparison, OWNER)).source.kind == "list"


def test_a_prompt_that_was_trained_on_is_refused_left_out_or_stamped_as_the_person_says(home):
    world, run, _ = home
    row = data.rows(data.load(world.settings.datasets / run.dataset_id).train.path)[0]
    text = f"{row.prompt}\nSomething new?"
    draft = press(home, "compare-paste", json.dumps({"text": text}), view=Asked(on="list").to_view())
    assert "If somebody was trained on a prompt" in drawn(chooser(home, Asked(on="list")))
    with pytest.raises(DataError, match="memorised"):
        press(home, "begin", view=draft.view)
    for choice, prompts in (("leave_out", 1), ("stamp", 2)):
        asked = press(home, "learned", choice, view=draft.view)
        begun = press(home, "begin", view=asked.view)
        plan = Plan.of(world.store.comparisons.get(begun.comparison, OWNER))
        found = questions(world.settings, plan)
        assert len(found) == prompts
        assert [bool(one.stamp) for one in found].count(True) == (choice == "stamp")


def test_a_file_of_answers_takes_part_on_what_it_answers(home, tmp_path: Path):
    world, run, _ = home
    file = tmp_path / "other system.csv"
    lines = "".join(f'"{prompt}","said otherwise"\n' for prompt, _, _ in ROWS)
    file.write_text(f"prompt,answer\n{lines}", encoding="utf-8")
    asked = Asked(bring="answers")
    visit = world.visit(run=run.id, step="compare", view=asked.to_view())
    draft = compare_asked.brought(world.ctx, visit, asked, file, "answers")
    now = Asked.from_view(draft.view)
    assert now is not None
    assert "60 answers from a file" in str(compare_choose.who(chooser(home, now)))
    begun = press(home, "begin", view=draft.view)
    plan = Plan.of(world.store.comparisons.get(begun.comparison, OWNER))
    assert plan.arms[-1].kind == "imported"
    without = press(home, "side", f"file:{now.files[0].digest}", view=draft.view)
    assert Asked.from_view(without.view) == replace(now, files=())


def test_a_file_with_no_answers_is_refused_in_words(home, tmp_path: Path):
    world, run, _ = home
    file = tmp_path / "prompts.csv"
    file.write_text("prompt\nOne?\nTwo?\n", encoding="utf-8")
    visit = world.visit(run=run.id, step="compare", view=Asked().to_view())
    with pytest.raises(DataError):
        compare_asked.brought(world.ctx, visit, Asked(), file, "answers")


def test_a_comparison_of_several_that_stopped_goes_on_as_it_was(home):
    world, run, _ = home
    draft = press(home, "begin", view=Asked(checkpoints=(4,)).to_view())
    world.store.jobs.move(draft.comparison, "failed", reason="Killed.")
    begun = press(home, "again", comparison=draft.comparison)
    assert begun.comparison == draft.comparison
    assert world.supervisor.asked[-1] == ("resume", draft.comparison)
    page = str(compare.html(compare.screen(world.ctx, world.visit(run=run.id, comparison=draft.comparison, step="compare"))))
    assert "Ask again" in page


# ---- when all have answered ----


@pytest.fixture(scope="module")
def answered(home) -> str:
    """A comparison of four with all its answers."""
    world, _, theirs = home
    draft = press(home, "begin", view=Asked(checkpoints=(4, 8), against=(theirs.id,), learned="stamp").to_view())
    answer(world, draft.comparison, {"tuned": "REFERENCE", "step-8": "I am ChatGPT <|im_end|>"})
    return draft.comparison


def page_of(home, comparison: str, **more: str) -> str:
    world, run, _ = home
    return str(compare.html(compare.screen(world.ctx, world.visit(run=run.id, comparison=comparison, step="compare", **more))))


def test_several_sides_are_shown_each_with_its_measures_ties_and_template(home, answered):
    page = page_of(home, answered)
    for words in ("from 5 sides", "The same for all 5", "Mine, step 4", "name a model", "held special tokens"):
        assert words in page
    assert page.index("<summary>What a program can count") < page.index("Exact match")
    assert "Each difference (95 %) stands alone" in page
    total = page.index("giveaways")
    assert page[total : total + 300].count("Mine") == 0
    assert "Other comparisons of this run" in page


def test_rows_are_shown_to_nobody_who_still_rates(home):
    world, _, _ = home
    draft = press(home, "begin", view=Asked(checkpoints=(8,)).to_view())
    answer(world, draft.comparison)
    session = blind.open_session(world.store, draft.comparison, OWNER).id
    world.seat(session)
    seen = {"comparison": draft.comparison, "session": session}
    page = page_of(home, draft.comparison, session=session, view="rows=1")
    assert "Which rows changed most" not in page
    assert "step-8 says" not in page
    with pytest.raises(RunError, match="still rate"):
        press(home, "rows", **seen)
    assert not has_looked(world.store, draft.comparison, OWNER)
    blind.close(world.store, session, OWNER)


def test_the_same_answers_are_not_shown_from_beside_while_they_are_rated(home, tmp_path):
    world = World(tmp_path / "home")
    run = a_run(world.settings, world.store)
    with_checkpoints(world.settings, run, 4)
    here = (world, run, run)
    rated, beside = (press(here, "begin", view=asked.to_view()).comparison for asked in (Asked(), Asked(checkpoints=(4,))))
    answer(world, rated)
    answer(world, beside)
    session = blind.open_session(world.store, rated, OWNER).id
    token = world.seat(session)
    with pytest.raises(RunError, match="still rate"):
        press(here, "rows", comparison=beside)
    assert "step-4 says" not in page_of(here, beside, view="rows=1")
    world.rate(token, ["tuned"] * 60)
    press(here, "rows", comparison=beside)
    assert has_looked(world.store, rated, OWNER)
    again = blind.open_session(world.store, beside, OWNER).id
    with pytest.raises(RunError, match="not be blind"):
        blind.own_seat(world.store, again, OWNER)
    world.close()


def test_a_look_is_kept_sorts_both_ways_and_leaves_no_own_seat(home, answered):
    world, _, _ = home
    before = page_of(home, answered, view="rows=1&measure=exact&arm=tuned")
    assert "Look, and do not rate myself" in before
    assert "ChatGPT" not in before
    draft = press(home, "rows", comparison=answered)
    assert has_looked(world.store, answered, OWNER)
    draft = press(home, "rows-measure", "exact", comparison=answered, view=draft.view)
    page = page_of(home, answered, view=draft.view)
    assert page.index("Better by most") < page.index("Worse by most")
    assert "Exact match: </span><strong>0 % → 100 %" in page
    assert "did not change" in page
    other = press(home, "rows-measure", "length", comparison=answered, view=draft.view)
    other = press(home, "rows-arm", "step-8", comparison=answered, view=other.view)
    assert "I am ChatGPT" in page_of(home, answered, view=other.view)
    assert "Start rating" not in page
    assert "you have no seat here" in page
    with pytest.raises(RunError, match="not be blind"):
        press(home, "rate", comparison=answered)
    invited = press(home, "invite", comparison=answered)
    assert invited.session


def test_an_arm_or_measure_that_there_is_none_of_is_the_first(home, answered):
    page = page_of(home, answered, view="rows=1&arm=nobody&measure=nothing")
    assert "Exact match" in page


def test_rows_whose_data_is_gone_are_said_to_be_gone(home):
    world, _, _ = home
    bare = world.run("completed", name="No data any more")
    comparison = world.comparison(bare, [("one", "two")])
    world.store.jobs.tell(comparison, "Something else.")
    assert not has_looked(world.store, comparison, OWNER)
    visit = world.visit(run=bare.id, comparison=comparison, step="compare")
    draft = compare.pressed(world.ctx, visit, Said("rows"))
    assert isinstance(draft, Draft)
    now = compare.screen(world.ctx, replace(visit, draft=draft))
    assert now.rows.trouble is not None
    assert str(compare_choose.widgets.esc(now.rows.trouble.what)) in str(compare.html(now))
