"""What a program can count on held-out prompts: base against tuned, each with an interval for the difference.

Pure functions over texts and token log-probabilities. Guarantees: both arms are judged by the same rules on the same prompts;
which measures apply follows from the references alone, never from the answers; an interval that the prompts do not determine is
``None``; equal inputs give equal numbers, resampling included.

How texts are compared: Unicode NFC, white space at both ends dropped, every run of white space inside read as one space. Case
and punctuation count. JSON has to be the whole answer (no code fence around it, no text before it) and strict (no NaN).
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn, cast

import numpy as np

from studio.compare.labels import are_labels, macro_f1
from studio.compare.overlap import bleu, rouge_l, token_f1, words
from studio.compare.resampling import bootstrap_interval
from studio.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Score = Callable[[str, str], float]

Better = Literal["higher", "lower", "neither"]
Outline = Literal["number", "bullets", "numbered", "line", "lines"]

# Of the references, from which share on they set a form that answers are held to.
_MOSTLY_JSON = 0.5
_ONE_OUTLINE = 0.9
# Words of the middle reference from which on overlap of words, and of runs of four words, says something.
_WORDS_FOR_F1 = 3
_WORDS_FOR_BLEU = 8
# Perplexity is held at e^100: beyond it, squares of differences leave the floats, and no model is told from another.
_HIGHEST_LOSS = 100.0

_NUMBER = re.compile(r"[-+]?[$€£]?\d[\d,]*(\.\d+)?\s?%?")
_BULLET = re.compile(r"[-*•]\s+\S")
_NUMBERED = re.compile(r"\d{1,3}[.)]\s+\S")


@dataclass(frozen=True, slots=True)
class Answered:
    """One held-out prompt with the answer that the data wants and the two answers that the models gave."""

    prompt_id: str
    reference: str
    base: str
    tuned: str


@dataclass(frozen=True, slots=True)
class Measure:
    """One number for the reference and one for another arm, and how sure their difference is.

    ``reference`` and ``arm`` name the two; ``base`` and ``tuned`` are their numbers, whatever they are. ``low`` and ``high``
    are the ends of a 95 % bootstrap interval of *tuned minus base* over the ``n`` prompts measured, ``None`` when all of them
    differ alike, which leaves it undetermined. ``unit`` is ``share`` (0 to 1, shown as a percentage), ``nats per token``,
    ``perplexity``, ``reward``, ``seconds``, ``BLEU`` (0 to 100) or ``characters``.
    """

    name: str
    label: str
    base: float
    tuned: float
    low: float | None
    high: float | None
    n: int
    better: Better
    unit: str
    arm: str = "tuned"
    reference: str = "base"

    @property
    def difference(self) -> float:
        """Tuned minus base."""
        return self.tuned - self.base


@dataclass(frozen=True, slots=True)
class Column:
    """One measure prompt by prompt: (prompt id, base, tuned)."""

    name: str
    label: str
    better: Better
    unit: str
    scores: tuple[tuple[str, float, float], ...]

    @property
    def measure(self) -> Measure:
        """The means, and the interval of their difference."""
        columns = _columns([one[1] for one in self.scores], [one[2] for one in self.scores])
        return _mean_measure(self.name, self.label, columns, better=self.better, unit=self.unit)


def measure_answers(rows: Sequence[Answered]) -> tuple[Measure, ...]:
    """Measure both arms on everything that the references ask for (see ``answer_columns``); nothing for no rows.

    Where references are sentences, BLEU is among them, and where they are labels, macro F1: numbers of all texts together,
    which have no value for one prompt.
    """
    measures = [column.measure for column in answer_columns(rows)]
    given = [row for row in rows if row.reference.strip()]
    told = [tuple(normalise(text) for text in (row.base, row.tuned, row.reference)) for row in given]
    references = [reference for _, _, reference in told]
    if are_labels(references) and not _mostly_json(given):
        scores = macro_f1([base for base, _, _ in told], [tuned for _, tuned, _ in told], references)
        ends = (scores.base, scores.tuned, scores.low, scores.high)
        measures.insert(1, Measure("macro_f1", "Labels right (macro F1)", *ends, len(given), "higher", "share"))
    if _wordy(given, _WORDS_FOR_BLEU):
        found = bleu([row.base for row in given], [row.tuned for row in given], [row.reference for row in given])
        ends = (found.base, found.tuned, found.low, found.high)
        measures.insert(-1, Measure("bleu", "BLEU", *ends, len(given), "higher", "BLEU"))
    return tuple(measures)


def answer_columns(rows: Sequence[Answered]) -> tuple[Column, ...]:
    """What the references ask for, prompt by prompt; nothing for no rows.

    Exact match always, when there are references. If most references are JSON objects or arrays: the share of answers that are
    valid JSON, and the share of the reference's fields that are right. Otherwise, if they are texts of several words: token F1
    and ROUGE-L; and if nearly all references share one outline (a number, a list, one line …): the share of answers with that
    outline. Length last, which has no better side.
    """
    if not rows:
        return ()
    given = [row for row in rows if row.reference.strip()]
    with_json = [row for row in given if parse_json(row.reference) is not None]
    found: list[Column] = []
    if given:
        found.append(_scored("exact", "Exact match", given, exact_match))
    if len(with_json) > _MOSTLY_JSON * len(given):
        found.append(_scored("json_valid", "Valid JSON", with_json, json_valid))
        found.append(_scored("json_fields", "JSON fields right", with_json, json_fields))
    else:
        if _wordy(given, _WORDS_FOR_F1):
            found.append(_scored("f1", "Words in common (F1)", given, token_f1))
            found.append(_scored("rouge_l", "Words in order (ROUGE-L)", given, rouge_l))
        if (form := _common_outline([row.reference for row in given])) is not None:
            found.append(_scored("format", f"Format: {_OUTLINES[form]}", given, outline_match))
    lengths = tuple((row.prompt_id, float(len(row.base)), float(len(row.tuned))) for row in rows)
    return (*found, Column("length", "Length", "neither", "characters", lengths))


def measure_loss(base: Sequence[Sequence[float]], tuned: Sequence[Sequence[float]]) -> tuple[Measure, Measure]:
    """Loss and perplexity of the references under both arms.

    ``base[i]`` and ``tuned[i]`` are the log-probabilities (natural, at most 0) of the same reference tokens of prompt i. Loss
    is the negative mean over all tokens of all prompts, so long references weigh more, as they do in training; perplexity is
    its exponential (held at e^100). Raises ``DataError`` when there are no tokens, when the arms were scored on different
    numbers of tokens, or when a log-probability is not finite.
    """
    if [len(row) for row in base] != [len(row) for row in tuned]:
        raise DataError("The two models were scored on different tokens.", next_step="Score both on the same references.")
    counts = np.array([len(row) for row in base], dtype=np.float64)
    if not counts.sum():
        raise DataError("There are no reference tokens to score.", next_step="Use prompts that have a reference answer.")
    if not all(math.isfinite(logprob) for arm in (base, tuned) for row in arm for logprob in row):
        raise DataError(
            "A token has no finite log-probability.", next_step="Look at the loss of the run; it may have diverged."
        )
    sums = (np.array([-math.fsum(row) for row in arm], dtype=np.float64) for arm in (base, tuned))
    columns = tuple(column[counts > 0] for column in (*sums, counts))

    def loss(total: Floats, tokens: Floats, axis: int = -1) -> Floats:
        return total.sum(axis=axis) / tokens.sum(axis=axis)

    def loss_gain(b: Floats, t: Floats, tokens: Floats, axis: int = -1) -> Floats:
        return loss(t, tokens, axis) - loss(b, tokens, axis)

    def perplexity_gain(b: Floats, t: Floats, tokens: Floats, axis: int = -1) -> Floats:
        return _perplexity(loss(t, tokens, axis)) - _perplexity(loss(b, tokens, axis))

    before, after = (math.fsum(total) / math.fsum(counts) for total in columns[:2])
    loss_ends, perplexity_ends = _interval(columns, loss_gain), _interval(columns, perplexity_gain)
    n, (of_base, of_tuned) = len(columns[0]), _perplexity(np.array([before, after])).tolist()
    return (
        Measure("loss", "Loss", before, after, *loss_ends, n, "lower", "nats per token"),
        Measure("perplexity", "Perplexity", of_base, of_tuned, *perplexity_ends, n, "lower", "perplexity"),
    )


def measure_latency(base: Mapping[str, float], tuned: Mapping[str, float]) -> tuple[Measure, ...]:
    """Seconds for a whole answer, on the prompts (by id) on which both arms were timed; nothing for none."""
    both = [prompt_id for prompt_id in base if prompt_id in tuned]
    if not both:
        return ()
    columns = _columns([base[one] for one in both], [tuned[one] for one in both])
    return (_mean_measure("latency", "Time for an answer", columns, better="lower", unit="seconds"),)


def exact_match(answer: str, reference: str) -> float:
    """1 if the answer is the reference (see the module on white space), or the same JSON value; else 0."""
    if normalise(answer) == normalise(reference):
        return 1.0
    wanted, got = parse_json(reference), parse_json(answer)
    return float(wanted is not None and got is not None and dict(_leaves(wanted)) == dict(_leaves(got)))


def json_valid(answer: str, reference: str = "") -> float:
    """1 if the whole answer is one JSON object or array, the same kind as the reference if that is JSON; else 0."""
    got, wanted = parse_json(answer), parse_json(reference)
    return float(got is not None and (wanted is None or type(got) is type(wanted)))


def json_fields(answer: str, reference: str) -> float:
    """Share of the reference's fields, nested ones included, that the answer holds with the same value.

    Values are compared with their type (``true`` is not 1), text as texts are. Fields that the answer adds cost nothing here;
    they cost the exact match. 0 when either is not JSON.
    """
    wanted, got = parse_json(reference), parse_json(answer)
    if wanted is None or got is None:
        return 0.0
    fields, found = dict(_leaves(wanted)), dict(_leaves(got))
    return sum(path in found and found[path] == value for path, value in fields.items()) / len(fields)


def outline_match(answer: str, reference: str) -> float:
    """1 if the answer has the outline of the reference, else 0."""
    return float(outline(answer) == outline(reference))


def outline(text: str) -> Outline | None:
    """The form of a text: a number alone, a bulleted or numbered list, one line, or several; ``None`` when empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    if all(_BULLET.match(line) for line in lines):
        return "bullets"
    if all(_NUMBERED.match(line) for line in lines):
        return "numbered"
    if len(lines) > 1:
        return "lines"
    return "number" if _NUMBER.fullmatch(lines[0]) else "line"


def normalise(text: str) -> str:
    """The form in which texts are compared: NFC, single spaces, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def parse_json(text: str) -> dict[str, object] | list[object] | None:
    """The JSON object or array that the text is; ``None`` when it is anything else. Never raises, however hostile the text."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value = cast("object", json.loads(text, parse_constant=_refuse))
    except (ValueError, RecursionError):  # nested a thousand deep is no answer either
        return None
    return cast("dict[str, object] | list[object]", value) if isinstance(value, dict | list) else None


_OUTLINES: dict[Outline, str] = {
    "number": "a number alone",
    "bullets": "a bulleted list",
    "numbered": "a numbered list",
    "line": "one line",
    "lines": "several lines",
}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _leaves(value: dict[str, object] | list[object]) -> Iterator[tuple[tuple[str | int, ...], tuple[str, object]]]:
    """Every value that holds no others, as (path, (kind, value)); an empty object or array is such a value."""
    # A stack of our own: what the parser took, Python's may not.
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), value)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict) and item:
            waiting.extend(((*path, key), inner) for key, inner in cast("dict[str, object]", item).items())
        elif isinstance(item, list) and item:
            waiting.extend(((*path, i), inner) for i, inner in enumerate(cast("list[object]", item)))
        elif isinstance(item, str):
            yield path, ("text", normalise(item))
        elif isinstance(item, bool) or item is None:
            yield path, ("constant", item)
        elif isinstance(item, int | float):
            yield path, ("number", item)
        else:
            yield path, ("empty", "object" if isinstance(item, dict) else "array")


def _common_outline(references: Sequence[str]) -> Outline | None:
    forms = [outline(reference) for reference in references]
    return next((form for form in _OUTLINES if forms.count(form) >= _ONE_OUTLINE * len(forms) > 0), None)


def _mostly_json(rows: Sequence[Answered]) -> bool:
    return sum(parse_json(row.reference) is not None for row in rows) > _MOSTLY_JSON * len(rows)


def _wordy(rows: Sequence[Answered], least: int) -> bool:
    """Whether the middle one of the references is a text of at least so many words, and they are not mostly JSON."""
    lengths = sorted(len(words(row.reference)) for row in rows)
    plain = sum(parse_json(row.reference) is None for row in rows)
    return bool(lengths) and lengths[len(lengths) // 2] >= least and plain >= _MOSTLY_JSON * len(rows)


def _scored(name: str, label: str, rows: Sequence[Answered], score: Score) -> Column:
    scores = tuple((row.prompt_id, score(row.base, row.reference), score(row.tuned, row.reference)) for row in rows)
    return Column(name, label, "higher", "share", scores)


def _columns(base: Sequence[float], tuned: Sequence[float]) -> tuple[Floats, ...]:
    return np.array(base, dtype=np.float64), np.array(tuned, dtype=np.float64)


def _perplexity(loss: Floats) -> Floats:
    return np.exp(np.minimum(loss, _HIGHEST_LOSS))


def _mean_measure(name: str, label: str, columns: tuple[Floats, ...], *, better: Better, unit: str) -> Measure:
    def gain(b: Floats, t: Floats, axis: int = -1) -> Floats:
        return t.mean(axis=axis) - b.mean(axis=axis)

    base, tuned = (math.fsum(column) / len(column) for column in columns)
    return Measure(name, label, base, tuned, *_interval(columns, gain), len(columns[0]), better, unit)


def _interval(columns: tuple[Floats, ...], statistic: Callable[..., Floats]) -> tuple[float | None, float | None]:
    return bootstrap_interval(columns, statistic) or (None, None)
