"""``ui`` and ``engine``: the two verbs that stay in the foreground and serve."""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from typing import NoReturn

from studio.cli.output import Output
from studio.errors import StudioError
from studio.settings import Settings


def ui_arguments(parser: argparse.ArgumentParser) -> None:
    """``ui [--host HOST] [--port PORT]``."""
    parser.add_argument("--host", help="address to listen on (default: $STUDIO_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: $STUDIO_PORT or 7860)")


def ui(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Become the process that serves the pages; it prints the address when it listens."""
    del output
    # The domain does not import its pages: the program that serves them is started by name, with everything in its environment.
    if importlib.util.find_spec("wizards") is None:
        raise StudioError("The pages are not installed.", next_step="Install Tuning Fork again, or clone the whole repository.")
    changes = {"STUDIO_HOME": str(settings.home), "STUDIO_HOST": asked.host, "STUDIO_PORT": asked.port}
    environment = {**os.environ, **{name: str(value) for name, value in changes.items() if value is not None}}
    _become([sys.executable, "-m", "wizards"], environment)


def engine_arguments(parser: argparse.ArgumentParser) -> None:
    """``engine --port N [--model NAME …] [--device DEVICE]``."""
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: any free one)")
    parser.add_argument("--model", action="append", metavar="NAME", help="a model to serve; repeat for several (default: nano)")
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute (default: auto)"
    )


def engine(asked: argparse.Namespace, settings: Settings, output: Output) -> int:
    """Become the engine's own process; it prints its address and its key for this start."""
    command = [sys.executable, "-m", "studio.engine", "--port", str(asked.port), "--home", str(settings.home)]
    for name in asked.model or ["nano"]:
        command += ["--model", name]
    command += ["--device", asked.device, *(["--json"] if output.as_json else [])]
    _become(command, dict(os.environ))


def _become(command: list[str], environment: dict[str, str]) -> NoReturn:
    if os.name == "posix":
        os.execve(command[0], command, environment)  # noqa: S606
    raise SystemExit(subprocess.call(command, env=environment))
