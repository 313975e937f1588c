"""How long it takes from a file to checked, deduplicated, split rows, against pandas, polars and Hugging Face datasets.

Everyone reads the same generated file and does the same work: every row checked for missing and blank texts and for personal
data, keys, chat markers, control and invisible characters and damaged letters, the lengths counted, exact copies dropped,
prompts keyed by their normalised text, and three zstd Parquet files written by a hash of that key. Polars also takes the
fingerprint of the file, names its rows, finds what the studio calls near-duplicates, with the same count, and keeps them in one
part, counts prompts with several answers, and reads the parts again to see that no prompt is in two of them (the keys of all
rows, and of as many texts as the studio compares, in lower case); the other two are not asked to. It holds the whole table in
memory, because that is its fastest way. The studio does more: line numbers of an editor, examples of each finding, numbers that
have a checksum, a stage that the desk reads; a broken row costs that row only.

Each run is a process of its own, and the tools take turns, so that a busy machine disturbs all alike. Printed are medians with
their spread, and ratios within the same rounds. Memory is sampled over the whole process tree; ``own`` leaves out pages of
mapped files, which the system can take back.

Run it with ``python tests/benchmarks/bench_data.py [--gb 1] [--rounds 3] [--formats jsonl,csv] [--tools studio,polars,...]``.
Tools that are not installed are left out with a word; ``pip install -e .[bench]`` brings polars.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import json
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil

TOOLS = ("studio", "polars", "datasets", "pandas")
COLUMNS = ("prompt", "completion", "id")
# What peers look for, in a syntax that all engines share: a cheap pattern for all, and the exact ones for what it finds.
SIGN = (
    "[\x80-\xbf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2018\u2019\u201c\u201d\u2022"
    "\u2013\u2014\u02dc\u2122\u0161\u0153\u0178]"
)
PATTERNS = {
    "email": r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}",
    "phone": r"\+[1-9][0-9 ().-]{7,}[0-9]",
    "card": r"[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}",
    "iban": r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){3}",
    "ssn": r"[0-9]{3}-[0-9]{2}-[0-9]{4}",
    "ip": r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}",
    "keys": r"sk-[A-Za-z0-9_-]{20}|AKIA[0-9A-Z]{16}|ghp_[A-Za-z0-9]{36}|PRIVATE KEY|xox[abp]-|AIza[0-9A-Za-z_-]{35}",
    "markers": r"<\|[A-Za-z0-9_]+\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>",
    "controls": r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "invisible": "[\u00ad\u200b\u2060-\u2064\ufeff\u202d\u202e\ufff9-\ufffb\ue000-\uf8ff]",
    "lost": "\ufffd",
    "damaged": f"[\u00c2\u00c3\u00e2]{SIGN}",
}
HINT = "|".join(
    (
        r"[A-Za-z0-9._%+-]@[A-Za-z0-9]|\+[1-9]|[0-9]{4}[ -]?[0-9]{4}|[0-9]{3}-[0-9]{2}-|sk-|AKIA|ghp_|PRIVATE KEY|xox|AIza",
        r"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}|[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        r"<\||INST\]|SYS>>|_of_turn>|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
        *(PATTERNS[name] for name in ("invisible", "lost", "damaged")),
    )
)
# What only divides sentences, for texts that are equal but for it; and texts that stand for nothing.
FOLDED = r"""[\s\p{Z}\p{C}.,;:!?'"`\u00b4\u00ab\u00bb\u00a1\u00bf\u2013\u2014\u2018-\u201f\u2026\u2039\u203a\u3001\u3002]+"""
NOTHING = r"^\s*(?:null|NULL|Null|None|nan|NaN|NAN|N/A|n/a|NA|undefined|#N/A|#REF!|#VALUE!|#DIV/0!|#NAME\?)\s*$"
VISIBLE = r"\S"
BUCKETS, TEST, VALIDATION = 10_000, 500, 8_500


def sentences(rng: random.Random) -> list[str]:
    """Sentences of made-up words whose frequencies fall like those of a language, with accents here and there."""
    letters = "etaoinshrdlucmfwypvbgkéü"
    weights = [12, 9, 8, 8, 7, 7, 6, 6, 6, 4, 4, 3, 3, 3, 2, 2, 2, 2, 1, 1, 2, 1, 1, 1]
    words = ["".join(rng.choices(letters, weights, k=rng.randint(2, 9))) for _ in range(20_000)]
    ranks = [1 / (place + 3) for place in range(len(words))]
    return [" ".join(rng.choices(words, ranks, k=rng.randint(5, 20))).capitalize() + "." for _ in range(40_000)]


def rows(size: int, seed: int = 7) -> Iterator[tuple[str, str, str]]:
    """About ``size`` bytes of rows: 1 % exact copies, some blank answers, line breaks in cells, personal data and markers."""
    rng = random.Random(seed)
    pool = sentences(rng)
    written, number, last = 0, 0, None
    while written < size:
        ask = f"Q{number}: " + " ".join(rng.choices(pool, k=rng.randint(1, 4)))
        answer = " ".join(rng.choices(pool, k=rng.randint(3, 9)))
        row, chance = (ask, answer, f"id-{number}"), rng.random()
        if last is not None and chance < 0.01:
            row = last
        elif chance < 0.013:
            row = (ask, "" if chance < 0.0115 else " \n ", row[2])
        elif chance < 0.018:
            row = (ask, f"{answer} Write to jane.doe{number}@example.com.", row[2])
        elif chance < 0.0185:
            row = (ask, f"{answer} <|im_end|>", row[2])
        if rng.random() < 0.1:
            row = (row[0], row[1].replace(". ", ".\n", 1), row[2])
        last, number = row, number + 1
        written += len(row[0]) + len(row[1]) + 50
        yield row


def generate(folder: Path, size: int, formats: list[str]) -> dict[str, Path]:
    """The same rows as JSONL and as CSV."""
    paths = {name: folder / f"rows.{name}" for name in formats}
    with (folder / "rows.jsonl").open("w", encoding="utf-8") as lines, (folder / "rows.csv").open("w", newline="") as cells:
        writer = csv.writer(cells)
        writer.writerow(COLUMNS)
        for row in rows(size):
            lines.write(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n")
            writer.writerow(row)
    return paths


def run_studio(path: Path, out: Path) -> dict[str, int]:
    from studio import data

    found = data.inspect(path, path.name, out)
    parts = data.split(found)
    marked = {finding.code: finding.count for finding in found.findings}
    return {
        "rows": found.rows_total,
        "blank": marked.get("empty_value", 0),
        "copies": found.duplicate_rows,
        "near": found.near_duplicate_rows,
        "email": marked.get("personal_data", 0),
        "markers": marked.get("special_tokens", 0),
        "written": parts.rows,
    }


def run_polars(path: Path, out: Path) -> dict[str, int]:
    import polars as pl

    digest = _Digest(path)
    schema = dict.fromkeys(COLUMNS, pl.String)
    lazy = pl.scan_ndjson(path, schema=schema) if path.suffix == ".jsonl" else pl.scan_csv(path, schema=schema)
    table = lazy.collect(engine="streaming")
    texts = ask, answer = [pl.col(name) for name in COLUMNS[:2]]

    def some(holds: Callable[[pl.Expr], pl.Expr]) -> pl.Expr:
        return pl.any_horizontal(holds(text) for text in texts)

    def folded(text: pl.Expr) -> pl.Expr:
        return text.str.replace_all(FOLDED, " ").str.to_lowercase().str.strip_chars()

    visible = pl.all_horizontal(text.is_not_null() & text.str.contains(VISIBLE) for text in texts)
    simple = {
        "blank": ~visible,
        "edges": some(lambda text: text.str.contains(r"^\s") | pl.any_horizontal(text.str.ends_with(end) for end in " \n\t")),
        "nothing": some(lambda text: (text.str.len_bytes() <= 24) & text.str.contains(NOTHING)),
        "foreign": answer.str.len_bytes() > 1.2 * answer.str.len_chars(),
    }
    lengths = [
        text.str.len_chars().quantile(share).alias(f"{name}{share}")
        for name, text in zip(COLUMNS[:2], texts, strict=True)
        for share in (0.5, 0.95)
    ]
    counts = [pl.len().alias("rows"), *(holds.sum().alias(name) for name, holds in simple.items()), *lengths]
    checked = table.select(*counts).row(0, named=True)
    # The exact patterns only where the joint one hits.
    suspects = table.filter(some(lambda text: text.str.contains(HINT)))
    exact = (some(lambda text, one=one: text.str.contains(one)).sum().alias(name) for name, one in PATTERNS.items())
    marks = suspects.select(*exact).row(0, named=True)
    # Only texts with marks that join letters have to be composed.
    if table.select(ask.str.contains(r"\p{M}").any()).item():
        ask = ask.str.normalize("NFC")
    keys = table.select(
        pl.int_range(pl.len()).alias("row_id"), folded(ask).hash(42).alias("key"), pl.struct(COLUMNS[:2]).hash(1).alias("row")
    )
    kept = table.hstack(keys).filter(visible).unique("row", keep="first", maintain_order=True)
    several = kept.filter(pl.len().over("key") > 1).select("key", folded(answer))
    bucket = pl.col("key") % BUCKETS
    shares = {
        "test": bucket < TEST,
        "validation": bucket >= VALIDATION,
        "train": bucket.is_between(TEST, VALIDATION - 1),
    }
    sinks = [
        kept.lazy().filter(share).sink_parquet(out / f"{part}.parquet", compression="zstd", compression_level=1, lazy=True)
        for part, share in shares.items()
    ]
    pl.collect_all(sinks, engine="streaming")
    many, shared = several.get_column("key").n_unique(), _polars_shared(out)
    return {
        "fingerprint": digest.value(), "several answers": many, "shared": shared,
        "rows": checked["rows"], "blank": checked["blank"], "copies": checked["rows"] - checked["blank"] - kept.height,
        "near": several.height - several.unique().height, "email": marks["email"], "markers": marks["markers"],
        "written": kept.height,
    }  # fmt: skip


def _polars_shared(out: Path) -> int:
    """How many prompts are in two of the written parts: by the keys of all rows, and by some of the texts, in lower case."""
    import polars as pl

    parts = [pl.scan_parquet(out / f"{part}.parquet") for part in ("test", "validation", "train")]
    keys = pl.concat([part.select("key", pl.lit(place).alias("part")) for place, part in enumerate(parts)])
    size = parts[2].select(pl.len()).collect().item()
    some = pl.concat([parts[2].slice(size * place // 16, size // 256) for place in range(16)]) if size > 200_000 else parts[2]
    texts = pl.concat(
        [
            part.select(pl.col("prompt").str.to_lowercase().hash(7).alias("key"), pl.lit(n).alias("part"))
            for n, part in enumerate((*parts[:2], some))
        ]
    )
    found = (
        each.group_by("key").agg(pl.col("part").min() != pl.col("part").max()).select(pl.col("part").sum())
        for each in (keys, texts)
    )
    return sum(int(one.item()) for one in pl.collect_all(list(found), engine="streaming"))


class _Digest:
    """The SHA-256 of a file, taken by another thread meanwhile."""

    def __init__(self, path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self._found = self._pool.submit(self._taken, path)

    @staticmethod
    def _taken(path: Path) -> str:
        import hashlib

        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def value(self) -> str:
        found = self._found.result()
        self._pool.shutdown()
        return found


def _key(prompt: str) -> int:
    import hashlib

    text = unicodedata.normalize("NFC", re.sub(r"\s+", " ", prompt)).lower().strip()
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[:8], "little") % BUCKETS


def run_datasets(path: Path, out: Path) -> dict[str, int]:
    import os

    os.environ["HF_HOME"] = str(out / "hf")
    import datasets
    import pyarrow.parquet as pq

    datasets.disable_progress_bars()
    kind = "json" if path.suffix == ".jsonl" else "csv"
    table = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(out / "cache"))
    hint, exact = re.compile(HINT), {name: re.compile(pattern) for name, pattern in PATTERNS.items()}
    visible = re.compile(VISIBLE)

    def look(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {name: [] for name in ("usable", "email", "markers", "lp", "lc", "key", "row")}
        for ask, answer in zip(batch["prompt"], batch["completion"], strict=True):
            usable = bool(ask and answer and visible.search(ask) and visible.search(answer))
            may = usable and bool(hint.search(ask) or hint.search(answer))
            marks = {name: may and bool(one.search(ask) or one.search(answer)) for name, one in exact.items()}
            found["usable"].append(usable)
            found["email"].append(marks["email"])
            found["markers"].append(marks["markers"])
            found["lp"].append(len(ask or ""))
            found["lc"].append(len(answer or ""))
            found["key"].append(_key(ask) if usable else 0)
            found["row"].append(hash((ask, answer)))
        return found

    # One seed for both processes, so that equal rows have equal hashes.
    checked = table.map(look, batched=True, num_proc=2)
    numbers = checked.select_columns(["usable", "email", "markers", "lp", "lc", "key", "row"]).to_pandas()
    numbers[["lp", "lc"]].quantile([0.5, 0.95])
    kept = numbers[numbers["usable"]].drop_duplicates("row")
    parts = {
        "test": kept[kept["key"] < TEST],
        "validation": kept[kept["key"] >= VALIDATION],
        "train": kept[(kept["key"] >= TEST) & (kept["key"] < VALIDATION)],
    }
    for part, chosen in parts.items():
        rows = table.select(chosen.index).with_format("arrow")
        with pq.ParquetWriter(out / f"{part}.parquet", table.features.arrow_schema, compression="zstd") as writer:
            for batch in rows.iter(10_000):
                writer.write_table(batch)
    return {
        "rows": len(numbers), "blank": int((~numbers["usable"]).sum()), "copies": int(numbers["usable"].sum() - len(kept)),
        "email": int(numbers["email"].sum()), "markers": int(numbers["markers"].sum()), "written": len(kept),
    }  # fmt: skip


def run_pandas(path: Path, out: Path) -> dict[str, int]:
    import pandas as pd

    table = (
        pd.read_json(path, lines=True, dtype=False, convert_dates=False)
        if path.suffix == ".jsonl"
        else pd.read_csv(path, dtype=str, keep_default_na=False)
    )
    visible = table["prompt"].str.contains(VISIBLE) & table["completion"].str.contains(VISIBLE)
    may = table[table["prompt"].str.contains(HINT) | table["completion"].str.contains(HINT)]
    marks = {
        name: int((may["prompt"].str.contains(one) | may["completion"].str.contains(one)).sum())
        for name, one in PATTERNS.items()
    }
    for name in COLUMNS[:2]:
        table[name].str.len().quantile([0.5, 0.95])
    kept = table[visible].drop_duplicates(["prompt", "completion"])
    text = kept["prompt"].str.normalize("NFC").str.replace(r"\s+", " ", regex=True).str.lower().str.strip()
    key = pd.util.hash_array(text.to_numpy(dtype=object)) % BUCKETS
    parts = {"test": key < TEST, "validation": key >= VALIDATION, "train": (key >= TEST) & (key < VALIDATION)}
    for part, share in parts.items():
        kept[share].to_parquet(out / f"{part}.parquet", compression="zstd", index=False)
    return {
        "rows": len(table), "blank": int((~visible).sum()), "copies": int(visible.sum() - len(kept)), "email": marks["email"],
        "markers": marks["markers"], "written": len(kept),
    }  # fmt: skip


RUNS: dict[str, Callable[[Path, Path], dict[str, int]]] = {
    "studio": run_studio,
    "polars": run_polars,
    "datasets": run_datasets,
    "pandas": run_pandas,
}


def look_first(path: Path) -> dict[str, int]:
    from studio import data

    return {"rows": len(data.peek(path, path.name).rows)}


def look_again(folder: Path) -> dict[str, int]:
    from studio import data

    again = data.load(folder)
    return {"rows": len(data.rows(again.train.path, limit=20))}


def measured(command: list[str], limit: float) -> dict[str, Any]:
    """Run a process; its wall time, its peak memory (all, and without mapped files), and what it printed."""
    began, peak, own = time.perf_counter(), 0, 0
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment())
    tree = psutil.Process(process.pid)
    while process.poll() is None:
        resident = private = 0
        for one in [tree, *_children(tree)]:
            try:
                memory = one.memory_info()
            except psutil.Error:
                continue
            resident, private = resident + memory.rss, private + memory.rss - memory.shared
        peak, own = max(peak, resident), max(own, private)
        if time.perf_counter() - began > limit:
            process.kill()
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    printed, errors = process.communicate()
    if process.returncode:
        return {"failed": (errors.strip().splitlines() or [f"stopped after {seconds:.0f} s"])[-1][:300]}
    return {"seconds": seconds, "peak": peak / 1e9, "own": own / 1e9, **json.loads(printed.strip().splitlines()[-1])}


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false"}


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def compare(paths: dict[str, Path], tools: list[str], rounds: int, limit: float) -> dict[str, Any]:
    """All tools on all files, in turns."""
    found: dict[str, Any] = {}
    for kind, path in paths.items():
        runs: dict[str, list[dict[str, Any]]] = {tool: [] for tool in tools}
        looks: dict[str, list[dict[str, Any]]] = {"first look": [], "second look": []}
        for number in range(rounds):
            for tool in tools:
                if any("failed" in run for run in runs[tool]) or (number and runs[tool][0].get("seconds", 0) > limit / 6):
                    continue
                out = path.parent / f"out-{tool}"
                out.mkdir()
                command = [sys.executable, __file__, "--work", tool, str(path), str(out)]
                runs[tool].append(measured(command, limit))
                if tool == "studio":
                    looks["first look"].append(measured([sys.executable, __file__, "--work", "first", str(path), ""], limit))
                    looks["second look"].append(measured([sys.executable, __file__, "--work", "again", str(out), ""], limit))
                shutil.rmtree(out)
                print(f"  {kind} round {number + 1}: {tool} {_short(runs[tool][-1])}", file=sys.stderr, flush=True)
        found[kind] = {
            **{tool: _summary(each) for tool, each in runs.items()},
            **{n: _summary(e) for n, e in looks.items() if e},
        }
    return found


def _short(run: dict[str, Any]) -> str:
    return run.get("failed") or f"{run['seconds']:.1f} s, {run['peak']:.2f} GB ({run['own']:.2f} own)"


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    good = [run for run in runs if "failed" not in run]
    if not good:
        return runs[0] if runs else {"failed": "not run"}
    seconds = [run["seconds"] for run in good]
    told = {name: value for name, value in good[-1].items() if name not in ("seconds", "peak", "own")}
    return {
        "seconds": round(statistics.median(seconds), 2),
        "spread": [round(min(seconds), 2), round(max(seconds), 2)],
        "peak_gb": round(max(run["peak"] for run in good), 2),
        "own_gb": round(max(run["own"] for run in good), 2),
        "runs": len(good),
        **told,
    }


def report(found: dict[str, Any], paths: dict[str, Path]) -> None:
    """Ratios first: above 1 means that the studio is the slower or the larger one where it is named first."""
    for kind, tools in found.items():
        print(f"\n{kind}, {paths[kind].stat().st_size / 1e9:.2f} GB")
        for tool, told in tools.items():
            if "failed" in told:
                print(f"  {tool:12s} failed: {told['failed']}")
                continue
            low, high = told["spread"]
            counts = ", ".join(
                f"{name} {told[name]:,}" for name in ("rows", "blank", "copies", "near", "email", "written") if name in told
            )
            print(
                f"  {tool:12s} {told['seconds']:7.1f} s ({low:.1f} to {high:.1f}, n = {told['runs']})  "
                f"{told['peak_gb']:.2f} GB ({told['own_gb']:.2f} own)  {counts}"
            )
        ours = tools["studio"]
        if "failed" in ours:
            continue
        for tool in ("polars", "datasets", "pandas"):
            theirs = tools.get(tool)
            if not theirs or "failed" in theirs:
                continue
            if theirs["seconds"] < ours["seconds"]:
                print(f"  {tool} is {ours['seconds'] / theirs['seconds']:.2f} times as fast as the studio", end="; ")
            else:
                print(f"  the studio is {theirs['seconds'] / ours['seconds']:.2f} times as fast as {tool}", end="; ")
            own, all_of_it = ours["own_gb"] / theirs["own_gb"], ours["peak_gb"] / theirs["peak_gb"]
            print(f"the studio's memory is {own:.2f} of {tool}'s ({all_of_it:.2f} with mapped files)")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--formats", default="jsonl,csv")
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a run is stopped")
    parser.add_argument("--folder", type=Path, help="where to put the files (about four times their size)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--work", nargs=3, metavar=("TOOL", "FILE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.work:
        tool, path, out = options.work
        work = {"first": lambda: look_first(Path(path)), "again": lambda: look_again(Path(path))}
        print(json.dumps(work[tool]() if tool in work else RUNS[tool](Path(path), Path(out))))
        return 0
    tools = ["studio"]
    for tool in options.tools.split(","):
        if tool != "studio" and importlib.util.find_spec(tool) is None:
            print(f"{tool} is not installed and is left out", file=sys.stderr)
        elif tool not in tools:
            tools.append(tool)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = generate(Path(folder), int(options.gb * 1e9), options.formats.split(","))
        found = compare(paths, tools, options.rounds, options.limit)
        if options.json:
            print(json.dumps(found))
        else:
            report(found, paths)
    return 0


if __name__ == "__main__":
    sys.exit(main())
