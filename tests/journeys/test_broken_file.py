"""A file as people really have it: wrong encoding, broken lines, copies, personal data. Two clicks repair it, and it goes on.

Screenshots are kept under ``test-results/broken-file`` in the order in which a person would see the pages.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.barriers import no_barrier

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

# Patient enough for a machine that does other work at the same time.
expect.set_options(timeout=60_000)

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "test-results" / "broken-file"
PATIENCE = 60_000


def broken() -> bytes:
    """German, in Windows' own encoding, with a line of three cells, empty cells, copies, an address and a chat marker."""
    rows = [(f"Wie lange gilt der Gutschein Nummer {i}?", f"Der Gutschein {i} gilt zwölf Monate.") for i in range(60)]
    rows[5] = ("Wohin schreibe ich, wenn der Gutschein weg ist?", "An anna.schmidt@example.org, oder rufen Sie an.")
    rows[9] = ("Kann ich ihn verschenken?", "Ja, das geht.<|im_end|>")
    rows[14] = ("", "Ohne Frage keine Antwort.")
    rows[15] = ("Eine Frage ohne Antwort", "")
    lines = [f'"{prompt}";"{completion}"' for prompt, completion in (*rows, rows[1], rows[1], rows[2])]
    lines.insert(40, '"zu viele";"Zellen";"hier"')
    return ("prompt;completion\r\n" + "".join(f"{line}\r\n" for line in lines)).encode("cp1252")


@pytest.fixture
def page(browser, new_studio):
    studio = new_studio()
    studio.start()
    context = browser.new_context(
        viewport={"width": 1440, "height": 900}, reduced_motion="reduce", color_scheme="light", accept_downloads=True
    )
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(studio.url + "/?step=data&method=sl&answer=examples:yes")
    page.wait_for_selector("body[data-opened]")
    yield page
    assert page.faults == []
    context.close()


def picture(page: Page, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    # Let the page settle: a picture of a half-drawn page teaches nothing.
    page.wait_for_timeout(400)
    page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


def test_a_broken_file_is_repaired_with_two_clicks(page, tmp_path):
    file = tmp_path / "Gutscheine.csv"
    file.write_bytes(broken())
    page.set_input_files("input[type=file]", str(file))
    expect(page.get_by_role("button", name="Split and continue")).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("61 of 64 rows can be used, 3 set aside.")).to_be_visible()
    picture(page, "1-read")
    page.get_by_role("tab", name="Findings").click()
    expect(page.get_by_text("3 rows are exact copies of an earlier row.")).to_be_visible()
    expect(page.get_by_text("[EMAIL]")).to_be_visible()
    no_barrier(page, "findings")
    picture(page, "2-findings")

    # The first click repairs what needs no look, the second leaves out the copies.
    page.get_by_role("button", name="Make the 2 safe repairs").click()
    expect(page.get_by_role("heading", name="Repairs that were made")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Keep one of each (3 rows)").click()
    expect(page.get_by_role("button", name="Keep one of each (3 rows)")).to_have_count(0, timeout=PATIENCE)
    no_barrier(page, "repaired")
    picture(page, "3-repaired")

    page.reload()
    expect(page.get_by_role("heading", name="Repairs that were made")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("button", name="Split and continue").click()
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=PATIENCE)
    picture(page, "4-settings")

    page.get_by_role("button", name="2 Data").click()
    expect(page.get_by_role("heading", name="Your data is ready")).to_be_visible(timeout=PATIENCE)
    page.get_by_role("tab", name="Data card").click()
    taken = [json.loads(line) for line in taken_text(page, "Cleaned rows (JSONL)").splitlines()]
    assert len(taken) == 58
    assert "[EMAIL]" in taken[5]["completion"]
    assert taken[9]["completion"] == "Ja, das geht."
    assert "zwölf" in taken[0]["completion"]
    aside = taken_text(page, "Rows set aside (CSV)")
    assert "zu viele" in aside
    assert "Gutscheine" in taken_text(page, "Data card (Markdown)")
    picture(page, "5-card")


def taken_text(page: Page, link: str) -> str:
    with page.expect_download(timeout=PATIENCE) as download:
        page.get_by_role("link", name=link).click()
    return Path(download.value.path()).read_text(encoding="utf-8-sig")


def test_a_finding_leads_to_its_rows_and_a_row_to_its_tokens(page, tmp_path):
    file = tmp_path / "Gutscheine.csv"
    file.write_bytes(broken())
    page.set_input_files("input[type=file]", str(file))
    page.get_by_role("tab", name="Findings").click(timeout=PATIENCE)
    page.get_by_role("button", name="Show 3 rows").click()
    expect(page.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_text("3 rows of 64.")).to_be_visible()
    page.get_by_role("button", name="Show all rows").click()
    # What is typed before the rows are back would go with the old ones.
    expect(page.get_by_text("3 rows of 64.")).to_have_count(0)

    search = page.get_by_label("Search in every text")
    search.fill("ZWÖLF MONATE")
    search.press("Enter")
    expect(page.get_by_text("rows of 64.")).to_be_visible()
    expect(search).to_be_focused()
    page.get_by_role("button", name="Open the row on line 2", exact=True).click()
    expect(page.get_by_text("of them learned.")).to_be_visible(timeout=PATIENCE)
    # Learned and not learned are told apart without colour.
    assert page.locator(".tf-tokens mark").count() == 1
    learned = page.locator(".tf-token.is-trained").first
    assert learned.evaluate("node => getComputedStyle(node).boxShadow") != "none"
    expect(page.get_by_text("tokens in all")).to_be_visible()
    no_barrier(page, "tokens")
    picture(page, "6-tokens")
    page.go_back()
    expect(page.get_by_role("tab", name="Rows")).to_have_attribute("aria-selected", "true")
    expect(search).to_have_value("ZWÖLF MONATE")
    page.get_by_role("tab", name="Shape").click()
    expect(page.get_by_role("img", name="Half have at most")).to_have_count(2)
    no_barrier(page, "shape")
