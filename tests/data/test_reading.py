"""Encodings, dialects and packings: what a file is, is decided by its content."""

from __future__ import annotations

import codecs
import csv
import io
import json

import pytest

from studio import data
from studio.errors import DataError

PAIRS = [(f"Question {number}, really?", f"Answer {number}; yes") for number in range(12)]
CSV = "prompt,completion\n" + "".join(f'"{ask}","{answer}"\n' for ask, answer in PAIRS)
JSONL = "".join(json.dumps({"prompt": ask, "completion": answer}) + "\n" for ask, answer in PAIRS)


def texts(desk):
    return [(ask, answer) for _, ask, answer in desk.rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "||", "::", "#", "~", "^", "\x01", "\x1f", "¦"])
def test_any_delimiter(desk, delimiter):
    def cell(text):
        return f'"{text}"'

    content = f"prompt{delimiter}completion\n" + "".join(f"{cell(ask)}{delimiter}{cell(answer)}\n" for ask, answer in PAIRS)
    found = desk(content)
    assert (found.inspection.format, found.inspection.delimiter) == ("csv", delimiter)
    assert texts(found) == PAIRS


def test_the_header_decides_where_commas_in_prose_would_mislead(desk):
    rows = [(f"First, second, {number}", f"One, two, {number}") for number in range(12)]
    found = desk("prompt;completion\n" + "".join(f"{ask};{answer}\n" for ask, answer in rows))
    assert texts(found) == rows


def test_unknown_names_still_find_the_delimiter_and_wait_for_a_choice(desk):
    content = "foo;bar\n" + "".join(f"First, second, {number};One, two, {number}\n" for number in range(12))
    found = desk(content)
    assert found.inspection.shape is None
    assert not found.inspection.ready
    assert found.inspection.columns == ("foo", "bar")
    assert found.codes == {"columns_not_recognised": 1}
    assert found.inspection.preview[0] == ("First, second, 0", "One, two, 0")
    chosen = desk(content, mapping={"prompt": "foo", "completion": "bar"})
    assert chosen.inspection.shape.exact
    assert chosen.inspection.rows_usable == 12


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_editor_lines(desk, end):
    content = end.join(["prompt,completion", "a,b", "", '"two', 'lines",x', "only one cell", "c,", "d,e", ""])
    found = desk(content)
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (4, "x"), (8, "e")]
    assert found.rows[1][1] == f"two{end}lines"
    assert found.lines("wrong_column_count") == (6,)
    assert found.lines("empty_value") == (7,)


def test_line_ends_may_be_mixed(desk):
    found = desk("prompt,completion\r\na,b\nc,d\r\ne,f\n")
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (3, "d"), (4, "f")]


@pytest.mark.parametrize(
    ("encoding", "mark", "told"),
    [
        ("utf-8", b"", False),
        ("utf-8", codecs.BOM_UTF8, False),
        ("utf-16-le", codecs.BOM_UTF16_LE, True),
        ("utf-16-be", codecs.BOM_UTF16_BE, True),
        ("utf-16-le", b"", True),
        ("utf-16-be", b"", True),
        ("utf-32-le", codecs.BOM_UTF32_LE, True),
        ("cp1252", b"", True),
    ],
)
@pytest.mark.parametrize("packing", ["csv", "jsonl", "json"])
def test_encodings(desk, encoding, mark, told, packing):
    rows = [(f"Où est la gare n° {number} ?", f"À côté, très près : {number} €") for number in range(12)]
    objects = [{"prompt": ask, "completion": answer} for ask, answer in rows]
    content = {
        "csv": "prompt,completion\n" + "".join(f'"{ask}","{answer}"\n' for ask, answer in rows),
        "jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in objects),
        "json": json.dumps(objects, ensure_ascii=False, indent=2),
    }[packing]
    found = desk(mark + content.encode(encoding), f"file.{packing}")
    assert texts(found) == rows
    assert ("re_encoded" in found.codes) is told


@pytest.mark.parametrize(
    ("encoding", "text"), [("cp932", "これは日本語の文章です。東京の天気"), ("gb18030", "这是一个中文句子我们在北京")]
)
def test_asian_encodings(desk, encoding, text):
    rows = [(f"{text}{number}は何ですか", f"{text}{number}") for number in range(40)]
    content = "prompt,completion\n" + "".join(f"{ask},{answer}\n" for ask, answer in rows)
    assert texts(desk(content.encode(encoding))) == rows


def test_a_few_damaged_rows_do_not_change_the_encoding_of_the_others(desk):
    good = "".join(f"Frage über Öl {number},Antwort schön\n" for number in range(12)).encode()
    found = desk(b"prompt,completion\n" + good + b"caf\xe9,broken\n" + "späte Frage,gut\n".encode())
    assert found.inspection.rows_usable == 13
    assert found.codes["bad_encoding"] == 1
    assert found.lines("bad_encoding") == (14,)
    assert found.rows[-1] == (15, "späte Frage", "gut")


def test_wrong_extension_is_told_and_harmless(desk):
    for content, name, kind in (
        (JSONL, "a.csv", "jsonl"),
        (CSV, "a.jsonl", "csv"),
        (json.dumps([{"prompt": "a"}]), "a.csv", "json"),
    ):
        found = desk(content, name)
        assert found.inspection.format == kind
        assert "wrong_extension" in found.codes


def test_no_extension_is_fine(desk):
    assert texts(desk(JSONL, "examples")) == PAIRS


def test_sep_line_and_lines_above_the_header(desk):
    assert texts(desk("sep=;\nprompt;completion\na;b\n")) == [("a", "b")]
    found = desk("My export\n\nprompt,completion\na,b\n")
    assert found.rows == [(4, "a", "b")]
    assert "lines_above_header" in found.codes


def test_backslash_and_single_quotes(desk):
    found = desk("prompt,completion\n" + '"He said \\"no, never\\", twice","C:\\\\dir\\new"\n' * 3)
    assert texts(found)[0] == ('He said "no, never", twice', "C:\\dir\\new")
    found = desk("'prompt','completion'\n'a, b','it''s'\n'c','d'\n")
    assert texts(found) == [("a, b", "it's"), ("c", "d")]


def test_a_backslash_before_the_closing_quote_is_only_a_backslash(desk):
    rows = [("C:\\dir, or\\", "yes"), ('say "x\\"', "no")] * 3
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows([("prompt", "completion"), *rows])
    assert texts(desk(buffer.getvalue())) == rows


def test_spaces_around_quoted_cells_and_quotes_inside_plain_ones(desk):
    found = desk('prompt,completion\n"a, b" , "c, d"\n5" pipe,say "hi"\n')
    assert texts(found) == [("a, b", "c, d"), ('5" pipe', 'say "hi"')]


@pytest.mark.parametrize("stray", ['"opened,and never closed', '"closed" too early,x', 'x,"half'])
def test_a_stray_quote_costs_one_row(desk, stray):
    rows = [f'"question, {number}",answer "{number}"\n' for number in range(40)]
    rows.insert(10, stray + "\n")
    found = desk("prompt,completion\n" + "".join(rows))
    assert found.inspection.rows_usable == 40
    assert found.inspection.rows_rejected == 1
    assert found.codes["bad_quotes"] == 1
    assert found.lines("bad_quotes") == (12,)


def test_many_stray_quotes_are_not_slow(desk):
    found = desk("prompt,completion\n" + 'x,"half\n' * 20_000 + "good,row\n")
    assert found.inspection.rows_usable == 1
    assert found.codes["bad_quotes"] == 20_000


def test_wrong_number_of_cells(desk):
    found = desk("prompt,completion\na,b\nc\nd,e,f\ng,h,,\n\n,\n")
    assert texts(found) == [("a", "b"), ("g", "h")]
    assert found.lines("wrong_column_count") == (3, 4)


def test_na_null_and_numbers_stay_text(desk):
    words = ["NA", "NULL", "None", "nan", "007", "1e5", "2024-01-01", "\x01", "true"]
    found = desk("prompt,completion\n" + "".join(f"{word},{word}\n" for word in words))
    assert texts(found) == [(word, word) for word in words if word != "\x01"]


def test_a_file_without_column_names_asks_for_them(desk):
    found = desk("What is the capital of France?,Paris\nWho wrote Hamlet?,Shakespeare\nWhy?,Because\n")
    assert found.inspection.columns == ("Column 1", "Column 2")
    assert "no_header" in found.codes
    assert not found.inspection.ready
    chosen = desk(
        "What is the capital of France?,Paris\nWho wrote Hamlet?,Shakespeare\nWhy?,Because\n",
        mapping={"prompt": "Column 1", "completion": "Column 2"},
    )
    assert chosen.inspection.rows_usable == 3
    assert chosen.rows[0] == (1, "What is the capital of France?", "Paris")


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"prompt": ask, "completion": answer} for ask, answer in PAIRS]),
        json.dumps([{"prompt": ask, "completion": answer} for ask, answer in PAIRS], indent=4),
        json.dumps(
            {"version": {"a": [1, 2]}, "data": [{"prompt": ask, "completion": answer} for ask, answer in PAIRS], "n": [{}]}
        ),
        json.dumps({"rows": [{"prompt": ask, "completion": answer} for ask, answer in PAIRS]}, indent=1),
        JSONL,
        JSONL.replace("\n", "\r\n"),
        JSONL.replace("\n", "\r"),
        JSONL.replace("\n", "\n\n"),
        JSONL.replace("\n", ""),
        JSONL.replace("\n", " "),
        "\ufeff" + JSONL,
        "\n\n  " + json.dumps([{"prompt": ask, "completion": answer} for ask, answer in PAIRS]).replace("}, {", "},\r\n{"),
        "".join(json.dumps({"prompt": ask, "completion": answer}, indent=2) + "\n" for ask, answer in PAIRS),
        "".join("\x1e" + line + "\n" for line in JSONL.splitlines()),
    ],
)
def test_json_in_any_packing(desk, content):
    assert texts(desk(content, "file.json")) == PAIRS


def test_lines_of_json_elements_are_those_of_an_editor(desk):
    first = '[\n  {\n    "prompt": "a",\n    "completion": "b"\n  },\n\n'
    content = first + '  {"prompt": "c", "completion": "d"},\n  17,\n  {"prompt": "e"}\n]\n'
    found = desk(content, "x.json")
    assert [line for line, _, _ in found.rows] == [2, 7]
    assert found.lines("not_an_object") == (8,)
    assert found.lines("missing_field") == (9,)


def test_broken_lines_are_set_aside_with_their_number(desk):
    lines = JSONL.splitlines()
    lines[3:3] = ['{"prompt": "a" "completion": "b"}', "", "{", "'just text'"]
    found = desk("\n".join(lines), "x.jsonl")
    assert texts(found) == PAIRS
    assert found.lines("broken_json") == (4, 6, 7)
    assert found.inspection.rows_total == 15
    assert next(one for one in found.inspection.findings if one.code == "broken_json").example == lines[3]


def test_a_broken_element_costs_itself(desk):
    elements = [json.dumps({"prompt": ask, "completion": answer}) for ask, answer in PAIRS]
    elements[4] = '{"prompt": "never closed, "completion": "x"}'
    found = desk("[\n" + ",\n".join(elements) + "\n]", "x.json")
    assert found.inspection.rows_usable == 11
    assert found.lines("broken_json") == (6,)
    elements[4] = '{"prompt": "no bracket", "completion": "x"'
    found = desk("[\n" + ",\n".join(elements) + "\n]", "x.json")
    assert found.inspection.rows_usable == 11
    assert found.lines("broken_json") == (6,)


def test_a_file_that_was_cut_off_keeps_its_whole_rows(desk):
    content = json.dumps([{"prompt": ask, "completion": answer} for ask, answer in PAIRS])
    found = desk(content[:-20], "x.json")
    assert found.inspection.rows_usable == 11
    assert found.codes["file_cut_off"] == 1


def test_keys_in_other_cases_and_extra_keys(desk):
    found = desk('{"Prompt": "a", "completion": "b", "id": 1}\n{"PROMPT": null, "prompt": "c", "Completion": "d"}\n', "x.jsonl")
    assert texts(found) == [("a", "b"), ("c", "d")]
    assert found.codes["extra_columns"] == 1


def test_values_that_are_no_text(desk):
    rows = [("a", 1000), ("b", True), ("c", ["x"]), ("d", {"x": 1}), ("e", None), ("f", " \u200b\t"), ("g", 1.5)]
    found = desk(
        "\n".join(json.dumps({"prompt": ask, "completion": answer}) for ask, answer in rows) + '\n{"prompt": "h"}', "x.jsonl"
    )
    assert texts(found) == [("a", "1000"), ("b", "true"), ("g", "1.5")]
    assert {code: found.lines(code) for code in ("wrong_type", "empty_value", "missing_field", "non_text_value")} == {
        "wrong_type": (3, 4),
        "empty_value": (5, 6),
        "missing_field": (8,),
        "non_text_value": (1, 2, 7),
    }


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty_file"),
        (b" \r\n\t\n", "empty_file"),
        (codecs.BOM_UTF8, "empty_file"),
        (b"PK\x03\x04" + b"xl/workbook.xml" * 3, "not_text_excel"),
        (b"PK\x03\x04" + b"other" * 30, "compressed_file"),
        (b"\xd0\xcf\x11\xe0" + b"\0" * 100, "not_text_excel"),
        (b"%PDF-1.7 \xff", "not_text_pdf"),
        (b"\x1f\x8b\x08rest", "compressed_file"),
        (b"  <!DOCTYPE html><html><body>Sign in</body></html>", "not_text_html"),
        (bytes(range(256)) * 20, "not_text"),
        (b"[]", "no_rows"),
        (b'["a", "b"]', "rows_not_objects"),
        (b'{"prompt" "a"}\n{"prompt" "b"}\n', "broken_json"),
    ],
)
def test_refusals_say_what_and_what_next(desk, content, code):
    with pytest.raises(data.RefusedFile) as refused:
        desk(content, "my file.xlsx")
    assert refused.value.code == code
    assert refused.value.where == "my file.xlsx"
    assert refused.value.next_step
    assert refused.value.finding.severity == "error"


def test_unreadable_files(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        data.inspect(tmp_path / "gone.csv", "gone.csv", tmp_path / "dataset")
    with pytest.raises(DataError, match="folder"):
        data.inspect(tmp_path, "folder", tmp_path / "dataset")


def test_one_row_and_no_rows(desk):
    found = desk("prompt,completion\na,b\n")
    assert found.codes == {"few_rows": 1}
    with pytest.raises(DataError, match="only 1 different usable prompt;") as refused:
        data.split(found.inspection)
    assert "50 to 100" in refused.value.next_step
    empty = desk("prompt,completion\n")
    assert empty.codes == {"no_rows": 0}
    with pytest.raises(DataError, match="no usable rows"):
        data.split(empty.inspection)


def test_a_row_too_long_for_anything_costs_itself_only(desk, monkeypatch):
    for module in ("source", "json_records", "csv_records"):
        monkeypatch.setattr(f"studio.data.sources.{module}.LONGEST", 1 << 20)
    long = "x" * (4 << 20)
    found = desk(f"prompt,completion\na,b\nc,{long}\ne,f\n")
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (4, "f")]
    assert found.lines("too_big_row") == (3,)
    rows = [json.dumps({"prompt": ask, "completion": answer}) for ask, answer in (("a", "b"), ("c", long), ("e", "f"))]
    found = desk("\n".join(rows), "x.jsonl")
    assert [(line, answer) for line, _, answer in found.rows] == [(1, "b"), (3, "f")]
    assert found.lines("too_big_row") == (2,)
    found = desk("[\n" + ",\n".join(rows) + "\n]", "x.json")
    assert [(line, answer) for line, _, answer in found.rows] == [(2, "b"), (4, "f")]
    assert found.lines("too_big_row") == (3,)


def test_a_file_that_is_one_endless_row_is_refused(desk, monkeypatch):
    for module in ("source", "json_records", "csv_records"):
        monkeypatch.setattr(f"studio.data.sources.{module}.LONGEST", 1 << 20)
    for content in ("x" * (4 << 20), json.dumps([{"prompt": "a", "completion": "x" * (6 << 20)}]), "[" * (2 << 20)):
        with pytest.raises(data.RefusedFile) as refused:
            desk(content, "x.json")
        assert refused.value.code == "too_big_row"


def test_too_many_columns_are_refused(desk):
    with pytest.raises(data.RefusedFile) as refused:
        desk(",".join(f"c{number}" for number in range(100_000)) + "\n")
    assert refused.value.code == "too_many_columns"


def test_an_inspection_goes_to_json_and_back(desk):
    found = desk(CSV).inspection
    assert data.Inspection.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    assert data.reopen(found.folder) == found
