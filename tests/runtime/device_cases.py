"""Tensors on a device, from Python: more cases for test_standin.py, run as those of standin_cases.py are, with its
programs. torch, CuPy and a third library are those of device_fakes.py.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import device_fakes as fakes  # its folder is no package
import standin_cases as cases
from standin_cases import calls, inputs, load, refused


def moved(kind: str) -> int:
    """Bytes since the start."""
    library = fakes.cudart()
    return int(library.standin_bytes(kind.encode()))


def ready(folder: Path, name: str, **keywords: Any) -> tuple[Any, list[fakes.Card], Any]:
    """A program, the cards, and torch."""
    program = load(folder, name, weight_streaming_budget="50%", **keywords)
    cards = [fakes.Card(0), fakes.Card(1)]
    return program, cards, fakes.torch(cards)


def waits() -> int:
    return calls("cudaStreamSynchronize") + calls("cudaEventSynchronize") + calls("cudaDeviceSynchronize")


def case_torch_on_the_device(folder: Path) -> None:
    """Written late on torch's stream, read on it: nothing waits, and nothing goes through the host."""
    for name, rows in (("static_io", (2,)), ("device_io", (8, 3, 1))):
        program, _, torch = ready(folder, name)
        assert (program.inputs[0].device, program.outputs[0].device) == ("cuda:0", "cuda:0")
        for each in rows * 3:
            x = torch.cuda_tensor(inputs(each))
            before = waits(), moved("h2d"), moved("d2h"), moved("d2d")
            (y,) = program(x)
            assert (waits(), moved("h2d"), moved("d2h"), moved("d2d")) == before, "the call waited, or copied"
            assert isinstance(y, fakes.Tensor) and str(y.device) == "cuda:0" and y.shape == (each, 4)
            del x  # torch may use its memory for what comes next on the stream
            np.testing.assert_array_equal(y.numpy(), 2 * inputs(each) + 1)
            del y  # the stand-in waits for the device when memory is freed: not in the call above
        del program


def case_torch_outputs_are_the_callers(folder: Path) -> None:
    program, _, torch = ready(folder, "device_io")
    kept = [(program(torch.cuda_tensor(inputs(2) + each))[0], each) for each in range(5)]
    program.close()
    for y, each in kept:
        np.testing.assert_array_equal(y.numpy(), 2 * (inputs(2) + each) + 1)


def case_torch_views_and_wrong_tensors(folder: Path) -> None:
    program, _, torch = ready(folder, "device_io")
    view = torch.cuda_tensor(np.ascontiguousarray(inputs(4).T))
    view.transposed, view.shape = True, (4, 4)
    (y,) = program(view)
    np.testing.assert_array_equal(y.numpy(), 2 * view.numpy().T + 1)
    with refused("ProgramError", "float64[2, 4]", "float32"):
        program(torch.cuda_tensor(inputs(2).astype(np.float64)))
    with refused("ProgramError", "[9, 4]"):
        program(torch.cuda_tensor(inputs(9)))
    (y,) = program(torch.cuda_tensor(inputs(2)))
    np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)


def case_another_device_is_refused(folder: Path) -> None:
    for name in ("device_io", "plain"):
        program, _, torch = ready(folder, name)
        with refused("ProgramError", "cuda:1", "cuda:0, where the engine is", "device_id=1"):
            program(torch.cuda_tensor(inputs(2), 1))
        with refused("ProgramError", "out[0]", "cuda:1", "cuda:0"):
            program(torch.cuda_tensor(inputs(2)), out=[torch.cuda_tensor(inputs(2), 1)])
        del program
    program, _, torch = ready(folder, "plain", device_id=1)
    (y,) = program(torch.cuda_tensor(inputs(2), 1))
    assert str(y.device) == "cuda:1"
    np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)
    with refused("ProgramError", "cuda:0", "cuda:1, where the engine is", "device_id=0"):
        program(torch.cuda_tensor(inputs(2)))


def case_out_on_the_device(folder: Path) -> None:
    program, _, torch = ready(folder, "static_io")
    x, out = torch.cuda_tensor(inputs(2)), torch.cuda_tensor(0 * inputs(2))
    before = waits(), cases.live("device")
    assert program(x, out=[out])[0] is out
    assert (waits(), cases.live("device")) == before, "it waited, or took memory"
    np.testing.assert_array_equal(out.numpy(), 2 * inputs(2) + 1)
    host = np.zeros((2, 4), np.float32)
    assert program(x, out={"y": host})[0] is host
    np.testing.assert_array_equal(host, 2 * inputs(2) + 1)
    program(inputs(2) + 1, out=out)
    np.testing.assert_array_equal(out.numpy(), 2 * inputs(2) + 3)
    dynamic = load(folder, "device_io")
    for rows in (2, 8, 1):
        out = torch.cuda_tensor(0 * inputs(rows))
        assert dynamic(torch.cuda_tensor(inputs(rows)), out=[out])[0] is out
        np.testing.assert_array_equal(out.numpy(), 2 * inputs(rows) + 1)
    with refused("ProgramError", "out[0]", "[2, 4]", "[1, 4]"):
        dynamic(torch.cuda_tensor(inputs(1)), out=[torch.cuda_tensor(inputs(2))])


def case_the_event_of_a_call(folder: Path) -> None:
    """Who waits for it, by whatever stream, has the results."""
    from torchtrt_ws.runtime import last_event

    program, cards, torch = ready(folder, "static_io")
    assert last_event() is None
    x, out = torch.cuda_tensor(inputs(2)), torch.cuda_tensor(0 * inputs(2))
    program(x, out=[out])
    event = last_event()
    assert event is not None
    cards[0].call("cudaEventSynchronize", ctypes.c_void_p(event))
    np.testing.assert_array_equal(
        cards[0].read(out.data_ptr(), (2, 4), np.float32, cards[0].stream()), 2 * inputs(2) + 1
    )
    on_the_host, _, _ = ready(folder, "plain")
    on_the_host(inputs(2))
    assert last_event() is None, "it waited itself"


def case_out_of_a_host_program_on_the_device(folder: Path) -> None:
    program, _, torch = ready(folder, "plain")
    out = torch.cuda_tensor(0 * inputs(2))
    assert program(inputs(2), out=[out])[0] is out
    np.testing.assert_array_equal(out.numpy(), 2 * inputs(2) + 1)


def case_host_tensors_into_a_device_program(folder: Path) -> None:
    records: list[str] = []
    logger, handler = logging.getLogger("torchtrt_ws.runtime"), logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    program, _, torch = ready(folder, "device_io")
    before = cases.live("device")
    for rows in (2, 8, 1):
        (y,) = program(inputs(rows))
        assert isinstance(y, np.ndarray)
        np.testing.assert_array_equal(y, 2 * inputs(rows) + 1)
        (y,) = program(torch.from_numpy(inputs(rows)))
        assert str(y.device) == "cpu"
        np.testing.assert_array_equal(y.numpy(), 2 * inputs(rows) + 1)
    assert len([each for each in records if "inputs in host memory are copied to the device" in each]) == 1, records
    assert len([each for each in records if "outputs on the device are copied to the host" in each]) == 1, records
    assert cases.live("device") <= before + 2 * 256 + 2 * 8 * 16, "buffers are used again"
    program.close()
    assert cases.live("device_total") == 0, "also while somebody has the program"


def case_device_tensors_into_a_host_program(folder: Path) -> None:
    """Outputs are where the inputs are."""
    program, _, torch = ready(folder, "plain")
    for rows in (2, 8):
        (y,) = program(torch.cuda_tensor(inputs(rows)))
        assert str(y.device) == "cuda:0"
        np.testing.assert_array_equal(y.numpy(), 2 * inputs(rows) + 1)


def case_cupy(folder: Path) -> None:
    for name in ("device_io", "static_io", "plain"):
        program = load(folder, name)
        cupy = fakes.cupy(fakes.Card(0))
        for _ in range(3):
            (y,) = program(cupy.asarray(inputs(2)))
            assert isinstance(y, fakes.CuPyArray)
            np.testing.assert_array_equal(y.get(), 2 * inputs(2) + 1)
        out = cupy.asarray(0 * inputs(2))
        assert program(cupy.asarray(inputs(2)), out=[out])[0] is out
        np.testing.assert_array_equal(out.get(), 2 * inputs(2) + 1)
        del program


def case_a_library_that_nobody_knows(folder: Path) -> None:
    """It is told the stream of the call, and its outputs are there when the call returns."""
    for name in ("device_io", "static_io", "plain"):
        program = load(folder, name)
        card = fakes.Card(0)
        for each in range(3):
            x = fakes.Unknown(card, inputs(2) + each)
            (y,) = program(x)
            assert x.asked == [1] and y.__dlpack_device__() == (2, 0)
            from torchtrt_ws import _native

            imported = _native.Imported(y.__dlpack__())
            found = card.read(imported.address, imported.shape, np.float32, card.stream())
            np.testing.assert_array_equal(found, 2 * (inputs(2) + each) + 1)
        if name != "device_io":
            out = fakes.Unknown(card, 0 * inputs(2))
            assert program(fakes.Unknown(card, inputs(2)), out=[out])[0] is out
            np.testing.assert_array_equal(out.read(), 2 * inputs(2) + 1)
        del program


def counted_transfers() -> list[Any]:
    """The arguments of each Transfer from now on."""
    from torchtrt_ws.runtime import method
    from torchtrt_ws.runtime.transfer import Transfer

    made: list[Any] = []

    def counted(*arguments: Any) -> Any:
        made.append(arguments)
        return Transfer(*arguments)

    vars(method)["Transfer"] = counted
    return made


def case_the_short_way(folder: Path) -> None:
    """What torch gives as wanted needs no Transfer, which costs half as much as a small engine's run."""
    transfers = counted_transfers()
    program, _, torch = ready(folder, "static_io")
    x, out = torch.cuda_tensor(inputs(2)), torch.cuda_tensor(0 * inputs(2))
    assert program(x, out=[out])[0] is out
    np.testing.assert_array_equal(out.numpy(), 2 * inputs(2) + 1)
    assert not transfers
    assert torch.exchange.calls == {"allocate": 0, "to_python": 0, "look": 2, "stream": 1}
    (y,) = program(x)
    np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)
    assert not transfers
    assert torch.exchange.calls == {"allocate": 1, "to_python": 1, "look": 3, "stream": 2}
    program(x, out={"y": out})
    program(x, out=[np.zeros((2, 4), np.float32)])
    assert len(transfers) == 2


def case_the_short_way_frees_what_it_made(folder: Path) -> None:
    """Also of an output that is smaller than its memory, and of a call that fails."""
    program, _, torch = ready(folder, "device_io")
    controls = cases.standin()
    controls.standin_fail.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    x = torch.cuda_tensor(inputs(3))
    program(x)
    before = cases.live("device")
    (y,) = program(x)
    assert cases.live("device") == before + 8 * 16, "memory of the largest shape"
    assert y.shape == (3, 4)
    np.testing.assert_array_equal(y.numpy(), 2 * inputs(3) + 1)
    del y
    controls.standin_fail(b"enqueueV3", 1, 1, 0)
    with refused("EngineError"):
        program(x)
    assert cases.live("device") == before and not torch.exchange.made


def case_an_exchange_that_fails(folder: Path) -> None:
    """Whatever the library will not do is done the longer way."""
    transfers = counted_transfers()
    program, _, torch = ready(folder, "static_io")
    x = torch.cuda_tensor(inputs(2))
    for name in ("look", "allocate", "stream"):
        torch.exchange.refuse = {name}
        (y,) = program(x)
        np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)
        assert transfers and torch.exchange.calls[name], name
        transfers.clear()
    torch.exchange.refuse = {"to_python"}
    with refused("EngineError", "output 0", "would not take"):
        program(x)
    torch.exchange.refuse = set()
    assert not np.any(program(x)[0].numpy() - (2 * inputs(2) + 1)) and not transfers


def case_no_exchange(folder: Path) -> None:
    """Of an older torch, and of one with a DLPack that comes later."""
    transfers = counted_transfers()
    for major in (None, 2):
        program = load(folder, "device_io")
        torch = fakes.torch([fakes.Card(0)], exchange=False)
        if major:
            torch.exchange = fakes.Exchange(torch, major)
            fakes.Tensor.__dlpack_c_exchange_api__ = torch.exchange.capsule  # type: ignore[attr-defined]
        for rows in (8, 3):
            (y,) = program(torch.cuda_tensor(inputs(rows)))
            np.testing.assert_array_equal(y.numpy(), 2 * inputs(rows) + 1)
        assert len(transfers) == 2
        transfers.clear()
        del program, y


def case_tensors_of_two_libraries(folder: Path) -> None:
    """The first one's stream is the call's, and the others are told."""
    program, cards, torch = ready(folder, "static_io")
    out = fakes.Unknown(cards[0], 0 * inputs(2))
    assert program(torch.cuda_tensor(inputs(2)), out=[out])[0] is out
    assert out.asked == [torch.streams[0]]
    np.testing.assert_array_equal(out.read(), 2 * inputs(2) + 1)


def case_device_tensors_in_threads(folder: Path) -> None:
    program, _, torch = ready(folder, "device_io", contexts=2)

    def call() -> None:
        (y,) = program(torch.cuda_tensor(inputs(2)))
        np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)
        (z,) = program(inputs(3))
        np.testing.assert_array_equal(z, 2 * inputs(3) + 1)

    cases.in_threads(4, 50, call)


def case_a_failed_run_on_the_device(folder: Path) -> None:
    import ctypes

    program, _, torch = ready(folder, "device_io")
    controls = cases.standin()
    controls.standin_fail.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    for x in (torch.cuda_tensor(inputs(2)), inputs(2)):
        controls.standin_fail(b"enqueueV3", 1, 1, 0)
        with refused("EngineError"):
            program(x)
        (y,) = program(torch.cuda_tensor(inputs(2)))
        np.testing.assert_array_equal(y.numpy(), 2 * inputs(2) + 1)


def case_no_room_for_inputs(folder: Path) -> None:
    """What cannot be copied to the device is an error, and the program goes on."""
    import ctypes

    program, _, _ = ready(folder, "device_io")
    controls = cases.standin()
    controls.standin_fail.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    controls.standin_fail(b"cudaMalloc", 1, 1, 2)
    with refused("CapacityError", "device memory"):
        program(inputs(2))
    np.testing.assert_array_equal(program(inputs(2))[0], 2 * inputs(2) + 1)


def case_outputs_planned_on_the_device(folder: Path) -> None:
    """As in files whose method ends in an engine for a device, without a copy: the program's own memory, there."""
    program, _, torch = ready(folder, "planned")
    assert (program.inputs[0].device, program.outputs[0].device) == ("cpu", "cuda:0")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    for each in (x, x + 1):
        (y,) = program(each)
        np.testing.assert_array_equal(y, 2 * each + 1)
        (z,) = program(torch.cuda_tensor(each))
        assert str(z.device) == "cuda:0"
        np.testing.assert_array_equal(z.numpy(), 2 * each + 1)


def case_the_checks_of_a_gpu(folder: Path) -> None:
    """tests/gpu/device_tensors.py, which runs with the real torch where there is a GPU."""
    from contextlib import contextmanager

    sys.path.insert(0, str(cases.TESTS / "gpu"))
    import device_tensors

    program, cards, torch = ready(folder, "static_io")

    class Faked:
        devices = 2

        def late(self, array: np.ndarray) -> Any:
            return torch.cuda_tensor(array)

        def zeros(self, like: np.ndarray, index: int = 0) -> Any:
            return torch.cuda_tensor(0 * like, index)

        def read(self, tensor: Any) -> np.ndarray:
            return tensor.numpy()

        @contextmanager
        def stream(self) -> Any:
            before, torch.streams[0] = torch.streams[0], cards[0].stream()
            yield
            torch.streams[0] = before

    assert len(device_tensors.CHECKS) == 10
    for check in device_tensors.CHECKS.values():
        check(Faked(), program, inputs(2), 2 * inputs(2) + 1)


def case_float8(folder: Path) -> None:
    import ml_dtypes

    bits = np.arange(8, dtype=np.uint8).reshape(2, 4)
    x = bits.view(ml_dtypes.float8_e4m3fn)
    for name in ("float8", "float8_io"):
        program, _, torch = ready(folder, name)
        out = np.zeros_like(x)
        for y in (*program(x), *program(x, out=out), *program(x.astype(np.float32).tolist())):
            assert y.dtype == ml_dtypes.float8_e4m3fn
            np.testing.assert_array_equal(y.view(np.uint8), bits)
        (y,) = program(torch.cuda_tensor(x))
        assert str(y.dtype) == "torch.float8_e4m3fn"
        np.testing.assert_array_equal(y.numpy().view(np.uint8), bits)
        with refused("ProgramError", "uint8[2, 4]", "float8_e4m3fn"):
            program(bits)
        del program


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
