"""Signing in with the Hub, on a Space whose owner has switched it on; nowhere else is there anybody to sign in with.

Guarantees: a name is taken from the session cookie that Gradio's own OAuth signed, never from what a page sends along. The
owner writes ``hf_oauth: true`` into the metadata of the Space, and the Hub then gives it what ``here`` looks for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import gradio as gr
from fastapi import FastAPI
from gradio import oauth

from studio.errors import SettingError

#: Where a session that is open to signed-in people is rated; its id follows.
SEAT: Final = "/rate/?session="
_GIVEN: Final = ("SPACE_ID", "OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET")
_LOGIN: Final = "/login/huggingface?_target_url="


def here(env: Mapping[str, str] | None = None) -> bool:
    """Whether people can sign in to this studio."""
    source = os.environ if env is None else env
    # By the same sign as Gradio: elsewhere its OAuth lets everybody in under a name that it makes up.
    return source.get("SYSTEM") == "spaces" and all(source.get(name) for name in _GIVEN)


def attach(app: FastAPI) -> None:
    """Put the ways to the Hub and back into ``app``, before any page is mounted; without sign-in, nothing.

    Raises ``SettingError`` when the packages that it takes are not installed.
    """
    if not here():
        return
    try:
        oauth.attach_oauth(app)
    except ImportError as error:
        raise SettingError(
            "The Space asks people to sign in (hf_oauth), and the packages for that are not installed.",
            where="hf_oauth",
            next_step="Add gradio[oauth] to requirements.txt, or take hf_oauth out of the metadata of the Space.",
        ) from error


def seat_link(session_id: str) -> str:
    """The address at which signed-in people rate in this session."""
    return SEAT + quote(session_id, safe="")


def login_link(session_id: str) -> str:
    """The address that leads to the Hub and back to the session."""
    return _LOGIN + quote(seat_link(session_id), safe="")


def name_of(profile: gr.OAuthProfile | None) -> str:
    """The name of who is signed in, empty for nobody."""
    return profile.username if profile is not None else ""
