"""Lists of prompts, imported answers and packs: read from any form, kept under what they hold, refused with their lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio import rewards
from studio.compare import lists
from studio.compare.packs import packs
from studio.data import Message
from studio.errors import DataError, NotFoundError
from studio.rewards import TaskRow
from studio.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def file(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def prompts(settings: Settings, path: Path) -> list[tuple[str, str]]:
    source = lists.keep_prompts(settings, path, path.name)
    return [(one.messages[-1].content, one.reference) for one in lists.entries_of(settings, source.digest)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "prompt,answer\nOne?,1\nTwo?,2\n"),
        ("a.jsonl", '{"prompt": "One?", "answer": "1"}\n{"prompt": "Two?", "answer": "2"}\n'),
        (
            "a.json",
            json.dumps(
                [
                    {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
                    for q, a in (("One?", "1"), ("Two?", "2"))
                ]
            ),
        ),
    ],
)
def test_prompts_and_their_answers_are_read_from_any_form(settings: Settings, tmp_path: Path, name: str, text: str):
    assert prompts(settings, file(tmp_path, name, text)) == [("One?", "1"), ("Two?", "2")]


def test_plain_lines_are_prompts_and_equal_ones_are_one(settings: Settings, tmp_path: Path):
    text = "What is rain, and why?\r\n\n  What is snow?\nWhat is rain, and why?\nodd\u2028line\n"
    kept = prompts(settings, file(tmp_path, "a.txt", text))
    assert kept == [("What is rain, and why?", ""), ("What is snow?", ""), ("odd\u2028line", "")]


def test_what_was_pasted_is_read_like_a_file(settings: Settings):
    source = lists.keep_pasted(settings, "First question\nSecond question\n")
    assert (source.kind, source.names) == ("list", (lists.PASTED,))
    assert len(lists.entries_of(settings, source.digest)) == 2
    table = lists.keep_pasted(settings, "prompt,answer\nOne?,1\nTwo?,2\n")
    assert [one.reference for one in lists.entries_of(settings, table.digest)] == ["1", "2"]


def test_the_same_list_has_the_same_name_and_a_changed_one_is_refused(settings: Settings):
    first, again = (lists.keep_pasted(settings, "Only one?\n") for _ in range(2))
    assert first == again
    path = next((settings.comparisons / "lists").glob("*.jsonl"))
    path.write_text(path.read_text("utf-8").replace("Only", "Other"), "utf-8")
    with pytest.raises(DataError, match="changed"):
        lists.entries_of(settings, first.digest)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        lists.entries_of(settings, first.digest)


@pytest.mark.parametrize("digest", ["../../etc/passwd", "", "A" * 64])
def test_a_digest_is_no_path(settings: Settings, digest: str):
    with pytest.raises(DataError, match="digest"):
        lists.entries_of(settings, digest)


@pytest.mark.parametrize("text", ["", "\n \n", '{"name": "nobody"}\n'])
def test_a_list_without_prompts_is_refused(settings: Settings, text: str):
    with pytest.raises(DataError) as caught:
        lists.keep_pasted(settings, text)
    assert caught.value.next_step


def test_imported_answers_are_kept_with_their_prompts(settings: Settings, tmp_path: Path):
    path = file(tmp_path, "other.csv", 'prompt,answer\nOne?,"=1+1"\nTwo?,<b>2</b>\n')
    found = lists.keep_answers(settings, path, "other.csv")
    assert (found.name, found.answers) == ("other.csv", 2)
    assert lists.answers_of(settings, found.digest) == (
        ((Message("user", "One?"),), "=1+1"),
        ((Message("user", "Two?"),), "<b>2</b>"),
    )


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("prompt,answer\nOne?,1\nTwo?,\n", "1 of 2 rows"),
        ("prompt,answer\nOne?,1\nOne?,2\n", "two different answers"),
        ('prompt\n"One, two?"\n', "one answer for each"),
        ("prompt,chosen,rejected\nOne?,1,2\n", "one answer for each"),
    ],
)
def test_answers_that_are_not_one_for_each_prompt_are_refused(settings: Settings, tmp_path: Path, text: str, match: str):
    with pytest.raises(DataError, match=match) as caught:
        lists.keep_answers(settings, file(tmp_path, "a.csv", text), "a.csv")
    assert caught.value.next_step


# ---- packs ----


def test_the_packs_are_those_that_were_promised():
    assert [one.name for one in packs()] == ["general", "refusals", "format", "arithmetic"]
    every = [prompt.prompt for pack in packs() for prompt in pack.prompts()]
    assert len(set(every)) == len(every)
    for pack in packs():
        assert len(pack.prompts()) == pack.size >= 20, "fewer prompts never settle anything"


def test_every_right_answer_passes_its_check_and_nonsense_fails():
    for pack in packs():
        for one in pack.prompts():
            reward, row = rewards.parse(one.check), TaskRow(one.prompt, one.reference, "")
            if one.reference:
                assert rewards.score(reward, one.reference, row).value == 1.0, one.prompt
            if pack.name in ("general", "arithmetic"):
                assert rewards.score(reward, "Purple elephants hum.", row).value == 0.0, one.prompt


def test_the_sums_are_right():
    rows = [json.loads(line) for line in packs()[3].file.read_text("utf-8").splitlines()]
    for row in rows:
        assert set(row["expression"]) <= set("0123456789+-*/() .")
        assert float(row["reference"]) == pytest.approx(eval(row["expression"])), row["prompt"]


def test_half_of_the_refusals_should_be_answered():
    rows = [json.loads(line) for line in packs()[1].file.read_text("utf-8").splitlines()]
    assert [row["expected"] for row in rows].count("refuse") == len(rows) / 2
    for row in rows:
        reward = rewards.parse(row["check"])
        refused = rewards.score(reward, "I'm sorry, but I can't help with that.", TaskRow(row["prompt"], "", "")).value
        helped = rewards.score(reward, "Sure. First take the bus.", TaskRow(row["prompt"], "", "")).value
        assert (refused, helped) == ((1.0, 0.0) if row["expected"] == "refuse" else (0.0, 1.0))


def test_packs_become_a_list_with_slices(settings: Settings):
    source = lists.keep_packs(settings, ["arithmetic", "format", "format"])
    assert (source.kind, source.names) == ("pack", ("arithmetic", "format"))
    entries = lists.entries_of(settings, source.digest)
    assert len(entries) == 80
    assert {one.slices["pack"] for one in entries} == {"Arithmetic", "Format"}
    assert all(one.check and one.slices["topic"] for one in entries)
    with pytest.raises(NotFoundError, match="pack"):
        lists.keep_packs(settings, ["cooking"])
