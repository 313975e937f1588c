"""Stands in for the process that answers: every question gets its own text turned around, *hang* nothing, *end* the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from studio.work import child


def _turn_around(folder: Path, asked: Mapping[str, Any], teller: child.Teller) -> dict[str, Any]:
    from studio.store import Store

    del folder
    store = Store(Path(asked["home"]) / "studio.sqlite3")
    teller.at("answering")
    while True:
        for row in store.talks.waiting(asked["model"]):
            text = store.talks.question(row.question_id, row.owner).text
            if text == "end":
                return {}
            if text != "hang":
                store.talks.answered(replace(row, text=text[::-1], tokens=1, stop_reason="stop"))
        time.sleep(0.02)


if __name__ == "__main__":
    child.main(find=lambda _: _turn_around)
