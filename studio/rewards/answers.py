"""What an answer says: its number, its choice, its JSON, its form, its length. Pure text work that every answer survives.

Guarantees: never raises, whatever a model wrote; a number is exact (``Fraction``), so that 0.1 + 0.2 is 0.3; nothing takes
longer than in proportion to the answer.

How texts are compared: Unicode NFC, white space at both ends dropped, every run of white space read as one space.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final, NoReturn, cast

from studio.rewards.kinds import Form, LengthUnit

#: Longer answers are judged by this many characters; no model that is trained here writes as many.
LONGEST: Final = 50_000

_MINUS: Final = str.maketrans({"\u2212": "-", "\u2013": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " "})
_PLAIN: Final = r"\d{1,3}(?:[,' ]\d{3})+(?:\.\d{1,30})?|\d{1,40}(?:[.,]\d{1,30})?|\.\d{1,30}"
_NUMBER: Final = re.compile(
    rf"(?<![\w.])(?P<sign>[-+]\s?)?[$€£]?\s?(?P<digits>{_PLAIN})(?:[eE](?P<power>[-+]?\d{{1,2}})(?!\d))?"
    r"(?:\s?/\s?(?P<below>\d{1,15})(?![\d.,/]))?(?P<percent>\s?%)?"
)
_LATEX: Final = re.compile(r"\\[dt]?frac\s?\{\s?(-?\d{1,15})\s?\}\s?\{\s?(\d{1,15})\s?\}")
_BOXED: Final = re.compile(r"\\boxed\s?\{([^{}]{0,500}(?:\{[^{}]{0,200}\}[^{}]{0,200}){0,4})\}")
_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")
# Also the ellipsis and the full-width marks of Chinese and Japanese; behind them closing quotes and brackets.
_END: Final = r"[.!?\u2026\u3002\uff01\uff1f]+"
_CLOSING: Final = r"\"'\u201d\u2019)\]"
_SENTENCE_END: Final = re.compile(rf"{_END}(?=[\s{_CLOSING}]|$)")
_LAST_SENTENCE: Final = re.compile(rf"{_END}[{_CLOSING}]*$")
_FENCE: Final = re.compile(r"\s*```[\w+-]*[ \t]*\r?\n(?P<inside>.*?)\r?\n?```\s*", re.DOTALL)
_BULLET: Final = re.compile(r"\s{0,8}[-*•]\s+\S")
_NUMBERED: Final = re.compile(r"\s{0,8}\d{1,3}[.)]\s+\S")
_ROW: Final = re.compile(r"\s*\|.*\|\s*")
_RULE: Final = re.compile(r"\s*\|(?:\s*:?-+:?\s*\|)+\s*")
_MARKUP: Final = re.compile(
    r"^\s{0,3}(?:#{1,6}\s|[-*+]\s|>\s|```)|\*\*\S|__\S|`[^`\n]{1,200}`|\[[^\]\[\n]{1,200}\]\(", re.MULTILINE
)
_PUNCTUATION: Final = re.compile(r"[^\w\s]|_")


def normal(text: str, *, ignore_case: bool = False, ignore_punctuation: bool = False) -> str:
    """The text as it is compared: see the module."""
    made = unicodedata.normalize("NFC", text)
    if ignore_punctuation:
        made = _PUNCTUATION.sub(" ", made)
    made = " ".join(made.split())
    return made.casefold() if ignore_case else made


def behind(text: str, mark: str) -> str | None:
    """What stands behind the last ``mark``, whatever its case; all of it without a mark; ``None`` when it is missing."""
    if not mark:
        return text
    at = text.casefold().rfind(mark.casefold())
    if at < 0 or len(text.casefold()) != len(text):
        at = text.rfind(mark)
    return text[at + len(mark) :] if at >= 0 else None


def numbers(text: str) -> tuple[Fraction, ...]:
    r"""The numbers of a text in their order: 1,234.5 and 1 234 and 3/4 and 5e-3 and \frac{1}{2}; 12 % counts as 12.

    A comma before three digits stands for thousands, before any other number of digits for a decimal point.
    """
    plain = _LATEX.sub(r" \1/\2 ", text[:LONGEST].translate(_MINUS))
    return tuple(value for value in (_number(found) for found in _NUMBER.finditer(plain)) if value is not None)


def _number(found: re.Match[str]) -> Fraction | None:
    digits = found["digits"].replace("'", "").replace(" ", "")
    whole, comma, rest = digits.partition(",")
    if comma:
        thousands = "," in rest or len(rest.partition(".")[0]) == 3
        digits = digits.replace(",", "") if thousands and whole != "0" else f"{whole}.{rest}"
    below = int(found["below"]) if found["below"] else 1
    if below == 0:
        return None
    value = Fraction(digits) * Fraction(10) ** int(found["power"] or 0) / below
    return -value if (found["sign"] or "").startswith("-") else value


def boxed(text: str) -> str | None:
    r"""What the last \boxed{…} holds."""
    found = _BOXED.findall(text[:LONGEST])
    return found[-1] if found else None


def chosen(text: str, options: Sequence[str]) -> tuple[str, ...]:
    """The options that an answer settles on, each once. More than one means that it did not settle.

    An answer that is an option and nothing else names it. Otherwise options count where they stand as words of their own; a
    single capital only where it is meant as a choice: alone on a line, last of all, in brackets, before ``)``, ``.`` or ``:``,
    or behind words such as "answer".
    """
    text = text[:LONGEST]
    alone = normal(text).strip(" .,:;!?()[]{}<>*_`\"'").casefold()
    for option in options:
        if normal(option).casefold() == alone:
            return (option,)
    # The longest first, so that "New York City" is not read as "New York".
    found: dict[str, int] = {}
    rest = unicodedata.normalize("NFC", text)
    for option in sorted(options, key=len, reverse=True):
        pattern = _letter(option) if len(option) == 1 and option.isalpha() else _word(option)
        place = pattern.search(rest)
        if place is not None:
            found[option] = place.start()
            rest = pattern.sub(lambda hit: "\0" * len(hit[0]), rest)
    return tuple(sorted(found, key=lambda option: found[option]))


def _word(option: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?<!\w){re.escape(' '.join(option.split())).replace(chr(92) + ' ', chr(92) + 's+')}(?!\w)", re.IGNORECASE
    )


def _letter(option: str) -> re.Pattern[str]:
    letter = re.escape(option.upper())
    said = r"(?:answer|option|choice|correct)(?:\s+(?:is|would\s+be))?\s*:?\s*"
    places = (
        rf"(?i:{said})[(\[*\"']{{0,3}}{letter}(?!\w)",
        rf"[(\[*]{letter}[)\]*]",
        rf"(?<!\w){letter}(?=[).:])",
        rf"^\s*{letter}\s*$",
        rf"(?<!\w){letter}\W*\Z",
    )
    return re.compile("|".join(places), re.MULTILINE)


def parsed_json(text: str, *, fence: bool = False) -> tuple[object, str]:
    """(value, "") of an answer that is JSON as a whole, else (None, why not). Strict: no NaN, and no key twice."""
    if fence and (found := _FENCE.fullmatch(text)) is not None:
        text = found["inside"]
    try:
        return cast(object, json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_twins)), ""
    except RecursionError:
        return None, "it is nested too deeply"
    except ValueError as error:
        return None, str(error)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def leaves(value: object) -> dict[str, object]:
    """Every plain value of a JSON value by its path, texts as ``normal`` makes them; empty holders count as well."""
    return dict(_leaves(value, ""))


def _leaves(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for name, each in cast("dict[str, object]", value).items():
            yield from _leaves(each, f"{path}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list) and value:
        for place, each in enumerate(cast("list[object]", value)):
            yield from _leaves(each, f"{path}/{place}")
    elif isinstance(value, str):
        yield path, ("text", normal(value))
    elif isinstance(value, bool) or value is None:
        yield path, ("constant", value)
    else:
        yield path, ("holder", str(value)) if isinstance(value, dict | list) else ("number", value)


def length(text: str, unit: LengthUnit) -> int:
    """How long the answer is. Sentences end with . ! ? or their likes; a text without any is one."""
    stripped = text.strip()
    match unit:
        case "characters":
            return len(stripped)
        case "lines":
            return sum(bool(line.strip()) for line in stripped.splitlines())
        case "words":
            return len(_WORD.findall(stripped))
        case "sentences":
            return max(len(_SENTENCE_END.findall(stripped)), 1 if stripped else 0)


def form_fault(text: str, form: Form) -> str:
    """Why the answer has not this form, in a few words; empty when it has."""
    stripped = text[:LONGEST].strip()
    lines = [line for line in stripped.splitlines() if line.strip()]
    if not stripped:
        return "it is empty"
    match form:
        case "json":
            value, why = parsed_json(stripped)
            return why or ("" if isinstance(value, dict | list) else "it is no object and no list")
        case "number":
            return "" if _NUMBER.fullmatch(stripped.translate(_MINUS)) else "it is not one number and nothing else"
        case "one_line":
            return "" if len(lines) == 1 else f"it has {len(lines)} lines"
        case "sentence":
            return _no_sentence(stripped, lines)
        case "bullets":
            return _unlike(lines, _BULLET, "is no bullet point")
        case "numbered":
            return _unlike(lines, _NUMBERED, "has no number in front")
        case "table":
            return _no_table(lines)
        case "code":
            return "" if _FENCE.fullmatch(stripped) else "it is not one code block"
        case "plain_text":
            found = _MARKUP.search(stripped)
            return f"there is markup: {found[0].strip()[:20]}" if found else ""
        case "boxed":
            return "" if boxed(stripped) else r"there is no \boxed{…}"


def _no_sentence(text: str, lines: Sequence[str]) -> str:
    if len(lines) != 1:
        return f"it has {len(lines)} lines"
    ends = _SENTENCE_END.findall(text)
    if len(ends) != 1 or not _LAST_SENTENCE.search(text):
        return "it is not one sentence with an end mark"
    return "" if not text[0].isalpha() or not text[0].islower() else "it begins with a small letter"


def _unlike(lines: Sequence[str], pattern: re.Pattern[str], what: str) -> str:
    place = next((place for place, line in enumerate(lines, 1) if pattern.match(line) is None), None)
    return "" if place is None else f"line {place} {what}"


def _no_table(lines: Sequence[str]) -> str:
    if len(lines) < 3 or _RULE.fullmatch(lines[1]) is None:
        return "there is no head with a line below"
    return _unlike(lines, _ROW, "is no row of a table")
