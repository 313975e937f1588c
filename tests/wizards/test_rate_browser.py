"""From Compare through the rating page to the verdict in a real browser, over stored answers."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from studio.compare import blind
from tests.barriers import no_barrier
from tests.wizards.world import MEASURES, World

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Patient enough for a machine that trains at the same time.
expect.set_options(timeout=20_000)

HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=2} {{window.hacked=3}} `${window.hacked=4}`"


@pytest.fixture(scope="module")
def world(shared_studio):
    """Rows in the home folder of a studio that is being served: another process, the same store."""
    made = World(shared_studio.home)
    yield made
    made.close()


@pytest.fixture
def open_page(browser, shared_studio):
    contexts = []

    def make(path, *, width=1440, height=900, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", has_touch=width < 500
        )
        contexts.append(context)
        page = context.new_page()
        page.requests, page.faults = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(shared_studio.url + path)
        return page

    yield make
    for context in contexts:
        context.close()


def at(page, position):
    page.wait_for_selector(f'[data-screen="pair"][data-position="{position}"]')


def answered(world, pairs=3, text="answer"):
    run = world.run("completed", step=40, total=40)
    answers = [(f"{text} base-{i}", f"{text} other-{i}") for i in range(pairs)]
    return run, world.comparison(run, answers, measures=MEASURES)


def choices(world, session):
    return [(one.position, one.choice) for one in world.store.ratings.votes(session)]


def test_from_compare_to_the_verdict(world, open_page, shared_studio):
    run, _ = answered(world)
    page = open_page(f"/?run={run.id}&step=compare")
    page.get_by_role("button", name="Start rating").click()
    page.wait_for_url(re.compile(r"/rate/#.{30}"))
    at(page, 0)
    token = page.url.partition("#")[2]
    assert not any(token in url for url in page.requests)
    page.go_back()
    page.get_by_role("link", name="Start rating").click()
    for position, key in enumerate(("ArrowLeft", "ArrowRight", "ArrowUp")):
        at(page, position)
        page.keyboard.press(key)
    page.get_by_role("button", name="I cannot tell").click()
    page.get_by_role("link", name="See the verdict").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stopped, not settled")
    expect(page.get_by_text("This is one person's preference.")).to_be_visible()
    expect(page.get_by_text("other-1")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Votes (JSON)").click()
    assert download.value.suggested_filename.endswith(".json")
    assert [url for url in page.requests if not url.startswith((shared_studio.url, "data:", "blob:"))] == []
    assert page.faults == []


def test_double_clicks_held_keys_reloads_and_second_thoughts(world, open_page):
    _, comparison = answered(world, 6)
    session = world.session(comparison)
    page = open_page(f"/rate/#{world.seat(session)}")
    at(page, 0)
    page.get_by_role("button", name="B is better").dblclick()
    at(page, 1)
    page.keyboard.down("ArrowUp")
    page.keyboard.down("ArrowUp")
    page.keyboard.down("ArrowUp")
    page.keyboard.up("ArrowUp")
    at(page, 2)
    page.wait_for_timeout(600)
    assert choices(world, session) == [(0, "right"), (1, "tie")]
    page.reload()
    at(page, 2)
    page.keyboard.press("Backspace")
    at(page, 1)
    expect(page.get_by_role("button", name="Equally good")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowDown")
    at(page, 2)
    page.get_by_role("button", name="Keys").click()
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(600)
    assert choices(world, session) == [(0, "right"), (1, "tie"), (1, "both_bad")]


def test_a_press_that_found_no_studio_is_said_and_counts_once_it_is_back(world, open_page):
    _, comparison = answered(world, 3)
    session = world.session(comparison)
    page = open_page(f"/rate/#{world.seat(session)}")
    at(page, 0)
    page.context.set_offline(True)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("No answer from the studio yet.")).to_be_visible(timeout=15_000)
    assert choices(world, session) == []
    page.context.set_offline(False)
    at(page, 1)
    expect(page.get_by_text("No answer from the studio yet.")).to_be_hidden()
    assert choices(world, session) == [(0, "left")]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")], ids=["desk", "phone"])
def test_hostile_and_long_answers_stay_text_on_every_screen(world, open_page, shared_studio, width, scheme):
    run = world.run("completed", name=HOSTILE, step=40, total=40)
    comparison = world.comparison(
        run,
        [(HOSTILE, "long " * 4_000), ("مرحبا 🙂\n```py\n" + "y" * 300 + "\n```", "x" * 20_000)],
        prompts=[HOSTILE, "question " * 900],
    )
    session = world.session(comparison)
    page = open_page(f"/rate/#{world.seat(session)}", width=width, height=844, scheme=scheme)
    for position in (0, 1):
        at(page, position)
        no_barrier(page, f"pair {position}")
        boxes = [page.locator(f".rt-{side}").bounding_box() for side in ("left", "right")]
        assert abs(boxes[0]["height"] - boxes[1]["height"]) < 1
        assert abs(boxes[0]["width"] - boxes[1]["width"]) < 1
        expect(page.get_by_role("button", name="A is better")).to_be_in_viewport()
        page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="A is tuned").wait_for()
    no_barrier(page, "last question")
    page.get_by_role("button", name="I cannot tell").click()
    page.get_by_text("Which answer was which").click()
    no_barrier(page, "reveal")
    for step in ("compare", "verdict", "train"):
        page.goto(f"{shared_studio.url}/?run={run.id}&step={step}")
        page.wait_for_selector("[data-step-title]")
        page.wait_for_timeout(1_500)
        no_barrier(page, step)
    page.goto(f"{shared_studio.url}/runs")
    page.get_by_role("heading", name="Runs").wait_for()
    no_barrier(page, "runs")
    assert page.evaluate("window.hacked") is None
    assert page.faults == []


def test_on_a_phone_the_switch_shows_either_answer_whole(world, open_page):
    _, comparison = answered(world, 2, text="word " * 600)
    page = open_page(f"/rate/#{world.seat(world.session(comparison))}", width=390, height=844)
    at(page, 0)
    left, right = page.locator(".rt-left"), page.locator(".rt-right")
    expect(left).to_be_in_viewport()
    expect(right).to_be_in_viewport()
    page.get_by_role("button", name="B", exact=True).click()
    expect(left).to_be_hidden()
    assert right.evaluate("node => node.scrollHeight <= node.clientHeight + 1")
    page.get_by_role("button", name="Both", exact=True).click()
    expect(left).to_be_visible()


def test_a_forged_link_is_said_to_lead_nowhere(open_page):
    page = open_page("/rate#nonsense")
    expect(page.get_by_role("heading", level=1)).to_have_text("This link does not lead to a rating.")
    no_barrier(page, "forged link")


def asked_more(world, pairs=2, **options):
    _, comparison = answered(world, pairs)
    given = blind.SessionOptions(criteria=("Tone", "Facts"), comments=True, **options)
    return blind.open_session(world.store, comparison, "local", options=given).id


def test_a_rater_needs_no_mouse(world, open_page):
    session = asked_more(world, min_seconds=2)
    page = open_page(f"/rate/#{world.seat(session)}")
    at(page, 0)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("Read both first.")).to_be_visible()
    for keys in (("1", "ArrowRight"), ("2", "ArrowUp"), ("2", "ArrowLeft"), ("1", "ArrowRight"), ("1", "ArrowLeft")):
        for key in keys:
            page.keyboard.press(key)
    page.keyboard.press("c")
    page.keyboard.type("A says 1 2 3, c and s.")
    # What is half said outlives a reload.
    page.reload()
    at(page, 0)
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("A says 1 2 3, c and s.")
    expect(page.get_by_role("button", name="Facts: A")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("c")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    expect(page.get_by_role("button", name="B is better")).not_to_have_attribute("aria-disabled", "true")
    page.keyboard.press("ArrowRight")
    at(page, 1)
    expect(page.get_by_role("textbox", name="Comment")).to_have_value("")
    # The other way: no single keys, every button by Tab and Enter.
    page.get_by_role("button", name="Keys").focus()
    page.keyboard.press("Enter")
    page.get_by_role("region", name="Answer B").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Tone: B")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="A is better")).not_to_have_attribute("aria-disabled", "true")
    for _ in range(5):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="A is better")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="I cannot tell").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    said = [
        (one.choice, json.loads(one.criteria_json), one.comment, one.seconds > 1.5)
        for one in world.store.ratings.votes(session)
    ]
    assert said == [
        ("right", {"Facts": "left", "Tone": "left"}, "A says 1 2 3, c and s.", True),
        ("left", {"Tone": "right"}, "", True),
    ]
    assert page.faults == []


def test_on_a_phone_everything_asked_can_be_said_and_read_aloud(world, open_page):
    session = asked_more(world)
    page = open_page(f"/rate/#{world.seat(session)}", width=390, height=844, scheme="dark")
    at(page, 0)
    expect(page.get_by_role("main").first).to_match_aria_snapshot(
        """
        - heading "Which answer is better?" [level=1]
        - region "Prompt"
        - region "Answer A"
        - region "Answer B"
        - region "Also, if you can say":
          - group "Tone":
            - 'button "Tone: A"'
            - 'button "Tone: Equal"'
            - 'button "Tone: B"'
          - group "Facts"
          - textbox "Comment"
        - region "Your answer":
          - button "A is better"
          - button "B is better"
          - button "Equally good"
          - button "Both bad"
          - button "Skip"
        """
    )
    no_barrier(page, "questions beside")
    page.get_by_role("button", name="Facts: Equal").tap()
    field = page.get_by_role("textbox", name="Comment")
    field.fill("تعليق 🙂 " * 40)
    expect(field).to_be_in_viewport()
    box, bar = field.bounding_box(), page.locator(".rt-bar").bounding_box()
    assert box["y"] + box["height"] <= bar["y"], "the buttons cover what is being typed"
    page.get_by_role("button", name="A is better", exact=True).tap()
    at(page, 1)
    blind.extend(world.store, session, "local", days=3)
    blind.pause(world.store, session, "local")
    page.get_by_role("button", name="Both bad").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("This session is paused.")
    no_barrier(page, "paused")
    blind.resume(world.store, session, "local")
    page.reload()
    at(page, 1)
    page.get_by_role("button", name="Both bad").tap()
    page.get_by_role("button", name="I cannot tell").wait_for()
    no_barrier(page, "last question")
    page.wait_for_timeout(600)  # a second tap at once is taken for a double one
    page.get_by_role("button", name="I cannot tell").tap()
    expect(page.get_by_role("heading", level=1)).to_have_text("Thank you")
    assert choices(world, session) == [(0, "left"), (1, "both_bad")]
    assert page.faults == []


def test_pairs_that_are_added_are_said_where_somebody_was_done(world, open_page):
    _, comparison = answered(world, 4)
    session = blind.open_session(world.store, comparison, "local", prompts=2).id
    page = open_page(f"/rate/#{world.seat(session)}")
    for position in (0, 1):
        at(page, position)
        expect(page.get_by_text("The session has been extended")).to_be_hidden()
        page.keyboard.press("s")
    page.get_by_role("button", name="I cannot tell").wait_for()
    blind.extend(world.store, session, "local", prompts=2)
    page.get_by_role("button", name="I cannot tell").click()
    at(page, 2)
    expect(page.get_by_text("The session has been extended: there are 4 pairs now.")).to_be_visible()
    page.keyboard.press("s")
    at(page, 3)
    expect(page.get_by_text("The session has been extended")).to_be_hidden()
