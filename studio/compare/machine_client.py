"""An OpenAI-compatible chat endpoint, asked through the Hub's client: one question in, one reply out.

Guarantees: a request that fails on the way is made again a limited number of times, with pauses that the server may ask for;
what the server says is passed on shortened and without the key; only the key that was given is ever sent, never one that
this machine keeps for the Hub; addresses of the inner network are refused where the studio serves others.
"""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import urlsplit

import httpx
from huggingface_hub import ChatCompletionOutput, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from studio.compare.machine import JudgeSettings
from studio.compare.machine_words import Ending
from studio.compare.seeing import Message
from studio.errors import BackendError
from studio.runs.redact import redact
from studio.settings import Secret, Settings

#: Asking again can help: too busy, too slow, or a fault of the server's own.
_PASSING: Final = frozenset({408, 409, 425, 429})
#: Nothing that is asked will be answered.
_HOPELESS: Final = {
    401: "The endpoint does not accept the key.",
    402: "The endpoint wants to be paid first.",
    403: "The endpoint does not allow this.",
    404: "The endpoint does not know this address or model.",
}
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_LONGEST_DETAIL: Final = 300
#: Sent where there is no key. Without one the client would look for the Hub's own.
_NO_KEY: Final = "no-key"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. ``tokens_in`` and ``tokens_out`` as the server counted them, ``None`` where it did not say."""

    text: str
    ending: Ending = "stop"
    tokens_in: int | None = None
    tokens_out: int | None = None


class NoReplyError(BackendError):
    """No reply to one question. ``hopeless``: there will be none to any other."""

    def __init__(self, what: str, *, hopeless: bool = False) -> None:
        super().__init__(what, next_step="Check the address, the model's name and the key, and ask again.")
        self.hopeless = hopeless


class Endpoint:
    """Asks one model at one address. Safe to use from several threads.

    ``ended`` makes it give up waiting. ``pause`` is the first wait between two tries, in seconds; each next one is twice as
    long, up to a minute, unless the server names a time.
    """

    def __init__(
        self, asked: JudgeSettings, key: Secret | None, *, ended: threading.Event | None = None, pause: float = _FIRST_PAUSE
    ) -> None:
        self._asked = asked
        self._key = key
        self._ended = ended or threading.Event()
        self._pause = pause
        self._address = chat_address(asked.endpoint)

    def ask(self, messages: Sequence[Message]) -> Reply:
        """The model's reply to these turns. Raises ``NoReplyError``."""
        for left in range(self._asked.tries - 1, -1, -1):
            try:
                return self._once(messages)
            except _PassingError as error:
                wait = error.seconds if error.seconds is not None else self._pause * 2 ** (self._asked.tries - 1 - left)
                if not left or self._ended.wait(min(wait, _LONGEST_PAUSE)):
                    raise NoReplyError(f"{error.what} It was asked {self._asked.tries - left} times.") from error
        raise AssertionError  # there is at least one try

    def _once(self, messages: Sequence[Message]) -> Reply:
        turns = [{"role": one.role, "content": one.content} for one in messages]
        key = self._key.reveal() if self._key else _NO_KEY
        try:
            with InferenceClient(base_url=self._address, api_key=key, timeout=self._asked.seconds) as client:
                said = client.chat_completion(
                    turns, model=self._asked.model, temperature=0.0, max_tokens=self._asked.max_tokens
                )
                return _reply(said)
        except HfHubHTTPError as error:
            raise self._refused(error.response) from error
        except (InferenceTimeoutError, httpx.TimeoutException) as error:
            raise _PassingError(f"The endpoint did not answer within {self._asked.seconds:g} seconds.") from error
        except httpx.TransportError as error:
            raise _PassingError(f"The endpoint cannot be reached ({type(error).__name__}).") from error
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise _PassingError("The endpoint answered with something that is no chat completion.") from error

    def _refused(self, response: httpx.Response) -> NoReplyError | _PassingError:
        code, words = response.status_code, self._words(response)
        if code in _HOPELESS:
            return NoReplyError(f"{_HOPELESS[code]} {words}".strip(), hopeless=True)
        what = f"The endpoint answered with error {code}. {words}".strip()
        if code in _PASSING or code >= 500:
            return _PassingError(what, _seconds(response.headers.get("retry-after", "")))
        return NoReplyError(what)

    def _words(self, response: httpx.Response) -> str:
        """What the server says, on one line."""
        try:
            found = json.loads(response.text)
            text = str(found["error"]["message"])
        except (ValueError, KeyError, TypeError, httpx.HTTPError):
            text = ""
        text = redact(" ".join(text.split()), [self._key.reveal()] if self._key else [])
        return f"It says: {text[:_LONGEST_DETAIL]}" if text else ""


class _PassingError(Exception):
    def __init__(self, what: str, seconds: float | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.seconds = seconds


def _reply(said: ChatCompletionOutput) -> Reply:
    choice = said.choices[0]
    # Not every server names it, and the client keeps what it does not know.
    declined = bool(getattr(choice.message, "refusal", None)) or choice.finish_reason == "content_filter"
    ending: Ending = "refused" if declined else "length" if choice.finish_reason == "length" else "stop"
    # Whatever the server wrote there comes through as it is.
    text = cast("object", choice.message.content) or ""
    if not isinstance(text, str):
        raise TypeError
    usage = said.usage
    counts = (_count(usage.prompt_tokens), _count(usage.completion_tokens)) if usage else (None, None)
    return Reply(text, ending, *counts)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def _seconds(text: str) -> float | None:
    """What ``Retry-After`` asks for, where it is a number; a date is not worth its reading."""
    return float(text) if text.isdecimal() else None


def chat_address(endpoint: str) -> str:
    """The address of chat completions below ``endpoint``; a bare host gets ``/v1``, as servers of this kind have it."""
    base = endpoint.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return f"{base}{'' if urlsplit(base).path else '/v1'}/chat/completions"


def require_allowed(settings: Settings, endpoint: str) -> None:
    """Refuse an address of the inner network where the studio is reached from other computers.

    Raises ``BackendError``: whoever may type an address here could otherwise look around where only the server may.
    """
    if settings.paths_allowed:
        return
    found = urlsplit(endpoint)
    try:
        known = socket.getaddrinfo(
            found.hostname, found.port or (443 if found.scheme == "https" else 80), type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError) as error:
        raise BackendError("The endpoint's name is not known.", next_step="Check the address.") from error
    if not all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in known):
        raise BackendError(
            "The endpoint lies in an inner network, and this studio serves other computers.",
            next_step="Use a public address, or run the studio on your own computer.",
        )
