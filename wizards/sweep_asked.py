"""What a visitor asks a sweep to try, as the page's address says it, and what that means for the present settings.

Guarantees: nothing is read or written; any address makes an ``Asked``, and ``Asked.from_query(asked.to_query()) == asked``;
what is typed is read by the one reader that the terminal uses, and what is wrong with it stands at its field; without a plan
that can be carried out there is nothing to start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self, get_args
from urllib.parse import parse_qsl, urlencode

from studio.errors import SettingError
from studio.recipe import DataFacts, FieldSpec, Recipe, Value, spec_of
from studio.store import new_id
from studio.sweeps import plan as plans
from studio.sweeps import price
from studio.sweeps.plan import DEFAULT_TRIALS, MOST_AXES, PROBE_STEPS, Kind, Plan
from studio.sweeps.price import SweepCost
from wizards.draft import Draft, Pairs

ADDRESS: Final = "/sweeps"
_ID: Final = re.compile(r"swp-[0-9a-z]{6,40}")
_KINDS: Final[Mapping[str, Kind]] = {each: each for each in get_args(Kind)}
#: An address is short; anything longer was not written by us.
_LONGEST: Final = 1_000
#: Where the terminal's words for a place differ from the page's. What belongs to no field stands above them all.
_PLACES: Final = {"--trials": "trials", "--max-cost": "most", "--over": ""}


@dataclass(frozen=True, slots=True)
class Asked:
    """A sweep that is being put together.

    ``draft`` holds the settings that all trials share; ``id`` is the id that the sweep will have, so that two presses make one.
    ``over`` are settings and the values typed for them; ``trials``, ``most`` (US dollars) and ``steps`` (of each run of a
    probe) are as typed. ``keep_all``: no trial is stopped early.
    """

    draft: Draft = field(default_factory=lambda: Draft("settings"))
    id: str = ""
    kind: Kind = "grid"
    over: Pairs = ()
    trials: str = str(DEFAULT_TRIALS)
    most: str = ""
    steps: str = str(PROBE_STEPS)
    keep_all: bool = False

    def to_query(self) -> str:
        """The address of this page, without the question mark."""
        own = [("new", self.id), ("search", self.kind)]
        own += [("over", f"{name}:{text}") for name, text in self.over]
        own += [(name, getattr(self, name)) for name in ("trials", "most", "steps") if getattr(self, name) != _USUAL[name]]
        own += [("keep", "all")] if self.keep_all else []
        return f"{self.draft.to_query()}&{urlencode(own)}"

    @classmethod
    def from_query(cls, query: str) -> Self:
        """Read an address back. Without an id it gets a new one; unknown or broken parts are ignored."""
        known: dict[str, str] = {}
        over: list[tuple[str, str]] = []
        for key, value in parse_qsl(query.removeprefix("?"), keep_blank_values=True, max_num_fields=200):
            if len(value) > _LONGEST:
                continue
            name, colon, text = value.partition(":")
            if key == "over" and colon and name not in dict(over):
                over.append((name, text))
            elif key != "over":
                known[key] = value
        ident = known.get("new", "")
        return cls(
            Draft.from_query(query).at("settings"),
            ident if _ID.fullmatch(ident) else new_id("swp"),
            _KINDS.get(known.get("search", ""), "grid"),
            tuple(over),
            known.get("trials", _USUAL["trials"]),
            known.get("most", _USUAL["most"]),
            known.get("steps", _USUAL["steps"]),
            known.get("keep") == "all",
        )

    @property
    def href(self) -> str:
        """The whole address."""
        return f"{ADDRESS}?{self.to_query()}"

    def values(self, name: str) -> str | None:
        """What is typed for a setting; ``None`` while it is not varied."""
        return dict(self.over).get(name)

    def with_values(self, name: str, text: str | None) -> Self:
        """With other values for one setting, in its place; ``None`` varies it no more."""
        if text is None:
            return replace(self, over=tuple(pair for pair in self.over if pair[0] != name))
        if self.values(name) is None:
            return replace(self, over=(*self.over, (name, text)))
        return replace(self, over=tuple((name, text) if pair[0] == name else pair for pair in self.over))


_USUAL: Final = {"trials": str(DEFAULT_TRIALS), "most": "", "steps": str(PROBE_STEPS)}


def probe_href(draft: Draft) -> str:
    """Where the learning rate of this draft is found."""
    return Asked(draft.at("settings"), new_id("swp"), "probe").href


def sweep_href(draft: Draft, recipe: Recipe) -> str:
    """Where several settings of this draft are tried; the learning rate is varied to begin with."""
    first = spec_of("learning_rate")
    over = ((first.name, around(first, recipe.learning_rate, "grid")),)
    return Asked(draft.at("settings"), new_id("swp"), over=over).href


def view_href(sweep_id: str) -> str:
    """Where a sweep that exists is shown."""
    return f"{ADDRESS}?{urlencode({'sweep': sweep_id})}"


# --- values to begin with --------------------------------------------------------------------------------------------------


def around(spec: FieldSpec, value: Value, kind: Kind) -> str:
    """Values around the present one that are worth trying, as a person would type them."""
    if spec.kind == "choice":
        return ", ".join(choice for choice, _ in spec.choices)
    if not isinstance(value, (int, float)):
        return ""
    if spec.name == "seed":
        return ", ".join(str(int(value) + more) for more in range(3))
    share = spec.kind == "number" and spec.above is None and spec.high < 1
    ranged = kind == "tpe" and value > 0 and not share
    if share:
        numbers = [1 - (1 - value) * 3, float(value), 1 - (1 - value) / 3]
    elif spec.kind == "number":
        numbers = [value / 10, value * 10] if ranged else [value / 3, value, value * 3]
    elif ranged:
        numbers = [max(1, int(value) // 4), int(value) * 4]
    else:
        numbers = [int(value) // 2, int(value), int(value) * 2 or 1]
    fit = dict.fromkeys(min(max(_tidy(spec, number), spec.low), spec.high) for number in numbers)
    shown = [f"{number:.10g}" for number in fit if spec.above is None or number > spec.above]
    return ("..".join(shown) if ranged and len(shown) == 2 else ", ".join(shown)) or spec.show(value)


def _tidy(spec: FieldSpec, number: float) -> float:
    return int(number) if spec.kind == "whole" else float(f"{number:.3g}")


def searched(asked: Asked, recipe: Recipe, kind: Kind) -> Asked:
    """With another way to search. Values that nobody has touched follow: a grid takes single ones, TPE also takes ranges."""
    if kind == asked.kind:
        return asked
    specs = {spec.name: spec for spec in plans.variable(recipe)}
    for name, text in asked.over:
        spec = specs.get(name)
        if spec is not None and (text == around(spec, getattr(recipe, name), asked.kind) or ".." in text):
            asked = asked.with_values(name, around(spec, getattr(recipe, name), kind))
    return replace(asked, kind=kind)


# --- what it means ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reading:
    """What was asked for: a plan that can be carried out with its cost, or what is in the way.

    ``problems`` is by field (a setting's name, ``trials``, ``most``, ``steps``), with the empty name for what belongs to none.
    """

    plan: Plan | None = None
    cost: SweepCost | None = None
    problems: Mapping[str, str] = field(default_factory=dict[str, str])


def read(asked: Asked, recipe: Recipe, facts: DataFacts, home: Path | None = None) -> Reading:
    """Read what was typed, check it against the data, and price it."""
    problems: dict[str, str] = {}
    plan = _probe(asked, recipe, problems) if asked.kind == "probe" else _plan(asked, recipe, problems)
    if plan is None or problems:
        return Reading(problems=problems)
    try:
        plans.check(plan, facts)
        cost = price.of_sweep(plan, facts, home)
        price.check(plan, facts, home)
    except SettingError as error:
        ours = {axis.name for axis in plan.axes} | {"trials", "most", "steps"}
        place = _PLACES.get(error.where, error.where)
        return Reading(problems={place if place in ours else "": f"{error.what} {error.next_step}".strip()})
    return Reading(plan, cost)


def _probe(asked: Asked, recipe: Recipe, problems: dict[str, str]) -> Plan | None:
    steps = _whole(asked.steps, "steps", problems)
    most = _dollars(asked.most, problems)
    if problems or steps is None:
        return None
    try:
        return plans.probe(recipe, steps, max_cost=most)
    except SettingError as error:
        problems["steps"] = error.what
        return None


def _plan(asked: Asked, recipe: Recipe, problems: dict[str, str]) -> Plan | None:
    ours = {spec.name for spec in plans.variable(recipe)}
    axes: list[plans.Axis] = []
    for name, text in asked.over:
        if name not in ours:
            continue
        if not text.strip():
            problems[name] = "Enter at least one value."
            continue
        try:
            axes.append(plans.parse_axis(f"{name}={text.strip().strip(',')}"))
        except SettingError as error:
            problems[name] = f"{error.what} {error.next_step}".strip()
    trials, most = _whole(asked.trials, "trials", problems), _dollars(asked.most, problems)
    if len(axes) > MOST_AXES:
        problems[""] = f"At most {MOST_AXES} settings can be varied at once. Leave the others as they are."
    if problems or trials is None or not axes:
        return None
    return Plan(asked.kind, recipe, tuple(axes), trials, most, prune=not asked.keep_all, seed=recipe.seed)


def _whole(text: str, name: str, problems: dict[str, str]) -> int | None:
    try:
        return int(text.strip().replace(",", ""))
    except ValueError:
        problems[name] = f"{text.strip()!r} is not a whole number." if text.strip() else "Enter a whole number."
        return None


def _dollars(text: str, problems: dict[str, str]) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text.strip().replace(",", "").removeprefix("$"))
    except ValueError:
        problems["most"] = f"{text.strip()!r} is not an amount of US dollars."
        return None
