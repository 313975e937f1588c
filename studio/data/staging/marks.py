"""What each row is marked with in the staging pass: one yes or no per kind of doubt, and the script of its answer.

Guarantees: every usable row is looked at, in all its texts (system, prompt, every turn, both answers, the reference); a row
that was set aside has no mark; what a mark says is decided by ``patterns`` alone, so that marks and fixes always agree.

Cost: one regular expression over all texts tells the rows that may hold anything; only those pay for the exact ones. Over the
prompt it also tells whether there is anything to normalise for its key.
"""

from __future__ import annotations

import re
from typing import Final

from studio.data.db import literal
from studio.data.staging.keying import NOT_YET_NORMAL
from studio.data.staging.patterns import HINT, PATTERNS, PERSONAL, found

#: Excel keeps at most this many characters (UTF-16 units) in a cell and drops the rest without a word.
EXCEL_LIMIT: Final = 32_767

# Texts that stand for nothing, as programs write them. Never "nothing", "none" or "-", which people write.
_NULLS: Final = (
    "null",
    "NULL",
    "Null",
    "None",
    "nan",
    "NaN",
    "NAN",
    "N/A",
    "n/a",
    "NA",
    "<NA>",
    "NaT",
    "undefined",
    "(null)",
    r"\N",
)
# Errors that Excel leaves in a cell, in English, German, French and Spanish.
_EXCEL_ERRORS: Final = (
    *("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#GETTING_DATA", "#FIELD!"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#VALEUR!", "#NOM?", "#NOMBRE!", "#¡REF!", "#¡VALOR!", "#¿NOMBRE?", "#¡DIV/0!"),
)
_ANSWERS: Final = ("completion", "rejected")
_TEXTS: Final = ("prompt", *_ANSWERS)
# The scripts that are told apart, with the letters that count for each.
_SCRIPTS: Final[dict[str, str]] = {
    "Latin": r"\p{Latin}",
    "Cyrillic": r"\p{Cyrillic}",
    "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}",
    "Hebrew": r"\p{Hebrew}",
    "Devanagari": r"\p{Devanagari}",
    "Bengali": r"\p{Bengali}",
    "Tamil": r"\p{Tamil}",
    "Thai": r"\p{Thai}",
    "Chinese or Japanese": r"\p{Han}\p{Hiragana}\p{Katakana}",
    "Korean": r"\p{Hangul}",
}
# How much of an answer is looked at for its script, and from how many bytes a character on it is not plain Latin any more.
_SAMPLE: Final = 1000
_LATIN_BYTES: Final = 1.2


def _whole(values: tuple[str, ...]) -> str:
    """SQL for whether one of the texts is nothing but one of these values."""
    longest = max(len(value.encode()) for value in values) + 4
    # A pattern, because a list of values becomes a join; and CASE, because only the branch that is taken is evaluated.
    pattern = literal(rf"\s*(?:{'|'.join(re.escape(value) for value in values)})\s*")
    return " OR ".join(
        f"CASE WHEN strlen({text}) <= {longest} THEN regexp_full_match({text}, {pattern}) END" for text in _TEXTS
    )


def _cut(text: str) -> str:
    """SQL for whether a text ends exactly at Excel's limit. Only texts of about that size are measured."""
    units = rf"length({text}) + length(regexp_replace({text}, '[^\x{{10000}}-\x{{10FFFF}}]', '', 'g'))"
    return f"CASE WHEN strlen({text}) BETWEEN {EXCEL_LIMIT} AND {3 * EXCEL_LIMIT} THEN {units} = {EXCEL_LIMIT} ELSE false END"


_PLAIN: Final[dict[str, str]] = {
    "null_like_text": _whole(_NULLS),
    "excel_error": _whole(_EXCEL_ERRORS),
    "truncated_cell": " OR ".join(_cut(text) for text in _TEXTS),
    "outer_space": " OR ".join(
        rf"({text} < '!' AND regexp_matches({text}, '^\s'))"
        f" OR ends_with({text}, ' ') OR ends_with({text}, chr(10)) OR ends_with({text}, chr(9))"
        for text in _TEXTS
    ),
    "completion_equals_prompt": (
        "CASE WHEN abs(strlen(prompt) - strlen(completion)) <= 4 THEN lower(trim(prompt)) = lower(trim(completion)) END"
    ),
}
# All texts of a row as one. The last turn of a conversation is its answer, unless there is a pair of answers behind it.
_TURNS: Final = "array_to_string(list_transform(messages, lambda m: concat_ws(chr(10), m.content, m.more)), chr(10))"
_ALL_TEXTS: Final = f"""CASE
        WHEN messages IS NULL THEN concat_ws(chr(10), system, prompt, completion, rejected, reference)
        WHEN rejected IS NULL THEN concat_ws(chr(10), {_TURNS}, reference)
        ELSE concat_ws(chr(10), {_TURNS}, completion, rejected, reference) END"""
#: A reference without a number and without the signs that tell where the result stands.
NOT_CHECKABLE: Final = r"reason IS NULL AND NOT regexp_matches(reference, '[0-9]|####|\\boxed')"
#: Which rows a finding is about, for findings that one judged row decides by itself: SQL over canonical columns.
ROW_CONDITIONS: Final[dict[str, str]] = {
    **{code: f"CASE WHEN reason IS NULL THEN {found(code, _ALL_TEXTS)} END" for code in PATTERNS if code not in PERSONAL},
    **_PLAIN,
    "personal_data": " OR ".join(found(kind, _ALL_TEXTS) for kind in PERSONAL),
    "odd_turn_order": "odd_turns",
    "non_text_value": "converted",
    "decimal_comma": "reason IS NULL AND detail = 'decimal_comma'",
    "answer_not_checkable": NOT_CHECKABLE,
}
#: The codes of all marks; the column of each is ``m_`` and its code.
CODES: Final = (*PATTERNS, *_PLAIN)
#: The columns of all marks.
MARKS: Final = (*(f"m_{code}" for code in CODES), "script")
#: The column of usable rows whose prompt is normal but for its case and holds nothing that a pattern may find.
CALM: Final = "calm"


def marked(judged: str) -> str:
    """SQL for the judged rows with a column per mark, and ``script``: that of the answer (of the prompt if there is none).

    ``judged`` has the lengths ``lp`` and ``lc`` too. There is one column more, ``calm``, which the key of the prompt can use
    and which is not to be kept.
    """
    exact = (f"CASE WHEN may THEN {found(code, 'texts')} ELSE false END AS m_{code}" for code in PATTERNS)
    plain = (f"reason IS NULL AND coalesce({holds}, false) AS m_{code}" for code, holds in _PLAIN.items())
    # A calm prompt was looked at. No pattern begins in one text and ends in another.
    others = f"CASE WHEN {CALM} AND messages IS NULL THEN concat_ws(chr(10), system, completion, rejected, reference)"
    unseen = f"{others} WHEN reason IS NULL THEN {_ALL_TEXTS} END"
    may = f"coalesce(regexp_matches({unseen}, {literal(HINT)}), false)"
    calm = f"reason IS NULL AND NOT regexp_matches(prompt, {literal(f'{HINT}|{NOT_YET_NORMAL}')})"
    return f"""
        SELECT * EXCLUDE (texts, may), {", ".join((*exact, *plain))},
          CASE WHEN reason IS NULL THEN {_script("coalesce(completion, prompt)", "coalesce(lc, lp)")} END AS script
        FROM (SELECT *, CASE WHEN may THEN {_ALL_TEXTS} END AS texts FROM (SELECT *, {may} AS may FROM (
          SELECT *, coalesce({calm}, false) AS {CALM} FROM ({judged}))))"""


def _script(text: str, length: str) -> str:
    """SQL for the script that most letters of a text have; NULL for a text without letters of the scripts we tell apart."""
    sample = f"left({text}, {_SAMPLE})"
    counts = ", ".join(
        f"{{'letters': length(regexp_replace({sample}, '[^{letters}]', '', 'g')), 'name': {literal(name)}}}"
        for name, letters in _SCRIPTS.items()
    )
    most = f"list_reverse_sort(list_filter([{counts}], lambda one: one.letters > 0))[1].name"
    # Most texts begin with a letter, which a comparison of bytes tells.
    begins = f"({text} >= 'A' AND {text} < '[') OR ({text} >= 'a' AND {text} < '{{')"
    plain = f"CASE WHEN {begins} OR regexp_matches({text}, '[A-Za-z]') THEN 'Latin' END"
    return f"CASE WHEN strlen({text}) <= {_LATIN_BYTES} * {length} THEN {plain} ELSE {most} END"
