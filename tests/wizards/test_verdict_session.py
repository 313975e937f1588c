"""The owner's hand on a session, on the verdict page: what each press changes, and what it never tells."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

import gradio as gr
import pytest

from studio.compare import blind
from studio.compare.blind import SessionOptions
from studio.errors import RunError, SettingError
from tests.wizards.world import World
from wizards import session_desk, verdict
from wizards.draft import Draft
from wizards.shell import Once, Said

PAIRS = [(f"base {i}", f"tuned {i}") for i in range(30)]
DAY = 86_400


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    yield made
    made.close()


class Page:
    """The verdict page of one session."""

    def __init__(self, world: World, options: SessionOptions | None = None) -> None:
        self.world = world
        self.run = world.run("completed")
        self.comparison = world.comparison(self.run, PAIRS)
        self.session = blind.open_session(world.store, self.comparison, "local", options=options).id
        self.visit = world.visit(run=self.run.id, comparison=self.comparison, session=self.session, step="verdict")

    def press(self, name: str, value: str = "") -> Draft | Once:
        return verdict.pressed(self.world.ctx, self.visit, Said(name, value))

    @property
    def screen(self) -> verdict.Screen:
        return verdict.screen(self.world.store, self.visit.draft, "local")

    @property
    def text(self) -> str:
        return unescape(re.sub(r"<[^>]*>", " ", str(verdict.html(self.screen))))

    @property
    def state(self) -> blind.SessionState:
        return blind.state(self.world.store, self.session, "local")


def test_an_invite_has_the_name_and_the_days_that_were_typed(world):
    page = Page(world)
    once = page.press("invite", '{"name": "  Ana <b>López</b> ", "days": "3"}')
    assert isinstance(once, Once)
    assert once.said is not None
    assert "Ana &lt;b&gt;López&lt;/b&gt;" in str(once.said)
    assert "It leads in until" in str(once.said)
    (ana,) = page.state.raters
    assert ana.name == "Ana <b>López</b>"
    made = world.store.ratings.raters(page.session)[0]
    assert made.expires_at - made.created_at == pytest.approx(3 * DAY, abs=5)
    assert "<b>" not in str(verdict.html(page.screen))
    page.press("invite")
    assert [one.name for one in page.state.raters] == ["Ana <b>López</b>", "Guest 2"]


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "soon", "400", "٣", "99999999999"])
def test_days_that_cannot_work_are_refused_and_nobody_is_invited(world, days):
    page = Page(world)
    with pytest.raises(SettingError):
        page.press("invite", f'{{"name": "Ana", "days": "{days}"}}')
    assert page.state.raters == ()


def test_a_pause_takes_no_votes_until_it_is_over(world):
    page = Page(world)
    token = world.seat(page.session, "Ana")
    assert "Pause" in page.text
    page.press("pause")
    assert "Paused" in page.text
    with pytest.raises(RunError):
        blind.vote(world.store, token, 0, "left")
    page.press("resume")
    assert blind.vote(world.store, token, 0, "left").saved
    assert [event.text for event in world.store.ratings.events(page.session)][-2:] == ["Paused.", "Resumed."]
    assert "Resumed." in page.text


def test_prompts_and_days_can_be_added(world):
    page = Page(world, SessionOptions(prompts=20, expires_days=1))
    world.rate(world.seat(page.session, "Ana"), ["tuned"] * 5, finish=False)
    assert "10 are left" in page.text
    page.press("extend", '{"prompts": "6", "days": ""}')
    assert page.state.pairs == 26
    assert page.state.raters[0].total == 26
    before = page.state.raters[0].expires_at
    page.press("extend", '{"prompts": "", "days": "10"}')
    assert page.state.raters[0].expires_at - before == pytest.approx(9 * DAY, abs=60)
    with pytest.raises(SettingError):
        page.press("extend", '{"prompts": "0", "days": "0"}')
    with pytest.raises(SettingError):
        page.press("extend", '{"prompts": "many", "days": "0"}')
    page.press("extend", '{"prompts": "99"}')
    assert page.state.pairs == 30
    assert "as long as it may be" in page.text


def test_a_seat_can_be_taken_back_and_its_votes_stay(world):
    page = Page(world)
    token = world.seat(page.session, "Ana")
    world.rate(token, ["tuned"] * 4, finish=False)
    (ana,) = page.state.raters
    assert "Take back the seat of Ana" in page.text
    page.press("withdraw", ana.rater_id)
    assert page.state.raters[0].seat == "withdrawn"
    assert page.state.votes == 4
    assert "Taken back" in page.text
    assert "Take back the seat" not in page.text
    with pytest.raises(blind.SeatGoneError):
        blind.item(world.store, token)


def test_nobody_takes_a_seat_back_that_is_not_theirs_to_take(world):
    page, other = Page(world), Page(world)
    world.seat(other.session, "Ben")
    with pytest.raises(Exception, match="not part of the session"):
        page.press("withdraw", other.state.raters[0].rater_id)
    assert other.state.raters[0].seat == "waiting"


def test_a_closed_session_leads_to_another_and_stays_in_the_record(world):
    page = Page(world)
    world.rate(world.seat(page.session, "Ana"), ["tuned"] * 3, finish=False)
    page.press("close")
    for gone in ("Pause", "Make the link", "Extend the session", "Take back the seat"):
        assert gone not in page.text
    onward = page.press("another")
    assert isinstance(onward, Draft)
    assert (onward.step, onward.session) == ("compare", "")
    second = blind.open_session(world.store, page.comparison, "local").id
    page.visit = replace(page.visit, draft=replace(page.visit.draft, session=second))
    assert "Other sessions of this run, 1" in page.text
    assert re.search(rf"{page.session}\s+closed\s+3\b", page.text)
    back = page.press("session", f"{page.comparison}/{page.session}")
    assert isinstance(back, Draft)
    assert back.session == page.session


def test_the_desk_says_how_the_session_was_opened(world):
    options = SessionOptions(
        ratings_per_prompt=2, overlap=0.2, criteria=("Correct",), comments=True, min_seconds=3, per_rater=15, login=True
    )
    text = Page(world, options).text
    for said in ("rated by 2 people", "20 % of the prompts", "also asked: Correct", "at least 3 s", "at most 15 pairs"):
        assert said in text


def test_the_address_for_signed_in_people_is_there_where_they_can_sign_in(world, monkeypatch):
    page, other = Page(world, SessionOptions(login=True)), Page(world)
    assert "/rate/?session=" not in page.text
    for name in ("SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET"):
        monkeypatch.setenv(name, "set")
    monkeypatch.setenv("SYSTEM", "spaces")
    assert f"/rate/?session={page.session}" in page.text
    assert "/rate/?session=" not in other.text


def test_nothing_on_the_desk_tells_how_the_votes_fall(tmp_path):
    """With every vote turned round the page of an owner who still rates is the same, after a pause and an extension too."""
    seen: list[tuple[str, ...]] = []
    for lead in ("tuned", "base"):
        world = World(tmp_path / lead)
        page = Page(world, SessionOptions(prompts=20))
        world.rate(world.seat(page.session, "Guest 1"), [lead] * 20)
        world.rate(world.seat(page.session), [lead] * 7, finish=False)
        page.press("pause")
        page.press("extend", '{"prompts": "3"}')
        shown = [str(part) for part in verdict.parts(page.screen)]
        ids = [(page.session, "S"), *((one.rater_id, "R") for one in page.state.raters)]
        for known, mask in ids:
            shown = [part.replace(known, mask) for part in shown]
        shown = [re.sub(r"rater-\d|\d\d:\d\d", "x", part) for part in shown]
        assert "You have rated 7 of 23 pairs" in shown[0]
        assert [bool(part) for part in shown] == [True, True, False, False, False, False, False]
        seen.append(tuple(shown))
        world.close()
    assert seen[0] == seen[1]


# ---- while votes come in ----


def ticks(world: World, page: Page):
    with gr.Blocks():
        parts = verdict.build(world.ctx)

    def tick(seen: str = "") -> tuple[list[bool], str]:
        """Which parts are drawn again, and what the next heartbeat will say."""
        *values, pulse = parts.show(replace(page.visit, seen=seen))
        found = re.search(r'data-seen="([^"]*)"', str(pulse))
        return [isinstance(value, str) for value in values], unescape(found[1]) if found else ""

    return tick


def test_a_tick_draws_what_has_changed_and_nothing_else(world):
    page = Page(world)
    token = world.seat(page.session, "Ana")
    world.rate(token, ["tuned"] * 24, finish=False)
    tick = ticks(world, page)
    drawn, seen = tick()
    assert all(drawn)
    assert not any(tick(seen)[0])
    blind.vote(world.store, token, 24, "left")
    drawn, after = tick(seen)
    # The answer and what it rests on; never the forms that somebody may be typing into.
    assert drawn[0]
    assert drawn[3]
    assert not drawn[1]
    assert not any(tick(after)[0])
    page.press("pause")
    assert tick(after)[0][1]


def test_the_mark_of_a_session_changes_with_everything_in_it(world):
    page, other = Page(world), Page(world)
    ratings, marks = world.store.ratings, list[str]()

    def note() -> None:
        marks.append(ratings.mark(page.session))

    note()
    ana = blind.invite(world.store, page.session, "local", "Ana")
    note()
    blind.vote(world.store, ana.token, 0, "left")
    note()
    blind.vote(world.store, ana.token, 0, "right")
    note()
    page.press("pause")
    note()
    page.press("resume")
    note()
    world.rate(ana.token, ["tuned"] * 30)
    note()
    page.press("withdraw", ana.rater_id)
    note()
    page.press("close")
    note()
    assert len(set(marks)) == len(marks)
    world.rate(world.seat(other.session, "Ben"), ["tuned"])
    assert ratings.mark(page.session) == marks[-1]


def test_a_number_is_a_whole_number():
    assert session_desk.number(" 12 ", "days") == 12
    assert session_desk.number("", "days") == 0
    for wrong in ("1e3", "0x1", "-0", "²", "12345"):
        with pytest.raises(SettingError):
            session_desk.number(wrong, "days")
