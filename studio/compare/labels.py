"""Answers that are labels: how well each label is found, every label counting alike (macro F1).

Guarantees: scikit-learn computes the number; references alone decide whether they are labels and which ones there are; an
answer that is no label of the data is a miss for the label that was due and for nothing else. The library is imported when it
is first needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from studio.compare.resampling import bootstrap_interval

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

#: References of which there are at most this many different ones are labels, if each stands there often enough to be learned.
MOST_LABELS: Final = 12
LEAST_PER_LABEL: Final = 5
# Of one label: it was given rightly, it was given to another's prompt, it was due and not given.
_KINDS: Final = 3


@dataclass(frozen=True, slots=True)
class MacroF1:
    """Macro F1 of two sides (0 to 1), and a 95 % interval of their difference where the answers determine one."""

    base: float
    tuned: float
    low: float | None
    high: float | None


def are_labels(references: Sequence[str]) -> bool:
    """Whether these references are labels: few different ones, on average ``LEAST_PER_LABEL`` times each, none empty."""
    different = set(references)
    return 2 <= len(different) <= MOST_LABELS and len(references) >= LEAST_PER_LABEL * len(different) and "" not in different


def macro_f1(base: Sequence[str], tuned: Sequence[str], references: Sequence[str]) -> MacroF1:
    """Macro F1 of two answers to each reference, over the labels that the references hold.

    F1 of a label is 2 TP / (2 TP + FP + FN), and 0 for one that is never found; the macro average is their plain mean
    (``sklearn.metrics.f1_score``). The interval draws prompts with both answers; a draw counts the labels that occur in it.
    Raises ``ValueError`` when the numbers of texts differ.
    """
    from sklearn.metrics import f1_score

    labels = sorted(set(references))
    columns = (*_counts(base, references, labels), *_counts(tuned, references, labels))
    ends = bootstrap_interval(columns, _gain) or (None, None)
    scores = (float(f1_score(list(references), list(given), labels=labels, average="macro")) for given in (base, tuned))
    return MacroF1(next(scores), next(scores), *ends)


def _counts(answers: Sequence[str], references: Sequence[str], labels: Sequence[str]) -> tuple[Floats, ...]:
    """Per label three columns of one entry a prompt (see ``_KINDS``)."""
    pairs = list(zip(answers, references, strict=True))
    found: list[Floats] = []
    for label in labels:
        given = np.array([answer == label for answer, _ in pairs])
        due = np.array([reference == label for _, reference in pairs])
        found += [part.astype(np.float64) for part in (given & due, given & ~due, due & ~given)]
    return tuple(found)


def _gain(*columns: Floats, axis: int = -1) -> Floats:
    half = len(columns) // 2
    return _macro(columns[half:], axis) - _macro(columns[:half], axis)


def _macro(columns: Sequence[Floats], axis: int) -> Floats:
    sums = np.stack([column.sum(axis=axis) for column in columns])
    right, wrong, missed = (sums[kind::_KINDS] for kind in range(_KINDS))
    whole = 2 * right + wrong + missed
    scores = np.divide(2 * right, whole, out=np.zeros_like(whole), where=whole > 0)
    return scores.sum(axis=0) / np.maximum(1, (whole > 0).sum(axis=0))
