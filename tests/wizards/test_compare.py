from __future__ import annotations

import gradio as gr
import pytest

from studio.compare import blind
from studio.compare.generate import PromptSource
from studio.errors import RunError
from studio.store import ArmRow
from tests.wizards.world import MEASURES, World
from wizards import compare, judging, measures_table, verdict
from wizards.draft import Draft
from wizards.shell import Once, Said

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(24)]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def page_of(world: World, **draft: str) -> str:
    return str(compare.html(compare.screen(world.ctx, world.visit(**draft, step="compare"))))


def test_before_anything_it_says_what_will_happen(world):
    page = page_of(world, run=world.run("completed").id)
    assert "Let both models answer" in page
    assert "without knowing which is which" in page


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_without_a_result_there_is_nothing_to_compare(world, status):
    page = page_of(world, run=world.run(status).id)
    assert "Let both models answer" not in page
    assert "Go to the training" in page


def test_answering_is_counted(world):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS, status="running")
    world.store.jobs.update(comparison, done=23, total=48, phase="answering")
    page = page_of(world, run=run.id, comparison=comparison)
    assert "23 of 48 answers" in page
    assert "data-tick" in page
    assert "24 held out" in page
    assert "Start rating" not in page


@pytest.mark.parametrize(
    ("source", "words"),
    [(PromptSource("list", ("<mine>.csv",)), "&lt;mine&gt;.csv"), (PromptSource("pack", ("general",)), "forgotten: general")],
)
def test_only_prompts_that_were_held_out_are_called_so(world, source, words):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS, source=source)
    session = blind.open_session(world.store, comparison, "local").id
    seen = Draft(run=run.id, comparison=comparison, session=session)
    told = verdict._compared_on(verdict.screen(world.store, seen, "local"))
    pages = (page_of(world, run=run.id, comparison=comparison), told)
    for page in map(str, pages):
        assert words in page
        assert "held out at" not in page
        assert "held out from" not in page


def test_answers_that_stopped_early_say_why_and_go_on(world):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS, status="failed")
    world.store.jobs.move(comparison, "failed", reason="The engine was killed.")
    page = page_of(world, run=run.id)
    assert "The engine was killed." in page
    assert "Ask again" in page


def test_the_terms_are_the_same_for_both_and_measures_stay_folded(world):
    run = world.run("completed")
    world.comparison(run, [*PAIRS, ("same", "same")], measures=MEASURES)
    page = page_of(world, run=run.id)
    assert "24 pairs of answers" in page
    assert "always the most likely answer; at most 256 tokens" in page
    assert "1 prompt got the same answer twice" in page
    assert page.index("<summary>What a program can count") < page.index("Exact match")
    assert "<details open" not in page
    assert "Rate first" in page


def test_identical_answers_everywhere_leave_nothing_to_rate(world):
    run = world.run("completed")
    world.comparison(run, [("same", "same")] * 5)
    page = page_of(world, run=run.id)
    assert "Both models say the same" in page
    assert "Start rating" not in page


def test_one_press_opens_the_session_and_a_seat_and_leads_to_the_rating_page(world):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS)
    once = compare.pressed(world.ctx, world.visit(run=run.id, step="compare"), Said("rate"))
    assert isinstance(once, Once)
    assert once.leave.startswith("/rate/#")
    token = once.leave.partition("#")[2]
    assert len(token) > 30
    assert token not in once.draft.to_query()
    assert token not in once.back
    assert once.draft.comparison == comparison
    assert "step=verdict" in once.back
    page = page_of(world, run=run.id)
    assert token not in page
    assert "You" in page
    assert "0 of 24" in page


def test_a_second_guest_rates_in_the_same_session(world):
    run = world.run("completed")
    world.comparison(run, PAIRS)
    visit = world.visit(run=run.id, step="compare")
    first = compare.pressed(world.ctx, visit, Said("invite"))
    second = compare.pressed(world.ctx, visit, Said("invite"))
    assert isinstance(first, Once)
    assert isinstance(second, Once)
    assert first.draft.session == second.draft.session
    assert first.leave == ""
    assert "/rate/#" in str(first.said)
    assert "Guest 2" in str(second.said)
    assert str(first.said).partition("#")[2][:30] not in first.draft.to_query()


def test_rating_before_the_answers_are_there_is_refused(world):
    run = world.run("completed")
    with pytest.raises(RunError):
        compare.pressed(world.ctx, world.visit(run=run.id, step="compare"), Said("rate"))


def test_a_closed_session_is_followed_by_a_new_one(world):
    run = world.run("completed")
    session = world.session(world.comparison(run, PAIRS))
    visit = world.visit(run=run.id, step="compare")
    judging.close(world.ctx, visit)
    once = judging.take_seat(world.ctx, visit)
    assert once.draft.session != session


def test_answers_are_stopped_and_the_rest_leads_on(world):
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS, status="running")
    visit = world.visit(run=run.id, step="compare")
    compare.pressed(world.ctx, visit, Said("stop"))
    assert world.supervisor.asked == [("stop", comparison)]
    draft = compare.pressed(world.ctx, visit, Said("verdict"))
    assert isinstance(draft, Draft)
    assert (draft.step, draft.comparison) == ("verdict", comparison)


def test_the_page_is_the_same_however_the_votes_fall(tmp_path):
    pages: list[str] = []
    for outcome in ("tuned", "base"):
        world = World(tmp_path / outcome)
        run = world.run("completed")
        session = world.session(world.comparison(run, PAIRS))
        world.rate(world.seat(session), [outcome] * 6, finish=False)
        pages.append(page_of(world, run=run.id).replace(session, "session"))
        world.close()
    assert "6 of 24" in pages[0]
    assert pages[0] == pages[1]


def test_hostile_text_in_the_reason_is_text(world):
    run = world.run("completed", name="<b>${1}</b>")
    comparison = world.comparison(run, PAIRS, status="failed")
    world.store.jobs.move(comparison, "failed", reason="<script>${alert(1)}</script>")
    page = page_of(world, run=run.id)
    assert "<script>" not in page
    assert "${" not in page


def test_an_unknown_run_is_said_to_be_unknown(world):
    with gr.Blocks():
        parts = compare.build(world.ctx)
    assert "not in this studio" in str(parts.show(world.visit(run="run-zzz", step="compare"))[0])
    assert "not in this studio" in str(parts.show(world.visit(run=world.run(owner="bob").id, step="compare"))[0])


def test_somebody_elses_comparison_in_the_address_is_not_shown(world):
    mine = world.run("completed")
    other = world.comparison(world.run("completed", owner="bob"), PAIRS)
    assert "Let both models answer" in page_of(world, run=mine.id, comparison=other)


# ---- the table of measures ----


def test_measures_have_units_intervals_and_a_reading():
    table = str(measures_table.table(MEASURES))
    assert "3 %" in table
    assert "+63 (+47 to +80)" in table
    assert "−2.79 (−2.95 to −2.61)" in table  # noqa: RUF001
    assert table.count("tuned is better") == 4
    assert "no better side" in table


def test_a_difference_that_may_be_nothing_is_not_called_better():
    unsure = MEASURES[2].__class__("exact", "Exact match", 0.4, 0.5, -0.1, 0.3, 10, "higher", "share")
    assert "no clear difference" in str(measures_table.reading(unsure))
    worse = MEASURES[2].__class__("loss", "Loss", 1.0, 2.0, 0.5, 1.5, 10, "lower", "nats per token")
    assert "base is better" in str(measures_table.reading(worse))
    alike = MEASURES[2].__class__("exact", "Exact match", 0.0, 1.0, None, None, 10, "higher", "share")
    assert "the same on every prompt" in measures_table.difference(alike)
    assert "tuned is better" in str(measures_table.reading(alike))


def test_every_side_has_its_own_progress_and_one_that_has_not_begun_is_at_zero(world):
    run = world.run("completed")
    arms = [
        ArmRow("", name, 0, "", kind, name) for name, kind in (("base", "base"), ("tuned", "run"), ("step-4", "checkpoint"))
    ]
    comparison = world.comparison(run, [("a", "b", "c")] * 2, status="running", arms=arms)
    assert world.store.comparisons.answered(comparison) == {"base": 2, "tuned": 2, "step-4": 2}
    world.store.jobs.update(comparison, total=12)
    page = page_of(world, run=run.id, comparison=comparison)
    assert "All 3 are answering" in page
    assert page.count(">2 of 4<") == 3
    empty = world.comparison(run, [], status="running", arms=arms)
    assert world.store.comparisons.answered(empty) == {"base": 0, "tuned": 0, "step-4": 0}


def test_fewer_prompts_than_a_verdict_needs_are_said_at_once(world):
    run = world.run("completed")
    world.comparison(run, PAIRS[:6])
    assert "these are 6, so this will be a trial" in page_of(world, run=run.id)
    assert "trial" not in page_of(world, run=world_with_pairs(world))


def world_with_pairs(world: World) -> str:
    run = world.run("completed")
    world.comparison(run, PAIRS)
    return run.id


def test_several_arms_against_one_reference_stand_side_by_side():
    worse = MEASURES[2].__class__("exact", "Exact match", 0.4, 0.1, -0.5, -0.1, 10, "higher", "share")
    table = str(measures_table.overview([("One", MEASURES), ("<Two>", (worse,))], "nano"))
    assert table.index("One") < table.index("&lt;Two&gt;")
    assert ">better<" in table
    assert ">worse<" in table
    assert "not measured" in table
    assert "−30" in table  # noqa: RUF001
