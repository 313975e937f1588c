"""The routes about what is on disk: training runs, checkpoints, sessions, samplers, downloads.

Guarantees: ids from the address pass the same checks as paths in bodies; a download needs a signed link and streams one file.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from urllib.parse import quote

import orjson
from fastapi import FastAPI, Request, Response
from starlette.responses import FileResponse, RedirectResponse

from studio.engine import external
from studio.engine.checkpoints import Checkpoint, CheckpointPath, Kind, Run
from studio.engine.promises import JSON
from studio.engine.refusals import RefusalError, not_found, unsupported
from studio.engine.service import Service
from studio.settings import Secret

#: Addresses under this prefix carry a signature instead of the key.
LINKS: Final = "/links/"
_KINDS: Final = {"weights": "training", "sampler_weights": "sampler", "external_weights": "external"}
_ONE: Final = "training_runs/{model_id}/checkpoints/{kind}/{name}"

Handler = Callable[[Request], Awaitable[Response]]


def add_routes(app: FastAPI, api: str, service: Service, key: Secret) -> None:
    """Add all routes of this module."""
    routes = _Rest(service, key)
    for method, path, handler in routes.table():
        app.add_route(f"{api}/{path}", handler, methods=[method])
    app.add_route(LINKS + "{model_id}/{kind}/{name}/{file}", routes.download, methods=["GET"])


def _reply(body: object) -> Response:
    return Response(orjson.dumps(body), media_type=JSON)


class _Rest:
    def __init__(self, service: Service, key: Secret) -> None:
        self._service = service
        self._key = key

    def table(self) -> list[tuple[str, str, Handler]]:
        """Method, address, handler."""
        return [
            ("GET", "training_runs", self.runs),
            ("GET", "training_runs/{model_id}", self.run),
            ("GET", "training_runs/{model_id}/checkpoints", self.run_checkpoints),
            ("DELETE", _ONE, self.delete),
            ("PUT", _ONE + "/ttl", self.set_ttl),
            ("GET", _ONE + "/archive", self.archive),
            ("GET", _ONE + "/external_weights_urls", self.links),
            ("POST", _ONE + "/publish", self.publish),
            ("DELETE", _ONE + "/publish", self.publish),
            ("GET", "checkpoints", self.checkpoints),
            ("POST", "weights_info", self.weights_info),
            ("GET", "sessions", self.sessions),
            ("GET", "sessions/{session_id}", self.session),
            ("GET", "samplers/{sampler_id}", self.sampler),
            ("POST", "copy_weights", self.copy),
        ]

    async def runs(self, request: Request) -> Response:
        """All runs on disk, newest first, by page."""
        found = self._service.checkpoints.runs()
        page, cursor = _page(request, found)
        return _reply({"training_runs": [self._run(run) for run in page], "cursor": cursor})

    async def run(self, request: Request) -> Response:
        """One run."""
        return _reply(self._run(self._service.checkpoints.run(request.path_params["model_id"])))

    async def run_checkpoints(self, request: Request) -> Response:
        """The checkpoints of one run."""
        model_id = request.path_params["model_id"]
        self._service.checkpoints.run(model_id)
        return _reply({"checkpoints": [_checkpoint(found) for found in self._service.checkpoints.list(model_id)]})

    async def checkpoints(self, request: Request) -> Response:
        """All checkpoints on disk, newest first, by page."""
        page, cursor = _page(request, list(self._service.checkpoints.list()))
        return _reply({"checkpoints": [_checkpoint(found) for found in page], "cursor": cursor})

    async def delete(self, request: Request) -> Response:
        """Delete a checkpoint. An adapter of it that is in memory goes, too."""
        path = _path(request.path_params)
        folder = self._service.checkpoints.folder(path)
        self._service.checkpoints.delete(path)
        self._service.scheduler.submit(lambda: self._service.shelf.discard(folder))
        return _reply({})

    async def set_ttl(self, request: Request) -> Response:
        """Let a checkpoint live for so many seconds from now, or for ever."""
        ttl = (await _json(request)).get("ttl_seconds")
        if ttl is not None and not isinstance(ttl, int):
            raise RefusalError("ttl_seconds is neither a number of seconds nor null.")
        self._service.checkpoints.set_ttl(_path(request.path_params), ttl)
        return _reply({})

    async def weights_info(self, request: Request) -> Response:
        """What a checkpoint was made of."""
        path = CheckpointPath.parse(str((await _json(request)).get("tinker_path")))
        self._service.checkpoints.folder(path)
        run = self._service.checkpoints.run(path.model_id)
        return _reply(
            {
                "base_model": run.base_model,
                "is_lora": True,
                "lora_rank": run.rank,
                "train_mlp": run.train_mlp,
                "train_attn": run.train_attn,
                "train_unembed": run.train_unembed,
            }
        )

    async def sessions(self, request: Request) -> Response:
        """The open sessions."""
        page, cursor = _page(request, list(self._service.sessions))
        return _reply({"sessions": page, "cursor": cursor})

    async def session(self, request: Request) -> Response:
        """One open session."""
        session = self._service.sessions.get(request.path_params["session_id"])
        if session is None:
            raise not_found(f"The engine knows no session {request.path_params['session_id']!r}.")
        return _reply(
            {
                "training_run_ids": session.runs,
                "sampler_ids": session.samplers,
                "user_metadata": {name: str(value) for name, value in session.user_metadata.items()},
                "display_name": session.display_name,
            }
        )

    async def sampler(self, request: Request) -> Response:
        """One sampling session."""
        sampler = self._service.sampler(request.path_params["sampler_id"])
        return _reply({"sampler_id": sampler.id, "base_model": sampler.base_model, "model_path": sampler.model_path})

    async def publish(self, _: Request) -> Response:
        """Refused: there is nobody else on this machine to publish to."""
        raise unsupported("The embedded engine cannot publish checkpoints.")

    async def copy(self, _: Request) -> Response:
        """Refused: there are no projects here to copy between."""
        raise unsupported("The embedded engine cannot copy checkpoints between projects.")

    async def links(self, request: Request) -> Response:
        """One signed link per file of a checkpoint."""
        path = _path(request.path_params)
        folder = self._service.checkpoints.folder(path)
        names = sorted(file.name for file in folder.iterdir() if file.name != "checkpoint.json")
        expires = datetime.now(UTC) + timedelta(seconds=external.LINK_LIFE)
        return _reply({"urls": {name: self._link(request, path, name) for name in names}, "expires": expires.isoformat()})

    async def archive(self, request: Request) -> Response:
        """A redirect to the checkpoint as one tar file, as SDKs before 0.38 download it."""
        path = _path(request.path_params)
        self._service.checkpoints.folder(path)
        expires = datetime.now(UTC) + timedelta(seconds=external.LINK_LIFE)
        return RedirectResponse(
            self._link(request, path, "archive.tar"),
            status_code=302,
            headers={"Expires": expires.strftime("%a, %d %b %Y %H:%M:%S GMT")},
        )

    async def download(self, request: Request) -> Response:
        """A file of a checkpoint, or ``archive.tar`` with all of them, for whoever holds a signed link."""
        path, file = _path(request.path_params), str(request.path_params["file"])
        expires = request.query_params.get("expires", "")
        signature = request.query_params.get("signature", "")
        if not expires.isdecimal() or not external.verify(self._key.reveal(), f"{path}/{file}", signature, int(expires)):
            raise RefusalError(
                "The link is not valid or has expired.", status=401, kind="authentication", next_step="Ask for a new one."
            )
        folder = self._service.checkpoints.folder(path)
        if file == "archive.tar":
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                for entry in sorted(folder.iterdir()):
                    tar.add(entry, arcname=entry.name)
            return Response(packed.getvalue(), media_type="application/x-tar")
        if file not in {entry.name for entry in folder.iterdir()}:
            raise not_found(f"The checkpoint {path} has no file {file}.")
        return FileResponse(folder / file)

    def _link(self, request: Request, path: CheckpointPath, file: str) -> str:
        signature, expires = external.sign(self._key.reveal(), f"{path}/{file}")
        place = "/".join(quote(part, safe="") for part in (path.model_id, path.kind, path.name, file))
        return f"{str(request.base_url).rstrip('/')}{LINKS}{place}?expires={expires}&signature={signature}"

    def _run(self, run: Run) -> dict[str, Any]:
        saved = [_checkpoint(found) for found in self._service.checkpoints.list(run.model_id)]
        newest = {
            kind: next((entry for entry in saved if entry["checkpoint_type"] == kind), None) for kind in ("training", "sampler")
        }
        return {
            "training_run_id": run.model_id,
            "base_model": run.base_model,
            "model_owner": "local",
            "is_lora": True,
            "lora_rank": run.rank,
            "last_request_time": (saved[0]["time"] if saved else run.created.isoformat()),
            "last_checkpoint": newest["training"],
            "last_sampler_checkpoint": newest["sampler"],
            "user_metadata": dict(run.user_metadata),
        }


def _checkpoint(found: Checkpoint) -> dict[str, Any]:
    return {
        "checkpoint_id": f"{found.path.kind}/{found.path.name}",
        "checkpoint_type": _KINDS[found.path.kind],
        "time": found.created.isoformat(),
        "tinker_path": str(found.path),
        "size_bytes": found.size,
        "public": False,
        "user_metadata": dict(found.user_metadata),
        "expires_at": found.expires.isoformat() if found.expires else None,
    }


def _path(params: Mapping[str, Any]) -> CheckpointPath:
    return CheckpointPath(str(params["model_id"]), cast("Kind", params["kind"]), str(params["name"]))


def _page(request: Request, items: list[Any]) -> tuple[list[Any], dict[str, int]]:
    """The part of a list that ``limit`` and ``offset`` ask for."""
    try:
        limit, offset = int(request.query_params.get("limit", 20)), int(request.query_params.get("offset", 0))
    except ValueError:
        raise RefusalError("limit and offset have to be whole numbers.") from None
    limit, offset = max(0, min(limit, 1000)), max(0, offset)
    return items[offset : offset + limit], {"offset": offset, "limit": limit, "total_count": len(items)}


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise RefusalError("The request is not JSON.") from error
    if not isinstance(body, dict):
        raise RefusalError("The request is not a JSON object.")
    return cast("dict[str, Any]", body)
