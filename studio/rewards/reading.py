"""Rewards in and out: YAML, JSON and plain mappings.

Guarantees: ``parse(to_json(reward)) == reward`` for every reward; what is refused names the field and says what to do; no text,
however it is nested or repeats itself, takes more than a moment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from studio.rewards.kinds import DEEPEST, MOST_KINDS, JsonSchema, Regex, Reward, RewardError
from studio.rewards.patterns import compiled
from studio.rewards.schemas import checker
from studio.rewards.tree import depth, every

#: No reward that a person builds comes near this many characters or values.
_LONGEST: Final = 60_000
_MOST_VALUES: Final = 10_000
_DEEPEST_VALUES: Final = 60

#: The same in C, where PyYAML was built with it: ten times faster.
_LOADER: Final[type[yaml.SafeLoader | yaml.CSafeLoader]] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_READER: Final[TypeAdapter[Reward]] = TypeAdapter(Reward)

_SENTENCES: Final = {
    "missing": "This field is missing.",
    "extra_forbidden": "This kind of reward has no such field.",
    "string_type": "This must be text. In YAML, write it in quotes.",
    "string_too_short": "This is empty.",
    "int_type": "This must be a whole number.",
    "float_type": "This must be a number.",
    "bool_type": "This must be true or false.",
    "finite_number": "This must be a finite number.",
    "union_tag_not_found": "It does not say which kind of reward it is.",
}
_KINDS: Final = "exact, number, choice, contains, regex, json_schema, length, format, rules, python, column, sum"


def parse(given: str | Mapping[str, Any]) -> Reward:
    """The reward that this YAML text, JSON text or mapping describes. Raises ``RewardError`` with the field in ``where``."""
    value = _loaded(given) if isinstance(given, str) else dict(given)
    _require_small(value)
    if not isinstance(value, dict):
        raise RewardError("A reward is a mapping with a kind.", where="kind", next_step=f"Begin with one of these: {_KINDS}.")
    try:
        text = json.dumps(_prepared(value), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RewardError(
            "A value here is no text, number, list or mapping.", where="reward", next_step="Write dates and such in quotes."
        ) from error
    try:
        reward = _READER.validate_json(text)
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)[0]) from None
    _require_usable(reward)
    return reward


def to_mapping(reward: Reward) -> dict[str, Any]:
    """The reward as plain values, kind first, without what is left at its default. ``parse`` takes it back."""
    return _shortened(reward)


def to_json(reward: Reward) -> str:
    """The one text of this reward: equal rewards give equal text."""
    return json.dumps(_shortened(reward), ensure_ascii=False, separators=(",", ":"))


def to_yaml(reward: Reward) -> str:
    """The reward as people read and edit it."""
    return yaml.dump(_shortened(reward), Dumper=_Readable, sort_keys=False, allow_unicode=True, width=100)


class _Readable(yaml.SafeDumper):
    """Several lines of code stand as several lines."""


def _as_lines(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _as_lines)


def _loaded(text: str) -> object:
    if len(text) > _LONGEST:
        raise RewardError("This is far too long for a reward.", where="reward", next_step="Check that it is the right file.")
    if text.lstrip().startswith("{"):
        # Most of what is read was written by ``to_json``, and JSON is read a hundred times faster.
        with suppress(ValueError, RecursionError):
            return cast(object, json.loads(text))
    try:
        return cast(object, yaml.load(text, Loader=_LOADER))  # noqa: S506 - both loaders are the safe one
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else "reward"
        raise RewardError(
            f"This is no YAML: {error.problem or 'it cannot be read'}.", where=place, next_step="Check indents and quotes."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RewardError("This is no YAML.", where="reward", next_step="Check indents and quotes.") from error


def _prepared(value: object) -> object:
    """``value`` as a frozen reward holds it: named rewards as a list, a schema as its canonical text."""
    if isinstance(value, list | tuple):
        return [_prepared(each) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    made = cast("dict[str, Any]", value)
    schema, named = made.get("schema"), made.get("rewards")
    if made.get("kind") == "json_schema" and isinstance(schema, dict):
        text = json.dumps(schema, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return made | {"schema": text}
    if made.get("kind") == "column" and isinstance(named, dict):
        pairs = cast("dict[str, Any]", named).items()
        made = made | {"rewards": [{"name": name, "reward": reward} for name, reward in pairs]}
    return {name: _prepared(each) for name, each in made.items()}


def _require_small(value: object) -> None:
    """A few lines of YAML can stand for billions of values, or hold themselves."""
    left = _MOST_VALUES
    waiting: list[tuple[object, int]] = [(value, 0)]
    while waiting:
        found, level = waiting.pop()
        left -= 1
        if left < 0 or level > _DEEPEST_VALUES:
            raise RewardError(
                "This holds far more than a reward does.", where="reward", next_step="Leave out aliases and repetition."
            )
        if isinstance(found, Mapping):
            entries = cast("Mapping[object, object]", found)
            if not all(isinstance(key, str) for key in entries):
                raise RewardError("A field has a name that is no text.", where="reward", next_step="Write names in quotes.")
            waiting.extend((each, level + 1) for each in entries.values())
        elif isinstance(found, list | tuple):
            waiting.extend((each, level + 1) for each in cast("list[object]", found))


def _require_usable(reward: Reward) -> None:
    kinds = list(every(reward))
    if depth(reward) > DEEPEST or len(kinds) > MOST_KINDS:
        raise RewardError(
            f"Rewards may stand {DEEPEST} deep and be {MOST_KINDS} in all.", where="parts", next_step="Put fewer into it."
        )
    for each in kinds:
        if isinstance(each, Regex):
            _require_group(each)
        elif isinstance(each, JsonSchema) and each.schema_text:
            checker(each.schema_text)


def _require_group(reward: Regex) -> None:
    if reward.compare and compiled(reward.pattern, ignore_case=reward.ignore_case).groups < 1:
        raise RewardError(
            "There is no group to compare with the reference.",
            where="pattern",
            next_step="Put round brackets around what should be the same.",
        )
    compiled(reward.pattern, ignore_case=reward.ignore_case)


def _refusal(wrong: ErrorDetails) -> RewardError:
    where = ".".join(_fields(wrong["loc"])) or "reward"
    kind, context = wrong["type"], wrong.get("ctx", {})
    if kind == "union_tag_invalid":
        return RewardError(f"There is no kind {context.get('tag')!r}.", where="kind", next_step=f"Choose one of: {_KINDS}.")
    if kind == "value_error":
        return RewardError(str(context.get("error", wrong["msg"])), where=where)
    what = _SENTENCES.get(kind, f"This cannot work: {wrong['msg'][:1].lower()}{wrong['msg'][1:]}.")
    step = f"Say one of: {_KINDS}." if kind == "union_tag_not_found" else ""
    return RewardError(what, where="kind" if kind == "union_tag_not_found" else where, next_step=step)


def _fields(steps: Sequence[str | int]) -> Iterator[str]:
    """The way to a field as a person sees it: pydantic also names the kind of each reward that it enters."""
    enters = True
    for step in steps:
        if not (enters and step in _KINDS.split(", ")):
            yield str(step)
        enters = step in ("reward", "otherwise")


def _shortened(reward: Reward) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": reward.kind}
    values = reward.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return made | {name: value for name, value in values.items() if name != "kind"} | _nested_values(reward)


def _nested_values(reward: Reward) -> dict[str, Any]:
    """Fields that people write in another way than the value holds them."""
    match reward.kind:
        case "sum":
            return {"parts": [{"weight": part.weight, "reward": _shortened(part.reward)} for part in reward.parts]}
        case "column":
            made: dict[str, Any] = {}
            if reward.rewards:
                made["rewards"] = {named.name: _shortened(named.reward) for named in reward.rewards}
            if reward.otherwise is not None:
                made["otherwise"] = _shortened(reward.otherwise)
            return made
        case "json_schema":
            return {"schema": json.loads(reward.schema_text)} if reward.schema_text else {}
        case _:
            return {}
