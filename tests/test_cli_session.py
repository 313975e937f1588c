"""``session`` in the terminal: from opening to the file that computes the verdict again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from studio.cli import main
from studio.compare import blind
from studio.settings import Settings
from studio.store import Store
from tests.compare.conftest import stored_comparison


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def store(home: Path):
    opened = Store(Settings(home=home).database)
    yield opened
    opened.close()


@pytest.fixture
def comparison(store: Store) -> str:
    return stored_comparison(store, [(f"base {i}", f"tuned {i}") for i in range(24)])


@pytest.fixture
def say(home: Path, capsys: pytest.CaptureFixture[str]):
    """One command with ``--json``; answers the document, or the error's."""

    def ask(*words: str, status: int = 0) -> Any:
        assert main(["session", *words, "--home", str(home), "--json"]) == status
        told = capsys.readouterr()
        return json.loads(told.out if status == 0 else told.err)

    return ask


def rate(store: Store, token: str, arm: str = "tuned", count: int = 24) -> None:
    for dealt in blind.seat_of(store, token).deals[:count]:
        blind.vote(store, token, dealt.position, dealt.side_of(arm) or "tie")


def test_from_opening_to_the_recomputed_verdict(say, store: Store, comparison: str, tmp_path: Path, capsys, home: Path):
    made = say("create", comparison, "--criterion", "tone", "--comments", "--min-seconds", "0")
    session = made["session_id"]
    assert (made["prompts"], made["options"]["criteria"], made["options"]["comments"]) == (24, ["tone"], True)
    invites = say("invite", session, "--count", "2", "--name", "Class", "--url", "https://me-studio.hf.space/")["invites"]
    assert [one["name"] for one in invites] == ["Class 1", "Class 2"]
    assert all(one["link"] == f"https://me-studio.hf.space/rate/#{one['token']}" for one in invites)
    for one in invites:
        rate(store, one["token"])
    shown = say("show", session)
    assert (shown["status"], shown["ended"], shown["closed_pairs"], shown["votes"]) == ("open", True, 24, 48)
    assert shown["verdict"]["verdict"] == "tuned"
    assert {one["seat"] for one in shown["raters"]} == {"rating"}
    assert [one["text"] for one in shown["history"]] == ["Opened with 24 prompts to rate."]
    assert "sealed" in say("export", session, status=1)["error"]["what"]
    assert say("close", session)["status"] == "closed"
    file = tmp_path / "votes.json"
    assert say("export", session, "--out", str(file))["votes"] == 48
    assert json.loads(file.read_text())["version"] == 2
    assert main(["verdict", str(file), "--json", "--home", str(tmp_path / "another machine")]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again == json.loads(json.dumps(say("show", session)["verdict"]))
    assert list(tmp_path.glob(".votes*")) == []
    assert main(["session", "export", session, "--csv", "--home", str(home)]) == 0
    assert capsys.readouterr().out.startswith("prompt_id,rater,choice,left,right")


def test_while_the_owner_rates_the_terminal_says_nothing_of_the_votes(say, store: Store, comparison: str):
    session = say("create", comparison)["session_id"]
    token = blind.own_seat(store, session, "local").token
    rate(store, token, count=23)
    shown = say("show", session)
    assert (shown["sealed"], shown["verdict"]) == (True, None)
    rate(store, token)
    blind.finish(store, token, "unsure")
    assert say("show", session)["verdict"]["verdict"] == "tuned"


def test_pausing_extending_and_taking_back(say, store: Store, comparison: str):
    session = say("create", comparison, "--prompts", "10", "--ratings", "1", "--per-rater", "10")["session_id"]
    rater = say("invite", session)["invites"][0]
    assert "all the raters" in say("invite", session, status=1)["error"]["what"]
    assert say("pause", session)["status"] == "paused"
    assert say("resume", session)["status"] == "open"
    assert say("extend", session, "--prompts", "4")["pairs"] == 14
    assert say("withdraw", session, "--rater", rater["rater_id"])["withdrawn"]
    say("withdraw", session, "--rater", "nobody", status=1)
    assert [one["session_id"] for one in say("list")] == [session]
    assert say("list", comparison)[0]["n_raters"] == 1
    say("close", session)
    assert "for good" in say("resume", session, status=1)["error"]["what"]


def test_a_run_stands_for_its_newest_answers(say, store: Store, comparison: str):
    run = store.comparisons.get(comparison, "local").run_id or ""
    assert say("create", run)["comparison_id"] == comparison
    empty = store.runs.add(
        owner="local", name="r", dataset_id=store.runs.get(run, "local").dataset_id, method="sl", model="nano", recipe_json="{}"
    )
    assert "no complete comparison" in say("create", empty.id, status=1)["error"]["what"]


@pytest.mark.parametrize(
    "words",
    [
        ("create",),
        ("close",),
        ("close", "ses-0000000000"),
        ("show", "ses-0000000000", "--prompts", "3"),
        ("invite", "ses-0000000000", "--count", "0"),
        ("export", "ses-0000000000", "--gold", "1"),
        ("withdraw", "ses-0000000000"),
        ("create", "cmp-0000000000", "--gold-file", "/nowhere.json"),
    ],
)
def test_what_cannot_work_is_said_with_a_next_step(say, words: tuple[str, ...]):
    assert say(*words, status=1)["error"]["next_step"]


def test_people_are_told_in_text(store: Store, comparison: str, home: Path, capsys: pytest.CaptureFixture[str]):
    at = ["--home", str(home)]
    assert main(["session", "list", *at]) == 0
    assert "No sessions yet" in capsys.readouterr().out
    assert main(["session", "create", comparison, *at]) == 0
    session = capsys.readouterr().out.split()[1].rstrip(":")
    assert main(["session", "invite", session, *at]) == 0
    assert "Guest 1: http://127.0.0.1:7860/rate/#" in capsys.readouterr().out
    for action in ("show", "list", "pause", "resume", "close"):
        assert main(["session", action, *([session] if action != "list" else []), *at]) == 0
        assert session in capsys.readouterr().out
