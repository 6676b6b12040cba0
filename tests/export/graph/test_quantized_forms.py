"""Quantized matrices in the forms that TensorRT multiplies with: the same numbers, or none."""

from __future__ import annotations

import pytest
import torch

from torchtrt_ws.export.graph import dequantize
from torchtrt_ws.export.graph.dequantize import PER_ROW, PER_TENSOR
from torchtrt_ws.export.graph.quantized_forms import in_a_form_of_tensorrt
from torchtrt_ws.export.graph.quantized_matrix import QuantizedMatrix

ROWS = 6


def matrix(columns: int, group: int, four_bits: bool, dtype: torch.dtype = torch.float16) -> QuantizedMatrix:
    torch.manual_seed(3)
    low, high = (-8, 8) if four_bits else (-128, 128)
    shape = {PER_TENSOR: (), PER_ROW: (ROWS,)}.get(group, (ROWS, columns // max(group, 1)))
    integers = torch.randint(low, high, (ROWS, columns), dtype=torch.int8)
    return QuantizedMatrix(integers, torch.rand(shape).to(dtype), group, four_bits=four_bits)


@pytest.mark.parametrize(
    ("columns", "group", "made"),
    [
        (256, 16, 16),
        (256, 128, 128),
        (256, 256, 256),  # one scale for a row, given as a group
        (2048, 1024, 1024),
        (2048, 2048, 128),
        (256, PER_ROW, 128),
        (256, PER_TENSOR, 128),
        (96, PER_ROW, 32),
        (96, 48, 16),
        (40, PER_ROW, None),  # as int8
        (40, PER_TENSOR, None),
    ],
)
def test_four_bits_are_in_groups(columns: int, group: int, made: int | None) -> None:
    given = matrix(columns, group, four_bits=True)
    found = in_a_form_of_tensorrt(given)
    assert found is not None
    assert (found.four_bits, found.group) == ((True, made) if made else (False, group))
    torch.testing.assert_close(numbers(found), numbers(given), rtol=0, atol=0)


@pytest.mark.parametrize(("columns", "group"), [(40, 8), (36, 12)])
def test_groups_that_tensorrt_lacks_have_no_form(columns: int, group: int) -> None:
    assert in_a_form_of_tensorrt(matrix(columns, group, four_bits=True)) is None


@pytest.mark.parametrize("group", [PER_ROW, PER_TENSOR])
@pytest.mark.parametrize("four_bits", [False, True])
def test_in_float32_and_of_eight_bits_rows_have_one_scale(group: int, four_bits: bool) -> None:
    given = matrix(128, group, four_bits, torch.float32)
    found = in_a_form_of_tensorrt(given)
    assert found is not None and (found.four_bits, found.group) == (False, group)
    assert numbers(found).equal(numbers(given))


def test_no_context_can_be_made_of_four_bits_in_float32_and_eight_in_groups_take_all_memory() -> None:
    assert in_a_form_of_tensorrt(matrix(128, 32, True, torch.float32)) is None
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert in_a_form_of_tensorrt(matrix(128, 32, False, dtype)) is None


def numbers(of: QuantizedMatrix) -> torch.Tensor:
    integers = dequantize.pack(of.integers) if of.four_bits else of.integers
    found: torch.Tensor = dequantize.OPERATOR(integers, of.scale, of.group)
    return found
