"""The data card: what a data set is made of and how, as facts for programs and as a page for people.

Guarantees: the card and its JSON say the same; no row, no example and no path is in it; whatever a person wrote (names of
files, columns and values) is text in the Markdown and can never be a link, a heading, a table or HTML.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from studio.data.db import disk_errors
from studio.data.staging.fixes import describe
from studio.data.types import Dataset

CARD: Final = "DATA_CARD.md"

# What Markdown could take for a mark, and what its readers make links of.
_MARKS: Final = re.compile(r"([\\`*_{}\[\]()<>#+!|~$&^=@]|^-|(?<=www)\.|:(?=/))", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"^(\d+)(\.)(?=\s)")
# Characters that turn the direction of writing.
_TURNING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_FENCE: Final = re.compile(r"`{3,}")
_TRAINING: Final = {
    "SL": "supervised learning, from examples with an answer",
    "DPO": "preference training, from pairs of a better and a worse answer",
    "RL": "reinforcement learning, from tasks that a reward judges",
}


@dataclass(frozen=True, slots=True)
class Card:
    """The facts, and the same facts as Markdown."""

    facts: Mapping[str, Any]
    markdown: str

    def to_json(self) -> str:
        """The facts as one JSON document."""
        return json.dumps(self.facts, ensure_ascii=False, indent=1)


def card(dataset: Dataset) -> Card:
    """The card of a data set."""
    facts = _facts(dataset)
    return Card(facts, _markdown(facts))


def write_card(dataset: Dataset) -> Path:
    """Write the card beside the parts; returns where it is. Raises ``StoreError`` when the disk refuses."""
    path = dataset.folder / CARD
    partial = path.with_name(f"{CARD}.part")
    with disk_errors(dataset.name):
        partial.write_text(card(dataset).markdown, "utf-8")
        partial.replace(path)
    return path


def _facts(dataset: Dataset) -> dict[str, Any]:
    inspection, details = dataset.inspection, dataset.details
    shape = inspection.shape
    return {
        "name": dataset.name,
        "created_at": details["created_at"],
        "file": {
            "name": inspection.file_name,
            "sha256": inspection.fingerprint,
            "bytes": inspection.bytes,
            "container": inspection.container,
            "encoding": inspection.encoding,
            "delimiter": inspection.delimiter,
        },
        "provenance": dict(details.get("provenance", {})),
        "form": {
            "kind": shape.kind if shape else None,
            "training": shape.training if shape else None,
            "columns": dict(shape.columns) if shape else {},
            "kept_beside": list(inspection.extras),
        },
        "rows": {
            "read": inspection.rows_total,
            "usable": inspection.rows_usable,
            "set_aside": inspection.rows_rejected,
            "set_aside_by_reason": dict(details.get("set_aside", {})),
            "exact_copies": inspection.duplicate_rows,
            "near_duplicates": inspection.near_duplicate_rows,
            "copies_left_out": dataset.duplicates_dropped,
        },
        "findings": [{"code": one.code, "severity": one.severity, "count": one.count} for one in inspection.findings],
        "fixes": [{**asdict(fix), "what": describe(fix)} for fix in inspection.fixes],
        "split": {
            "plan": asdict(dataset.plan),
            "rows": {"train": dataset.train.rows, "validation": dataset.validation.rows, "test": dataset.test.rows},
            "prompts": details["prompts"],
            "moved_prompts": dataset.moved_prompts,
            "kept_in_train": details["kept_in_train"],
            "shared_prompts": details["shared_prompts"],
            "together": dict(details.get("together", {})),
            "strata": dict(details.get("strata", {})),
        },
        "mixture": list(details.get("mixture", [])),
        "test_seal": details["test_seal"],
        "characters": asdict(inspection.lengths),
        "rules": list(details["rules"]),
        "normalised_prompt": details["normalised_prompt"],
        "sql": dict(details["sql"]),
        "versions": dict(details["versions"]),
    }


def _markdown(facts: Mapping[str, Any]) -> str:
    sections = [
        f"# Data card: {escaped(facts['name'])}",
        *_told_of_file(facts),
        *_told_of_rows(facts),
        *_told_of_parts(facts),
        "## How it was made",
        "\n".join(f"- {escaped(rule)}" for rule in facts["rules"]),
        *(f"{part}:\n\n{_fenced(sql)}" for part, sql in facts["sql"].items()),
        f"Prompts count as equal when this is equal:\n\n{_fenced(facts['normalised_prompt'])}",
        "Made with " + ", ".join(f"{escaped(name)} {escaped(version)}" for name, version in facts["versions"].items()) + ".",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _told_of_file(facts: Mapping[str, Any]) -> tuple[str, ...]:
    file, form = facts["file"], facts["form"]
    return (
        _listed(
            [
                ("File", escaped(file["name"])),
                ("SHA-256", f"`{file['sha256']}`"),
                ("Size", f"{file['bytes']:,} bytes"),
                ("Read as", f"{escaped(file['container'])}, {escaped(file['encoding'])}{_delimiter(file['delimiter'])}"),
                ("Prepared", escaped(facts["created_at"])),
            ]
        ),
        *_told_of_provenance(facts["provenance"]),
        "## What it teaches",
        f"For {_TRAINING.get(form['training'], 'no known training')}. Form: {escaped(form['kind'] or 'unknown')}.",
        _table(["part", "column"], [(part, name) for part, name in form["columns"].items()]),
        _sentence("Kept beside it, not trained on: ", form["kept_beside"]),
    )


def _told_of_provenance(known: Mapping[str, Any]) -> tuple[str, ...]:
    """Where the rows come from, as far as they bring it with them."""
    told = [(escaped(name), _plainly(value)) for name, value in known.items() if value not in ("", None, [], {})]
    return ("## Where it comes from", _listed(told)) if told else ()


def _plainly(value: object) -> str:
    if isinstance(value, Mapping):
        named = cast("Mapping[str, object]", value)
        return "; ".join(f"{escaped(count)} {escaped(name)}" for name, count in named.items())
    if isinstance(value, list | tuple):
        return ", ".join(escaped(one) for one in cast("Sequence[object]", value))
    return escaped(value)


def _told_of_rows(facts: Mapping[str, Any]) -> tuple[str, ...]:
    rows = facts["rows"]
    return (
        "## Rows",
        _table(
            ["", "rows"],
            [
                ("read", f"{rows['read']:,}"),
                ("usable", f"{rows['usable']:,}"),
                ("set aside", f"{rows['set_aside']:,}"),
                *((f"set aside: {reason}", f"{count:,}") for reason, count in rows["set_aside_by_reason"].items()),
                ("exact copies, of which one each was kept", f"{rows['copies_left_out']:,}"),
                ("near-duplicates", f"{rows['near_duplicates']:,}"),
            ],
        ),
        *_section("Findings", ["code", "severity", "rows"], [tuple(one.values()) for one in facts["findings"]]),
        *_section("Repairs, in this order", ["repair", "argument"], [(one["what"], one["value"]) for one in facts["fixes"]]),
        *_section(
            "Sources",
            ["name", "file", "weight", "train", "validation", "test"],
            [
                (
                    one["name"],
                    one["file_name"],
                    f"{one['weight']:g}{', replayed' if one['replay'] else ''}",
                    *(f"{one['written'][part]:,}" for part in ("train", "validation", "test")),
                )
                for one in facts["mixture"]
            ],
        ),
    )


def _told_of_parts(facts: Mapping[str, Any]) -> tuple[str, ...]:
    split = facts["split"]
    plan, parts = split["plan"], split["rows"]
    return (
        "## Split",
        _table(
            ["part", "share wanted", "rows"],
            [(part, f"{plan[part]:g} %", f"{parts[part]:,}") for part in ("train", "validation", "test")],
        ),
        _about_split(split),
        *_section(
            "Strata",
            ["value", "train", "validation", "test"],
            [(value or "(the others)", *(f"{found[part]:,}" for part in parts)) for value, found in split["strata"].items()],
        ),
        f"The test part is sealed: `{facts['test_seal']}` (SHA-256 over the sorted keys of its prompts).",
        "## Length in characters",
        _table(
            ["", "median", "95 %", "longest", "all"],
            [(text, *(f"{value:,}" for value in found.values())) for text, found in facts["characters"].items()],
        ),
    )


def escaped(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    line = "".join(" " if letter.isspace() else letter for letter in str(text))
    # Control characters would change what a reader sees.
    shown = "".join(
        "\ufffd" if letter in _TURNING or unicodedata.category(letter) in ("Cc", "Cs") else letter for letter in line
    )
    return _NUMBERED.sub(r"\1\\\2", _MARKS.sub(r"\\\1", shown.strip()))


def _about_split(split: Mapping[str, Any]) -> str:
    plan, together = split["plan"], split["together"]
    told = [
        f"{split['prompts']:,} different prompts, none of them in two parts.",
        f"Rows with the same {escaped(plan['group'])} stay together." if plan.get("group") else "",
        "Near-duplicate prompts stay together." if together.get("near_duplicates") else "",
        f"Every {escaped(plan['stratify'])} has its share of each part." if plan.get("stratify") else "",
        f"The training rows are in the order of {escaped(plan['order'])}." if plan.get("order") else "",
        f"{split['moved_prompts']:,} prompts were moved so that each part has enough." if split["moved_prompts"] else "",
        f"{split['kept_in_train']:,} frequent prompts stayed in train." if split["kept_in_train"] else "",
    ]
    return " ".join(sentence for sentence in told if sentence)


def _delimiter(delimiter: str | None) -> str:
    return f", separated by {escaped(unicodedata.name(delimiter, 'tab').lower())}" if delimiter else ""


def _sentence(start: str, names: Sequence[str]) -> str:
    return f"{start}{', '.join(escaped(name) for name in names)}." if names else ""


def _listed(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in pairs)


def _section(title: str, head: Sequence[str], lines: Sequence[Sequence[object]]) -> tuple[str, ...]:
    return (f"### {title}", _table(head, lines)) if lines else ()


def _table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    if not lines:
        return ""
    drawn = [head, ["---"] * len(head), *([escaped(cell) for cell in line] for line in lines)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in drawn)


def _fenced(text: str) -> str:
    longest = max((len(found) for found in _FENCE.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}sql\n{text}\n{fence}"
