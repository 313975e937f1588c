"""Tokens: how long the examples are for a model, what the loss will count, what will be cut, and one row token by token.

Guarantees: the numbers are those of the renderer and tokenizer that training uses, or say that they are not; importing this
room loads neither torch nor the cookbook; it changes nothing but one small file of counts beside the stage.

    known(inspection, model, train_on, max_length)    ->  TokenProfile | None   what was counted before, at once
    profile(inspection, model, train_on, max_length)  ->  TokenProfile          counted now (in a process of its own)
    findings(profile)                                 ->  what that says against some rows
    views(inspection, row_id, model, train_on)        ->  one row as the model will see it
"""

from __future__ import annotations

from studio.models.rendering import CannotRender, NoTokenizer, Rendering, Token
from studio.tokens.facts import with_tokens
from studio.tokens.findings import findings
from studio.tokens.profiles import known, profile
from studio.tokens.values import Refusal, TokenProfile
from studio.tokens.views import View, views, warm_up

__all__ = [
    "CannotRender",
    "NoTokenizer",
    "Refusal",
    "Rendering",
    "Token",
    "TokenProfile",
    "View",
    "findings",
    "known",
    "profile",
    "views",
    "warm_up",
    "with_tokens",
]
