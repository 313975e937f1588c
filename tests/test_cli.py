"""The terminal: exit status, one JSON document, messages with a next step. Runs themselves are tested in tests/runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from studio.cli import VERBS, main, parser

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def home(tmp_path: Path) -> list[str]:
    return ["--home", str(tmp_path / "home")]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    rows = "".join(f'"Question {n}, please","Answer {n}"\n' for n in range(40))
    path.write_text(f"prompt,completion\n{rows}")
    return path


def test_every_verb_has_help_and_the_same_three_options(capsys: pytest.CaptureFixture[str]):
    assert {"validate", "recommend", "samples", "engine", "ui", "train", "compare", "sample", "verdict"} <= {
        v.name for v in VERBS
    }
    for verb in VERBS:
        with pytest.raises(SystemExit) as ended:
            parser(verb.name).parse_args([verb.name, "--help"])
        assert ended.value.code == 0
        shown = capsys.readouterr().out
        assert "--home" in shown
        assert "--json" in shown


def test_the_general_help_names_every_verb(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(verb.name in shown and verb.summary in " ".join(shown.split()) for verb in VERBS)


def test_samples_are_listed(home: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["samples", "--json", *home]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["file"].rpartition(".")[2] for one in listed} == {"csv", "json", "jsonl"}
    assert all(Path(one["file"]).is_file() for one in listed)


def test_validate_reports_and_keeps_nothing(good: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["validate", str(good), "--json", *home]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["usable_rows"], report["rejected_rows"], report["data_format"]) == (40, 0, "prompt_completion")
    assert not (tmp_path / "home").exists()


def test_validate_shows_the_line_of_a_bad_row(tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "x.jsonl"
    path.write_text(
        '{"prompt": "a", "completion": "b"}\n{"prompt": "c" "completion": "d"}\n{"prompt": "e", "completion": "f"}\n'
    )
    assert main(["validate", str(path), *home]) == 0
    assert "line 2" in capsys.readouterr().out.lower()


@pytest.mark.parametrize("name", ["missing.csv", "empty.csv"])
def test_a_wrong_file_is_one_clear_message(name: str, tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty.csv").touch()
    assert main(["validate", str(tmp_path / name), *home]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "Next:" in said.err
    assert "Traceback" not in said.err


def test_guessed_columns_must_be_confirmed(tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "faq.csv"
    path.write_text("User Question,Response\n" + "".join(f"question {n},answer {n}\n" for n in range(30)))
    assert main(["recommend", str(path), *home]) == 1
    assert "--column" in capsys.readouterr().err
    named = ["--column", "prompt=User Question", "--column", "completion=Response"]
    assert main(["recommend", str(path), *named, "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["method"] == "sl"


def test_recommend_gives_value_reason_and_source(good: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["recommend", str(good), "--method", "sl", "--model", "nano", "--json", *home]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["recipe"]["batch_size"] <= found["facts"]["train_rows"]
    assert all(one["reason"] and one["source"] for one in found["settings"])


def test_one_row_is_refused_with_a_next_step(tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "one.csv"
    path.write_text("prompt,completion\nhello,world\n")
    assert main(["train", str(path), *home]) == 1
    assert "Next:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "named"), [("learning_rate=fast", "learning_rate"), ("no_such=1", "no_such"), ("batch_size", "--set")]
)
def test_a_wrong_setting_is_named(setting: str, named: str, good: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["train", str(good), "--set", setting, *home]) == 1
    assert named in capsys.readouterr().err


def test_unknown_run_and_model_are_named(good: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "run-nosuchrun0000000", *home]) == 1
    assert main(["recommend", str(good), "--model", "nobody/knows", *home]) == 1
    said = capsys.readouterr().err
    assert "run-nosuchrun0000000" in said
    assert "nobody/knows" in said


def test_a_verdict_from_a_file(tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    # 8 wins of 8: E = 2^8 / 9, and still too early to name a winner.
    items = [{"prompt_id": f"p{n}", "rater": "ana", "choice": "left", "tuned_side": "left"} for n in range(8)]
    path = tmp_path / "votes.json"
    path.write_text(json.dumps({"items": items}))
    assert main(["verdict", str(path), "--json", *home]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["win_rate"] == 1.0
    assert found["evidence"] == pytest.approx(2**8 / 9, rel=1e-12)
    assert found["n_items"] == 8
    assert found["state"] == "too_early"


def test_broken_votes_are_named_by_place(tmp_path: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "votes.json"
    path.write_text(json.dumps({"items": [{"prompt_id": "p", "rater": "a", "choice": "up", "tuned_side": "left"}]}))
    assert main(["verdict", str(path), *home]) == 1
    assert "items[0].choice" in capsys.readouterr().err


def test_runs_are_empty_at_first_and_say_how_to_begin(home: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["runs", *home]) == 0
    assert "tuning-fork train" in capsys.readouterr().out


def test_python_m_studio_is_the_same_program(home: list[str]):
    shown = subprocess.run(
        [sys.executable, "-m", "studio", "samples", "--json", *home], cwd=ROOT, capture_output=True, check=True
    )
    assert len(json.loads(shown.stdout)) >= 3


def test_a_home_that_cannot_be_written_is_said(tmp_path: Path, good: Path, capsys: pytest.CaptureFixture[str]):
    blocker = tmp_path / "file"
    blocker.touch()
    assert main(["runs", "--home", str(blocker / "home")]) == 1
    assert "--home" in capsys.readouterr().err
