"""torch's and CuPy's tensors on a real GPU, into a program saved with device_io=True.

    python tests/gpu/device_tensors.py FOLDER        # with device_io.pte, of tests/gpu/programs.py

Prints one line for each check, and ends with 1 when one failed. Needs a GPU, TensorRT-RTX and torch; CuPy and a second
GPU are used where they are there. benchmarks/python_call.py measures what such a call costs:

    python benchmarks/python_call.py --device cuda:0 --program FOLDER/device_io.pte

The same checks run on the stand-ins, with tests/runtime/device_fakes.py for torch (tests/runtime/device_cases.py).
"""

from __future__ import annotations

import importlib
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

LATE_CYCLES = 50_000_000  # of the GPU's clock: about 30 ms, in which a program that does not wait reads old bytes


class Torch(Protocol):
    """What the checks need of torch."""

    def late(self, array: np.ndarray) -> Any:
        """A tensor whose memory has zeros, until the current stream has got to the bytes of `array`."""

    def zeros(self, like: np.ndarray, index: int = 0) -> Any:
        """A tensor of zeros on a device."""

    def read(self, tensor: Any) -> np.ndarray:
        """Its bytes, behind the current stream."""

    def stream(self) -> AbstractContextManager[Any]:
        """Another stream is current in the block."""

    devices: int


class RealTorch:
    """The real one."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.devices = torch.cuda.device_count()

    def late(self, array: np.ndarray) -> Any:
        source = self.torch.from_numpy(array).cuda()
        tensor = self.torch.zeros_like(source)
        self.torch.cuda.synchronize()
        self.torch.cuda._sleep(LATE_CYCLES)
        return tensor.copy_(source)

    def zeros(self, like: np.ndarray, index: int = 0) -> Any:
        return self.torch.zeros_like(self.torch.from_numpy(like), device=f"cuda:{index}")

    def read(self, tensor: Any) -> np.ndarray:
        return tensor.cpu().numpy()

    def stream(self) -> AbstractContextManager[Any]:
        return self.torch.cuda.stream(self.torch.cuda.Stream())


def close(found: np.ndarray, want: np.ndarray) -> None:
    np.testing.assert_allclose(found.astype(np.float32), want.astype(np.float32), rtol=2e-2, atol=2e-2)


def check_written_late(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    for _ in range(5):
        (y,) = program(torch.late(x))
        assert str(y.device) == "cuda:0"
        close(torch.read(y), want)


def check_on_a_stream_of_its_own(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    with torch.stream():
        for _ in range(5):
            (y,) = program(torch.late(x))
            close(torch.read(y), want)


def check_outputs_are_the_callers(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    kept = [program(torch.late(x))[0] for _ in range(3)]
    program(torch.zeros(x))
    for y in kept:
        close(torch.read(y), want)


def check_memory_of_an_input_is_used_again(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    """As a caching allocator does it: what comes next on the stream gets the memory of a tensor that has gone."""
    for _ in range(5):
        (y,) = program(torch.late(x))
        torch.zeros(x)
        close(torch.read(y), want)


def check_into_memory(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    out = torch.zeros(want)
    assert program(torch.late(x), out=[out])[0] is out
    close(torch.read(out), want)
    host = np.zeros_like(want)
    assert program(torch.late(x), out=[host])[0] is host
    close(host, want)


def check_from_the_host(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    (y,) = program(x)
    assert isinstance(y, np.ndarray)
    close(y, want)
    out = torch.zeros(want)
    assert program(x, out=[out])[0] is out
    close(torch.read(out), want)


def check_another_device(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    import torchtrt_ws

    if torch.devices < 2:
        return
    try:
        program(torch.zeros(x, 1))
    except torchtrt_ws.ProgramError as error:
        assert "cuda:1" in str(error) and "cuda:0" in str(error), error
    else:
        raise AssertionError("a tensor on cuda:1 was taken")


def check_threads(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            check_written_late(torch, program, x, want)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors


def check_changed_budget(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    """A change waits for what is in flight."""
    for budget in (0, "50%", "100%"):
        (y,) = program(torch.late(x))
        program.set_weight_streaming_budget(budget)
        close(torch.read(y), want)


def check_cupy(torch: Torch, program: Any, x: np.ndarray, want: np.ndarray) -> None:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError:
        return
    (y,) = program(cupy.asarray(x))
    assert isinstance(y, cupy.ndarray)
    close(y.get(), want)


CHECKS: dict[str, Callable[[Torch, Any, np.ndarray, np.ndarray], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}


def main() -> None:
    import torchtrt_ws

    folder = Path(sys.argv[1])
    x = np.load(folder / "small-x.npy")
    want = np.load(folder / "small-y.npy").astype(x.dtype)  # as the program gives it
    torch, failed = RealTorch(), 0
    program = torchtrt_ws.load(folder / "device_io.pte")
    for name, check in CHECKS.items():
        try:
            check(torch, program, x, want)
            print(f"{name}: ok")
        except Exception:
            failed += 1
            print(f"{name}: FAILED\n{traceback.format_exc()}")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
