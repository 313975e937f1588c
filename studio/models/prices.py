"""What training costs, as a dated table that the owner of the studio may edit.

Guarantees: every price has a date and a source; a model without one has no price, never a guessed one; what runs on this
computer costs nothing; a table that cannot be read is named with what is wrong in it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import yaml

from studio.errors import SettingError

#: The name of the owner's own table in the studio's home folder.
OWN_TABLE: Final = "prices.yaml"
#: After so many days a price is shown as one that may have changed.
_OLD: Final = dt.timedelta(days=180)
_TABLE: Final = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of each kind, on ``date`` (ISO), as ``source`` said.

    ``cached_share`` is the part of ``prefill`` that a prefix costs which was read a moment before.
    """

    prefill: float
    sample: float
    train: float
    cached_share: float
    date: str
    source: str

    def old(self, today: dt.date | None = None) -> bool:
        """Whether the price was read so long ago that it may have changed."""
        return bool(self.date) and (today or dt.datetime.now(tz=dt.UTC).date()) - dt.date.fromisoformat(self.date) > _OLD


@dataclass(frozen=True, slots=True)
class Storage:
    """US dollars for a gigabyte of checkpoints and a month."""

    per_gb_month: float
    date: str
    source: str


FREE: Final = Price(0.0, 0.0, 0.0, 0.0, "", "it runs on this computer")


@dataclass(frozen=True, slots=True)
class _Table:
    models: Mapping[str, Price]
    storage: Storage | None


def price_of(name: str, home: Path | None = None) -> Price | None:
    """The newest price of a model by the name that the server knows, ``None`` where nobody wrote one down.

    ``home`` is the studio's home folder with the owner's table, where there is one. Raises ``SettingError`` for a table that
    cannot be read.
    """
    own = _own(home)
    return (own.models.get(name) if own is not None else None) or _shipped().models.get(name)


def storage_price(home: Path | None = None) -> Storage | None:
    """The newest price of keeping checkpoints. Raises as ``price_of``."""
    own = _own(home)
    return (own.storage if own is not None else None) or _shipped().storage


@cache
def _shipped() -> _Table:
    return _read(_TABLE)


def _own(home: Path | None) -> _Table | None:
    path = None if home is None else home / OWN_TABLE
    if path is None or not path.is_file():
        return None
    return _kept(path, path.stat().st_mtime_ns)


@cache
def _kept(path: Path, _changed: int) -> _Table:
    """The owner's table; the time makes the cache notice that it was edited."""
    return _read(path)


def _read(path: Path) -> _Table:
    try:
        found = cast("dict[str, Any]", yaml.safe_load(path.read_text(encoding="utf-8")) or {})
        cached = float(found.get("cached_prefill_share", 1.0))
        rows = sorted(found.get("models", ()), key=lambda row: str(row["date"]))
        kept = sorted(found.get("storage", ()), key=lambda row: str(row["date"]))
        models = {str(row["model"]): _price(row, cached) for row in rows}
        storage = Storage(_amount(kept[-1], "per_gb_month"), _date(kept[-1]), str(kept[-1]["source"])) if kept else None
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise SettingError(
            f"The table of prices cannot be read: {error!r}.",
            where=str(path),
            next_step="Give each row a model, a date such as 2026-10-07, a source, and prefill, sample and train as numbers.",
        ) from error
    return _Table(models, storage)


def _price(row: Mapping[str, Any], cached: float) -> Price:
    amounts = (_amount(row, kind) for kind in ("prefill", "sample", "train"))
    return Price(*amounts, cached_share=cached, date=_date(row), source=str(row["source"]))


def _amount(row: Mapping[str, Any], name: str) -> float:
    value = float(row[name])
    if not 0 <= value < 1e6:
        raise ValueError(f"{name} is {value:g}")
    return value


def _date(row: Mapping[str, Any]) -> str:
    return dt.date.fromisoformat(str(row["date"])).isoformat()
