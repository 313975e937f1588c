"""The wire: what the SDK writes is read exactly, and nothing that anybody writes does harm."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tinker import types
from tinker.proto.request_conv import forward_backward_request_to_proto
from tinker.proto.response_conv import deserialize_forward_backward_output, deserialize_sample_response

from studio.engine import protocol
from studio.engine.protocol import Sampled, SampledSequence, TopK, read_training_batch, write_sampled, write_training_result
from studio.engine.refusals import RefusalError
from tests.engine.conftest import batch, tokens


def encoded(data: list[types.Datum], loss: Any = "cross_entropy", config: Any = None) -> bytes:
    inside = types.ForwardBackwardInput(data=data, loss_fn=loss, loss_fn_config=config)
    request = types.ForwardBackwardRequest(forward_backward_input=inside, model_id="a:train:0", seq_id=3)
    return forward_backward_request_to_proto(request).SerializeToString()


def test_a_batch_is_read_as_it_was_sent() -> None:
    data = batch(5)
    read = read_training_batch(encoded(data, "ppo", {"clip_low_threshold": 0.5, "note": "x"}))
    assert (read.model_id, read.seq_id, read.loss, read.forward_only) == ("a:train:0", 3, "ppo", False)
    assert read.config == {"clip_low_threshold": 0.5, "note": "x"}
    for ours, theirs in zip(read.data, data, strict=True):
        assert ours.tokens.tolist() == theirs.model_input.to_ints()
        assert ours.targets.tolist() == theirs.loss_fn_inputs["target_tokens"].data
        assert ours.inputs["weights"].tolist() == theirs.loss_fn_inputs["weights"].data


def test_sparse_weights_become_dense() -> None:
    weights = torch.zeros(9, 12)
    weights[2, 3], weights[8, 0], weights[8, 11] = 0.5, 2.0, -1.0
    sparse = types.TensorData.from_torch_sparse(weights)
    assert sparse.sparse_crow_indices is not None
    inputs: Any = {"target_tokens": np.ones((9, 12), dtype=np.int64), "weights": sparse}
    datum = types.Datum(model_input=types.ModelInput.from_ints(tokens(9, 0)), loss_fn_inputs=inputs)
    (read,) = read_training_batch(encoded([datum])).data
    np.testing.assert_array_equal(read.inputs["weights"], weights.numpy())


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_requests_are_refused_and_nothing_worse(data: st.DataObject) -> None:
    body = bytearray(encoded(batch(2)) if data.draw(st.booleans()) else data.draw(st.binary(max_size=200)))
    for _ in range(data.draw(st.integers(0, 8))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = read_training_batch(bytes(body))
    except RefusalError:
        return
    for datum in read.data:
        assert datum.tokens.size == datum.targets.shape[0] > 0
        assert all(values.shape == datum.targets.shape for values in datum.inputs.values())


@given(
    st.lists(
        st.one_of(
            arrays.arrays(np.float32, st.integers(1, 9), elements=st.floats(-50, 0, width=32)),
            arrays.arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 3)), elements=st.floats(-50, 0, width=32)),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_sdk_reads_training_results_back(logprobs: list[Any]) -> None:
    result = deserialize_forward_backward_output(write_training_result(logprobs, {"loss:sum": 1.5}))
    assert result.metrics == {"loss:sum": 1.5}
    for sent, got in zip(logprobs, result.loss_fn_outputs, strict=True):
        np.testing.assert_array_equal(got["logprobs"].to_numpy().reshape(sent.shape), sent)


def test_the_sdk_reads_samples_back() -> None:
    top = TopK(np.array([[0, 0], [4, 5]], np.int32), np.array([[protocol.MASK_LOGPROB] * 2, [-0.5, -1.5]], np.float32))
    sampled = Sampled(
        (
            SampledSequence([1, 2], [-0.25, -0.5], stopped=True),
            SampledSequence([3], [-1.0], stopped=False, topk=TopK(top.tokens[1:], top.logprobs[1:])),
        ),
        np.array([np.nan, -2.0], np.float32),
        top,
    )  # fmt: skip
    result = deserialize_sample_response(write_sampled(sampled))
    assert [(s.tokens, s.logprobs, s.stop_reason) for s in result.sequences] == [
        ([1, 2], [-0.25, -0.5], "stop"),
        ([3], [-1.0], "length"),
    ]
    assert result.prompt_logprobs == [None, -2.0]
    assert result.topk_prompt_logprobs == [None, [(4, -0.5), (5, -1.5)]]
    assert result.sequences[1].topk_logprobs == [[(4, -0.5), (5, -1.5)]]


@pytest.mark.parametrize(
    ("values", "crow", "col", "shape"),
    [
        ([1.0], [0, 1], [0], [2, 2]),
        ([1.0], [0, 1, 1], [5], [2, 2]),
        ([1.0], [0, 1, 1], [-1], [2, 2]),
        ([1.0], [0, 2, 1], [0], [2, 2]),
        ([1.0], [1, 1, 1], [0], [2, 2]),
        ([1.0], [0, 1, 1], [0], [2**20, 2**20]),
        ([1.0, 2.0], [0, 1, 2], [0], [2, 2]),
    ],
)
def test_torn_sparse_matrices_are_refused(values: Any, crow: Any, col: Any, shape: Any) -> None:
    with pytest.raises(ValueError, match=r"sparse row|out of order"):
        protocol.dense_from_csr(np.array(values), np.array(crow), np.array(col), shape)
