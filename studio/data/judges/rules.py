"""The words and SQL that all judges share."""

from __future__ import annotations

from collections.abc import Sequence

from studio.data.db import literal

#: Type of a conversation in the stage; ``more`` is the JSON text of what else a turn carries.
MESSAGES_TYPE = 'STRUCT("role" VARCHAR, content VARCHAR, more VARCHAR)[]'
#: What a JSON value may be besides text and still be used as text.
SCALARS = "('UBIGINT', 'BIGINT', 'HUGEINT', 'UHUGEINT', 'DOUBLE', 'BOOLEAN')"
#: SQL for ``reason, detail`` from a ``verdict`` of the form ``reason:detail``.
REASON_AND_DETAIL = (
    "split_part(verdict, ':', 1) AS reason, CASE WHEN contains(verdict, ':') "
    "THEN nullif(substr(verdict, strpos(verdict, ':') + 1), '') END AS detail"
)
_VISIBLE = r"[^\s\p{Z}\p{C}]"


def blank(text: str) -> str:
    """SQL for whether a text is missing or shows nothing."""
    return f"({text} IS NULL OR NOT regexp_matches({text}, {literal(_VISIBLE)}))"


def verdict(rules: Sequence[tuple[str, str]]) -> str:
    """SQL for ``reason:detail`` by the first rule that holds, NULL for a good row."""
    clauses = (f"WHEN {condition} THEN {literal(told)}" for condition, told in rules)
    return f"CASE WHEN problem IS NOT NULL THEN problem {' '.join(clauses)} END"
