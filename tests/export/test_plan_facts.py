"""What TensorRT says of a plan, with an engine that needs no GPU in its place."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torchtrt_ws import EngineError
from torchtrt_ws.blob import ProfileBounds, TensorFacts
from torchtrt_ws.export.engine.payload import BufferPayload
from torchtrt_ws.export.sources import plan_facts

Profile = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # min, opt, max


class Engine:
    """x [-1, 4] in `profiles`, z [3], y [-1, 4]."""

    num_io_tensors, streamable_weights_size = 3, 64

    def __init__(self, profiles: list[Profile], dynamic: int = -1) -> None:
        self.profiles, self.num_optimization_profiles = profiles, len(profiles)
        self.shapes = {"x": (dynamic, 4), "z": (3,), "y": (dynamic, 4)}

    def get_tensor_name(self, index: int) -> str:
        return list(self.shapes)[index]

    def get_tensor_mode(self, name: str) -> str:
        return "output" if name == "y" else "input"

    def get_tensor_dtype(self, name: str) -> Any:
        return SimpleNamespace(name="FLOAT")

    def is_shape_inference_io(self, name: str) -> bool:
        return False

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name]

    def get_tensor_profile_shape(self, name: str, index: int) -> Profile:
        assert name == "x"
        return self.profiles[index]


def facts_of(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> plan_facts.PlanFacts:
    def logger(severity: object) -> None:
        return None

    logger.ERROR = 0  # type: ignore[attr-defined]
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda plan: engine)
    mode = SimpleNamespace(INPUT="input")
    trt = SimpleNamespace(Logger=logger, Runtime=lambda logger: runtime, TensorIOMode=mode)
    monkeypatch.setattr(plan_facts, "_tensorrt", lambda subject, is_rtx: trt)
    return plan_facts.read("engine 'a'", BufferPayload(b"ftrt" + bytes(60)))


def test_bounds_are_the_hull_of_all_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    found = facts_of(Engine([((4, 4), (6, 4), (8, 4)), ((1, 4), (1, 4), (2, 4))]), monkeypatch)
    dynamic = ((-1, 4), (1, 4), (8, 4))
    fixed = ((3,), (3,), (3,))
    assert found.inputs == (TensorFacts("x", "float32", *dynamic), TensorFacts("z", "float32", *fixed))
    assert found.outputs == (TensorFacts("y", "float32", *dynamic),)
    assert found.optimization_profiles == (
        (ProfileBounds("x", (4, 4), (6, 4), (8, 4)), ProfileBounds("z", *fixed)),
        (ProfileBounds("x", (1, 4), (1, 4), (2, 4)), ProfileBounds("z", *fixed)),
    )


def test_nothing_dynamic_has_no_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    found = facts_of(Engine([((8, 4), (8, 4), (8, 4))], dynamic=8), monkeypatch)
    assert found.optimization_profiles == ()
    assert found.inputs[0].shape == (8, 4)


def test_fixed_sizes_that_differ_are_dynamic(monkeypatch: pytest.MonkeyPatch) -> None:
    found = facts_of(Engine([((8, 4),) * 3, ((1, 4),) * 3]), monkeypatch)
    assert found.inputs[0] == TensorFacts("x", "float32", (-1, 4), (1, 4), (8, 4))
    assert [profile[0].max for profile in found.optimization_profiles] == [(8, 4), (1, 4)]


def test_a_folder_called_tensorrt_is_no_tensorrt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tensorrt").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(EngineError, match=r"tensorrt is a folder without a module"):
        plan_facts.deserialized("engine 'a'", BufferPayload(b"ftrt" + bytes(60)))
    sys.modules.pop("tensorrt", None)
