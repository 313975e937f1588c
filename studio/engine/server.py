"""The HTTP face of the engine: the routes that the SDK calls to train and to sample.

Guarantees: every request carries the key, compared in constant time, or a signed link; whatever a client sends wrong gets a 4xx
with a sentence, at once; nothing that a client sends is logged. ``rest`` holds the routes about runs and checkpoints.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar, cast

import numpy as np
import orjson
import zstandard
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from tinker import types

from studio.engine import rest
from studio.engine.choosing import Choice
from studio.engine.promises import JSON, Promise
from studio.engine.protocol import Ints, read_header, read_training_batch
from studio.engine.refusals import RefusalError, unsupported
from studio.engine.sampler import SampleRequest
from studio.engine.service import Service
from studio.errors import StudioError
from studio.settings import Secret

logger = logging.getLogger(__name__)

API: Final = "/api/v1"
#: Largest request body, before and after decompression. Bytes.
MAX_BODY: Final = 256 * 1024 * 1024
_TICK: Final = 5.0
#: Expired checkpoints are removed every so many ticks.
_PURGE: Final = 120

T = TypeVar("T", bound=BaseModel)
Handler = Callable[[Request], Awaitable[Response]]


def reply(body: object, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status_code=status, media_type=JSON)


async def read(request: Request, model: type[T]) -> T:
    """The body as one of the SDK's own request types. Raises ``RefusalError`` that names the first field that is wrong."""
    try:
        return model.model_validate(orjson.loads(await body_of(request)))
    except orjson.JSONDecodeError as error:
        raise RefusalError("The request is not JSON.") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RefusalError(f"The field {place} cannot be used: {first['msg']}.", status=422, kind="invalid_field") from error


async def body_of(request: Request) -> bytes:
    """The body, decompressed if it was sent so, within ``MAX_BODY``."""
    if int(request.headers.get("content-length") or 0) > MAX_BODY:
        raise RefusalError("The request is too large.", status=413, kind="too_large", next_step="Send smaller batches.")
    body = await request.body()
    if request.headers.get("content-encoding") == "zstd":
        try:
            body = zstandard.ZstdDecompressor().decompress(body, max_output_size=MAX_BODY)
        except zstandard.ZstdError as error:
            raise RefusalError("The request cannot be decompressed.") from error
    return body


def build(service: Service, key: Secret) -> FastAPI:
    """The application. ``key`` is what clients have to send as ``X-API-Key``."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        service.scheduler.start()
        ticking = asyncio.create_task(_tick(service))
        yield
        ticking.cancel()
        service.close()

    app = FastAPI(title="Tuning Fork engine", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.add_middleware(_Guard, key=key)
    for kind in (RefusalError, StudioError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _explain)
    routes = _Routes(service)
    for path, handler in routes.table().items():
        app.add_route(f"{API}/{path}", handler, methods=["POST"])
    app.add_route(f"{API}/healthz", routes.health, methods=["GET"])
    app.add_route(f"{API}/get_server_capabilities", routes.capabilities, methods=["GET"])
    rest.add_routes(app, API, service, key)
    return app


async def _tick(service: Service) -> None:
    """Housekeeping while the engine runs. Expired checkpoints are never served; clearing them away has time."""
    for count in itertools.count():
        try:
            service.tick()
            if count % _PURGE == 0:
                await asyncio.to_thread(service.checkpoints.purge)
        except Exception:
            logger.exception("Housekeeping failed")
        await asyncio.sleep(_TICK)


async def _explain(_: Request, error: Exception) -> Response:
    """Every error as JSON with ``detail``, which is what the SDK prints."""
    if isinstance(error, RefusalError):
        return reply(error.body(), error.status)
    if isinstance(error, HTTPException):
        text = "There is no such address." if error.status_code == 404 else str(error.detail)
        return reply({"detail": text, "type": "http"}, error.status_code)
    if not isinstance(error, StudioError):
        logger.error("A request failed", exc_info=error)
    text = str(error) if isinstance(error, StudioError) else f"The embedded engine failed: {type(error).__name__}: {error}"
    # Not a 5xx: the SDK would send the same request again for five minutes before anybody learns what happened.
    return reply({"detail": text, "type": "engine_failure"}, 422)


class _Guard:
    """ASGI middleware that lets through only requests with the key, and signed links."""

    def __init__(self, app: Any, key: Secret) -> None:  # noqa: ANN401  an ASGI application
        self._app = app
        self._key = key.reveal().encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  ASGI
        if scope["type"] == "http" and not str(scope["path"]).startswith(rest.LINKS):
            sent = next((value for name, value in scope["headers"] if name == b"x-api-key"), b"")
            if not hmac.compare_digest(sent, self._key):
                text = "The API key is missing or is not the key of this engine."
                await reply({"detail": text, "type": "authentication"}, 401)(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Routes:
    """One method per address; each decodes, asks the service, and encodes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def table(self) -> dict[str, Handler]:
        """Address to handler, all of them POST."""
        return {
            "client/config": self.client_config,
            "client/dynamic_config": self.dynamic_config,
            "create_session": self.create_session,
            "session_heartbeat": self.heartbeat,
            "sessions/{session_id}/finish": self.finish,
            "telemetry": self.telemetry,
            "create_model": self.create_model,
            "unload_model": self.unload_model,
            "get_info": self.get_info,
            "forward_backward": self.forward_backward,
            "optim_step": self.optim_step,
            "save_weights": self.save_weights,
            "save_weights_for_sampler": self.save_for_sampler,
            "save_weights_external": self.save_external,
            "load_weights": self.load_weights,
            "create_sampling_session": self.create_sampling_session,
            "asample": self.sample,
            "retrieve_future": self.retrieve,
            "cancel_future": self.cancel,
        }

    async def health(self, _: Request) -> Response:
        """The engine answers."""
        return reply({"status": "ok"})

    async def capabilities(self, _: Request) -> Response:
        """The models that are served."""
        models = [
            {"model_name": base.spec.name, "max_context_length": base.context, "trainable": True, "sampleable": True}
            for base in self._service.bases
        ]
        return reply({"supported_models": models})

    async def client_config(self, _: Request) -> Response:
        """Flags for the SDK. Compression and JWTs make no sense on loopback."""
        return reply({"pjwt_auth_enabled": False, "proto_compress_fwdbwd": False, "parallel_fwdbwd_chunks": True})

    async def dynamic_config(self, _: Request) -> Response:
        """Flags that the SDK asks for again and again."""
        return reply({"refresh_interval_sec": 3600, "sample_cancel_enabled": True})

    async def create_session(self, request: Request) -> Response:
        """Open a session."""
        session = self._service.open_session(await read(request, types.CreateSessionRequest))
        return reply({"type": "create_session", "session_id": session.id})

    async def heartbeat(self, request: Request) -> Response:
        """A sign of life."""
        self._service.session((await read(request, types.SessionHeartbeatRequest)).session_id)
        return reply({"type": "session_heartbeat"})

    async def finish(self, request: Request) -> Response:
        """End a session; ending it twice changes nothing."""
        self._service.end_session(str(request.path_params["session_id"]))
        return reply({})

    async def telemetry(self, _: Request) -> Response:
        """Accepted and dropped: nothing that a client tells about itself is kept."""
        return reply({"status": "accepted"})

    async def create_model(self, request: Request) -> Response:
        """Start a training run."""
        return _promise(self._service.create_model(await read(request, types.CreateModelRequest)))

    async def unload_model(self, request: Request) -> Response:
        """Refused: the SDK ends a run by finishing its session."""
        await read(request, types.UnloadModelRequest)
        raise unsupported("A run ends with its session.", next_step="Close the ServiceClient.")

    async def get_info(self, request: Request) -> Response:
        """What a training client wants to know about its run."""
        live = self._service.running((await read(request, types.GetInfoRequest)).model_id)
        data = {"arch": live.base.architecture, "model_name": live.run.base_model, "tokenizer_id": live.base.spec.source}
        return reply(
            {
                "type": "get_info",
                "model_data": data,
                "model_id": live.run.model_id,
                "is_lora": True,
                "lora_rank": live.run.rank,
                "model_name": live.run.base_model,
            }
        )

    async def forward_backward(self, request: Request) -> Response:
        """A training batch; a refused one still takes its turn, or everything behind it would wait for ever."""
        body = await body_of(request)
        try:
            return _promise(self._service.forward_backward(read_training_batch(body)))
        except Exception:
            self._service.skip(*read_header(body))
            raise

    async def optim_step(self, request: Request) -> Response:
        """An optimiser step."""
        return await self._in_turn(request, types.OptimStepRequest, self._service.optim_step)

    async def save_weights(self, request: Request) -> Response:
        """A training checkpoint."""
        return await self._in_turn(request, types.SaveWeightsRequest, self._service.save_weights)

    async def save_for_sampler(self, request: Request) -> Response:
        """A sampler checkpoint or snapshot."""
        return await self._in_turn(request, types.SaveWeightsForSamplerRequest, self._service.save_for_sampler)

    async def save_external(self, request: Request) -> Response:
        """An export."""
        return await self._in_turn(request, types.SaveWeightsExternalRequest, self._service.save_external)

    async def load_weights(self, request: Request) -> Response:
        """Load a checkpoint."""
        return await self._in_turn(request, types.LoadWeightsRequest, self._service.load_weights)

    async def create_sampling_session(self, request: Request) -> Response:
        """Open a sampler."""
        sampler = self._service.open_sampler(await read(request, types.CreateSamplingSessionRequest))
        return reply({"type": "create_sampling_session", "sampling_session_id": sampler.id})

    async def sample(self, request: Request) -> Response:
        """Queue a sampling request."""
        asked = await read(request, types.SampleRequest)
        if asked.sampling_session_id is None:
            raise RefusalError("The request names no sampling session.", next_step="Create a sampling client first.")
        sampler = self._service.sampler(asked.sampling_session_id)
        seq = asked.seq_id if asked.seq_id is not None else id(asked)
        return _promise(
            self._service.sample(sampler.weights, f"{sampler.id}:{seq}", _sample_request(asked, sampler.weights.base))
        )

    async def retrieve(self, request: Request) -> Response:
        """Long poll for one result. 408 makes the SDK ask again without a warning."""
        wanted = await read(request, types.FutureRetrieveRequest)
        promise = await self._service.promises.fetch(wanted.request_id)
        if promise is None:
            return reply({"type": "try_again", "request_id": wanted.request_id, "queue_state": "active"}, 408)
        return Response(promise.body, media_type=promise.media)

    async def cancel(self, request: Request) -> Response:
        """Stop a sampling request that nobody waits for any more."""
        wanted = await read(request, types.FutureRetrieveRequest)
        promise = self._service.promises.find(wanted.request_id)
        if promise is not None and promise.cancel is not None:
            promise.cancel()
        return reply({})

    async def _in_turn(self, request: Request, model: type[T], act: Callable[[T], Promise]) -> Response:
        """Like ``forward_backward``: whatever is wrong, the request's number is used up."""
        raw = await body_of(request)
        try:
            return _promise(act(await read(request, model)))
        except Exception:
            _skip(self._service, raw)
            raise


def _skip(service: Service, raw: bytes) -> None:
    try:
        found = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    body = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    model_id, seq_id = body.get("model_id"), body.get("seq_id")
    if isinstance(model_id, str) and isinstance(seq_id, int):
        service.skip(model_id, seq_id)


def _promise(promise: Promise) -> Response:
    return reply(promise.answer())


def _sample_request(asked: types.SampleRequest, base: Any) -> SampleRequest:  # noqa: ANN401  a Base; its module needs torch
    """The SDK's request as the sampler's."""
    if asked.target_prompt_logprobs is not None or asked.prompt_alt_tokens_k:
        raise unsupported("The embedded engine has neither target_prompt_logprobs nor prompt_alt_tokens_k.")
    params = asked.sampling_params
    prompt = _prompt(asked.prompt)
    room = base.context - prompt.size
    # No stop at all (an empty list) means: go on behind the end token, too.
    given = params.stop
    ends = () if given is not None and len(given) == 0 else base.end_tokens
    texts = (given,) if isinstance(given, str) else tuple(part for part in given or () if isinstance(part, str) and part)
    tokens = () if isinstance(given, str) else tuple(part for part in given or () if isinstance(part, int))
    max_tokens = params.max_tokens if params.max_tokens is not None else max(1, room)
    if max_tokens < 1:
        raise RefusalError(f"max_tokens is {max_tokens}; it has to be at least 1.")
    return SampleRequest(
        prompt=prompt,
        samples=asked.num_samples,
        max_tokens=max_tokens,
        choice=Choice(params.temperature, params.top_k, params.top_p),
        seed=params.seed,
        stop_tokens=frozenset((*ends, *tokens)),
        stop_strings=texts,
        prompt_logprobs=bool(asked.prompt_logprobs),
        prompt_last=asked.prompt_logprobs_last_n,
        topk_prompt=asked.topk_prompt_logprobs,
        topk_sample=asked.topk_sample_logprobs,
    )


def _prompt(prompt: types.ModelInput) -> Ints:
    parts: list[int] = []
    for chunk in prompt.chunks:
        if not isinstance(chunk, types.EncodedTextChunk):
            raise unsupported("The prompt holds an image or audio. The embedded engine reads text only.")
        parts.extend(chunk.tokens)
    return np.asarray(parts, dtype=np.int64)
