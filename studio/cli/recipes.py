"""``recipe``: the cookbook's own recipes (games, tasks of several turns), listed and run under the studio's supervision.

Guarantees: without a name nothing is started; what a recipe needs beside the model is said in the list; a run of one shows in
the same pages as every run, and ``stop`` and ``resume`` work on it.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from studio import models
from studio.cli.output import Output
from studio.cli.training import stay
from studio.errors import SettingError
from studio.runs import cookbook_recipes
from studio.settings import Settings
from studio.store import Store


def recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """``recipe [NAME] [--model NAME] [--max-steps N] [--set NAME=VALUE …]``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the recipe to run; without one they are listed")
    parser.add_argument("--model", default="nano", help="the model to train")
    parser.add_argument("--max-steps", type=int, metavar="N", help="stop after N steps")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the recipe's own; repeat for several"
    )


def recipe(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """List the recipes, or start one and stay until it has ended."""
    if asked.name is None:
        rows: list[dict[str, Any]] = [asdict(one) for one in cookbook_recipes.RECIPES]
        output.result(
            [{"name": row["name"], "what": row["what"], "method": row["method"], "needs": row["needs"]} for row in rows]
        )
        output.table(
            ["recipe", "what it trains", "needs"], [(row["name"], row["what"], row["needs"] or "nothing else") for row in rows]
        )
        return 0
    chosen, model = cookbook_recipes.recipe(asked.name), models.get(asked.model)
    store = Store(settings.database)
    try:
        run = cookbook_recipes.create_run(settings, store, chosen, model, changes=_changes(asked), owner=settings.owner)
        output.say(f"Run {run.id}: {chosen.what.lower()}, with {model.name}.")
        return stay(settings, store, run.id, output)
    finally:
        store.close()


def _changes(asked: argparse.Namespace) -> dict[str, str]:
    texts: list[str] = asked.set
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not equals or not name.strip().isidentifier():
            raise SettingError(
                f"{name!r} does not name a setting.", where="--set", next_step="Write it as learning_rate=0.001."
            )
    found = {name.strip(): value for name, _, value in pairs}
    return found if asked.max_steps is None else {**found, "max_steps": str(asked.max_steps)}
