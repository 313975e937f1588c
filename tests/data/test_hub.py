"""Data sets of the Hub, against a Hub of our own on this machine: the real libraries, no network."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from studio.data.sources import hub
from studio.errors import DataError
from tests.data.fake_hub import SHA, Repo, serving

GOOD, BAD = "hf_goodgoodgoodgood", "hf_badbadbadbadbad"
SCRIPT = """
import json, sys
from pathlib import Path
from studio.data.sources import hub
from studio.errors import DataError

for number, (what, *given) in enumerate(json.loads(sys.argv[1])):
    folder = Path(sys.argv[2]) / str(number)
    try:
        if what == "look_up":
            found = hub.look_up(given[0], token=given[1])
            splits = {one.name: [split.name for split in one.splits] for one in found.configurations}
            answer = {"splits": splits, "default": found.default, "licence": found.licence, "revision": found.revision,
                      "gated": found.gated, "private": found.private}
        else:
            name, configuration, split, token = given
            found = hub.fetch(name, configuration, split, folder, token=token, most_rows=4)
            rows = [json.loads(line) for line in found.path.read_text("utf-8").splitlines()]
            answer = {"rows": rows, "count": found.rows, "cut": found.cut, "name": found.name, "provenance": found.provenance,
                      "left": sorted(path.name for path in folder.iterdir())}
    except DataError as error:
        left = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        answer = {"what": error.what, "next": error.next_step, "where": error.where, "left": left,
                  "behind": repr(error.__cause__) + repr(error.__context__)}
    print(json.dumps(answer))
"""


def parquet(rows: int) -> bytes:
    messages = [[{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}] for n in range(rows)]
    table = pa.table({"messages": messages, "picture": [b"\x89PNG" * 2000] * rows, "day": pa.array(range(rows), pa.date32())})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def repos(secret: Path) -> dict[str, Repo]:
    two = b"---\nlicense: mit\nconfigs:\n- config_name: one\n  data_files: one.jsonl\n- config_name: two\n  data_files:\n"
    two += b"  - split: train\n    path: two.jsonl\n  - split: test\n    path: one.jsonl\n---\n"
    outside = f"---\nconfigs:\n- config_name: one\n  data_files: {secret}\n---\n".encode()
    row = b'{"prompt": "a", "completion": "b"}\n'
    return {
        "me/plain": Repo({"README.md": b"hello", "data/train.jsonl": row * 6}),
        "me/parquet": Repo({f"data/{split}-00000-of-00001.parquet": parquet(3) for split in ("train", "test")}),
        "me/table": Repo({"train.csv": b"prompt,completion\nNA,007\nnull,2024-01-01\n"}),
        "me/two": Repo({"README.md": two, "one.jsonl": row, "two.jsonl": row * 2}, {"license": "mit"}),
        "me/gated": Repo({"train.jsonl": row}, gated=True, readers=frozenset({GOOD})),
        "me/private": Repo({"train.jsonl": row}, private=True, readers=frozenset({GOOD})),
        "me/script": Repo({"script.py": b"raise SystemExit", "README.md": b"hi"}),
        "me/outside": Repo({"README.md": outside, "x.jsonl": row}),
        "me/pictures": Repo({"train/a.png": b"\x89PNG"}),
        "me/nothing": Repo({"README.md": b"hi"}),
        "me/broken": Repo({}, broken=True),
    }


CALLS = {
    "plain": ["fetch", "me/plain", "", "train", ""],
    "parquet": ["fetch", "me/parquet", "default", "test", ""],
    "table": ["fetch", "me/table", "", "train", ""],
    "two": ["look_up", "me/two", ""],
    "second": ["fetch", "me/two", "two", "train", ""],
    "no configuration": ["fetch", "me/two", "", "train", ""],
    "wrong configuration": ["fetch", "me/two", "three", "train", ""],
    "wrong split": ["fetch", "me/two", "two", "dev", ""],
    "gated": ["fetch", "me/gated", "", "train", ""],
    "gated, wrong token": ["fetch", "me/gated", "", "train", BAD],
    "gated, token": ["fetch", "me/gated", "", "train", GOOD],
    "private": ["look_up", "me/private", ""],
    "private, wrong token": ["look_up", "me/private", BAD],
    "private, token": ["look_up", "me/private", GOOD],
    "missing": ["look_up", "me/gone", ""],
    "script": ["look_up", "me/script", ""],
    "outside": ["fetch", "me/outside", "one", "train", ""],
    "pictures": ["fetch", "me/pictures", "", "train", ""],
    "nothing": ["look_up", "me/nothing", ""],
    "broken": ["look_up", "me/broken", ""],
}


def ask(calls: list[list[str]], folder: Path, address: str) -> list[dict]:
    """Answers of a fresh process, because the libraries read the Hub's address when they are imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS"))}
    home = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    command = [sys.executable, "-c", SCRIPT, json.dumps(calls), str(folder / "out")]
    done = subprocess.run(command, env=kept | home, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert GOOD not in done.stderr + done.stdout
    assert BAD not in done.stderr + done.stdout
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    secret = folder / "secret.jsonl"
    secret.write_text('{"prompt": "secret", "completion": "of this machine"}\n')
    with serving(repos(secret)) as (address, asked):
        found = dict(zip(CALLS, ask(list(CALLS.values()), folder, address), strict=True))
    return {**found, "asked": asked, "folder": folder}


pytestmark = pytest.mark.slow


def test_rows_come_as_they_are_and_no_more_than_asked(answers):
    found = answers["plain"]
    assert found["rows"] == [{"prompt": "a", "completion": "b"}] * 4
    assert found["cut"]
    assert found["left"] == ["hub.jsonl"]
    assert found["provenance"]["revision"] == SHA
    assert found["provenance"]["licence"] == "not named"
    second = answers["second"]
    assert (second["count"], second["cut"]) == (2, False)
    assert second["provenance"] == {
        "hub": "me/two", "configuration": "two", "split": "train", "revision": SHA, "licence": "mit",
        "address": f"https://huggingface.co/datasets/me/two/tree/{SHA}",
    }  # fmt: skip


def test_nested_columns_dates_and_pictures(answers):
    rows = answers["parquet"]["rows"]
    assert rows[1]["messages"] == [{"role": "user", "content": "q1"}, {"role": "assistant", "content": "a"}]
    assert rows[1]["day"] == "1970-01-02"
    assert rows[1]["picture"] is None


def test_texts_of_a_csv_stay_texts(answers):
    assert answers["table"]["rows"] == [{"prompt": "NA", "completion": "007"}, {"prompt": "null", "completion": "2024-01-01"}]


def test_configurations_and_splits_are_listed(answers):
    found = answers["two"]
    assert found["splits"] == {"one": ["train"], "two": ["train", "test"]}
    assert (found["default"], found["licence"], found["revision"]) == ("one", "mit", SHA)
    assert answers["private, token"]["private"]
    assert answers["gated, token"]["count"] == 1


@pytest.mark.parametrize(
    ("call", "what", "step"),
    [
        ("no configuration", "several configurations", "'one', 'two'"),
        ("wrong configuration", "no configuration 'three'", "'one', 'two'"),
        ("wrong split", "no split 'dev'", "'train', 'test'"),
        ("gated", "gated", "accept its conditions"),
        ("gated, wrong token", "gated", "token of the account"),
        ("private", "or it is private", "token"),
        ("private, wrong token", "or it is private", "token"),
        ("missing", "no such data set", "Check the name"),
        ("script", "runs no programs", "Parquet"),
        ("outside", "could not be read", "Choose another"),
        ("pictures", "cannot be read here", "Parquet"),
        ("nothing", "no files", "Parquet"),
        ("broken", "status 500", "few minutes"),
    ],
)
def test_what_goes_wrong_is_said_in_words(answers, call, what, step):
    found = answers[call]
    assert what in found["what"]
    assert step in found["next"]
    assert found["where"] == CALLS[call][1]
    assert found["left"] == []
    assert found["behind"] == "NoneNone"


def test_a_token_is_sent_and_then_gone(answers):
    sent = {token for _, token in answers["asked"] if token}
    assert sent == {GOOD, BAD}
    for path in answers["folder"].rglob("*"):
        if path.is_file():
            assert not {GOOD.encode(), BAD.encode()} & {path.read_bytes()}
            assert GOOD.encode() not in path.read_bytes()
            assert BAD.encode() not in path.read_bytes()


def test_no_network(tmp_path):
    found = ask([["look_up", "me/plain", ""]], tmp_path, "http://127.0.0.1:9")[0]
    assert "cannot be reached" in found["what"]
    assert "network" in found["next"]


@pytest.mark.parametrize(
    "name",
    ["/etc", "../x", "a/../b", "csv", "json", "a/b/c", "", "a b", "http://evil/x", "hf://buckets/a/b", ".", "a/.."],
)
def test_a_name_is_never_a_path_or_an_address(tmp_path, name):
    with pytest.raises(DataError, match="data set"):
        hub.look_up(name if name != "/etc" else "/etc/passwd/x")
    with pytest.raises(DataError):
        hub.fetch("me/plain", "", "train", tmp_path, revision="../../x")


def test_tokens_never_show():
    assert hub.redacted("Bearer hf_abcdefgh123 and my secret", "my secret") == "Bearer hf_... and hf_..."
