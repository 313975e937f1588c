"""What a run has cost so far, and whether it may go on: tokens by kind for all stages, and the hard budget.

Guarantees: everything that the server worked on counts, also what a resumed run did twice; the price is the one that the
estimate used (``studio.recipe.cost``); where none is known nothing is guessed, and then no budget can end the run.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from studio import models
from studio.recipe.cost import TokenCounts, spent
from studio.runs import files
from studio.runs.desk import StopAsked
from studio.runs.metrics import (
    AT,
    LIFE,
    TOKENS_JUDGE,
    TOKENS_PREFILL,
    TOKENS_SAMPLE,
    TOKENS_TEACHER_PREFILL,
    TOKENS_TEACHER_SAMPLE,
    TOKENS_TRAIN,
    MetricsFile,
    TokenKind,
)

if TYPE_CHECKING:
    from studio.models import Model
    from studio.runs.desk import Desk
    from studio.runs.work import Work

_NAMES: Final[Mapping[TokenKind, str]] = {
    "train": TOKENS_TRAIN,
    "sample": TOKENS_SAMPLE,
    "prefill": TOKENS_PREFILL,
    "teacher_sample": TOKENS_TEACHER_SAMPLE,
    "teacher_prefill": TOKENS_TEACHER_PREFILL,
}


class BudgetReached(StopAsked):
    """The metered cost has reached the recipe's budget. It is handled like a stop, and says why."""

    def __init__(self, budget: float, cost: float, kept: str) -> None:
        super().__init__(
            kept,
            reason=f"Its budget of {budget:,.2f} USD is used up ({cost:,.2f} USD by our count).",
            next_step="Compare what it has learned, or start a new run from it with a budget of its own.",
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Tokens by who worked on them: the tuned model, a teacher that is another one, and others that judge, by their names."""

    own: TokenCounts = field(default_factory=TokenCounts)
    teacher: TokenCounts = field(default_factory=TokenCounts)
    judges: Mapping[str, TokenCounts] = field(default_factory=dict[str, TokenCounts])


def counts_of(readers: Sequence[MetricsFile], waiting: Mapping[str, int] | None = None) -> Counts:
    """Tokens over the stages of a run; ``waiting`` are those that stand in no line yet, by their names there."""
    more = waiting or {}

    def total(kind: TokenKind) -> int:
        return sum(reader.tokens_of(kind) for reader in readers) + more.get(_NAMES[kind], 0)

    read = Counter({name.removeprefix(TOKENS_JUDGE): count for name, count in more.items() if name.startswith(TOKENS_JUDGE)})
    for reader in readers:
        read.update(reader.judged)
    return Counts(
        TokenCounts(prefill=total("prefill"), sample=total("sample"), train=total("train")),
        TokenCounts(prefill=total("teacher_prefill"), sample=total("teacher_sample")),
        {name: TokenCounts(prefill=count) for name, count in read.items()},
    )


def cost_of(counts: Counts, model: Model, teacher: Model | None, home: Path) -> float | None:
    """US dollars for these tokens, ``None`` where a price is not known. ``home`` may hold the owner's table of prices.

    Raises ``SettingError`` for a table that cannot be read and ``NotFoundError`` for a judge that is not in the catalogue.
    """
    paid = [spent(counts.own, model, home)]
    if counts.teacher.total:
        paid.append(spent(counts.teacher, teacher or model, home))
    paid += [spent(read, models.get(name), home) for name, read in counts.judges.items()]
    known = [one for one in paid if one is not None]
    return sum(known) if len(known) == len(paid) else None


class Meter:
    """Counts for one process at work on one stage. What is counted here goes into the metrics with the next step's line."""

    def __init__(self, desk: Desk, work: Work) -> None:
        self._desk = desk
        self._work = work
        earlier = [folder for folder in work.earlier_folders if folder != work.folder]
        self._readers = [MetricsFile(folder / files.METRICS) for folder in (*earlier, work.folder)]
        #: By the names that they have in a line of the metrics.
        self._pending: Counter[str] = Counter()

    def count(self, kind: TokenKind, tokens: int) -> None:
        """Note tokens that the loop itself does not report: validation, reference, references of a penalty. From any thread."""
        self._pending[_NAMES[kind]] += tokens

    def count_judge(self, judge: Model, tokens: int) -> None:
        """Note tokens that a model read to judge by rules, at its own price where it is another one. From any thread."""
        if judge.name == self._work.model.name:
            self.count("prefill", tokens)
        else:
            self._pending[TOKENS_JUDGE + judge.name] += tokens

    def count_teacher(self, kind: Literal["prefill", "sample"], tokens: int) -> None:
        """Note tokens of the teacher, at its own price where it is another model than the student. From any thread."""
        teacher = self._work.teacher
        if teacher is None or teacher.name == self._work.model.name:
            self.count(kind, tokens)
        else:
            self.count("teacher_prefill" if kind == "prefill" else "teacher_sample", tokens)

    def take(self) -> dict[str, float]:
        """What was counted since the last call, by the names that belong into a line of the metrics."""
        pending, self._pending = self._pending, Counter()
        return {name: float(tokens) for name, tokens in pending.items() if tokens}

    def write(self) -> None:
        """Append what was counted to the stage's metrics now: work beside the steps, which a stop must not forget.

        Raises ``OSError``.
        """
        if counted := self.take():
            line = {"step": self._work.begun_at, **counted, AT: time.time(), LIFE: 0.0}
            with (self._work.folder / files.METRICS).open("a", encoding="utf-8") as metrics:
                metrics.write(json.dumps(line) + "\n")

    @property
    def counts(self) -> Counts:
        """Tokens of the whole run so far: those in the metrics, and those that wait for the next line."""
        for reader in self._readers:
            reader.read()
        return counts_of(self._readers, dict(self._pending))

    @property
    def cost(self) -> float | None:
        """US dollars so far, ``None`` where the price is not known."""
        return cost_of(self.counts, self._work.model, self._work.teacher, self._desk.settings.home)

    def exhausted(self) -> float | None:
        """The cost when it has reached the budget, else ``None``."""
        budget = self._work.recipe.budget_usd
        cost = self.cost if budget is not None else None
        return cost if budget is not None and cost is not None and cost >= budget else None

    def why_stop(self, kept: str) -> StopAsked | None:
        """The reason to save and end now, or ``None``. ``kept`` says in one sentence what is saved."""
        if self._desk.stopping:
            return StopAsked(kept)
        cost = self.exhausted()
        return None if cost is None else BudgetReached(self._work.recipe.budget_usd or 0.0, cost, kept)
