"""``python -m studio.engine``: serve one or more models on loopback until interrupted.

Guarantees: the port is taken before anything slow happens, so that a taken port is said at once (exit code 2); nothing but this
machine can connect; with only local models nothing leaves the machine; with ``--parent`` the engine ends with the process that
started it, however that one dies.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

import orjson

from studio.engine.specs import spec_for
from studio.errors import EngineError, StudioError
from studio.settings import Secret, Settings

if TYPE_CHECKING:
    import uvicorn

KEY_VARIABLE = "TUNING_FORK_ENGINE_KEY"
_HOST = "127.0.0.1"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the engine. Returns the exit code: 0 after a normal end, 1 when it cannot start, 2 when the port is taken."""
    options = _parser().parse_args(argv)
    try:
        listener = _listen(options.port)
    except OSError as error:
        print(
            f"The engine cannot use port {options.port}: {error.strerror}. Choose another one, or 0 for any free one.",
            file=sys.stderr,
        )
        return 2
    try:
        return _serve(options, listener)
    except StudioError as error:
        print(f"The engine cannot start. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        listener.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tuning-fork engine", description="Serve models over the Tinker protocol on this machine."
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="the port on 127.0.0.1; 0 takes any free one (default: %(default)s)"
    )
    parser.add_argument(
        "--home", type=Path, default=None, help="where checkpoints are kept (default: STUDIO_HOME or the user's data folder)"
    )
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="nano, a folder, or a Hugging Face id; may be given several times (default: nano)",
    )
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where to compute (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: half the cores, at least 1)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON when ready, instead of a sentence")
    parser.add_argument("--parent", action="store_true", help="end when standard input closes")
    return parser


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Lets a restarted engine have the port of one that has just ended; two living ones still exclude each other.
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
        listener.listen(2048)
    except (OSError, OverflowError) as error:
        listener.close()
        raise error if isinstance(error, OSError) else OSError(0, "it is not between 0 and 65535") from error
    return listener


def _serve(options: argparse.Namespace, listener: socket.socket) -> int:
    servers: list[uvicorn.Server] = []
    if options.parent:
        threading.Thread(target=_follow, args=(sys.stdin.buffer, servers), name="parent", daemon=True).start()
    specs = [spec_for(name) for name in dict.fromkeys(options.model or ["nano"])]
    key = _key()
    # Read when the libraries are imported, which is why it stands before the imports below.
    if all(spec.local for spec in specs):
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if options.json:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

    import torch
    import uvicorn

    from studio.engine.base import Base, pick_device
    from studio.engine.checkpoints import Checkpoints
    from studio.engine.server import build
    from studio.engine.service import Service

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    torch.set_num_threads(options.threads or max(1, (os.cpu_count() or 2) // 2))
    settings = Settings.from_env().with_home(options.home)
    device = pick_device(options.device)
    bases = [Base(spec, device) for spec in specs]
    service = Service(bases, Checkpoints(settings.checkpoints))
    config = uvicorn.Config(
        build(service, key),
        log_level="warning",
        access_log=False,
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = _server(config, lambda: _announce(options, listener, key, [base.spec.name for base in bases]))
    servers.append(server)
    server.run(sockets=[listener])
    return 0


def _key() -> Secret:
    """The key from the environment, where it does not stay, or a fresh one. Raises ``EngineError`` for one the SDK refuses."""
    given = os.environ.pop(KEY_VARIABLE, "")
    if given and not given.startswith("tml-"):
        raise EngineError("The key has to start with tml-, or the tinker SDK refuses it.", where=KEY_VARIABLE)
    return Secret(given or f"tml-{secrets.token_urlsafe(32)}")


def _server(config: uvicorn.Config, ready: Callable[[], None]) -> uvicorn.Server:
    """A server that calls ``ready`` once it accepts connections."""
    import uvicorn

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    return Announcing(config)


def _announce(options: argparse.Namespace, listener: socket.socket, key: Secret, names: Sequence[str]) -> None:
    base_url = f"http://{_HOST}:{listener.getsockname()[1]}"
    if options.json:
        ready = {"base_url": base_url, "api_key": key.reveal(), "pid": os.getpid(), "models": list(names)}
        print(orjson.dumps(ready).decode(), flush=True)
    else:
        print(f"The engine serves {', '.join(names)} at {base_url} with the key {key.reveal()}", flush=True)


def _follow(stream: IO[bytes], servers: list[uvicorn.Server]) -> None:
    """Wait for the end of the pipe that the parent holds, then end, too, even if nothing is served yet."""
    while stream.read(1):
        pass
    if not servers:
        os._exit(0)
    servers[0].should_exit = True
    # A long operation on the compute thread must not keep a process without a parent alive.
    threading.Timer(10.0, os._exit, args=(0,)).start()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Everything is closed by now; taking torch's modules apart would only cost seconds.
    os._exit(code)
