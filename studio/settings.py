"""Frozen settings, read once from the environment at the composition root.

Guarantees: a key never appears in ``repr``, ``str`` or a log of this value; every path of the studio hangs under ``home``;
no other module reads the environment for configuration.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, Self

from platformdirs import user_data_path

from studio.errors import SettingError

Place = Literal["embedded", "hosted", "cluster"]

#: The name every row carries on a laptop, where one person owns everything.
LOCAL_OWNER = "local"

_MB = 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Secret:
    """A string that prints as stars. Call ``reveal`` only where it leaves for a child's environment or a request."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are kept, where training runs, what the studio listens on, and how much of a file it takes.

    ``upload_limit_bytes`` holds for what comes through the browser, ``path_limit_bytes`` for a file that lies on this computer.
    ``data_memory_bytes`` is what reading a file may use; 0 means three quarters of what is free. ``data_seconds`` is how long.
    """

    home: Path
    place: Place = "embedded"
    base_url: str | None = None
    api_key: Secret | None = None
    owner: str = LOCAL_OWNER
    host: str = "127.0.0.1"
    port: int = 7860
    upload_limit_bytes: int = 500 * _MB
    path_limit_bytes: int = 5120 * _MB
    data_memory_bytes: int = 0
    data_seconds: int = 3600

    @property
    def paths_allowed(self) -> bool:
        """Whether a file may be named by its path in the browser: only where the browser is on this computer."""
        return self.host in _LOOPBACK

    @property
    def database(self) -> Path:
        """SQLite file: datasets, jobs, runs, comparisons, sessions, votes."""
        return self.home / "studio.sqlite3"

    @property
    def uploads(self) -> Path:
        """Where the browser's uploads arrive; what lies here is the studio's own and is swept away."""
        return self.home / "uploads"

    @property
    def datasets(self) -> Path:
        """One folder per dataset id: the original file, the stage and the three splits."""
        return self.home / "datasets"

    @property
    def runs(self) -> Path:
        """One folder per run id: metrics.jsonl, checkpoints.jsonl, worker.log."""
        return self.home / "runs"

    @property
    def checkpoints(self) -> Path:
        """The embedded engine's weights, one folder per model id."""
        return self.home / "checkpoints"

    @property
    def comparisons(self) -> Path:
        """One folder per comparison id: the job's log."""
        return self.home / "comparisons"

    @property
    def sweeps(self) -> Path:
        """One folder per sweep id: the job's log. Its trials are runs."""
        return self.home / "sweeps"

    @property
    def machine_judges(self) -> Path:
        """One folder per judging of a model: the job's log."""
        return self.home / "machine-judges"

    @property
    def playground(self) -> Path:
        """One folder per base model that is talked to: the small files of the process that answers."""
        return self.home / "playground"

    def with_home(self, home: Path | None) -> Self:
        """The same settings under another home folder; ``None`` changes nothing."""
        return self if home is None else replace(self, home=home.expanduser().resolve())

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Self:
        """Read ``STUDIO_HOME, STUDIO_HOST, STUDIO_PORT``, the place, the key, and the limits for data.

        The limits are ``STUDIO_UPLOAD_LIMIT_MB, STUDIO_PATH_LIMIT_MB, STUDIO_DATA_MEMORY_MB, STUDIO_DATA_MINUTES``, the others
        ``TINKER_BASE_URL, TINKER_API_KEY``.
        A base URL means a cluster, a key alone means hosted Tinker, neither means the embedded engine.
        ``STUDIO_PLACE=embedded`` overrides both. Raises ``SettingError`` for a value that cannot be used.
        """
        source = os.environ if env is None else env
        base_url = source.get("TINKER_BASE_URL") or None
        key = source.get("TINKER_API_KEY") or None
        place: Place = "cluster" if base_url else "hosted" if key else "embedded"
        if source.get("STUDIO_PLACE") == "embedded":
            place, base_url, key = "embedded", None, None
        return cls(
            home=_home(source),
            place=place,
            base_url=base_url,
            api_key=Secret(key) if key else None,
            # A Space is reached through its proxy, so it must listen on every interface of its container.
            host=source.get("STUDIO_HOST") or ("0.0.0.0" if source.get("SPACE_ID") else "127.0.0.1"),  # noqa: S104
            port=_whole(source, "STUDIO_PORT", 7860, low=1, high=65535),
            upload_limit_bytes=_whole(source, "STUDIO_UPLOAD_LIMIT_MB", 500, low=1, high=5120) * _MB,
            path_limit_bytes=_whole(source, "STUDIO_PATH_LIMIT_MB", 5120, low=1, high=1024 * 1024) * _MB,
            data_memory_bytes=_whole(source, "STUDIO_DATA_MEMORY_MB", 0, low=0, high=1024 * 1024) * _MB,
            data_seconds=_whole(source, "STUDIO_DATA_MINUTES", 60, low=1, high=24 * 60) * 60,
        )


def _home(env: Mapping[str, str]) -> Path:
    named = env.get("STUDIO_HOME")
    if named:
        return Path(named).expanduser().resolve()
    # A Space keeps only /data between restarts, and only when storage is switched on.
    if env.get("SPACE_ID") and Path("/data").is_dir():
        return Path("/data")
    return user_data_path("tuning-fork", appauthor=False)


def _whole(env: Mapping[str, str], name: str, default: int, *, low: int, high: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingError(
            f"{text!r} is not a whole number from {low} to {high}.", where=name, next_step=f"Set {name} to such a number."
        )
    return int(text)
