"""An inference request: from the bytes of its body to arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchtrt_ws.errors import ProgramError
from torchtrt_ws.serve.protocol.datatypes import NAMES, numpy_dtype
from torchtrt_ws.serve.protocol.fields import objects, parameters, refused, shape, text

__all__ = ["InferRequest", "Wanted", "decode"]

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Wanted:
    """An output that the client asks for: its name, and whether as bytes (else as JSON)."""

    name: str
    binary: bool


@dataclass(frozen=True)
class InferRequest:
    """What a client asks.

    Args:
        id: To be repeated in the answer; None where it gave none.
        inputs: Array by input name, in the request's order. Those that came as bytes lie in the body.
        outputs: Those that it wants, in its order; none for all.
        binary: Whether it wants outputs that it does not name as bytes.
    """

    id: str | None
    inputs: Mapping[str, Array]
    outputs: tuple[Wanted, ...]
    binary: bool


def decode(body: bytes, header_bytes: int | None = None) -> InferRequest:
    """Reads a request.

    Args:
        body: Of the HTTP request.
        header_bytes: How many of them are the JSON object: `Inference-Header-Content-Length`; behind it lie tensors.
            None: all.

    Raises:
        ProgramError: It is not of the protocol, or has a datatype that programs do not; the error says what.
    """
    end = len(body) if header_bytes is None else header_bytes
    if not 0 <= end <= len(body):
        raise refused("Inference-Header-Content-Length", end, f"bytes of the body, at most {len(body)}")
    request = _json(body[:end])
    tail = memoryview(body)[end:]
    inputs: dict[str, Array] = {}
    used = 0
    for item in objects(request, "inputs"):
        name = text(item, "name", "an input")
        if name in inputs:
            raise refused("'inputs'", f"{name} twice", "each input once")
        inputs[name], used = _tensor(item, f"input {name!r}", tail, used)
    if used != len(tail):
        raise refused("the body", f"{len(tail)} bytes behind the JSON", f"{used}, as the inputs' binary_data_size say")
    options = parameters(request, "the request")
    binary = _flag(options, "binary_data_output", False)
    identifier = text(request, "id", "the request") if request.get("id") not in (None, "") else None
    return InferRequest(identifier, inputs, _wanted(request, binary), binary)


def _json(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ProgramError("the request", f"{error}", "a JSON object", "Mend the request.") from None
    if not isinstance(value, dict):
        raise refused("the request", value, "a JSON object")
    return value


def _tensor(item: Mapping[str, Any], subject: str, tail: memoryview, used: int) -> tuple[Array, int]:
    """An input, and the number of binary bytes that it and those before it take."""
    datatype = text(item, "datatype", subject)
    if datatype not in NAMES:
        raise refused(f"'datatype' of {subject}", datatype, f"one of {', '.join(NAMES)}")
    dtype, sizes = numpy_dtype(datatype), shape(item, subject)
    size = parameters(item, subject).get("binary_data_size")
    if size is None:
        return _from_json(item, subject, dtype, sizes), used
    if "data" in item:
        raise refused(subject, "'data' and 'binary_data_size'", "one of them")
    wanted = math.prod(sizes) * dtype.itemsize
    if type(size) is not int or size != wanted:
        raise refused(f"'binary_data_size' of {subject}", size, f"{wanted} bytes, as its shape and datatype say")
    if size > len(tail) - used:
        raise refused(subject, f"{len(tail) - used} bytes left in the body", f"{size}, its binary_data_size")
    array = np.frombuffer(tail[used : used + size], dtype)
    if not array.flags.aligned:
        array = array.copy()
    return array.reshape(sizes), used + size


def _from_json(item: Mapping[str, Any], subject: str, dtype: np.dtype[Any], sizes: tuple[int, ...]) -> Array:
    data, count = item.get("data"), math.prod(sizes)
    if not isinstance(data, list):
        raise refused(f"'data' of {subject}", data, "a list, flat or nested, in row-major order")
    try:
        array = np.asarray(data)
    except (ValueError, OverflowError, RecursionError):  # ragged
        raise refused(f"'data' of {subject}", data, "numbers, in lists of equal lengths") from None
    if array.size != count or (array.ndim != 1 and array.shape != sizes):
        raise refused(f"'data' of {subject}", list(array.shape), f"{count} elements, flat or of shape {list(sizes)}")
    if count == 0:
        return np.zeros(sizes, dtype)
    if dtype.kind in "iu" and array.dtype.kind in "fO":  # numpy makes floats of what has numbers beyond int64 in it
        array = _integers(np.asarray(data, object), dtype, array)
    allowed = {"b": "b", "i": "iu", "u": "iu"}.get(dtype.kind, "iuf")  # floats, ml_dtypes' among them
    if array.dtype.kind not in allowed:
        raise refused(f"'data' of {subject}", data, f"elements of {dtype.name}")
    with np.errstate(over="ignore"):  # 1e300 is inf in float32, as in every language
        cast = array.astype(dtype)
    if dtype.kind in "iu" and not np.array_equal(cast, array):
        raise refused(f"'data' of {subject}", data, f"numbers that {dtype.name} holds")
    return cast.reshape(sizes)


def _integers(objects: Array, dtype: np.dtype[Any], otherwise: Array) -> Array:
    try:
        return objects.astype(dtype) if all(type(each) is int for each in objects.flat) else otherwise
    except OverflowError:
        return otherwise


def _wanted(request: Mapping[str, Any], binary: bool) -> tuple[Wanted, ...]:
    found: list[Wanted] = []
    for item in objects(request, "outputs"):
        name = text(item, "name", "an output")
        options = parameters(item, f"output {name!r}")
        if options.get("classification"):
            raise refused(f"output {name!r}", "classification", "an output as it is")
        found.append(Wanted(name, _flag(options, "binary_data", binary)))
    return tuple(found)


def _flag(options: Mapping[str, Any], key: str, usual: bool) -> bool:
    value = options.get(key, usual)
    if not isinstance(value, bool):
        raise refused(repr(key), value, "true or false")
    return value
