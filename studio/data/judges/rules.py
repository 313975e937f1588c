"""The words and SQL that all judges share: how a verdict is written, and how steps and columns become one query.

Guarantees: a verdict is ``reason:detail`` or NULL for a good row; every query has the same canonical columns, those that a form
does not have are NULL; a query never changes the number or the order of its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.data.db import literal

#: Type of a conversation in the stage; ``more`` is the JSON text of what else a turn carries.
MESSAGES_TYPE = 'STRUCT("role" VARCHAR, content VARCHAR, more VARCHAR)[]'
#: Types of a value that is no text and cannot become one.
NESTED = "('OBJECT', 'ARRAY')"
_VISIBLE = r"[^\s\p{Z}\p{C}]"
# Canonical columns, with what stands in them when a form says nothing about them.
_CANONICAL: Mapping[str, str] = {
    "system": "NULL::VARCHAR",
    "prompt": "NULL::VARCHAR",
    "completion": "NULL::VARCHAR",
    "rejected": "NULL::VARCHAR",
    "messages": f"NULL::{MESSAGES_TYPE}",
    "reference": "NULL::VARCHAR",
    "reward": "NULL::DOUBLE",
    "reward_name": "NULL::VARCHAR",
    "converted": "false",
    "odd_turns": "false",
}


@dataclass(frozen=True, slots=True)
class Ruling:
    """How one form is judged, as SQL over the columns of ``texts``.

    ``steps`` are lists of further columns, each over the result of the one before. ``verdict`` is ``reason:detail`` or NULL,
    ``gives`` the canonical columns of a good row, ``note`` what is worth telling about a good row.
    """

    verdict: str
    gives: Mapping[str, str]
    steps: tuple[str, ...] = field(default=())
    note: str = "NULL::VARCHAR"


def query(ruling: Ruling, texts: str, carried: str) -> str:
    """SQL with ``carried``, ``reason``, ``detail`` and the canonical columns of every row of ``texts``, in its order."""
    rows = f"({texts})"
    for step in ruling.steps:
        rows = f"(SELECT *, {step} FROM {rows})"
    given = ", ".join(
        f"CASE WHEN verdict IS NULL THEN {ruling.gives.get(name, nothing)} ELSE {nothing} END AS {name}"
        if name in ruling.gives
        else f"{nothing} AS {name}"
        for name, nothing in _CANONICAL.items()
    )
    detail = "CASE WHEN contains(verdict, ':') THEN nullif(substr(verdict, strpos(verdict, ':') + 1), '') END"
    return f"""
        SELECT {carried}, split_part(verdict, ':', 1) AS reason,
          CASE WHEN verdict IS NULL THEN {ruling.note} ELSE {detail} END AS detail, {given}
        FROM (SELECT *, {ruling.verdict} AS verdict FROM {rows})"""


def first_of(rules: Sequence[tuple[str, str]]) -> str:
    """SQL for ``reason:detail`` of the first rule that holds, NULL when none does. What could not be read comes before all."""
    clauses = (f"WHEN {condition} THEN {literal(told)}" for condition, told in rules)
    return f"CASE WHEN problem IS NOT NULL THEN problem {' '.join(clauses)} END"


def blank(text: str) -> str:
    """SQL for whether a text is missing or shows nothing."""
    # Most texts begin with a letter or sign of ASCII, which one comparison of bytes tells.
    shows = f"CASE WHEN {text} >= '!' AND {text} < chr(127) THEN true ELSE regexp_matches({text}, {literal(_VISIBLE)}) END"
    return f"({text} IS NULL OR NOT {shows})"


def trimmed(text: str) -> str:
    """SQL for a text without white space and invisible characters at its ends. Slow: only for few rows."""
    return rf"regexp_replace({text}, '^[\s\p{{Z}}\p{{C}}]+|[\s\p{{Z}}\p{{C}}]+$', '', 'g')"


def same(one: str, other: str) -> str:
    """SQL for whether two texts are equal but for what is invisible at their ends."""
    start = r"'[^\s\p{Z}\p{C}]{1,8}'"
    near = f"regexp_extract({one}, {start}) = regexp_extract({other}, {start})"
    return f"({one} = {other} OR CASE WHEN {near} THEN {trimmed(one)} = {trimmed(other)} ELSE false END)"


def scalar(kind: str) -> str:
    """SQL for whether a JSON value of this type is no text, but can be used as one: a number, true or false."""
    return f"coalesce({kind} NOT IN ('VARCHAR', 'NULL', 'ARRAY', 'OBJECT'), false)"


def among(text: str, values: Sequence[str]) -> str:
    """SQL for whether a text is one of these. A long IN would become a join, which may change the order of the rows."""
    escaped = "|".join(value.replace("+", "[+]") for value in values)
    return f"coalesce(regexp_full_match({text}, {literal(escaped)}), false)"
