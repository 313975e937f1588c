"""All arms answer the same prompts: what is asked of them, and what came back.

Guarantees: every arm gets the same prompts, sampling settings, limits and seeds, and arms on one base model the same template;
everything that decides an answer is stored with the comparison before the first one is made; held-out prompts are rows that no
arm was trained on, and others say when they were. Importing this module is light: the sampling itself is in ``generate_arms``,
and in a process of its own (``answers_job``).
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, Final

from studio import data, models
from studio.compare import lists
from studio.compare.choosing import Desk, Others, arms_of, require_place, require_result, require_sealed, steps_of, tuned_model
from studio.compare.giveaways import visible
from studio.compare.lists import Entry, keep_answers, keep_entries, keep_packs, keep_pasted, keep_prompts
from studio.compare.measures import Column, Measure
from studio.compare.plan import MOST_ARMS, MOST_PROMPTS, ArmPlan, CompareSettings, Imported, Plan, PromptSource
from studio.compare.prompts import Question, held_out_rows, questions
from studio.compare.scores import changes, measured, reward_of
from studio.data import Dataset, Message
from studio.errors import NotFoundError, RunError
from studio.models import Model
from studio.recipe import Recipe
from studio.runs import seal
from studio.runs.checkpoints import Checkpoint
from studio.settings import Settings
from studio.store import ComparisonRow, Store, checked_id

__all__ = [
    "MOST_ARMS",
    "MOST_PROMPTS",
    "ArmPlan",
    "Column",
    "CompareSettings",
    "Imported",
    "Measure",
    "Others",
    "Plan",
    "PromptSource",
    "Question",
    "answers_complete",
    "changes_of",
    "checkpoints_of",
    "keep_answers",
    "keep_packs",
    "keep_pasted",
    "keep_prompts",
    "measured",
    "measures",
    "questions",
    "reward_of",
    "sample_once",
    "start_comparison",
    "was_trained_on",
]

_SHORTEST_LIMIT: Final = 64
_LONGEST_LIMIT: Final = 1024
#: Room where no answer of the data says how long answers are.
_USUAL_LIMIT: Final = 256


def start_comparison(
    settings: Settings,
    store: Store,
    run_id: str,
    owner: str,
    wanted: CompareSettings | None = None,
    *,
    others: Others | None = None,
    prompts: PromptSource | None = None,
) -> ComparisonRow:
    """Queue a job of kind ``answers``; ``Supervisor.submit(comparison.id)`` sets it going.

    The arms are the run's base model, the run, and the ``others``; without a run (empty id) the others alone, of which the
    first is then the reference. The prompts are the run's held-out rows unless ``prompts`` names a list or packs
    (``keep_prompts``, ``keep_pasted``, ``keep_packs``); without a run they are those of the first file of answers.

    The same request again is the same comparison: a complete one is returned as it is, one that failed or was stopped is queued
    again and goes on after the answers that it has. Raises ``RunError`` when a run has nothing to compare or its data set was
    split again since, ``NotFoundError`` for somebody else's run or a model that is not there, ``DataError`` when files are
    gone, do not fit, or hold what was trained on, ``SettingError`` when the arms make no comparison.
    """
    at, wanted, others = Desk(settings, store, owner), wanted or CompareSettings(), others or Others()
    plan = _of_run(at, run_id, wanted) if run_id else _of_nothing(wanted)
    plan = replace(plan, arms=arms_of(at, plan.arms, others), learned=wanted.learned)
    if prompts is not None or not run_id:
        plan = _on_list(settings, plan, wanted, prompts or _of_file(settings, others))
    if len(plan.arms) > 2 or plan.source.kind != "held_out":
        # Said now and not when the job runs: whoever chose these can choose others.
        questions(settings, plan)
    for known in store.comparisons.all(owner):
        if known.run_id == (run_id or None) and Plan.of(known).same_as(plan):
            again = "You asked for these answers again."
            if store.jobs.move(known.id, "queued", only_from=("failed", "stopped", "interrupted"), event=again):
                store.jobs.update(known.id, phase="waiting")
            return known
    return store.comparisons.add(owner=owner, run_id=run_id or None, settings_json=plan.to_json(), arms=plan.rows())


def changes_of(
    settings: Settings, store: Store, comparison_id: str, owner: str, arm: str = ""
) -> tuple[tuple[Column, ...], tuple[Question, ...]]:
    """What changed prompt by prompt between the reference and another arm (the first challenger unless ``arm`` names one).

    Each measure as a ``Column``, and the prompts. Raises ``NotFoundError``; ``DataError`` when the prompts are gone.
    """
    plan = Plan.of(store.comparisons.get(comparison_id, owner))
    names = [one.name for one in plan.arms]
    if arm and arm not in names[1:]:
        raise NotFoundError(f"There is no arm {arm!r} here.", next_step=f"Choose one of: {', '.join(names[1:])}.")
    asked, answers = questions(settings, plan), store.comparisons.answers(comparison_id)
    reward = reward_of(store, plan, owner)
    return changes(answers, arms=(names[0], arm or names[1]), reward=reward, asked_of=asked), asked


def checkpoints_of(settings: Settings, store: Store, run_id: str, owner: str) -> tuple[Checkpoint, ...]:
    """The steps of a run, besides its result, that can take part in a comparison. Raises ``NotFoundError``."""
    return steps_of(Desk(settings, store, owner), run_id)


def answers_complete(store: Store, comparison_id: str, owner: str) -> bool:
    """Whether all arms have answered every prompt. Raises ``NotFoundError``."""
    return store.jobs.get(store.comparisons.get(comparison_id, owner).id).status == "completed"


def measures(store: Store, comparison_id: str, owner: str, arm: str = "") -> tuple[Measure, ...]:
    """What a program can count, the reference beside another arm (the first challenger unless ``arm`` names one).

    Empty until the answers are complete. Raises ``NotFoundError``.
    """
    found: list[dict[str, Any]] = json.loads(store.comparisons.get(comparison_id, owner).measures_json)
    known = tuple(Measure(**one) for one in found)
    return tuple(one for one in known if one.arm == (arm or known[0].arm))


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
    model, renderer, sampler_path = target_of(settings, store, target)
    require_place(settings, model)
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


def _of_run(at: Desk, run_id: str, wanted: CompareSettings) -> Plan:
    """The plan of base and tuned on the held-out prompts."""
    run, recipe, model = tuned_model(at, run_id)
    dataset = data.load(at.settings.datasets / checked_id(run.dataset_id))
    if not dataset.test.rows:
        raise RunError(
            "This data set has no held-out rows, so there is nothing fair to compare on.",
            where=dataset.name,
            next_step="Load more rows, train again, and compare that run.",
        )
    run = require_sealed(at, run, dataset)
    plan = Plan(
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
    return replace(plan, arms=plan.base_and_tuned(run.name))


def _of_nothing(wanted: CompareSettings) -> Plan:
    limit = wanted.max_tokens or _USUAL_LIMIT
    sampling = (wanted.temperature, wanted.top_p, wanted.top_k, limit, wanted.seed)
    return Plan("", "", "", "", "", "", "", wanted.max_prompts, *sampling)


def _of_file(settings: Settings, others: Others) -> PromptSource:
    """The prompts of the first imported file."""
    first = next(iter(others.imported), None)
    if first is None:
        raise RunError(
            "Without a run there are no held-out prompts.",
            where="prompts",
            next_step="Bring a list of prompts, or choose a pack.",
        )
    return keep_entries(settings, [Entry(messages) for messages, _ in lists.answers_of(settings, first.digest)], first.name)


def _on_list(settings: Settings, plan: Plan, wanted: CompareSettings, source: PromptSource) -> Plan:
    """The plan on another list of prompts. Nothing that decides an answer is left of the held-out part."""
    entries = lists.entries_of(settings, source.digest)
    longest = max((len(one.reference) for one in entries), default=0)
    longest = max(longest, *(len(text) for arm in plan.arms for _, text in _told(settings, arm)), 0)
    model = models.get(next((arm.model for arm in plan.arms if arm.asked), "nano"))
    room = max(_USUAL_LIMIT, _limit_for(longest, model, 0))
    kept = replace(plan, source=source, max_prompts=min(wanted.max_prompts, len(entries)), held_out_seal="")
    return replace(kept, max_tokens=wanted.max_tokens or max(room, plan.max_tokens))


def _told(settings: Settings, arm: ArmPlan) -> tuple[tuple[tuple[Message, ...], str], ...]:
    return () if arm.asked else lists.answers_of(settings, arm.digest)


def _room_for(dataset: Dataset, model: Model, recipe: Recipe) -> int:
    """Tokens for twice the longest answer in the data, so that nothing is cut off that the data would not cut off.

    Of pairs the worse answers count as well: the base model may well answer like them. Where the model practised, it has at
    least the room that it practised with.
    """
    letters = dataset.inspection.lengths.completion.max
    if dataset.inspection.shape is not None and dataset.inspection.shape.training == "DPO":
        letters = max(letters, *(len(row.rejected) for row in held_out_rows(dataset)), 0)
    return _limit_for(letters, model, recipe.max_tokens if recipe.method in ("rl", "rlhf", "distill") else 0)


def _limit_for(letters: int, model: Model, practised: int) -> int:
    longest = max(2 * math.ceil(letters / model.chars_per_token), practised)
    return min(max(_LONGEST_LIMIT, practised), max(_SHORTEST_LIMIT, longest))


def target_of(settings: Settings, store: Store, target: str) -> tuple[Model, str, str]:
    """(base model, renderer, sampler path or "") of a run id or a catalogue name."""
    if not target.startswith("run-"):
        model = models.get(target)
        return model, model.renderer, ""
    run = store.runs.get(target, settings.owner)
    require_result(store, run)
    recipe = Recipe.from_json(run.recipe_json)
    return models.get(recipe.model), recipe.renderer, run.sampler_path
