"""torchtrt_ws.measuring.inputs: which dimension the batch is."""

from __future__ import annotations

import pytest

from torchtrt_ws.measuring.inputs import BatchDimension, batch_dimension
from torchtrt_ws.pte import TensorInfo
from torchtrt_ws.runtime import TensorSpec

IDS = TensorSpec("ids", "int64", (8, 128), dynamic=True)
MASK = TensorSpec("mask", "int64", (8, 128), dynamic=True)
SCALE = TensorSpec("scale", "float32", (1,))
NUMBER = TensorSpec("n", "int", None)


def recorded(name: str, shape: tuple[int, ...], low: tuple[int, ...], high: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(name, "int64", shape, low, high)


@pytest.mark.parametrize(
    ("specs", "tensors", "want"),
    [
        ([IDS], [recorded("ids", (-1, 128), (1, 128), (8, 128))], BatchDimension(0, 1, 8, (0,))),
        ([IDS], [recorded("ids", (8, -1), (8, 16), (8, 128))], BatchDimension(1, 16, 128, (0,))),
        (
            [SCALE, IDS, NUMBER, MASK],
            [recorded("ids", (-1, -1), (2, 1), (8, 128)), recorded("mask", (-1, -1), (3, 1), (8, 128))],
            BatchDimension(0, 3, 8, (1, 3)),
        ),
        (
            [IDS, MASK],
            [recorded("ids", (-1, -1), (1, 1), (8, 128)), recorded("mask", (8, -1), (8, 4), (8, 128))],
            BatchDimension(1, 4, 128, (0, 1)),
        ),
        ([IDS], [recorded("other", (-1, 128), (1, 128), (8, 128))], BatchDimension(0, 1, 8, (0,))),
        (
            [IDS],
            [recorded("a", (-1, 128), (1, 128), (8, 128)), recorded("b", (8, -1), (8, 1), (8, 128))],
            None,
        ),
        ([IDS], [], None),
        ([IDS], [TensorInfo("ids")], None),
        ([SCALE, NUMBER], [recorded("scale", (1,), (1,), (1,))], None),
        (
            [IDS, MASK],
            [recorded("ids", (-1, 128), (1, 128), (8, 128)), recorded("mask", (8, -1), (8, 1), (8, 128))],
            None,
        ),
    ],
    ids=[
        "the first", "the second", "of all inputs that vary", "the first that they share", "a tensor of its bounds",
        "two tensors of its bounds", "nothing recorded", "names only", "nothing varies", "none that they share",
    ],
)  # fmt: skip
def test_batch_dimension(specs: list[TensorSpec], tensors: list[TensorInfo], want: BatchDimension | None) -> None:
    assert batch_dimension(specs, tensors) == want
