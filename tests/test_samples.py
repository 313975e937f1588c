"""The sample data sets: there, unique, balanced, and the same whenever they are made again."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter

import pytest

from studio.engine.nano.make_samples import concise_pairs, write_samples
from studio.engine.nano.measure import read_pairs
from studio.engine.nano.sample_concise import does_what_was_asked
from studio.engine.nano.sample_piglatin import pig_latin
from studio.errors import NotFoundError
from studio.samples import sample, samples


def test_the_tickets_come_first_and_all_three_formats_are_shown():
    found = samples()
    assert found[0].name == "support_tickets"
    assert [one.file.suffix for one in found if one.method == "sl"] == [".csv", ".json", ".jsonl"]
    assert all(one.file.is_file() and one.title and one.description and one.goal for one in found)


@pytest.mark.parametrize("one", [one for one in samples() if one.method == "sl"], ids=lambda one: one.name)
def test_prompts_are_unique_and_answers_full(one):
    pairs = read_pairs(one.file)
    assert 400 <= len(pairs) <= 700
    assert len({pair.prompt for pair in pairs}) == len(pairs)
    assert all(pair.prompt.strip() == pair.prompt and pair.answer.strip() == pair.answer and pair.answer for pair in pairs)
    assert str(len(pairs)) in one.description


def test_every_ticket_record_can_be_read_from_its_message():
    wanted = ["customer", "order", "product", "problem", "wants"]
    problems, wishes = Counter[str](), Counter[str]()
    for pair in read_pairs(sample("support_tickets").file):
        record = json.loads(pair.answer)
        assert list(record) == wanted
        assert all(record[key].lower() in pair.prompt.lower() for key in ("customer", "order", "product"))
        problems[record["problem"]] += 1
        wishes[record["wants"]] += 1
    assert len(problems) == 6
    assert len(wishes) == 5
    assert min(problems.values()) > 50
    assert min(wishes.values()) > 40


def test_both_replies_promise_what_was_asked_and_one_is_much_shorter():
    with sample("concise").file.open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = concise_pairs()
    assert [(pair.prompt, pair.chosen, pair.rejected) for pair in pairs] == [tuple(row.values()) for row in rows]
    assert len({pair.prompt for pair in pairs}) == len(pairs) == 540
    assert "540" in sample("concise").description
    for pair in pairs:
        assert does_what_was_asked(pair.fields, pair.chosen)
        assert does_what_was_asked(pair.fields, pair.rejected)
        assert pair.chosen in pair.rejected
        assert len(pair.chosen) < 0.75 * len(pair.rejected)
    assert min(Counter(pair.fields["wish"] for pair in pairs).values()) > 60


def test_a_reply_that_promises_something_else_or_miscopies_is_not_what_was_asked():
    fields = {"wish": "repair", "product": "red kettle", "number": "A-12"}
    assert does_what_was_asked(fields, "We will repair the red kettle.")
    assert not does_what_was_asked(fields, "We will repair the blue kettle.")
    assert not does_what_was_asked(fields, "You will get a refund for the red kettle.")
    assert not does_what_was_asked(fields, "We will repair the red kettle, or a refund is on its way.")
    assert not does_what_was_asked(fields, "")


def test_letters_keep_the_house_style():
    for pair in read_pairs(sample("casual_to_formal").file):
        greeting, body, closing = pair.answer.split("\n\n")
        assert greeting.startswith("Dear ")
        assert greeting.endswith(",")
        assert body[0].isupper()
        assert body[-1] in ".?"
        assert closing.startswith("Kind regards,\n")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("cat", "atcay"), ("apple", "appleway"), ("string", "ingstray"), ("queen", "eenquay"), ("my", "ymay"), ("you", "ouyay")],
)
def test_pig_latin(word, expected):
    assert pig_latin(word) == expected


def test_the_files_are_what_the_program_makes(tmp_path):
    write_samples(tmp_path)
    for one in samples():
        assert (tmp_path / one.file.name).read_bytes() == one.file.read_bytes()


def test_tasks_for_practice_have_one_right_number_and_both_ends_are_asked_for():
    rows = [json.loads(line) for line in sample("arithmetic").file.read_text().splitlines()]
    assert len({row["prompt"] for row in rows}) == len(rows) == 600
    wanted = Counter[str]()
    for row in rows:
        numbers = [int(found) for found in re.findall(r"\d+", row["prompt"])]
        end = "largest" if "largest" in row["prompt"] else "smallest"
        wanted[end] += 1
        assert len({number // 10 for number in numbers}) == len(numbers) in (3, 4)
        assert row["ground_truth"] == str(max(numbers) if end == "largest" else min(numbers))
    assert min(wanted.values()) > 250


def test_a_sample_for_a_teacher_brings_the_prompt_that_is_to_be_baked_in():
    one = sample("school")
    rows = [json.loads(line) for line in one.file.read_text().splitlines()]
    assert len({row["prompt"] for row in rows}) == len(rows) == 500
    assert "JSON" in one.settings["teacher_prompt"]
    assert not any("JSON" in row["prompt"] or row["completion"].startswith("{") for row in rows)


def test_an_unknown_sample_names_those_there_are():
    with pytest.raises(NotFoundError, match="support_tickets"):
        sample("nothing")
