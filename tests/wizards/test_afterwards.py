"""After a verdict: what is offered, what a press does, and who gets the files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from studio.compare import blind, report
from studio.settings import Settings
from studio.store import RunRow
from tests.wizards.world import OWNER, World
from wizards import afterwards, take
from wizards.draft import Draft
from wizards.plan import plan
from wizards.shell import Context, Said

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(24)]


@pytest.fixture
def world(tmp_path: Path):
    made = World(tmp_path / "home")
    yield made
    made.close()


def finished(world: World, outcomes: list[str]) -> tuple[RunRow, str]:
    """A run with something to go on from, and a session that one person has finished."""
    run = world.run()
    world.store.runs.update(run.id, checkpoint_path=f"tinker://{run.id}/weights/final")
    session = world.session(world.comparison(run, PAIRS))
    world.rate(world.seat(session, "Ana"), outcomes)
    return world.store.runs.get(run.id, OWNER), session


def shown(world: World, session: str) -> str:
    return str(afterwards.part(world.store, blind.state(world.store, session, OWNER), OWNER) or "")


def test_nothing_is_offered_while_somebody_rates_or_nobody_has(world: World):
    session = world.session(world.comparison(world.run(), PAIRS))
    assert shown(world, session) == ""
    token = world.seat(session, "Ana")
    world.rate(token, ["tuned"] * 24, finish=False)
    assert shown(world, session) == ""
    blind.finish(world.store, token, "unsure")
    assert "Make a preference data set" in shown(world, session)
    blind.invite(world.store, session, OWNER, "Ben")
    assert shown(world, session) == "", "who was invited since may still rate"


def test_the_pairs_are_counted_and_what_is_left_out_is_said(world: World):
    _, session = finished(world, ["tuned"] * 14 + ["tie"] * 10)
    page = shown(world, session)
    assert "The votes of one person give 14 pairs" in page
    assert "10 were called equally good." in page
    assert "Train on it" not in page


def test_too_few_pairs_are_not_offered(world: World):
    _, session = finished(world, ["tuned"] * 2 + ["tie"] * 22)
    page = shown(world, session)
    assert "It takes at least 3 pairs." in page
    assert 'data-pick="prefer" data-phase="Checking and splitting the pairs" disabled' in page
    _, session = finished(world, ["both_bad"] * 24)
    assert "there is no pair to learn from" in shown(world, session)


@pytest.mark.slow
def test_two_presses_lead_to_settings_with_the_data_and_the_run_to_go_on_from(world: World):
    run, session = finished(world, ["tuned"] * 24)
    visit = world.visit(run=run.id, session=session, step="verdict")
    stayed = afterwards.pressed(world.ctx, visit, Said("prefer"))
    assert isinstance(stayed, Draft)
    assert (stayed.step, stayed.session) == ("verdict", session)
    page = shown(world, session)
    assert "Data set made" in page
    assert "You have 24 pairs." in page
    for method in ("dpo", "rlhf"):
        went = afterwards.pressed(world.ctx, replace(visit, draft=stayed), Said("prefer_train", method))
        assert isinstance(went, Draft)
        assert (went.step, went.method, went.run, went.session) == ("settings", method, "", "")
        assert went.dataset in page
        assert dict(went.changes)["start_from"] == run.id
        assert Draft.from_query(went.to_query()) == went
        now = plan(world.settings, world.store, went, OWNER)
        assert now.ready, (now.missing, now.problems)
        assert now.recipe is not None
        assert (now.recipe.method, now.recipe.start_from) == (method, run.id)
    assert len(world.store.datasets.all(OWNER)) == 2, "that of the run and the pairs, however often it was pressed"


def test_a_run_that_left_nothing_is_not_gone_on_from(world: World):
    run, _ = finished(world, ["tuned"] * 24)
    world.store.runs.update(run.id, checkpoint_path="")
    went = afterwards.learning(world.store, world.visit(run=run.id), "data-1", "dpo")
    assert (went.changes, went.dataset, went.step) == ((), "data-1", "settings")


def test_other_presses_are_not_its_own(world: World):
    assert afterwards.pressed(world.ctx, world.visit(step="verdict"), Said("invite")) is None


# ---- files ----


Get = Callable[[str], httpx.Response]


def asked(ctx: Context) -> Get:
    """Asks the links of a studio with this context."""
    app = FastAPI()
    take.mount(app, ctx)

    async def get(address: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://studio") as client:
            return await client.get(address)

    return lambda address: asyncio.run(get(address))


def test_the_links_of_the_part_lead_to_whole_files(world: World):
    get = asked(world.ctx)
    _, session = finished(world, ["tuned"] * 24)
    page = shown(world, session)
    for what, kind in (("report.html", "text/html"), ("report.md", "text/markdown"), ("report.svg", "image/svg+xml")):
        assert f'href="/take/session/{session}/{what}"' in page
        got = get(f"/take/session/{session}/{what}")
        assert got.status_code == 200
        assert got.headers["content-type"].startswith(kind)
        assert got.headers["content-disposition"] == f'attachment; filename="report-{session}{Path(what).suffix}"'
        assert got.headers["x-content-type-options"] == "nosniff"
    html = get(f"/take/session/{session}/report.html").text
    assert json.loads(report.votes_in(html) or "")["session"] == session
    assert f"](report-{session}.svg)" in get(f"/take/session/{session}/report.md").text
    assert len(get(f"/take/session/{session}/pairs.jsonl").text.splitlines()) == 24


def test_nothing_of_a_session_leaves_too_early_or_to_somebody_else(world: World, tmp_path: Path):
    get = asked(world.ctx)
    _, session = finished(world, ["tuned"] * 24)
    assert get(f"/take/session/{session}/votes.sqlite").status_code == 404
    assert get("/take/session/ses-nosuchsession000/report.html").status_code == 404
    blind.invite(world.store, session, OWNER, "Ben")
    refused = get(f"/take/session/{session}/report.html")
    assert (refused.status_code, "sealed" in refused.text, "tuned" in refused.text) == (500, True, False)
    blind.close(world.store, session, OWNER)
    eve = asked(replace(world.ctx, settings=Settings(home=tmp_path), owner_of=lambda _: "eve"))
    assert eve(f"/take/session/{session}/report.html").status_code == 404
    assert eve(f"/take/session/{session}/pairs.jsonl").status_code == 404
    assert get(f"/take/session/{session}/report.html").status_code == 200
