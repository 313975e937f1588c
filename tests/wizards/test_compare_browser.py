"""Compare in a real browser: who answers and on what, the session's options, and the rows that changed, for everybody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from studio.compare.sessions import SessionPlan
from tests.barriers import no_barrier
from tests.compare.test_arms import a_run, with_checkpoints
from tests.wizards.test_compare_choice import answer
from tests.wizards.world import OWNER, World
from wizards import compare
from wizards.draft import Draft
from wizards.shell import Said

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(shared_studio):
    made = World(shared_studio.home)
    yield made
    made.close()


def test_from_the_choice_of_sides_to_the_rows_that_changed(browser, shared_studio, world, tmp_path):
    run = a_run(world.settings, world.store, name="Mine <b>${window.hacked=1}</b>")
    with_checkpoints(world.settings, run, 4)
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", reduced_motion="reduce")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{shared_studio.url}/?run={run.id}&step=compare")
    page.get_by_role("button", name="Compare more").click()
    page.get_by_role("button", name="step 4").click()
    expect(page.get_by_role("button", name="step 4")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Add answers from a file").click()
    file = tmp_path / "other.csv"
    file.write_text("prompt,answer\n" + "".join(f"New {i}?,It says {i}\n" for i in range(24)), encoding="utf-8")
    page.set_input_files("#tf-compare-answers input[type=file]", str(file))
    expect(page.get_by_text("24 answers from a file")).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="A list of your own").click()
    page.get_by_label("Your prompts").fill("\n".join(f"New {i}?" for i in range(24)))
    page.get_by_role("button", name="Take these prompts").click()
    expect(page.get_by_text("24 prompts.")).to_be_visible(timeout=20_000)
    no_barrier(page, "choice")
    page.reload()
    expect(page.get_by_text("4 of at most 8")).to_be_visible()
    expect(page.get_by_role("button", name="Let all 4 answer")).to_be_enabled()
    # Pressing it would start an engine for a model that was never trained; what the press does is tested without one.
    asked = Draft.from_query(page.url.partition("?")[2])
    begun = compare.pressed(world.ctx, world.visit(run=run.id, step="compare", view=asked.view), Said("begin"))
    assert isinstance(begun, Draft)
    comparison = begun.comparison
    world.store.jobs.move(comparison, "stopped")
    page.goto(f"{shared_studio.url}/?run={run.id}&step=compare")
    expect(page.get_by_role("heading", name="Not all answers are there")).to_be_visible()
    no_barrier(page, "not all answers")

    answer(world, comparison)
    page.reload()
    expect(page.get_by_role("heading", name="Now you judge")).to_be_visible()
    page.get_by_role("button", name="Session options").click()
    page.get_by_label("People who will rate").fill("4")
    page.get_by_label("Ratings for each prompt").fill("2")
    page.get_by_label("Prompts to rate").fill("twenty")
    page.get_by_role("button", name="Open this session").click()
    expect(page.get_by_role("alert")).to_contain_text("Prompts to rate")
    expect(page.get_by_label("People who will rate")).to_have_value("4")
    no_barrier(page, "options")
    page.get_by_role("button", name="Look, and do not rate myself").click()
    page.get_by_label("Sort by").select_option("length")
    expect(page.get_by_role("heading", name="Largest increase")).to_be_visible()
    no_barrier(page, "rows")
    expect(page.get_by_role("button", name="Start rating")).to_have_count(0)
    page.get_by_role("button", name="Session options").click()
    page.get_by_label("Further questions").fill("Correct")
    page.get_by_role("button", name="Open this session").click()
    expect(page.get_by_role("heading", name="The session is open")).to_be_visible()
    (session,) = world.store.ratings.sessions(comparison, OWNER)
    assert SessionPlan.of(session).options.criteria == ("Correct",)
    assert page.evaluate("window.hacked === undefined")
    assert faults == []
    context.close()
