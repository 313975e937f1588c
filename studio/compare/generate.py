"""Both models answer the held-out prompts: what is asked of them, and what came back.

Guarantees: base and tuned get the same prompts, template, sampling settings, limits and seed; everything that decides an answer
is stored with the comparison before the first one is made; the prompts are rows that the run was not trained on. Importing this
module is light: the sampling itself is in ``generate_arms``, and in a process of its own (``answers_job``).
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self

from studio import data, models, rewards
from studio.compare.blind import answer_pairs
from studio.compare.giveaways import visible
from studio.compare.measures import Answered, Measure, measure_answers, measure_loss, measure_reward
from studio.data import Dataset, Message
from studio.errors import DataError, NotFoundError, RunError, SettingError
from studio.models import Model
from studio.recipe import Recipe
from studio.rewards import Reward, TaskRow
from studio.rewards.rows import asked, task_row
from studio.runs import seal
from studio.settings import Settings
from studio.store import AnswerRow, ComparisonRow, RunRow, Store, checked_id

#: More prompts than this settle little that this many do not, and cost sampling and patience.
MOST_PROMPTS: Final = 200
_SHORTEST_LIMIT: Final = 64
_LONGEST_LIMIT: Final = 1024
_PAGE: Final = 5_000
#: Rows with equal prompts share this many first characters of their ids (see ``data.prompt_ids``).
_PROMPT_PART: Final = 16
_NO_TASK: Final = TaskRow("")


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What a person may choose. The same values go to both models.

    ``temperature`` 0 by default: each model then gives its most likely answer, so that a difference between the two is the
    tuning and not the luck of the draw, and a repeated comparison gives the same answers. ``top_p`` and ``top_k`` matter only
    above 0. ``max_tokens`` of ``None`` leaves room for twice the longest answer in the data. ``seed`` also draws the prompts
    when there are more than ``max_prompts``. Raises ``SettingError`` for a value that cannot work.
    """

    max_prompts: int = MOST_PROMPTS
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _require(1 <= self.max_prompts <= MOST_PROMPTS, "max_prompts", f"Use a whole number from 1 to {MOST_PROMPTS}.")
        _require(0 <= self.temperature <= 2, "temperature", "Use a number from 0 to 2.")
        _require(0 < self.top_p <= 1, "top_p", "Use a number above 0 and up to 1.")
        _require(self.top_k == -1 or self.top_k >= 1, "top_k", "Use -1 for no limit, or a whole number from 1.")
        _require(self.max_tokens is None or self.max_tokens >= 1, "max_tokens", "Use a whole number from 1.")
        _require(0 <= self.seed < 2**31, "seed", "Use a whole number from 0.")


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides the answers of one comparison; stored verbatim as its ``settings_json``."""

    model: str
    wire_name: str
    renderer: str
    sampler_path: str
    dataset_id: str
    dataset_fingerprint: str
    held_out_seal: str
    max_prompts: int
    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    seed: int
    run_id: str = ""
    run_seal: str = ""

    def to_json(self) -> str:
        """JSON with sorted keys, so that equal plans are equal texts."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def of(cls, comparison: ComparisonRow) -> Self:
        """The plan of a stored comparison. Those of the first version do not name their run."""
        fields: dict[str, Any] = {"run_id": comparison.run_id, **json.loads(comparison.settings_json)}
        return cls(**fields)


@dataclass(frozen=True, slots=True)
class Question:
    """One held-out row: the turns that both models are given, and the answer that the data holds.

    The answer is the example's, the better one of a pair, or the right one of a task; empty where the data has none. ``more``
    is what it carries beside its text, such as tool calls. ``task`` is the row as a reward sees it.
    """

    position: int
    prompt_id: str
    messages: tuple[Message, ...]
    reference: str
    more: str = ""
    task: TaskRow = _NO_TASK


def start_comparison(
    settings: Settings, store: Store, run_id: str, owner: str, wanted: CompareSettings | None = None
) -> ComparisonRow:
    """Queue a job of kind ``answers`` for this run; ``Supervisor.submit(comparison.id)`` sets it going.

    The same request again is the same comparison: a complete one is returned as it is, one that failed or was stopped is queued
    again and goes on after the answers that it has. Raises ``RunError`` when the run has nothing to compare or
    its data set was split again since, ``NotFoundError`` for somebody else's run, ``DataError`` when the files of its data set
    are gone.
    """
    run = store.runs.get(run_id, owner)
    _require_result(store, run)
    dataset = data.load(settings.datasets / checked_id(run.dataset_id))
    if not dataset.test.rows:
        raise RunError(
            "This data set has no held-out rows, so there is nothing fair to compare on.",
            where=dataset.name,
            next_step="Load more rows, train again, and compare that run.",
        )
    recipe = Recipe.from_json(run.recipe_json)
    model = models.get(recipe.model)
    _require_place(settings, model)
    run, _ = seal.sealed(settings, store, run, dataset)
    plan = _plan(run, recipe, model, dataset, wanted or CompareSettings())
    for known in store.comparisons.of_run(run.id, owner):
        if known.settings_json == plan.to_json():
            again = "You asked for these answers again."
            if store.jobs.move(known.id, "queued", only_from=("failed", "stopped", "interrupted"), event=again):
                store.jobs.update(known.id, phase="waiting")
            return known
    return store.comparisons.add(owner=owner, run_id=run.id, settings_json=plan.to_json())


def answers_complete(store: Store, comparison_id: str, owner: str) -> bool:
    """Whether both models have answered every prompt. Raises ``NotFoundError``."""
    return store.jobs.get(store.comparisons.get(comparison_id, owner).id).status == "completed"


def measures(store: Store, comparison_id: str, owner: str) -> tuple[Measure, ...]:
    """What a program can count, base beside tuned; empty until the answers are complete. Raises ``NotFoundError``."""
    found: list[dict[str, Any]] = json.loads(store.comparisons.get(comparison_id, owner).measures_json)
    return tuple(Measure(**one) for one in found)


def sample_once(
    settings: Settings,
    store: Store,
    target: str,
    prompt: str,
    *,
    max_tokens: int = 256,
    temperature: float = 0.0,
    seed: int = 0,
) -> str:
    """One answer to one prompt from a run's model or, by its catalogue name, from a base model.

    Starts an engine of its own where models run here. Raises ``NotFoundError``, ``RunError`` for a run without a result, and
    ``BackendError`` when the place that samples fails.
    """
    wanted = CompareSettings(temperature=temperature, max_tokens=max_tokens, seed=seed)
    model, renderer, sampler_path = _target(settings, store, target)
    _require_place(settings, model)
    from studio.compare.generate_arms import answer_alone

    return visible(answer_alone(settings, model, renderer, sampler_path, prompt, wanted))


def was_trained_on(settings: Settings, store: Store, target: str, prompt: str) -> bool | None:
    """Whether the run ``target`` was trained on this prompt; ``None`` for a base model, and for a run that kept no seal.

    For prompts that a person insists on: they are answered, and stamped. Raises ``RunError`` when the seal was changed.
    """
    if not target.startswith("run-"):
        return None
    run = store.runs.get(target, settings.owner)
    return seal.trained_on(settings, run.id, run.seal, [[Message("user", prompt)]])[0] if run.seal else None


def questions(settings: Settings, plan: Plan) -> tuple[Question, ...]:
    """The held-out prompts of a plan, each once, in the order of the file.

    When there are more than ``max_prompts``, the hash of seed and prompt id draws them: the choice depends neither on the order
    of the file nor on anything a model did. Raises ``DataError`` when the held-out part is not the one that was sealed or a
    prompt of it was trained on, ``RunError`` when nothing says what the run was trained on.
    """
    dataset = data.load(settings.datasets / checked_id(plan.dataset_id))

    def drawn(row: data.Row) -> bytes:
        return hashlib.sha256(f"{plan.seed}:{row.prompt_id}".encode()).digest()

    chosen = sorted(heapq.nsmallest(plan.max_prompts, _rows(dataset), key=drawn), key=lambda row: row.line)
    if not chosen or data.held_out_seal(dataset) != plan.held_out_seal:
        raise DataError(
            "The held-out rows are not the ones that were put aside when this data set was split.",
            where=str(dataset.test.path),
            next_step="Load the file again and train on it; what was held out must never change.",
        )
    # The last word have the texts that would be asked, whatever the ids beside them say.
    learned = sum(seal.trained_on(settings, plan.run_id, plan.run_seal, [asked(row) for row in chosen]))
    if learned:
        raise DataError(
            f"{learned:,} of {len(chosen):,} held-out prompts {'was' if learned == 1 else 'were'} trained on, so the answers "
            "would show what was memorised and not what was learned.",
            where=str(dataset.test.path),
            next_step="Load the file again and train on it; what was held out must never change.",
        )
    return tuple(_question(position, row) for position, row in enumerate(chosen))


def _question(position: int, row: data.Row) -> Question:
    turns = asked(row)
    if len(turns) < len(row.messages):
        answer = row.messages[-1]
        return Question(position, row.prompt_id, turns, answer.content, answer.more, task_row(row))
    # A task's written answer with a score beside it is what somebody said, and not what should be said.
    answer = row.reference or ("" if row.reward is not None else row.completion)
    return Question(position, row.prompt_id, turns, answer, task=task_row(row))


def reward_of(store: Store, plan: Plan, owner: str) -> Reward | None:
    """The reward that the plan's run practised for, where a program alone can score it; ``None`` otherwise."""
    if not plan.run_id:
        return None
    text = Recipe.from_json(store.runs.get(plan.run_id, owner).recipe_json).reward
    reward = rewards.parse(text) if text else None
    needed = rewards.needs(reward) if reward is not None else None
    return None if needed is None or needed.judge or needed.sandbox else reward


def measured(
    answers: tuple[AnswerRow, ...], *, reward: Reward | None = None, asked_of: Sequence[Question] = ()
) -> tuple[Measure, ...]:
    """Loss and perplexity of the references, and what the answers score, over the prompts that both models answered.

    Texts are measured as raters see them. A reference that one of the models could not be scored on (too long, or not a finite
    number) is left out of the loss of both. With ``reward`` and the questions its mean score comes first; an answer pair of
    which one could not be scored is left out.
    """
    pairs = answer_pairs(answers)
    scored = [(b, t) for b, t in pairs.values() if b.nll is not None and t.nll is not None and b.nll_tokens == t.nll_tokens > 0]
    texts = [Answered(prompt_id, b.reference, visible(b.text), visible(t.text)) for prompt_id, (b, t) in pairs.items()]
    earned = _earned(reward, {one.prompt_id: one for one in asked_of}, texts) if reward is not None else None
    losses = measure_loss(*_token_losses(scored)) if scored else ()
    return (*(() if earned is None else (earned,)), *losses, *measure_answers(texts))


def _earned(reward: Reward, known: Mapping[str, Question], texts: Sequence[Answered]) -> Measure | None:
    """The mean reward of both models' answers."""

    def score(question: Question, answer: str) -> float | None:
        return rewards.score(reward, answer, question.task).value

    pairs = [
        (score(known[text.prompt_id], text.base), score(known[text.prompt_id], text.tuned))
        for text in texts
        if text.prompt_id in known
    ]
    whole = [(base, tuned) for base, tuned in pairs if base is not None and tuned is not None]
    return measure_reward(*zip(*whole, strict=True)) if whole else None


def _token_losses(scored: list[tuple[AnswerRow, AnswerRow]]) -> tuple[list[list[float]], list[list[float]]]:
    """Per prompt as many equal log-probabilities as there are tokens: their sum and count are all that a mean loss needs."""
    base, tuned = ([[-(row.nll or 0.0)] * row.nll_tokens for row in arm] for arm in zip(*scored, strict=True))
    return base, tuned


def _plan(run: RunRow, recipe: Recipe, model: Model, dataset: Dataset, wanted: CompareSettings) -> Plan:
    return Plan(
        model=model.name,
        wire_name=model.wire_name,
        renderer=recipe.renderer,
        sampler_path=run.sampler_path,
        dataset_id=run.dataset_id,
        dataset_fingerprint=dataset.inspection.fingerprint,
        held_out_seal=str(dataset.details["test_seal"]),
        max_prompts=min(wanted.max_prompts, dataset.test.rows),
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        max_tokens=wanted.max_tokens or _room_for(dataset, model, recipe),
        seed=wanted.seed,
        run_id=run.id,
        run_seal=run.seal,
    )


def _room_for(dataset: Dataset, model: Model, recipe: Recipe) -> int:
    """Tokens for twice the longest answer in the data, so that nothing is cut off that the data would not cut off.

    Of pairs the worse answers count as well: the base model may well answer like them. Where the model practised, it has at
    least the room that it practised with.
    """
    letters = dataset.inspection.lengths.completion.max
    if dataset.inspection.shape is not None and dataset.inspection.shape.training == "DPO":
        letters = max(letters, *(len(row.rejected) for row in _rows(dataset)), 0)
    practised = recipe.max_tokens if recipe.method in ("rl", "rlhf", "distill") else 0
    longest = max(2 * math.ceil(letters / model.chars_per_token), practised)
    return min(max(_LONGEST_LIMIT, practised), max(_SHORTEST_LIMIT, longest))


def _rows(dataset: Dataset) -> Iterator[data.Row]:
    """The held-out rows; of rows with equal prompts the first, because a prompt is rated once however often it stands there."""
    seen: set[str] = set()
    for offset in range(0, dataset.test.rows, _PAGE):
        for row in data.rows(dataset.test.path, _PAGE, offset):
            prompt = row.prompt_id[:_PROMPT_PART]
            if prompt not in seen:
                seen.add(prompt)
                yield row


def _target(settings: Settings, store: Store, target: str) -> tuple[Model, str, str]:
    """(base model, renderer, sampler path or "") of a run id or a catalogue name."""
    if not target.startswith("run-"):
        model = models.get(target)
        return model, model.renderer, ""
    run = store.runs.get(target, settings.owner)
    _require_result(store, run)
    recipe = Recipe.from_json(run.recipe_json)
    return models.get(recipe.model), recipe.renderer, run.sampler_path


def _require_result(store: Store, run: RunRow) -> None:
    job = store.jobs.get(run.id)
    if not job.ended:
        raise RunError(f"This run is still {job.status}.", where=run.name, next_step="Wait until it has finished.")
    if not run.sampler_path:
        raise RunError(
            f"This run is {job.status} and left no model that could answer.",
            where=run.name,
            next_step="Resume it, or start a new run.",
        )


def _require_place(settings: Settings, model: Model) -> None:
    if model not in models.catalogue(settings):
        raise NotFoundError(
            f"{model.label} does not run where this studio is set to work.",
            where=settings.place,
            next_step="Start the studio with the settings that this run was trained with.",
        )


def _require(holds: bool, field: str, advice: str) -> None:
    if not holds:
        raise SettingError("This value cannot work.", where=field, next_step=advice)
