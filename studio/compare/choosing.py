"""Who takes part in a comparison: from what a person names to arms that can be asked.

Guarantees: only what is this owner's, is finished and can answer where this studio works becomes an arm; nothing takes part
twice; arms of one base model are asked in one template, and where they cannot be, the plan says so. Light: asks no server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio import data, models
from studio.compare.plan import MOST_ARMS, ArmPlan, Imported
from studio.data import Dataset
from studio.errors import NotFoundError, RunError, SettingError
from studio.models import Model
from studio.recipe import Recipe
from studio.runs import checkpoints, seal, stages
from studio.runs.checkpoints import Checkpoint
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id

_RUN = "run-"


@dataclass(frozen=True, slots=True)
class Others:
    """Who takes part besides a run and its base model.

    ``checkpoints`` are steps of that run, ``against`` ids of runs and names of models of the catalogue, ``imported`` answers
    that came from files.
    """

    checkpoints: tuple[int, ...] = ()
    against: tuple[str, ...] = ()
    imported: tuple[Imported, ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose studio it is."""

    settings: Settings
    store: Store
    owner: str


def arms_of(at: Desk, first: Sequence[ArmPlan], others: Others) -> tuple[ArmPlan, ...]:
    """``first`` (base and tuned, or nothing) and then the others, in the order in which they were named.

    Raises ``NotFoundError`` for what is not there, ``RunError`` for a run that cannot answer, ``SettingError`` for fewer than
    two arms, too many, or the same one twice.
    """
    arms = [
        *first,
        *(_checkpoint(at, first, step) for step in others.checkpoints),
        *(_other_run(at, name) if name.startswith(_RUN) else _model(at.settings, name) for name in others.against),
        *(ArmPlan("", "imported", one.name, digest=one.digest) for one in others.imported),
    ]
    named = _named(arms)
    if len(named) < 2:
        raise SettingError(
            "A comparison needs two sides.",
            where="arms",
            next_step="Name a run, or two files of answers, or a file and a model.",
        )
    if len(named) > MOST_ARMS:
        raise SettingError(
            f"{len(named)} arms are too many to be rated by people.", where="arms", next_step=f"Choose up to {MOST_ARMS}."
        )
    seen: set[tuple[str, ...]] = set()
    for one in named:
        same = (one.wire_name,) if one.kind in ("base", "model") else (one.path, one.digest)
        if same in seen:
            raise SettingError(f"{one.label} takes part already.", where="arms", next_step="Name each arm once.")
        seen.add(same)
    return named


def tuned_model(at: Desk, run_id: str) -> tuple[RunRow, Recipe, Model]:
    """A run that can be asked here, sealed. Raises as ``arms_of``."""
    run = at.store.runs.get(run_id, at.owner)
    require_result(at.store, run)
    recipe = Recipe.from_json(run.recipe_json)
    model = models.get(recipe.model)
    require_place(at.settings, model)
    return run, recipe, model


def steps_of(at: Desk, run_id: str) -> tuple[Checkpoint, ...]:
    """The checkpoints of a run's last stage that can answer, besides its result, oldest first.

    Raises ``NotFoundError`` when the run is not this owner's.
    """
    run = at.store.runs.get(run_id, at.owner)
    recipe = Recipe.from_json(run.recipe_json)
    rows = data.load(at.settings.datasets / checked_id(run.dataset_id)).train.rows
    per_pass = stages.length(recipe, stages.of(recipe)[-1], rows).per_pass
    found = checkpoints.known(at.settings.runs / checked_id(run.id), per_pass)
    return tuple(one for one in found if one.sampler_path not in ("", run.sampler_path) and not one.final)


def require_result(store: Store, run: RunRow) -> None:
    """Raise ``RunError`` when a run is still at work, or left no model."""
    job = store.jobs.get(run.id)
    if not job.ended:
        raise RunError(f"This run is still {job.status}.", where=run.name, next_step="Wait until it has finished.")
    if not run.sampler_path:
        raise RunError(
            f"This run is {job.status} and left no model that could answer.",
            where=run.name,
            next_step="Resume it, or start a new run.",
        )


def require_place(settings: Settings, model: Model) -> None:
    """Raise ``NotFoundError`` when a model does not run where this studio works."""
    if model not in models.catalogue(settings):
        raise NotFoundError(
            f"{model.label} does not run where this studio is set to work.",
            where=settings.place,
            next_step="Start the studio with the settings that this run was trained with.",
        )


def require_sealed(at: Desk, run: RunRow, dataset: Dataset | None = None) -> RunRow:
    """The run with a seal. Raises ``RunError`` when nothing says what it was trained on."""
    if run.seal and dataset is None:
        return run
    found = dataset or data.load(at.settings.datasets / checked_id(run.dataset_id))
    return seal.sealed(at.settings, at.store, run, found)[0]


def _checkpoint(at: Desk, first: Sequence[ArmPlan], step: int) -> ArmPlan:
    tuned = next((arm for arm in first if arm.name == "tuned"), None)
    if tuned is None:
        raise SettingError("A checkpoint belongs to a run.", where="checkpoint", next_step="Name the run as well.")
    known = steps_of(at, tuned.run_id)
    found = next((one for one in known if one.step == step), None)
    if found is None:
        steps = ", ".join(str(one.step) for one in known)
        raise NotFoundError(
            f"There is no checkpoint of step {step:,} that could answer.",
            where=tuned.label,
            next_step=f"Choose one of: {steps}." if steps else "This run kept no checkpoint besides its result.",
        )
    return replace(
        tuned,
        name=f"step-{step}",
        kind="checkpoint",
        label=f"{tuned.label}, step {step:,}",
        path=found.sampler_path,
        step=step,
    )


def _other_run(at: Desk, run_id: str) -> ArmPlan:
    run, recipe, model = tuned_model(at, run_id)
    run = require_sealed(at, run)
    arm = ArmPlan("", "run", run.name, model.name, model.wire_name, recipe.renderer, run.sampler_path)
    return replace(arm, run_id=run.id, run_seal=run.seal)


def _model(settings: Settings, name: str) -> ArmPlan:
    model = models.get(name)
    require_place(settings, model)
    return ArmPlan("", "model", model.label, model.name, model.wire_name, model.renderer)


def _named(arms: Sequence[ArmPlan]) -> tuple[ArmPlan, ...]:
    """The arms with neutral names, each once, and labels that differ."""
    counts = {"run": 1, "model": 0, "imported": 0}  # the first run is called tuned
    words = {"run": "run", "model": "model", "imported": "file"}
    found: list[ArmPlan] = []
    for arm in arms:
        name = arm.name
        if not name:
            counts[arm.kind] += 1
            name = f"{words[arm.kind]}-{counts[arm.kind]}"
        label = arm.label
        if label in {one.label for one in found}:
            label = f"{label} ({arm.run_id or name})"
        found.append(replace(arm, name=name, label=label))
    return tuple(found)
