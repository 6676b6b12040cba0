"""Tensors as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchtrt_ws.blob import TensorFacts
from torchtrt_ws.dtypes import ENGINE_DTYPES
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.tensor_text import parse_tensor, parse_tensors, tensor_text


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("x:float16:16x4096", TensorFacts("x", "float16", (16, 4096), (16, 4096), (16, 4096))),
        ("x:int64:1..8x128", TensorFacts("x", "int64", (-1, 128), (1, 128), (8, 128))),
        ("x:int64:4..4", TensorFacts("x", "int64", (4,), (4,), (4,))),
        ("x:float32:", TensorFacts("x", "float32", (), (), ())),
        ("x:bool:0..3x0", TensorFacts("x", "bool", (-1, 0), (0, 0), (3, 0))),
        ("serving/add:0:bfloat16:2", TensorFacts("serving/add:0", "bfloat16", (2,), (2,), (2,))),
    ],
)
def test_forms(text: str, facts: TensorFacts) -> None:
    assert parse_tensor(text) == facts
    assert parse_tensor(facts) == facts


DIMS = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 2**10)), max_size=8)


@given(st.text(min_size=1).filter(lambda name: "\0" not in name), st.sampled_from(ENGINE_DTYPES), DIMS)
def test_text_and_back(name: str, dtype: str, dims: list[tuple[int, int]]) -> None:
    low, high = tuple(a for a, _ in dims), tuple(a + b for a, b in dims)
    shape = tuple(a if a == b else -1 for a, b in zip(low, high, strict=True))
    facts = TensorFacts(name, dtype, shape, low, high)
    assert parse_tensor(tensor_text(facts)) == facts


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("x", "NAME:DTYPE:SHAPE"),
        ("x:float16", "NAME:DTYPE:SHAPE"),
        (":float16:2", "NAME:DTYPE:SHAPE"),
        ("x:half:2", "dtype 'half'.*float16"),
        ("x:float8_e4m3fnuz:2", "dtype 'float8_e4m3fnuz'.*float8_e4m3fn,"),  # exir knows no number for it
        ("x:float16:2x", "NAME:DTYPE:SHAPE"),
        ("x:float16:-1x2", "NAME:DTYPE:SHAPE"),
        ("x:float16:8..1", "MIN <= MAX"),
        ("x:float16:99999999999", "NAME:DTYPE:SHAPE"),
        ("x:float16:4294967296", "MIN <= MAX"),
        ("x:float16:" + "x".join("1" * 9), "at most 8"),
        (7, "a int"),
        (TensorFacts("x", "float16", (-1,), (2,), (2,)), "NAME:DTYPE:SHAPE"),
    ],
)
def test_refused(given: Any, words: str) -> None:
    with pytest.raises(ProgramError, match=words):
        parse_tensor(given, "inputs")


def test_one_or_several() -> None:
    (x,) = parse_tensors("x:float16:2", "inputs")
    assert parse_tensors([x, "y:int8:3"], "inputs") == (x, parse_tensor("y:int8:3"))
    with pytest.raises(ProgramError, match="'x' twice"):
        parse_tensors([x, x], "inputs")
    with pytest.raises(ProgramError, match="no tensors"):
        parse_tensors([], "inputs")
    with pytest.raises(ProgramError, match="a int"):
        parse_tensors(3, "inputs")  # type: ignore[arg-type]
