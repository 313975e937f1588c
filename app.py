"""Where the studio starts: ``python app.py`` serves it, and a Hugging Face Space runs this file.

The parts are put together in ``wizards.compose``, so that an installed package can serve itself without this file.
"""

from __future__ import annotations

import sys

from wizards.compose import create_app, main

__all__ = ["create_app", "main"]

if __name__ == "__main__":
    sys.exit(main())
