"""Damaged letters: UTF-8 that was read as Windows-1252 or Latin-1 ("trÃ¨s" for "très"), found and read again.

Guarantees: only runs of characters are touched that are well-formed UTF-8 when they are written as bytes again; what ordinary
text may hold is left alone, such as a French letter before a closing quotation mark.

A damaged letter is a letter followed by one or more signs. One is enough where the letter hardly ever stands before a sign in
any language; where it may, it takes several in a row, or a small letter beside it.
"""

# ruff: noqa: RUF001 - characters that look like others are the subject

from __future__ import annotations

from typing import Final

from studio.data.db import literal

# The signs that the bytes 128 to 143, 144 to 159 and 160 to 191 show as.
_LOW: Final = r"\x{80}-\x{8f}€‚ƒ„…†‡ˆ‰Š‹ŒŽ"
_MIDDLE: Final = r"\x{90}-\x{9f}‘’“”•–—˜™š›œžŸ"
_HIGH: Final = r"\x{a0}-\x{bf}"
_SIGN: Final = f"[{_LOW}{_MIDDLE}{_HIGH}]"
# One damaged letter of any language, as well-formed UTF-8 has them.
_LETTER: Final = (
    f"(?:[Â-ß]{_SIGN}|à[{_HIGH}]{_SIGN}|[á-ìîï]{_SIGN}{_SIGN}|í[{_LOW}{_MIDDLE}]{_SIGN}"
    f"|ð[{_MIDDLE}{_HIGH}]{_SIGN}{_SIGN}|[ñ-ó]{_SIGN}{_SIGN}{_SIGN}|ô[{_LOW}]{_SIGN}{_SIGN})"
)
#: A run of damaged letters.
DAMAGED: Final = (
    rf"{_LETTER}{{2,}}|Ã[\x{{80}}-\x{{bf}}ƒ„†‡ˆ‰Š‹ŒŽ•˜™š›œžŸ]|[a-z][ÃÄÅ]{_SIGN}|[ÃÄÅ]{_SIGN}[a-z]|Â[\x{{80}}-\x{{bf}}]"
    rf"|â[\x{{80}}-\x{{9f}}€‚ƒ„…†‡ˆ‰‹‘’“”•–—˜™›]{_SIGN}|ï»¿|ð[Ÿ\x{{9f}}]{_SIGN}{_SIGN}"
)
# The bytes 128 to 159 of Windows-1252, in order; those without a character stand for themselves, as in Latin-1.
_WINDOWS: Final = "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ"


def undamaged(text: str) -> str:
    """SQL for the text with its damaged letters read again as what they were; damage on damage up to three times."""
    byte = f"CASE WHEN unicode(one) < 256 THEN unicode(one) ELSE 127 + strpos({literal(_WINDOWS)}, one) END"
    code = f"list_transform(string_split(run, ''), lambda one: lpad(to_hex({byte}), 2, '0'))"
    again = f"decode(unhex(array_to_string({code}, '')))"
    # The longest runs first, so that none is torn apart by a shorter one that begins like it.
    runs = f"list_distinct(regexp_extract_all(whole, {literal(DAMAGED)}))"
    runs = f"list_reverse_sort(list_transform({runs}, lambda run: {{'size': strlen(run), 'old': run, 'new': {again}}}))"
    for _ in range(3):
        text = named(text, f"list_reduce({runs}, lambda rest, one: replace(rest, one.old, one.new), whole)")
    return text


def named(text: str, expression: str) -> str:
    """SQL for an expression over a text that it calls ``whole``.

    The text is written and worked out once, however often the expression uses it, so that repairs can be nested.
    """
    return f"list_transform([{text}], lambda whole: {expression})[1]"
