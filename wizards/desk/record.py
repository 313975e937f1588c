"""The *Data card* tab: what the file is, what was done with it, and what can be taken away.

Guarantees: pure; everything that decides about a row is written down here: how it was read, each rule, each repair, the SQL.
"""

from __future__ import annotations

from typing import Any, Final

from studio.data import Dataset, Inspection
from studio.data.staging.fixes import describe
from wizards import widgets
from wizards.desk.screen import Screen
from wizards.desk.words import KINDS, counted, pairs, size
from wizards.widgets import Html, tag

_CONTAINERS: Final = {
    "csv": "a table (CSV)",
    "json_array": "a JSON list",
    "json_object": "a JSON object",
    "jsonl": "JSON lines (JSONL)",
    "parquet": "Parquet",
}
_SEPARATORS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def tab(now: Screen) -> Html:
    """The whole tab."""
    inspection = now.inspection
    if inspection is None:
        return widgets.join(())
    return widgets.join(
        (
            widgets.facts(_facts(inspection, now.dataset)),
            _take(now, inspection),
            _rules(inspection, now.dataset),
            _sql(now.dataset),
        )
    )


def _facts(inspection: Inspection, dataset: Dataset | None) -> list[tuple[str, object]]:
    read = f"{_CONTAINERS.get(inspection.container, inspection.container)}, {inspection.encoding}"
    if inspection.delimiter:
        read += f", separated by {_SEPARATORS.get(inspection.delimiter, f'“{inspection.delimiter}”')}"
    shape = inspection.shape
    found: list[tuple[str, object]] = [
        ("file", inspection.file_name),
        ("size", size(inspection.bytes)),
        ("read as", read),
        ("form", f"{KINDS[shape.kind]}: {pairs(shape)}" if shape is not None else "not known yet"),
        (
            "rows",
            f"{counted(inspection.rows_total)}: {inspection.rows_usable:,} usable, {inspection.rows_rejected:,} set aside",
        ),
        ("copies", f"{inspection.duplicate_rows:,} exact, {inspection.near_duplicate_rows:,} nearly the same"),
        ("fingerprint", tag("code", inspection.fingerprint, cls="tf-fingerprint")),
    ]
    if dataset is not None:
        plan = dataset.plan
        rows = f"{dataset.train.rows:,} to learn from, {dataset.validation.rows:,} to check on, {dataset.test.rows:,} sealed"
        found.append(("parts", f"{rows} ({plan.train:g} / {plan.validation:g} / {plan.test:g})"))
        seal = dataset.details.get("test_seal")
        if seal:
            found.append(("seal", tag("code", str(seal), cls="tf-fingerprint")))
    return found


def _take(now: Screen, inspection: Inspection) -> Html:
    links: list[Html] = []
    if now.dataset is not None:
        links += [_link(now, "card.md", "Data card (Markdown)"), _link(now, "card.json", "Data card (JSON)")]
    if inspection.rows_usable:
        links.append(_link(now, "clean.jsonl", "Cleaned rows (JSONL)"))
    if inspection.rows_rejected:
        links.append(_link(now, "set_aside.csv", "Rows set aside (CSV)"))
    remark = "The card itself can be taken once the rows are divided." if now.dataset is None else ""
    return tag(
        "div",
        tag("h3", "Take it with you"),
        tag("p", *links, cls="tf-exports"),
        tag("p", remark, cls="tf-remark") if remark else None,
        cls="tf-take",
    )


def _link(now: Screen, what: str, words: str) -> Html:
    return tag(
        "a", widgets.icon("file"), tag("span", words), href=f"/take/{now.id}/{what}", download=True, cls="tf-button tf-quiet"
    )


def _rules(inspection: Inspection, dataset: Dataset | None) -> Html:
    details: Any = dataset.details if dataset is not None else {}
    rules = [str(rule) for rule in details.get("rules", inspection.rules)]
    fixes = tag("ol", *(tag("li", describe(fix)) for fix in inspection.fixes), cls="tf-notes") if inspection.fixes else None
    return widgets.join(
        (
            tag("h3", "Repairs that were made"),
            fixes or tag("p", "None.", cls="tf-remark"),
            widgets.more("The rules", tag("ul", *(tag("li", rule) for rule in rules), cls="tf-notes"), keep="data-rules"),
        )
    )


def _sql(dataset: Dataset | None) -> Html | None:
    written = dataset.details.get("sql") if dataset is not None else None
    if not isinstance(written, dict):
        return None
    text = "\n\n".join(f"-- {name}\n{sql}" for name, sql in written.items())
    return widgets.more(
        "The SQL that made the parts", tag("pre", text, cls="tf-sample", id="tf-sql", tabindex="0"), keep="data-sql"
    )
