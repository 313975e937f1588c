"""JSON in every form that people have, and what is repaired in it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studio import data
from studio.data.sources import json_records
from studio.data.sources.json_repair import repaired
from studio.data.sources.packing import packing_of, records_of
from studio.data.sources.source import survey

ROWS = [{"prompt": f'q{n}, [x] "y" {{', "completion": f"a{n}\n// no comment"} for n in range(12)]
PAIRS = [(row["prompt"], row["completion"]) for row in ROWS]
CHATS = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}] for n in range(12)]
NAMES = list(ROWS[0])
COLUMNS = {name: [row[name] for row in ROWS] for name in NAMES}
LISTS = [list(row.values()) for row in ROWS]
FORMS = {
    "array": (ROWS, "array"),
    "wrapped": ({"version": 1, "data": ROWS}, "wrapped"),
    "wrapped twice": ({"meta": {"n": 5, "tags": ["a"]}, "data": {"rows": ROWS}}, "wrapped"),
    "columns": (COLUMNS, "columns"),
    "wrapped columns": ({"data": COLUMNS}, "columns"),
    "pandas columns": ({name: {str(n): row[name] for n, row in enumerate(ROWS)} for name in NAMES}, "columns"),
    "pandas index": ({str(n): row for n, row in enumerate(ROWS)}, "index"),
    "named rows": ({f"row {n}": row for n, row in enumerate(ROWS)}, "index"),
    "pandas split": ({"columns": NAMES, "index": list(range(12)), "data": LISTS}, "split"),
    "pandas table": (
        {"schema": {"fields": [{"name": "prompt", "type": "string"}], "primaryKey": ["x"]}, "data": ROWS},
        "wrapped",
    ),
    "lists with a head": ([NAMES, *LISTS], "split"),
    "sheet": ({"range": "A1:B9", "values": [NAMES, *LISTS]}, "split"),
    "described columns": ({"fields": [{"name": name, "type": "string"} for name in NAMES], "rows": LISTS}, "split"),
    "viewer": (
        {"features": [{"name": name} for name in NAMES], "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)]},
        "wrapped",
    ),
    "search": (
        {"took": 1, "hits": {"total": 12, "hits": [{"_id": n, "_source": row} for n, row in enumerate(ROWS)]}},
        "wrapped",
    ),
    "two lists": ({"errors": [{"code": 1}], "items": ROWS, "more": ROWS[:2]}, "wrapped"),
    "texts of objects": ([json.dumps(row) for row in ROWS], "array"),
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_rows(desk, form, indent):
    value, _ = FORMS[form]
    found = desk(json.dumps(value, indent=indent), "x.json")
    assert [(ask, answer) for _, ask, answer in found.rows] == PAIRS
    lines = [line for line, _, _ in found.rows]
    assert lines == sorted(lines)
    assert len(set(lines)) == (1 if indent is None else 12)


@pytest.mark.parametrize(
    "value",
    [
        CHATS,
        {"conversations": CHATS},
        {"messages": CHATS},
        [{"messages": chat} for chat in CHATS],
        {"messages": {str(n): chat for n, chat in enumerate(CHATS)}, "id": {str(n): n for n in range(12)}},
    ],
)
def test_conversations_in_every_form(desk, value):
    for content in (json.dumps(value), json.dumps(value, indent=2)):
        found = desk(content, "x.json")
        assert found.inspection.shape.kind == "messages"
        assert [(ask, answer) for _, ask, answer in found.rows] == [(f"q{n}", f"a{n}") for n in range(12)]


def test_bare_conversations_line_by_line(desk):
    found = desk("\n".join(map(json.dumps, CHATS)), "x.jsonl")
    assert [answer for _, _, answer in found.rows] == [f"a{n}" for n in range(12)]


@pytest.mark.parametrize(
    "value",
    [
        {"prompt": "a", "completion": "b", "tags": [{"x": 1}], "notes": ["c", "d"]},
        {"messages": CHATS[0], "tools": [{"name": "x"}]},
        {"question": "a", "answer": "b", "choices": ["c", "d"], "letters": ["A", "B"]},
        {"prompt": "x", "chosen": CHATS[0], "rejected": CHATS[1]},
    ],
)
def test_one_row_is_not_mistaken_for_a_table(desk, tmp_path, value):
    for content in (
        json.dumps(value),
        json.dumps(value, indent=1),
        json.dumps(value, indent=1) + "\n" + json.dumps(value, indent=1),
    ):
        path = tmp_path / "file.dat"
        path.write_text(content)
        source = survey(path, "x", tmp_path)
        assert packing_of(source).packing == "values"
        rows = [json.loads(text) for _, _, text in records_of(source, packing_of(source))]
        assert rows == [value] * len(rows)


def test_columns_over_many_pieces(tmp_path, monkeypatch):
    rows = 40_000
    value = {"prompt": [f"question {n} " * 5 for n in range(rows)], "n": list(range(rows)), "completion": ["é"] * rows}
    path = tmp_path / "file.dat"
    path.write_text(json.dumps(value, ensure_ascii=False))
    source = survey(path, "x", tmp_path)
    packing = packing_of(source)
    assert (packing.packing, len(packing.members)) == ("columns", 3)
    found = [json.loads(text) for _, reason, text in records_of(source, packing) if reason is None]
    assert found[39_999] == {"prompt": "question 39999 " * 5, "n": 39_999, "completion": "é"}
    assert len(found) == rows


@pytest.mark.parametrize("end", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("form", ["pandas split", "pandas index", "wrapped", "array"])
def test_a_table_that_is_cut_off_keeps_what_is_whole(desk, form, end):
    content = json.dumps(FORMS[form][0], indent=1)
    found = desk(content[: int(end * len(content))], "x.json")
    assert [(ask, answer) for _, ask, answer in found.rows] == PAIRS[: len(found.rows)]
    assert len(found.rows) > 12 * end - 6
    assert found.codes["file_cut_off"] == 1


def test_columns_that_are_cut_off(desk):
    content = json.dumps(COLUMNS, indent=1)
    with pytest.raises(data.RefusedFile):
        desk(content[: int(0.9 * len(content))], "x.json")
    # What is whole so far are questions without answers, and it is said that the file stops.
    found = desk(content[: int(0.3 * len(content))], "x.json")
    assert found.inspection.shape.kind == "prompts"
    assert found.codes["file_cut_off"] == 1


def test_columns_of_different_lengths(desk):
    found = desk(json.dumps({"prompt": ["a", "b", "c"], "completion": ["d", "e"]}), "x.json")
    assert found.inspection.rows_usable in (0, 2)


REPAIRED = {
    "a comma at the end": '{"prompt": "a", "completion": "b",}',
    "a list's comma": '{"prompt": "a", "completion": "b", "n": [1, 2,],}',
    "python": "{'prompt': 'a', 'completion': 'b', 'x': None, 'y': True, 'z': {'w': False}}",
    "python with apostrophes": "{'prompt': 'a', \"completion\": 'b', 'x': \"it's\"}",
    "bare names": '{prompt: "a", completion: "b"}',
    "typographic quotes": "{“prompt”: “a”, “completion”: “b”}",
    "comments": '{"prompt": "a", /* the { best */ "completion": "b" // yes "\n}',
    "numbers that are none": '{"prompt": "a", "completion": "b", "x": NaN, "y": -Infinity}',
    "a comma behind": '{"prompt": "a", "completion": "b"},',
    "python escapes": "{'prompt': 'a', 'completion': 'b', 'x': 'it\\'s \\x41'}",
}


LENIENT = {"a comma at the end", "a list's comma", "numbers that are none"}


@pytest.mark.parametrize("what", REPAIRED)
def test_what_has_one_meaning_is_repaired_and_told(desk, what):
    row = REPAIRED[what]
    good = '{"prompt": "c", "completion": "d"}'
    for content in (
        f"{good}\n{row}\n{good}\n",
        f"[\n{good},\n{row.rstrip(',')},\n{good}\n]",
        f"[{row.rstrip(',')}, {good}, {good}]",
    ):
        if what == "a comma behind" and content.startswith("["):
            continue
        found = desk(content, "x.json")
        assert sorted((ask, answer) for _, ask, answer in found.rows) == [("a", "b"), ("c", "d"), ("c", "d")], content
        # The database takes commas at the end and numbers that are none as they are.
        assert found.codes.get("repaired_json", 0) == 1 or what in LENIENT
        assert found.inspection.rows_rejected == 0


@pytest.mark.parametrize(
    "row",
    [
        '{"prompt": "he said "no" to me", "completion": "b"}',
        "{'prompt': 'it's', 'completion': 'b'}",
        '{"prompt": "a" "completion": "b"}',
        '{"prompt": a b, "completion": "b"}',
        '{"prompt": "a", "completion": "b"',
        '{"prompt": 01, "completion": "b"}',
        '{"prompt": "a", "completion": "\\q"}',
        "{'prompt': f'a', 'completion': 'b'}",
        "{'prompt': __import__('os').getcwd(), 'completion': 'b'}",
        '{"prompt": ("a", "b"), "completion": "b"}',
    ],
)
def test_what_could_mean_two_things_is_not_touched(desk, row):
    good = '{"prompt": "c", "completion": "d"}\n'
    found = desk(f"{good}{row}\n{good}{good}", "x.jsonl")
    assert [answer for _, _, answer in found.rows] == ["d"] * 3
    assert "repaired_json" not in found.codes
    assert found.lines("broken_json") == (2,)


def test_a_text_over_several_lines_is_put_together(desk):
    found = desk(
        '{"prompt": "a", "completion": "b"}\n{"prompt": "one\ntwo",\n "completion": "c"}\n{"prompt": "d", "completion": "e"}\n'
        * 2,
        "x.jsonl",
    )
    assert [(line, ask, answer) for line, ask, answer in found.rows][:3] == [(1, "a", "b"), (2, "one\ntwo", "c"), (5, "d", "e")]
    assert found.inspection.rows_usable == 6


def test_comments_between_rows_are_no_rows(desk):
    rows = [json.dumps({"prompt": ask, "completion": answer}) for ask, answer in (("a", "b"), ("c", "d"), ("e", "f"))]
    found = desk("\n".join(["# made by hand", rows[0], "// more", *rows[1:]]), "x.jsonl")
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (4, "d"), (5, "f")]
    found = desk(
        '// {"a":\n[ # "x"\n  {"prompt": "a", "completion": "b"}, /* don\'t */\n  {"prompt": "c", "completion": "d"}\n] // end',
        "x.json",
    )
    assert [(line, answer) for line, _, answer in found.rows] == [(3, "b"), (4, "d")]
    assert found.inspection.rows_total == 2


def test_lists_that_were_glued_together(desk):
    page = json.dumps(ROWS[:2])
    assert len(desk(page + page + "\n" + page, "x.json").rows) == 6


def test_zeros_at_the_end_are_no_row(desk):
    found = desk(b'{"prompt": "a", "completion": "b"}\n' * 30 + b"\0" * 20, "x.jsonl")
    assert (found.inspection.rows_total, found.inspection.rows_usable) == (30, 30)


def test_marks_inside_of_a_glued_file(desk):
    mark = "\ufeff"
    found = desk(mark + JSONL + mark + JSONL, "x.jsonl")
    assert found.inspection.rows_usable == 24
    found = desk(mark + json.dumps(ROWS)[:-1] + ", " + mark + json.dumps(ROWS)[1:], "x.json")
    assert found.inspection.rows_usable == 24


JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)


def test_the_first_of_two_equal_keys_counts_everywhere(desk):
    row = '{"prompt": "a", "prompt": "z", "completion": "b"}'
    for content in (f"{row}\n" * 3, f"[{row}, {row}, {row}]", f'{row}\n\n{row}\n{{"x" 1}}\n{row}'):
        assert {ask for _, ask, _ in desk(content, "x.json").rows} == {"a"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "{'" * 100_000,
        '{"a":"' + "\\" * 100_001,
        "/*" * 100_000,
        "{'x':" * 50_000,
        "“" * 90_000,
        "{" + "a:1," * 50_000,
    ],
)
def test_repairing_hostile_text_is_quick(text):
    began = time.process_time()
    for prefix in ("", "{", "[{'a': "):
        repaired((prefix + text).encode())
    assert time.process_time() - began < 5


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
        ),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, dict | list))
)
def test_python_and_json_mean_the_same(value):
    if any(abs(number) >= 2**63 for number in _integers(value)):
        return
    assert json.loads(repaired(json.dumps(value).encode())) == value
    assert json.loads(repaired(json.dumps(value, ensure_ascii=False, indent=2).encode())) == value
    written = repaired(repr(value).encode())
    # Python writes some characters in ways that JSON does not know; those stay as they are.
    assert written is None or json.loads(written) == value


def _integers(value):
    if isinstance(value, int):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _integers(inner)


def test_one_huge_value_costs_itself_only(tmp_path, monkeypatch):
    for module in ("source", "json_records", "json_outline"):
        monkeypatch.setattr(f"studio.data.sources.{module}.LONGEST", 1 << 20)
    good = '{"prompt": "a", "completion": "b"}'
    huge = [
        json.dumps({"prompt": "x" * (3 << 20)}),
        json.dumps({"prompt": ['"\\{[' * 100] * 9000}),
        json.dumps({"n": list(range(600_000))}),
        json.dumps({"a": [{"b": "\\" * 50}] * 60_000}),
    ]
    for value in huge:
        path = tmp_path / "file.dat"
        path.write_text(f"[{good},\n{value},\n{good}, {good}]")
        source = survey(path, "x", tmp_path)
        found = list(records_of(source, json_records.Container("array")))
        assert [(line, reason) for line, reason, _ in found] == [(1, None), (2, "too_big_row"), (3, None), (3, None)]
        assert len(found[1][2]) < 1000
