"""Looking at the stage: what a person searches, filters and counts."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from studio import data
from studio.data.desk import CELL, PAGE, Look, figures, next_usable, page, row_at, whole
from studio.errors import NotFoundError
from studio.histograms import BARS


def csv(rows, header="prompt,completion"):
    return header + "\n" + "".join(",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\n" for row in rows)


@pytest.fixture
def look(desk):
    """Inspects rows and gives a function from the fields of a ``Look`` to the page."""

    def make(rows, header="prompt,completion", **options):
        found = desk(csv(rows, header), **options).inspection
        return found, lambda **fields: page(found, Look(**fields))

    return make


def lines(shown):
    return [line.line for line in shown.lines]


MANY = [(f"What is number {i}?", f"It is {i}.") for i in range(60)]


def test_pages_follow_the_order_of_the_file_and_never_run_off_the_end(look):
    _, seen = look(MANY)
    assert (seen().matched, seen().pages, len(seen().lines)) == (60, 3, PAGE)
    assert lines(seen(page=3)) == list(range(52, 62))
    assert lines(seen(page=99)) == lines(seen(page=3))
    assert lines(seen(page=-4)) == lines(seen())


def test_line_numbers_are_those_of_an_editor_behind_cells_of_several_lines(look):
    found, seen = look([("one\ntwo", "three"), ("four", "five\n\nsix"), ("seven", "eight"), ("nine", "ten")])
    assert lines(seen()) == [2, 4, 7, 8]
    assert lines(seen(text="seven")) == [7]
    assert [row_at(found, line) for line in (1, 2, 3, 6, 7, 400)] == [None, 0, 0, 1, 2, 3]


@pytest.mark.parametrize("text", ["it's", "100 %", "_under", 'say "yes"', "ÉTÉ", "a\\b", "'; DROP TABLE hits; --", "[a-z]+"])
def test_a_search_takes_every_letter_as_it_is(look, text):
    rows = [(f"before {text.swapcase()} behind", "yes"), ("nothing of it", "no"), ("axb", "AxB under 100")]
    _, seen = look(rows)
    assert lines(seen(text=f"  {text} ")) == [2]


def test_a_search_looks_into_rows_that_were_set_aside(look):
    _, seen = look([*MANY[:3], ("", "an answer to nothing")])
    assert lines(seen(text="to nothing")) == [5]
    assert seen(text="to nothing").lines[0].reason == "empty_value"


def test_rows_are_filtered_by_use_and_by_finding(look):
    found, seen = look([*MANY[:5], ("", "no question"), ("no answer", ""), MANY[0]])
    assert lines(seen(show="aside")) == [7, 8]
    assert seen(show="usable").matched == 6
    for finding in found.findings:
        if finding.lines:
            assert seen(finding=finding.code).matched == finding.count, finding.code
    assert seen(finding="no_such_thing").matched == 0


def test_rows_can_be_named_one_by_one_for_a_finding_the_stage_does_not_know(look):
    found, _ = look(MANY)
    assert lines(page(found, Look(finding="too_long"), {"too_long": (3, 5)})) == [5, 7]
    assert page(found, Look(finding="too_long"), {"too_long": ()}).matched == 0


def test_what_looks_like_nothing_shows_nothing(look):
    _, seen = look(MANY)
    for like in ("copies", "copies:", "copies:x", "raw:1", "x99999:1", "near:1", "copies:1; DROP", "copies:" + "9" * 30):
        assert seen(like=like).matched == 0, like


def test_copies_and_labels_lead_to_their_rows(look):
    rows = [(f"Question {i}", "yes" if i % 3 else "no", "de" if i % 2 else "en") for i in range(30)]
    found, seen = look([*rows, rows[4], rows[4], rows[7]], "prompt,completion,language")
    drawn = figures(found)
    assert drawn.exact == 2
    exact = [cluster for cluster in drawn.copies if not cluster.near]
    assert [(cluster.count, cluster.first_line) for cluster in exact] == [(3, 6), (2, 9)]
    assert lines(seen(like=exact[0].like)) == [6, 32, 33]
    answers = next(labels for labels in drawn.labels if labels.column == "completion")
    assert [(label.text, label.count) for label in answers.values] == [("yes", 23), ("no", 10)]
    assert seen(like=answers.values[0].like).matched == 23
    languages = next(labels for labels in drawn.labels if labels.column == "x0")
    assert seen(like=languages.values[0].like).matched == languages.values[0].count


def test_answers_that_are_sentences_are_no_labels(look):
    found, _ = look([(f"Question {i}", "Yes. " * 40) for i in range(30)])
    assert not [labels for labels in figures(found).labels if labels.column == "completion"]


@pytest.mark.parametrize("longest", [1, 2, 7, 99, 1_000, 50_000])
def test_a_histogram_counts_every_usable_row_once(look, longest):
    rows = [("q" * (1 + i * longest // 20), f"a{i}") for i in range(21)]
    found, _ = look([*rows, ("", "x")])
    bars = figures(found).prompt
    assert sum(bar.count for bar in bars) == found.rows_usable
    assert len(bars) <= BARS + 1
    assert bars[-1].high == found.lengths.prompt.max
    assert all(one.high + 1 == other.low for one, other in pairwise(bars))
    for bar in bars:
        assert bar.count == sum(bar.low <= len(prompt) <= bar.high for prompt, _ in rows)


def test_a_page_is_small_and_a_row_is_whole(look):
    found, seen = look([("x" * 20_000, "y"), *MANY])
    cell = seen().lines[0].cells[0]
    assert (len(cell.text), cell.length) == (CELL, 20_000)
    row = whole(found, 0)
    assert dict(row.texts)["prompt"].text == "x" * 20_000
    with pytest.raises(NotFoundError):
        whole(found, 12_345)


def test_other_columns_come_along(look):
    found, seen = look([(f"q{i}", f"a{i}", f"c{i}") for i in range(5)], "prompt,completion,customer")
    assert found.extras == ("customer",)
    assert seen().columns[-1] == "x0"
    assert seen().lines[2].cells[-1].text == "c2"
    assert dict(whole(found, 2).texts)["x0"].text == "c2"


def test_a_conversation_is_whole_with_its_turns(desk):
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]
    found = desk("".join(json.dumps({"messages": turns}) + "\n" for _ in range(4)), "chat.jsonl").inspection
    assert [turn.role for turn in whole(found, 1).messages] == ["user", "assistant"]


def test_the_next_usable_row_skips_what_was_set_aside(look):
    found, _ = look([("a", "b"), ("", "c"), ("", "d"), ("e", "f")])
    assert next_usable(found, 0) == 3
    assert next_usable(found, 3, -1) == 0
    assert next_usable(found, 3) is None
    assert next_usable(found, -1) == 0


def test_parts_can_be_looked_at_but_not_the_sealed_one(look):
    found, seen = look(MANY)
    assert seen(part="train").matched == 0
    made = data.split(found)
    assert seen(part="train").matched == made.train.rows
    assert seen(part="validation").matched == made.validation.rows
    # Nobody looks at the sealed part before the comparison: asking for it is asking for nothing special.
    assert seen(part="test").matched == 60


def test_a_stage_that_is_gone_is_said_to_be_gone(look):
    found, seen = look(MANY)
    (found.folder / "stage.parquet").unlink()
    with pytest.raises(NotFoundError):
        seen()


def test_rows_that_an_earlier_version_laid_out_are_said_to_be_so(look):
    found, seen = look(MANY)
    (found.folder / "stage.json").write_text('{"lines": "one"}')
    with pytest.raises(NotFoundError, match="earlier version"):
        seen()
