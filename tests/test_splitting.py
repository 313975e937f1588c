"""``split`` and ``mix`` in the terminal: what is written can be loaded and mixed again, and nothing else stays behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio import data
from studio.cli import main

WRITTEN = {"train.parquet", "validation.parquet", "test.parquet", "dataset.json", "DATA_CARD.md"}


def table(path: Path, topic: str, number: int = 60) -> Path:
    rows = (f'"Question {n} about {topic}, please","Answer {n}",user {n // 4},{"ab"[n % 5 == 0]},{n}\n' for n in range(number))
    path.write_text("prompt,completion,user,label,level\n" + "".join(rows))
    return path


def document(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out)


def test_split_writes_the_parts_and_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main(["split", str(table(tmp_path / "cats.csv", "cats")), "--out", str(out), "--json"]) == 0
    told = document(capsys)
    assert {file.name for file in out.iterdir()} == WRITTEN
    dataset = data.load(out)
    assert dataset.plan.name == "70/20/10"
    assert told["rows"] == {"train": dataset.train.rows, "validation": dataset.validation.rows, "test": dataset.test.rows}
    assert sum(told["rows"].values()) == 60
    assert told["card"]["test_seal"] == dataset.details["test_seal"]
    assert all(Path(file).is_file() for file in told["files"].values())
    assert (out / "DATA_CARD.md").read_text() == data.card(dataset).markdown
    assert str(tmp_path) not in (out / "dataset.json").read_text()


def test_split_for_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["split", str(table(tmp_path / "cats.csv", "cats")), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "none of them in two parts" in shown
    assert "DATA_CARD.md" in shown


@pytest.mark.parametrize("shares", [["--plan", "50/30/20"], ["--shares", "50", "30", "20"]])
def test_split_by_a_plan_of_ones_own(shares: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    wishes = ["--group", "user", "--stratify", "label", "--order", "level", "--no-near"]
    assert main(["split", str(table(tmp_path / "c.csv", "cats", 200)), "--out", str(out), *shares, *wishes, "--json"]) == 0
    plan = document(capsys)["card"]["split"]["plan"]
    assert (plan["train"], plan["validation"], plan["test"]) == (50, 30, 20)
    assert (plan["group"], plan["stratify"], plan["order"], plan["near"]) == ("user", "label", "level", False)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["--plan", "80/20"], "80/15/5"),
        (["--plan", "a/b/c"], "80/15/5"),
        (["--plan", "80/15/15"], "add up to 100"),
        (["--group", "nobody"], '"nobody"'),
    ],
)
def test_a_plan_that_cannot_work(wrong: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["split", str(table(tmp_path / "c.csv", "cats")), "--out", str(tmp_path / "out"), *wrong]) == 1
    said = capsys.readouterr().err
    assert named in said
    assert "Next:" in said
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_pairs_are_split_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "pairs.jsonl"
    pairs = ({"prompt": f"Which is better, {n}?", "chosen": f"Yes {n}", "rejected": "No"} for n in range(40))
    file.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    assert main(["split", str(file), "--out", str(tmp_path / "out"), "--json"]) == 0
    assert document(capsys)["card"]["form"]["training"] == "DPO"
    assert {row.rejected for row in data.rows(tmp_path / "out" / "train.parquet")} == {"No"}


def test_guessed_columns_must_be_confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "faq.csv"
    file.write_text("User Question,Response\n" + "".join(f"question {n},answer {n}\n" for n in range(30)))
    assert main(["split", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "--column" in capsys.readouterr().err
    named = ["--column", "prompt=User Question", "--column", "completion=Response"]
    assert main(["split", str(file), "--out", str(tmp_path / "out"), *named]) == 0


def test_a_split_can_be_made_again_in_its_folder(tmp_path: Path):
    out, file = tmp_path / "out", table(tmp_path / "cats.csv", "cats")
    assert main(["split", str(file), "--out", str(out)]) == 0
    first = (out / "dataset.json").read_text()
    assert main(["split", str(file), "--out", str(out), "--plan", "50/25/25"]) == 0
    assert (out / "dataset.json").read_text() != first
    assert data.load(out).plan.train == 50


def test_somebody_elses_files_are_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    out.mkdir()
    (out / "train.parquet").write_text("mine")
    assert main(["split", str(table(tmp_path / "cats.csv", "cats")), "--out", str(out)]) == 1
    assert "another folder" in capsys.readouterr().err
    assert (out / "train.parquet").read_text() == "mine"


def test_files_and_folders_are_mixed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cats, earlier = table(tmp_path / "cats.csv", "cats"), tmp_path / "earlier"
    assert main(["split", str(table(tmp_path / "dogs.csv", "dogs", 80)), "--out", str(earlier)]) == 0
    capsys.readouterr()
    out = tmp_path / "mixture"
    assert main(["mix", str(out), f"{cats}:2", "--replay", f"{earlier}:0.5", "--name", "Pets", "--json"]) == 0
    card = document(capsys)["card"]
    assert [(one["name"], one["weight"], one["replay"]) for one in card["mixture"]] == [("cats", 2, False), ("dogs", 0.5, True)]
    assert card["name"] == "Pets"
    dataset = data.load(out)
    learned = [row.prompt for row in data.rows(dataset.train.path)]
    held_out = {row.prompt for part in ("validation", "test") for row in data.rows(earlier / f"{part}.parquet")}
    assert not held_out & set(learned)
    assert any("dogs" in prompt for prompt in learned)
    assert not [file for file in out.iterdir() if file.name.startswith(".")]


def test_a_name_with_a_colon_is_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = table(tmp_path / "a:2", "cats")
    assert main(["mix", str(tmp_path / "out"), str(file), "--json"]) == 0
    assert document(capsys)["card"]["mixture"][0]["weight"] == 1


def test_what_does_not_go_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"prompt": f"p{n}", "chosen": "a", "rejected": "b"}) + "\n" for n in range(30)))
    assert main(["mix", str(tmp_path / "out"), str(table(tmp_path / "cats.csv", "cats")), str(pairs)]) == 1
    said = capsys.readouterr().err
    assert "cannot be trained on together" in said
    assert "Next:" in said
