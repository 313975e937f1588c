"""A child whose tasks do what no task should: run in place of ``studio.work.child`` by the tests beside it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any, cast

from studio.errors import DataError, StoreError
from studio.work import child, files, tasks


def greet(folder, asked, watch):
    return {"hello": asked["name"], "process": os.getpid()}


def count(folder, asked, watch):
    """Say ten numbers a second, and leave something half done."""
    new = folder / files.NEW
    new.mkdir()
    (new / "half.txt").write_text("half")
    for number in range(asked["to"]):
        watch.at("counting", number * 1_000_000, asked["to"] * 1_000_000, "bytes")
        time.sleep(0.1)
    files.complete(folder)
    return {}


def environment(folder, asked, watch):
    return {"environment": dict(os.environ), "folder": str(Path.cwd())}


def refuse(folder, asked, watch):
    raise DataError("It cannot be used.", where="a.csv", next_step="Use another.")


def refuse_store(folder, asked, watch):
    raise StoreError("No.", next_step="Yes.")


def defect(folder, asked, watch):
    raise RuntimeError("a text that nobody should read on a page")


def crash(folder, asked, watch):
    os.kill(os.getpid(), signal.SIGSEGV)


def swallow(folder, asked, watch):
    """Take memory until somebody objects, without ever giving another thread a moment of its own choosing."""
    taken = []
    while True:
        taken.append(ctypes.create_string_buffer(b"x" * 20_000_000, 20_000_001))


def flood(folder, asked, watch):
    with (folder / "flood").open("wb") as file:
        while True:
            file.write(bytes(1_000_000))


def spin(folder, asked, watch):
    while True:
        pass


mine = (greet, count, environment, refuse, refuse_store, defect, crash, swallow, flood, spin)
cast("dict[str, Any]", tasks.TASKS).update({task.__name__: task for task in mine})

if __name__ == "__main__":
    child.main()
