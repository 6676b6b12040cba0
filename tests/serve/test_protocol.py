"""The protocol as bytes, against tritonclient's own writing and reading of them."""

from __future__ import annotations

import json
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.serve.protocol import NAMES, decode, encode
from torchtrt_ws.serve.protocol.datatypes import numpy_dtype


def body(**changes: Any) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}
    return {"inputs": [{**tensor, **changes}]}


def read(request: object, tail: bytes = b"") -> Any:
    head = json.dumps(request).encode()
    return decode(head + tail, len(head) if tail else None)


def test_json_flat_and_nested() -> None:
    for data in ([1, 2, 3, 4], [[1, 2], [3, 4]]):
        x = read(body(shape=[2, 2], data=data)).inputs["x"]
        assert x.dtype == np.float32
        np.testing.assert_array_equal(x, [[1, 2], [3, 4]])


def test_integers_are_exact() -> None:
    data = [2**63 - 1, -(2**63)]
    assert read(body(datatype="INT64", data=data)).inputs["x"].tolist() == [data]
    assert read(body(datatype="UINT64", data=[2**64 - 1, 0])).inputs["x"].tolist() == [[2**64 - 1, 0]]


# Given alone, each of these is refused; the text says what was found.
@pytest.mark.parametrize(
    ("request_", "found"),
    [
        (b"", "the request: found"),
        (b"[]", "the request: found []"),
        (b"\xff", "the request: found"),
        (b"[" * 100_000, "the request: found"),
        ({"inputs": {}}, "'inputs': found {}"),
        ({"inputs": [1]}, "'inputs': found [1]"),
        (body(name=""), "'name' of an input: found ''"),
        (body(name=3), "'name' of an input: found 3"),
        (body(datatype="BYTES"), "'datatype' of input 'x': found 'BYTES'"),
        (body(shape=[1, -2]), "'shape' of input 'x': found [1, -2]"),
        (body(shape=[True, 2]), "'shape' of input 'x': found [True, 2]"),
        (body(shape=[2**39, 2**39]), "'shape' of input 'x'"),
        (body(shape=[2**39, 2**39, 0], data=[]), "'shape' of input 'x'"),
        (body(shape=[1] * 17), "'shape' of input 'x'"),
        (body(shape=None), "'shape' of input 'x': found None"),
        (body(shape=[3]), "'data' of input 'x': found [2]; expected 3 elements"),
        (body(data=[[1], [2]]), "'data' of input 'x': found [2, 1]"),
        (body(data=[[1], 2]), "'data' of input 'x'"),
        (body(data=["a", "b"]), "'data' of input 'x'"),
        (body(data=[None, 1]), "'data' of input 'x'"),
        (body(data=[True, False]), "expected elements of float32"),
        (body(data="ab"), "expected a list"),
        (body(datatype="INT32", data=[1.5, 2]), "expected elements of int32"),
        (body(datatype="INT8", data=[128, 0]), "expected numbers that int8 holds"),
        (body(datatype="UINT8", data=[-1, 0]), "expected numbers that uint8 holds"),
        (body(datatype="BOOL", data=[1, 0]), "expected elements of bool"),
        (body(parameters={"binary_data_size": 8}), "expected one of them"),
        (body(parameters=[]), "'parameters' of input 'x': found []"),
        ({"inputs": body()["inputs"] * 2}, "x twice"),
        ({**body(), "outputs": [{"name": "y", "parameters": {"binary_data": 1}}]}, "'binary_data': found 1"),
        ({**body(), "outputs": [{"name": "y", "parameters": {"classification": 3}}]}, "classification"),
        ({**body(), "id": 3}, "'id' of the request: found 3"),
    ],
)
def test_what_is_not_of_the_protocol(request_: Any, found: str) -> None:
    with pytest.raises(ProgramError) as error:
        decode(request_) if isinstance(request_, bytes) else read(request_)
    assert found in str(error.value)
    assert len(str(error.value)) < 400, "nothing of a client's is repeated at length"


def binary(size: object, shape: tuple[int, ...] = (1, 2)) -> dict[str, Any]:
    tensor = {"name": "x", "datatype": "FP32", "shape": shape, "parameters": {"binary_data_size": size}}
    return {"inputs": [tensor]}


@pytest.mark.parametrize(
    ("size", "tail", "found"),
    [
        (8, b"12345678", None),
        (8, b"1234567", "found '7 bytes left in the body'"),
        (8, b"123456789", "found '9 bytes behind the JSON'"),
        (4, b"12345678", "found 4; expected 8 bytes"),
        (-8, b"12345678", "found -8"),
        (8.0, b"12345678", "found 8.0"),
        (True, b"1", "found True"),
        (2**70, b"12345678", f"found {2**70}"),
    ],
)
def test_binary_sizes(size: object, tail: bytes, found: str | None) -> None:
    if found is None:
        assert read(binary(size), tail).inputs["x"].tobytes() == tail
        return
    with pytest.raises(ProgramError) as error:
        read(binary(size), tail)
    assert found in str(error.value)


@pytest.mark.parametrize("length", [-1, 10**9])
def test_a_header_beyond_the_body(length: int) -> None:
    with pytest.raises(ProgramError, match="Inference-Header-Content-Length"):
        decode(b"{}", length)


def test_where_bytes_lie_does_not_matter() -> None:
    """The JSON before them is of any length, and numpy wants aligned memory for some things."""
    for spaces in range(9):
        head = json.dumps(binary(8)).encode() + b" " * spaces
        x = decode(head + np.array([1, 2], np.float32).tobytes(), len(head)).inputs["x"]
        assert x.flags.aligned
        np.testing.assert_array_equal(x, [[1, 2]])


def test_infinity_is_not_json() -> None:
    request = read(body())
    with pytest.raises(ProgramError, match="NaN or infinity"):
        encode(request, "m", "1", {"y": np.array([np.nan], np.float32)})


def test_an_output_that_there_is_not() -> None:
    request = read({**body(), "outputs": [{"name": "z"}]})
    with pytest.raises(ProgramError, match="'z'; expected one of y"):
        encode(request, "m", "1", {"y": np.zeros(1, np.float32)})


TENSORS = st.sampled_from(sorted(NAMES)).flatmap(
    lambda datatype: st.tuples(
        st.just(datatype),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4).flatmap(
            lambda shape: arrays.arrays(
                np.uint8, (int(np.prod(shape)) * numpy_dtype(datatype).itemsize,), elements=st.integers(0, 255)
            ).map(lambda raw: (raw % 2 if datatype == "BOOL" else raw).view(numpy_dtype(datatype)).reshape(shape))
        ),
    )
)


@given(st.lists(TENSORS, min_size=1, max_size=3), st.booleans())
def test_tritonclient_writes_and_reads_the_same(tensors: list[tuple[str, Any]], as_bytes: bool) -> None:
    """What its client sends is read bit by bit, and what we answer its client reads bit by bit."""
    http = pytest.importorskip("tritonclient.http")
    from tritonclient.http._utils import _get_inference_request

    inputs = []
    for number, (datatype, array) in enumerate(tensors):
        as_bytes = as_bytes or datatype in ("FP16", "BF16")  # which its JSON has not
        if not as_bytes and array.dtype.kind == "f" and not np.isfinite(array).all():
            return
        inputs.append(http.InferInput(f"x{number}", list(array.shape), datatype))
        inputs[-1].set_data_from_numpy(array, binary_data=as_bytes)
    sent, header = _get_inference_request(
        inputs=inputs,
        request_id="7",
        outputs=None,
        sequence_id=0,
        sequence_start=False,
        sequence_end=False,
        priority=0,
        timeout=None,
        custom_parameters=None,
    )
    request = decode(sent if isinstance(sent, bytes) else sent.encode(), header)
    assert request.id == "7" and request.binary
    for number, (datatype, array) in enumerate(tensors):
        found = request.inputs[f"x{number}"]
        assert found.dtype == array.dtype and found.shape == array.shape
        is_nan = array != array
        assert found[~is_nan].tobytes() == array[~is_nan].tobytes(), datatype
    answer, header = encode(request, "m", "1", request.inputs)
    result = http.InferenceServerClient.parse_response_body(answer, header_length=header)
    for number, (datatype, _) in enumerate(tensors):
        want = request.inputs[f"x{number}"]
        got = result.as_numpy(f"x{number}")
        np.testing.assert_array_equal(got.astype(np.float64), want.astype(np.float64), datatype)
        assert result.get_output(f"x{number}")["shape"] == list(want.shape)


def test_outputs_as_json_are_read_by_tritonclient() -> None:
    http = pytest.importorskip("tritonclient.http")
    request = read({**body(), "outputs": [{"name": "b"}, {"name": "a", "parameters": {"binary_data": True}}]})
    outputs: dict[str, Any] = {
        "a": np.array([[1.5, np.inf]], np.float32),
        "b": np.array([1, -2], np.int64),
        "c": np.array([3.0], ml_dtypes.bfloat16),
    }
    answer, header = encode(request, "m", "1", outputs)
    result = http.InferenceServerClient.parse_response_body(answer, header_length=header)
    assert [each["name"] for each in result.get_response()["outputs"]] == ["b", "a"]
    for name in "ab":
        np.testing.assert_array_equal(result.as_numpy(name), outputs[name])
    head, _ = encode(read({**body(), "outputs": [{"name": "c"}]}), "m", "1", outputs)
    assert json.loads(head)["outputs"][0]["data"] == [3.0]
