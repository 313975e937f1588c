"""The data card: the same facts twice, nothing of the rows, and nothing that Markdown could obey."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data import Ingredient
from studio.data.splitting.card import escaped

HOSTILE = "<script>alert('x')</script> | [a](http://evil.example) `x` # h *b* _i_"


def prepared(folder: Path, rows: list[dict], name: str = "rows.jsonl", plan: data.SplitPlan | None = None) -> data.Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "original.dat").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data.split(data.inspect(folder / "original.dat", name, folder / "dataset"), plan)


ROWS = [{"prompt": f"private question {n}", "completion": f"private answer {n}", "user": f"u{n % 20}"} for n in range(60)]


def test_the_card_says_what_was_done(tmp_path):
    plan = data.SplitPlan("p", 60, 20, 20, group="user")
    dataset = prepared(tmp_path, [*ROWS, ROWS[0], {"prompt": "", "completion": "x"}, {"prompt": "only"}], plan=plan)
    card = data.card(dataset)
    facts = json.loads(card.to_json())
    assert facts == card.facts
    assert facts["file"]["sha256"] == dataset.inspection.fingerprint
    assert facts["rows"]["set_aside_by_reason"] == {"empty_value": 1, "missing_field": 1}
    assert facts["rows"]["copies_left_out"] == 1
    assert sum(facts["split"]["rows"].values()) == 60
    assert facts["split"]["plan"]["group"] == "user"
    assert facts["test_seal"] == dataset.details["test_seal"]
    assert set(facts["sql"]) >= {"train", "validation", "test"}
    for word in (dataset.inspection.fingerprint, facts["test_seal"], "empty\\_value", "Rows with the same user", "duckdb"):
        assert word in card.markdown
    assert (dataset.folder / data.CARD).read_text("utf-8") == card.markdown


def test_nothing_of_the_rows_is_in_it(tmp_path):
    dataset = prepared(tmp_path, [*ROWS, ROWS[0], {"prompt": "private half"}])
    card = data.card(dataset)
    for text in (card.markdown, card.to_json()):
        assert "private" not in text
        assert str(tmp_path) not in text


def test_what_a_person_wrote_is_only_text(tmp_path):
    rows = [{**row, HOSTILE: "x"} for row in ROWS]
    plan = data.SplitPlan("p", 60, 20, 20, stratify=HOSTILE)
    markdown = data.card(prepared(tmp_path, rows, name=f"{HOSTILE}\n# mine.jsonl", plan=plan)).markdown
    # Below it stand the rules as code, in fences of their own.
    markdown = markdown.partition("## How it was made")[0]
    assert "<" not in markdown.replace("\\<", "")
    assert "[a](" not in markdown
    assert "\n# mine" not in markdown
    assert "http://" not in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (3, 4, 5, 6, 7) for line in tables)


def test_a_mixture_names_its_sources(tmp_path):
    one, two = prepared(tmp_path / "one", ROWS), prepared(tmp_path / "two", [{**r, "prompt": r["prompt"] + "!!"} for r in ROWS])
    mixed = data.mix(tmp_path / "mix", [Ingredient(one.folder, 2, "First"), Ingredient(two.folder, 0.5, "Second", replay=True)])
    card = data.card(mixed)
    assert [source["name"] for source in card.facts["mixture"]] == ["First", "Second"]
    assert "| Second | rows.jsonl | 0.5, replayed |" in card.markdown


def test_a_card_of_the_first_version(tmp_path):
    dataset = prepared(tmp_path, ROWS)
    details = {name: value for name, value in dataset.details.items() if name not in ("set_aside", "together", "strata")}
    (dataset.folder / "dataset.json").write_text(json.dumps(details))
    assert "Data card" in data.card(data.load(dataset.folder)).markdown


@given(st.text())
def test_escaped_text_is_one_line_without_marks(text):
    line = escaped(text)
    assert "\n" not in line
    bare = line.replace("\\\\", "")
    for mark in "<>[]`*_|#~":
        assert bare.count(mark) == bare.count(f"\\{mark}")


@pytest.mark.parametrize("text", ["1. one", "- one", "+ one", "# one", "> one", "=== ", "www.evil.example", "a@b.example"])
def test_nothing_begins_a_list_or_a_link(text):
    assert "\\" in escaped(text)
