"""``report`` and ``session prefer`` in the terminal: files for people, and data to learn from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from studio.cli import main
from studio.compare import blind
from studio.settings import Settings
from studio.store import Store
from tests.compare.conftest import stored_comparison
from tests.test_cli_session import rate

OWNER = "local"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def session(home: Path):
    """Twenty-four prompts, rated by one person and closed."""
    store = Store(Settings(home=home).database)
    opened = blind.open_session(store, stored_comparison(store, [(f"base {i}", f"tuned {i}") for i in range(24)]), OWNER).id
    token = blind.invite(store, opened, OWNER, "Ana").token
    rate(store, token)
    blind.close(store, opened, OWNER)
    yield opened
    store.close()


@pytest.fixture
def say(home: Path, capsys: pytest.CaptureFixture[str]):
    """One command with ``--json``; answers the document, or the error's."""

    def ask(*words: str, status: int = 0) -> Any:
        assert main([*words, "--home", str(home), "--json"]) == status
        told = capsys.readouterr()
        return json.loads(told.out if status == 0 else told.err)

    return ask


def test_a_report_is_written_and_gives_its_verdict_again(say, session: str, tmp_path: Path):
    page, card = tmp_path / "report.html", tmp_path / "card.md"
    told = say("report", session, "--html", str(page), "--markdown", str(card))
    assert told["files"] == [str(page), str(card), str(tmp_path / "card.svg")]
    assert told["markdown"] is None
    again = say("verdict", str(page))
    assert again == told["verdict"]
    assert again["verdict"] == "tuned"
    assert "](card.svg)" in card.read_text("utf-8")
    assert ET.parse(tmp_path / "card.svg").getroot().tag.endswith("svg")
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_a_report_can_be_made_of_an_export_or_of_a_report_alone(say, session: str, tmp_path: Path):
    votes, page = tmp_path / "votes.json", tmp_path / "report.html"
    say("session", "export", session, "--out", str(votes))
    first = say("report", str(votes), "--html", str(page))
    second = say("report", str(page))
    assert first["verdict"] == second["verdict"] == say("verdict", str(votes))
    assert second["markdown"].startswith("## Did it help? The tuned model is better")
    assert first["session_id"] == second["session_id"] == session


def test_a_report_that_cannot_be_written_says_so(say, session: str, tmp_path: Path):
    (tmp_path / "here").mkdir()
    assert "cannot be written" in say("report", session, "--html", str(tmp_path / "here"), status=1)["error"]["what"]
    assert say("report", session, "--markdown", str(tmp_path / "a.svg"), status=1)["error"]["where"] == "--markdown"
    assert "no session" in say("report", "ses-nosuchsession000", status=1)["error"]["what"]


def test_people_read_the_card_and_where_it_is(session: str, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", session, "--home", str(home)]) == 0
    assert "## Did it help? The tuned model is better" in capsys.readouterr().out
    assert main(["report", session, "--html", str(tmp_path / "r.html"), "--home", str(home)]) == 0
    assert f"tuning-fork verdict {tmp_path / 'r.html'}" in capsys.readouterr().out


@pytest.mark.slow
def test_votes_become_a_data_set_and_a_file_of_pairs(say, session: str, home: Path, tmp_path: Path):
    file = tmp_path / "pairs.jsonl"
    made = say("session", "prefer", session, "--out", str(file))
    assert (made["pairs"], made["file"]) == (24, str(file))
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    told = [(one["chosen"][0]["content"], one["rejected"][0]["content"]) for one in lines]
    assert told == [(f"tuned {i}", f"base {i}") for i in range(24)]
    store = Store(Settings(home=home).database)
    assert store.datasets.get(made["dataset_id"], OWNER).rows == 24
    store.close()
    assert say("session", "prefer", session, "--csv", status=1)["error"]["what"] == "`session prefer` takes no --csv."
