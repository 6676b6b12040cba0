"""Running a loaded program from Python: inputs, outputs, methods, and what is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import torchtrt_ws


def test_numpy_in_numpy_out(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    (got,) = torchtrt_ws.load(plain)(x)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_torch_in_torch_out(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    import torch

    (got,) = torchtrt_ws.load(plain)(torch.from_numpy(x))
    assert isinstance(got, torch.Tensor)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-4)


def test_an_output_is_the_callers(plain: Path, x: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    (first,) = program(x)
    kept = first.copy()
    program(x + 1)
    np.testing.assert_array_equal(first, kept)
    del program
    np.testing.assert_array_equal(first, kept)


def test_views_and_read_only_arrays_are_taken(plain: Path, x: np.ndarray) -> None:
    program = torchtrt_ws.load(plain)
    (want,) = program(x)
    strided = np.repeat(x, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(program(strided)[0], want)
    frozen = x.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(program(frozen)[0], want)


def test_dynamic_shapes(dynamic: Path, model: Any) -> None:
    import torch

    program = torchtrt_ws.load(dynamic, weight_streaming_budget="50%")
    for rows in (1, 8, 3):
        x = torch.randn(rows, 1024)
        with torch.no_grad():
            torch.testing.assert_close(program(x)[0], model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [0, 9])
def test_a_shape_outside_the_bounds_is_refused(dynamic: Path, rows: int) -> None:
    program = torchtrt_ws.load(dynamic)
    with pytest.raises(torchtrt_ws.ProgramError, match=str(rows)):
        program(np.zeros((rows, 1024), np.float32))
    program(np.zeros((2, 1024), np.float32))


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ((), "found 0 inputs"),
        ((np.zeros((2, 1024), np.float32),) * 2, "found 2 inputs"),
        ((np.zeros((2, 1024), np.float64),), "float64"),
        ((np.zeros((2, 1023), np.float32),), "1023"),
        ((np.zeros((1, 2, 1024), np.float32),), r"\[1, 2, 1024\]"),
        (("text",), "found"),
        ((None,), "found object"),
    ],
    ids=["none", "two", "dtype", "size", "rank", "text", "nothing"],
)
def test_wrong_inputs_are_refused(plain: Path, inputs: tuple[Any, ...], words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.load(plain)(*inputs)


class Elsewhere:
    """An array that says it lies on a GPU. Whoever reads its memory from the host reads nothing of it."""

    dtype, shape = np.dtype("float32"), (2, 1024)

    def __init__(self, device: tuple[int, int] = (2, 1)) -> None:
        self.device = device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("memory of another device was asked for")


def test_a_tensor_of_another_device_is_refused(plain: Path) -> None:
    program = torchtrt_ws.load(plain)
    with pytest.raises(torchtrt_ws.ProgramError, match=r"device type 2, index 1.*host memory"):
        program(Elsewhere())


def test_torch_tensors_without_memory_are_refused(plain: Path) -> None:
    import torch

    program = torchtrt_ws.load(plain)
    for tensor, words in (
        (torch.empty(2, 1024, device="meta"), "meta"),
        (torch.zeros(2, 1024).to_sparse(), "sparse"),
    ):
        with pytest.raises(torchtrt_ws.ProgramError, match=words):
            program(tensor)


def test_lazy_views_are_taken_at_their_word(plain: Path, x: np.ndarray) -> None:
    import torch

    program = torchtrt_ws.load(plain)
    tensor = torch.from_numpy(x)
    (want,) = program(-tensor)
    torch.testing.assert_close(program(torch._neg_view(tensor))[0], want)
    imaginary = torch.complex(torch.zeros_like(tensor), tensor).conj().imag  # negated, without a copy
    torch.testing.assert_close(program(imaginary)[0], want)


def test_torch_tensors_of_other_kinds_are_taken(plain: Path, x: np.ndarray) -> None:
    """Those that torch's C interface passes on without a word, or not at all."""
    import torch

    class Named(torch.Tensor):
        pass

    program = torchtrt_ws.load(plain)
    tensor = torch.from_numpy(x)
    (want,) = program(tensor)
    for other in (torch.nn.Parameter(tensor), tensor.as_subclass(Named), tensor.clone().requires_grad_(), tensor.mT.mT):
        torch.testing.assert_close(program(other)[0], want)
    unwritten = torch._efficientzerotensor((2, 1024))  # zeros that have no memory
    torch.testing.assert_close(program(unwritten)[0], program(torch.zeros(2, 1024))[0])


def test_foreign_byte_order_is_converted(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    (got,) = torchtrt_ws.load(plain)(x.astype(">f4"))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_several_methods(tmp_path: Path) -> None:
    import torch

    up, down = torch.nn.Linear(64, 256), torch.nn.Linear(256, 64)
    x = torch.randn(3, 64)
    path = tmp_path / "two.pte"
    torchtrt_ws.save(
        {"up": up, "down": down},
        path,
        arg_inputs={"up": (x,), "down": (torch.randn(3, 256),)},
        weight_streaming_budget_per_engine={"up": 0},
    )
    program = torchtrt_ws.load(path, weight_streaming_budget_per_engine={"down": 4096})
    assert set(program.method_names) == {"up", "down"}
    by_name = {engine.name: engine for engine in program.engines}
    assert (by_name["up"].budget_bytes, by_name["up"].source) == (0, "baked")
    assert (by_name["down"].budget_bytes, by_name["down"].source) == (4096, "load-time (engine)")
    with torch.no_grad():
        (middle,) = program.run("up", x)
        torch.testing.assert_close(middle, up(x), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(program.run("down", middle)[0], down(middle), rtol=1e-4, atol=1e-4)
    with pytest.raises(torchtrt_ws.ProgramError, match=r"up, down|down, up"):
        program.run("sideways", x)


def test_read_into_memory_instead_of_mapped(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    (got,) = torchtrt_ws.load(plain, mmap=False, weight_streaming_budget="50%")(x)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_the_stock_runtime_runs_it_too(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    import torch
    from executorch.runtime import Runtime

    import torchtrt_ws.runtime  # registers the backend with ExecuTorch, which both share

    assert torchtrt_ws.runtime is not None
    method = Runtime.get().load_program(plain).load_method("forward")
    (got,) = method.execute([torch.from_numpy(x)])
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [0, 4, 100, -1], ids=["empty", "4 bytes", "100 bytes", "one byte less"])
def test_a_truncated_file_is_refused(plain: Path, tmp_path: Path, size: int) -> None:
    path = tmp_path / "cut.pte"
    path.write_bytes(plain.read_bytes()[:size])
    with pytest.raises(torchtrt_ws.ProgramError, match=r"cut\.pte"):
        torchtrt_ws.load(path)


def test_a_damaged_engine_is_refused(plain: Path, tmp_path: Path, x: np.ndarray) -> None:
    """Bytes of the nested program are overwritten: ExecuTorch refuses it inside our delegate."""
    from torchtrt_ws import pte

    data = bytearray(plain.read_bytes())
    (engine,) = pte.read(plain).engines
    data[engine.engine_offset + 4 : engine.engine_offset + 8] = b"XXXX"
    path = tmp_path / "damaged.pte"
    path.write_bytes(data)
    with pytest.raises(torchtrt_ws.WeightStreamingError, match="host engine"):
        torchtrt_ws.load(path, verify="off")


def test_a_program_that_plans_more_memory_than_there_is_is_refused(plain: Path, tmp_path: Path) -> None:
    """ExecuTorch's Module allocates what the file says before anyone can say no."""
    from torchtrt_ws.pte.layout import Field, open_program

    plan = open_program(plain).root.vector(Field.PROGRAM_EXECUTION_PLAN).table(0)
    sizes = plan.vector(8, item_size=8)  # non_const_buffer_sizes; the first is not used
    data = bytearray(plain.read_bytes())
    for size in (1 << 46, (1 << 63) - 1):
        struct.pack_into("<q", data, sizes.position + 8, size)
        path = tmp_path / "large.pte"
        path.write_bytes(data)
        with pytest.raises(torchtrt_ws.CapacityError, match="method 'forward': found more memory planned"):
            torchtrt_ws.load(path)


def test_an_unknown_engine_kind_is_refused(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "kind.pte"
    path.write_bytes(plain.read_bytes().replace(b'"kind":"host"', b'"kind":"moon"'))
    with pytest.raises(torchtrt_ws.EngineError, match="moon"):
        torchtrt_ws.load(path)
