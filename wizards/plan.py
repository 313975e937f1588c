"""What would be trained if the person pressed *Start* now: the draft read against the store, the files and the recommender.

Guarantees: reads only; the same draft gives the same plan; whatever keeps a run from starting is named in ``missing`` or beside
its field in ``problems``, and a plan that is ``ready`` has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from studio import datasets, kept, methods, models, tokens
from studio.data import Dataset, Inspection, TrainingType
from studio.errors import DataError, NotFoundError, SettingError
from studio.methods import Ending
from studio.recipe import (
    DataFacts,
    FieldProblem,
    Recipe,
    Recommendation,
    changed,
    facts_of,
    minutes,
    recommend,
    validate,
    warnings,
    with_field,
)
from studio.settings import Settings
from studio.store import Store
from wizards.draft import Draft, StepId

#: What to do with data that this version cannot train on, as the start button says it.
_UNFIT: Final[Mapping[TrainingType, str]] = {
    "DPO": "Use the better answers as examples first",
    "RL": "Add example answers first",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not decided yet, as the start button says it, and the step where it is decided."""

    step: StepId
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The run as it stands. ``dataset`` and all that hangs on it are ``None`` until there is data.

    ``staged`` says that a file waits to be split.
    """

    method: str
    because: str = ""
    staged: bool = False
    dataset: Dataset | None = None
    facts: DataFacts | None = None
    recommendation: Recommendation | None = None
    recipe: Recipe | None = None
    problems: tuple[FieldProblem, ...] = ()
    warnings: tuple[FieldProblem, ...] = ()
    changed: tuple[str, ...] = ()
    minutes: float | None = None

    @property
    def missing(self) -> Missing | None:
        """The first thing in the way of starting, ``None`` when nothing is."""
        if not self.method:
            return Missing("goal", "Choose your goal first")
        if self.dataset is None:
            return Missing("data", "Split your data first" if self.staged else "Add your data first")
        if self.facts is not None and self.facts.training != "SL":
            return Missing("data", _UNFIT[self.facts.training])
        if self.problems or self.recipe is None:
            count = max(1, len(self.problems))
            return Missing("settings", f"Correct {count} setting{'s' if count > 1 else ''} first")
        return None

    @property
    def ready(self) -> bool:
        """Whether a run can start."""
        return self.missing is None


def dataset_of(settings: Settings, store: Store, dataset_id: str, owner: str) -> Dataset | None:
    """The split data set with this id, ``None`` when this owner has none of that name (yet)."""
    if not dataset_id:
        return None
    try:
        return datasets.load(settings, store, dataset_id, owner)
    except NotFoundError:
        return None


def held(settings: Settings, store: Store, draft: Draft, owner: str) -> Inspection | None:
    """What is known of the file in this draft, split or not; ``None`` without one, or while it cannot be read."""
    dataset = dataset_of(settings, store, draft.dataset, owner)
    if dataset is not None:
        return dataset.inspection
    try:
        return datasets.find(settings, draft.dataset, owner) if draft.dataset else None
    except (DataError, NotFoundError):
        return None  # the data step says what is wrong with it


def plan(settings: Settings, store: Store, draft: Draft, owner: str) -> Plan:
    """The plan of this draft. Raises ``DataError`` when the files of its data set are damaged."""
    dataset = dataset_of(settings, store, draft.dataset, owner)
    if dataset is None or not draft.method:
        return Plan(draft.method, _because(draft), bool(draft.dataset), dataset)
    return of_dataset(_in_full(settings, draft, owner), dataset)


def _in_full(settings: Settings, draft: Draft, owner: str) -> Draft:
    """The draft with its long texts in the place of their names. One that is gone is no change any more."""
    changes: list[tuple[str, str]] = []
    for name, text in draft.changes:
        try:
            changes.append((name, kept.said(settings, owner, text)))
        except NotFoundError:
            continue
    return replace(draft, changes=tuple(changes))


def _because(draft: Draft) -> str:
    """Why this method, in the words of the goal tree. Empty when an old link brought answers that it does not know."""
    try:
        end = methods.walk(dict(draft.answers))
    except SettingError:
        return ""
    return end.because if isinstance(end, Ending) else ""


def noted(settings: Settings, draft: Draft, owner: str, name: str, text: str) -> Draft:
    """The draft with a changed setting. A long text is kept on disk first, and the draft holds its name.

    Raises ``SettingError`` when the text is longer than can be kept, ``StoreError`` when the disk refuses.
    """
    return draft.with_change(name, kept.keep(settings, owner, text))


def of_dataset(draft: Draft, dataset: Dataset) -> Plan:
    """Recommend for this data, then apply what the person changed (every text of it in full)."""
    facts = facts_of(dataset)
    try:
        model = models.get(draft.model)
        facts = tokens.with_tokens(facts, dataset, model)
        recommendation = recommend(facts, model, draft.method)
    except (NotFoundError, SettingError) as error:
        field = "method" if error.where == "method" else "model"
        words = f"{error.what} {error.next_step}" if field == "method" else str(error)
        return Plan(draft.method, _because(draft), False, dataset, facts, problems=(FieldProblem(field, words),))
    recipe, problems = _with_changes(recommendation.recipe, draft)
    problems += validate(recipe, facts)
    return Plan(
        draft.method,
        _because(draft),
        False,
        dataset,
        facts,
        recommendation,
        recipe,
        problems,
        () if problems else warnings(recipe, facts),
        changed(recipe, recommendation.recipe),
        None if problems else minutes(recipe, facts),
    )


def _with_changes(recipe: Recipe, draft: Draft) -> tuple[Recipe, tuple[FieldProblem, ...]]:
    problems: list[FieldProblem] = []
    for name, text in draft.changes:
        try:
            recipe = with_field(recipe, name, text)
        except SettingError as error:
            problems.append(FieldProblem(name, error.what))
    return recipe, tuple(problems)
