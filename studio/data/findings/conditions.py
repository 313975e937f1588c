"""Which rows a finding is about, as SQL over the staged rows: for lists, filters and for leaving them out.

Guarantees: for the same stage, the rows of a condition are exactly those that the finding of this code is about (a finding
that counts prompts or labels is about all of their rows); every column that is named is one of ``stage.rows_of``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from studio.data.db import literal, readable
from studio.data.staging.fixes import LEFT_OUT
from studio.data.staging.marks import CODES, NOT_CHECKABLE
from studio.data.staging.patterns import PERSONAL
from studio.data.staging.stage import rows_of

#: The file beside the stage with the near-duplicates: ``row_id BIGINT, cluster UBIGINT, twin BIGINT``.
NEAR: Final = "near.parquet"
#: An answer is an outlier when it is this many times as long as 95 of 100 answers, and longer than a page.
OUTLIER_TIMES: Final = 10
OUTLIER_LEAST: Final = 2000

# Findings of usable rows that one row decides by itself.
_SINGLE: Final[dict[str, str]] = {
    **{code: f"m_{code}" for code in CODES if code not in PERSONAL},
    "personal_data": " OR ".join(f"m_{kind}" for kind in PERSONAL),
    "non_text_value": "reason IS NULL AND converted",
    "odd_turn_order": "reason IS NULL AND odd_turns",
    "decimal_comma": "reason IS NULL AND detail = 'decimal_comma'",
    "answer_not_checkable": NOT_CHECKABLE,
    "label_column": "reason = 'thumbs_down'",
    "identical_completions": "reason IS NULL",
    "constant_reward": "reason IS NULL",
}


def condition(code: str, stage: Path) -> str:
    """SQL for whether a row of ``rows_of(stage)`` belongs to the finding of this code.

    A code without a rule of its own is the reason why rows were set aside.
    """
    if code in _SINGLE:
        return f"coalesce({_SINGLE[code]}, false)"
    if code in _COMPARED:
        return _COMPARED[code](stage)
    if code.startswith(f"{LEFT_OUT}:"):
        return f"coalesce(reason = {literal(LEFT_OUT)} AND detail = {literal(code.partition(':')[2])}, false)"
    return f"coalesce(reason = {literal(code)}, false)"


def _usable(stage: Path) -> str:
    return f"{rows_of(stage)} WHERE reason IS NULL"


def _duplicates(stage: Path) -> str:
    groups = f"FROM {_usable(stage)} GROUP BY row_key HAVING count(*) > 1"
    return f"reason IS NULL AND row_key IN (SELECT row_key {groups}) AND row_id NOT IN (SELECT min(row_id) AS row_id {groups})"


def _near(stage: Path) -> str:
    near = f"SELECT row_id FROM read_parquet({readable(stage.with_name(NEAR))}) WHERE twin IS NOT NULL"
    return f"reason IS NULL AND row_id IN ({near})"


def _many_answers(stage: Path) -> str:
    groups = f"SELECT prompt_key FROM {_usable(stage)} GROUP BY prompt_key HAVING min(row_key) <> max(row_key)"
    return f"reason IS NULL AND prompt_key IN ({groups})"


def _contradicting_pairs(stage: Path) -> str:
    one, other = "md5_number(trim(completion))", "md5_number(trim(rejected))"
    pairs = f"SELECT prompt_key, least({one}, {other}) AS a, greatest({one}, {other}) AS b, {one} < {other} AS way"
    both = (
        f"SELECT prompt_key, a, b FROM ({pairs} FROM {_usable(stage)} AND rejected IS NOT NULL)"
        " GROUP BY ALL HAVING count(DISTINCT way) > 1"
    )
    return f"""reason IS NULL AND rejected IS NOT NULL AND
        (prompt_key, least({one}, {other}), greatest({one}, {other})) IN ({both})"""


def _scripts(stage: Path) -> str:
    # Of two that are as common the same one counts as the usual one each time.
    usual = f"SELECT script FROM {_usable(stage)} AND script IS NOT NULL GROUP BY script ORDER BY count(*) DESC, script LIMIT 1"
    return f"reason IS NULL AND script <> ({usual})"


def _outliers(stage: Path) -> str:
    limit = f"SELECT greatest({OUTLIER_TIMES} * quantile_disc(lc, 0.95), {OUTLIER_LEAST}) FROM {_usable(stage)}"
    return f"reason IS NULL AND lc > ({limit})"


_COMPARED: Final[dict[str, Callable[[Path], str]]] = {
    "duplicates": _duplicates,
    "near_duplicates": _near,
    "same_prompt_many_answers": _many_answers,
    "contradicting_labels": _many_answers,
    "contradicting_pairs": _contradicting_pairs,
    "language_mix": _scripts,
    "length_outliers": _outliers,
}
