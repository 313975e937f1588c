"""The data desk: from a file to checked, split, sealed rows. The only room that imports duckdb.

Guarantees: the person's file is only read; every row is either usable or set aside with a reason and the line an editor shows;
equal prompts never end up in different parts; nothing hostile in a file or its name reaches SQL; memory stays bounded.

    peek(path, name)               ->  Preview        the first rows of a file of any size, in a second or two
    inspect(source, name, folder)  ->  Inspection     what the file is, every finding, a rendered example
    split(inspection, plan)        ->  Dataset        train, validation and test as Parquet, dataset.json and a data card
    mix(folder, ingredients)       ->  Dataset        several of them as one, nothing held out slipping into training
    load(folder), rows(path)       ->  what was written, read back

    sources/    files as people have them, brought to UTF-8 text and records; the Hub; pasted tables
    reading/    records as a table that SQL can read: directly where a file is proven plain, else through a working file
    shapes/     which known form a table has, by its names and by what stands in it
    judges/     one SQL judge per form: each row usable, or set aside with one reason
    staging/    the one pass: repaired, judged, marked and keyed, in ``stage.parquet``
    findings/   what the stage says, in sentences; near-duplicates; the repairs on offer
    splitting/  placed, cut, sealed, read again, mixed, described
"""

from __future__ import annotations

from studio.data.export import canonical_rows, spreadsheet_safe, write_rejected, write_usable
from studio.data.findings.check import FEWEST_PROMPTS
from studio.data.intake import inspect, reopen
from studio.data.reading.peek import Preview, peek
from studio.data.reading.table import PREVIEW_CHARACTERS
from studio.data.report import refusal_report, report
from studio.data.splitting.beside import labels
from studio.data.splitting.card import CARD, Card, card
from studio.data.splitting.columns import groupable
from studio.data.splitting.mix import Ingredient, mix
from studio.data.splitting.parts import PLANS, default_plan, held_out_seal, load, split
from studio.data.splitting.stored import CONVERSATION_COLUMNS, export_jsonl, extra_of, extras, prompt_ids, rows, turns_of
from studio.data.staging.stage import rows_of
from studio.data.types import (
    Cancelled,
    Container,
    Dataset,
    Example,
    Finding,
    Fix,
    FixOffer,
    Inspection,
    Lengths,
    LengthStats,
    Message,
    Part,
    Reading,
    RefusedFile,
    Row,
    Shape,
    SplitPlan,
    TrainingType,
    Watch,
)

__all__ = [
    "CARD",
    "CONVERSATION_COLUMNS",
    "FEWEST_PROMPTS",
    "PLANS",
    "PREVIEW_CHARACTERS",
    "Cancelled",
    "Card",
    "Container",
    "Dataset",
    "Example",
    "Finding",
    "Fix",
    "FixOffer",
    "Ingredient",
    "Inspection",
    "LengthStats",
    "Lengths",
    "Message",
    "Part",
    "Preview",
    "Reading",
    "RefusedFile",
    "Row",
    "Shape",
    "SplitPlan",
    "TrainingType",
    "Watch",
    "canonical_rows",
    "card",
    "default_plan",
    "export_jsonl",
    "extra_of",
    "extras",
    "groupable",
    "held_out_seal",
    "inspect",
    "labels",
    "load",
    "mix",
    "peek",
    "prompt_ids",
    "refusal_report",
    "reopen",
    "report",
    "rows",
    "rows_of",
    "split",
    "spreadsheet_safe",
    "turns_of",
    "write_rejected",
    "write_usable",
]
