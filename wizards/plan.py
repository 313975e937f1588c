"""What would be trained if the person pressed *Start* now: the draft read against the store, the files and the recommender.

Guarantees: reads only; the same draft gives the same plan; whatever keeps a run from starting is named in ``missing`` or beside
its field in ``problems``, and a plan that is ``ready`` has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, get_args

from studio import datasets, kept, methods, models, rewards, tokens
from studio.data import Dataset, Inspection, TrainingType
from studio.errors import DataError, NotFoundError, SettingError
from studio.methods import Ending
from studio.models import Model
from studio.recipe import (
    DataFacts,
    Dial,
    Distillation,
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
from studio.recipe.cost import Cost, estimate
from studio.rewards import RewardError
from studio.rewards.of_data import suggested
from studio.settings import Settings
from studio.store import Store
from wizards import clash
from wizards.clash import Clash
from wizards.draft import Draft, StepId

#: The positions of the dial and the kinds of distillation, as an address says them.
DIALS: Final[Mapping[str, Dial]] = {each: each for each in get_args(Dial)}
KINDS: Final[Mapping[str, Distillation]] = {each: each for each in get_args(Distillation)}
#: What only the person can give, as the start button asks for it.
_ASKS: Final[Mapping[str, str]] = {
    "teacher_prompt": "Write the long prompt first",
    "teacher": "Choose a teacher first",
    "reward": "Say how answers are scored first",
}
#: What is about the data and the goal, and stays when the model or the dial changes.
OF_THE_GOAL: Final = frozenset({"reward", "distillation", "teacher_prompt"})


@dataclass(frozen=True, slots=True)
class Missing:
    """What is not decided yet, as the start button says it, and the step where it is decided."""

    step: StepId
    words: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The run as it stands. ``dataset`` and all that hangs on it are ``None`` until there is data.

    ``staged`` says that a file waits to be split, ``clash`` that the file is of another kind than the goal needs. ``typed`` is
    what the person changed, in full. ``asks`` names the settings that only the person can give, and has not yet.
    """

    method: str
    because: str = ""
    staged: bool = False
    dataset: Dataset | None = None
    facts: DataFacts | None = None
    model: Model | None = None
    recommendation: Recommendation | None = None
    recipe: Recipe | None = None
    problems: tuple[FieldProblem, ...] = ()
    warnings: tuple[FieldProblem, ...] = ()
    changed: tuple[str, ...] = ()
    typed: Mapping[str, str] = field(default_factory=dict[str, str])
    minutes: float | None = None
    cost: Cost | None = None
    clash: Clash | None = None

    @property
    def asks(self) -> tuple[str, ...]:
        """What only the person can give, and has not yet."""
        wanted = self.recommendation.asks if self.recommendation is not None else ()
        return tuple(name for name in wanted if any(each.field == name for each in self.problems))

    @property
    def missing(self) -> Missing | None:
        """The first thing in the way of starting, ``None`` when nothing is."""
        if not self.method:
            return Missing("goal", "Choose your goal first")
        if self.clash is not None:
            return Missing("goal", self.clash.words)
        if self.dataset is None:
            return Missing("data", "Split your data first" if self.staged else "Add your data first")
        if self.asks and len(self.asks) == len(self.problems):
            return Missing("settings", _ASKS.get(self.asks[0], "Fill in what is missing first"))
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
    if dataset is not None and draft.method:
        return of_dataset(_in_full(settings, draft, owner), dataset, settings.home)
    file = held(settings, store, draft, owner)
    training = file.shape.training if file is not None and file.shape is not None else None
    return Plan(draft.method, _because(draft), bool(draft.dataset), dataset, clash=_clash(draft.method, training))


def _clash(method: str, training: TrainingType | None) -> Clash | None:
    """An old link may name a method that there is none of; that is no contradiction with the data."""
    try:
        return clash.of(method, training)
    except NotFoundError:
        return None


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


def of_dataset(draft: Draft, dataset: Dataset, home: Path | None = None) -> Plan:
    """Recommend for this data, then apply what the person changed (every text of it in full).

    ``home`` is where the owner may keep prices of their own.
    """
    facts = facts_of(dataset)
    because, typed = _because(draft), dict(draft.changes)
    found = _clash(draft.method, facts.training)
    if found is not None:
        return Plan(draft.method, because, False, dataset, facts, clash=found)
    try:
        model = models.get(draft.model)
        facts = tokens.with_tokens(facts, dataset, model)
        recommendation = recommended(facts, model, draft, dataset)
    except (NotFoundError, SettingError) as error:
        where = "method" if error.where == "method" else "model"
        words = f"{error.what} {error.next_step}" if where == "method" else str(error)
        return Plan(draft.method, because, False, dataset, facts, problems=(FieldProblem(where, words),))
    recipe, problems = with_changes(recommendation.recipe, typed)
    problems += tuple(each for each in validate(recipe, facts) if each.field not in {problem.field for problem in problems})
    return Plan(
        draft.method,
        because,
        False,
        dataset,
        facts,
        model,
        recommendation,
        recipe,
        problems,
        () if problems else warnings(recipe, facts, recommendation.recipe),
        changed(recipe, recommendation.recipe),
        typed,
        None if problems else minutes(recipe, facts),
        None if problems else estimate(recipe, facts, model, home),
    )


def recommended(facts: DataFacts, model: Model, draft: Draft, dataset: Dataset) -> Recommendation:
    """What is recommended for this draft. Raises as ``recommend`` does."""
    dial = DIALS.get(draft.dial, "standard")
    kind = KINDS.get(dict(draft.changes).get("distillation", ""), "prompt")
    return recommend(facts, model, draft.method, dial=dial, distillation=kind, reward=_reward(draft, dataset))


def _reward(draft: Draft, dataset: Dataset) -> str:
    """A reward that fits the rows, for those that are to be scored; empty when none suggests itself."""
    if draft.method != "rl":
        return ""
    try:
        return rewards.to_json(suggested(dataset.train.path).reward)
    except RewardError:
        return ""


def with_changes(recipe: Recipe, typed: Mapping[str, str]) -> tuple[Recipe, tuple[FieldProblem, ...]]:
    """The recipe with what was typed, and what is wrong with it. What belongs to another method is passed over."""
    problems: list[FieldProblem] = []
    ours = {spec.name for spec in recipe.specs}
    for name, text in typed.items():
        if name not in ours:
            continue
        try:
            recipe = with_field(recipe, name, text)
        except SettingError as error:
            problems.append(FieldProblem(name, error.what))
    return recipe, tuple(problems)
