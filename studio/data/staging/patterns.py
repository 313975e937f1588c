r"""What suspicious text looks like, as SQL: one table of patterns by which the marks count and the fixes repair.

Guarantees: every pattern is a constant of ours, none comes from a file; what is found and what is repaired is decided by the
same expression; a number that has a checksum is only found when the checksum holds; what merely resembles a card, an address
or a key is left alone.

The patterns are RE2, which has no look-around: where the neighbours of a hit matter they are matched with it, and the hit
itself is the first group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from studio.data.db import literal
from studio.data.staging.damage import DAMAGED, named

# Control characters of ASCII (but tab and line ends) and of Latin-1 (but the line end of mainframes).
_CONTROLS: Final = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x{80}-\x{84}\x{86}-\x{9f}]"
# Zero-width space, word joiners, byte-order mark, soft hyphen, direction overrides, annotations, private use, noncharacters.
# The joiners and direction marks that Persian, Hindi, Arabic, Hebrew and emoji need are not among them.
_INVISIBLE: Final = (
    r"[\x{ad}\x{200b}\x{2060}-\x{2064}\x{feff}\x{202d}\x{202e}\x{fff9}-\x{fffb}\x{e000}-\x{f8ff}\x{fdd0}-\x{fdef}\x{fffe}"
    r"\x{f0000}-\x{10ffff}]"
)
# What a program writes in place of a character that it could not read.
_LOST: Final = r"\x{fffd}"

# Markers of chat templates. Those in angle brackets with bars are a family of many models.
_TOKENS: Final = (
    r"<\|[A-Za-z0-9_]{1,40}\|>|<\x{ff5c}[^\x{ff5c}>\s]{1,40}\x{ff5c}>|\[/?INST\]|\[/?AVAILABLE_TOOLS\]|\[/?TOOL_(?:CALLS|RESULTS)\]|<</?SYS>>"
    r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
)
# `<s>` is also a tag of HTML. It is a marker when nothing on its line closes or opens it, or when spaces stand inside.
_BORDERS: Final = r"(?:^|\n)[^<\n]*</s>\s*(?:\n|$)|(?:^|\n)\s*<s>[^<\n]*(?:\n|$)|<s>\s[^\n]*\s</s>"

# Numbers that are named as something else. Matched first and without a group, so that they give an empty hit.
_NAMED: Final = (
    r"(?i:\b(?:order|invoice|ticket|case|ref|reference|item|part|model|serial|tracking|isbn|sku|article)s?\b)"
    r"(?i:[ -]?(?:number|no|nr|id)\b)?[.:# -]{0,3}"
)
# Beginnings of Visa, Mastercard, Discover, JCB (four groups of four), American Express and Diners Club.
_CARD: Final = (
    r"(?:4\d{3}|5[1-5]\d\d|2[2-7]\d\d|6011|65\d\d|35[2-8]\d)[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}"
    r"|3[47]\d\d[ -]?\d{6}[ -]?\d{5}|3(?:0[0-5]|[68]\d)\d[ -]?\d{6}[ -]?\d{4}"
)
_SSN: Final = r"(?:00[1-9]|0[1-9]\d|[1-578]\d\d|6[0-57-9]\d|66[0-57-9])-(?:0[1-9]|[1-9]\d)-\d{4}"
_PHONE: Final = (
    r"\+[1-9]\d{0,2}(?:[ .-]?\(0?\d{1,4}\))?(?:[ .-]?\d{1,4}){2,6}|(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
)
_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP: Final = rf"{_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}"
# Lengths of account numbers by country. Without them a number would run on into the words behind it.
_IBAN_LENGTHS: Final[dict[int, str]] = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU",
    31: "MT SC",
    32: "LC",
}
_KEY: Final = (
    r"\bsk-(?:proj-|ant-|svcacct-|or-v1-)?[A-Za-z0-9_-]{20,}|\b[sr]k_live_[A-Za-z0-9]{20,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_[A-Za-z0-9_]{50,}|\bglpat-[A-Za-z0-9_-]{20,}|\bxox[abprs]-[A-Za-z0-9-]{12,}"
    r"|\bAIza[A-Za-z0-9_-]{35}|\bhf_[A-Za-z0-9]{30,}|\btml-[A-Za-z0-9_-]{24,}|\bnpm_[A-Za-z0-9]{36}\b"
    r"|\bpypi-AgE[A-Za-z0-9_-]{40,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\n)*[A-Za-z0-9+/]{8,}"
    r"(?:[A-Za-z0-9+/=\s:,\\-]*?-----END [A-Z ]*PRIVATE KEY-----)?"
)


def _iban() -> str:
    forms: list[str] = []
    for length, countries in _IBAN_LENGTHS.items():
        fours, rest = divmod(length - 4, 4)
        tail = rf" ?[A-Z0-9]{{{rest}}}" if rest else ""
        forms.append(rf"(?:{countries.replace(' ', '|')})\d\d(?: ?[A-Z0-9]{{4}}){{{fours}}}{tail}")
    return "|".join(forms)


def _luhn(text: str) -> str:
    """SQL for whether the digits in a text pass the check of card numbers."""
    digits = f"string_split(reverse(regexp_replace({text}, '[^0-9]', '', 'g')), '')"
    # From the right, every second digit counts double, and of two digits the sum.
    worth = "CASE WHEN place % 2 = 0 THEN [0, 2, 4, 6, 8, 1, 3, 5, 7, 9][digit::INT + 1] ELSE digit::INT END"
    return f"list_sum(list_transform({digits}, lambda digit, place: {worth})) % 10 = 0"


def _mod97(text: str) -> str:
    """SQL for whether a text passes the check of account numbers: country and check digits last, letters as 10 to 35."""
    packed = f"replace({text}, ' ', '')"
    letters = f"string_split(concat({packed}[5:], {packed}[:4]), '')"
    values = f"list_transform({letters}, lambda one: ascii(one) - CASE WHEN one <= '9' THEN 48 ELSE 55 END)"
    return f"list_reduce({values}, lambda rest, one: (rest * CASE WHEN one > 9 THEN 100 ELSE 10 END + one) % 97) = 1"


def _public(text: str) -> str:
    """SQL for whether an address may be somebody's: not one of a private or reserved network, and no version number."""
    octets = f"list_transform(string_split({text}, '.'), lambda part: part::INT)"
    reserved = (
        r"^(?:0|10|127|22[4-9]|2[3-5]\d)\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\.|^169\.254\.|^192\.0\.2\.|^198\.51\.100\."
        r"|^203\.0\.113\."
    )
    return (
        f"NOT regexp_matches({text}, {literal(reserved)}) AND len(list_filter({octets}, lambda one: one >= 20)) >= 2"
        f" AND NOT ends_with({text}, '.0')"
    )


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of suspicious text.

    ``hint`` matches wherever a hit is, and is cheap in company with others; ``hit`` finds it; ``holds`` is SQL over a hit
    ``h`` that must be true as well. ``group`` is 1 when the hit is the first group of the match. ``stand_in`` is what takes
    the place of a hit that is masked.
    """

    hint: str
    hit: str
    holds: str = ""
    group: int = 0
    stand_in: str = ""


#: Kinds of personal data.
PERSONAL: Final = ("email", "phone", "card", "iban", "ssn", "ip")
PATTERNS: Final[dict[str, Pattern]] = {
    "email": Pattern(
        r"[A-Za-z0-9._%+-]@[A-Za-z0-9]",
        r"\b[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\b",
        # Addresses of repositories, and pictures for fine screens such as icon@2x.png.
        r"NOT regexp_matches(h, '^git@|@[0-9]+x\.|\.(?:png|jpe?g|gif|svg|webp)$')",
        stand_in="[EMAIL]",
    ),
    "phone": Pattern(
        r"\+[1-9]|[2-9]\d\d\)? ?[ .-]?[2-9]\d\d[ .-]\d{4}",
        rf"{_NAMED}[+(\d][\d .()-]*|(?:^|[^\w+.$€£-])({_PHONE})(?:$|[^\w-])",
        "strlen(regexp_replace(h, '[^0-9]', '', 'g')) BETWEEN 9 AND 15",
        group=1,
        stand_in="[PHONE]",
    ),
    "card": Pattern(
        r"\d{4}[ -]?\d{4}[ -]?\d{4}|3\d{3}[ -]?\d{6}",
        rf"{_NAMED}\d[\d -]*|(?:^|[^\w.-])({_CARD})(?:$|[^\w-])",
        f"h <> '' AND {_luhn('h')}",
        group=1,
        stand_in="[CARD]",
    ),
    "iban": Pattern(r"\b[A-Z]{2}\d\d ?[A-Z0-9]{4}", rf"\b(?:{_iban()})\b", _mod97("h"), stand_in="[IBAN]"),
    "ssn": Pattern(
        r"\d{3}-\d\d-\d{4}",
        rf"{_NAMED}\d[\d -]*|(?:^|[^\w.-])({_SSN})(?:$|[^\w-])",
        "h <> '' AND NOT ends_with(h, '0000')",
        group=1,
        stand_in="[SSN]",
    ),
    "ip": Pattern(
        r"\d\.\d{1,3}\.\d{1,3}\.\d",
        rf"(?i:\b(?:version|release|build|firmware|ver)\b)\.?:? ?\d[\d.]*|(?:^|[^\w.])({_IP})(?:$|[^\w.]|\.(?:\s|$))",
        f"h <> '' AND {_public('h')}",
        group=1,
        stand_in="[IP]",
    ),
    "secrets": Pattern(
        r"\bsk-|\b[sr]k_live_|\bA[KS]IA[A-Z0-9]|\bgh[pousr]_|\bgithub_pat_|\bglpat-|\bxox[abprs]-|\bAIza|\bhf_[A-Za-z0-9]|\btml-"
        r"|\bnpm_|\bpypi-AgE|\bSG\.|\beyJ|PRIVATE KEY",
        _KEY,
        # Names in style sheets look like the keys that begin with sk-; they have no capital letters.
        "CASE WHEN starts_with(h, 'sk-') THEN regexp_matches(h, '[0-9]') AND regexp_matches(h, '[A-Z]') ELSE true END",
        stand_in="[KEY]",
    ),
    "control_characters": Pattern(_CONTROLS, _CONTROLS),
    "unusual_characters": Pattern(_INVISIBLE, _INVISIBLE),
    "lost_characters": Pattern(_LOST, _LOST),
    "special_tokens": Pattern(
        r"<\||<\x{ff5c}|\[/?INST|\[/?AVAILABLE|\[/?TOOL_|<</?SYS>>|_of_turn>|</?s>|<(?:bos|eos|pad|unk)>",
        rf"{_TOKENS}|{_BORDERS}",
    ),
    "mojibake": Pattern(DAMAGED, DAMAGED),
}
#: Matches every text that any pattern may be found in: one pass for all of them.
HINT: Final = "|".join(pattern.hint for pattern in PATTERNS.values())


def found(code: str, text: str) -> str:
    """SQL for whether this kind is in the text."""
    pattern = PATTERNS[code]
    return f"len({_hits(code, text)}) > 0" if pattern.holds else f"regexp_matches({text}, {literal(pattern.hit)})"


def hits(code: str, text: str) -> str:
    """SQL for the list of all hits of this kind, the longest first, each once."""
    return f"list_reverse_sort(list_transform(list_distinct({_hits(code, text)}), lambda h: {{'size': strlen(h), 'text': h}}))"


def masked(code: str, text: str) -> str:
    """SQL for the text with a stand-in for each hit. Twice, because neighbours of hits may be shared."""
    stand_in = literal(PATTERNS[code].stand_in)
    for _ in range(2):
        text = named(text, f"list_reduce({hits(code, 'whole')}, lambda rest, h: replace(rest, h.text, {stand_in}), whole)")
    return text


def without_controls(text: str) -> str:
    """SQL for the text without control characters."""
    return f"regexp_replace({text}, {literal(_CONTROLS)}, '', 'g')"


def without_invisible(text: str) -> str:
    """SQL for the text without characters that nobody sees."""
    return f"regexp_replace({text}, {literal(_INVISIBLE)}, '', 'g')"


def without_tokens(text: str) -> str:
    """SQL for the text without the markers of chat templates, and without the space that they leave at its ends.

    What is left may join to a new marker, once; that one gives way to a space, which no marker holds.
    """
    bare = "whole"
    for gap in ("", " "):
        bare = f"regexp_replace({bare}, {literal(_TOKENS)}, {literal(gap)}, 'g')"
        borders = f"regexp_matches(whole, {literal(_BORDERS)})"
        bare = named(bare, f"CASE WHEN {borders} THEN regexp_replace(whole, '</?s>', {literal(gap)}, 'g') ELSE whole END")
    return named(text, rf"CASE WHEN {bare} = whole THEN whole ELSE regexp_replace({bare}, '^\s+|\s+$', '', 'g') END")


def _hits(code: str, text: str) -> str:
    pattern = PATTERNS[code]
    every = f"regexp_extract_all({text}, {literal(pattern.hit)}, {pattern.group})"
    return f"list_filter({every}, lambda h: {pattern.holds})" if pattern.holds else every
