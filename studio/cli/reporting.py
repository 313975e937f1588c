"""``report`` and ``session prefer``: what a session came to, as a file for people, and as data to learn from.

Guarantees: a file is written whole or not at all; nothing is told while somebody is still rating; the numbers of a report are
those that ``tuning-fork verdict`` computes from it again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from studio.cli.judging import document_of
from studio.cli.output import Output, write_whole
from studio.compare import preferences
from studio.compare import report as reports
from studio.compare.recompute import as_json
from studio.compare.report import Report
from studio.errors import SettingError
from studio.settings import Settings
from studio.store import Store


def report_arguments(parser: argparse.ArgumentParser) -> None:
    """``report SESSION|EXPORT.json [--html FILE] [--markdown FILE]``."""
    parser.add_argument("target", metavar="SESSION|EXPORT.json", help="a session of this studio, or a file of exported votes")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write the report as one HTML file that needs nothing else")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE.md",
        help="write a section for a model card, and its picture as FILE.svg beside it",
    )


def report_of(target: str, settings: Settings) -> Report:
    """The report of a session, or of a file of votes when there is one of that name. Raises ``DataError, NotFoundError``."""
    if Path(target).is_file():
        return reports.of_document(document_of(Path(target)))
    store = Store(settings.database)
    try:
        return reports.of_session(store, target, settings.owner)
    finally:
        store.close()


def report(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Write the report, or print the section of a model card when no file is named."""
    if asked.markdown is not None and asked.markdown.suffix == ".svg":
        raise SettingError("The picture is written beside it as .svg.", where="--markdown", next_step="Name a .md file.")
    found = report_of(asked.target, settings)
    written: list[Path] = []
    if asked.html is not None:
        write_whole(asked.html, found.html())
        written.append(asked.html)
    if asked.markdown is not None:
        picture = asked.markdown.with_suffix(".svg")
        write_whole(picture, found.picture())
        write_whole(asked.markdown, found.markdown(picture=picture.name))
        written += [asked.markdown, picture]
    output.result(
        {"session_id": found.session, "files": [str(one) for one in written], "verdict": as_json(found.verdict)}
        | {"markdown": None if written else found.markdown()}
    )
    if not written:
        output.say(found.markdown())
    for one in written:
        output.say(f"Written: {one}")
    if asked.html is not None:
        output.say(f"Anybody can compute its numbers again: tuning-fork verdict {asked.html}")
    return 0


def prefer(session: str, out: Path | None, settings: Settings, store: Store, output: Output) -> int:
    """Make a preference data set of a session's votes; with ``out`` its pairs are written there as JSON lines, too."""
    found = preferences.of_session(store, session, settings.owner)
    dataset = preferences.make_dataset(settings, store, found, settings.owner)
    if out is not None:
        write_whole(out, found.to_jsonl())
    output.result(
        {"session_id": session, "dataset_id": dataset, "pairs": len(found.pairs), "left_out": dict(found.left_out)}
        | {"file": str(out) if out else None, "provenance": dict(found.provenance)}
    )
    output.say(f"Data set {dataset}: {len(found.pairs):,} pairs of a better and a worse answer.")
    for remark in found.remarks:
        output.say(f"- left out: {remark}")
    if out is not None:
        output.say(f"Train on them: tuning-fork train {out} --method dpo")
    return 0
