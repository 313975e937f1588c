"""``python -m studio VERB``: the same as ``tuning-fork VERB``."""

from __future__ import annotations

from studio.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
