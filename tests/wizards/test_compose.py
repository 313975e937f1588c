from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from studio.settings import Settings
from wizards import compose, serve


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    return compose.create_app(Settings(home=tmp_path_factory.mktemp("home") / "new"))


def _get(app, path):
    async def ask():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://studio") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/", "/runs", "/rate/"])
def test_every_page_carries_our_look_and_the_policy(app, path):
    answer = _get(app, path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == serve.POLICY
    assert answer.text.index("/look/theme/studio.css") < answer.text.index("window.gradio_config")


@pytest.mark.parametrize("root", ["", "/rate"])
def test_no_page_offers_a_public_endpoint_or_sends_anything(app, root):
    assert _get(app, f"{root}/gradio_api/info").json()["named_endpoints"] == {}
    config = _get(app, f"{root}/config").json()
    assert config["analytics_enabled"] is False
    assert config["footer_links"] == []
    assert {each["api_visibility"] for each in config["dependencies"]} <= {"private"}


def test_the_rating_page_knows_nothing_of_the_wizard(app):
    config = json.dumps(_get(app, "/rate/config").json())
    for word in ("Start training", "tf-dial", "tf-step-", "learning_rate", "Your run"):
        assert word not in config


def test_there_are_no_doors_beside_the_pages(app):
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert _get(app, path).status_code == 404


def test_everything_is_kept_under_one_folder(app, tmp_path):
    del app
    home = tmp_path / "deep" / "home"
    compose.create_app(Settings(home=home))
    assert (home / "studio.sqlite3").is_file()
