from __future__ import annotations

import asyncio
import re
import socket

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse

from studio.errors import SettingError
from studio.settings import Settings
from wizards import compose, serve, theme


class _Client:
    """Asks an ASGI application without a server."""

    def __init__(self, app):
        self._app = app

    def get(self, path, method="GET"):
        async def ask():
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://studio") as client:
                return await client.request(method, path)

        return asyncio.run(ask())

    def head(self, path):
        return self.get(path, "HEAD")


@pytest.fixture
def client():
    app = FastAPI()
    app.add_middleware(serve.OwnHead, head="<meta name=ours>")
    theme.mount_look(app)

    @app.get("/page")
    def page():
        return HTMLResponse("<!doctype html><html><head><title>t</title></head><body>ü</body></html>")

    @app.head("/page")
    def page_head():
        return HTMLResponse("", headers={"content-length": "70"})

    @app.get("/text")
    def text():
        return PlainTextResponse("<head>")

    @app.get("/stream")
    def stream():
        return StreamingResponse((part for part in ("data: 1\n\n", "data: 2\n\n")), media_type="text/event-stream")

    return _Client(app)


def test_our_head_comes_first_and_the_length_is_right(client):
    answer = client.get("/page")
    assert "<head><meta name=ours><title>" in answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "ü" in answer.text


def test_other_answers_pass_untouched(client):
    assert client.get("/text").text == "<head>"
    assert client.get("/stream").text == "data: 1\n\ndata: 2\n\n"
    assert client.head("/page").status_code == 200


def test_the_browser_is_told_to_stay_at_home(client):
    for path in ("/page", "/text", "/stream"):
        policy = client.get(path).headers["content-security-policy"]
        assert policy == serve.POLICY
        assert not re.search(r"https?:|\*", policy)


def test_only_the_look_is_served_of_the_assets(client):
    assert client.get("/look/theme/tokens.css").status_code == 200
    assert client.get("/look/fonts/atkinson-hyperlegible-next.woff2").status_code == 200
    assert client.get("/look/logo/favicon.svg").status_code == 200
    for path in (
        "/look/nano/config.json",
        "/look/samples/samples.json",
        "/look/theme/../samples/samples.json",
        "/look/theme/%2e%2e/samples/samples.json",
    ):
        assert client.get(path).status_code == 404


def test_styles_and_scripts_name_no_other_machine():
    from studio.assets import asset

    for folder in ("theme", "logo"):
        for path in asset(folder).iterdir():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://|//[a-z]+\.[a-z]", text), path
    assert not re.search(r"https?://", theme.head())


def test_the_theme_points_at_tokens_that_exist_in_light_and_dark():
    from studio.assets import asset

    tokens = asset("theme", "tokens.css").read_text(encoding="utf-8")
    light, dark = tokens.split(".dark {")
    css = asset("theme", "studio.css").read_text(encoding="utf-8") + theme.StudioTheme()._get_theme_css()
    colours = set(re.findall(r"(--[a-z-]+): #", light))
    assert colours == set(re.findall(r"(--[a-z-]+): #", dark))
    used = set(re.findall(r"var\((--(?:paper|sheet|well|ink|line|accent|on-accent|good|warn|bad|left|right)[a-z-]*)\)", css))
    assert used <= colours


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("index", [0, 1], ids=["light", "dark"])
def test_every_text_colour_can_be_read_on_its_ground(index):
    from studio.assets import asset

    part = asset("theme", "tokens.css").read_text(encoding="utf-8").split(".dark {")[index]
    colour = dict(re.findall(r"(--[a-z-]+): (#[0-9a-f]{6})", part))
    for text in ("--ink", "--ink-soft", "--accent", "--good", "--warn", "--bad", "--left", "--right"):
        for ground in ("--paper", "--sheet"):
            assert _contrast(colour[text], colour[ground]) >= 4.5, (text, ground)
    for name in ("good", "warn", "bad", "left", "right", "accent"):
        assert _contrast(colour[f"--{name}"], colour[f"--{name}-wash"]) >= 4.5, name
        assert _contrast(colour["--ink"], colour[f"--{name}-wash"]) >= 4.5, name
    assert _contrast(colour["--on-accent"], colour["--accent"]) >= 4.5
    assert _contrast(colour["--line-strong"], colour["--sheet"]) >= 3


def test_charts_can_be_seen_on_both_papers():
    for name in ("ink", "train", "validation", "left", "right"):
        value = getattr(theme.CHART, name)
        assert _contrast(value, "#fcfaf5") >= 3, name
        assert _contrast(value, "#161d28") >= 3, name


def test_a_taken_port_is_one_sentence_with_the_next_step(tmp_path, monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(SettingError, match=f"Port {port} is already in use") as caught:
            compose.listening(Settings(home=tmp_path, port=port))
        assert "STUDIO_PORT=" in caught.value.next_step
        monkeypatch.setenv("STUDIO_HOME", str(tmp_path))
        monkeypatch.setenv("STUDIO_PORT", str(port))
        assert compose.main() == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "Traceback" not in said.err


def test_an_address_of_another_machine_is_refused_in_words(tmp_path):
    with pytest.raises(SettingError, match="cannot listen"):
        compose.listening(Settings(home=tmp_path, host="203.0.113.1", port=7999))
