"""The report of a session: one file that needs nothing, says what the votes say, and gives its numbers again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from studio.compare import blind, outcome, report
from studio.compare.blind import Remarks, SessionOptions
from studio.compare.recompute import verdict_from_document
from studio.compare.report import Background
from studio.errors import DataError, RunError
from studio.store import Store
from tests.compare.conftest import stored_comparison

OWNER = "local"
HOSTILE = (
    "</td></details><script>alert(1)</script><img src=http://evil.example/x onerror=a()> ${7*7} | [x](javascript:a()) # `h`"
)


class Page(HTMLParser):
    """What a browser would make of a file: its elements with their attributes, and the text outside styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def document(outcomes: Sequence[str], raters: int = 2, **more: Any) -> dict[str, Any]:
    """A file of votes in which every rater says the same."""
    items = [
        {"prompt_id": f"p{at}", "rater": f"rater-{who}", "choice": said if said != "base" else "right", "tuned_side": "left"}
        for at, said in enumerate(outcomes)
        for who in range(1, raters + 1)
    ]
    return {"items": [one | {"choice": "left"} if one["choice"] == "tuned" else one for one in items], **more}


def arms(*labels: str) -> list[dict[str, Any]]:
    return [{"name": f"arm-{at}", "label": label, "reference": at == 0} for at, label in enumerate(labels)]


def three(labels: Sequence[str] = ("Old", "New", "Newer")) -> dict[str, Any]:
    items = [
        {"prompt_id": f"p{at}", "rater": "ana", "left": f"arm-{arm}", "right": "arm-0", "choice": "left" if at % 5 else "right"}
        for at in range(40)
        for arm in (1, 2)
    ]
    return {"version": 2, "arms": arms(*labels), "items": items}


@pytest.fixture
def session(store: Store) -> str:
    """Two people, thirty prompts, a question beside, comments that mean harm, one vote after the reveal."""
    comparison = stored_comparison(store, [(f"base {i}", f"tuned {i}" if i else "base 0") for i in range(30)])
    opened = blind.open_session(store, comparison, OWNER, options=SessionOptions(criteria=("tone",), comments=True)).id
    for who in ("Ana Anders", "Ben Brecht"):
        token = blind.invite(store, opened, OWNER, who).token
        for dealt in blind.seat_of(store, token).deals:
            choice = dealt.side_of("base" if dealt.prompt_id in ("p003", "p004") else "tuned") or "tie"
            blind.vote(store, token, dealt.position, choice, Remarks({"tone": "tie"}, HOSTILE))
        blind.finish(store, token, "unsure")
        blind.vote(store, token, 0, "both_bad")
    return opened


# ---- the page ----


def test_the_page_says_what_the_verdict_says_and_names_nobody(store: Store, session: str):
    found = report.of_session(store, session, OWNER)
    told = outcome.verdict_of(store, session, OWNER)
    page = Page(found.html()).text
    assert told.paragraph in page
    assert told.headline in page
    for part in ("What was compared", "Who judged", "What it does not say", "Settings and data", "Compute it again"):
        assert part in page
    assert all(note in page for note in told.notes)
    assert "valid only for one look planned in advance" in page.lower()
    assert "exploratory" not in page or "asked beside: tone" in page
    assert "own sides" in page
    assert "rater-1" in page
    assert "Ana Anders" not in found.html()
    assert "Ben Brecht" not in found.html()
    assert f"{'f' * 64}" in page, "the fingerprint of the data"
    assert "no, after the reveal" in page


def test_the_page_needs_nothing_and_runs_nothing_whatever_people_wrote(store: Store, session: str):
    html = report.of_session(store, session, OWNER).html()
    page = Page(html)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "img"}
    for name, attributes in page.tags:
        assert not [key for key in attributes if key.startswith("on")], name
        for key in ("src", "href", "xlink:href", "action", "poster", "srcset"):
            assert (attributes.get(key) or "data:").startswith("data:"), (name, attributes)
    assert not re.search(r"@import|url\((?![\"']?data:)", html)
    policy = next(found["content"] for name, found in page.tags if found.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert HOSTILE in page.text, "as text it is all there"
    assert re.findall(r"@media [^{]*prefers-color-scheme: ?dark", html) == [
        "@media screen and (prefers-color-scheme: dark",
        "@media screen and (prefers-color-scheme:dark",
    ], "paper is always light"
    assert "@media print" in html


def test_names_of_arms_are_text_everywhere():
    found = report.of_document(three((HOSTILE, "\u202e\u05e9\u05dc\u05d5\u05dd\ufdd0", "\x1b[31m" + "n" * 200)))
    page = Page(found.html())
    assert not {"script", "img"} & {name for name, _ in page.tags}
    found.html().encode("utf-8")
    ET.fromstring(found.picture())
    markdown = found.markdown(picture="p.svg")
    assert re.findall(r"(?<!\\)\]\(([^)]*)\)", markdown) == ["p.svg"]
    assert not re.search(r"(?<!\\)<(?!/?$)", markdown)
    assert markdown.startswith("## Did it help?")


def test_comments_of_raters_turn_no_cell_into_markup_or_columns():
    given = document(["tuned"] * 24, raters=1)
    given["items"][0]["comment"] = HOSTILE
    found = report.of_document(given)
    rows = [line for line in found.markdown().splitlines() if line.startswith("|")]
    assert "alert(1)" not in "".join(rows), "the list of votes is not in a card"
    page = Page(found.html())
    assert HOSTILE in page.text


def test_several_challengers_each_have_a_row_and_their_own_threshold():
    found = report.of_document(three())
    page = Page(found.html()).text
    assert "All challengers" in page
    assert "so each needs evidence of 40 : 1" in page
    assert "a translation of win rates" in page
    assert "own sides" not in page, "nobody vouches for a file that was made by hand"
    drawing = found.picture()
    assert drawing.count('class="needle"') == 2
    assert "“New”" in drawing
    assert "“Newer”" in drawing


def test_of_no_votes_a_report_says_so_and_draws_nothing():
    found = report.of_document({"items": []})
    page = Page(found.html())
    assert "Nobody has compared" in page.text
    assert "svg" not in {name for name, attributes in page.tags if attributes.get("class") == "tf-drawing"}
    assert "![" not in found.markdown(picture="p.svg")


def test_what_is_known_beside_stands_in_parts_of_its_own(store: Store, session: str):
    found = report.of_session(store, session, OWNER)
    assert "What a program counted" not in Page(found.html()).text
    beside = report.of_document(json.loads(found.votes), Background("Mine", {"learning_rate": 0.004, "tags": []}))
    page = Page(beside.html()).text
    assert "learning_rate" in page
    assert "0.004" in page


def test_what_a_model_said_stands_under_its_label_and_moves_no_number():
    given = document(["tuned"] * 20 + ["base"] * 10)
    ratings = [
        {"prompt_id": f"p{at}", "left": left, "right": right, "choice": "left" if left == "base" else "right", "missing": ""}
        for at in range(30)
        for left, right in (("base", "tuned"), ("tuned", "base"))
    ]
    caps = [{"arms": ["base", "tuned"], "automatic_ties": [], "cap": 30}]
    asked = {"judge": "jud-1", "model": HOSTILE, "ratings": ratings, "matchups": caps}
    alone, beside = report.of_document(given), report.of_document(given | {"machine": [asked]})
    page = Page(beside.html())
    assert "A model's opinion, not counted." in page.text
    assert HOSTILE in page.text
    assert "30 of 30" in page.text
    assert "What models said" not in Page(alone.html()).text
    assert beside.expected == alone.expected
    assert beside.verdict.paragraph == alone.verdict.paragraph


# ---- the picture ----


@pytest.mark.parametrize("outcomes", [["tuned"] * 30, ["base"] * 30, ["tie"] * 200, ["tuned"], ["tuned", "base", "tie"] * 9])
def test_the_picture_is_inside_its_frame_and_says_what_it_shows(outcomes: list[str]):
    found = report.of_document(document(outcomes))
    drawing = ET.fromstring(found.picture())
    _, _, width, height = (float(value) for value in drawing.attrib["viewBox"].split())
    space = "{http://www.w3.org/2000/svg}"
    for line in drawing.iter(f"{space}line"):
        assert 0 <= float(line.attrib["x1"]) <= width
        assert 0 <= float(line.attrib["y2"]) <= height
    for text in drawing.iter(f"{space}text"):
        assert float(text.attrib["y"]) <= height
    strokes = [one for one in drawing.iter(f"{space}line") if one.attrib["class"] in ("tuned", "base", "even")]
    assert len(strokes) == len(outcomes)
    title = drawing.find(f"{space}title")
    assert title is not None
    assert "50 % would be no difference" in (title.text or "")
    assert "prefers-color-scheme:dark" in found.picture()


# ---- computed again ----


def test_the_votes_in_the_page_are_the_export(store: Store, session: str):
    found = report.of_session(store, session, OWNER)
    exported = outcome.export(store, session, OWNER)
    assert json.loads(report.votes_in(found.html()) or "") == json.loads(json.dumps(exported))
    assert report.votes_in(json.dumps(exported)) is None
    again = report.of_document(exported)
    assert again.votes == found.votes
    assert again.expected == found.expected


def test_a_damaged_report_is_refused(store: Store, session: str):
    html = report.of_session(store, session, OWNER).html()
    at = html.index("data:application/json;base64,") + 60
    with pytest.raises(DataError, match="damaged"):
        report.votes_in(f"{html[:at]}{html[at + 1 :]}")


def test_another_machine_finds_every_number_from_the_report_alone(store: Store, session: str, tmp_path: Path):
    found = report.of_session(store, session, OWNER)
    file = tmp_path / "elsewhere" / "report.html"
    file.parent.mkdir()
    file.write_text(found.html(), "utf-8")
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path / "nobody"), "STUDIO_HOME": str(tmp_path / "nobody"), "LANG": "C"}
    command = [sys.executable, "-m", "studio", "verdict", str(file), "--json"]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, encoding="utf-8", check=True)
    assert json.loads(done.stdout) == verdict_from_document(outcome.export(store, session, OWNER))
    for name, value in found.expected:
        assert f'"{name}": {value}' in done.stdout, "letter for letter"
    assert not (tmp_path / "nobody").exists(), "it needs nothing of this studio, and leaves nothing"


def test_there_is_no_report_while_somebody_rates(store: Store):
    comparison = stored_comparison(store, [(f"base {i}", f"tuned {i}") for i in range(24)])
    opened = blind.open_session(store, comparison, OWNER).id
    token = blind.invite(store, opened, OWNER, "Ana").token
    blind.vote(store, token, 0, "left")
    with pytest.raises(RunError, match="sealed"):
        report.of_session(store, opened, OWNER)
