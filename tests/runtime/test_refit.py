"""What `Program.refit` takes, and that a host engine takes nothing. TensorRT's are in refit_cases.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import torchtrt_ws
from torchtrt_ws.runtime.new_weights import new_weights


def one(value: Any) -> tuple[str, int, bytes]:
    """Its dtype, its number of elements, and its bytes as they are read."""
    ((name, dtype, count, buffer),) = new_weights({"w": value})
    assert name == "w"
    view = memoryview(buffer)
    assert view.c_contiguous
    return dtype, count, view.tobytes()


FLOATS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (FLOATS, ("float32", 6, FLOATS.tobytes())),
        (FLOATS.T, ("float32", 6, FLOATS.T.copy().tobytes())),
        (FLOATS.astype(">f4"), ("float32", 6, FLOATS.tobytes())),
        (FLOATS.astype(ml_dtypes.bfloat16), ("bfloat16", 6, FLOATS.astype(ml_dtypes.bfloat16).tobytes())),
        (FLOATS.astype(ml_dtypes.float8_e4m3fn), ("float8_e4m3fn", 6, bytes([0, 56, 64, 68, 72, 74]))),
        (torch.from_numpy(FLOATS), ("float32", 6, FLOATS.tobytes())),
        (torch.from_numpy(FLOATS).T, ("float32", 6, FLOATS.T.copy().tobytes())),
        (torch.nn.Parameter(torch.tensor([1.0])), ("float32", 1, np.ones(1, np.float32).tobytes())),
        (torch.tensor([1.0, -2.0], dtype=torch.bfloat16), ("bfloat16", 2, b"\x80\x3f\x00\xc0")),
        (torch.tensor([1j]).conj().imag, ("float32", 1, np.array([-1], np.float32).tobytes())),
        (np.float32(3), ("float32", 1, np.array([3], np.float32).tobytes())),
    ],
    ids=lambda value: None if isinstance(value, tuple) else f"{type(value).__name__}-{value.dtype}",
)
def test_arrays_and_tensors(value: Any, wanted: tuple[str, int, bytes]) -> None:
    assert one(value) == wanted


def test_what_is_contiguous_is_not_copied() -> None:
    ((_, _, _, buffer),) = new_weights({"w": FLOATS})
    assert np.shares_memory(buffer, FLOATS)


class OnDevice:
    """As other libraries say where a tensor is."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 1

    def __dlpack__(self) -> None:
        raise AssertionError("nobody reads it")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([FLOATS], "weights: found a list; expected a mapping from name to tensor"),
        ({5: FLOATS}, "expected a name"),
        ({"w": torch.ones(2, 2).to_sparse()}, "weight 'w'.*a dense tensor"),
        ({"w": torch.ones(1, device="meta")}, "weight 'w'.*meta"),
        ({"w": OnDevice()}, "weight 'w': found a tensor on cuda:1; expected one in host memory"),
        ({"w": [[1], [2, 3]]}, "weight 'w'.*a tensor that numpy can read"),
    ],
    ids=["list", "number", "sparse", "meta", "device", "ragged"],
)
def test_others_are_refused(weights: Any, words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        new_weights(weights)


def test_a_host_engine_says_save_again(tmp_path: Path) -> None:
    torchtrt_ws.save(torch.nn.Linear(4, 4), tmp_path / "a.pte", arg_inputs=(torch.ones(1, 4),))
    with torchtrt_ws.load(tmp_path / "a.pte") as program:
        assert not program.engines[0].refittable
        with pytest.raises(torchtrt_ws.EngineError, match=r"engine 'forward'.*XNNPACK.*Save the program again"):
            program.refit({"weight": FLOATS})
        with pytest.raises(torchtrt_ws.EngineError, match="XNNPACK"):
            program.engines[0].refittable_weights()
