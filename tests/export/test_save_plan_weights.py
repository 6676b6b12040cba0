"""save_plan(weights=...): a plan without its weights, and where they come from."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch

import torchtrt_ws
from torchtrt_ws import blob, pte
from torchtrt_ws.export.sources import plan_facts

X, Y = "x:float16:16x64", "y:float16:16x64"
PLAN = b"ftrt" + bytes(4092)
NAMES = ("layers.0.weight", "layers.1.weight")


def arrays() -> dict[str, np.ndarray]:
    """Two of float16, and the second one equal to the first in all but one element."""
    first = np.arange(64 * 64, dtype=np.float16).reshape(64, 64)
    second = first.copy()
    second[0, 0] = 7
    return dict(zip(NAMES, (first, second), strict=True))


class Module(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(64, 64, bias=False) for _ in range(2)])
        self.load_state_dict({name: torch.from_numpy(array) for name, array in arrays().items()})
        self.half()


class Refitter:
    """What TensorRT says of an engine without two weights."""

    def __init__(self, engine: Any, logger: Any) -> None:
        self.engine = engine

    def get_all_weights(self) -> list[str]:
        return list(NAMES)

    def get_weights_prototype(self, name: str) -> Any:
        return SimpleNamespace(dtype=SimpleNamespace(name="HALF"), size=64 * 64)


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A TensorRT that reads plans without a GPU."""

    def logger(severity: object) -> None:
        return None

    logger.ERROR = 0  # type: ignore[attr-defined]
    engine = SimpleNamespace(streamable_weights_size=0, stripped_bytes=2 * 64 * 64 * 2)
    engine.get_engine_stat = lambda stat: engine.stripped_bytes
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda plan: engine)
    stats = SimpleNamespace(STRIPPED_WEIGHTS_SIZE=1)
    trt = SimpleNamespace(Logger=logger, Runtime=lambda logger: runtime, Refitter=Refitter, EngineStat=stats)
    monkeypatch.setattr(plan_facts, "_tensorrt", lambda subject, is_rtx: trt)
    return engine


def save(path: Path, weights: Any, **keywords: Any) -> pte.EngineInfo:
    torchtrt_ws.save_plan(PLAN, path, inputs=X, outputs=Y, weights=weights, **keywords)
    (engine,) = pte.read(path).engines
    return engine


def write_onnx(folder: Path, location: str = "model.data", **facts: str) -> Path:
    """A model with its data beside it."""
    model = onnx.ModelProto()
    data = b""
    for name, array in arrays().items():
        tensor = model.graph.initializer.add()
        tensor.name, tensor.data_type = name, onnx.TensorProto.FLOAT16
        tensor.dims.extend(array.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": location, "offset": str(len(data)), "length": str(array.nbytes), **facts}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)
        data += array.tobytes()
    folder.mkdir(exist_ok=True)
    (folder / "model.data").write_bytes(data)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return folder / "model.onnx"


def inline_onnx(folder: Path) -> Path:
    model = onnx.ModelProto()
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays().items())
    (folder / "inline.onnx").write_bytes(model.SerializeToString())
    return folder / "inline.onnx"


def safetensors_file(folder: Path) -> Path:
    tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
    safetensors.torch.save_file({**tensors, "another": torch.ones(3)}, folder / "model.safetensors")
    return folder / "model.safetensors"


SOURCES: dict[str, Callable[[Path], Any]] = {
    "numpy": lambda folder: arrays(),
    "torch": lambda folder: {name: torch.from_numpy(array) for name, array in arrays().items()},
    "module": lambda folder: Module(),  # type: ignore[no-untyped-call]
    "safetensors": safetensors_file,
    "onnx": inline_onnx,
    "onnx external": lambda folder: write_onnx(folder / "model"),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_the_weights_that_the_plan_misses(tensorrt: Any, kind: str, tmp_path: Path) -> None:
    engine = save(tmp_path / "a.pte", SOURCES[kind](tmp_path), weight_streaming_budget="50%")
    assert engine.weights is not None and engine.weights.file == "a.ptd"
    assert [(each.name, each.dtype, each.count) for each in engine.weights.tensors] == [
        (name, "float16", 64 * 64) for name in NAMES
    ]
    whole, regions = (tmp_path / "a.ptd").read_bytes(), pte.regions_in_data_file(tmp_path / "a.ptd")
    for each in engine.weights.tensors:
        region = regions[each.key]
        assert whole[region.offset : region.offset + region.size] == arrays()[each.name].tobytes()
    assert (tmp_path / "a.pte").read_bytes()[engine.payload_offset :][:4] == blob.MAGIC_STRIPPED
    assert engine.streamable_bytes == len(PLAN) + engine.weights.nbytes and engine.streamable_estimated
    assert engine.baked_budget == engine.streamable_bytes // 2


def test_bfloat16_and_float8_keep_their_bits(tmp_path: Path) -> None:
    given = {"a": torch.ones(8, dtype=torch.bfloat16), "b": torch.ones(8, dtype=torch.float8_e4m3fn)}
    engine = save(tmp_path / "a.pte", given)
    assert engine.weights is not None
    assert [(each.dtype, each.bytes) for each in engine.weights.tensors] == [("bfloat16", 16), ("float8_e4m3fn", 8)]


def test_plans_of_several_machines_have_the_weights_once(tensorrt: Any, tmp_path: Path) -> None:
    plans = {"ampere": PLAN + b"a", "hopper": PLAN + b"h"}
    torchtrt_ws.save_plan(
        plans,
        tmp_path / "a.pte",
        inputs=dict.fromkeys(plans, X),
        outputs={name: f"{name}:float16:16x64" for name in plans},
        weights=dict.fromkeys(plans, arrays()),
    )
    one, other = (engine.weights for engine in pte.read(tmp_path / "a.pte").engines)
    assert one == other
    assert len(pte.regions_in_data_file(tmp_path / "a.ptd")) == 2


def test_equal_plans_with_other_weights_are_two_engines(tmp_path: Path) -> None:
    """As of a model before and after training: their plans without weights may be the same bytes."""
    torchtrt_ws.save_plan(
        {"before": PLAN, "after": PLAN},
        tmp_path / "a.pte",
        inputs={"before": X, "after": X},
        outputs={"before": "y:float16:16x64", "after": "z:float16:16x64"},
        weights={"before": {"w": np.zeros(8, np.float16)}, "after": {"w": np.ones(8, np.float16)}},
    )
    report = pte.read(tmp_path / "a.pte")
    assert [engine.same_plan_as for engine in report.engines] == [None, None]
    assert [size.weights_of for size in report.engine_sizes()] == [None, None]


def test_without_tensorrt_all_that_is_given_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "torchtrt_ws"):
        engine = save(tmp_path / "a.pte", arrays())
    assert engine.weights is not None and [each.name for each in engine.weights.tensors] == list(NAMES)
    assert "TensorRT was not asked which weights are missing" in caplog.text
    assert "loading checks that" in caplog.text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({NAMES[1]: None}, "weight 'layers.1.weight': found nothing of that name"),
        ({"more": np.ones(2)}, "weights: found 'more'; expected what the plan misses"),
        ({NAMES[0]: np.ones((64, 64), np.float32)}, "found 4096 of float32; expected 4096 of float16"),
        ({NAMES[0]: np.ones(63, np.float16)}, "found 63 of float16; expected 4096 of float16"),
        ({NAMES[0]: np.ones(0, np.float16)}, "weight 'layers.0.weight': found no elements"),
        ({NAMES[0]: np.ones(2, np.complex64)}, "dtype complex64"),
        ({NAMES[0]: [1, 2]}, "found a list; expected a numpy array or a torch tensor"),
    ],
)
def test_weights_that_do_not_fit(tensorrt: Any, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    given = {name: array for name, array in {**arrays(), **change}.items() if array is not None}
    with pytest.raises(torchtrt_ws.ProgramError, match=says):
        save(tmp_path / "a.pte", given)
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_has_its_weights(tensorrt: Any, tmp_path: Path) -> None:
    tensorrt.stripped_bytes = -1
    with pytest.raises(torchtrt_ws.ProgramError, match="a plan that has its weights"):
        save(tmp_path / "a.pte", arrays())


@pytest.mark.parametrize("source", ["model.bin", 7, None])
def test_something_else(tmp_path: Path, source: Any) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=r"weights_path|a torch module, or the path of"):
        save(tmp_path / "a.pte", source, weights_path=tmp_path / "b.ptd")


def test_files_that_are_none(tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.onnx"):
        (tmp_path / name).write_bytes(b"\xff" * 99)
        for path in (tmp_path / name, tmp_path / "none" / name):
            with pytest.raises(torchtrt_ws.ProgramError, match=name):
                save(tmp_path / "a.pte", path)


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "", ".", "sub/../../secret", "..\\secret"])
def test_onnx_data_that_leave_the_folder(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(bytes(1 << 20))
    with pytest.raises(torchtrt_ws.ProgramError, match="a file of its own in the folder of the model"):
        save(tmp_path / "a.pte", write_onnx(tmp_path / "model", location))


@pytest.mark.parametrize("how", ["symlink", "hardlink", "folder", "pipe", "device"])
def test_onnx_data_that_are_links_or_no_files(tmp_path: Path, how: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "data").write_bytes(bytes(1 << 20))
    location = "folder/data" if how == "folder" else "data"
    model = write_onnx(tmp_path / "model", location)
    at = tmp_path / "model" / "data"
    if how == "symlink":
        at.symlink_to(tmp_path / "secret" / "data")
    elif how == "hardlink":
        os.link(tmp_path / "secret" / "data", at)
    elif how == "folder":
        (tmp_path / "model" / "folder").symlink_to(tmp_path / "secret")
    elif how == "pipe":
        os.mkfifo(at)
    else:
        at.symlink_to("/dev/zero")
    with pytest.raises(torchtrt_ws.ProgramError, match=r"a symbolic link|a hard link|no regular file"):
        save(tmp_path / "a.pte", model)


@pytest.mark.parametrize(
    "facts", [{"offset": "999999"}, {"length": "5"}, {"offset": "-1"}, {"offset": "1e3"}, {"length": "9" * 30}]
)
def test_onnx_data_that_are_not_there(tmp_path: Path, facts: dict[str, str]) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="initializer"):
        save(tmp_path / "a.pte", write_onnx(tmp_path / "model", **facts))
