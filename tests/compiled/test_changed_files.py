"""Files that the real torch_tensorrt wrote: with another budget, and with our metadata, they are still its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import torchtrt_ws
from torchtrt_ws import pte


@pytest.fixture(scope="module")
def theirs(tensorrt: Any, program_of: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Saves a chain of two engines with torch_tensorrt.save, with a budget for each or without."""
    folder = tmp_path_factory.mktemp("theirs")
    program = program_of(lambda self, call, x: call("b", self.linear(call("a", x))))

    def save(budget: int | None) -> bytes:
        path = folder / f"{budget}.pte"
        if not path.exists():
            keywords = {"weight_streaming_budget_per_engine": budget}
            tensorrt.save(program, str(path), output_format="executorch", retrace=False, **keywords)
        return path.read_bytes()

    return save


def payloads(path: Path) -> list[bytes]:
    contents = path.read_bytes()
    return [contents[e.payload_offset : e.payload_offset + e.payload_bytes] for e in pte.read(path).engines]


def specs(path: Path) -> list[list[tuple[str, bytes]]]:
    return [[(spec.key, spec.value) for spec in engine.compile_specs] for engine in pte.read(path).engines]


@pytest.mark.parametrize("before", [None, 1 << 20])
def test_another_budget_is_what_they_would_have_written(theirs: Any, tmp_path: Path, before: int | None) -> None:
    path, wanted = tmp_path / "a.pte", tmp_path / "wanted.pte"
    path.write_bytes(theirs(before))
    engines = payloads(path)
    for budget in (2**40, 12345, None, 2**63 - 1):
        torchtrt_ws.set_budget(path, {engine.name: budget for engine in pte.read(path).engines})
        wanted.write_bytes(theirs(budget))
        assert specs(path) == specs(wanted)
        assert payloads(path) == engines
    assert pte.read(path).methods == pte.read(wanted).methods


def test_a_shorter_budget_is_in_place(theirs: Any, tmp_path: Path) -> None:
    """Where both numbers lie in one sector; with leading zeros, which their reader takes (std::from_chars)."""
    path = tmp_path / "a.pte"
    path.write_bytes(theirs(1 << 20))
    first = pte.read(path).engines[0].name
    report = torchtrt_ws.set_budget(path, 4096, engines=[first])
    assert report.in_place and path.stat().st_size == len(theirs(1 << 20))
    assert [engine.baked_budget for engine in pte.read(path).engines] == [4096, 1 << 20]
    assert specs(path)[0][0] == ("weight_streaming_budget", b"0004096")


def test_annotated_files_are_read_there(tensorrt: Any, theirs: Any, plans: dict[str, bytes], tmp_path: Path) -> None:
    from torch_tensorrt.executorch.serialization import deserialize_engine

    path = tmp_path / "a.pte"
    path.write_bytes(theirs(4096))
    before = [deserialize_engine(payload) for payload in payloads(path)]
    old_specs, methods = specs(path), pte.read(path).methods
    assert torchtrt_ws.annotate(path).engines == ("engine0", "engine1")
    assert [deserialize_engine(payload) for payload in payloads(path)] == before
    assert [engine for engine, _ in before] == [plans["a"], plans["b"]]
    assert (specs(path), pte.read(path).methods) == (old_specs, methods)
    for engine, plan in zip(pte.read(path).engines, plans.values(), strict=True):
        own = engine.metadata.own
        assert own is not None and own.streamable_estimated and own.program_engines == 2
        assert own.streamable_bytes == len(plan)
        assert own.program_streamable_bytes == sum(map(len, plans.values()))
        assert engine.inputs == (pte.TensorInfo("x", "float32", (-1, -1), (0, 0), (8, 64)),)
    torchtrt_ws.set_budget(path, "50%")  # what needs sizes works now
    assert [engine.baked_budget for engine in pte.read(path).engines] == [len(plan) // 2 for plan in plans.values()]
