"""``reward``: try a reward on a few rows before anything is trained, or have one suggested.

Guarantees: no copy of the file is kept and nothing is trained; with ``--answer`` no model is needed; the exit status is 1 when
no answer could be scored.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from studio import datasets, rewards
from studio.cli.data import progress_line, reading_argument, reading_of, require_ready
from studio.cli.output import Output
from studio.errors import DataError, SettingError
from studio.origins import FromFile
from studio.rewards import Reward
from studio.rewards.bench import ANSWERS, ROWS, Bench, score_answers
from studio.rewards.of_data import some_rows, suggested
from studio.runs.rehearsal import Wanted, rehearse
from studio.settings import Settings
from studio.store import Store

_BAR: Final = 30
_SHOWN: Final = 70
_LONGEST_REWARD: Final = 1_000_000


def reward_arguments(parser: argparse.ArgumentParser) -> None:
    """``reward try REWARD.yaml FILE [--rows 5] [--answers 4] [--model nano]`` or ``reward suggest FILE``."""
    parser.add_argument("what", choices=("try", "suggest"), help="try a reward on some rows, or suggest one for this file")
    parser.add_argument(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="try: REWARD.yaml FILE; suggest: FILE (CSV, JSON, JSON lines, Parquet)",
    )
    parser.add_argument("--model", default="nano", help="model that answers (default: nano)")
    parser.add_argument("--run", default="", metavar="RUN", help="let the model of this run answer instead")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"rows to try it on (default: {ROWS})")
    parser.add_argument("--answers", type=int, default=ANSWERS, metavar="N", help=f"answers per row (default: {ANSWERS})")
    parser.add_argument("--temperature", type=float, default=1.0, help="how freely answers are drawn (default: 1)")
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="longest answer, in tokens (default: 64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: 0)")
    parser.add_argument(
        "--answer",
        action="append",
        default=[],
        metavar="TEXT",
        help="score this answer to the first row instead; repeat for several",
    )
    reading_argument(parser)


def reward(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Try or suggest."""
    paths: Sequence[Path] = asked.paths
    if asked.what == "suggest":
        if len(paths) != 1:
            raise SettingError("This takes one file.", where="suggest", next_step="tuning-fork reward suggest FILE")
        return _suggest(asked, settings, output, paths[0])
    if len(paths) != 2:
        raise SettingError("This takes a reward and a file.", where="try", next_step="tuning-fork reward try REWARD.yaml FILE")
    return _try(asked, settings, output, _read(paths[0]), paths[1])


def _suggest(asked: argparse.Namespace, settings: Settings, output: Output, file: Path) -> int:
    with tempfile.TemporaryDirectory(prefix="tuning-fork-") as folder:
        path = _training_rows(replace(settings, home=Path(folder)), file, asked)
        found = suggested(path)
    output.result(
        {
            "reward": rewards.to_mapping(found.reward),
            "reason": found.reason,
            "sure": found.sure,
            "description": rewards.describe(found.reward),
            "cautions": list(rewards.cautions(found.reward)),
        }
    )
    output.say(f"# {found.reason}")
    output.say(rewards.to_yaml(found.reward).rstrip())
    return 0


def _try(asked: argparse.Namespace, settings: Settings, output: Output, reward: Reward, file: Path) -> int:
    _require_numbers(asked)
    with tempfile.TemporaryDirectory(prefix="tuning-fork-") as folder:
        path = _training_rows(replace(settings, home=Path(folder)), file, asked)
        if asked.answer:
            bench = asyncio.run(score_answers(reward, some_rows(path, 1)[0], asked.answer))
        else:
            bench = rehearse(settings, path, reward, _wanted(asked, settings), tell=_tell)
    output.result(bench.to_dict())
    _say(bench, output)
    return 0 if bench.scores else 1


def _wanted(asked: argparse.Namespace, settings: Settings) -> Wanted:
    wanted = Wanted(
        model=asked.model,
        rows=asked.rows,
        answers=asked.answers,
        temperature=asked.temperature,
        max_tokens=asked.max_tokens,
        seed=asked.seed,
    )
    if not asked.run:
        return wanted
    store = Store(settings.database)
    try:
        run = store.runs.get(asked.run, settings.owner)
    finally:
        store.close()
    if not run.sampler_path:
        raise SettingError("This run has no model that could answer.", where="--run", next_step="Choose one that is completed.")
    return replace(wanted, model=run.model, sampler_path=run.sampler_path)


def _require_numbers(asked: argparse.Namespace) -> None:
    limits = (("rows", 1, 100), ("answers", 1, 64), ("temperature", 0, 10), ("max_tokens", 1, 100_000))
    for name, low, high in limits:
        if not low <= getattr(asked, name) <= high:
            raise SettingError(f"This must be from {low} to {high:,}.", where=f"--{name.replace('_', '-')}")


def _read(path: Path) -> Reward:
    try:
        if path.stat().st_size > _LONGEST_REWARD:
            raise DataError(
                "This is far too long for a reward.", where=str(path), next_step="Name the reward first, then the file."
            )
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"The file cannot be read: {error.strerror}.", where=str(path), next_step="Check the path.") from error
    except UnicodeDecodeError as error:
        raise DataError("This is not a text in UTF-8.", where=str(path), next_step="Save it as UTF-8.") from error
    return rewards.parse(text)


def _training_rows(settings: Settings, file: Path, asked: argparse.Namespace) -> Path:
    """The training part of the file, which is what a run would learn from."""
    origin = FromFile(file, by_path=True, in_place=True)
    store = Store(settings.database)
    try:
        with progress_line() as tell:
            staged_id, found = datasets.stage(settings, origin, file.name, settings.owner, reading=reading_of(asked), tell=tell)
            require_ready(found, file.name)
            return datasets.settle(settings, store, staged_id, settings.owner, tell=tell).train.path
    finally:
        store.close()


def _tell(phase: str) -> None:
    if sys.stderr.isatty():
        print(f"{phase} …", file=sys.stderr)


def _say(bench: Bench, output: Output) -> None:
    output.say(rewards.describe(bench.reward))
    for group in bench.groups:
        output.say(
            f"\n{_short(group.row.prompt)}" + (f"   (reference: {_short(group.row.reference)})" if group.row.reference else "")
        )
        output.table(
            ["score", "answer", "why"],
            [
                (
                    "failed" if trial.score.value is None else f"{trial.score.value:.3g}",
                    _short(trial.answer),
                    trial.score.error or "; ".join(part.why for part in trial.score.parts),
                )
                for trial in group.trials
            ],
        )
        if group.flat:
            output.say("All of them score the same: nothing is learned from this question.")
    most = max((each.count for each in bench.histogram), default=0)
    output.say("\nscores")
    for each in bench.histogram:
        bar = "#" * (round(_BAR * each.count / most) if most else 0)
        output.say(f"{each.low:6.2f} to {each.high:5.2f}  {each.count:3d}  {bar}".rstrip())
    if bench.mean is not None:
        spread = f", spread inside a question {bench.spread:.3f}" if bench.spread is not None else ""
        output.say(f"mean {bench.mean:.3f}{spread}")
    for note in bench.notes:
        output.say(f"\n{note.sentence} {note.next_step}".rstrip())
    for caution in rewards.cautions(bench.reward):
        output.say(f"\nMind: {caution}")


def _short(text: str) -> str:
    plain = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return f"{plain[:_SHOWN]}…" if len(plain) > _SHOWN else plain
