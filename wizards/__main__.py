"""``python -m wizards`` serves the studio; ``tuning-fork ui`` becomes this process."""

from __future__ import annotations

import sys

from wizards.compose import main

sys.exit(main())
