"""What a recipe names of other runs: where it starts from, whose judge it uses, who teaches it.

Guarantees: a named run must be the same owner's, must have left what is asked of it, and must fit; what it had left when the
new run was recorded is written down, so that whatever becomes of it, a resumed run begins at the same weights; everything that
it was trained on counts as known to the new one (``ancestors``). Nothing here starts or reads a model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from studio import models, rewards
from studio.errors import NotFoundError, SettingError
from studio.models import Model
from studio.recipe import Recipe
from studio.rewards import tree
from studio.runs import checkpoints, stages
from studio.runs.work import Start
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id

_STATE: Final = "tinker://"
_RUN: Final = "run-"
_FILE: Final = "sources.json"


@dataclass(frozen=True, slots=True)
class Named:
    """Where the weights are that a recipe names; a path is empty where it names none, or a model of the catalogue.

    ``teacher`` is the name of the model that teaches (of the base model, where a run does), empty where there is none.
    """

    start: Start
    judge_path: str = ""
    teacher_path: str = ""
    teacher: str = ""


def ancestors(recipe: Recipe) -> tuple[str, ...]:
    """The runs of this studio that a run of this recipe goes on from or learns from."""
    named = (recipe.start_from, recipe.judge, recipe.teacher)
    return tuple(dict.fromkeys(name for name in named if name.startswith(_RUN)))


def models_of(store: Store, recipe: Recipe, owner: str) -> tuple[Model, ...]:
    """Every model of the catalogue that a run of this recipe needs served, the tuned one first.

    Raises ``NotFoundError`` for a run or model that is not there.
    """
    names = [recipe.model]
    if recipe.judge:
        names.append(Recipe.from_json(store.runs.get(recipe.judge, owner).recipe_json).model)
    if recipe.teacher:
        names.append(_model_of(store, recipe.teacher, owner))
    if recipe.reward:
        every = tree.every(rewards.parse(recipe.reward))
        names += [one.judge for one in every if isinstance(one, rewards.Rules) and one.judge]
    return tuple(models.get(name) for name in dict.fromkeys(names))


def keep(folder: Path, named: Named) -> None:
    """Write down what was resolved, in the new run's folder. Raises ``OSError``."""
    draft = folder / f"{_FILE}.draft"
    draft.write_text(json.dumps(asdict(named), indent=1), "utf-8")
    draft.replace(folder / _FILE)


def kept(folder: Path) -> Named | None:
    """What ``keep`` wrote; ``None`` for a run that was recorded before recipes could name others."""
    try:
        found = cast("dict[str, Any]", json.loads((folder / _FILE).read_text("utf-8")))
    except FileNotFoundError:
        return None
    return Named(Start(**found["start"]), found["judge_path"], found["teacher_path"], found["teacher"])


def resolve(settings: Settings, store: Store, recipe: Recipe, owner: str) -> Named:
    """The weights that this recipe names. Raises ``SettingError`` at the field that names what cannot be used."""
    return Named(
        start=_start(store, recipe, owner),
        judge_path=_judge(settings, store, recipe, owner) if recipe.judge else "",
        teacher_path=_teacher(store, recipe, owner) if recipe.teacher.startswith(_RUN) else "",
        teacher=_model_of(store, recipe.teacher, owner) if recipe.teacher else "",
    )


def _start(store: Store, recipe: Recipe, owner: str) -> Start:
    name = recipe.start_from
    if not name or name.startswith(_STATE):
        return Start(name)
    run = _run(store, name, owner, "start_from")
    if not store.jobs.get(run.id).ended:
        raise SettingError(
            f"The run {run.name} is still at work.", where="start_from", next_step="Wait until it has ended, or stop it."
        )
    if not run.checkpoint_path:
        raise SettingError(
            f"The run {run.name} has not saved anything yet, so there is nothing to go on from.",
            where="start_from",
            next_step="Resume it, or choose another run.",
        )
    before = Recipe.from_json(run.recipe_json)
    if before.model != recipe.model:
        raise SettingError(
            f"The run {run.name} tuned {before.model}, and this recipe tunes {recipe.model}.",
            where="start_from",
            next_step=f"Choose {before.model} as the model, or another run to go on from.",
        )
    if before.lora_rank != recipe.lora_rank:
        raise SettingError(
            f"The run {run.name} has LoRA rank {before.lora_rank}, and a run that goes on from it keeps that.",
            where="lora_rank",
            next_step=f"Set it to {before.lora_rank}.",
        )
    return Start(run.checkpoint_path, run.sampler_path if _same_step(run) else "")


def _same_step(run: RunRow) -> bool:
    """Whether both paths of a run are of the same step: while it trains, only the state is saved each time."""
    return run.sampler_path.rpartition("/")[2] == run.checkpoint_path.rpartition("/")[2]


def _judge(settings: Settings, store: Store, recipe: Recipe, owner: str) -> str:
    run = _run(store, recipe.judge, owner, "judge")
    before = Recipe.from_json(run.recipe_json)
    if before.method == "rlhf" and before.judge:
        # It used an earlier run's judge itself.
        return _judge(settings, store, before, owner)
    stage = next((one for one in stages.of(before) if one.key == "judge"), None)
    folder = None if stage is None else stage.folder(settings.runs / checked_id(run.id))
    # The step does not matter for the last one, so neither does the length of a pass.
    found = checkpoints.known(folder, 1) if folder is not None else ()
    if not found or not found[-1].final or not found[-1].sampler_path:
        raise SettingError(
            f"The run {run.name} has no finished judge.",
            where="judge",
            next_step="Choose an RLHF run whose judge is trained, or leave this empty to train one.",
        )
    return found[-1].sampler_path


def _teacher(store: Store, recipe: Recipe, owner: str) -> str:
    run = _run(store, recipe.teacher, owner, "teacher")
    if not run.sampler_path:
        raise SettingError(
            f"The run {run.name} left no model that could teach.",
            where="teacher",
            next_step="Choose a run that is complete, or a model.",
        )
    return run.sampler_path


def _model_of(store: Store, teacher: str, owner: str) -> str:
    if not teacher.startswith(_RUN):
        return teacher
    return Recipe.from_json(_run(store, teacher, owner, "teacher").recipe_json).model


def _run(store: Store, run_id: str, owner: str, field: str) -> RunRow:
    try:
        return store.runs.get(run_id, owner)
    except NotFoundError as error:
        raise SettingError(
            f"There is no run {run_id!r}.", where=field, next_step="Choose one from the list of runs."
        ) from error
