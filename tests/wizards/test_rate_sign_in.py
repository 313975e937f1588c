"""A seat by signing in: on a Space only, in sessions that are open to it only, and by the server's word only."""

from __future__ import annotations

import itertools
import re

import pytest
from fastapi import FastAPI
from gradio import oauth

from studio.compare import blind
from studio.errors import SettingError
from tests.wizards.test_rate_blind import Served
from wizards import compose, sign_in

HUB = {"SYSTEM": "spaces", "SPACE_ID": "ann/studio", "OAUTH_CLIENT_ID": "client", "OAUTH_CLIENT_SECRET": "secret"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    made = Served(tmp_path_factory.mktemp("world"), tuned_left=True)
    made.signed_in = ""
    inner = made.app

    async def with_session(scope, receive, send):
        """What the session cookie of Gradio's OAuth comes to, once its signature was checked."""
        if made.signed_in:
            profile = {"name": "N", "preferred_username": made.signed_in, "profile": "", "picture": ""}
            scope["session"] = {"oauth_info": {"userinfo": profile, "access_token": "hf_x", "scope": "", "expires_at": 9e12}}
        await inner(scope, receive, send)

    made.app = with_session
    yield made
    made.world.close()


@pytest.fixture
def space(monkeypatch):
    for name, value in HUB.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def session(served):
    served.begin()
    served.signed_in = ""
    options = blind.SessionOptions(login=True)
    return blind.open_session(served.world.store, served.comparison, "local", options=options).id


# Nobody has a seat yet, so all of these are one page to the server.
NUMBERS = itertools.count(1)


def enter(served, session, **more):
    return served.say("enter", seat="", session=session, turn=str(next(NUMBERS)), **more)


def token_in(page):
    found = re.search(r'data-seat=\\"([^"\\]+)\\"', page)
    return found and found[1]


def raters(served, session):
    return [(one.name, one.via, one.login) for one in served.world.store.ratings.raters(session)]


def test_who_is_signed_in_gets_one_seat_and_rates_with_it(served, session, space):
    page = enter(served, session)
    assert "Sign in with Hugging Face" in page
    assert f"/login/huggingface?_target_url=%2Frate%2F%3Fsession%3D{session}" in page
    assert raters(served, session) == []
    served.signed_in = "bo"
    tokens = {token_in(enter(served, session)) for _ in range(2)}
    assert len(tokens) == 1
    token = tokens.pop()
    assert "Pair 1 of 8" in served.say("open", seat=token)
    assert "1 rated" in served.say("vote", "left", 0, seat=token)
    assert raters(served, session) == [("bo", "login", "bo")]


def test_a_name_that_the_browser_sends_is_nobodys(served, session, space):
    page = enter(served, session, login="ann", username="ann", profile={"preferred_username": "ann"})
    assert "Sign in with Hugging Face" in page
    assert raters(served, session) == []


def test_a_name_on_the_hub_makes_nobody_the_owner(served, session, space):
    own = blind.own_seat(served.world.store, session, "local")
    served.signed_in = "local"
    assert token_in(enter(served, session)) not in (None, own.token)


def test_where_nobody_can_sign_in_there_is_no_such_way(served, session):
    served.signed_in = "bo"
    page = enter(served, session)
    assert "open to invited people only" in page
    assert raters(served, session) == []


@pytest.mark.parametrize("which", ["closed to it", "unknown", "'; --", ""])
def test_a_session_that_is_not_open_to_signed_in_people_looks_like_none(served, session, space, which):
    served.signed_in = "bo"
    asked = served.session if which == "closed to it" else which
    page = enter(served, asked)
    assert "open to invited people only" in page
    assert raters(served, served.session) == [("You", "owner", "")]


def test_a_closed_session_takes_nobody_in(served, session, space):
    blind.close(served.world.store, session, "local")
    served.signed_in = "bo"
    assert "takes no more raters" in enter(served, session)


def test_the_ways_to_the_hub_are_there_on_a_space_only(monkeypatch, space):
    asked = []
    monkeypatch.setattr(oauth, "attach_oauth", asked.append)
    app = FastAPI()
    sign_in.attach(app)
    assert asked == [app]
    for name in HUB:
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv(name)
            sign_in.attach(app)
    assert asked == [app]


def test_a_space_without_the_packages_says_what_to_add(monkeypatch, space, settings):
    def missing(_):
        raise ImportError("authlib")

    monkeypatch.setattr(oauth, "attach_oauth", missing)
    with pytest.raises(SettingError, match="not installed") as told:
        compose.create_app(settings)
    assert "gradio[oauth]" in told.value.next_step
