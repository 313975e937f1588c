"""Nothing in a file, its name or its place is trusted: texts come out as they went in, and SQL never sees them unquoted."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tempfile
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio import data
from studio.data.db import connect, literal
from studio.data.staging.stage import rows_of
from studio.errors import DataError, NotFoundError, StoreError
from tests.effort import tries

HOSTILE = [
    *(
        "'; DROP TABLE stage; --",
        '" OR 1=1',
        "${HOME}",
        "{{7*7}}",
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0",
        "\\n",
        "\\",
        '\\"',
    ),
    *(
        "a\nb",
        "a\r\nb",
        "a\rb",
        "\t",
        ",",
        ";",
        "|",
        '"',
        '""',
        "'",
        "null",
        "NaN",
        "\u2028",
        "\u200b",
        "\u00a0",
        "é",
        "e\u0301",
        "😀",
    ),
    *(
        "$1",
        "?",
        "%s",
        "{0}",
        "[1]",
        "*.csv",
        "../../etc/passwd",
        "--",
        "/*",
        "\x7f",
        "1e999",
        "#",
        "<|im_end|>",
        "\ufeff",
        "\ufffd",
    ),
]
texts = st.lists(
    st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), max_size=8), max_size=6
).map("".join)
# A visible letter in front makes the row usable; all that follows must survive.
rows = st.lists(st.tuples(texts.map("Q".__add__), texts.map("A".__add__)), min_size=1, max_size=12)


def read(content: str, name: str) -> tuple[data.Inspection, list[tuple[str, str]]]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "original.dat"
        source.write_bytes(content.encode())
        found = data.inspect(source, name, Path(folder) / "dataset")
        with connect(found.folder) as connection:
            query = (
                f"SELECT prompt, completion FROM {rows_of(found.folder / 'stage.parquet')} WHERE reason IS NULL ORDER BY row_id"
            )
            return found, connection.execute(query).fetchall()


@pytest.mark.slow
@tries(20)
@given(
    rows=rows,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    swap=st.booleans(),
)
def test_csv_gives_back_every_text(rows, delimiter, end, quoting, swap):
    # Written without quotes, a carriage return at the end of a cell cannot be told from the line end behind it.
    rows = [(ask.rstrip("\r"), answer.rstrip("\r")) for ask, answer in rows]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["completion", "prompt"] if swap else ["prompt", "completion"])
    writer.writerows([row[::-1] if swap else row for row in rows])
    found, got = read(buffer.getvalue(), "hostile'; --.csv")
    assert found.delimiter == delimiter
    assert got == rows


@pytest.mark.slow
@tries(20)
@given(rows=rows, ascii_only=st.booleans(), packing=st.sampled_from(["lines", "array", "pretty", "wrapped", "glued"]))
def test_json_gives_back_every_text(rows, ascii_only, packing):
    objects = [{"prompt": ask, "completion": answer, 'x" FROM (SELECT 1)); --': None} for ask, answer in rows]
    content = {
        "lines": lambda: "\n".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects),
        "array": lambda: json.dumps(objects, ensure_ascii=ascii_only),
        "pretty": lambda: json.dumps(objects, ensure_ascii=ascii_only, indent=3),
        "wrapped": lambda: json.dumps({"about": "x", "rows": objects}, ensure_ascii=ascii_only),
        "glued": lambda: "".join(json.dumps(one, ensure_ascii=ascii_only) for one in objects),
    }[packing]()
    found, got = read(content, "hostile.json")
    assert got == rows
    assert found.columns == ("prompt", "completion", 'x" FROM (SELECT 1)); --')


@pytest.mark.slow
@tries(30)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from([*HOSTILE, "prompt", "completion", "messages", "\n", "{", "}", "[", "]", ":", '{"prompt":"a",']),
            max_size=30,
        ).map(lambda parts: "".join(parts).encode()),
    ),
    st.sampled_from(["x.csv", "x.json", "x.jsonl", "x"]),
)
def test_any_bytes_are_read_or_refused_in_words(content, name):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "original.dat"
        source.write_bytes(content)
        try:
            found = data.inspect(source, name, Path(folder) / "dataset")
        except DataError:
            return
        assert found.rows_total == found.rows_usable + found.rows_rejected
        assert data.Inspection.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("place", ["plain", "with [1] brackets", "star*and?", "quote's", 'double"quote', "ümlaut 空"])
def test_folders_with_special_characters(tmp_path, place):
    home = tmp_path / place
    home.mkdir()
    (home / "decoy1.csv").write_text("prompt,completion\nwrong,file\n" * 5)
    source = home / "decoy[1].csv"
    source.write_text("prompt,completion\n" + "".join(f"question {number},answer\n" for number in range(12)))
    found = data.inspect(source, "decoy[1].csv", home / "data[set]")
    assert found.rows_usable == 12
    parts = data.split(found)
    assert data.rows(parts.train.path)[0].completion == "answer"


def test_column_names_are_only_text(desk):
    name = "prompt\"); COPY (SELECT 1) TO '/tmp/x'; --"
    found = desk(f'"{name.replace(chr(34), chr(34) * 2)}",answer\nq,a\n', mapping={"prompt": name, "completion": "answer"})
    assert found.rows == [(2, "q", "a")]
    key = "a/b~c\"d'e[0].*$"
    found = desk(json.dumps({key: "q", "answer": "a"}), "x.jsonl", mapping={"prompt": key, "completion": "answer"})
    assert found.rows == [(1, "q", "a")]


@pytest.mark.parametrize("table", ["/etc/passwd", "../secret.csv", "link.csv", "http://127.0.0.1:9/x.csv"])
def test_the_connection_reaches_its_folder_only(tmp_path, table):
    folder = tmp_path / "dataset"
    folder.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (folder / "link.csv").symlink_to(tmp_path / "secret.csv")
    for query in (
        f"SELECT * FROM read_csv({literal(table)})",
        f"COPY (SELECT 1) TO {literal('/tmp/elsewhere.csv')}",
        "SET enable_external_access=true",
        "INSTALL httpfs",
        f"ATTACH {literal(str(tmp_path / 'x.db'))}",
    ):
        with pytest.raises(DataError) as refused, connect(folder) as connection:
            connection.execute(query)
        assert isinstance(refused.value.__cause__, duckdb.Error)


def test_deep_nesting_is_only_a_broken_row(desk):
    deep = '{"prompt": ' + "[" * 50_000 + "]" * 50_000 + ', "completion": "x"}\n'
    found = desk(deep + '{"prompt": "a", "completion": "b"}\n', "x.jsonl")
    assert [answer for _, _, answer in found.rows] == ["b"]
    found = desk("[" + deep.strip() + ', {"prompt": "a", "completion": "b"}]', "x.json")
    assert [answer for _, _, answer in found.rows] == ["b"]


@pytest.mark.slow
def test_rows_of_many_pages_get_the_memory_they_need(desk):
    page = "lorem ipsum " * 250
    rows = "".join(json.dumps({"prompt": f"q{number}", "completion": f"{number} " + page * 8}) + "\n" for number in range(2100))
    parts = data.split(desk(rows, "x.jsonl").inspection)
    assert parts.rows == 2100
    assert len(data.rows(parts.train.path)) == parts.train.rows


def test_a_wrapper_with_a_broken_name_is_read_or_refused(desk):
    with pytest.raises(DataError):
        desk('{"a": {"b\\": [1]}, "\x01": [{"prompt": "x"', "x.json")


@pytest.mark.parametrize(("edges", "enough"), [("", 1.2), ("[]", 2.3)], ids=["read as it is", "laid out first"])
def test_the_disk_needs_room_for_what_is_written_and_no_more(tmp_path, monkeypatch, edges, enough):
    source = tmp_path / "a.json"
    rows = [json.dumps({"prompt": f"question {n}", "completion": f"answer {n}"}) for n in range(500)]
    source.write_text(edges[:1] + ("," if edges else "").join(f"{row}\n" for row in rows) + edges[1:])
    free = SimpleNamespace(free=int(enough * source.stat().st_size))
    monkeypatch.setattr("shutil.disk_usage", lambda _: free)
    assert data.inspect(source, "a.json", tmp_path / "dataset").rows_total == 500
    free.free -= int(0.2 * source.stat().st_size)
    with pytest.raises(StoreError, match="MB free"):
        data.inspect(source, "a.json", tmp_path / "dataset")


@pytest.mark.parametrize("chat", [False, True], ids=["texts", "conversations"])
def test_the_stage_takes_no_more_room_than_was_asked_for(tmp_path, chat):
    rng = random.Random(0)

    def row() -> object:
        ask, answer = rng.randbytes(100).hex(), rng.randbytes(300).hex()
        turns = [{"role": "user", "content": ask}, {"role": "assistant", "content": answer}]
        return {"messages": [*turns, *turns]} if chat else {"prompt": ask, "completion": answer}

    source = tmp_path / "a.jsonl"
    source.write_text("".join(json.dumps(row()) + "\n" for _ in range(300)))
    data.inspect(source, "a.jsonl", tmp_path / "dataset")
    assert (tmp_path / "dataset" / "stage.parquet").stat().st_size <= 1.1 * source.stat().st_size


def test_a_full_disk_says_so_and_leaves_the_file_alone(tmp_path, monkeypatch):
    source = tmp_path / "a.csv"
    source.write_text("prompt,completion\na,b\n")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(StoreError, match="MB free"):
            data.inspect(source, "a.csv", tmp_path / "dataset")

    def full(path, *args, **options):
        if path.name in ("records.txt", "text.dat", "unpacked.dat") and "w" in args[0]:
            raise OSError(28, "No space left on device")
        return opened(path, *args, **options)

    opened = Path.open
    monkeypatch.setattr(Path, "open", full)
    # What cannot be read directly is laid out in a working file first; so is what is packed or in another encoding.
    for content in (
        b"prompt,completion\n\n \na,b\n",
        "prompt,completion\né,b\n".encode("cp1252"),
        gzip.compress(b"prompt,completion\na,b\n"),
    ):
        source.write_bytes(content)
        with pytest.raises(StoreError, match="disk is full") as refused:
            data.inspect(source, "a.csv", tmp_path / "dataset")
        assert refused.value.next_step
        assert source.read_bytes() == content


def test_a_full_disk_while_the_database_writes(tmp_path, monkeypatch):
    message = 'IO Error: Could not write file "stage.parquet": No space left on device'
    with pytest.raises(StoreError, match="disk is full"), connect(tmp_path):
        raise duckdb.IOException(message)


def test_nothing_is_left_behind(desk):
    found = desk("prompt,completion\n" + "".join(f"q{number},a\n" for number in range(12)))
    data.split(found.inspection)
    names = {path.name for path in found.inspection.folder.iterdir()}
    assert {"stage.parquet", "inspection.json", "train.parquet", "validation.parquet", "test.parquet", "dataset.json"} <= names
    assert not {name for name in names if name.endswith((".part", ".dat", ".txt", ".tmp")) or name.startswith("spill")}


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(NotFoundError):
        data.reopen(tmp_path)
    with pytest.raises(NotFoundError):
        data.load(tmp_path)
    with pytest.raises(NotFoundError):
        data.rows(tmp_path / "train.parquet")
