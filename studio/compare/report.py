"""The report of a session: one value from which the HTML file, the section of the model card and the picture are made.

Guarantees: it is computed from the export alone, and carries it, so that its numbers can be computed again by anybody; it opens
only when the export does, when nobody can be influenced any more; what is added beside (how the model was made, what a program
counted) is said to come from elsewhere by standing in a part of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import studio
from studio.compare import outcome, report_html, report_markdown, report_picture
from studio.compare.document import record_from_document
from studio.compare.measures import Measure
from studio.compare.report_parts import Background, Part, parts
from studio.compare.sentences import plain
from studio.compare.verdict import Verdict, judge
from studio.store import Store

__all__ = ["Background", "Report", "of_document", "of_session", "votes_in"]

votes_in = report_html.votes_in


@dataclass(frozen=True)
class Report:
    """A session as it is told. ``votes`` is the text of the export that all of it is computed from.

    ``made_on`` is a day in UTC.
    """

    title: str
    session: str
    verdict: Verdict
    parts: tuple[Part, ...]
    votes: str
    version: str
    made_on: str

    @property
    def file_name(self) -> str:
        """What the HTML file is called."""
        return f"report-{self.session}.html"

    @property
    def votes_name(self) -> str:
        """What the export is called."""
        return f"votes-{self.session}.json"

    @property
    def expected(self) -> tuple[tuple[str, str], ...]:
        """Some of what ``tuning-fork verdict FILE --json`` prints for these votes, letter for letter."""
        names = ("win_rate", "low", "high", "evidence", "state", "n_items", "n_votes")
        return tuple((name, json.dumps(getattr(self.verdict, name))) for name in names)

    def html(self) -> str:
        """One file that holds everything, see ``report_html``."""
        return report_html.html(self)

    def markdown(self, *, picture: str = "", level: int = 2) -> str:
        """The section of a model card, see ``report_markdown``."""
        return report_markdown.markdown(self, picture=picture, level=level)

    def picture(self) -> str:
        """The win rate with its interval as an SVG file."""
        return report_picture.standalone(self.verdict)


def of_session(store: Store, session_id: str, owner: str) -> Report:
    """The report of a session with all that the studio knows beside its votes.

    Raises ``NotFoundError``; ``RunError`` while somebody is still rating, because it says which side was which.
    """
    document = outcome.export(store, session_id, owner)
    comparison = store.comparisons.get(str(document["comparison"]), owner)
    counted: list[dict[str, Any]] = json.loads(comparison.measures_json)
    measures = tuple(Measure(**one) for one in counted)
    if comparison.run_id is None:
        return of_document(document, Background(measures=_first(measures)))
    run = store.runs.get(comparison.run_id, owner)
    recipe = cast("dict[str, Any]", json.loads(run.recipe_json))
    return of_document(document, Background(run.name, recipe, _first(measures)))


def of_document(document: Mapping[str, Any], background: Background | None = None) -> Report:
    """The report of an export alone. Raises ``DataError`` when it cannot be read."""
    votes = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    record = record_from_document(json.loads(votes))
    verdict, known = judge(record), background or Background()
    many = len(record.challengers)
    first, reference = (next(arm for arm in record.arms if arm.name == name) for name in (verdict.challenger, record.reference))
    challenger = f"{many} challengers" if many > 1 else plain(first.label or first.name)
    return Report(
        title=f"{challenger} against {plain(reference.label or reference.name)}",
        session=_safe(str(document.get("session") or "of-a-file")),
        verdict=verdict,
        parts=tuple(parts(document, verdict, record, known)),
        votes=votes,
        version=studio.__version__,
        made_on=f"{datetime.now(UTC):%d %B %Y}".removeprefix("0"),
    )


def _first(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
    """Those of the first challenger, which the verdict's own numbers are about."""
    return tuple(one for one in measures if one.arm == measures[0].arm)


def _safe(session: str) -> str:
    """The id as part of a file's name, whatever a file of votes calls itself."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in session)[:64]
