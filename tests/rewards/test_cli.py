"""``tuning-fork reward`` without a model: suggest, and try with answers that were typed."""

from __future__ import annotations

import json

import pytest

from studio import cli


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tasks.jsonl"
    rows = [{"prompt": f"What is {n} plus {n}?", "reference_answer": str(2 * n)} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def run(tmp_path, capsys):
    def act(*words):
        status = cli.main(["reward", *map(str, words), "--home", str(tmp_path / "home")])
        return status, *capsys.readouterr()

    return act


def test_a_suggestion_can_be_tried_as_it_is(run, file, tmp_path):
    status, suggestion, _ = run("suggest", file)
    assert status == 0
    assert "kind: number" in suggestion
    reward = tmp_path / "reward.yaml"
    reward.write_text(suggestion, encoding="utf-8")
    status, out, _ = run("try", reward, file, "--answer", "It is 1000", "--answer", "nothing", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["reward"] == {"kind": "number"}
    assert found["answers"] == 2
    assert [trial["score"]["value"] for trial in found["groups"][0]["trials"]] == [0, 0]
    assert found["flat_groups"] == 1
    assert "nothing to learn" in found["notes"][0]["sentence"]
    assert len(found["histogram"]) == 10
    assert not list((tmp_path / "home").glob("datasets/*"))


def test_a_reward_that_is_none_names_its_field(run, file, tmp_path):
    reward = tmp_path / "reward.yaml"
    reward.write_text("kind: regex\npattern: '('\n", encoding="utf-8")
    status, out, err = run("try", reward, file, "--answer", "x")
    assert status == 1
    assert out == ""
    assert err.startswith("pattern: ")
    assert "Next: " in err


@pytest.mark.parametrize("words", [("try", "one"), ("suggest", "a", "b"), ("try", "missing.yaml", "missing.csv")])
def test_a_wrong_command_says_what_to_write(run, words):
    status, _, err = run(*words)
    assert status == 1
    assert "Next: " in err
