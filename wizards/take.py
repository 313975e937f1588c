"""Files that leave the studio by a plain link: a data set's card and rows, and what a rating session came to.

Guarantees: only the owner of a data set or a session gets anything of it, and of a session nothing while somebody is still
rating; the files are made when they are asked for and are whole; nothing but what is listed here can be asked for; a name that
a person gave is only ever a header; a page that leaves is saved and never shown, so that it cannot act as the studio.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from studio import data, datasets
from studio.compare import preferences, report
from studio.errors import NotFoundError, StudioError
from wizards.shell import Context

ADDRESS: Final = "/take/{dataset}/{what}"
SESSION_ADDRESS: Final = "/take/session/{session}/{what}"
_KINDS: Final = {
    "clean.jsonl": "application/jsonl",
    "set_aside.csv": "text/csv",
    "card.md": "text/markdown",
    "card.json": "application/json",
}
_Answer = Callable[[Context, str, str, str], Response]
#: What there is of a session. The picture is the one that the Markdown names.
_OF_A_SESSION: Final = {
    "report.html": "text/html",
    "report.md": "text/markdown",
    "report.svg": "image/svg+xml",
    "pairs.jsonl": "application/jsonl",
}


def mount(app: FastAPI, ctx: Context) -> None:
    """Serve the files below ``/take``."""

    async def take(request: Request) -> Response:
        return await guarded(request, _answer, request.path_params["dataset"])

    async def take_of_session(request: Request) -> Response:
        return await guarded(request, _of_session, request.path_params["session"])

    async def guarded(request: Request, answer: _Answer, ident: str) -> Response:
        owner = ctx.owner_of(gr.Request(request))
        try:
            return await run_in_threadpool(answer, ctx, ident, request.path_params["what"], owner)
        except NotFoundError as error:
            return PlainTextResponse(str(error), 404)
        except StudioError as error:
            return PlainTextResponse(str(error), 500)

    app.add_route(SESSION_ADDRESS, take_of_session, methods=["GET"])
    app.add_route(ADDRESS, take, methods=["GET"])


def _answer(ctx: Context, dataset_id: str, what: str, owner: str) -> Response:
    if what not in _KINDS:
        raise NotFoundError("There is no such file.", next_step="Use the links on the data step.")
    if what.startswith("card"):
        dataset = datasets.load(ctx.settings, ctx.store, dataset_id, owner)
        made = data.card(dataset)
        name = _named(dataset.inspection.file_name, what)
        text = made.markdown if what == "card.md" else made.to_json()
        return Response(text, media_type=_KINDS[what], headers={"content-disposition": f'attachment; filename="{name}"'})
    export = datasets.export_clean if what == "clean.jsonl" else datasets.export_rejected
    path = export(ctx.settings, dataset_id, owner)
    name = Path(datasets.find(ctx.settings, dataset_id, owner).file_name).stem
    return FileResponse(path, media_type=_KINDS[what], filename=f"{name}-{what}")


def _of_session(ctx: Context, session_id: str, what: str, owner: str) -> Response:
    if what not in _OF_A_SESSION:
        raise NotFoundError("There is no such file.", next_step="Use the links on the verdict.")
    if what == "pairs.jsonl":
        text = preferences.of_session(ctx.store, session_id, owner).to_jsonl()
        name = f"pairs-{session_id}.jsonl"
    else:
        found = report.of_session(ctx.store, session_id, owner)
        name = f"report-{found.session}{Path(what).suffix}"
        picture = f"report-{found.session}.svg"
        text = {"report.html": found.html, "report.svg": found.picture}.get(what, lambda: found.markdown(picture=picture))()
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(text.encode("utf-8", "replace"), media_type=_OF_A_SESSION[what], headers=headers)


def _named(file_name: str, what: str) -> str:
    """A header takes plain letters only; the rest of a name is left out."""
    stem = "".join(letter for letter in Path(file_name).stem if letter.isascii() and (letter.isalnum() or letter in "-_"))
    return f"{stem or 'data'}-{what}"
