"""Fields of a file that somebody else may have written: each is taken as what it has to be, or refused at its place.

Guarantees: every refusal is a ``DataError`` with the place (``items[3].choice``), the value in the file's own spelling, cut
short, and what to write instead; text that no file and no screen can hold (halves of characters) is refused as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final, cast

from studio.errors import DataError

SHAPE: Final = 'A vote file looks like {"items": [{"prompt_id", "rater", "choice", "tuned_side"}, …]}.'

# Beyond this a float no longer tells whole numbers apart.
_LARGEST: Final = 2**53


def mapping(value: object, where: str, what: str) -> Mapping[str, object]:
    """An object with text keys, as JSON has them. ``what`` says what is wrong otherwise."""
    if not isinstance(value, Mapping):
        raise DataError(what, where=where, next_step=SHAPE)
    return cast("Mapping[str, object]", value)


def optional_mapping(fields: Mapping[str, object], name: str, where: str = "") -> Mapping[str, object]:
    """The object under ``name``, empty when there is none."""
    value = fields.get(name)
    place = f"{where}.{name}" if where else name
    return {} if value is None else mapping(value, place, f"{shown(value)} is not an object.")


def list_of(fields: Mapping[str, object], name: str, where: str = "", *, needed: bool = False) -> Sequence[object]:
    """The list under ``name``; where it is not needed, it may be missing."""
    value = fields.get(name, None if needed else [])
    if not isinstance(value, list):
        what = "The list of votes is missing." if name == "items" and value is None else f"{shown(value)} is not a list."
        raise DataError(what, where=f"{where}{name}", next_step=SHAPE)
    return cast("list[object]", value)


def objects(fields: Mapping[str, object], name: str, where: str = "", *, needed: bool = False) -> list[Mapping[str, object]]:
    """The list of objects under ``name``."""
    what = "This vote is not an object." if name == "items" else "This is not an object."
    listed = list_of(fields, name, where, needed=needed)
    return [mapping(value, f"{where}{name}[{at}]", what) for at, value in enumerate(listed)]


def required(fields: Mapping[str, object], name: str, where: str) -> object:
    """The value under ``name``, which has to be there."""
    if name not in fields:
        raise DataError("This field is missing.", where=f"{where}.{name}", next_step=SHAPE)
    return fields[name]


def one_of(value: object, allowed: Sequence[str], where: str) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        few = [shown(word)[1:-1] for word in allowed[:8]]
        choices = f"{', '.join(few[:-1])} or {few[-1]}" if len(few) > 1 else few[0]
        raise DataError(f"{shown(value)} is not one of the choices.", where=where, next_step=f"Use {choices}.")
    return value


def identifier(value: object, where: str) -> str:
    """Text that names something, or a whole number as spreadsheets write it."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return str(value)
    if not isinstance(value, str) or not value.strip() or not _is_text(value):
        raise DataError(f"{shown(value)} cannot be an id.", where=where, next_step="Use text that is not empty.")
    return value


def text_of(fields: Mapping[str, object], name: str, where: str) -> str:
    """The text under ``name``, empty when there is none."""
    value = fields.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not _is_text(value):
        raise DataError(f"{shown(value)} is not text.", where=f"{where}.{name}")
    return value


def flag(fields: Mapping[str, object], name: str, where: str) -> bool:
    """Yes or no; no when it is not there."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise DataError(f"{shown(value)} is neither true nor false.", where=f"{where}.{name}")
    return value


def whole(value: object, where: str, *, least: int = 0) -> int:
    """A whole number of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < _LARGEST:
        what = "is not a number of prompts" if where.startswith("cap") else "is not a whole number"
        raise DataError(f"{shown(value)} {what}.", where=where, next_step=f"Use a whole number from {least}.")
    return value


def place(where: str, name: object) -> str:
    """``where.name``, for a name that comes from the file: short, on one line."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(name)[:40])
    return f"{where}.{text}"


def shown(value: object) -> str:
    """A value as an error may quote it: short, and in the file's own spelling."""
    if isinstance(value, list | Mapping):
        return "A list" if isinstance(value, list) else "An object"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "A number this long"
    text = json.dumps(value, ensure_ascii=not isinstance(value, str) or not _is_text(value), default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_text(value: str) -> bool:
    """Whether UTF-8 can hold it: JSON can write half of a pair of surrogates."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
