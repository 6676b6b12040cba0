"""strip and merge of TensorRT engines: what is asked of TensorRT, with an engine that needs no GPU in its place."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import torchtrt_ws
from torchtrt_ws import pte
from torchtrt_ws.export import merge, strip
from torchtrt_ws.export.sources import plan_facts

X, Y = "x:float16:16x64", "y:float16:16x64"
NAMES = ("layers.0.weight", "layers.1.weight")
COUNT = 64 * 64
BASE = b"ftrt" + bytes(60)


def arrays() -> dict[str, np.ndarray]:
    return {name: np.full(COUNT, index + 1, np.float16) for index, name in enumerate(NAMES)}


WHOLE = BASE + b"".join(each.tobytes() for each in arrays().values())


class Engine:
    """An engine whose plan is BASE and its weights."""

    def __init__(self, plan: bytes, takes_weights: bool) -> None:
        self.takes_weights = takes_weights
        self.streamable_weights_size = 2 * COUNT * len(NAMES)
        data = plan[len(BASE) :]
        size = COUNT * 2
        self.weights = {name: data[at * size : (at + 1) * size] for at, name in enumerate(NAMES)} if data else {}

    def create_serialization_config(self) -> Any:
        flags: set[str] = {"EXCLUDE_WEIGHTS"}  # as an engine without weights has it by default
        return SimpleNamespace(flags=flags, set_flag=flags.add, clear_flag=flags.discard)

    def serialize_with_config(self, config: Any) -> bytes:
        return BASE if config.flags else BASE + b"".join(self.weights[name] for name in NAMES)


class Refitter:
    def __init__(self, engine: Engine, logger: Any) -> None:
        self.engine = engine
        self.given: dict[str, bytes] = {}

    def get_all_weights(self) -> list[str]:
        return list(NAMES) if self.engine.takes_weights else []

    def get_weights_prototype(self, name: str) -> Any:
        size = COUNT if name in NAMES else -1
        return SimpleNamespace(dtype=SimpleNamespace(name="HALF"), size=size, nbytes=max(size, 0) * 2)

    def set_named_weights(self, name: str, weights: Any) -> bool:
        self.given[name] = ctypes.string_at(weights.data, weights.count * 2)
        return True

    def refit_cuda_engine(self) -> bool:
        self.engine.weights.update(self.given)
        return True


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch) -> Any:
    def logger(severity: object) -> None:
        return None

    logger.ERROR = 0  # type: ignore[attr-defined]
    state = SimpleNamespace(takes_weights=True)
    runtime = SimpleNamespace(deserialize_cuda_engine=lambda plan: Engine(bytes(plan), state.takes_weights))
    trt = SimpleNamespace(
        Logger=logger,
        Runtime=lambda logger: runtime,
        Refitter=Refitter,
        SerializationFlag=SimpleNamespace(EXCLUDE_WEIGHTS="EXCLUDE_WEIGHTS"),
        Weights=lambda dtype, data, count: SimpleNamespace(data=data, count=count),
    )
    monkeypatch.setattr(plan_facts, "_tensorrt", lambda subject, is_rtx: trt)
    return state


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    torchtrt_ws.save_plan(WHOLE, tmp_path / "whole.pte", inputs=X, outputs=Y, weight_streaming_budget="50%")
    return tmp_path / "whole.pte"


def test_there_and_back(tensorrt: Any, whole: Path, tmp_path: Path) -> None:
    report = strip(whole, tmp_path / "small.pte", weights=arrays())
    assert report.bytes_before == whole.stat().st_size and report.engines == ("forward",)
    (engine,) = pte.read(tmp_path / "small.pte").engines
    assert engine.engine_bytes == len(BASE) and engine.weights is not None
    assert [(each.name, each.dtype, each.count) for each in engine.weights.tensors] == [
        (name, "float16", COUNT) for name in NAMES
    ]
    merge(tmp_path / "small.pte", tmp_path / "again.pte")
    assert (tmp_path / "again.pte").read_bytes() == whole.read_bytes()


def test_a_plan_for_a_device_counts_weights_wherever_they_are(tensorrt: Any, whole: Path, tmp_path: Path) -> None:
    strip(whole, tmp_path / "small.pte", weights=arrays())
    one, other = (pte.read(tmp_path / name).engines[0] for name in ("whole.pte", "small.pte"))
    assert one.whole_bytes == other.whole_bytes == one.engine_bytes > other.engine_bytes
    plans = [torchtrt_ws.plan(tmp_path / name, memory="1GiB").as_dict() for name in ("whole.pte", "small.pte")]
    assert plans[0]["engines"] == plans[1]["engines"]


def test_an_engine_that_cannot_be_refitted_keeps_its_weights(tensorrt: Any, whole: Path, tmp_path: Path) -> None:
    tensorrt.takes_weights = False
    with pytest.raises(torchtrt_ws.EngineError, match="cannot be refitted"):
        strip(whole, tmp_path / "small.pte", weights=arrays())
    assert [each.name for each in tmp_path.iterdir()] == ["whole.pte"]


def test_weights_must_come_from_somewhere(tensorrt: Any, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="gives its weights to nobody"):
        strip(whole, tmp_path / "small.pte")


def test_without_tensorrt_nothing_is_written(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.EngineError, match="TensorRT and a GPU"):
        strip(whole, tmp_path / "small.pte", weights=arrays())
    assert [each.name for each in tmp_path.iterdir()] == ["whole.pte"]
