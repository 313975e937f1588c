"""Tables that are pasted: from a spreadsheet, a web page, a terminal, an editor."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio.data.sources import pasted as pasting
from studio.data.sources.packing import packing_of, records_of
from studio.data.sources.pasted import pasted
from studio.data.sources.source import survey
from studio.errors import DataError

ROWS = [("What is 2 + 2?", "It is 4."), ("Say hi", "Hi, you")]


def csv_rows(path):
    return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))


def test_cells_from_a_spreadsheet(tmp_path):
    text = 'prompt\tcompletion\nWhat is 2 + 2?\t"It is\n""4""."\nSay "hi"\tHi, you\n'
    source = survey(pasted(text, tmp_path / "new"), pasting.NAME, tmp_path)
    packing = packing_of(source)
    assert packing.delimiter == "\t"
    assert [line for line, reason, _ in records_of(source, packing) if reason is None] == [2, 4]


@pytest.mark.parametrize(
    "text",
    [
        "| prompt | completion |\n|---|---|\n| What is 2 + 2? | It is 4. |\n| Say hi | Hi, you |\n",
        "prompt | completion\n--- | ---:\nWhat is 2 + 2? | It is 4.\nSay hi | Hi, you",
        "  |prompt|completion|  \n  |:--|:-:|\n  |What is 2 + 2?|It is 4.|\n  |Say hi|Hi, you|\n\n",
        "+----+----+\n| prompt | completion |\n+----+----+\n| What is 2 + 2? | It is 4. |\n| Say hi | Hi, you |\n+----+----+\n",
        " prompt | completion \n--------+------------\n What is 2 + 2? | It is 4.\n Say hi | Hi, you\n(2 rows)\n",
        "```markdown\n| prompt | completion |\n|---|---|\n| What is 2 + 2? | It is 4. |\n| Say hi | Hi, you |\n```",
    ],
)
def test_drawn_tables(tmp_path, text):
    assert csv_rows(pasted(text, tmp_path)) == [["prompt", "completion"], *map(list, ROWS)]


def test_strokes_and_breaks_inside_cells(tmp_path):
    text = 'prompt | completion\n---|---\na \\| b, "c" | one<br>two\n'
    assert csv_rows(pasted(text, tmp_path))[1] == ['a | b, "c"', "one\ntwo"]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"prompt": "a | b", "completion": "---"}]),
        '{"prompt": "a"}\n{"prompt": "b"}\n',
        "prompt,completion\na,b\n---,---\n",
        "prompt|completion\na|b\nc|d\n",
        "prompt;completion\n\n\na;b",
    ],
)
def test_everything_else_is_written_as_it_is(tmp_path, text):
    assert pasted(text, tmp_path).read_bytes() == text.encode()
    assert pasted(f"```json\n{text}\n```\n", tmp_path).read_bytes() == text.encode()


def test_nothing_and_too_much(tmp_path, monkeypatch):
    for text in ("", " \n\t ", "\ufeff"):
        with pytest.raises(DataError, match="Nothing was pasted"):
            pasted(text, tmp_path)
    monkeypatch.setattr(pasting, "MOST_CHARACTERS", 100)
    with pytest.raises(DataError, match="101 characters") as refused:
        pasted("x" * 101, tmp_path)
    assert "file" in refused.value.next_step


def test_half_characters_do_no_harm(tmp_path):
    assert pasted("prompt,completion\na,\ud800\n", tmp_path).read_bytes() == b"prompt,completion\na,?\n"


cells = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="|\\<\x85"), max_size=12).map(
    str.strip
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(cells, cells).filter(any), min_size=1, max_size=6), st.booleans())
def test_any_markdown_table_comes_back(tmp_path_factory, rows, outer):
    edge = "|" if outer else ""
    lines = [f"{edge} {ask} | {answer} {edge}".strip() if outer else f"{ask} | {answer}" for ask, answer in rows]
    text = "\n".join([f"{edge}prompt | completion{edge}", f"{edge}---|---{edge}", *lines])
    assert csv_rows(pasted(text, tmp_path_factory.mktemp("p")))[1:] == [list(row) for row in rows]
