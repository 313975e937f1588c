"""How far an answer's words are those of the reference: token F1, ROUGE-L and BLEU, by the libraries that define them.

Guarantees: rouge-score and sacrebleu define the numbers, this module only cuts words and sums; words are cut alike in every
script, where rouge-score's own cutter would drop all letters but a to z; of a text that goes on and on the first ``MOST_WORDS``
words count. The longest common subsequence comes from rapidfuzz: as long as the one that rouge-score finds, two hundred times
sooner for 2,000 words. The libraries are imported when they are first needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from studio.compare.resampling import bootstrap_interval

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

#: Scripts without spaces between words: each sign stands for itself.
_SIGNS: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD: Final = re.compile(rf"[{_SIGNS}]|[^\W{_SIGNS}]+")
_ORDERS: Final = 4
#: The longest common subsequence takes time and memory with the product of the lengths.
MOST_WORDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Bleu:
    """Corpus BLEU of two sides (0 to 100), and a 95 % interval of their difference where the texts determine one."""

    base: float
    tuned: float
    low: float | None
    high: float | None


def words(text: str) -> list[str]:
    """The words of a text in lower case, in Unicode NFC, punctuation left out."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def token_f1(answer: str, reference: str) -> float:
    """F1 of the words of the answer against those of the reference, each counted as often as it stands there (ROUGE-1)."""
    return _rouge(answer, reference)[0]


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words (Lin 2004, ROUGE-L)."""
    return _rouge(answer, reference)[1]


def bleu(base: Sequence[str], tuned: Sequence[str], references: Sequence[str]) -> Bleu:
    """Corpus BLEU as sacrebleu defines it (tokeniser 13a, exponential smoothing) of two answers to each reference.

    The interval draws prompts with both answers. Raises ``ValueError`` when the numbers of texts differ.
    """
    ours, theirs = _counts(base, references), _counts(tuned, references)
    ends = bootstrap_interval((*ours, *theirs), _gain) or (None, None)
    return Bleu(_of(ours.sum(axis=1)), _of(theirs.sum(axis=1)), *ends)


@lru_cache(maxsize=1_024)
def _rouge(answer: str, reference: str) -> tuple[float, float]:
    from rapidfuzz.distance import LCSseq
    from rouge_score.scoring import fmeasure

    found = _scorer().score(reference, answer)
    told, wanted = (_Words().tokenize(text) for text in (answer, reference))
    if not told or not wanted:
        return 0.0, 0.0
    longest = LCSseq.similarity(told, wanted)
    return float(found["rouge1"].fmeasure), float(fmeasure(longest / len(told), longest / len(wanted)))


@cache
def _scorer() -> Any:  # noqa: ANN401 - the library has no types
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1"], tokenizer=_Words())


class _Words:
    """What rouge-score asks to cut a text."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)[:MOST_WORDS]


def _counts(answers: Sequence[str], references: Sequence[str]) -> Floats:
    """One column a prompt: matching n-grams, all n-grams (n from 1 to 4), length of the answer and of the reference."""
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU()
    rows: list[list[float]] = []
    for answer, reference in zip(answers, references, strict=True):
        found = metric.corpus_score([answer], [[reference]])
        rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
    return np.array(rows, dtype=np.float64).T


def _of(sums: Floats) -> float:
    from sacrebleu.metrics.bleu import BLEU

    whole = [round(float(value)) for value in sums]
    counts, totals, (ours, theirs) = whole[:_ORDERS], whole[_ORDERS : 2 * _ORDERS], whole[2 * _ORDERS :]
    return float(BLEU.compute_bleu(counts, totals, ours, theirs, smooth_method="exp").score)


def _gain(*columns: Floats, axis: int = -1) -> Floats:
    sums = np.stack([column.sum(axis=axis) for column in columns], axis=-1)
    half = sums.shape[-1] // 2
    return np.apply_along_axis(lambda row: _of(row[half:]) - _of(row[:half]), -1, sums)
