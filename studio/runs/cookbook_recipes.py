"""The cookbook's own recipes (games, tasks of several turns, tools), run as they are under our supervision.

Guarantees: what runs is the recipe's own program, unmodified, with its own settings; it logs into the run's folder, so that
its numbers show where every run's do; it is started, stopped and resumed like any run, and goes on from the last checkpoint
that the recipe itself saved. What a recipe needs beside the model (data from the Hub, another package, a service) is said
before it starts.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

from studio import models
from studio.errors import NotFoundError, RunError, SettingError
from studio.models import Model
from studio.recipe import Recipe
from studio.runs import checkpoints, files, stages
from studio.runs.desk import Desk, StopAsked
from studio.runs.environment import settle_down
from studio.runs.metrics import MetricsFile
from studio.runs.stages import Stage
from studio.settings import Settings
from studio.store import RunRow, Store, checked_id, new_id

_PACKAGE: Final = "tinker_cookbook.recipes"
#: What is asked for, in the run's folder: which recipe, and its own settings.
_ASKED: Final = "cookbook.json"
_SAVE_EVERY: Final = 10


@dataclass(frozen=True, slots=True)
class CookbookRecipe:
    """One recipe: ``module`` inside the cookbook's recipes, ``settings`` that choose a variant, ``packages`` it imports.

    ``needs`` says what else it takes, empty for a recipe that runs on the embedded engine without a network. ``saves`` says
    whether it has settings for checkpoints on the way.
    """

    name: str
    what: str
    module: str
    method: str = "rl"
    settings: tuple[tuple[str, str], ...] = ()
    needs: str = ""
    packages: tuple[str, ...] = ()
    saves: bool = True


_HUB: Final = "data from the Hugging Face Hub"
_MATH: Final = ("sympy", "pylatexenc", "math_verify")
RECIPES: Final = (
    CookbookRecipe("guess_number", "A game of several turns: find a number by guessing", "multiplayer_rl.guess_number.train"),
    CookbookRecipe("shorter", "Answers compared in pairs: the shorter one wins", "preference.shorter.train", saves=False),
    CookbookRecipe(
        "twenty_questions",
        "A game of several turns against another model: find a word by asking",
        "multiplayer_rl.twenty_questions.train",
        needs="a second model that answers, on hosted Tinker",
    ),
    CookbookRecipe(
        "tic_tac_toe",
        "A game of two players, both of them the model",
        "multiplayer_rl.text_arena.train",
        needs="the package textarena",
        packages=("textarena",),
    ),
    CookbookRecipe(
        "arithmetic",
        "Sums with a reward for the right number",
        "math_rl.train",
        settings=(("env", "arithmetic"),),
        needs="the packages sympy, pylatexenc and math-verify",
        packages=_MATH,
    ),
    CookbookRecipe(
        "gsm8k",
        "School mathematics",
        "math_rl.train",
        settings=(("env", "gsm8k"),),
        needs=f"{_HUB}, and the packages sympy, pylatexenc and math-verify",
        packages=_MATH,
    ),
    CookbookRecipe("chat_sl", "Supervised learning on public conversations", "chat_sl.train", method="sl", needs=_HUB),
    CookbookRecipe("dpo", "Preference training on public pairs", "preference.dpo.train", method="dpo", needs=_HUB),
    CookbookRecipe(
        "code_rl", "Programs that have to pass tests", "code_rl.train", needs=f"{_HUB}, and a sandbox service that runs code"
    ),
    CookbookRecipe(
        "search_tool",
        "Questions that are answered with a search tool",
        "search_tool.train",
        needs=f"{_HUB}, the package chromadb and a search index",
        packages=("chromadb",),
    ),
)


def recipe(name: str) -> CookbookRecipe:
    """The recipe called ``name``. Raises ``NotFoundError`` and names those there are."""
    for one in RECIPES:
        if one.name == name:
            return one
    raise NotFoundError(
        "There is no such recipe of the cookbook.",
        where=name,
        next_step=f"Choose one of: {', '.join(one.name for one in RECIPES)}.",
    )


def create_run(
    settings: Settings, store: Store, chosen: CookbookRecipe, model: Model, *, changes: Mapping[str, str], owner: str
) -> RunRow:
    """A new run of a recipe, with a queued job of the same id. ``changes`` are settings of the recipe's own, by name.

    Raises ``RunError`` when a package that it needs is missing, ``SettingError`` for a setting that is ours to decide.
    """
    missing = [name for name in chosen.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(
            f"This recipe needs {chosen.needs}.", where=chosen.name, next_step=f"Install it: pip install {' '.join(missing)}."
        )
    ours = {"model_name", "log_path", "behavior_if_log_dir_exists", "base_url"} & set(changes)
    if ours:
        raise SettingError("The studio decides this itself.", where=min(ours), next_step="Leave it out.")
    run_id = new_id("run")
    folder = settings.runs / checked_id(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"recipe": chosen.name, "settings": {**dict(chosen.settings), **changes}}
    (folder / _ASKED).write_text(json.dumps(asked, indent=1), "utf-8")
    _write_outline(folder, chosen, model)
    # A run belongs to a data set; this one brings its own, which we never see.
    dataset = store.datasets.add(
        new_id("dat"), owner=owner, name=f"Cookbook: {chosen.name}", rows=0, fingerprint="", manifest_json="{}"
    )
    return store.runs.add(
        owner=owner,
        name=f"Cookbook: {chosen.name}",
        dataset_id=dataset.id,
        method=chosen.method,
        model=model.name,
        # A reward that nobody can name in our words stays unsaid.
        recipe_json=json.dumps(
            {name: value for name, value in _shown(chosen, model, changes).to_dict().items() if value != ""}
        ),
        run_id=run_id,
    )


def asked_of(folder: Path) -> tuple[CookbookRecipe, Mapping[str, str]] | None:
    """The recipe that the run in ``folder`` is of, and its settings; ``None`` for a run of our own."""
    try:
        found = cast("dict[str, Any]", json.loads((folder / _ASKED).read_text("utf-8")))
    except FileNotFoundError:
        return None
    return recipe(found["recipe"]), cast("dict[str, str]", found["settings"])


def is_of_cookbook(folder: Path) -> bool:
    """Whether the run in ``folder`` is of a recipe of the cookbook: it brings its own data, and nothing is held out of it."""
    return (folder / _ASKED).is_file()


def work(desk: Desk, run: RunRow) -> None:
    """Run the recipe in this process to its end. Raises ``StopAsked``, ``RunError``, and what its program raises."""
    found = asked_of(desk.folder)
    if found is None:
        raise RunError("Nothing says which recipe this is.", where=run.id)
    chosen, settings = found
    model = models.get(run.model)
    settle_down(desk.settings, offline=model.local and not chosen.needs)
    from studio.runs.link import beside, connected

    with connected(desk, [model.name]) as link:
        models.register_with_cookbook()
        desk.phase("training")
        os.environ["TINKER_COOKBOOK_RUNS_DIR"] = str(desk.folder)
        arguments = _arguments(chosen, settings, model, desk.folder)
        desk.say(f"{_PACKAGE}.{chosen.module} {' '.join(arguments)}")
        try:
            beside(link, asyncio.to_thread(_program, chosen, arguments), check=_watching(desk))
        except StopAsked:
            raise StopAsked(_kept(desk.folder)) from None
        _record(desk)


def _program(chosen: CookbookRecipe, arguments: Sequence[str]) -> None:
    """The recipe's own program, as its command line would start it."""
    before = sys.argv
    sys.argv = [chosen.name, *arguments]
    try:
        runpy.run_module(f"{_PACKAGE}.{chosen.module}", run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            raise RunError(
                f"The recipe refused its settings: {end.code}", where=chosen.name, next_step="Start it with other settings."
            ) from end
    finally:
        sys.argv = before


def _arguments(chosen: CookbookRecipe, settings: Mapping[str, str], model: Model, folder: Path) -> list[str]:
    ours = {
        "model_name": model.wire_name,
        "log_path": str(folder),
        "behavior_if_log_dir_exists": "resume",
    }
    # Its own choice of renderer is for its own choice of model.
    theirs = {"renderer_name": model.renderer, **({"save_every": str(_SAVE_EVERY)} if chosen.saves else {}), **settings}
    return [f"{name}={value}" for name, value in {**theirs, **ours}.items()]


def _watching(desk: Desk) -> Callable[[], None]:
    metrics = MetricsFile(desk.folder / files.METRICS)

    def check() -> None:
        desk.check()
        if metrics.read():
            desk.progress(metrics.finished, 0)

    return check


def _kept(folder: Path) -> str:
    saved = checkpoints.known(folder, 1)
    return f"It is saved at step {saved[-1].step:,}." if saved else "The recipe had not saved anything yet."


def _record(desk: Desk) -> None:
    saved = checkpoints.known(desk.folder, 1)
    if saved:
        final = saved[-1]
        desk.store.runs.update(desk.job.id, checkpoint_path=final.state_path, sampler_path=final.sampler_path)
    metrics = MetricsFile(desk.folder / files.METRICS)
    metrics.read()
    last = {f"{name}_last": points[-1].value for name, points in metrics.all_series().items() if points}
    result = {"steps": metrics.finished, **last, "tokens": metrics.tokens}
    desk.store.runs.update(desk.job.id, result_json=json.dumps(result))
    desk.progress(metrics.finished, metrics.finished)


def _shown(chosen: CookbookRecipe, model: Model, changes: Mapping[str, str]) -> Recipe:
    """What a page may say of the run's settings. Those that a person changed; the rest is the recipe's own affair."""
    fields: dict[str, Any] = {
        "method": chosen.method,
        "model": model.name,
        "renderer": model.renderer,
        "learning_rate": changes.get("learning_rate", 1e-5),
        "lora_rank": changes.get("lora_rank", 32),
        "batch_size": changes.get("groups_per_batch", changes.get("batch_size", 32)),
        "epochs": 1,
        "eval_every": 0,
        "save_every": _SAVE_EVERY,
    }
    if "max_steps" in changes:
        fields["max_steps"] = changes["max_steps"]
    if chosen.method != "rl":
        fields |= {"lr_schedule": "linear", "max_length": 1024}
    if chosen.method == "sl":
        fields["train_on"] = "all_assistant_messages"
    return Recipe.from_dict(fields)


def _write_outline(folder: Path, chosen: CookbookRecipe, model: Model) -> None:
    # How many steps there will be is the recipe's own affair.
    rows = [{**asdict(Stage("train", chosen.what, "")), "total": 0}]
    record = {"method": chosen.method, "model": model.name, "stages": rows}
    (folder / stages.OUTLINE).write_text(json.dumps(record, indent=1), "utf-8")
