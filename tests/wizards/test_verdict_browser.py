"""The verdict page in a real browser while people rate: nobody is kept out of it, and nothing that is typed is lost."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from studio.compare import blind
from studio.compare.blind import SessionOptions
from studio.store import ArmRow
from tests.barriers import no_barrier
from tests.wizards.world import MEASURES, World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Patient enough for a machine that trains at the same time.
expect.set_options(timeout=20_000)

PAIRS = [(f"A short answer, number {i}", f"A much longer and better answer, number {i}") for i in range(30)]


@pytest.fixture(scope="module")
def world(shared_studio):
    made = World(shared_studio.home)
    yield made
    made.close()


@pytest.fixture
def open_page(browser, shared_studio):
    contexts = []

    def make(path, *, width=1440, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce")
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(shared_studio.url + path)
        page.wait_for_selector("body[data-opened]")
        return page

    yield make
    for context in contexts:
        context.close()


def open_folds(page):
    page.evaluate("document.querySelectorAll('#tf-step-verdict details:not([open]) > summary').forEach((each) => each.click())")


def live(world):
    """A session with two people, one of whom still rates."""
    run = world.run("completed")
    comparison = world.comparison(run, PAIRS, measures=MEASURES)
    session = blind.open_session(world.store, comparison, "local", options=SessionOptions(prompts=24)).id
    world.rate(world.seat(session, "Ana"), ["tuned"] * 18 + ["base"] * 6)
    token = world.seat(session, "Ben")
    world.rate(token, ["tuned"] * 21, finish=False)
    return f"/?run={run.id}&step=verdict&comparison={comparison}&session={session}", session, token


def several(world):
    run = world.run("completed")
    arms = [
        ArmRow("", "base", 0, "", "base", "nano", None, "", "{}"),
        ArmRow("", "step-20", 1, "", "checkpoint", "Step 20", run.id, "tinker://a", "{}"),
        ArmRow("", "step-40", 2, "", "checkpoint", "Step 40 of a run with a long name, as people give them", run.id, "b", "{}"),
    ]
    comparison = world.comparison(run, [(f"b {i}", f"s {i}", f"t {i}") for i in range(20)], arms=arms)
    session = world.session(comparison)
    token = world.seat(session, "Ana")
    for deal in world.store.ratings.deals(world.store.ratings.rater_of(blind.fingerprint(token)).id):
        blind.vote(world.store, token, deal.position, "right" if deal.left_arm == "base" else "left")
    return f"/?run={run.id}&step=verdict&comparison={comparison}&session={session}"


def test_the_page_of_a_live_session_hasno_barrier(world, open_page):
    one, many = live(world)[0], several(world)
    for path, width, scheme in ((one, 390, "light"), (many, 1440, "dark")):
        page = open_page(path, width=width, scheme=scheme)
        expect(page.get_by_role("heading", name="The session")).to_be_visible()
        open_folds(page)
        no_barrier(page, f"{path} at {width}, {scheme}")
        assert page.faults == []


def test_a_vote_that_comes_in_moves_the_verdict_and_not_what_is_being_typed(world, open_page):
    path, session, token = live(world)
    page = open_page(path)
    expect(page.get_by_text("21 of 24").first).to_be_visible()
    page.get_by_text("Invite by name, for some days").click()
    page.get_by_role("textbox", name="Name").fill("Dr. Kim")
    page.keyboard.press("End")
    blind.vote(world.store, token, 21, "left")
    expect(page.get_by_text("22 of 24").first).to_be_visible(timeout=15_000)
    expect(page.get_by_role("textbox", name="Name")).to_have_value("Dr. Kim")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Send this link to one person (Dr. Kim).")).to_be_visible()
    assert re.match(r"http://127.*/rate/#.{30}", page.locator("#tf-invite").inner_text())
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Go on")).to_be_visible()
    assert blind.state(world.store, session, "local").status == "paused"
    page.get_by_role("button", name="Copy this paragraph").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#tf-paragraph").text_content()
    assert page.faults == []
