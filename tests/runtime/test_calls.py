"""Calling a program as Python users do: by name, into their memory, with numbers, lists and views; and ending it."""

from __future__ import annotations

import gc
import io
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from warm_python import python

import torchtrt_ws


class Pair(torch.nn.Module):
    """Two inputs, two named outputs."""

    def forward(self, rows: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scaled": rows * scale, "total": rows.sum()}


class Scaled(torch.nn.Module):
    def forward(self, rows: torch.Tensor, times: int) -> torch.Tensor:
        return rows * times


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pair") / "pair.pte"
    rows = torch.export.Dim("rows", min=1, max=4)
    torchtrt_ws.save(
        Pair(),
        path,
        arg_inputs=(torch.zeros(2, 3), torch.zeros(())),
        dynamic_shapes={"rows": {0: rows}, "scale": None},
    )
    return path


ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_a_program_says_what_it_takes_and_gives(pair: Path) -> None:
    program = torchtrt_ws.load(pair)
    assert [(t.name, t.dtype, t.shape, t.dynamic, t.device) for t in program.inputs] == [
        ("rows", "float32", (4, 3), True, "cpu"),
        ("scale", "float32", (), False, "cpu"),
    ]
    assert [(t.name, t.dtype, t.shape) for t in program.outputs] == [
        ("scaled", "float32", (4, 3)),
        ("total", "float32", ()),
    ]
    assert program.signature("forward").inputs == program.inputs
    with pytest.raises(torchtrt_ws.ProgramError, match="sideways"):
        program.signature("sideways")


def test_inputs_and_outputs_by_name(pair: Path) -> None:
    program = torchtrt_ws.load(pair)
    for found in (
        program(ROWS, np.float32(2)),
        program(ROWS, scale=np.float32(2)),
        program(scale=np.float32(2), rows=ROWS),
        program.run("forward", scale=np.float32(2), rows=ROWS),
    ):
        assert isinstance(found, list) and len(found) == 2
        np.testing.assert_array_equal(found[0], 2 * ROWS)
        np.testing.assert_array_equal(found["scaled"], 2 * ROWS)
        assert found["total"] == ROWS.sum() == found[-1]
        assert found.keys() == ("scaled", "total") == tuple(dict(found.items()))
        assert [each.shape for each in found[:1]] == [(2, 3)]
        with pytest.raises(torchtrt_ws.ProgramError, match="an output 'logits'; expected scaled, total"):
            found["logits"]
        assert len(pickle.loads(pickle.dumps(found))) == 2


@pytest.mark.parametrize(
    ("given", "named", "words"),
    [
        ((), {"rows": ROWS}, "nothing for scale"),
        ((), {}, r"found 0 inputs; expected 2: rows: float32<=\[4, 3\], scale: float32\[\]"),
        ((ROWS,), {"column": ROWS}, "an input 'column'; expected rows, scale"),
        ((ROWS,), {"rows": ROWS}, "input 'rows' by position and by name"),
        ((ROWS, 1.0, 2.0), {}, "found 3 inputs"),
        ((ROWS, 1.0), {"scale": 1.0}, "'scale' by position and by name"),
    ],
    ids=["missing", "none", "unknown", "twice", "three", "twice and all"],
)
def test_names_that_do_not_bind(pair: Path, given: tuple[Any, ...], named: dict[str, Any], words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.load(pair)(*given, **named)


def test_a_file_that_records_no_names_counts(pair: Path, tmp_path: Path) -> None:
    path = tmp_path / "older.pte"
    path.write_bytes(pair.read_bytes().replace(b'"method":{', b'"mothod":{'))
    program = torchtrt_ws.load(path)
    assert [spec.name for spec in (*program.inputs, *program.outputs)] == ["input0", "input1", "output0", "output1"]
    assert program(input1=2.0, input0=ROWS)["output1"] == ROWS.sum()


@pytest.mark.parametrize(
    "rows",
    [
        [[0, 1, 2], [3, 4, 5]],
        [[0.0, 1.0, 2.0], (3, 4, 5)],
        np.asfortranarray(ROWS),
        np.repeat(ROWS, 2, axis=1)[:, ::2],
        torch.from_numpy(ROWS.T.copy()).T,
        torch.from_numpy(ROWS).requires_grad_(),
        ROWS[::-1][::-1],
    ],
    ids=["ints", "floats", "fortran", "strided", "torch transposed", "torch grad", "reversed twice"],
)
def test_lists_numbers_and_views(pair: Path, rows: Any) -> None:
    for scale in (2, 2.0, True + True, [2.0][0], np.float32(2), torch.tensor(2.0)):
        found = torchtrt_ws.load(pair)(rows, scale)
        np.testing.assert_array_equal(np.asarray(found["scaled"]), 2 * ROWS)


@pytest.mark.parametrize("scale", ["2", None, 2j, [2.0, 3.0], np.array([2.0]), [[1.0], [1.0, 2.0]]], ids=repr)
def test_what_is_no_such_number(pair: Path, scale: Any) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=r"input 'scale' of 'forward': found .*expected float32\[\]"):
        torchtrt_ws.load(pair)(ROWS, scale)


@pytest.mark.parametrize("number", [ROWS, 2**70, "3", None], ids=["array", "too large", "text", "None"])
def test_a_number_that_is_none_is_refused(tmp_path: Path, number: Any) -> None:
    """As of a damaged program, which says that a tensor is a number: what is given for it does not become one."""
    from executorch.exir import to_edge

    from torchtrt_ws.runtime.native import _native, translated

    exported = torch.export.export(Scaled(), (torch.ones(2, 3), 3), dynamic_shapes=({}, torch.export.Dim.DYNAMIC))
    path = tmp_path / "scaled.pte"
    path.write_bytes(to_edge(exported).to_executorch().buffer)
    with pytest.raises(torchtrt_ws.EngineError, match=r"input 1: found .*number"), translated():
        _native.Program(str(path), []).execute("forward", [ROWS, number])


def test_into_the_callers_memory(pair: Path) -> None:
    program = torchtrt_ws.load(pair)
    scaled, total = np.zeros((2, 3), np.float32), np.zeros((), np.float32)
    found = program(ROWS, 2.0, out=[scaled, total])
    assert found[0] is scaled and found[1] is total
    np.testing.assert_array_equal(scaled, 2 * ROWS)
    assert total == ROWS.sum()
    other = torch.zeros(3, 2).T
    found = program(ROWS, 3.0, out={"scaled": other})
    assert found["scaled"] is other and isinstance(found["total"], np.ndarray)
    np.testing.assert_array_equal(other.numpy(), 3 * ROWS)
    (only,) = program.run("forward", ROWS, 2.0, out=(None, total))[:1]
    assert isinstance(only, np.ndarray)


def test_into_memory_of_a_static_shape(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    """The result lies there, and only there, for contiguous memory and for a view."""
    program = torchtrt_ws.load(plain)
    whole = np.full((2, 2048), 7, np.float32)
    for out in (np.empty((2, 1024), np.float32), whole[:, :1024], torch.empty(2, 1024)):
        assert program(x, out=out)[0] is out
        np.testing.assert_allclose(np.asarray(out), want, rtol=1e-4, atol=1e-4)
    assert (whole[:, 1024:] == 7).all()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ([np.zeros((2, 3), np.float32)], "found 1 tensors; expected 2"),
        ([np.zeros((2, 3), np.float64), None], r"out\[0\]: found float64"),
        ([np.zeros((3, 3), np.float32), None], r"found shape \[3, 3\]; expected \[2, 3\]"),
        ([None, np.zeros((1,), np.float32)], r"out\[1\]: found shape \[1\]"),
        ([[0.0], None], "found a list"),
        ({"nothing": np.zeros((2, 3), np.float32)}, "an output 'nothing'"),
        ([np.broadcast_to(np.float32(0), (2, 3)), None], "read-only"),
        ([np.zeros((2, 3), ">f4"), None], "found >f4"),
        ([torch.zeros(2, 3, device="meta"), None], "meta"),
        ([torch._neg_view(torch.zeros(2, 3)), None], "negated"),
    ],
    ids=["one", "dtype", "shape", "rank", "list", "name", "read-only", "byte order", "meta", "lazy"],
)
def test_memory_that_does_not_fit(pair: Path, out: Any, words: str) -> None:
    program = torchtrt_ws.load(pair)
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        program(ROWS, 2.0, out=out)
    np.testing.assert_array_equal(program(ROWS, 2.0)[0], 2 * ROWS)


class Doubled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """bfloat16 in and out, of dynamic shape or not."""
    folder = tmp_path_factory.mktemp("doubled")
    paths = {dynamic: folder / f"{dynamic}.pte" for dynamic in (True, False)}
    for dynamic, path in paths.items():
        shapes = {"x": {0: torch.export.Dim("n", min=1, max=8)}} if dynamic else None
        torchtrt_ws.save(Doubled(), path, arg_inputs=(torch.zeros(4, 2, dtype=torch.bfloat16),), dynamic_shapes=shapes)
    return paths


@pytest.mark.parametrize("dynamic", [True, False])
def test_bfloat16_from_numpy_and_torch(doubled: dict[bool, Path], dynamic: bool) -> None:
    program = torchtrt_ws.load(doubled[dynamic])
    assert program.zeros()[0].dtype == ml_dtypes.bfloat16
    x = np.arange(8).reshape(4, 2).astype(ml_dtypes.bfloat16)
    for given in (x, x.tolist(), x[::-1][::-1]):
        (y,) = program(given)
        assert isinstance(y, np.ndarray) and y.dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(y.astype(np.float32), 2 * x.astype(np.float32))
    out = np.zeros((4, 2), ml_dtypes.bfloat16)
    assert program(x, out=[out])[0] is out
    np.testing.assert_array_equal(out, y)
    tensor = torch.arange(8, dtype=torch.bfloat16).reshape(4, 2)
    (y,) = program(tensor)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y, 2 * tensor)
    assert program(tensor, out=tensor)[0] is tensor
    torch.testing.assert_close(tensor, y)


def test_an_output_of_more_bytes_than_a_size_holds(tmp_path: Path) -> None:
    """An output in the caller's memory, whose bytes are an odd number of more than 31 bits: ExecuTorch ended the
    process."""
    from executorch.exir import ExecutorchBackendConfig, to_edge
    from executorch.exir.passes import MemoryPlanningPass

    columns = torch.export.Dim("columns", min=2, max=715827883)
    x = torch.arange(12, dtype=torch.uint8).reshape(3, 4)
    exported = torch.export.export(Doubled(), (x,), dynamic_shapes=({1: columns},))
    unplanned = MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False)
    config = ExecutorchBackendConfig(memory_planning_pass=unplanned)
    path = tmp_path / "large.pte"
    path.write_bytes(to_edge(exported).to_executorch(config).buffer)
    code = """
import mmap, sys
import numpy as np
from torchtrt_ws.runtime.native import _native
with open(sys.argv[1], "w+b") as file:  # takes no room
    file.truncate(3 * 715827883)
    memory = mmap.mmap(file.fileno(), 0)
x = np.arange(12, dtype=np.uint8).reshape(3, 4)
print(_native.Program(sys.argv[2], []).execute("forward", [x], [memory]), list(memory[:12]))
"""
    done = python("-c", code, tmp_path / "memory", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"[(3, 4)] {[2 * each for each in range(12)]}\n"


def test_with_and_close(plain: Path, x: np.ndarray) -> None:
    with torchtrt_ws.load(plain) as program:
        (kept,) = program(x)
        engine = program.engines[0]
        copy = kept.copy()
    np.testing.assert_array_equal(kept, copy)
    program.close()
    uses: list[Callable[[], object]] = [
        lambda: program(x),
        lambda: program.engines,
        lambda: program.set_weight_streaming_budget(0),
        program.sleep,
        lambda: engine.set_budget(0),
        lambda: engine.budget_bytes,
    ]
    for use in uses:
        with pytest.raises(torchtrt_ws.EngineError, match="closed"):
            use()
    assert "plain.pte" in repr(program) and repr(engine) == "Engine(closed)"


def test_close_gives_memory_back(plain: Path, x: np.ndarray) -> None:
    from torchtrt_ws import _native

    gc.collect()
    before = _native.all_engine_ids()
    program = torchtrt_ws.load(plain, contexts=2)
    program(x)
    assert len(_native.all_engine_ids()) == len(before) + 2
    program.close()  # while somebody has it
    assert _native.all_engine_ids() == before


def test_close_waits_for_the_calls_before(plain: Path, x: np.ndarray, want: np.ndarray) -> None:
    """Calls of other threads end with their result or with the error; none crashes."""
    for contexts in (1, 2):
        program = torchtrt_ws.load(plain, contexts=contexts)
        errors: list[BaseException] = []
        started = threading.Barrier(4)

        def call(program: Any = program, errors: list[BaseException] = errors, started: Any = started) -> None:
            started.wait()
            try:
                for _ in range(1000):
                    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        started.wait()
        program(x)
        program.close()
        for thread in threads:
            thread.join()
        assert len(errors) == 3
        assert all(isinstance(e, torchtrt_ws.EngineError) and "closed" in str(e) for e in errors), errors


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "BytesIO", "file", "file not at its start"])
def test_from_memory_and_open_files(plain: Path, x: np.ndarray, want: np.ndarray, tmp_path: Path, kind: str) -> None:
    contents = plain.read_bytes()
    behind = tmp_path / "behind.bin"
    behind.write_bytes(b"before" + contents)
    sources: dict[str, Callable[[], Any]] = {
        "bytes": lambda: contents,
        "bytearray": lambda: bytearray(contents),
        "memoryview": lambda: memoryview(contents),
        "BytesIO": lambda: io.BytesIO(contents),
        "file": lambda: plain.open("rb"),
        "file not at its start": lambda: behind.open("rb"),
    }
    source = sources[kind]()
    if kind.startswith("file not"):
        assert source.read(6) == b"before"
    program = torchtrt_ws.load(source, weight_streaming_budget="50%")
    name = {"file": str(plain), "BytesIO": "<BytesIO>"}.get(kind, f"<{len(contents)} bytes>")
    assert program.file == (str(behind) if kind.startswith("file not") else name)
    if isinstance(source, bytearray):
        source[:] = bytes(len(source))  # it was copied
    np.testing.assert_allclose(program(x)[0], want, rtol=1e-4, atol=1e-4)
    other = torchtrt_ws.load(contents)
    np.testing.assert_allclose(other(x)[0], want, rtol=1e-4, atol=1e-4)


def test_sources_that_are_none(plain: Path, tmp_path: Path) -> None:
    cases: list[tuple[Any, str]] = [
        (b"", "an empty file"),
        (b"garbage", "7 bytes>: found 7 bytes that start"),
        (5, "found a int"),
        (io.StringIO("text"), "a file of text"),
    ]
    for source, words in cases:
        with pytest.raises(torchtrt_ws.ProgramError, match=words):
            torchtrt_ws.load(source)
    with pytest.raises(torchtrt_ws.ProgramError, match="no path"):
        torchtrt_ws.load(plain.read_bytes(), trusted_keys=[tmp_path / "key.pem"])
