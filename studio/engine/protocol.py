"""The wire: protobuf requests to plain values, plain values to protobuf results.

Guarantees: whatever comes in is checked here, so that shapes and dtypes behind this module are always right; whatever is wrong
raises ``RefusalError`` and never anything else. The messages are those of ``tinker.proto`` in SDK 0.38.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tinker.proto import tinker_public_pb2

from studio.engine.refusals import RefusalError, unsupported

#: A protobuf message.
Message: TypeAlias = Any
Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float32]

# The generated module builds its classes at run time, so that no type checker sees them.
pb: Any = tinker_public_pb2

PROTOBUF = "application/x-protobuf"
#: What stands in a top-k row where there is nothing to say; the SDK reads it as "none".
MASK_LOGPROB = -99999.0

_DTYPES: dict[int, Any] = {pb.DTYPE_FLOAT32: np.float32, pb.DTYPE_INT64: np.int64, pb.DTYPE_INT32: np.int32}


@dataclass(frozen=True, slots=True)
class TrainingDatum:
    """One sequence of a training batch.

    ``tokens`` has shape ``(T,)``. ``targets`` has shape ``(T,)``, or ``(T, K)`` for K weighted targets per position. Every
    array of ``inputs`` (``weights``, ``advantages``, ``logprobs``) has the shape of ``targets``.
    """

    tokens: Ints
    targets: Ints
    inputs: Mapping[str, Floats]


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A decoded ``ForwardBackwardRequest``."""

    model_id: str
    seq_id: int
    data: tuple[TrainingDatum, ...]
    loss: str
    config: Mapping[str, float | str]
    forward_only: bool


@dataclass(frozen=True, slots=True)
class TopK:
    """The k likeliest tokens at each of ``length`` positions, both arrays of shape ``(length, k)``."""

    tokens: NDArray[np.int32]
    logprobs: Floats


@dataclass(frozen=True, slots=True)
class SampledSequence:
    """One generated sequence: ``tokens`` and ``logprobs`` of shape ``(n,)``; ``stopped`` is false when it ran out of tokens."""

    tokens: Sequence[int]
    logprobs: Sequence[float]
    stopped: bool
    topk: TopK | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """All that one sampling request gets back. ``prompt_logprobs`` has one entry per prompt token, NaN where not computed."""

    sequences: tuple[SampledSequence, ...]
    prompt_logprobs: Floats | None = None
    topk_prompt: TopK | None = None


def read_header(body: bytes) -> tuple[str, int]:
    """Only ``model_id`` and ``seq_id`` of a forward-backward body, so that a bad batch still takes its turn."""
    message = _parse(body)
    return str(message.model_id), int(message.seq_id)


def read_training_batch(body: bytes) -> TrainingBatch:
    """Decode and check one ``ForwardBackwardRequest``. Raises ``RefusalError``."""
    message = _parse(body)
    config: dict[str, float | str] = {name: float(value) for name, value in message.loss_fn_config.items()}
    for name, value in message.loss_fn_config_v2.items():
        config[name] = str(value.text) if value.WhichOneof("value") == "text" else float(value.number)
    if not message.data:
        raise RefusalError("The batch holds no examples.")
    return TrainingBatch(
        model_id=str(message.model_id),
        seq_id=int(message.seq_id),
        data=tuple(_read_datum(datum, index) for index, datum in enumerate(message.data)),
        loss=str(message.loss_fn),
        config=config,
        forward_only=bool(message.forward_only),
    )


def _parse(body: bytes) -> Message:
    message = pb.ForwardBackwardRequest()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise RefusalError("The request is not a ForwardBackwardRequest of the Tinker protocol.") from error
    return message


def _read_datum(message: Message, index: int) -> TrainingDatum:
    where = f"Example {index} of the batch"
    tokens = _read_tokens(message.model_input, where)
    if tokens.size == 0:
        raise RefusalError(f"{where} has no tokens.")
    tensors = {str(name): read_tensor(value, f"{where}, {name}") for name, value in message.loss_fn_inputs.items()}
    targets = tensors.pop("target_tokens", None)
    if targets is None:
        raise RefusalError(f"{where} has no target_tokens.")
    if targets.ndim not in (1, 2) or targets.shape[0] != tokens.size or targets.size == 0:
        raise RefusalError(f"{where} has {tokens.size} tokens, but target_tokens of shape {list(targets.shape)}.")
    for name, values in tensors.items():
        if values.shape != targets.shape:
            raise RefusalError(f"{where}: {name} has shape {list(values.shape)}, target_tokens has {list(targets.shape)}.")
        if not np.isfinite(values).all():
            raise RefusalError(f"{where}: {name} holds a value that is not a number.")
    return TrainingDatum(
        tokens=tokens,
        targets=targets.astype(np.int64, copy=False),
        inputs={name: values.astype(np.float32, copy=False) for name, values in tensors.items()},
    )


def _read_tokens(chunks: Message, where: str) -> Ints:
    parts: list[Any] = []
    for chunk in chunks:
        if chunk.WhichOneof("chunk") != "encoded_text":
            raise unsupported(f"{where} holds an image or audio. The embedded engine reads text only.")
        raw = bytes(chunk.encoded_text.tokens)
        if len(raw) % 4:
            raise RefusalError(f"{where} holds tokens that are not 32-bit integers.")
        parts.append(np.frombuffer(raw, dtype=np.int32))
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, dtype=np.int64)


def read_tensor(message: Message, where: str) -> NDArray[Any]:
    """A dense array from a protobuf ``Tensor``; entries that a sparse one does not list are 0. Raises ``RefusalError``."""
    dtype = _DTYPES.get(message.dtype)
    if dtype is None:
        raise RefusalError(f"{where} has an element type that is neither float32 nor an integer.")
    shape = [int(side) for side in message.shape]
    try:
        if message.HasField("sparse_csr"):
            csr = message.sparse_csr
            return dense_from_csr(
                np.frombuffer(csr.values, dtype=dtype),
                np.frombuffer(csr.crow_indices, dtype=np.int64),
                np.frombuffer(csr.col_indices, dtype=np.int64),
                shape,
            )
        values = np.frombuffer(message.dense, dtype=dtype)
        return values.reshape(shape) if shape else values
    except (ValueError, IndexError) as error:
        raise RefusalError(f"{where} does not fit its shape {shape}.") from error


def dense_from_csr(
    values: NDArray[Any], crow: NDArray[np.int64], col: NDArray[np.int64], shape: Sequence[int], *, fill: int = 0
) -> NDArray[Any]:
    """The dense matrix of a compressed-sparse-row one, ``fill`` where nothing is listed. Raises ``ValueError``."""
    if len(shape) != 2 or min(shape) < 0 or crow.size != shape[0] + 1 or col.size != values.size or shape[0] * shape[1] > 2**28:
        raise ValueError("not a compressed sparse row matrix")
    counts = np.diff(crow)
    if crow[0] != 0 or crow[-1] != values.size or (counts < 0).any() or (col < 0).any() or (col >= shape[1]).any():
        raise ValueError("indices out of order")
    dense = np.full(tuple(shape), fill, dtype=values.dtype)
    dense[np.repeat(np.arange(shape[0]), counts), col] = values
    return dense


def write_training_result(logprobs: Sequence[Floats], metrics: Mapping[str, float]) -> bytes:
    """A ``ForwardBackwardOutput``: per example the log-probabilities of its targets, in the order of the batch."""
    message = pb.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord")
    # A record is rectangular behind its first axis, so examples with another number of targets start a new one.
    for trailing, group in groupby(logprobs, key=lambda values: values.shape[1:]):
        arrays = list(group)
        record = message.loss_fn_outputs.add(type_tag="ArrayRecord", num_datums=len(arrays))
        tensor = record.fields["logprobs"]
        tensor.data = b"".join(np.ascontiguousarray(values, dtype=np.float32).tobytes() for values in arrays)
        tensor.offsets = np.cumsum([0, *(values.size * 4 for values in arrays)], dtype=np.int64).tobytes()
        tensor.dtype = pb.DTYPE_FLOAT32
        tensor.trailing_shape.extend(trailing)
    for name, value in metrics.items():
        message.metrics[name] = float(value)
    return bytes(message.SerializeToString())


def write_sampled(result: Sampled) -> bytes:
    """A ``SampleResponse``."""
    message = pb.SampleResponse()
    for sequence in result.sequences:
        part = message.sequences.add(stop_reason=pb.STOP_REASON_STOP if sequence.stopped else pb.STOP_REASON_LENGTH)
        part.tokens = np.asarray(sequence.tokens, dtype=np.int32).tobytes()
        part.logprobs = np.asarray(sequence.logprobs, dtype=np.float32).tobytes()
        if sequence.topk is not None:
            _write_topk(part.topk_sampled_logprobs, sequence.topk)
    if result.prompt_logprobs is not None:
        message.prompt_logprobs = result.prompt_logprobs.astype(np.float32, copy=False).tobytes()
    if result.topk_prompt is not None:
        _write_topk(message.topk_prompt_logprobs, result.topk_prompt)
    return bytes(message.SerializeToString())


def _write_topk(message: Message, topk: TopK) -> None:
    message.length, message.k = topk.tokens.shape
    message.token_ids = np.ascontiguousarray(topk.tokens, dtype=np.int32).tobytes()
    message.logprobs = np.ascontiguousarray(topk.logprobs, dtype=np.float32).tobytes()
