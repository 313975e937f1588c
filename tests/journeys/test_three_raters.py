"""Three people rate blind, each in a browser of their own; the owner reads the verdict, checks it, and trains on the votes.

The answers are stored beforehand, so that the verdict is known: what is tried here is the way of the people.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from studio.compare import outcome
from tests.wizards.world import MEASURES, OWNER, World

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parent.parent.parent
#: Patient enough for a machine that does other work at the same time.
PATIENCE = 240_000
PROMPTS = 24
#: What the people go by: nobody can see who wrote an answer, everybody can see whether it is kind.
KIND = "Thank you for asking."


@pytest.fixture
def world(shared_studio):
    made = World(shared_studio.home)
    yield made
    made.close()


@pytest.fixture
def people(browser, shared_studio):
    """Everybody has a browser of their own; all that went wrong in any of them ends the test."""
    contexts, faults, strangers = [], [], []

    def notice(request):
        if not request.url.startswith((shared_studio.url, "data:", "blob:")):
            strangers.append(request.url)

    def arrive(path: str) -> Page:
        context = browser.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce", color_scheme="light")
        context.set_default_timeout(60_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", notice)
        page.goto(shared_studio.url + path)
        return page

    yield arrive
    for context in contexts:
        context.close()
    assert (faults, strangers) == ([], [])


def rate(page: Page, unsure: int) -> None:
    """One person's whole session: the kinder answer is better, but for the first few, where they disagree."""
    for position in range(PROMPTS):
        page.wait_for_selector(f'[data-screen="pair"][data-position="{position}"]')
        kind = KIND in page.get_by_role("region", name="Answer A").inner_text()
        better = kind if position >= unsure else not kind
        page.keyboard.press("ArrowLeft" if better else "ArrowRight")
    page.get_by_role("button", name="I cannot tell").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible(timeout=PATIENCE)


def invited(owner: Page) -> str:
    """The link that the owner gets to send on."""
    before = owner.locator("#tf-invite").inner_text() if owner.locator("#tf-invite").count() else ""
    owner.get_by_role("button", name=re.compile("^Invite somebody")).first.click()
    link = owner.locator("#tf-invite")
    expect(link).not_to_have_text(before, timeout=PATIENCE)
    return link.inner_text().partition("/rate/")[2]


def test_three_people_a_verdict_and_the_next_run(world, people, tmp_path):
    run = world.run("completed", name="Replies", step=40, total=40)
    answers = [(f"No. It is {at}.", f"It is {at}. {KIND}") for at in range(PROMPTS)]
    comparison = world.comparison(run, answers, measures=MEASURES, prompts=[f"What is number {at}?" for at in range(PROMPTS)])

    owner = people(f"/?run={run.id}&step=compare")
    links = [invited(owner) for _ in range(3)]
    assert len(set(links)) == 3
    for number, link in enumerate(links):
        rate(people(f"/rate/{link}"), unsure=number)

    owner.get_by_role("button", name=re.compile("(See|Go to) the verdict")).first.click()
    expect(owner.get_by_text("Settled", exact=True).first).to_be_visible(timeout=PATIENCE)
    session = world.store.ratings.sessions(comparison, OWNER)[0].id
    again = taken_home(owner, tmp_path)
    stored = outcome.verdict_of(world.store, session, OWNER)
    assert stored.n_raters == 3
    assert stored.n_votes == 3 * PROMPTS
    assert (again["win_rate"], again["low"], again["high"], again["evidence"]) == (
        *(stored.win_rate, stored.low, stored.high, stored.evidence),
    )
    assert again["verdict"] == "tuned"
    expect(owner.get_by_text(again["sentence"]).first).to_be_visible()

    train_on_the_votes(owner, world)


def taken_home(owner: Page, folder: Path) -> dict[str, object]:
    """What the terminal says of the votes that the page gives out."""
    with owner.expect_download() as download:
        owner.get_by_role("link", name="Votes (JSON)").click()
    saved = folder / "votes.json"
    download.value.save_as(saved)
    command = [sys.executable, "-m", "studio", "verdict", str(saved), "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def train_on_the_votes(owner: Page, world: World) -> None:
    """Two clicks to the settings of a run on the pairs, then a very short one."""
    owner.get_by_role("button", name="Make a preference data set").click()
    owner.get_by_role("button", name="Train on it (DPO)").click(timeout=PATIENCE)
    expect(owner.get_by_role("heading", name="How thorough should it be?")).to_be_visible(timeout=PATIENCE)
    short = {"max_steps": 1, "batch_size": 8, "eval_every": 0, "save_every": 1}
    owner.goto(f"{owner.url}&{urlencode([('set', f'{name}:{value}') for name, value in short.items()])}")
    owner.get_by_role("button", name="Start training").click(timeout=PATIENCE)
    owner.wait_for_url(re.compile(r"run=run-"), timeout=PATIENCE)
    expect(owner.get_by_role("heading", name="Training is done")).to_be_visible(timeout=PATIENCE)
    new = re.findall(r"run=(run-[0-9a-z]+)", owner.url)[0]
    row = world.store.runs.get(new, OWNER)
    assert row.method == "dpo"
    # The people agreed on every prompt but the few where one stood alone, who was outvoted.
    assert world.store.datasets.get(row.dataset_id, OWNER).rows == PROMPTS
