"""Which models a server serves, as it says itself, kept so that nobody has to wait for it, and read together with our own list.

Guarantees: an answer on file of the server in use wins over our own list; a model that we know nothing of is never offered;
without an answer on file our own list stands. Only ``ask`` touches the network, and gives up after ``PATIENCE`` seconds.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from studio.errors import BackendError

if TYPE_CHECKING:
    from studio.models.lineup import Model
    from studio.settings import Settings

#: Seconds until a server that does not answer is given up. The SDK itself would go on trying for five minutes.
PATIENCE: Final = 20.0
_FILE: Final = "served-models.json"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model as the server names it; ``context`` is the longest example in tokens, ``None`` where it does not say."""

    name: str
    context: int | None
    trainable: bool


@dataclass(frozen=True, slots=True)
class Served:
    """What the server at ``base_url`` (``None`` for hosted Tinker) said on the day ``asked_on``."""

    models: tuple[ServedModel, ...]
    asked_on: str
    base_url: str | None = None


def ask(settings: Settings) -> Served:
    """Ask the server that ``settings`` name, keep its answer and return it. Raises ``BackendError`` when it does not answer.

    Loads the SDK, so it belongs where waiting is expected.
    """
    if settings.api_key is None:
        raise BackendError(
            "There is no key for the server, so it cannot be asked.",
            next_step="Set TINKER_API_KEY, start the studio again, and ask once more.",
        )
    said: list[tuple[ServedModel, ...] | Exception] = []

    def work() -> None:
        try:
            said.append(_rows(settings))
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises, it is said where the answer is waited for
            said.append(error)

    # The SDK's client tries again for minutes already while it is made, and takes no limit.
    asking = threading.Thread(target=work, name="ask-the-server", daemon=True)
    asking.start()
    asking.join(PATIENCE)
    if not said or isinstance(said[0], Exception):
        raise _no_answer(settings, said[0] if said and isinstance(said[0], Exception) else None)
    served = Served(said[0], dt.datetime.now(tz=dt.UTC).date().isoformat(), settings.base_url)
    _keep(settings.home / _FILE, served)
    return served


def host(settings: Settings) -> str:
    """The server's name without anything secret that its address may hold; empty for hosted Tinker."""
    found = urlsplit(settings.base_url or "")
    return f"{found.hostname}:{found.port}" if found.port else found.hostname or ""


def _rows(settings: Settings) -> tuple[ServedModel, ...]:
    import tinker

    assert settings.api_key is not None  # noqa: S101 - the caller has looked
    client = tinker.RestClient(base_url=settings.base_url, api_key=settings.api_key.reveal())
    found = client.get_server_capabilities().result()
    return tuple(
        ServedModel(one.model_name, one.max_context_length, one.trainable is not False)
        for one in found.supported_models
        if one.model_name
    )


def _no_answer(settings: Settings, error: Exception | None) -> BackendError:
    """Why there is no answer, by the name of the SDK's error only: its text may hold the address or the key."""
    silent = f"The server did not answer within {PATIENCE:g} seconds."
    failed = BackendError(
        silent if error is None else f"The server did not say which models it has ({type(error).__name__}).",
        where=host(settings) or "hosted Tinker",
        next_step="Check the address, the key and your network, then ask again. Until then our own list is shown.",
    )
    failed.__cause__ = error
    return failed


def kept(settings: Settings) -> Served | None:
    """The last answer of this very server, ``None`` when there is none that can be read."""
    try:
        found: dict[str, Any] = json.loads((settings.home / _FILE).read_text(encoding="utf-8"))
        rows = cast("list[dict[str, Any]]", found["models"])
        served = Served(tuple(ServedModel(**row) for row in rows), str(found["asked_on"]), found["base_url"])
    except (OSError, ValueError, KeyError, TypeError):
        # No answer, or one from before a change: the server can be asked again.
        return None
    return served if served.base_url == settings.base_url else None


def offered(served: Served, known: Sequence[Model]) -> tuple[Model, ...]:
    """The models of our list that the server trains, in our order, each with the context that the server states."""
    there = {one.name: one for one in served.models if one.trainable}
    return tuple(
        replace(
            model,
            context=there[model.wire_name].context or model.context,
            source=f"the server itself, asked on {served.asked_on}; {model.source}",
            retired="",
        )
        for model in known
        if model.wire_name in there
    )


def unknown(served: Served, known: Sequence[Model]) -> tuple[str, ...]:
    """Names that the server trains and we know nothing of: no renderer, no size, so they cannot be offered."""
    ours = {model.wire_name for model in known}
    return tuple(one.name for one in served.models if one.trainable and one.name not in ours)


def _keep(path: Path, served: Served) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps(asdict(served), indent=1), encoding="utf-8")
    draft.replace(path)
