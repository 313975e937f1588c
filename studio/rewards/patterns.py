"""Regular expressions from people, on text from models.

Guarantees: a pattern that cannot be read says why; a search ends within ``SECONDS``, whatever pattern and text; a search that
did not end is a failure and never "no match".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import regex

from studio.rewards.kinds import RewardError

#: Processor time that one search may take, in seconds. An honest pattern on a long answer takes microseconds.
SECONDS: Final = 0.25


@lru_cache(maxsize=256)
def compiled(pattern: str, *, ignore_case: bool = False) -> regex.Pattern[str]:
    """The pattern made ready. Raises ``RewardError`` when it is none."""
    flags = regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0)
    try:
        return regex.compile(pattern, flags, cache_pattern=False)
    except (regex.error, OverflowError, RecursionError, MemoryError, ValueError) as error:
        raise RewardError(f"This pattern cannot be read: {error}.", where="pattern", next_step="Check its brackets.") from None


def search(found: regex.Pattern[str], text: str, *, where: str = "anywhere") -> regex.Match[str] | None:
    """The first match ``anywhere``, at the ``start``, or of the ``whole`` text. ``RewardError`` when that takes too long."""
    how = {"anywhere": found.search, "start": found.match, "whole": found.fullmatch}[where]
    try:
        return how(text, timeout=SECONDS, concurrent=True)
    except (TimeoutError, MemoryError) as error:
        raise RewardError(
            "Searching for this pattern takes too long.",
            where="pattern",
            next_step="Leave out repetition inside repetition, such as (a+)+.",
        ) from error
