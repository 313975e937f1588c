"""Prints the path of a Chromium that the tests can drive, and installs one when there is none.

Looked for in this order: ``$CHROMIUM``, a system browser, the one that Playwright keeps, Playwright's own download, and the
system's package manager when run as root. Exits with 1 and says what to do when none of these works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def system() -> str | None:
    named = os.environ.get("CHROMIUM")
    if named and Path(named).is_file():
        return named
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        path = driver.chromium.executable_path
    return path if Path(path).is_file() else None


def download() -> str | None:
    command = [sys.executable, "-m", "playwright", "install", "--with-deps" if is_root() else "chromium", "chromium"]
    done = _quietly(list(dict.fromkeys(command)))
    return playwright() if done else None


def package() -> str | None:
    if not is_root() or not shutil.which("apt-get"):
        return None
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _quietly(["apt-get", "update", "-qq"], env)
    _quietly(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"], env)
    return system()


def is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _quietly(command: list[str], env: dict[str, str] | None = None) -> bool:
    print(f"No browser yet; trying: {' '.join(command)}", file=sys.stderr)
    try:
        quiet = subprocess.DEVNULL
        return subprocess.run(command, env=env, stdout=quiet, stderr=quiet, timeout=600, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main() -> int:
    for look in (system, playwright, download, package):
        found = look()
        if found:
            print(found)
            return 0
    print("No Chromium was found or could be installed. Install Chromium and set CHROMIUM to its path.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
