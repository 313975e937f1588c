"""The first three steps in a real browser: nothing leaves the machine, nothing hostile runs, nobody is kept out."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.barriers import no_barrier

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# Patient enough for a machine that trains at the same time.
expect.set_options(timeout=20_000)

HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=2} {{window.hacked=3}} `${window.hacked=4}`"


@pytest.fixture
def open_page(browser, shared_studio):
    """Opens a page in a context of its own and notes every request that it makes and every mistake it reports."""
    contexts = []

    def make(path="/", *, studio=shared_studio, width=1440, height=900, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce")
        contexts.append(context)
        page = context.new_page()
        page.requests = []
        page.faults = []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(studio.url + path)
        page.wait_for_selector("body[data-opened]")
        return page

    yield make
    for context in contexts:
        context.close()


def _stays_home(page, studio):
    strangers = [url for url in page.requests if not url.startswith((studio.url, "data:", "blob:"))]
    assert strangers == []
    assert page.requests


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_of_the_first_steps_is_open_to_everybody(open_page, shared_studio, tmp_path, width, height, scheme):
    page = open_page(width=width, height=height, scheme=scheme)
    assert page.evaluate("document.documentElement.classList.contains('dark')") == (scheme == "dark")
    no_barrier(page, "goal")
    page.get_by_role("button", name="Not sure").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ten of your rows")
    no_barrier(page, "second question")
    page.get_by_text("I know which way of training I want").click()
    no_barrier(page, "second question, with all ways open")
    page.get_by_role("button", name="Change the answer").first.click()
    page.get_by_role("button", name="Yes, I have examples").click()
    expect(page.get_by_role("heading", name="Add your examples")).to_be_visible()
    no_barrier(page, "empty data")

    file = tmp_path / "mine.csv"
    rows = "".join(f'"Question {i}, {"word " * 60}","Answer {i}"\n' for i in range(60))
    file.write_text(f"Question,Reply\n{rows},lonely\n", encoding="utf-8")
    page.set_input_files("input[type=file]", str(file))
    expect(page.get_by_text("Please confirm")).to_be_visible()
    no_barrier(page, "checked data")
    for tab in ("Findings", "What the model sees"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
        no_barrier(page, tab)
    page.get_by_role("button", name="split and continue").click()
    page.get_by_label("learning rate").fill("fast")
    if width > 1000:
        # Whoever presses at once starts nothing with the rate that stood there before.
        page.get_by_role("button", name="Start training").click()
    else:
        page.get_by_label("learning rate").blur()
    expect(page.get_by_role("textbox", name="learning rate")).to_have_attribute("aria-invalid", "true")
    page.get_by_text(re.compile(r"The other \d+ settings")).click()
    no_barrier(page, "settings with a problem")
    expect(page.get_by_role("button", name="Correct 1 setting first")).to_be_visible()
    _stays_home(page, shared_studio)
    assert page.faults == []


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")], ids=["desk", "phone"])
def test_the_page_of_models_is_open_to_everybody_and_leads_into_a_run(open_page, shared_studio, width, scheme):
    page = open_page("/models?find=:zzz", width=width, scheme=scheme)
    expect(page.get_by_text("No model fits")).to_be_visible()
    no_barrier(page, "nothing found")
    page.get_by_role("button", name="Show all models").click()
    expect(page.get_by_role("link", name="Use this model: nano")).to_be_visible()
    page.get_by_label("Kind", exact=True).select_option("base")
    expect(page).to_have_url(re.compile("find=base"))
    expect(page.get_by_role("link", name="Use this model: nano")).to_have_count(0)
    page.get_by_label("Kind", exact=True).select_option("")
    expect(page.get_by_role("link", name="Use this model: nano")).to_be_visible()
    page.get_by_text("Add or correct a price").click()
    no_barrier(page, "all models")
    page.get_by_role("link", name="Use this model: nano").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("good example answers")
    _stays_home(page, shared_studio)
    assert page.faults == []


def test_a_hostile_file_is_only_text(open_page, shared_studio, tmp_path):
    page = open_page("/?step=data&method=sl&answer=examples:yes")
    file = tmp_path / "a${window.hacked=5}.csv"
    quoted = HOSTILE.replace('"', '""')
    rows = "".join(f'"{quoted} {n}","{quoted}","{quoted}"\n' for n in range(5))
    file.write_text(f'prompt,completion,"{quoted}"\n{rows}', encoding="utf-8")
    page.set_input_files("input[type=file]", str(file))
    expect(page.get_by_role("tab", name="Rows")).to_be_visible()
    for tab in ("Findings", "What the model sees", "Rows"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("cell").nth(1)).to_contain_text("${window.hacked=2}")
    assert page.evaluate("window.hacked") is None
    assert page.locator(".tf-step img").count() == 0
    _stays_home(page, shared_studio)


def test_the_browser_itself_refuses_other_machines(open_page):
    page = open_page()
    page.evaluate("new Image().src = 'http://127.0.0.2:9/x.png'")
    refused = page.evaluate("fetch('http://127.0.0.2:9/x').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    blocked = page.evaluate(
        """new Promise((done) => {
          document.addEventListener('securitypolicyviolation', (event) => done(event.blockedURI));
          new Image().src = 'http://127.0.0.2:9/y.png';
          setTimeout(() => done('not blocked'), 2000);
        })"""
    )
    assert "127.0.0.2" in blocked


def test_what_was_typed_is_heard_before_the_press_that_leaves_the_field(open_page):
    """Also when the card is drawn again under the hands, and when the network brings the press first."""
    page = open_page()
    page.get_by_role("button", name="Yes, I have examples").click()
    page.get_by_role("button", name="Pig Latin").click()
    page.get_by_role("button", name="Split and continue").click()
    rate = page.get_by_role("textbox", name="learning rate")
    again = "() => { const f = document.getElementById('tf-set-learning_rate'); f.outerHTML = f.outerHTML; }"
    rate.focus()
    page.evaluate(again)
    expect(rate).to_be_focused()
    page.keyboard.insert_text("fa")
    page.evaluate(again)
    expect(rate).to_be_focused()
    page.keyboard.insert_text("st")
    expect(rate).to_have_value(re.compile("fast"))
    # The answer to what was typed here is drawn while somebody is in the next field already.
    page.evaluate("document.getElementById('tf-set-epochs').focus()")
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("textbox", name="epochs")).to_be_focused()
    rate.fill("0.002")
    page.keyboard.press("Tab")
    expect(rate).not_to_have_attribute("aria-invalid", "true")
    rate.fill("fast")
    first = []
    page.route("**/queue/join*", lambda route: route.continue_() if first else first.append(route))
    page.get_by_role("button", name="Start training").click()
    page.wait_for_timeout(500)
    first[0].continue_()
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("heading", level=1)).to_contain_text("How thorough")


def test_the_address_holds_everything(open_page, new_studio):
    studio = new_studio()
    studio.start()
    page = open_page(studio=studio)
    page.get_by_role("button", name="Yes, I have examples").click()
    page.get_by_role("button", name="Pig Latin").click()
    page.get_by_role("button", name="Split and continue").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text("How thorough")
    expect(heading).to_be_focused()
    page.get_by_role("button", name="Thorough").click()
    expect(page.get_by_role("button", name="Thorough")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("epochs").fill("2")
    page.get_by_label("epochs").blur()
    expect(page.get_by_text("changed").first).to_be_visible()
    there = page.url
    assert "set=epochs" in there
    assert "dial=thorough" in there
    page.go_back()
    expect(heading).to_contain_text("Your data is ready")
    page.go_forward()
    expect(heading).to_contain_text("How thorough")
    page.reload()
    expect(page.get_by_text("changed").first).to_be_visible()

    # A studio that is killed and started again goes on where the page is.
    studio.kill()
    studio.start()
    page.wait_for_function("fetch('/look/logo/mark.svg').then((answer) => answer.ok)")
    page.goto(there)
    expect(page.get_by_text("changed").first).to_be_visible()
    page.get_by_role("button", name="Back to everything recommended").click()
    expect(page.get_by_text("changed")).to_have_count(0)
    expect(page.get_by_role("button", name="Standard")).to_have_attribute("aria-pressed", "true")


def test_the_theme_is_kept_and_the_keyboard_is_enough(open_page):
    page = open_page()
    page.get_by_role("button", name="Dark theme").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.reload()
    page.wait_for_selector("body[data-opened]")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    expect(page.get_by_role("button", name="Dark theme")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("button", name="Yes, I have examples").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Add your examples")).to_be_visible()
    page.get_by_role("button", name="Pig Latin").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("tab", name="Rows")).to_be_visible()
    page.get_by_role("tab", name="Rows").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Findings")).to_be_focused()
    expect(page.get_by_role("tab", name="Findings")).to_have_attribute("aria-selected", "true")


def test_what_the_framework_says_is_said_in_our_words(open_page, shared_studio):
    page = open_page()

    def said(text):
        page.evaluate(
            """(text) => {
              const node = Object.assign(document.createElement('p'), { textContent: text, className: 'probe' });
              node.dataset.testid = 'toast-text';
              document.body.append(node);
            }""",
            text,
        )
        expect(page.locator(".probe").last).to_have_attribute("data-ours", "yes")
        return page.locator(".probe").last.text_content()

    lost = "Connection to the server was lost. Attempting reconnection..."
    assert "Start the studio again" in said(lost)
    assert "the disk may be full" in said("HTTP 500: Internal Server Error")
    assert "larger than 1 MB, the limit" in said("File size exceeds: exceed the maximum allowed size of 1.0 mb")
    assert said("Something else") == "Something else"
    page.goto(f"{shared_studio.url}/rate/")
    expect(page.get_by_role("heading", level=1)).to_contain_text("does not lead to a rating")
    assert "What you rated is saved" in said(lost)
    assert "Runs" not in said(lost)


def test_a_chosen_column_can_be_chosen_again(open_page, tmp_path):
    page = open_page("/?step=data&method=sl&answer=examples:yes")
    file = tmp_path / "spalten.csv"
    rows = "".join(f'"Wie grüße ich Nummer {i}?";"Schöne Grüße, {i}"\r\n' for i in range(30))
    file.write_bytes(f'"Hier";"Dort"\r\n{rows}'.encode("cp1252"))
    page.set_input_files("input[type=file]", str(file))
    expect(page.get_by_text("Please choose")).to_be_visible()
    page.get_by_label("What you ask").select_option("Dort")
    expect(page).to_have_url(re.compile("map=prompt"))
    page.get_by_label("The good answer").select_option("Hier")
    expect(page.get_by_text("Chosen by you")).to_be_visible()
    page.get_by_label("What you ask").select_option("Hier")
    expect(page.get_by_label("The good answer")).to_have_value("Dort")
    page.get_by_role("tab", name="What the model sees").click()
    expect(page.get_by_text("Wie grüße ich Nummer 0?").last).to_be_visible()
