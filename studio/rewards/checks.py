"""The kinds that need neither a model nor a process: one function for each, from an answer and its row to a score and a reason.

Guarantees: pure; the score is from 0 to 1; an answer is never at fault for what the row or the reward lacks (``RewardError``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from string import ascii_uppercase
from typing import Final

import regex

from studio.rewards import answers, patterns, schemas
from studio.rewards.kinds import (
    Choice,
    Contains,
    Exact,
    Format,
    JsonSchema,
    Leaf,
    Length,
    Number,
    Python,
    Regex,
    RewardError,
    Rules,
    TaskRow,
)

_FORMS: Final = {
    "json": "JSON",
    "number": "one number",
    "one_line": "one line",
    "sentence": "one sentence",
    "bullets": "bullet points",
    "numbered": "a numbered list",
    "table": "a table",
    "code": "one code block",
    "plain_text": "plain text without markup",
    "boxed": "a boxed answer",
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What one kind says about one answer."""

    value: float
    why: str


def check(leaf: Leaf, answer: str, row: TaskRow) -> Checked:
    """Score ``answer`` by one pure kind. Raises ``RewardError`` when the row or the reward makes that impossible."""
    answer = answer[: answers.LONGEST]
    match leaf:
        case Exact():
            return _exact(leaf, answer, row)
        case Number():
            return _number(leaf, answer, row)
        case Choice():
            return _choice(leaf, answer, row)
        case Contains():
            return _contains(leaf, answer, row)
        case Regex():
            return _regex(leaf, answer, row)
        case JsonSchema():
            return _json(leaf, answer, row)
        case Length():
            return _length(leaf, answer)
        case Format():
            fault = answers.form_fault(answer, leaf.form)
            return Checked(0.0, f"not {_FORMS[leaf.form]}: {fault}") if fault else Checked(1.0, f"it is {_FORMS[leaf.form]}")
        case Rules() | Python():
            raise RewardError("This kind is not scored by a plain function.", where="kind")


def form_words(form: str) -> str:
    """A form as it is called in a sentence."""
    return _FORMS[form]


def _reference(row: TaskRow) -> str:
    if not row.reference.strip():
        raise RewardError(
            "This row has no reference to compare with.",
            where="reference",
            next_step="Fill in that column, or use a reward that needs none.",
        )
    return row.reference


def _part(answer: str, after: str) -> tuple[str, str]:
    """(the part that counts, "") or ("", why there is none)."""
    found = answers.behind(answer, after)
    return ("", f"there is no {_quoted(after)} in it") if found is None else (found, "")


def _exact(leaf: Exact, answer: str, row: TaskRow) -> Checked:
    wanted = leaf.expected if leaf.expected is not None else _reference(row)
    part, missing = _part(answer, leaf.after)
    if missing:
        return Checked(0.0, missing)
    got, sought = (
        answers.normal(text, ignore_case=leaf.ignore_case, ignore_punctuation=leaf.ignore_punctuation)
        for text in (part, wanted)
    )
    return Checked(1.0, "it is the same") if got == sought else Checked(0.0, f"wanted {_quoted(wanted)}")


def _number(leaf: Number, answer: str, row: TaskRow) -> Checked:
    wanted = Fraction(leaf.expected) if leaf.expected is not None else _number_of(_reference(row))
    part, missing = _part(answer, leaf.after)
    if missing:
        return Checked(0.0, missing)
    boxed = answers.boxed(part)
    found = answers.numbers(part if boxed is None else boxed)
    if not found:
        return Checked(0.0, "there is no number in it")
    if leaf.which == "only" and len(found) > 1:
        return Checked(0.0, f"there are {len(found)} numbers in it")
    got = found[0 if leaf.which == "first" else -1]
    room = max(Fraction(leaf.tolerance), abs(wanted) * Fraction(leaf.tolerance_percent) / 100)
    if abs(got - wanted) <= room:
        return Checked(1.0, f"{_plain(got)} is right")
    return Checked(0.0, f"it says {_plain(got)}; right is {_plain(wanted)}")


def _number_of(reference: str) -> Fraction:
    """The number of a reference: its only one, or its last (a worked solution ends with it)."""
    boxed = answers.boxed(reference)
    found = answers.numbers(reference if boxed is None else boxed)
    if not found:
        raise RewardError(
            f"The reference {_quoted(reference)} holds no number.", where="reference", next_step="Correct it, or use exact."
        )
    return found[-1]


def _choice(leaf: Choice, answer: str, row: TaskRow) -> Checked:
    options = leaf.options or tuple(ascii_uppercase)
    wanted = _option(leaf.expected if leaf.expected is not None else _reference(row), options)
    part, missing = _part(answer, leaf.after)
    if missing:
        return Checked(0.0, missing)
    found = answers.chosen(part, options)
    got = next(iter(found), None)
    if got is None:
        return Checked(0.0, "it names none of the options")
    if len(found) > 1:
        return Checked(0.0, f"it names {len(found)} options: {', '.join(found[:4])}")
    return Checked(1.0, f"{got} is right") if got == wanted else Checked(0.0, f"it says {got}; right is {wanted}")


def _option(text: str, options: Sequence[str]) -> str:
    found = answers.chosen(text, options)
    if len(found) != 1:
        raise RewardError(
            f"The reference {_quoted(text)} is none of the options.", where="options", next_step="Add it, or correct the row."
        )
    return found[0]


def _contains(leaf: Contains, answer: str, row: TaskRow) -> Checked:
    every = leaf.all_of or (() if leaf.any_of or leaf.none_of else (_reference(row).strip(),))
    wanting = [f"{_quoted(text)} is missing" for text in every if not _holds(leaf, answer, text)]
    if leaf.any_of and not any(_holds(leaf, answer, text) for text in leaf.any_of):
        wanting.append(f"none of {', '.join(_quoted(text) for text in leaf.any_of[:4])} is there")
    wanting += [f"{_quoted(text)} is there" for text in leaf.none_of if _holds(leaf, answer, text)]
    conditions = len(every) + bool(leaf.any_of) + len(leaf.none_of)
    if not wanting:
        return Checked(1.0, "all it should contain is there" if every or leaf.any_of else "nothing forbidden is there")
    value = 1 - len(wanting) / conditions if leaf.partial else 0.0
    return Checked(value, "; ".join(wanting[:3]))


def _holds(leaf: Contains, answer: str, text: str) -> bool:
    got, sought = answers.normal(answer, ignore_case=leaf.ignore_case), answers.normal(text, ignore_case=leaf.ignore_case)
    if not leaf.whole_words:
        return sought in got
    return regex.search(rf"(?<!\w){regex.escape(sought)}(?!\w)", got) is not None


def _regex(leaf: Regex, answer: str, row: TaskRow) -> Checked:
    found = patterns.search(patterns.compiled(leaf.pattern, ignore_case=leaf.ignore_case), answer, where=leaf.where)
    if found is None:
        return Checked(0.0, "the pattern is not there")
    if not leaf.compare:
        return Checked(1.0, f"the pattern is there: {_quoted(found[0])}")
    got, wanted = (answers.normal(text, ignore_case=leaf.ignore_case) for text in (found[1] or "", _reference(row)))
    return Checked(1.0, f"{_quoted(got)} is right") if got == wanted else Checked(0.0, f"it says {_quoted(got)}")


def _json(leaf: JsonSchema, answer: str, row: TaskRow) -> Checked:
    wanted = _reference_json(row) if leaf.compare else None
    value, wrong = answers.parsed_json(answer.strip(), fence=leaf.fence)
    if wrong:
        return Checked(0.0, f"not JSON: {wrong}")
    if leaf.schema_text and (fault := schemas.fault(leaf.schema_text, value)):
        return Checked(0.0, f"does not fit the schema: {fault}")
    if leaf.fields and not isinstance(value, dict):
        return Checked(0.0, "it is no object with fields")
    missing = [name for name in leaf.fields if not isinstance(value, dict) or name not in value]
    wrong_ones: list[str] = []
    conditions = len(leaf.fields)
    if wanted is not None:
        got, sought = answers.leaves(value), answers.leaves(wanted)
        wrong_ones = [path.lstrip("/") or "the value" for path, each in sought.items() if got.get(path) != each]
        wrong_ones += [f"{path.lstrip('/')} (not asked for)" for path in got if path not in sought]
        conditions += len(sought | got)
    if not missing and not wrong_ones:
        return Checked(1.0, "JSON with everything right" if conditions else "valid JSON")
    share = 1 - (len(missing) + len(wrong_ones)) / conditions
    says = [f"{_quoted(name)} is missing" for name in missing[:3]] + [f"{name} is not right" for name in wrong_ones[:3]]
    return Checked(max(0.0, share) if leaf.partial else 0.0, "; ".join(says))


def _reference_json(row: TaskRow) -> object:
    value, wrong = answers.parsed_json(_reference(row).strip(), fence=True)
    if wrong:
        raise RewardError(
            f"The reference of this row is no JSON: {wrong}.", where="reference", next_step="Correct it, or do not compare."
        )
    return value


def _length(leaf: Length, answer: str) -> Checked:
    got = answers.length(answer, leaf.unit)
    words = f"{got:,} {leaf.unit if got != 1 else leaf.unit.removesuffix('s')}"
    if got < leaf.least:
        return Checked(got / leaf.least if leaf.soft else 0.0, f"{words}; at least {leaf.least:,} are wanted")
    if leaf.most is not None and got > leaf.most:
        # Twice as long as allowed is worth nothing.
        return Checked(max(0.0, 2 - got / leaf.most) if leaf.soft else 0.0, f"{words}; at most {leaf.most:,} are wanted")
    return Checked(1.0, words)


def _plain(number: Fraction) -> str:
    return str(number.numerator) if number.denominator == 1 else f"{float(number):.6g}"


def _quoted(text: str) -> str:
    short = " ".join(text.split())
    return f'"{short[:60]}…"' if len(short) > 60 else f'"{short}"'
