"""Files of a data set that leave the studio by a plain link: its card, its cleaned rows, the rows that were set aside.

Guarantees: only the owner of a data set gets anything of it; the files are made when they are asked for and are whole; nothing
but these four can be asked for; a name that a person gave is only ever a header.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import gradio as gr
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response

from studio import data, datasets
from studio.errors import NotFoundError, StudioError
from wizards.shell import Context

ADDRESS: Final = "/take/{dataset}/{what}"
_KINDS: Final = {
    "clean.jsonl": "application/jsonl",
    "set_aside.csv": "text/csv",
    "card.md": "text/markdown",
    "card.json": "application/json",
}


def mount(app: FastAPI, ctx: Context) -> None:
    """Serve the files below ``/take``."""

    async def take(request: Request) -> Response:
        dataset, what = request.path_params["dataset"], request.path_params["what"]
        owner = ctx.owner_of(gr.Request(request))
        try:
            return await run_in_threadpool(_answer, ctx, dataset, what, owner)
        except NotFoundError as error:
            return PlainTextResponse(str(error), 404)
        except StudioError as error:
            return PlainTextResponse(str(error), 500)

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


def _named(file_name: str, what: str) -> str:
    """A header takes plain letters only; the rest of a name is left out."""
    stem = "".join(letter for letter in Path(file_name).stem if letter.isascii() and (letter.isalnum() or letter in "-_"))
    return f"{stem or 'data'}-{what}"
