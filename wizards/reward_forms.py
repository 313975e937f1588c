"""The fields of each kind of reward as people fill them in, and what a change makes of the reward.

Guarantees: knows no Gradio; every field of every kind is here (held by a test); a change never loses another field; what cannot
be read as meant is kept as it was typed, so that the reward's own check names it.

A reward being built is a plain mapping, always a sum of parts; ``joined`` and ``parts_of`` are the two ways between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

Control = Literal["text", "number", "whole", "flag", "choice", "lines", "code"]
Raw = dict[str, Any]

STARTER_CODE: Final = """def score(prompt, answer, reference):
    # Return a number from 0 to 1, or True or False.
    return answer.strip() == reference.strip()
"""


@dataclass(frozen=True, slots=True)
class Blank:
    """One field of a form. ``extra`` ones are folded away; ``choices`` pairs values with words; ``off`` is the default flag."""

    name: str
    label: str
    control: Control
    note: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    extra: bool = False
    default: object = None


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of reward as it is offered: ``label`` completes "An answer is good when …"; ``start`` is what it begins with."""

    id: str
    label: str
    note: str
    blanks: tuple[Blank, ...]
    start: Mapping[str, Any]


_AFTER: Final = Blank(
    "after", "Only what stands behind", "text", "For example Answer: or ####. Empty: the whole answer.", extra=True
)
_CASE: Final = "Capital letters do not count"
_EXPECTED: Final = "Empty: the reference of each row."

KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        "number",
        "its number is right",
        "Finds the number in the answer: 1,234.5 and 3/4 and 5e-3 are understood.",
        (
            Blank(
                "which",
                "Which number counts",
                "choice",
                choices=(("last", "The last"), ("first", "The first"), ("only", "The only one")),
                default="last",
            ),
            Blank("tolerance", "May differ by", "number", "0 asks for the very number.", default=0.0),
            Blank("tolerance_percent", "May differ by per cent", "number", extra=True, default=0.0),
            Blank("expected", "Right number", "number", _EXPECTED, extra=True),
            _AFTER,
        ),
        {},
    ),
    Kind(
        "exact",
        "it is exactly the right text",
        "White space never counts.",
        (
            Blank("ignore_case", _CASE, "flag", default=False),
            Blank("ignore_punctuation", "Punctuation does not count", "flag", default=False),
            Blank("expected", "Right text", "text", _EXPECTED, extra=True),
            _AFTER,
        ),
        {"ignore_case": True},
    ),
    Kind(
        "choice",
        "it settles on the right one of a few options",
        "An answer that names two options has not settled.",
        (
            Blank("options", "Options, one a line", "lines", "Empty: the letters A to Z.", default=()),
            Blank("expected", "Right option", "text", _EXPECTED, extra=True),
            _AFTER,
        ),
        {},
    ),
    Kind(
        "contains",
        "it contains certain texts, or leaves them out",
        "With nothing listed it has to contain the reference of the row.",
        (
            Blank("all_of", "All of these, one a line", "lines", default=()),
            Blank("any_of", "At least one of these", "lines", default=()),
            Blank("none_of", "None of these", "lines", default=()),
            Blank("ignore_case", _CASE, "flag", default=True),
            Blank("whole_words", "Whole words only", "flag", default=False),
            Blank("partial", "Part of it is worth something", "flag", default=False),
        ),
        {},
    ),
    Kind(
        "json_schema",
        "it is JSON with the right fields",
        "The whole answer has to be JSON.",
        (
            Blank("fields", "Fields it must have, one a line", "lines", default=()),
            Blank("compare", "Values as in the reference", "flag", default=False),
            Blank("partial", "Part of it is worth something", "flag", default=True),
            Blank("fence", "A code fence around it is allowed", "flag", default=False),
            Blank("schema", "JSON Schema it must fit", "code", "Optional.", extra=True, default=""),
        ),
        {"compare": True},
    ),
    Kind(
        "length",
        "it is neither too short nor too long",
        "",
        (
            Blank("least", "At least", "whole", default=0),
            Blank("most", "At most", "whole", "Empty: no limit."),
            Blank(
                "unit",
                "Counted in",
                "choice",
                choices=(("words", "Words"), ("characters", "Characters"), ("lines", "Lines"), ("sentences", "Sentences")),
                default="words",
            ),
            Blank("soft", "Beyond that the score falls slowly", "flag", default=True),
        ),
        {"most": 60},
    ),
    Kind(
        "format",
        "it has a certain form",
        "Whatever it says.",
        (
            Blank(
                "form",
                "Form",
                "choice",
                choices=(
                    ("json", "JSON"),
                    ("number", "One number"),
                    ("one_line", "One line"),
                    ("sentence", "One sentence"),
                    ("bullets", "Bullet points"),
                    ("numbered", "A numbered list"),
                    ("table", "A table"),
                    ("code", "One code block"),
                    ("plain_text", "Plain text, no markup"),
                    ("boxed", r"Has a \boxed{…} answer"),
                ),
            ),
        ),
        {"form": "sentence"},
    ),
    Kind(
        "regex",
        "it matches a pattern",
        "For those who know regular expressions.",
        (
            Blank("pattern", "Pattern", "text", "For example Answer: (\\d+)"),
            Blank(
                "where",
                "Where",
                "choice",
                choices=(("anywhere", "Anywhere"), ("start", "At the start"), ("whole", "The whole answer")),
                default="anywhere",
            ),
            Blank("ignore_case", _CASE, "flag", default=False),
            Blank("compare", "The first group has to be the reference", "flag", default=False),
        ),
        {"pattern": r"Answer: (.+)", "compare": True},
    ),
    Kind(
        "rules",
        "it follows rules in plain words (a model judges)",
        "A model reads each answer and says how far it follows each rule. Small models judge badly: try it first.",
        (
            Blank("rules", "Rules, one a line", "lines", "At most ten."),
            Blank(
                "judge",
                "Model that judges",
                "text",
                "Empty: the model that is trained, as it is before training.",
                extra=True,
                default="",
            ),
        ),
        {"rules": ["The answer is polite."]},
    ),
    Kind(
        "column",
        "each row says itself (its own reward)",
        "A column of your data names the reward: number, exact, choice, contains or json.",
        (),
        {},
    ),
    Kind(
        "python",
        "Python code of your own says so",
        "The code runs in a closed process: no files, no network, limited time and memory.",
        (
            Blank(
                "code",
                "Code",
                "code",
                "It defines score(prompt, answer, reference). A fourth argument holds the other columns of the row, by name.",
            ),
            Blank("seconds", "Seconds for each answer", "number", extra=True, default=2.0),
            Blank("memory_mb", "Memory in MB", "whole", extra=True, default=256),
        ),
        {"code": STARTER_CODE},
    ),
)

BY_ID: Final = {kind.id: kind for kind in KINDS}


def parts_of(raw: Mapping[str, Any]) -> list[Raw]:
    """The parts of a reward, each ``{weight, reward}``; a single kind is one part."""
    if raw.get("kind") == "sum" and isinstance(raw.get("parts"), list):
        parts = cast("list[object]", raw["parts"])
        return [{"weight": 1.0, "reward": {}, **cast("Raw", part)} for part in parts if isinstance(part, dict)]
    return [{"weight": 1.0, "reward": dict(raw)}]


def joined(parts: Sequence[Raw]) -> Raw:
    """The reward of these parts; one part that counts fully is itself the reward."""
    if len(parts) == 1 and parts[0]["weight"] == 1:
        return dict(cast("Raw", parts[0]["reward"]))
    return {"kind": "sum", "parts": [dict(part) for part in parts]}


def added(raw: Mapping[str, Any]) -> Raw:
    """One more part: the length, which goes with anything."""
    return joined([*parts_of(raw), {"weight": 0.2, "reward": {"kind": "length", "most": 60}}])


def removed(raw: Mapping[str, Any], place: int) -> Raw:
    """Without this part; the last one stays."""
    parts = parts_of(raw)
    if len(parts) < 2 or not 0 <= place < len(parts):
        return dict(raw)
    rest = parts[:place] + parts[place + 1 :]
    # A part that is left alone counts fully.
    return joined([{**rest[0], "weight": 1.0}] if len(rest) == 1 else rest)


def set_kind(raw: Mapping[str, Any], place: int, kind: str) -> Raw:
    """This part becomes another kind, with what that begins with."""
    parts = parts_of(raw)
    if kind in BY_ID and 0 <= place < len(parts) and cast("Raw", parts[place]["reward"]).get("kind") != kind:
        parts[place] = {**parts[place], "reward": {"kind": kind, **BY_ID[kind].start}}
    return joined(parts)


def set_field(raw: Mapping[str, Any], place: int, name: str, text: str) -> Raw:
    """A field of this part was left with this text."""
    parts = parts_of(raw)
    if not 0 <= place < len(parts):
        return dict(raw)
    if name == "weight":
        parts[place] = {**parts[place], "weight": _number(text)}
        return joined(parts)
    reward = dict(cast("Raw", parts[place]["reward"]))
    blank = _blank(reward, name)
    if blank is None:
        return dict(raw)
    value = _value(blank, text)
    if value is None or value == blank.default:
        reward.pop(name, None)
    else:
        reward[name] = value
    parts[place] = {**parts[place], "reward": reward}
    return joined(parts)


def flipped(raw: Mapping[str, Any], place: int, name: str) -> Raw:
    """A flag of this part was pressed."""
    parts = parts_of(raw)
    if not 0 <= place < len(parts):
        return dict(raw)
    reward = cast("Raw", parts[place]["reward"])
    blank = _blank(reward, name)
    if blank is None or blank.control != "flag":
        return dict(raw)
    return set_field(raw, place, name, "no" if reward.get(name, blank.default) else "yes")


def shown(blank: Blank, reward: Mapping[str, Any]) -> str:
    """What stands in the field."""
    value = reward.get(blank.name, blank.default)
    if blank.name == "schema" and isinstance(value, dict):
        return json.dumps(value, indent=2, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "\n".join(str(each) for each in cast("list[object]", value))
    return "" if value is None else plain(value)


def plain(value: object) -> str:
    """A number as people write it, without losing any of it; anything else as text."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _blank(reward: Mapping[str, Any], name: str) -> Blank | None:
    kind = BY_ID.get(str(reward.get("kind")))
    return next((blank for blank in kind.blanks if blank.name == name), None) if kind else None


def _value(blank: Blank, text: str) -> object:
    """The text as this field holds it; what is no number stays text, and the reward's check says so."""
    match blank.control:
        case "lines":
            return [line.strip() for line in text.splitlines() if line.strip()] or None
        case "flag":
            return text == "yes"
        case "number" | "whole":
            return _number(text) if text.strip() else None
        case "code":
            return text if text.strip() else None
        case _:
            return text.strip() or None


def _number(text: str) -> object:
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return text.strip()
    return int(value) if value.is_integer() and abs(value) < 1e15 else value
