"""How many examples a property test tries: enough for every change, ten times as many for ``THOROUGH=1 make test``."""

from __future__ import annotations

import os
from typing import Any

import hypothesis

THOROUGH = bool(os.environ.get("THOROUGH"))
_TIMES = 10 if THOROUGH else 1


def tries(examples: int, **more: Any) -> hypothesis.settings:
    """Settings for a property that is slow to try, since each example reads or writes files."""
    return hypothesis.settings(max_examples=examples * _TIMES, deadline=None, **more)
