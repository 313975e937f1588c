"""A learning rate found in a real browser: from Settings to three tiny runs, and with the best rate back to Settings."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.barriers import no_barrier

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(420)]

# Patient enough for a machine that trains at the same time.
PATIENCE = 240_000
expect.set_options(timeout=60_000)


def test_three_short_runs_find_a_rate_and_it_stands_on_the_settings(browser, shared_studio):
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light", reduced_motion="reduce")
    context.set_default_timeout(60_000)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(shared_studio.url + "/?step=data&method=sl&answer=examples:yes")
    page.wait_for_selector("body[data-opened]")
    page.get_by_role("button", name="Pig Latin").click()
    page.get_by_role("button", name="Split and continue").click(timeout=PATIENCE)
    page.get_by_role("link", name="Find the learning rate").click(timeout=PATIENCE)
    steps = page.get_by_label("Steps of each run")
    steps.fill("2", timeout=PATIENCE)
    start = page.get_by_role("button", name="Start the three runs")
    start.click()
    # What was typed a moment ago was not on screen with its price yet.
    expect(page.get_by_text("Look at the price, then start.")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("3 trials at most. Free")).to_be_visible()
    start.dblclick()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible(timeout=PATIENCE)
    expect(page).to_have_url(re.compile(r"/sweeps\?sweep=swp-"))
    page.reload()
    # The first of them is enough to go on with; the others end with this studio.
    expect(page.get_by_role("heading", name=re.compile("^Best (so far|of these): trial"))).to_be_visible(timeout=PATIENCE)
    there = page.url
    for width, scheme in ((1440, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        no_barrier(page, f"the sweep at {width} px, {scheme}")
    page.get_by_role("button", name="Use these settings").click()
    expect(page).to_have_url(re.compile("step=settings"), timeout=PATIENCE)
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=PATIENCE)
    page.goto(shared_studio.url + "/sweeps")
    link = page.get_by_role("link", name="learning rate")
    expect(link).to_have_count(1, timeout=PATIENCE)
    assert there.endswith(link.get_attribute("href"))
    no_barrier(page, "the list of sweeps")
    assert faults == []
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_a_sweep_is_put_together_without_barriers(browser, shared_studio, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce")
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(shared_studio.url + "/?step=data&method=sl&answer=examples:yes")
    page.wait_for_selector("body[data-opened]")
    page.get_by_role("button", name="Pig Latin").click()
    page.get_by_role("button", name="Split and continue").click(timeout=PATIENCE)
    page.get_by_role("link", name="Try several settings").click(timeout=PATIENCE)
    rates = page.get_by_label("Values of the learning rate")
    rates.fill("0.002, fast", timeout=PATIENCE)
    # Another press loses nothing that is typed.
    page.get_by_role("button", name="Examples per step").click()
    expect(page.get_by_label("Values of the batch size")).to_be_visible(timeout=PATIENCE)
    expect(rates).to_have_value("0.002, fast")
    expect(rates).to_have_attribute("aria-invalid", "true")
    no_barrier(page, "a sweep with a problem")
    rates.fill("0.002, 0.004")
    rates.press("Tab")
    expect(page.get_by_role("button", name="Start 6 runs")).to_be_visible(timeout=PATIENCE)
    page.reload()
    expect(page.get_by_role("button", name="Start 6 runs")).to_be_visible(timeout=PATIENCE)
    no_barrier(page, "a sweep that can start")
    context.close()
