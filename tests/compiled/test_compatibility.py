"""With the real torch_tensorrt: its files are read here, ours there, and both say the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import blob, pte

Bodies = Callable[..., Any]

BUDGETS = (None, 0, 1, 4096, 2**40, 2**63 - 1)


@pytest.fixture(scope="module")
def alone(program_of: Callable[..., Any]) -> Any:
    return program_of(lambda self, call, x: call("a", x))


@pytest.fixture(scope="module")
def theirs(tensorrt: Any, alone: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Saves with torch_tensorrt.save; once for each budget."""
    folder = tmp_path_factory.mktemp("theirs")

    def save(budget: int | None) -> Path:
        path = folder / f"{budget}.pte"
        if not path.exists():
            tensorrt.save(
                alone,
                str(path),
                output_format="executorch",
                retrace=False,
                weight_streaming_budget_per_engine=budget,
            )
        return path

    return save


def only(path: Path) -> pte.EngineInfo:
    (engine,) = pte.read(path).engines
    return engine


def payload(path: Path) -> bytes:
    engine = only(path)
    return path.read_bytes()[engine.payload_offset : engine.payload_offset + engine.payload_bytes]


def specs(path: Path) -> list[tuple[str, bytes]]:
    return [(spec.key, spec.value) for spec in only(path).compile_specs]


def test_their_file_is_read_here(theirs: Callable[[Any], Path], plans: dict[str, bytes]) -> None:
    path = theirs(4096)
    engine = only(path)
    assert (engine.name, engine.kind, engine.baked_budget) == ("engine0", "tensorrt", 4096)
    assert engine.metadata.own is None
    found = blob.read(payload(path))
    assert bytes(found.engine) == plans["a"]
    assert [(each.name, each.is_input) for each in found.metadata.io_bindings] == [("x", True), ("y", False)]
    assert found.metadata.target_platform == "linux_x86_64"
    assert ("target_device", b"cuda:0") in specs(path)


def test_what_their_file_tells(theirs: Callable[[Any], Path], plans: dict[str, bytes]) -> None:
    """Through the command, as JSON and for people: the plan tells what built it, the program where tensors go."""
    version = ".".join(map(str, plans["a"][24:28]))
    command = ["-m", "torchtrt_ws", "inspect", theirs(4096), "--digest"]
    done = python(*command, "--json", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    (engine,) = answer["engines"]
    assert engine["builder"] == f"tensorrt-rtx {version}"
    assert (engine["target_device"], engine["device_id"], engine["target_platform"]) == ("cuda:0", 0, "linux_x86_64")
    assert engine["engine_bytes"] == len(plans["a"]) and engine["serialized_metadata_bytes"] > 0
    assert answer["digests"][0]["sha256"] == hashlib.sha256(plans["a"]).hexdigest()
    assert answer["digests"][0]["result"] == "not recorded"
    assert answer["methods"][0]["inputs"][0]["dtype"] == "float32" and not answer["has_room"]
    done = python(*command, "-d", timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"tensorrt-rtx {version}" in done.stdout and "cuda:0" in done.stdout


def test_what_two_of_their_files_differ_in(theirs: Callable[[Any], Path]) -> None:
    (engine,) = pte.diff(theirs(0), theirs(4096)).engines
    assert [(change.what, change.a, change.b) for change in engine.changes] == [("baked_budget", 0, 4096)]
    assert engine.compared_by == "bytes" and "contents" in engine.same
    report = pte.diff(theirs(0), theirs(4096))
    assert not report.rest and [method.status for method in report.methods] == ["same"]


def test_our_file_is_read_there(tensorrt: Any, alone: Any, plans: dict[str, bytes], tmp_path: Path) -> None:
    from torch_tensorrt.executorch.serialization import deserialize_engine

    torchtrt_ws.save(alone, tmp_path / "a.pte")
    engine, metadata = deserialize_engine(payload(tmp_path / "a.pte"))
    assert engine == plans["a"]
    assert [(each.name, each.dtype, each.shape, each.is_input) for each in metadata.io_bindings] == [
        ("x", "float32", [-1, 64], True),
        ("y", "float32", [-1, 64], False),
    ]
    assert metadata.target_platform == "linux_x86_64"


def test_the_same_program_says_the_same(
    tensorrt: Any, alone: Any, theirs: Callable[[Any], Path], tmp_path: Path
) -> None:
    from torch_tensorrt.executorch.serialization import deserialize_engine

    torchtrt_ws.save(alone, tmp_path / "a.pte", device="cuda:0")
    _, ours = deserialize_engine(payload(tmp_path / "a.pte"))
    _, wanted = deserialize_engine(payload(theirs(None)))
    for key in ("aliased_io", "hardware_compatible", "device_id", "serialized_metadata", "target_platform"):
        assert getattr(ours, key) == getattr(wanted, key)
    assert [each.name for each in ours.io_bindings] == [each.name for each in wanted.io_bindings]
    (ours_method,), (wanted_method,) = (pte.read(path).methods for path in (tmp_path / "a.pte", theirs(None)))
    assert nameless(ours_method.inputs) == wanted_method.inputs
    assert nameless(ours_method.outputs) == wanted_method.outputs


def nameless(values: tuple[pte.ValueInfo, ...]) -> tuple[pte.ValueInfo, ...]:
    """Their files do not record what a method's tensors are called."""
    assert all(value.name for value in values)
    return tuple(replace(value, name=None) for value in values)


@pytest.mark.parametrize("budget", BUDGETS)
def test_compile_specs_are_byte_equal(
    alone: Any, theirs: Callable[[Any], Path], tmp_path: Path, budget: int | None
) -> None:
    torchtrt_ws.save(alone, tmp_path / "a.pte", device="cuda:0", weight_streaming_budget_per_engine=budget)
    assert specs(tmp_path / "a.pte") == specs(theirs(budget))


@pytest.mark.parametrize("bad", [True, 1.5, -1, 2**63])
def test_both_refuse(tensorrt: Any, alone: Any, tmp_path: Path, bad: Any) -> None:
    keywords = {"weight_streaming_budget_per_engine": bad}
    with pytest.raises((TypeError, ValueError)):
        tensorrt.save(alone, str(tmp_path / "a.pte"), output_format="executorch", retrace=False, **keywords)
    with pytest.raises(torchtrt_ws.BudgetError):
        torchtrt_ws.save(alone, tmp_path / "a.pte", **keywords)


def test_what_they_cannot_do(tensorrt: Any, program_of: Callable[..., Any], tmp_path: Path) -> None:
    """Two engines with no path between them."""
    towers = program_of(lambda self, call, x: (call("a", x), call("b", x)))
    with pytest.raises(Exception, match="exactly 1 engine node"):
        tensorrt.save(towers, str(tmp_path / "theirs.pte"), output_format="executorch", retrace=False)
    torchtrt_ws.save(towers, tmp_path / "ours.pte", weight_streaming_budget="50%")
    assert len(pte.read(tmp_path / "ours.pte").engines) == 2


class TestPartitionerAlone:
    """`TensorRTPartitioner` in someone else's to_edge_transform_and_lower."""

    def lower(self, exported: Any, path: Path, **keywords: Any) -> pte.ProgramInfo:
        from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

        from torchtrt_ws.export import TensorRTPartitioner

        edge = to_edge_transform_and_lower(
            exported,
            partitioner=[TensorRTPartitioner(**keywords)],
            compile_config=EdgeCompileConfig(_check_ir_validity=False),
        )
        path.write_bytes(edge.to_executorch().buffer)
        return pte.read(path)

    def test_one(self, alone: Any, plans: dict[str, bytes], tmp_path: Path) -> None:
        report = self.lower(alone, tmp_path / "b.pte", device="cuda:1")
        assert [(each.target_device, each.metadata.device_id) for each in report.engines] == [("cuda:1", 1)]
        report = self.lower(alone, tmp_path / "a.pte", device="cuda:0", weight_streaming_budget=7)
        (engine,) = report.engines
        assert (engine.name, engine.baked_budget) == ("forward", 7)
        assert bytes(blob.read(payload(tmp_path / "a.pte")).engine) == plans["a"]
        assert specs(tmp_path / "a.pte")[-1] == ("target_device", b"cuda:0")

    def test_two_towers(self, program_of: Callable[..., Any], tmp_path: Path) -> None:
        towers = program_of(lambda self, call, x: call("a", x) + call("b", x))
        report = self.lower(towers, tmp_path / "a.pte", weight_streaming_budget=1001)
        assert sum(each.baked_budget or 0 for each in report.engines) == 1001
        assert len(report.engines) == 2

    def test_the_same_blob_as_save(self, alone: Any, tmp_path: Path) -> None:
        self.lower(alone, tmp_path / "a.pte")
        torchtrt_ws.save(alone, tmp_path / "b.pte")
        assert payload(tmp_path / "a.pte") == payload(tmp_path / "b.pte")

    def test_torch_tensorrt_still_saves_after_it(self, tensorrt: Any, alone: Any, tmp_path: Path) -> None:
        self.lower(alone, tmp_path / "a.pte")
        tensorrt.save(alone, str(tmp_path / "b.pte"), output_format="executorch", retrace=False)
        assert only(tmp_path / "b.pte").metadata.own is None

    def test_refused(self) -> None:
        from torchtrt_ws.export import TensorRTPartitioner

        with pytest.raises(torchtrt_ws.BudgetError, match="one of the two"):
            TensorRTPartitioner(weight_streaming_budget=1, weight_streaming_budget_per_engine=1)
