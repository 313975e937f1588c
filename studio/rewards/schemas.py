"""JSON Schemas from people, on JSON from models.

Guarantees: a schema is checked when it is read; nothing is fetched; references inside the schema are written out once, and one
that leads back to itself is refused; a check ends within ``SECONDS``, and patterns in it are searched as ``patterns`` does; a
check that did not end is a failure and never "does not fit".
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from jsonschema import Draft202012Validator, SchemaError, ValidationError, validators

from studio.rewards.kinds import RewardError
from studio.rewards.patterns import compiled, search

#: Processor time that checking one answer may take, in seconds: a busy machine is no fault of a schema.
SECONDS: Final = 0.5
#: Values of a schema after its references are written out.
_MOST_VALUES: Final = 5_000
_FORBIDDEN: Final = (
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "$dynamicAnchor",
    "$id",
    "unevaluatedProperties",
    "unevaluatedItems",
)
_LITERAL: Final = frozenset({"const", "enum", "default", "examples"})
_HOLDERS: Final = ("$defs", "definitions")


class _Clock(threading.local):
    """When the check that this thread is at has to end."""

    ends: float = 0.0


_clock: Final = _Clock()


class Checker(Protocol):
    """A schema made ready."""

    def iter_errors(self, instance: object) -> Iterator[ValidationError]:
        """What does not fit, the first fault first."""
        ...


@lru_cache(maxsize=64)
def checker(text: str) -> Checker:
    """The schema in this text (JSON), made ready. Raises ``RewardError`` when it is none or could take for ever."""
    try:
        schema = cast(object, json.loads(text))
    except (ValueError, RecursionError) as error:
        raise _refused(f"This is no JSON: {error}.", "Check its brackets and quotes.") from None
    if not isinstance(schema, dict):
        raise _refused("A JSON Schema is an object.", 'Begin with {"type": "object", …}.')
    whole = cast("dict[str, Any]", schema)
    flat = _WrittenOut(whole).value(whole, ())
    try:
        Draft202012Validator.check_schema(cast("dict[str, Any]", flat))
    except SchemaError as error:
        place = "/".join(str(step) for step in error.absolute_path)
        raise _refused(f"This is no JSON Schema: {error.message[:200]} (at {place or 'the top'}).") from None
    except RecursionError:
        raise _refused("This schema is nested too deeply.") from None
    return _Guarded(flat)


def fault(text: str, value: object) -> str:
    """What is wrong with ``value`` under this schema, in one sentence; empty when it fits.

    Raises ``RewardError`` when finding out takes longer than ``SECONDS``.
    """
    found = checker(text)
    _clock.ends = time.thread_time() + SECONDS
    try:
        first = next(iter(found.iter_errors(value)), None)
    except RecursionError:
        raise RewardError("The answer is nested too deeply to be checked.", where="schema") from None
    except (ArithmeticError, ValueError):
        # The schema's own numbers were checked when it was read.
        return "the whole: it has a number that is too large"
    if first is None:
        return ""
    place = ".".join(str(step) for step in first.absolute_path)
    return f"{place or 'the whole'}: {first.message[:200]}"


class _Descends(Protocol):
    """What jsonschema hands to a keyword's function."""

    def descend(
        self, instance: object, schema: object, path: object = None, schema_path: object = None
    ) -> Iterator[ValidationError]:
        """Check a part by a part of the schema."""
        ...


class _WrittenOut:
    """Puts what ``$ref`` names in its place."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self._whole = whole
        self._left = _MOST_VALUES

    def value(self, found: object, inside: tuple[str, ...]) -> object:
        """``found`` without references; ``inside`` are the references on the way to it."""
        self._left -= 1
        if self._left < 0:
            raise _refused("This schema stands for far too many rules.", "Write it shorter.")
        if isinstance(found, list):
            return [self.value(each, inside) for each in cast("list[Any]", found)]
        if not isinstance(found, dict):
            return found
        entries = cast("dict[str, Any]", found)
        # What a person calls a property is never a keyword; only a text can be a reference.
        name = entries.get("$ref")
        if isinstance(name, str):
            rest = {key: each for key, each in entries.items() if key != "$ref"}
            target = self._target(name, inside)
            return target if not rest else {"allOf": [target, self.value(rest, inside)]}
        if banned := next((key for key in _FORBIDDEN if isinstance(entries.get(key), str | bool | dict)), None):
            raise _refused(f"{banned} is not supported here.", "Leave it out, or use $defs and $ref.")
        self._require_patterns(entries)
        self._require_number(entries.get("multipleOf"))
        return {
            key: each if key in _LITERAL else self.value(each, inside) for key, each in entries.items() if key not in _HOLDERS
        }

    def _require_patterns(self, entries: Mapping[str, Any]) -> None:
        """A pattern that is none is the schema's fault, and is said before any answer comes."""
        below = entries.get("patternProperties")
        patterns = [*([entries["pattern"]] if "pattern" in entries else []), *(below if isinstance(below, dict) else [])]
        for pattern in patterns:
            if isinstance(pattern, str):
                compiled(pattern)

    def _require_number(self, step: object) -> None:
        """A step that no number can be divided by is the schema's fault, too."""
        if not isinstance(step, int | float):
            return
        try:
            finite = math.isfinite(step)
        except OverflowError:
            finite = False
        if not finite:
            raise _refused("A multipleOf in it is too large.", "Write a smaller number.")

    def _target(self, name: str, inside: tuple[str, ...]) -> object:
        holder, _, rest = name.removeprefix("#/").partition("/")
        found = cast("dict[str, Any]", self._whole.get(holder) or {})
        if not name.startswith("#/") or holder not in _HOLDERS or rest not in found:
            raise _refused(f"{name!r} leads nowhere inside this schema.", "Refer to #/$defs/NAME only.")
        if name in inside:
            raise _refused(f"{name!r} leads back to itself.", "Write out as many levels as you need.")
        return self.value(found[rest], (*inside, name))


def _pattern(_: object, pattern: object, instance: object, schema: object) -> Iterator[ValidationError]:
    del schema
    if isinstance(instance, str) and isinstance(pattern, str) and search(compiled(pattern), instance) is None:
        yield ValidationError(f"{instance[:80]!r} does not match {pattern!r}")


def _pattern_properties(validator: _Descends, patterns: object, instance: object, schema: object) -> Iterator[ValidationError]:
    del schema
    if not isinstance(instance, dict):
        return
    for pattern, below in cast("dict[str, Any]", patterns).items():
        found = compiled(pattern)
        for name, value in cast("dict[str, Any]", instance).items():
            if search(found, name) is not None:
                yield from validator.descend(value, below, path=name, schema_path=pattern)


def _additional(validator: _Descends, wanted: object, instance: object, schema: object) -> Iterator[ValidationError]:
    if not isinstance(instance, dict) or not isinstance(schema, dict):
        return
    whole = cast("dict[str, Any]", schema)
    known: Mapping[str, Any] = whole.get("properties", {})
    patterns = [compiled(pattern) for pattern in whole.get("patternProperties", {})]
    for name, value in cast("dict[str, Any]", instance).items():
        if name in known or any(search(pattern, name) is not None for pattern in patterns):
            continue
        if wanted is False:
            yield ValidationError(f"{name[:80]!r} is not asked for")
        elif isinstance(wanted, dict):
            yield from validator.descend(value, wanted, path=name)


def _unique(_: object, wanted: object, instance: object, schema: object) -> Iterator[ValidationError]:
    del schema
    if wanted is True and isinstance(instance, list):
        items = cast("list[object]", instance)
        # The library compares each with each where they cannot be sorted.
        if len({json.dumps(item, sort_keys=True) for item in items}) < len(items):
            yield ValidationError("there are equal items")


_Keyword = Callable[[Any, Any, Any, Any], Iterable[ValidationError] | None]


def _timed(keyword: _Keyword) -> _Keyword:
    """The keyword, unless the time is over."""

    def checked(validator: object, value: object, instance: object, schema: object) -> Iterable[ValidationError] | None:
        if time.thread_time() > _clock.ends:
            raise RewardError("Checking this schema takes too long.", where="schema", next_step="Make it simpler.")
        return keyword(validator, value, instance, schema)

    return checked


#: Formats are not checked (as the standard has it); patterns are searched within a time limit, as everything else is checked.
_Guarded: Final = validators.extend(
    Draft202012Validator,
    {
        name: _timed(keyword)
        for name, keyword in {
            **cast("Mapping[str, _Keyword]", Draft202012Validator.VALIDATORS),
            "pattern": _pattern,
            "patternProperties": _pattern_properties,
            "additionalProperties": _additional,
            "uniqueItems": _unique,
        }.items()
    },
)


def _refused(what: str, next_step: str = "Check it with the page json-schema.org.") -> RewardError:
    return RewardError(what, where="schema", next_step=next_step)
