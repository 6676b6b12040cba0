"""What the first bytes of a plan tell. What is no plan: tests/export/test_save_plan.py."""

from __future__ import annotations

import struct

import pytest

from torchtrt_ws.plan_header import HEADER_SIZE, builder_of, check_plan

RTX = struct.pack("<4s12xQ4B4x", b"vtrt", 100, 1, 6, 1, 120)


@pytest.mark.parametrize(
    ("head", "builder"),
    [
        (RTX, "tensorrt-rtx 1.6.1.120"),
        (RTX[:28], "tensorrt-rtx 1.6.1.120"),
        (RTX[:27], None),
        (b"ftrt" + bytes(28), "tensorrt"),
        (b"ptrt" + bytes(28), None),
        (b"", None),
    ],
)
def test_what_built_it(head: bytes, builder: str | None) -> None:
    assert builder_of(head) == builder
    assert len(RTX) == HEADER_SIZE


def test_what_is_checked_says_the_same() -> None:
    assert check_plan("a", RTX, 100) == builder_of(RTX)
