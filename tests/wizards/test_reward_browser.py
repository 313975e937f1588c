"""The reward panel in a real browser: built, tried on one's own rows, tried with the model, open to everybody."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from tests.barriers import no_barrier

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=window.hacked=1> ${window.hacked=2}"
SIZES = ((1440, 900, "light"), (390, 844, "dark"))


def test_a_reward_is_built_and_tried_without_code(browser, shared_studio, tmp_path):
    file = tmp_path / "tasks.jsonl"
    rows = [{"prompt": f"What is {n} plus {n}? {HOSTILE}", "reference_answer": str(2 * n)} for n in range(60)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce") as context:
        page = context.new_page()
        faults = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{shared_studio.url}/?step=data&method=rl")
        page.wait_for_selector("body[data-opened]")
        page.set_input_files("input[type=file]", str(file))
        page.get_by_role("button", name="plit and continue").first.click(timeout=60_000)
        expect(page.get_by_role("heading", name="What makes an answer good?")).to_be_visible(timeout=60_000)
        expect(page.get_by_text("suggested", exact=True)).to_be_visible()

        answer = page.get_by_label("An answer to try").first
        answer.fill(f"{HOSTILE} It is 0.")
        answer.blur()
        expect(page.locator(".tf-reward-result").first).to_contain_text("1.00")
        page.get_by_role("button", name="Add another part").click()
        expect(page.get_by_text("Part 2: an answer is good when")).to_be_visible()
        page.get_by_label("At most").fill("a few")
        page.get_by_label("At most").blur()
        expect(page.locator(".tf-reward .tf-field-problem").first).to_contain_text("whole number")
        page.get_by_label("At most").fill("9")
        page.get_by_label("At most").blur()
        expect(page.locator(".tf-reward .tf-field-problem")).to_have_count(0)

        page.get_by_role("button", name="Try it with the model").click()
        expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=120_000)
        expect(page.get_by_text("Scores of 20 answers")).to_be_visible()
        page.get_by_text("Question 1:").click()
        there = page.url
        assert page.evaluate("window.hacked") is None
        assert faults == []
    for width, height, scheme in SIZES:
        size = {"width": width, "height": height}
        with browser.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce") as context:
            page = context.new_page()
            page.goto(there)
            page.wait_for_selector("body[data-opened]")
            expect(page.get_by_text("Scores of 20 answers")).to_be_visible(timeout=60_000)
            no_barrier(page, f"{width} {scheme}")
            page.locator(".tf-reward").screenshot(path=str(tmp_path / f"reward-{width}-{scheme}.png"))
