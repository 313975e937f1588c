"""The environment of a job's process: where it connects, and what it must not do behind a person's back.

Guarantees: secrets travel here and nowhere else; a process for the embedded engine knows no other server, sends no telemetry,
and asks no hub for anything when its models are on this machine.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

from studio.processes import import_path
from studio.settings import Settings

#: The key of an endpoint that judges, in the environment of the one process that asks it.
JUDGE_KEY: Final = "STUDIO_JUDGE_KEY"

#: What decides where a process connects. Never inherited: the studio's own settings say it.
_CONNECTION: Final = (
    *("STUDIO_HOME", "STUDIO_PLACE", "TINKER_API_KEY", "TINKER_BASE_URL", "TINKER_CREDENTIAL_CMD"),
    *("CLOUDFLARE_ACCESS_CLIENT_ID", "CLOUDFLARE_ACCESS_CLIENT_SECRET"),
    JUDGE_KEY,
)

_QUIET: Final = {
    "TINKER_TELEMETRY": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    # The cookbook and the SDK call what the SDK is about to rename; a person can do nothing about it.
    "PYTHONWARNINGS": "ignore::FutureWarning",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "TOKENIZERS_PARALLELISM": "false",
    # Its bars are lines in a log, hundreds of them a step.
    "TQDM_DISABLE": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONIOENCODING": "utf-8",
}

_OFFLINE: Final = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def child_environment(settings: Settings, inherited: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a job's process is started with; ``Settings.from_env`` reads the same place, address and key back from it."""
    source = os.environ if inherited is None else inherited
    env = {name: value for name, value in source.items() if name not in _CONNECTION}
    env.update(_QUIET)
    path = import_path(env.get("PYTHONPATH"))
    if path is not None:
        env["PYTHONPATH"] = path
    if settings.place == "embedded":
        env["STUDIO_PLACE"] = "embedded"
        return env
    if settings.base_url:
        env["TINKER_BASE_URL"] = settings.base_url
    if settings.api_key:
        env["TINKER_API_KEY"] = settings.api_key.reveal()
    return env


def settle_down(settings: Settings, *, offline: bool) -> None:
    """Make this process as quiet as its parent asked, before any library reads the environment.

    ``offline`` closes the hub: right when every model is on this machine.
    """
    os.environ.update(_QUIET)
    # Libraries log every request, every step and whole training examples at this level; jobs say what matters themselves.
    logging.disable(logging.INFO)
    if offline and settings.place == "embedded":
        os.environ.update(_OFFLINE)
