"""Sessions, training runs and samplers: what the engine knows between two requests, independent of HTTP.

Guarantees: requests of one training run are done in the order of their sequence numbers, whatever order they arrive in; a
finished or lapsed session gives back all memory that it held; what a client may still need is on disk.
The methods belong to the event loop's thread; the closures they hand to the scheduler belong to the compute thread.
"""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from safetensors.torch import load_file, save
from tinker import types

from studio.engine import external, trainer
from studio.engine.base import Base, Shape
from studio.engine.checkpoints import CheckpointPath, Checkpoints, Run
from studio.engine.live import LiveRun, Sampler, Session
from studio.engine.promises import Promise, Promises
from studio.engine.protocol import TrainingBatch, write_sampled, write_training_result
from studio.engine.refusals import RefusalError, not_found, unsupported
from studio.engine.sampler import SampleRequest, Ticket, check
from studio.engine.scheduler import Pending, Scheduler
from studio.engine.shelf import ADAPTER, OPTIMIZER, SamplerWeights, Shelf, adapter_files, load_adapter
from studio.engine.turns import Turns

logger = logging.getLogger(__name__)

#: A session is over when its client has been silent for this long (the SDK sends a sign of life every 10 s). Seconds.
LAPSE: Final = 180.0
#: Adapters held in memory for sampling beside those in training.
SHELF: Final = 8
_REMEMBERED: Final = 1000

Result = bytes | dict[str, Any]


class Service:
    """Everything behind the routes."""

    def __init__(self, bases: Sequence[Base], checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.promises = Promises()
        self.scheduler = Scheduler()
        self.shelf = Shelf(SHELF, lambda: self.scheduler.in_use)
        self.bases = tuple(bases)
        self.sessions: dict[str, Session] = {}
        self.live: dict[str, LiveRun] = {}
        self.samplers: dict[str, Sampler] = {}
        self._names = {name: base for base in bases for name in (base.spec.name, *base.spec.aliases)}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._scratch = checkpoints.root / f".ephemeral-{os.getpid()}"
        _clear_scratch(checkpoints.root)

    # ── sessions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_session(self, request: types.CreateSessionRequest) -> Session:
        """A new session under a fresh id."""
        session = Session(secrets.token_hex(8), datetime.now(UTC), request.user_metadata or {}, request.display_name)
        self.sessions[session.id] = session
        return session

    def session(self, session_id: str) -> Session:
        """The session of this id, which counts as a sign of life. Raises ``RefusalError``."""
        session = self.sessions.get(session_id)
        if session is None:
            if session_id in self._ended:
                raise RefusalError(
                    f"The session {session_id} is over.", status=410, kind="session_over", next_step="Open a new one."
                )
            raise not_found(
                f"The engine knows no session {session_id!r}.", next_step="It may have been restarted; open a new one."
            )
        session.seen = time.monotonic()
        return session

    def end_session(self, session_id: str) -> None:
        """Give back what a session held. Checkpoints stay; what was only meant for the session goes."""
        session = self.sessions.pop(session_id, None)
        if session is None:
            return
        self._ended[session_id] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)
        doomed = [self.live.pop(model_id) for model_id in session.runs if model_id in self.live]
        folders = [
            sampler.weights.folder
            for sampler_id in session.samplers
            if (sampler := self.samplers.pop(sampler_id, None)) is not None
            and sampler.weights.folder is not None
            and sampler.weights.folder.is_relative_to(self._scratch)
        ]

        def release() -> None:
            for live in doomed:
                if live.trainee is not None:
                    live.base.drop(live.trainee.adapter)
                    live.trainee = None
                self.checkpoints.forget_if_empty(live.run.model_id)
            for folder in folders:
                self.shelf.discard(folder)
                shutil.rmtree(folder, ignore_errors=True)

        self.scheduler.submit(release)

    def tick(self) -> None:
        """Housekeeping, every few seconds: lapsed sessions and requests that wait in vain."""
        now = time.monotonic()
        for session in [session for session in self.sessions.values() if now - session.seen > LAPSE]:
            logger.warning("Session %s has been silent for %.0f s and is over", session.id, now - session.seen)
            self.end_session(session.id)
        for live in self.live.values():
            if (missing := live.turns.unblock()) is not None:
                logger.warning("Request %s of %s never arrived", missing, live.run.model_id)

    def close(self) -> None:
        """Stop computing and remove what was only meant for this process."""
        self.scheduler.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    # ── training runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def base(self, name: str) -> Base:
        """The base model of this name. Raises ``RefusalError``."""
        base = self._names.get(name)
        if base is None:
            served = ", ".join(base.spec.name for base in self.bases)
            raise not_found(
                f"This engine does not serve {name!r}.",
                next_step=f"It serves {served}. Start it with --model {name} to change that.",
            )
        return base

    def create_model(self, request: types.CreateModelRequest) -> Promise:
        """Start a training run on a fresh adapter."""
        session = self.session(request.session_id)
        model_id = f"{session.id}:train:{request.model_seq_id}"
        if (promise := self.promises.find(model_id)) is not None:
            return promise
        _check_optimizer(request.optimizer_config)
        base = self.base(request.base_model)
        lora = request.lora_config
        if lora is None:
            raise unsupported("The embedded engine trains LoRA adapters only.", next_step="Give a LoRA configuration.")
        shape = base.shape(lora.rank, mlp=lora.train_mlp, attn=lora.train_attn, unembed=lora.train_unembed)
        live = self._begin(session, model_id, base, shape, request.user_metadata)

        def work() -> Result:
            live.trainee = trainer.begin(base, base.create(shape, lora.seed))
            return {"model_id": model_id, "type": "create_model"}

        promise = self.promises.make(model_id, model_id=model_id)
        self.scheduler.submit(_keeping(promise, work))
        return promise

    def load_weights(self, request: types.LoadWeightsRequest) -> Promise:
        """Load a checkpoint into a run, or start a run from one."""
        path = CheckpointPath.parse(request.path)
        folder = self.checkpoints.folder(path)
        if request.optimizer and not (folder / OPTIMIZER).is_file():
            raise RefusalError(
                f"{path} was saved for sampling and has no optimizer state.", next_step="Use a path under /weights/."
            )
        if request.session_id is not None:
            return self._create_from(request, path, folder)
        live = self.running(request.model_id or "")
        self._require_base(path, live.base)

        def work() -> Result:
            trainee = live.training()
            shape, tensors = load_adapter(folder, live.base)
            if (shape.rank, shape.targets) != (live.run.rank, live.run.targets):
                raise RefusalError(f"{path} has another shape than this run.", next_step="Start a new run from the checkpoint.")
            live.base.fill(trainee.adapter, tensors)
            live.trainee = self._resumed(live, folder, optimizer=request.optimizer)
            return {"path": str(path), "model_id": live.run.model_id, "type": "load_weights"}

        return self.ordered(live, request.seq_id, work)

    def _create_from(self, request: types.LoadWeightsRequest, path: CheckpointPath, folder: Path) -> Promise:
        session = self.session(request.session_id or "")
        model_id = f"{session.id}:train:{request.model_seq_id or 0}"
        if (promise := self.promises.find(model_id)) is not None:
            return promise
        if request.optimizer_config is not None:
            _check_optimizer(request.optimizer_config)
        origin = self.checkpoints.run(path.model_id)
        base = self.base(request.base_model or origin.base_model)
        self._require_base(path, base)
        shape = base.shape(origin.rank, mlp=origin.train_mlp, attn=origin.train_attn, unembed=origin.train_unembed)
        metadata = request.user_metadata if request.user_metadata is not None else origin.user_metadata
        live = self._begin(session, model_id, base, shape, metadata)

        def work() -> Result:
            _, tensors = load_adapter(folder, base)
            live.trainee = trainer.begin(base, base.restore(shape, tensors))
            live.trainee = self._resumed(live, folder, optimizer=request.optimizer)
            return {"path": str(path), "model_id": model_id, "type": "load_weights"}

        promise = self.promises.make(model_id, model_id=model_id)
        self.scheduler.submit(_keeping(promise, work))
        return promise

    def _require_base(self, path: CheckpointPath, base: Base) -> None:
        self.checkpoints.get(path).require_base(base.spec.name, base.fingerprint)

    def _resumed(self, live: LiveRun, folder: Path, *, optimizer: bool) -> trainer.Trainee:
        """A run's trainee after its weights were replaced: a fresh optimiser, or the saved one. On the compute thread."""
        fresh = trainer.begin(live.base, live.training().adapter)
        if optimizer:
            trainer.restore_optimizer(fresh, load_file(folder / OPTIMIZER))
        return fresh

    def _begin(self, session: Session, model_id: str, base: Base, shape: Shape, metadata: Mapping[str, Any] | None) -> LiveRun:
        run = Run(
            model_id=model_id,
            session_id=session.id,
            base_model=base.spec.name,
            rank=shape.rank,
            targets=shape.targets,
            train_mlp=shape.train_mlp,
            train_attn=shape.train_attn,
            train_unembed=shape.train_unembed,
            created=datetime.now(UTC),
            user_metadata={str(name): str(value) for name, value in {**session.user_metadata, **(metadata or {})}.items()},
        )
        self.checkpoints.remember(run)
        live = self.live[model_id] = LiveRun(run=run, base=base, turns=Turns(self.scheduler.submit))
        session.runs.append(model_id)
        return live

    def running(self, model_id: str) -> LiveRun:
        """The run of this id, if it can be trained right now. Raises ``RefusalError``."""
        live = self.live.get(model_id)
        if live is None:
            raise RefusalError(
                f"The engine is not training a run {model_id!r}.",
                status=404,
                kind="session_over" if model_id.partition(":")[0] in self._ended else "not_found",
                next_step="Its session is over, or the engine was restarted. Start again from its last checkpoint.",
            )
        self.session(live.run.session_id)
        return live

    def ordered(self, live: LiveRun, seq_id: int | None, work: Callable[[], Result]) -> Promise:
        """Do ``work`` when every request of the run with a lower number has been done."""
        number = live.turns.due if seq_id is None else seq_id
        request_id = f"{live.run.model_id}:{number}"
        if (promise := self.promises.find(request_id)) is not None:
            return promise
        if number < live.turns.due:
            raise RefusalError(f"Request {number} of {live.run.model_id} has been done already.")
        promise = self.promises.make(request_id, model_id=live.run.model_id)
        live.turns.take(number, _keeping(promise, work))
        return promise

    def skip(self, model_id: str, seq_id: int) -> None:
        """Let the requests behind a refused one move up."""
        live = self.live.get(model_id)
        if live is not None and f"{model_id}:{seq_id}" not in self.promises:
            live.turns.skip(seq_id)

    def forward_backward(self, batch: TrainingBatch) -> Promise:
        """Losses and gradients of one batch."""
        live = self.running(batch.model_id)

        def work() -> Result:
            logprobs, metrics = trainer.forward_backward(live.training(), batch)
            return write_training_result(logprobs, metrics)

        return self.ordered(live, batch.seq_id, work)

    def optim_step(self, request: types.OptimStepRequest) -> Promise:
        """One optimiser step."""
        live = self.running(request.model_id)
        params = request.optim_params
        if not isinstance(params, types.AdamParams):
            raise unsupported("The embedded engine has no optimizer but Adam.")
        return self.ordered(live, request.seq_id, lambda: {"metrics": trainer.optim_step(live.training(), params)})

    # ── saving ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def save_weights(self, request: types.SaveWeightsRequest) -> Promise:
        """A training checkpoint: weights and optimiser."""
        live = self.running(request.model_id)
        path = CheckpointPath(request.model_id, "weights", request.path or f"request-{request.seq_id}")

        def work() -> Result:
            trainee = live.training()
            files = adapter_files(trainee.adapter, live.base.spec.source)
            files[OPTIMIZER] = save(trainer.optimizer_tensors(trainee))
            meta = live.meta(request.user_metadata)
            self.checkpoints.save(path, files, meta=meta, ttl=request.ttl_seconds, overwrite=request.overwrite)
            return {"path": str(path), "type": "save_weights"}

        return self.ordered(live, request.seq_id, work)

    def save_for_sampler(self, request: types.SaveWeightsForSamplerRequest) -> Promise:
        """A sampler checkpoint under a name, or a snapshot that lives as long as the session."""
        live = self.running(request.model_id)
        if request.path is None:
            return self._snapshot(live, request)
        path = CheckpointPath(request.model_id, "sampler_weights", request.path)

        def work() -> Result:
            files = adapter_files(live.training().adapter, live.base.spec.source)
            meta = live.meta(request.user_metadata)
            self.checkpoints.save(path, files, meta=meta, ttl=request.ttl_seconds, overwrite=True)
            return {"path": str(path), "type": "save_weights_for_sampler"}

        return self.ordered(live, request.seq_id, work)

    def _snapshot(self, live: LiveRun, request: types.SaveWeightsForSamplerRequest) -> Promise:
        session = self.session(live.run.session_id)
        sampler_id = f"{session.id}:sample:{request.sampling_session_seq_id or 0}"
        folder = self._scratch / sampler_id.replace(":", "-")
        weights = SamplerWeights(live.base, folder, stamp=sampler_id, shelf=self.shelf)
        self._add_sampler(session, Sampler(sampler_id, session.id, weights, live.run.base_model, None))

        def work() -> Result:
            folder.mkdir(parents=True, exist_ok=True)
            for name, body in adapter_files(live.training().adapter, live.base.spec.source).items():
                (folder / name).write_bytes(body)
            return {"sampling_session_id": sampler_id, "type": "save_weights_for_sampler"}

        return self.ordered(live, request.seq_id, work)

    def save_external(self, request: types.SaveWeightsExternalRequest) -> Promise:
        """An export for other programs: PEFT files, each encrypted to the recipients if there are any."""
        live = self.running(request.model_id)
        path = CheckpointPath(request.model_id, "external_weights", request.path)
        seal = external.sealer(request.age_encryption_recipients or [])

        def work() -> Result:
            files = seal(adapter_files(live.training().adapter, live.base.spec.source))
            saved = self.checkpoints.save(path, files, meta=live.meta(None), ttl=request.ttl_seconds, overwrite=True)
            return {"path": str(path), "size_bytes": saved.size, "type": "save_weights_external"}

        return self.ordered(live, request.seq_id, work)

    # ── sampling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def open_sampler(self, request: types.CreateSamplingSessionRequest) -> Sampler:
        """A sampling session on the base or on a checkpoint. Raises ``RefusalError`` at once when there is no such thing."""
        session = self.session(request.session_id)
        weights, base_model = self._weights(request.base_model, request.model_path)
        sampler_id = f"{session.id}:sample:{request.sampling_session_seq_id}"
        sampler = Sampler(sampler_id, session.id, weights, base_model, request.model_path)
        self._add_sampler(session, sampler)
        return sampler

    def _add_sampler(self, session: Session, sampler: Sampler) -> None:
        if sampler.id not in self.samplers:
            session.samplers.append(sampler.id)
        self.samplers[sampler.id] = sampler

    def _weights(self, base_model: str | None, model_path: str | None) -> tuple[SamplerWeights, str]:
        if model_path is None:
            base = self.base(base_model or "")
            return SamplerWeights(base), base.spec.name
        path = CheckpointPath.parse(model_path)
        if path.kind == "external_weights":
            raise RefusalError(f"{path} is an export and cannot be sampled.", next_step="Use a path under /sampler_weights/.")
        folder = self.checkpoints.folder(path)
        saved = self.checkpoints.get(path)
        base = self.base(base_model or saved.base_model)
        saved.require_base(base.spec.name, base.fingerprint)
        if not (folder / ADAPTER).is_file():
            raise not_found(f"The checkpoint {path} has no weights.")
        return SamplerWeights(base, folder, stamp=saved.created.isoformat(), shelf=self.shelf), base.spec.name

    def sampler(self, sampler_id: str) -> Sampler:
        """The sampling session of this id. Raises ``RefusalError``."""
        sampler = self.samplers.get(sampler_id)
        if sampler is None:
            raise RefusalError(
                f"The engine knows no sampler {sampler_id!r}.",
                status=404,
                kind="session_over" if sampler_id.partition(":")[0] in self._ended else "not_found",
                next_step="Create a new sampling client.",
            )
        self.session(sampler.session_id)
        return sampler

    def sample(self, weights: SamplerWeights, request_id: str, request: SampleRequest) -> Promise:
        """Queue a sampling request. Raises ``RefusalError`` at once for what cannot be sampled."""
        if (promise := self.promises.find(request_id)) is not None:
            return promise
        check(request, weights.base)
        promise = self.promises.make(request_id, sample_sequence_ids=[f"{request_id}:{n}" for n in range(request.samples)])
        ticket = Ticket(request, lambda result: promise.resolve(write_sampled(result)))

        def cancel() -> None:
            ticket.cancelled = True
            promise.reject(RefusalError("The request was cancelled."))

        promise.cancel = cancel
        self.scheduler.sample(Pending(weights, ticket, promise.reject))
        return promise


def _keeping(promise: Promise, work: Callable[[], Result]) -> Callable[[], None]:
    """``work`` whose outcome, whichever it is, reaches the promise."""

    def run() -> None:
        try:
            promise.resolve(work())
        except Exception as error:  # noqa: BLE001  the client is told, the thread lives on
            promise.reject(error)

    return run


def _check_optimizer(config: object) -> None:
    if not isinstance(config, types.AdamOptimizerConfig) and getattr(config, "type", None) != "adamw":
        raise unsupported(f"The embedded engine has no optimizer {getattr(config, 'type', config)!r}.", next_step="Use adamw.")


def _clear_scratch(root: Path) -> None:
    """Remove the session files of engines that were killed."""
    for folder in root.glob(".ephemeral-*"):
        pid = folder.name.removeprefix(".ephemeral-")
        if pid.isdecimal() and (int(pid) == os.getpid() or not psutil.pid_exists(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)
