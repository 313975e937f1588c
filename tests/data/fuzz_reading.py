"""Damage files at random and read them: ``python -m tests.data.fuzz_reading --minutes 10 --seed 0``.

Every file must be read, or refused with a ``DataError`` or ``StoreError``, within a few seconds. The program prints what it did
and keeps each file that broke this in ``--keep``; it ends with 1 when there was one.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from studio import data
from studio.data.sources.packing import Columnar, packing_of, records_of
from studio.data.sources.source import glance, survey
from studio.errors import DataError, StoreError

CASES = Path(__file__).parents[3] / "shared" / "cases" / "files"
#: No small file may take more time of the processor, whatever else the machine does.
SECONDS = 8
TOKENS = [
    *(
        b'"',
        b"'",
        b"\\",
        b"\n",
        b"\r",
        b"\r\n",
        b"\0",
        b"\x1e",
        b"\x1f",
        b"\x1a",
        b",",
        b";",
        b"\t",
        b"|",
        b":",
        b"{",
        b"}",
        b"[",
        b"]",
    ),
    *(
        b"{}",
        b"[]",
        b"[[",
        b"{{",
        b'""',
        b'"""',
        b"null",
        b"NaN",
        b"Infinity",
        b"-0",
        b"1e999",
        b"true",
        b"//",
        b"/*",
        b"*/",
        b"#",
    ),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xfe\xff",
        b"\xef\xb7\x90",
        b"\xef\xb7\x92",
        b"\xef\xb7\x94",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\x80",
    ),
    *(
        "é".encode(),
        "é".encode("cp1252"),
        "日本".encode("cp932"),
        "привет".encode("cp1251"),
        "x".encode("utf-16-le"),
        "\u2028".encode(),
    ),
    *(
        b"\\ud800",
        b"\\u0000",
        b'{"role": "user"}',
        b"prompt,completion\n",
        b'"messages": [',
        b"<|im_end|>",
        b"sep=;\n",
        b"PAR1",
        b"\x1f\x8b",
    ),
]


class TooSlow(Exception):  # noqa: N818
    """The reading was interrupted by the clock."""


def seeds(rng: random.Random) -> list[bytes]:
    """Files to start from: the shared cases when they are there, and some of every form."""
    found = [
        path.read_bytes() for path in sorted(CASES.glob("*")) if path.name != "expected.json" and path.stat().st_size < 300_000
    ]
    rows = [{"prompt": f'q {n}, "x"\n', "completion": f"a;{n} é"} for n in range(rng.randint(1, 30))]
    chats = [{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": f"a{n}"}]} for n in range(8)]
    columns = {name: [row[name] for row in rows] for name in ("prompt", "completion")}
    forms = [
        *(
            rows,
            chats,
            columns,
            {"data": {"rows": rows}},
            {"0": rows[0], "1": rows[0]},
            {"columns": list(rows[0]), "data": [list(rows[0].values())]},
        ),
        {"prompt": {"0": "a", "1": "b"}, "completion": {"0": "c", "1": "d"}},
    ]
    for form in forms:
        found += [json.dumps(form, indent=indent, ensure_ascii=indent is None).encode() for indent in (None, 1)]
    found.append(("\n".join(map(str, rows))).encode())
    for delimiter in ",;\t|":
        buffer = io.StringIO(newline="")
        csv.writer(buffer, delimiter=delimiter, lineterminator=rng.choice(["\n", "\r\n"])).writerows(
            [rows[0].keys(), *(row.values() for row in rows)]
        )
        found.append(buffer.getvalue().encode())
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([*rows, *chats]), buffer)
    found.append(buffer.getvalue())
    found += [gzip.compress(one) for one in rng.sample(found, 6)]
    return found


def damaged(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """The content after one to four accidents."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        content = rng.choice(ACCIDENTS)(content, others, rng)
    return content[:400_000]


def _flip(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    spoiled = bytearray(content or b"x")
    for _ in range(rng.choice([1, 3, 20])):
        spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def _cut(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _behead(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    return content[rng.randrange(min(len(content), 2000) + 1) :]


def _insert(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    for _ in range(rng.choice([1, 1, 5])):
        place = rng.randrange(len(content) + 1)
        content = content[:place] + rng.choice(TOKENS) * rng.choice([1, 1, 1, 3, 5000]) + content[place:]
    return content


def _splice(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


def _drop(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice([1, 2, 50]) :]


def _shuffle_lines(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def _recode(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    return content.decode("utf-8", "replace").encode(
        rng.choice(["utf-16", "utf-16-be", "utf-32", "cp1252", "cp932", "gb18030"]), "replace"
    )


def _repack(content: bytes, _: list[bytes], rng: random.Random) -> bytes:
    return rng.choice([gzip.compress, lambda text: text.replace(b"\n", b"\r"), lambda text: text.replace(b"\n", b"\r\n")])(
        content
    )


ACCIDENTS: list[Callable[[bytes, list[bytes], random.Random], bytes]] = [
    *(_flip, _cut, _behead, _insert, _insert, _splice, _drop, _shuffle_lines, _recode, _repack),
]


def read(path: Path, name: str, folder: Path, *, whole: bool) -> str:
    """Read the file in one of two depths, and say how it ended. Anything that is not allowed is raised."""
    try:
        if whole:
            found = data.inspect(path, name, folder)
            assert found.rows_total == found.rows_usable + found.rows_rejected
            assert data.Inspection.from_dict(json.loads(json.dumps(found.to_dict()))) == found
            return found.outcome
        glance(path, name)
        folder.mkdir(exist_ok=True)
        source = survey(path, name, folder)
        packing = packing_of(source)
        if isinstance(packing, Columnar):
            return "parquet"
        last = 0
        for line, _, text in records_of(source, packing):
            assert line >= last, f"line {line} after {last}"
            assert b"\n" not in text, text
            last = line
    except (DataError, StoreError) as error:
        return f"refused: {getattr(error, 'code', '') or type(error).__name__}" if error.what else "refused without a word"
    return "records"


def _alarm(*_: object) -> None:
    raise TooSlow


def run(seconds: float, seed: int, keep: Path | None = None) -> tuple[Counter[str], list[str], float]:
    """How readings ended, what broke the rules, and the longest time."""
    rng = random.Random(seed)
    ended: Counter[str] = Counter()
    broken: list[str] = []
    longest, start = 0.0, time.monotonic()
    others = seeds(rng)
    signal.signal(signal.SIGPROF, _alarm)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "file"
        while time.monotonic() - start < seconds:
            content = damaged(rng.choice(others), others, rng)
            path.write_bytes(content)
            whole = rng.random() < 0.15
            name = rng.choice(["x.csv", "x.json", "x.jsonl", "x.parquet", "x", "x.gz"])
            began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            try:
                ended[read(path, name, Path(place) / "work", whole=whole)] += 1
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt):
                    raise
                signal.setitimer(signal.ITIMER_PROF, 0)
                ended["broken"] += 1
                where = "".join(traceback.format_exception(error)[-4:])
                broken.append(f"{type(error).__name__}: {error}\n{where}")
                if keep:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{seed}-{sum(ended.values())}-{int(whole)}.dat").write_bytes(content)
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            longest = max(longest, time.process_time() - began)
    return ended, broken, longest


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "fuzz-reading")
    given = parser.parse_args()
    ended, broken, longest = run(60 * given.minutes, given.seed, given.keep)
    print(f"{sum(ended.values()):,} files in {given.minutes:g} minutes, seed {given.seed}; the longest took {longest:.1f} s")
    for how, count in ended.most_common():
        print(f"  {count:7,}  {how}")
    for one in broken[:10]:
        print(one)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
