"""Programs as Torch-TensorRT makes them, around real plans. Compiling needs a GPU: TensorRT-RTX's builder does not."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

trt = pytest.importorskip("tensorrt_rtx", reason="pip install torchtrt-ws[rtx]")

WIDTH = 64
BATCH = 8  # the upper bound

Make = Callable[..., torch.nn.Module]


@pytest.fixture(scope="session")
def tensorrt() -> Iterator[Any]:
    """torch_tensorrt, imported without a GPU: it asks for two things that need one."""
    if importlib.util.find_spec("torch_tensorrt") is None:
        pytest.skip("pip install torch-tensorrt-rtx==2.14.0")
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            patch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
            patch.setattr(torch.cuda, "current_device", lambda: 0)
        # Installed and not importable is a failure: a skip here once hid what the environment lacked.
        module = importlib.import_module("torch_tensorrt")
        importlib.import_module("torch_tensorrt.dynamo.runtime.meta_ops.register_meta_ops")
        yield module


def build_plan(scale: float) -> bytes:
    """y = x W, W = scale times the identity; float32, 1 to 8 rows of 64."""
    import numpy as np

    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    x = network.add_input("x", trt.float32, (-1, WIDTH))
    weights = np.eye(WIDTH, dtype=np.float32) * np.float32(scale)
    constant = network.add_constant(weights.shape, trt.Weights(weights)).get_output(0)
    none = trt.MatrixOperation.NONE
    y = network.add_matrix_multiply(x, none, constant, none).get_output(0)
    y.name = "y"
    network.mark_output(y)
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)
    profile = builder.create_optimization_profile()
    profile.set_shape("x", (1, WIDTH), (BATCH, WIDTH), (BATCH, WIDTH))
    config.add_optimization_profile(profile)
    return bytes(builder.build_serialized_network(network, config))


@pytest.fixture(scope="session")
def plans() -> dict[str, bytes]:
    """Two plans that differ."""
    return {"a": build_plan(2.0), "b": build_plan(3.0)}


@pytest.fixture(scope="session")
def engine_call(tensorrt: Any) -> Callable[..., Any]:
    """A function that calls an engine in a graph: (plan, x, name) to y."""
    import sympy
    from torch_tensorrt.dynamo.runtime._TorchTensorRTModule import TorchTensorRTModule

    rows = sympy.Symbol("rows", integer=True, positive=True)
    sides = [{"shape_exprs": [rows, WIDTH], "dtype": torch.float32, "name": name} for name in ("x", "y")]
    metadata = {"inout_symexprs": {"inputs": sides[:1], "outputs": sides[1:]}}
    encoded = TorchTensorRTModule.encode_metadata(None, metadata)

    def call(engine: torch.Tensor, x: torch.Tensor, name: str = "_run_on_acc_0_engine", **changes: str) -> Any:
        record = {
            "abi": "10",
            "name": name,
            "device": "0%9%0%0%NVIDIA H100",
            "engine": engine,
            "inputs": "x",
            "outputs": "y",
            "hardware": "0",
            "metadata": encoded,
            "platform": "linux_x86_64",
            "allocator": "0",
            "strategy": "0",
            "multidevice": "0",
            "aliases": "",
            **changes,
        }
        outputs = torch.ops.tensorrt.no_op_placeholder_for_execute_engine.default([x], *record.values())
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    return call


@pytest.fixture(scope="session")
def program_of(engine_call: Callable[..., Any], plans: dict[str, bytes]) -> Callable[..., Any]:
    """Exports a forward(call, x) where call(plan, x) runs an engine; plan is "a" or "b"."""

    class Module(torch.nn.Module):
        def __init__(self, body: Callable[..., Any], changes: dict[str, str]) -> None:
            super().__init__()
            self.body, self.changes = body, changes
            self.linear = torch.nn.Linear(WIDTH, WIDTH)
            for name, plan in plans.items():
                self.register_buffer(f"engine_{name}", torch.frombuffer(bytearray(plan), dtype=torch.uint8))

        def forward(self, x: torch.Tensor) -> Any:
            def call(plan: str, value: torch.Tensor) -> torch.Tensor:
                name = f"_run_on_acc_{plan}_engine"
                return engine_call(getattr(self, f"engine_{plan}"), value, name, **self.changes)

            return self.body(self, call, x)

    def export(body: Callable[..., Any], dynamic: bool = True, **changes: str) -> torch.export.ExportedProgram:
        batch = torch.export.Dim("batch", min=1, max=BATCH)
        shapes = {"x": {0: batch}} if dynamic else None
        with torch.no_grad():
            return torch.export.export(
                Module(body, changes), (torch.ones(4, WIDTH),), dynamic_shapes=shapes, strict=False
            )

    return export
