"""The fixes that a finding offers, each with a real text of the file before and after.

Guarantees: before and after are one row's own text, cut around what changes; ``after`` is what the fix itself makes of it; a
key is never shown in full.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from studio.data.db import literal
from studio.data.findings.conditions import condition
from studio.data.sources.source import Source
from studio.data.staging.fixes import asks, label, repaired_text
from studio.data.staging.patterns import hits
from studio.data.staging.stage import rows_of
from studio.data.staging.turns import TURN_FIXES, repaired_turns
from studio.data.types import Fix, FixOffer

#: What can be done about each finding, the best first. ``leave_out`` takes the code of the finding.
OFFERED: Final[dict[str, tuple[str, ...]]] = {
    "secrets": ("mask_secrets", "leave_out"),
    "personal_data": ("mask_personal_data", "leave_out"),
    "mojibake": ("repair_mojibake",),
    "lost_characters": ("leave_out",),
    "control_characters": ("remove_control_characters",),
    "unusual_characters": ("remove_unusual_characters",),
    "special_tokens": ("remove_special_tokens", "leave_out"),
    "null_like_text": ("leave_out",),
    "excel_error": ("leave_out",),
    "truncated_cell": ("leave_out",),
    "completion_equals_prompt": ("leave_out",),
    "odd_turn_order": ("join_turns", "leave_out"),
    "outer_space": ("strip_space",),
    "duplicates": ("leave_out",),
    "near_duplicates": ("leave_out",),
    "contradicting_pairs": ("leave_out",),
    "contradicting_labels": ("leave_out",),
    "length_outliers": ("leave_out",),
    "answer_not_checkable": ("leave_out",),
}
_TEXTS: Final = ("prompt", "completion", "rejected", "system", "reference")
# How much of a text is shown on either side of the place where it changes.
_AROUND: Final = 60
_SHOWN: Final = 300
_KEY_SHOWN: Final = 8
_ANSWERING: Final = ("assistant", "gpt", "chatgpt", "bot", "model", "ai")
_ROLES: Final = ("role", "from")
_CONTENTS: Final = ("content", "value")
# Encodings that fit many files which fit none better.
_ENCODINGS: Final = ("cp1252", "cp1250", "cp1251", "mac-roman", "cp932", "gb18030")
_MOST_ENCODINGS: Final = 3
_HEAD: Final = 65_536
_WORDS: Final = 200


@dataclass(frozen=True, slots=True)
class Sample:
    """The texts of one row: its prompt first, then its answers, then the rest; for conversations also each turn."""

    texts: tuple[str, ...]
    turns: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """Prompt and answers as one text."""
        return "\n".join(self.texts)


def samples(ids: Sequence[int], stage: Path, connection: duckdb.DuckDBPyConnection) -> dict[int, Sample]:
    """The texts of these rows."""
    if not ids:
        return {}
    wanted = ", ".join(str(int(ident)) for ident in sorted(set(ids)))
    turns = "list_transform(coalesce(messages, []), lambda m: m.content)"
    query = f"SELECT row_id, [{', '.join(_TEXTS)}], {turns} FROM {rows_of(stage)} WHERE row_id IN ({wanted})"
    found = connection.execute(query).fetchall()
    return {ident: Sample(tuple(filter(None, texts)), tuple(filter(None, turns))) for ident, texts, turns in found}


def offers(
    code: str, count: int, sample: Sample, stage: Path, connection: duckdb.DuckDBPyConnection
) -> tuple[tuple[FixOffer, ...], str]:
    """The fixes for so many rows of a finding, and a text of the first of these rows, whose texts are the ``sample``."""
    example = _without_keys(_cut(sample.shown, 0), connection)
    found: list[FixOffer] = []
    for ident in OFFERED.get(code, ()):
        fix = Fix(ident, code if ident == "leave_out" else "")
        if ident in TURN_FIXES:
            concerned, before, after = _turns(fix, code, stage, connection)
        else:
            concerned, (before, after) = count, _texts(fix, sample, connection) or (example, "")
        if concerned:
            found.append(FixOffer(fix, label(fix), concerned, before, after, asks(fix)))
    return tuple(found), found[0].before if found else example


def unended_offers(detail: str, stage: Path, connection: duckdb.DuckDBPyConnection) -> tuple[FixOffer, ...]:
    """The fix for conversations that were set aside because they do not end with an answer, when there are any."""
    rows = f"FROM {rows_of(stage)} WHERE reason = 'bad_conversation' AND detail = {literal(detail)}"
    found = connection.execute(f"SELECT count(*), arg_min(raw, row_id) {rows}").fetchone()
    if found is None or not found[0]:
        return ()
    turns = _turns_in(found[1])
    last = max((place for place, (role, _) in enumerate(turns) if role.lower() in _ANSWERING), default=None)
    if last is None:
        return ()
    fix = Fix("drop_last_user")
    shown = turns[max(0, last - 1) :]
    after = shown[: last + 1 - max(0, last - 1)]
    return (FixOffer(fix, label(fix), found[0], _written(shown), _written(after), asks(fix)),)


def encoding_offers(source: Source, words: str) -> tuple[FixOffer, ...]:
    """Other encodings in which the first line that is not plain can be read, and how it would look.

    ``words`` is how the line looks now.
    """
    if source.encoding.startswith("utf") or source.packed:
        return ()
    with source.original.open("rb") as file:
        raw = next((line.strip() for line in file.read(_HEAD).splitlines() if not line.isascii()), b"")
    found: list[FixOffer] = []
    for encoding in _ENCODINGS:
        try:
            after = raw.decode(encoding)[:_WORDS]
        except UnicodeError:
            continue
        seen = {words, *(offer.after for offer in found)}
        if encoding != source.encoding and after not in seen and after.replace("\t", " ").isprintable():
            fix = Fix("encoding", encoding)
            found.append(FixOffer(fix, label(fix), 0, words, after, ask=True))
    return tuple(found[:_MOST_ENCODINGS])


def _texts(fix: Fix, sample: Sample, connection: duckdb.DuckDBPyConnection) -> tuple[str, str] | None:
    """The first text of a row that a fix changes, before and after; None when the fix leaves the row out."""
    repaired = repaired_text(fix, "text")
    if repaired is None:
        return None
    texts = f"SELECT text, {repaired} AS after FROM (SELECT unnest($1::VARCHAR[]) AS text)"
    found = connection.execute(f"{texts} WHERE after <> text LIMIT 1", [[*sample.texts, *sample.turns]]).fetchone()
    if found is None:
        return None
    before, after = found
    same = next((place for place, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), 0)
    start = max(0, same - _AROUND)
    return _without_keys(_cut(before, start), connection), _without_keys(_cut(after, start), connection)


def _without_keys(text: str, connection: duckdb.DuckDBPyConnection) -> str:
    """The text with only the beginning of each key of a program."""
    found = connection.execute(f"SELECT {hits('secrets', '$1::VARCHAR')}", [text]).fetchone()
    for key in found[0] if found else ():
        text = text.replace(key["text"], key["text"][:_KEY_SHOWN] + "…")
    return text


def _turns(fix: Fix, code: str, stage: Path, connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str]:
    """How many conversations a fix changes, and the first of them before and after."""
    changed = f"SELECT row_id, messages, {repaired_turns('messages', [fix])} AS after FROM {rows_of(stage)}"
    query = f"""
        SELECT count(*), arg_min(messages, row_id), arg_min(after, row_id)
        FROM ({changed} WHERE {condition(code, stage)}) WHERE after <> messages"""
    count, before, after = connection.execute(query).fetchone() or (0, None, None)
    if not count or before is None or after is None:
        return 0, "", ""
    shown, repaired = (_written([(turn["role"], turn["content"] or "") for turn in turns]) for turns in (before, after))
    return int(count), shown, repaired


def _turns_in(raw: str | None) -> list[tuple[str, str]]:
    """The turns of a conversation in the raw text of a row: role and content."""
    try:
        value = json.loads(raw or "")
    except (ValueError, RecursionError):
        return []
    inside = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    for held in (value, *map(_parsed, inside)):
        if isinstance(held, list) and held and all(isinstance(turn, dict) for turn in held):
            return [(_first(turn, _ROLES), _first(turn, _CONTENTS)) for turn in held]
    return []


def _parsed(held: object) -> object:
    """The list that a cell holds as JSON text; anything else as it is."""
    if isinstance(held, str) and held.startswith("["):
        with suppress(ValueError, RecursionError):
            return json.loads(held)
    return held


def _first(turn: Mapping[str, object], keys: Sequence[str]) -> str:
    return next((str(turn[key]) for key in keys if key in turn), "")


def _written(turns: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"{role.capitalize()}: {_cut(content, 0)}" for role, content in turns[:8])


def _cut(text: str, start: int) -> str:
    piece = text[start : start + _SHOWN]
    return f"{'…' if start else ''}{piece}{'…' if len(text) > start + _SHOWN else ''}"
