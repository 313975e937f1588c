"""The playground in a real browser with a real engine: asked, answered, judged and reloaded, by keyboard, for everybody."""

from __future__ import annotations

import psutil
import pytest
from playwright.sync_api import Page, expect

from studio.models import get
from studio.recipe import DataFacts, recommend
from studio.settings import Settings
from studio.store import Store, new_id
from tests.barriers import no_barrier

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=2}"
SIZES = ((1440, 900, "light"), (390, 844, "dark"))


@pytest.fixture(scope="module")
def run(shared_studio) -> str:
    """A finished run whose weights were thrown away: its base model answers, and it itself cannot."""
    store = Store(Settings(home=shared_studio.home).database)
    dataset = new_id("dat")
    store.datasets.add(dataset, owner="local", name="mine", rows=60, fingerprint="f", manifest_json="{}")
    recipe = recommend(DataFacts(40, 10, 10, 80.0, 80.0, 200.0), get("nano"), "sl").recipe
    row = store.runs.add(
        owner="local", name=f"Tickets {HOSTILE}", dataset_id=dataset, method="sl", model="nano", recipe_json=recipe.to_json()
    )
    store.runs.update(row.id, sampler_path="tinker://gone:train:0/sampler_weights/final")
    store.jobs.move(row.id, "completed")
    store.close()
    return row.id


def answering(home: str) -> list[psutil.Process]:
    """The processes that answer in this home."""
    found = psutil.process_iter(["cmdline"])
    lines = [(one, " ".join(one.info["cmdline"] or [])) for one in found]
    return [one for one, line in lines if "studio.playground.job" in line and home in line]


def settled(page: Page) -> None:
    expect(page.locator(".tf-try-waits")).to_have_count(0, timeout=120_000)


def test_base_answers_a_model_that_is_gone_says_why_and_all_of_it_stays(browser, shared_studio, run, tmp_path):
    with browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce") as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{shared_studio.url}/runs")
        page.get_by_text("Talk to it").click()
        question = page.get_by_label("Your question")
        question.fill(f"What is a library? {HOSTILE}")
        question.press("Control+Enter")
        expect(page.locator(".tf-try-waits")).to_be_visible()
        expect(question).to_have_value("")
        question.fill("What I type meanwhile")
        settled(page)
        expect(question).to_have_value("What I type meanwhile")
        expect(page.locator(".tf-try-answer .tf-notice.is-bad")).to_have_count(1)
        expect(page.locator(".tf-try-answer").first.get_by_role("button", name="Good")).to_be_visible()
        (first,) = answering(str(shared_studio.home))

        page.get_by_label("Who answers").select_option("base")
        page.get_by_role("button", name="Ask", exact=True).first.click()
        expect(page.locator(".tf-try-talk")).to_have_count(2)
        settled(page)
        # The model is there already: nobody waits for an engine a second time.
        assert [one.pid for one in answering(str(shared_studio.home))] == [first.pid]

        newest = page.locator(".tf-try-talk").first
        newest.get_by_role("button", name="Good").focus()
        page.keyboard.press("Enter")
        expect(newest.get_by_role("button", name="Good")).to_have_attribute("aria-pressed", "true")
        expect(newest.get_by_role("button", name="Good")).to_be_focused()
        newest.get_by_text("Write a better answer").click()
        newest.get_by_label("A better answer would be").fill(f"A house of books. {HOSTILE}")
        newest.get_by_role("button", name="Keep this answer").click()
        expect(page.locator(".tf-try-worth")).to_contain_text("2 more")
        newest.get_by_text("Ask further").click()
        newest.get_by_label("Your next question").fill("And in one word?")
        newest.get_by_label("Your next question").press("Control+Enter")
        expect(newest.locator(".tf-try-exchange")).to_have_count(2)
        settled(page)
        assert page.evaluate("window.hacked") is None
        assert faults == []
    for width, height, scheme in SIZES:
        size = {"width": width, "height": height}
        with browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
            page = context.new_page()
            page.goto(f"{shared_studio.url}/try?run={run}")
            expect(page.get_by_text("A house of books.").first).to_be_visible()
            page.get_by_text("Terms:").click()
            page.get_by_text("Write a better answer").last.click()
            no_barrier(page, f"{width} {scheme}")
            page.screenshot(path=str(tmp_path / f"try-{width}-{scheme}.png"), full_page=True)
