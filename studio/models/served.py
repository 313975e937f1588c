"""Which models a server serves, as it says itself, kept so that nobody has to wait for it, and read together with our own list.

Guarantees: an answer on file of the server in use wins over our own list; a model that we know nothing of is never offered;
without an answer on file our own list stands. Only ``ask`` touches the network. Nothing in the studio calls
it yet: until then every place has our own list.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from studio.errors import BackendError

if TYPE_CHECKING:
    from studio.models.lineup import Model
    from studio.settings import Settings

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
    import tinker

    if settings.api_key is None:
        raise BackendError(
            "There is no key for the server, so it cannot be asked.", next_step="Set TINKER_API_KEY and try again."
        )
    try:
        client = tinker.RestClient(base_url=settings.base_url, api_key=settings.api_key.reveal())
        found = client.get_server_capabilities().result()
    # Whatever the SDK raises: without an answer our own list stands, and the reason is said.
    except Exception as error:
        raise BackendError(
            f"The server did not say which models it has ({type(error).__name__}).",
            next_step="Check the address and the key, then try again. Until then our own list is shown.",
        ) from error
    rows = tuple(
        ServedModel(one.model_name, one.max_context_length, one.trainable is not False)
        for one in found.supported_models
        if one.model_name
    )
    served = Served(rows, dt.datetime.now(tz=dt.UTC).date().isoformat(), settings.base_url)
    _keep(settings.home / _FILE, served)
    return served


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
