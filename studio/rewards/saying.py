"""A reward in plain words, and what a model could do to please it without doing what was meant.

Guarantees: every kind has a sentence; two rewards that score differently are described differently (long texts are shortened).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from studio.rewards.checks import form_words
from studio.rewards.kinds import (
    Choice,
    Column,
    Contains,
    Exact,
    Format,
    JsonSchema,
    Leaf,
    Length,
    Number,
    Python,
    Regex,
    Reward,
    Rules,
    Sum,
    TaskRow,
)
from studio.rewards.tree import every, shares


def describe(reward: Reward) -> str:
    """What it rewards, as one sentence or a few."""
    words = _words(reward)
    return f"{words[:1].upper()}{words[1:]}."


def cautions(reward: Reward) -> tuple[str, ...]:
    """How this reward can be pleased without the task being done, one sentence each; nothing known gives none."""
    return tuple(dict.fromkeys(_cautions(reward)))


def _words(reward: Reward) -> str:
    match reward:
        case Column():
            return _column(reward)
        case Sum():
            return _sum(reward)
        case _:
            return _of_a_kind(reward)


def _of_a_kind(reward: Leaf) -> str:
    match reward:
        case Exact():
            return _exact(reward)
        case Number():
            return _number(reward)
        case Choice():
            among = f"one of {_listed(reward.options)}" if reward.options else "one letter"
            wanted = _wanted(reward.expected)
            return f"1 when {_place(reward.after)} settles on {among}, and it is {wanted}; else 0"
        case Contains():
            return _contains(reward)
        case Regex():
            return _regex(reward)
        case JsonSchema():
            return _json(reward)
        case Length():
            return _length(reward)
        case Format():
            return f"1 when the whole answer is {form_words(reward.form)}; else 0"
        case Rules():
            who = f"the model {reward.judge}" if reward.judge else "the model as it is before training"
            return f"how far {who} finds these rules followed: {_listed(reward.rules, '; ')}"
        case Python():
            lines = len(reward.code.strip().splitlines())
            return (
                f"what your Python code says ({lines} line{'' if lines == 1 else 's'}, at most {reward.seconds:g} seconds and "
                f"{reward.memory_mb} MB for each answer)"
            )


def _exact(reward: Exact) -> str:
    ignored = [
        *(["capital letters"] if reward.ignore_case else []),
        *(["punctuation"] if reward.ignore_punctuation else []),
    ]
    but = f", whatever its {' and '.join(ignored)}" if ignored else ""
    return f"1 when {_place(reward.after)} is exactly {_wanted(reward.expected)}{but}; else 0"


def _number(reward: Number) -> str:
    which = {"last": "the last number", "first": "the first number", "only": "the only number"}[reward.which]
    wanted = "the reference of the row" if reward.expected is None else f"{reward.expected:g}"
    room = [
        *([f"{reward.tolerance:g}"] if reward.tolerance else []),
        *([f"{reward.tolerance_percent:g} %"] if reward.tolerance_percent else []),
    ]
    near = f", to within {' or '.join(room)}" if room else ""
    return f"1 when {which} in {_place(reward.after)} is {wanted}{near}; else 0"


def _contains(reward: Contains) -> str:
    said = [
        *([f"contains {_listed(reward.all_of)}"] if reward.all_of else []),
        *([f"contains one of {_listed(reward.any_of)}"] if reward.any_of else []),
        *([f"leaves out {_listed(reward.none_of)}"] if reward.none_of else []),
    ] or ["contains the reference of the row"]
    how = ", as whole words" if reward.whole_words else ""
    case = "" if reward.ignore_case else ", with the same capital letters"
    rest = "otherwise the share of this that holds" if reward.partial else "else 0"
    return f"1 when the answer {' and '.join(said)}{how}{case}; {rest}"


def _regex(reward: Regex) -> str:
    place = {"anywhere": "has", "start": "begins with", "whole": "is, as a whole,"}[reward.where]
    same = ", and its first group is the reference of the row" if reward.compare else ""
    case = ", whatever its capital letters" if reward.ignore_case else ""
    return f"1 when the answer {place} a match of {_short(reward.pattern)}{same}{case}; else 0"


def _json(reward: JsonSchema) -> str:
    said = [
        "is JSON",
        *([f"has the fields {_listed(reward.fields)}"] if reward.fields else []),
        *([f"fits your schema ({len(reward.schema_text):,} characters)"] if reward.schema_text else []),
        *(["holds the values of the reference of the row"] if reward.compare else []),
    ]
    fence = " (a code fence around it is allowed)" if reward.fence else ""
    shared = reward.partial and (reward.fields or reward.compare)
    rest = "for JSON with some of it wrong, the share that is right; else 0" if shared else "else 0"
    return f"1 when the whole answer {', '.join(said)}{fence}; {rest}"


def _length(reward: Length) -> str:
    if reward.most is None:
        limits = f"at least {reward.least:,}"
    elif reward.least == 0:
        limits = f"at most {reward.most:,}"
    else:
        limits = f"{reward.least:,} to {reward.most:,}"
    rest = "beyond that it falls with the distance" if reward.soft else "else 0"
    return f"1 when the answer has {limits} {reward.unit}; {rest}"


def _column(reward: Column) -> str:
    named = "; ".join(f"{each.name}: {_words(each.reward)}" for each in reward.rewards)
    built = f" ({named})" if named else ""
    rest = f"; rows that name none get {_words(reward.otherwise)}" if reward.otherwise is not None else ""
    return f"what the reward that the row names says{built}{rest}"


def _sum(reward: Sum) -> str:
    parts = ". ".join(f"Weight {part.weight:g}: {_words(part.reward)}" for part in reward.parts)
    many = "1 part" if len(reward.parts) == 1 else f"{len(reward.parts)} parts"
    return f"the sum of {many}. {parts}"


def _place(after: str) -> str:
    return f'what stands behind the last "{after}"' if after else "the answer"


def _wanted(expected: str | None) -> str:
    return "the reference of the row" if expected is None else f'"{_short(expected)}"'


def _listed(texts: Sequence[str], between: str = ", ") -> str:
    shown = between.join(f'"{_short(text)}"' for text in texts[:6])
    return f"{shown} and {len(texts) - 6} more" if len(texts) > 6 else shown


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return f"{plain[:80]}…" if len(plain) > 80 else plain


def _cautions(reward: Reward) -> Iterator[str]:
    kinds = tuple(every(reward))
    says = any(isinstance(each, Exact | Number | Choice | Regex | JsonSchema | Rules | Python | Contains) for each in kinds)
    bounded = any(isinstance(each, Length) and each.most is not None for each in kinds)
    if not says and not any(isinstance(each, Column) for each in kinds):
        yield "It looks at the form only: the model can say anything at all, and will. Add a part that checks what is said."
    for each in kinds:
        match each:
            case Contains() if not bounded and (each.all_of or each.any_of or not each.none_of):
                yield "A model can list every text it knows to hit the right one. Add a largest length."
            case Contains() if each.none_of and not (each.all_of or each.any_of):
                yield "An empty answer leaves everything out. Add a part that asks for something."
            case Rules():
                yield "A judging model can be talked round and likes long answers. Read some answers at every step."
            case Length() if each.soft and each.most is None:
                yield "Longer is always better here, without end. Give a largest length."
            case Number() if each.which == "last" and not each.after and not bounded:
                yield 'Only the last number counts. If that surprises, ask for it behind a mark such as "Answer:".'
            case Sum() if any(part.weight < 0 for part in each.parts) and all(part.weight < 0 for part in each.parts):
                yield "All weights are penalties, so saying nothing may be best. Give at least one part a positive weight."
            case _:
                pass


def names_for(reward: Reward, row: TaskRow) -> tuple[str, ...]:
    """What the parts of a score on this row are called, in order. Raises as ``shares`` does."""
    return tuple(share.name for share in shares(reward, row))
