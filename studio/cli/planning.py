"""``tree`` and ``recommend``: which method, with which settings, and what it will cost; before anything is trained.

Guarantees: neither verb keeps a copy of the file; ``recommend --json`` gives every setting as value, reason, source and badge;
tokens are called counted only where the model's own tokenizer counted them.
"""

from __future__ import annotations

import argparse
import typing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio import methods, models, recipe, tokens
from studio import samples as shipped
from studio.cli.data import method_arguments, reading_argument, reading_of, scratch, take_in
from studio.cli.output import Output
from studio.data import Dataset
from studio.models import Model
from studio.recipe import DataFacts, Dial, Distillation, Recommendation
from studio.recipe.cost import Cost, estimate
from studio.rewards import to_json
from studio.rewards.of_data import suggested
from studio.settings import Settings
from studio.store import Store


def tree_arguments(parser: argparse.ArgumentParser) -> None:
    """``tree [--json]``."""
    del parser


def tree(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Print the decision tree: the questions with their answers, where each leads, and what each method needs."""
    del asked, settings
    output.result(methods.document())
    for question in methods.QUESTIONS.values():
        output.say(f"{question.id}: {question.title}")
        for choice in question.choices:
            output.say(f"  {choice.label:42} -> {choice.next}")
        output.say()
    rows = [(one.id, one.method or "none", one.title, f"because {one.because}") for one in methods.ENDINGS.values()]
    output.table(["ending", "method", "what", "why"], rows)
    output.say()
    told = [(m.id, m.name, f"{m.minimum:,} / {m.recommended:,} {m.unit}", m.when, m.cost) for m in methods.METHODS]
    output.table(["method", "name", "least / better", "when", "what it costs"], told)
    return 0


def recommend_arguments(parser: argparse.ArgumentParser) -> None:
    """``recommend FILE|--sample NAME --method M --model NAME [--dial D] [--distillation K] [--budget USD] [--count]``."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", type=Path, nargs="?", metavar="FILE", help="CSV, JSON, JSON lines or Parquet")
    source.add_argument("--sample", metavar="NAME", help="a sample data set instead of a file; `samples` lists them")
    method_arguments(parser)
    parser.add_argument("--dial", choices=typing.get_args(Dial), default="standard", help="how much is wanted of the run")
    parser.add_argument(
        "--distillation", choices=typing.get_args(Distillation), default="prompt", help="what distillation passes on"
    )
    parser.add_argument("--budget", type=float, metavar="USD", help="the most that the run may cost")
    parser.add_argument("--count", action="store_true", help="count the tokens with the model's own tokenizer first")
    reading_argument(parser)


def recommend(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Recommend every setting for this file, with reason, source and badge, and say what it will cost. Keeps nothing."""
    model = models.get(asked.model)
    with scratch(settings) as aside:
        store = Store(aside.database)
        try:
            file = shipped.sample(asked.sample).file if asked.sample is not None else asked.file
            dataset = take_in(aside, store, file, reading_of(asked), method=asked.method, in_place=True)[1]
        finally:
            store.close()
        facts = recipe.facts_of(dataset)
        if asked.count:
            facts = _counted(dataset, facts, model)
        reward = to_json(suggested(dataset.train.path).reward) if _has_something_to_go_by(asked.method, facts) else ""
    found = recipe.recommend(
        facts, model, asked.method,
        dial=asked.dial, budget=asked.budget, distillation=asked.distillation, reward=reward,
    )  # fmt: skip
    cost = estimate(found.recipe, facts, model, settings.home)
    output.result(_document(found, facts, cost))
    _say(found, cost, output)
    return 0


def _counted(dataset: Dataset, facts: DataFacts, model: Model) -> DataFacts:
    """The facts with tokens counted by the model's own tokenizer. Without one at hand they stay estimates."""
    tokens.profile(dataset, model)
    return tokens.with_tokens(facts, dataset, model)


def _has_something_to_go_by(method: str, facts: DataFacts) -> bool:
    return method == "rl" and (facts.has_reference or facts.has_reward_name)


def _document(found: Recommendation, facts: DataFacts, cost: Cost | None) -> dict[str, Any]:
    return {
        "recipe": found.recipe.to_dict(),
        "yaml": found.recipe.to_yaml(),
        "settings": [asdict(setting) for setting in found.settings],
        "badge": found.badge,
        "badge_reason": found.badge_reason,
        "dial": found.dial,
        "asks": list(found.asks),
        "steps": found.steps,
        "minutes_estimate": found.minutes_estimate,
        "cost": None if cost is None else asdict(cost),
        "facts": asdict(facts),
    }


def _say(found: Recommendation, cost: Cost | None, output: Output) -> None:
    """The recommendation for a person."""
    rows = [(s.label, _short(s.text), s.badge, s.reason, s.source) for s in found.settings]
    output.table(["setting", "value", "trust", "why", "source"], rows)
    output.say(f"\nLearning rate: {found.badge}. {found.badge_reason}")
    output.say(f"{found.steps} steps, {recipe.about(found.minutes_estimate)}.")
    output.say(cost.sentence if cost is not None else "What it costs cannot be said: nothing is known about the lengths.")
    for name in found.asks:
        output.say(f"Still to be said by you: {recipe.spec_of(name).label.lower()} (--set {name}=...).")


def _short(text: str) -> str:
    """A value in a table: empty ones are named, long ones shortened."""
    if not text:
        return "(none)"
    return text if len(text) <= 60 else f"{text[:57]}..."
