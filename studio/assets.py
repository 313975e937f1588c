"""Where the files that ship with the studio are: the repository's ``assets/`` folder, or ``studio/_assets`` in a wheel.

Guarantees: a path that exists, or a ``NotFoundError`` that names it. Nothing is downloaded and nothing is written.
"""

from __future__ import annotations

from pathlib import Path

from studio.errors import NotFoundError

_PACKAGE = Path(__file__).resolve().parent


def asset(*parts: str) -> Path:
    """The file or folder ``assets/<parts…>``; ``asset()`` is the folder itself.

    Raises ``NotFoundError`` when neither the repository nor the installed package holds it.
    """
    for root in (_PACKAGE.parent / "assets", _PACKAGE / "_assets"):
        path = root.joinpath(*parts)
        if path.exists():
            return path
    raise NotFoundError(
        "A file that ships with Tuning Fork is missing.",
        where="/".join(("assets", *parts)),
        next_step="Install Tuning Fork again, or clone the whole repository.",
    )
