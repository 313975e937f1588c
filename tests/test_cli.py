"""The terminal: exit status, one JSON document, messages with a next step. Runs themselves are tested in tests/runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
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


CONTRACT = {
    *("outcome", "container", "encoding", "delimiter", "data_format", "training_type", "usable_rows", "rejected_rows"),
    *("reasons", "problem_lines", "duplicate_rows", "warnings", "findings"),
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def pairs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"Question {n}?", "chosen": f"Good {n}", "rejected": f"Bad {n}"} for n in range(20)]
    return write(tmp_path / "pairs.jsonl", *rows)


def test_validate_keeps_its_contract_for_every_outcome(
    good: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    aside = tmp_path / "aside.csv"
    aside.write_text(good.read_text() + "no answer,\n")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "odd.csv").write_text("alpha,beta\n1,2\n")
    for file, outcome, status in (
        (good, "accepted", 0),
        (aside, "accepted_with_warnings", 0),
        (tmp_path / "empty.csv", "rejected", 1),
        (tmp_path / "odd.csv", "rejected", 1),
    ):
        assert main(["validate", str(file), "--json", *home]) == status
        report = json.loads(capsys.readouterr().out)
        assert set(report) >= CONTRACT
        assert report["outcome"] == outcome
    assert main(["validate", str(aside), "--json", *home]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["reasons"], report["problem_lines"], report["warnings"]) == ({"empty_value": 1}, [42], ["rows_rejected"])


def test_a_file_that_is_too_big_is_rejected_in_the_words_of_the_contract(
    good: Path, home: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("STUDIO_PATH_LIMIT_MB", "1")
    good.write_text(good.read_text() + "More?,Yes\n" * 120_000)
    assert main(["validate", str(good), "--json", *home]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["findings"][0]["code"]) == ("rejected", "too_big")
    assert "STUDIO_PATH_LIMIT_MB" in report["findings"][0]["next_step"]


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("missing.csv", [], "no such file"),
        (".", [], "folder"),
        ("good.csv", ["--column", "prompt"], "does not name a column"),
        ("good.csv", ["--column", "prompt=nowhere", "--column", "completion=completion"], "no column 'nowhere'"),
        ("good.csv", ["--encoding", "klingon"], "klingon"),
    ],
)
def test_whatever_keeps_a_file_from_being_read_is_told_in_the_words_of_the_contract(
    good: Path, home: list[str], capsys: pytest.CaptureFixture[str], name: str, more: list[str], words: str
):
    assert main(["validate", str(good.parent / name), "--json", *more, *home]) == 1
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert set(report) >= CONTRACT
    assert report["outcome"] == "rejected"
    assert words in report["findings"][0]["message"]
    assert err == ""


def test_the_first_line_can_be_said_to_be_data(home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "short.csv").write_text("Hi,Hello\nBye,So long\n")
    said = ["--header", "data", "--column", "prompt=Column 1", "--column", "completion=Column 2"]
    assert main(["validate", str(tmp_path / "short.csv"), "--json", *said, *home]) == 0
    assert json.loads(capsys.readouterr().out)["usable_rows"] == 2


def test_validate_writes_the_usable_rows(good: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    good.write_text(good.read_text() + "no answer,\n")
    out = tmp_path / "rows.jsonl"
    assert main(["validate", str(good), "--json", "--rows", str(out), *home]) == 0
    json.loads(capsys.readouterr().out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert rows == [{"prompt": f"Question {n}, please", "completion": f"Answer {n}"} for n in range(40)]
    (tmp_path / "odd.csv").write_text("alpha,beta\n1,2\n")
    assert main(["validate", str(tmp_path / "odd.csv"), "--json", "--rows", str(tmp_path / "none.jsonl"), *home]) == 1
    assert not (tmp_path / "none.jsonl").exists()


def test_a_rows_file_that_cannot_be_written_is_said(
    good: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["validate", str(good), "--json", "--rows", str(tmp_path / "none" / "rows.jsonl"), *home]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert json.loads(said.err)["error"]["next_step"]


def test_validate_holds_a_file_against_a_method(
    good: Path, home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["validate", str(good), "--json", "--method", "sl", *home]) == 0
    report = json.loads(capsys.readouterr().out)
    (few,) = [finding for finding in report["findings"] if finding["code"] == "few_for_method"]
    assert "40 examples" in few["message"]
    assert report["outcome"] == "accepted"
    assert main(["validate", str(good), "--json", "--method", "dpo", *home]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["training_type"]) == ("rejected", "SL")
    assert report["findings"][-1]["code"] == "training_type_mismatch"
    assert main(["validate", str(pairs(tmp_path)), "--json", "--method", "dpo", *home]) == 0
    assert json.loads(capsys.readouterr().out)["training_type"] == "DPO"


def test_pairs_are_read_and_can_be_learned_from_as_examples(
    home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = pairs(tmp_path)
    assert main(["validate", str(file), *home]) == 0
    assert "preference" in capsys.readouterr().out
    assert main(["recommend", str(file), *home]) == 1
    said = capsys.readouterr().err
    assert "supervised learning (SL) cannot learn from" in said
    assert "--fix better_answers" in said
    assert main(["recommend", str(file), "--fix", "better_answers", "--json", *home]) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["method"] == "sl"
    out = tmp_path / "rows.jsonl"
    assert main(["validate", str(file), "--json", "--fix", "better_answers", "--rows", str(out), *home]) == 0
    assert json.loads(capsys.readouterr().out)["training_type"] == "SL"
    assert json.loads(out.read_text().splitlines()[0]) == {"prompt": "Question 0?", "completion": "Good 0"}


def test_questions_for_a_grader_say_how_to_learn_from_their_answers(
    home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file = write(
        tmp_path / "rl.jsonl", *[{"question": f"{n} + 1?", "answer": f"{n} + 1 = {n + 1} #### {n + 1}"} for n in range(20)]
    )
    assert main(["validate", str(file), "--json", *home]) == 0
    training = json.loads(capsys.readouterr().out)["training_type"]
    status = main(["recommend", str(file), *home])
    said = capsys.readouterr().err
    if training == "SL":
        assert status == 0
        return
    assert status == 1
    hint = said[said.index("add: ") + 5 :].split(". Or ")[0].split()
    assert main(["recommend", str(file), *hint, *home]) == 0


def test_an_encoding_that_is_named_is_used(home: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "polish.csv"
    rows = "".join(f"Gdzie jest paczka {n}? Proszę,Będzie jutro; źródło {n}\n" for n in range(12))
    file.write_bytes(f"prompt,completion\n{rows}".encode("cp1250"))
    out = tmp_path / "rows.jsonl"
    assert main(["validate", str(file), "--json", "--encoding", "cp1250", "--rows", str(out), *home]) == 0
    assert json.loads(capsys.readouterr().out)["encoding"] == "cp1250"
    assert json.loads(out.read_text().splitlines()[0])["completion"] == "Będzie jutro; źródło 0"


def test_an_interrupted_check_leaves_no_process_and_no_file(tmp_path: Path, home: list[str]):
    file = tmp_path / "large.csv"
    file.write_text("prompt,completion\n" + "".join(f"Question {n}?,Answer {n}\n" for n in range(1_000_000)))
    (tmp_path / "scratch").mkdir()
    command = [sys.executable, "-m", "studio", "validate", str(file), *home]
    terminal = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path / "scratch")},
        # A job in the background of a script ignores interrupts, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread of this process holds a lock that this needs
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "scratch").glob("*/datasets/*/work/rows/progress.json")):
        assert time.monotonic() < deadline
        assert terminal.poll() is None
        time.sleep(0.02)
    terminal.send_signal(signal.SIGINT)
    said = terminal.communicate(timeout=30)
    assert terminal.returncode == 130
    assert "Traceback" not in said[1]
    assert not list((tmp_path / "scratch").iterdir())
    left = [
        one.pid for one in psutil.process_iter(["cmdline"]) if any(str(tmp_path) in word for word in one.info["cmdline"] or [])
    ]
    assert not [pid for pid in left if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def test_a_person_reads_what_is_wrong_and_what_to_do(good: Path, home: list[str], capsys: pytest.CaptureFixture[str]):
    good.write_text(good.read_text() + "no answer,\n" * 30)
    assert main(["validate", str(good), *home]) == 0
    said = capsys.readouterr().out
    assert "40 of 70 rows can be used: accepted with warnings." in said
    assert "and 22 more" in said
    assert "Next: " in said
    assert "CSV, utf-8" in said


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
