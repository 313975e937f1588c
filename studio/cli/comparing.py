"""``compare`` and ``measure``: who answers which prompts, and what a program can count about it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from studio.cli.output import Output
from studio.compare import generate
from studio.compare.generate import Column, CompareSettings, Others, Plan, PromptSource, Question
from studio.compare.measures import Measure
from studio.compare.packs import packs
from studio.errors import NotFoundError, RunError
from studio.runs.supervisor import Supervisor
from studio.settings import Settings
from studio.store import ComparisonRow, Store

_PAUSE: Final = 0.25
_SHOWN: Final = 5
_WIDE: Final = 44


def compare_arguments(parser: argparse.ArgumentParser) -> None:
    """``compare [RUN] [--checkpoint STEP]… [--against RUN|MODEL]… [--import FILE]… [--prompts FILE | --pack NAME…]``."""
    parser.add_argument("run", metavar="RUN", nargs="?", default="", help="id of a completed run; `runs` lists them")
    parser.add_argument(
        "--checkpoint", type=int, action="append", default=[], metavar="STEP", help="also what the run had learned after STEP"
    )
    parser.add_argument(
        "--against", action="append", default=[], metavar="RUN|MODEL", help="also another run, or a model of the catalogue"
    )
    parser.add_argument(
        "--import",
        dest="imported",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="also the answers in this file (JSON, JSONL or CSV with a prompt and an answer in each row)",
    )
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--prompts", type=Path, metavar="FILE", help="ask these prompts and not the held-out ones")
    chosen.add_argument("--pack", action="append", default=[], metavar="NAME", help=f"ask a regression pack: {_pack_names()}")
    parser.add_argument("--max-prompts", type=int, metavar="N", help="ask at most N prompts (default: 200)")
    parser.add_argument(
        "--learned",
        choices=("refuse", "leave-out", "stamp"),
        default="refuse",
        help="what to do with prompts of --prompts or --pack that a run was trained on (default: refuse)",
    )


def _pack_names() -> str:
    return ", ".join(one.name for one in packs())


def compare(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Let all arms answer, store the answers, and print the measures side by side."""
    store = Store(settings.database)
    try:
        comparison = _answered(asked, settings, store)
        document = _document(store, comparison, settings.owner)
        output.result(document)
        for arm in document["arms"][1:]:
            found = generate.measures(store, comparison.id, settings.owner, arm["name"])
            _table(output, document["arms"][0], arm, found)
    finally:
        store.close()
    for stamp in document["stamps"]:
        output.say(f"\n{stamp}")
    output.say(f"\n{document['answers']} answers are stored as {comparison.id}. Rate them blind: tuning-fork ui")
    return 0


def measure_arguments(parser: argparse.ArgumentParser) -> None:
    """``measure [RUN] …``, with the arguments of ``compare``."""
    compare_arguments(parser)
    parser.add_argument(
        "--by", metavar="MEASURE", help="the measure by which prompts are sorted, such as f1 (default: the first there is)"
    )


def measure(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print all measures, and the prompts that changed most in either direction. Answers that are missing are made first."""
    store = Store(settings.database)
    try:
        comparison = _answered(asked, settings, store)
        document = _document(store, comparison, settings.owner)
        changes: dict[str, Any] = {}
        for arm in document["arms"][1:]:
            columns, questions = generate.changes_of(settings, store, comparison.id, settings.owner, arm["name"])
            column = _column(columns, asked.by)
            changes[arm["name"]] = {"measure": column.name, "better": column.better, "rows": _rows(column, questions)}
            found = generate.measures(store, comparison.id, settings.owner, arm["name"])
            _table(output, document["arms"][0], arm, found)
            _most_changed(output, column, changes[arm["name"]]["rows"])
    finally:
        store.close()
    output.result({**document, "changes": changes})
    return 0


def _answered(asked: argparse.Namespace, settings: Settings, store: Store) -> ComparisonRow:
    """The comparison that was asked for, with all its answers. Raises ``RunError`` when it did not complete."""
    most = {} if asked.max_prompts is None else {"max_prompts": asked.max_prompts}
    wanted = CompareSettings(**most, learned=asked.learned.replace("-", "_"))
    imported = tuple(generate.keep_answers(settings, file, file.name) for file in asked.imported)
    others = Others(tuple(asked.checkpoint), tuple(asked.against), imported)
    prompts = _prompts(asked, settings)
    comparison = generate.start_comparison(settings, store, asked.run, settings.owner, wanted, others=others, prompts=prompts)
    if generate.answers_complete(store, comparison.id, settings.owner):
        return store.comparisons.get(comparison.id, settings.owner)
    with Supervisor(settings, store) as supervisor:
        supervisor.submit(comparison.id)
        while not (job := store.jobs.get(comparison.id)).ended:
            time.sleep(_PAUSE)
    if job.status != "completed":
        raise RunError(f"The comparison is {job.status}. {job.reason}".strip(), where=comparison.id, next_step=job.next_step)
    return store.comparisons.get(comparison.id, settings.owner)


def _prompts(asked: argparse.Namespace, settings: Settings) -> PromptSource | None:
    if asked.pack:
        return generate.keep_packs(settings, asked.pack)
    return generate.keep_prompts(settings, asked.prompts, asked.prompts.name) if asked.prompts else None


def _document(store: Store, comparison: ComparisonRow, owner: str) -> dict[str, Any]:
    plan, arms = Plan.of(comparison), store.comparisons.arms(comparison.id)
    prompts, answers = store.comparisons.prompts(comparison.id), store.comparisons.answers(comparison.id)
    trained = sum(bool(one.stamp) for one in prompts)
    stamps = [remark for arm in plan.arms for remark in plan.remarks(arm)]
    if trained:
        stamps.insert(0, f"Not held out: {trained} of {len(prompts)} prompts were trained on.")
    found = [one for arm in plan.challengers for one in generate.measures(store, comparison.id, owner, arm.name)]
    return {
        "run_id": plan.run_id,
        "comparison_id": comparison.id,
        "arms": [{"name": one.name, "kind": one.kind, "label": one.label, "reference": one.reference} for one in arms],
        "prompts": {**asdict(plan.source), "asked": len({one.prompt_id for one in answers}), "trained_on": trained},
        "answers": len(answers),
        "stamps": stamps,
        "measures": [asdict(one) for one in found],
    }


def _table(output: Output, first: Mapping[str, Any], arm: Mapping[str, Any], found: Sequence[Measure]) -> None:
    title = "" if arm["name"] == "tuned" else f"{arm['label']} against {first['label']}"
    columns = ["measure", str(first["name"]), str(arm["name"]), "difference (95 %)", "prompts"]
    output.table(columns, [_line(one) for one in found], title=title)


def _line(measure: Measure) -> tuple[str, str, str, str, str]:
    between = "" if measure.low is None else f"{_shown(measure, measure.low)} to {_shown(measure, measure.high)}"
    return measure.label, _shown(measure, measure.base), _shown(measure, measure.tuned), between, str(measure.n)


def _shown(measure: Measure | Column, value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{100 * value:.0f} %" if measure.unit == "share" else f"{value:,.3g}"


def _column(columns: Sequence[Column], name: str | None) -> Column:
    """The measure by that name; unless one is named, the first one of which more is better or worse."""
    if name is None:
        return next((one for one in columns if one.better != "neither"), columns[0])
    found = next((one for one in columns if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in columns)
        raise NotFoundError("There is no such measure for single prompts.", where=name, next_step=f"Choose one of: {known}.")
    return found


def _rows(column: Column, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Every prompt with its change, from the largest gain to the largest loss."""
    asked = {one.prompt_id: one.messages[-1].content for one in questions}
    sign = -1 if column.better == "lower" else 1
    rows = [
        {"prompt_id": prompt_id, "prompt": asked.get(prompt_id, ""), "base": base, "tuned": tuned, "change": tuned - base}
        for prompt_id, base, tuned in column.scores
    ]
    return sorted(rows, key=lambda row: -sign * float(row["change"]))


def _most_changed(output: Output, column: Column, rows: Sequence[Mapping[str, Any]]) -> None:
    changed = [row for row in rows if row["change"]]
    if not changed:
        output.say(f"\n{column.label}: no prompt changed.")
        return
    shown = changed if len(changed) <= 2 * _SHOWN else [*changed[:_SHOWN], *changed[-_SHOWN:]]
    lines = [
        (_cut(str(row["prompt"])), _shown(column, row["base"]), _shown(column, row["tuned"]), f"{row['change']:+.3g}")
        for row in shown
    ]
    output.table(["prompt", "before", "after", "change"], lines, title=f"What changed most: {column.label}")


def _cut(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDE else f"{flat[: _WIDE - 1]}…"
