"""Whether the first line of a table names its columns: decided from the text, and the person has the last word."""

from __future__ import annotations

import dataclasses

import pytest

from studio import data
from studio.data.staging import fixes
from studio.data.types import Fix, Reading
from studio.errors import DataError

NAMELESS = "".join(f"How do I reset device {number}?,Hold the button {number} s.\n" for number in range(12))
#: Names that look like a row, and a row that looks like names.
SENTENCES = "What did they ask?,What was said.\nHow do I open it?,Pull the lid.\nHow do I close it?,Push the lid.\n"
SHORT = "Hi,Hello\nBye,So long\nThanks,You are welcome\n"
CHOSEN = {"prompt": "Column 1", "completion": "Column 2"}


def test_a_first_line_of_data_can_be_said_to_be_names(desk):
    guessed = desk(SENTENCES).inspection
    assert (guessed.header, guessed.rows_total, guessed.columns) == (False, 3, ("Column 1", "Column 2"))
    said = desk(SENTENCES, reading=Reading(header=True)).inspection
    assert (said.header, said.rows_total, said.columns) == (True, 2, ("What did they ask?", "What was said."))
    assert "no_header" not in {finding.code for finding in said.findings}


def test_a_first_line_of_names_can_be_said_to_be_data(desk):
    guessed = desk(SHORT).inspection
    assert (guessed.header, guessed.rows_total, guessed.columns) == (True, 2, ("Hi", "Hello"))
    said = desk(SHORT, reading=Reading(header=False, mapping=CHOSEN))
    assert (said.inspection.header, said.inspection.rows_total) == (False, 3)
    assert said.rows[0] == (1, "Hi", "Hello")
    told = next(finding for finding in said.inspection.findings if finding.code == "no_header")
    assert (told.severity, told.fixes) == ("info", ())


def test_known_names_still_tell_the_separator_when_they_are_said_to_be_data(desk):
    text = "prompt;completion\n" + "".join(f"One, two, {number}?;Three, four, {number}.\n" for number in range(9))
    said = desk(text, reading=Reading(header=False, mapping=CHOSEN))
    assert said.inspection.delimiter == ";"
    assert said.rows[0] == (1, "prompt", "completion")
    assert said.inspection.rows_total == 10


def test_an_empty_last_cell_of_the_first_row_costs_no_column(desk):
    text = "Hello,Hi,\nHow are you?,Fine.,polite\nBye,So long,\n"
    said = desk(text, reading=Reading(header=False)).inspection
    assert said.columns == ("Column 1", "Column 2", "Column 3")


def test_both_ways_of_reading_agree(desk, tmp_path, monkeypatch):
    from studio.data.reading import plain

    reading = Reading(header=False, mapping=CHOSEN)
    direct = desk(SHORT * 400, reading=reading).rows
    monkeypatch.setattr(plain, "records", lambda *_: None)
    assert desk(SHORT * 400, reading=reading).rows == direct
    assert direct[0] == (1, "Hi", "Hello")


def test_the_findings_offer_the_other_reading(desk):
    nameless = next(one for one in desk(NAMELESS).inspection.findings if one.code == "no_header")
    assert [offer.fix for offer in nameless.fixes] == [Fix("header", "names")]
    unknown = next(one for one in desk(SHORT).inspection.findings if one.code == "columns_not_recognised")
    assert [(offer.fix, offer.label, offer.ask) for offer in unknown.fixes] == [
        (Fix("header", "data"), "The first line is the first row", True)
    ]


def test_the_last_word_about_the_first_line_counts(desk):
    reading = Reading()
    for word in ("names", "data", "names"):
        reading = fixes.fixed(reading, Fix("header", word))
    assert reading.fixes == (Fix("header", "names"),)
    assert desk(NAMELESS, reading=reading).inspection.rows_total == 11
    # The columns have other names now, so those that were chosen before mean nothing.
    mapped = dataclasses.replace(reading, mapping=CHOSEN, kind="prompt_completion")
    again = fixes.fixed(mapped, Fix("header", "data"))
    assert (again.mapping, again.kind) == (None, None)
    # Another encoding is another word about the same thing, too, but the columns stay.
    encoded = fixes.fixed(
        fixes.fixed(dataclasses.replace(mapped, fixes=()), Fix("encoding", "cp1250")), Fix("encoding", "cp1252")
    )
    assert (encoded.fixes, encoded.mapping) == ((Fix("encoding", "cp1252"),), CHOSEN)


def test_a_first_line_is_names_or_data_and_nothing_else():
    with pytest.raises(DataError):
        fixes.fixed(Reading(), Fix("header", "perhaps"))


def test_the_first_look_heeds_it_too(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text(SHORT)
    assert data.peek(path, "short.csv").columns == ("Hi", "Hello")
    said = data.peek(path, "short.csv", fixes.fixed(Reading(), Fix("header", "data")))
    assert said.columns == ("Column 1", "Column 2")
    assert said.rows[0] == ("Hi", "Hello")


def test_what_is_no_table_has_no_first_line(desk):
    assert desk('{"prompt": "a", "completion": "b"}\n' * 3, "x.jsonl").inspection.header is None
