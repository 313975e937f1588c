"""The promise, for real: from the landing page to a verdict, with a studio that is killed on the way.

Screenshots are kept under ``test-results/journey`` in the order in which a person would see the pages.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from studio import samples
from studio.compare import outcome
from studio.compare.generate import measures
from studio.compare.measures import exact_match
from studio.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = ROOT / "test-results" / "journey"
OWNER = "local"


class Walk:
    """A person at the page: counts clicks, keeps pictures, notes every request."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0
        self.pictures = 0
        self.requests: list[str] = []
        self.faults: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def click(self, name: str, seconds: float = 30.0) -> None:
        target = self.page.get_by_role("button", name=name).or_(self.page.get_by_role("link", name=name)).first
        expect(target).to_be_visible(timeout=seconds * 1000)
        target.click()
        self.clicks += 1

    def picture(self, name: str) -> None:
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.pictures += 1
        # Let the page settle: a picture of a half-drawn page teaches nothing.
        self.page.wait_for_timeout(400)
        self.page.screenshot(path=PICTURES / f"{self.pictures}-{name}.png", full_page=True)


def wanted_answers() -> dict[str, str]:
    with samples.sample("support_tickets").file.open(encoding="utf-8", newline="") as file:
        return {" ".join(row["prompt"].split()): row["completion"] for row in csv.DictReader(file)}


def judge(page: Page, wanted: dict[str, str]) -> str:
    """What an honest rater who knows the right answer says about the pair on screen."""
    prompt = " ".join(page.locator(".rt-prompt .rt-text").last.inner_text().split())
    right = wanted[prompt]
    a, b = (page.get_by_role("region", name=f"Answer {side}").locator(".rt-text").inner_text() for side in "AB")
    good_a, good_b = exact_match(a, right), exact_match(b, right)
    if good_a != good_b:
        return "A is better" if good_a else "B is better"
    return "Equally good" if good_a else "Both bad"


def test_from_a_sample_to_a_verdict(browser, new_studio):
    studio = new_studio()
    studio.start()
    context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", color_scheme="light")
    began = time.monotonic()
    walk = Walk(context.new_page())
    page = walk.page
    page.goto(studio.url)
    expect(page.get_by_role("button", name="Yes, I have examples")).to_be_visible()
    walk.picture("goal")

    walk.click("Yes, I have examples")
    expect(page.get_by_role("button", name="Support tickets")).to_be_visible()
    walk.picture("data-empty")
    walk.click("Support tickets")
    expect(page.get_by_role("button", name="Split and continue")).to_be_visible(timeout=30_000)
    walk.picture("data")
    walk.click("Split and continue")
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=30_000)
    walk.picture("settings")
    walk.click("Start training")
    page.wait_for_url(re.compile(r"run=run-"), timeout=30_000)
    run_id = re.findall(r"run=(run-[0-9a-z]+)", page.url)[0]
    address = page.url

    # The tab is closed, the studio is killed and started again: the run does not notice, and its address brings it back.
    store = Store(studio.home / "studio.sqlite3")
    wait_for(lambda: store.jobs.get(run_id).done >= 3, 120, studio)
    page.close()
    studio.kill()
    before = store.jobs.get(run_id).done
    wait_for(lambda: store.jobs.get(run_id).done > before or store.jobs.get(run_id).ended, 60, studio)
    studio.start()
    walk.page = page = context.new_page()
    page.on("request", lambda request: walk.requests.append(request.url))
    page.goto(address)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    walk.picture("train")

    walk.click("Compare with the base model", 400)
    walk.picture("compare-working")
    expect(page.get_by_role("button", name="Start rating")).to_be_visible(timeout=180_000)
    walk.picture("compare")
    walk.click("Start rating")
    page.wait_for_url(re.compile(r"/rate"), timeout=30_000)
    rate_all(walk, wanted_answers(), store)
    page.get_by_role("button", name="I cannot tell").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    walk.picture("revealed")
    walk.click("See the verdict")
    expect(page.get_by_role("heading", name="What this rests on")).to_be_visible(timeout=30_000)
    walk.picture("verdict")
    minutes = (time.monotonic() - began) / 60

    assert walk.clicks <= 12
    assert not walk.faults
    assert all(url.startswith((studio.url, "data:", "blob:")) for url in walk.requests), "the page asked another machine"
    shown_equals_recomputed(page, store, run_id, studio.home)
    the_tuned_model_is_better(store, run_id)
    print(f"\njourney: {walk.clicks} clicks, {minutes:.1f} minutes in all, pictures in {PICTURES}")
    store.close()
    context.close()


def rate_all(walk: Walk, wanted: dict[str, str], store: Store) -> None:
    page = walk.page
    progress = page.get_by_role("progressbar", name="Pairs rated")
    expect(progress).to_be_visible(timeout=30_000)
    total = int(progress.get_attribute("aria-valuemax") or 0)
    walk.picture("rate")
    for number in range(total):
        expect(page.get_by_text(f"Pair {number + 1} of {total}")).to_be_visible(timeout=15_000)
        if number == total // 2:
            page.reload()
            expect(page.get_by_text(f"Pair {number + 1} of {total}")).to_be_visible(timeout=15_000)
        page.get_by_role("button", name=judge(page, wanted)).click()
    expect(page.get_by_role("button", name="I cannot tell")).to_be_visible(timeout=15_000)
    walk.picture("last-question")


def shown_equals_recomputed(page: Page, store: Store, run_id: str, home: Path) -> None:
    """The page, the terminal and the stored votes give the same verdict."""
    comparison = store.comparisons.of_run(run_id, OWNER)[0]
    session = store.ratings.sessions(comparison.id, OWNER)[0]
    with page.expect_download() as download:
        page.get_by_role("link", name="Votes (JSON)").click()
    saved = home / "votes.json"
    download.value.save_as(saved)
    command = [sys.executable, "-m", "studio", "verdict", str(saved), "--json"]
    again = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    stored = outcome.verdict_of(store, session.id, OWNER)
    assert (again["win_rate"], again["low"], again["high"], again["evidence"]) == (
        *(stored.win_rate, stored.low, stored.high, stored.evidence),
    )
    expect(page.get_by_text(again["sentence"])).to_be_visible()
    assert again["verdict"] == "tuned"
    assert again["n_items"] >= 20


def the_tuned_model_is_better(store: Store, run_id: str) -> None:
    """What `tuning-fork compare RUN` prints: loss down by 40 % or more, exact match from 10 % or less to 60 % or more."""
    comparison = store.comparisons.of_run(run_id, OWNER)[0]
    found = {one.name: one for one in measures(store, comparison.id, OWNER)}
    print(f"\nloss {found['loss'].base:.3f} -> {found['loss'].tuned:.3f}; ", end="")
    print(f"exact {found['exact'].base:.0%} -> {found['exact'].tuned:.0%} of {found['exact'].n}")
    assert found["loss"].tuned <= 0.6 * found["loss"].base
    assert found["exact"].base <= 0.10
    assert found["exact"].tuned >= 0.60


def wait_for(true, seconds: float, studio) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s; the server said:\n{studio.log[-3000:]}"
        time.sleep(0.3)
