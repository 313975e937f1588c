"""The composition root: settings, store, supervisor and pages become one web application on one port.

``create_app(settings)`` builds it; ``main()`` serves it until it is told to stop. No page creates a store or a supervisor.
Guarantees: a port that is taken is said in one sentence before anything slow is loaded; nothing about the visitor or this
machine is sent anywhere; stopping the studio stops no run.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import socket
import sys
import warnings
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final, cast

from studio.errors import SettingError, StudioError
from studio.settings import Settings

if TYPE_CHECKING:
    import gradio as gr
    from fastapi import FastAPI

    from studio.recipe import Recipe
    from studio.runs.supervisor import Supervisor
    from wizards.shell import Context

#: The web framework's own pages about itself: there is no public interface to describe, and they load from elsewhere.
_NO_DOCS: Final[dict[str, Any]] = {"docs_url": None, "redoc_url": None, "openapi_url": None}


def create_app(settings: Settings) -> FastAPI:
    """The studio as an ASGI application: the wizard at ``/``, runs at ``/runs``, rating at ``/rate``.

    Raises ``StoreError`` when the home folder or the database cannot be used.
    """
    _stay_home(settings)
    _search_once()
    from fastapi import FastAPI
    from starlette.responses import RedirectResponse, Response

    from wizards import serve, sign_in, take, theme

    context, supervisor = _context(settings)
    app = FastAPI(title="Tuning Fork", **_NO_DOCS, lifespan=_lifespan(supervisor))
    app.add_middleware(serve.OwnHead, head=theme.head())
    theme.mount_look(app)
    take.mount(app, context)
    # A page answers below its slash only. The part of the address after #, which tells who rates, survives the way there.
    app.add_route("/rate", lambda request: RedirectResponse(f"/rate/?{request.url.query}" if request.url.query else "/rate/"))
    # Whoever has an invite sends votes and no files: Gradio would keep whatever comes.
    app.add_route("/rate/gradio_api/upload{rest:path}", lambda _: Response(status_code=404), methods=["GET", "POST"])
    sign_in.attach(app)
    with warnings.catch_warnings():
        # Gradio says that pages with several routes are not rendered on the server, which nobody asked for.
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        _mount(app, context, settings)
    return app


def _mount(app: FastAPI, context: Context, settings: Settings) -> None:
    import gradio as gr

    from wizards import theme

    for path, page in _pages(context):
        gr.mount_gradio_app(
            app,
            page,
            path=path,
            theme=theme.StudioTheme(),
            footer_links=[],
            run_history=False,
            app_kwargs=dict(_NO_DOCS),
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            show_error=False,
            max_file_size=settings.upload_limit_bytes,
        )


def _pages(context: Context) -> tuple[tuple[str, gr.Blocks], ...]:
    """Address and page; the rating page first, because a mount at "/" answers everything that comes after it."""
    from wizards import choose, compare, data, models_page, playground, rate, runs, settings, shell, sweep, train, verdict

    wizard = shell.build(
        context,
        {
            "goal": choose.build,
            "data": data.build,
            "settings": settings.build,
            "train": train.build,
            "compare": compare.build,
            "verdict": verdict.build,
        },
    )
    with wizard.route("Runs", "/runs"):
        runs.build(context)
    with wizard.route("Sweeps", "/sweeps"):
        sweep.build(context)
    with wizard.route("Try", "/try"):
        playground.build(context)
    with wizard.route("Models", "/models"):
        models_page.build(context)
    return (("/rate", rate.build(context)), ("/", wizard))


def _context(settings: Settings) -> tuple[Context, Supervisor]:
    """Open the store and build what pages may use."""
    from studio.runs.launch import create_run
    from studio.runs.supervisor import Supervisor
    from studio.store import Store
    from wizards.shell import Context

    settings.home.mkdir(parents=True, exist_ok=True)
    store = Store(settings.database)
    supervisor = Supervisor(settings, store)

    def start(*, owner: str, dataset_id: str, recipe: Recipe, name: str) -> str:
        run = create_run(settings, store, dataset_id=dataset_id, recipe=recipe, name=name, owner=owner)
        supervisor.submit(run.id)
        return run.id

    return Context(settings, store, supervisor, start, owner_of=lambda _: settings.owner), supervisor


def _lifespan(supervisor: Supervisor) -> Callable[[FastAPI], contextlib.AbstractAsyncContextManager[None]]:
    """Watch over jobs while the pages are served; on the way out leave every run alone."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        with supervisor:
            yield

    return lifespan


def _stay_home(settings: Settings) -> None:
    """Tell the libraries, before they are imported, to report nothing and to keep uploads with everything else."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("GRADIO_TEMP_DIR", str(settings.home / "uploads"))


def _search_once() -> None:
    """Say once that there is no matplotlib, where there is none.

    Gradio tries to import it twice around every call, and a failed import searches the whole path under a lock each time: a
    tenth of what fifty raters at once wait for.
    """
    if importlib.util.find_spec("matplotlib") is None:
        cast("dict[str, object]", sys.modules)["matplotlib"] = None


def listening(settings: Settings) -> socket.socket:
    """A socket bound to the studio's address. Raises ``SettingError`` when it cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    # A studio that was stopped a moment ago must not keep its successor out.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise _unavailable(settings, error) from error
    return bound


def _unavailable(settings: Settings, error: OSError) -> SettingError:
    if error.errno == errno.EADDRINUSE:
        return SettingError(
            f"Port {settings.port} is already in use.",
            next_step="Close the program that uses it, or choose another port, "
            f"for example STUDIO_PORT={settings.port % 65535 + 1}.",
        )
    return SettingError(
        f"The studio cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}.",
        next_step="Set STUDIO_HOST and STUDIO_PORT to an address of this machine.",
    )


def main() -> int:
    """Serve the studio until it is told to stop. Exit status 1 means that it could not start and said why."""
    try:
        settings = Settings.from_env()
        bound = listening(settings)
        app = create_app(settings)
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    import uvicorn

    sys.stdout.write(f"Tuning Fork is ready: {_address(settings)}\n")
    sys.stdout.write(f"Everything is kept in {settings.home}. Press Ctrl+C to stop; runs go on.\n")
    sys.stdout.flush()
    # An open page holds a connection for as long as it is open; without a limit Ctrl+C would wait for it.
    uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)).run(sockets=[bound])
    return 0


def _address(settings: Settings) -> str:
    """The address as a person opens it: a studio that listens everywhere is at home on this machine."""
    host = settings.host if settings.host not in ("0.0.0.0", "::") else "localhost"  # noqa: S104 - compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
