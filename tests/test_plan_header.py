"""What the first bytes of a plan tell. What is no plan: tests/export/test_save_plan.py."""

from __future__ import annotations

import struct

import pytest

from torchtrt_ws.plan_header import HEADER_SIZE, builder_of, check_plan, compute_capabilities_of, runtime_of

RTX = struct.pack("<4s12xQ4B8x", b"vtrt", 100, 1, 6, 1, 120)


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


@pytest.mark.parametrize(
    ("mask", "capabilities"),
    [
        (1, ("7.5",)),
        (0b101000, ("8.9", "12.1")),
        (0x7E, ()),  # of a plan that is not bound to some
        (0, ()),
        (1 << 31, ()),
    ],
)
def test_which_gpus_it_is_for(mask: int, capabilities: tuple[str, ...]) -> None:
    head = RTX[:28] + struct.pack("<4sI", b"vtrt", mask)
    assert compute_capabilities_of(head) == capabilities
    assert compute_capabilities_of(head[:35]) == ()
    assert compute_capabilities_of(b"ftrt" + head[4:]) == ()
    assert compute_capabilities_of(RTX[:28] + struct.pack("<4sI", b"vtrx", mask)) == ()


@pytest.mark.parametrize(
    ("head", "builder", "runtime"),
    [
        (RTX, "", "tensorrt_rtx 1.6.1"),
        (RTX, "tensorrt-rtx 1.5.0.1", "tensorrt_rtx 1.6.1"),
        (RTX[:20], "tensorrt_rtx 1.5.0", "tensorrt_rtx 1.5.0"),
        (b"ftrt", "tensorrt", ""),
        (b"ftrt", "tensorrt 11.1.0.5", "tensorrt 11.1.0"),
        (b"ptrt", "tensorrt 11.1", ""),
        (b"", "tensorrt 11.x.0", ""),
        (b"", "another 1.2.3", ""),
    ],
)
def test_which_library_reads_it(head: bytes, builder: str, runtime: str) -> None:
    assert runtime_of(head, builder) == runtime


def test_what_is_checked_says_the_same() -> None:
    assert check_plan("a", RTX, 100) == builder_of(RTX)
