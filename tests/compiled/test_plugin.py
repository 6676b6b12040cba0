"""`torchtrt_ws.plugin` with the real torch_tensorrt."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import torchtrt_ws
from torchtrt_ws import plugin, pte


@pytest.fixture(scope="module")
def towers(program_of: Callable[..., Any]) -> Any:
    return program_of(lambda self, call, x: (call("a", x), torch.relu(call("b", x))))


@pytest.fixture(scope="module")
def alone(program_of: Callable[..., Any]) -> Any:
    return program_of(lambda self, call, x: call("a", x))


@pytest.fixture(autouse=True)
def restored(tensorrt: Any) -> Any:
    before = tensorrt.save, tensorrt._compile._save_as_executorch
    yield
    assert (tensorrt.save, tensorrt._compile._save_as_executorch) == before


def save(tensorrt: Any, exported: Any, path: Path, **keywords: Any) -> None:
    tensorrt.save(exported, str(path), output_format="executorch", retrace=False, **keywords)


def baked(path: Path) -> list[int | None]:
    return [engine.baked_budget for engine in pte.read(path).engines]


def test_a_total(tensorrt: Any, towers: Any, tmp_path: Path) -> None:
    with plugin.enable():
        save(tensorrt, towers, tmp_path / "a.pte", weight_streaming_budget=1001)
    assert sum(value or 0 for value in baked(tmp_path / "a.pte")) == 1001
    for engine in pte.read(tmp_path / "a.pte").engines:
        assert engine.metadata.own is not None
        assert engine.compile_specs[-1].value == b"cuda:0"  # as Torch-TensorRT places its engines


def test_their_keyword_takes_our_forms(tensorrt: Any, towers: Any, tmp_path: Path) -> None:
    with plugin.enable():
        each = {"_run_on_acc_a_engine": "1KiB", "_run_on_acc_b_engine": "100%"}
        save(tensorrt, towers, tmp_path / "a.pte", weight_streaming_budget_per_engine=each)
    assert baked(tmp_path / "a.pte") == [1024, 2**63 - 1]


def test_their_options_travel(tensorrt: Any, towers: Any, tmp_path: Path) -> None:
    from executorch.exir import ExecutorchBackendConfig
    from executorch.exir.backend.compile_spec_schema import CompileSpec

    from torchtrt_ws.export.graph import xnnpack

    with plugin.enable():
        save(
            tensorrt,
            towers,
            tmp_path / "a.pte",
            weight_streaming_budget="auto",
            partitioners=[xnnpack.partitioner()],
            compile_specs=[CompileSpec("target_device", b"cuda:3")],
            backend_config=ExecutorchBackendConfig(segment_alignment=4096),
            constant_methods={"width": 64},
            transform_passes={},
        )
    report = pte.read(tmp_path / "a.pte")
    assert {method.name for method in report.methods} == {"forward", "width"}
    assert report.other_backends == {"XnnpackBackend": 1}
    for engine in report.engines:
        assert [(spec.key, spec.value) for spec in engine.compile_specs] == [("target_device", b"cuda:3")]
        assert engine.payload_offset % 4096 == 0


def test_a_record_for_the_inspector(tensorrt: Any, alone: Any, tmp_path: Path) -> None:
    from executorch.devtools.etrecord import parse_etrecord

    with plugin.enable():
        save(tensorrt, alone, tmp_path / "a.pte", weight_streaming_budget=1024, generate_etrecord=True)
    assert baked(tmp_path / "a.pte") == [1024]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pte", "a_etrecord.bin"]
    graph = parse_etrecord(str(tmp_path / "a_etrecord.bin")).edge_dialect_program.graph
    assert any("engine" in str(node.target) for node in graph.nodes)


def test_other_calls_are_theirs(tensorrt: Any, alone: Any, tmp_path: Path) -> None:
    save(tensorrt, alone, tmp_path / "before.pte")
    with plugin.enable():
        save(tensorrt, alone, tmp_path / "inside.pte")
        assert (tmp_path / "inside.pte").read_bytes() == (tmp_path / "before.pte").read_bytes()
        save(tensorrt, alone, tmp_path / "none.pte", weight_streaming_budget=None)  # as a script passes its options on
        assert (tmp_path / "none.pte").read_bytes() == (tmp_path / "before.pte").read_bytes()
        tensorrt.save(torch.export.export(torch.nn.ReLU(), (torch.ones(2),)), str(tmp_path / "a.ep"), retrace=False)
        assert (tmp_path / "a.ep").stat().st_size > 0
        with pytest.raises(ValueError, match="output_format"):
            tensorrt.save(alone, str(tmp_path / "a"), output_format="other", weight_streaming_budget=1)
    with pytest.raises(TypeError, match="weight_streaming_budget"):
        save(tensorrt, alone, tmp_path / "after.pte", weight_streaming_budget=1)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"weight_streaming_budget": True}, "True"),
        ({"weight_streaming_budget": 1.5}, "1.5"),
        ({"weight_streaming_budget": "free-1GiB"}, "when the program is loaded"),
        ({"weight_streaming_budget": 1, "weight_streaming_budget_per_engine": 1}, "one of the two"),
        ({"weight_streaming_budget_per_engine": {"other": 1}}, "no engine named 'other'"),
        ({"weight_streaming_budget": 1, "constant_methods": {"forward": 1}}, "which is a method of the program"),
        ({"weight_streaming_budget": 1, "constant_methods": {"a b": 1}}, "constant method"),
        ({"weight_streaming_budget": 1, "partitioners": {"forward": []}}, "partitioners.*a list or tuple"),
        ({"weight_streaming_budget": 1, "compile_specs": {"forward": []}}, "compile_specs.*a list or tuple"),
        ({"weight_streaming_budget": 1, "transform_passes": {"other": []}}, "transform_passes.*a method 'other'"),
    ],
)
def test_refused(tensorrt: Any, alone: Any, tmp_path: Path, keywords: dict[str, Any], words: str) -> None:
    with plugin.enable(), pytest.raises(torchtrt_ws.WeightStreamingError, match=words):
        save(tensorrt, alone, tmp_path / "a.pte", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_enable_counts(tensorrt: Any) -> None:
    original = tensorrt.save
    plugin.enable()
    with plugin.enable():
        assert tensorrt.save is not original
        assert tensorrt.save is tensorrt._compile.save
    assert tensorrt.save is not original
    plugin.disable()
    assert tensorrt.save is original
    plugin.disable()  # nothing to take back
    assert tensorrt.save is original


def test_an_error_restores(tensorrt: Any) -> None:
    original = tensorrt.save
    with pytest.raises(ZeroDivisionError), plugin.enable():
        raise ZeroDivisionError
    assert tensorrt.save is original


def test_threads(tensorrt: Any) -> None:
    original, failures = tensorrt.save, []

    def work() -> None:
        for _ in range(200):
            with plugin.enable():
                if tensorrt.save is original:
                    failures.append("not enabled inside")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert tensorrt.save is original


def test_a_budget_stays_in_its_thread(tensorrt: Any, alone: Any, tmp_path: Path) -> None:
    """One thread saves with a budget, another without: the second is Torch-TensorRT's own."""
    from torchtrt_ws.export import save_compiled

    inside, done = threading.Event(), threading.Event()
    original = save_compiled.save_compiled

    def slow(*arguments: Any, **keywords: Any) -> None:
        inside.set()
        assert done.wait(120)
        original(*arguments, **keywords)

    with plugin.enable(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(save_compiled, "save_compiled", slow)
        keywords = {"weight_streaming_budget": 5}
        thread = threading.Thread(target=save, args=(tensorrt, alone, tmp_path / "ours.pte"), kwargs=keywords)
        thread.start()
        assert inside.wait(120)
        save(tensorrt, alone, tmp_path / "theirs.pte")
        done.set()
        thread.join()
    assert pte.read(tmp_path / "theirs.pte").engines[0].metadata.own is None
    assert baked(tmp_path / "ours.pte") == [5]
