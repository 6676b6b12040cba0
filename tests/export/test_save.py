"""What save writes: metadata, engine, compile specs, methods."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from executorch.exir.backend.compile_spec_schema import CompileSpec

import torchtrt_ws
from torchtrt_ws import blob, pte
from torchtrt_ws.identifiers import BACKEND_ID

TOWER_WEIGHTS = 2 * 4 * (32 * 32 + 32)  # bytes


def specs(path: Path) -> dict[str, list[tuple[str, bytes]]]:
    return {each.name: [(spec.key, spec.value) for spec in each.compile_specs] for each in pte.read(path).engines}


def test_metadata_says_what_the_engine_is(saved: Path, nested: Callable[..., blob.Blob]) -> None:
    found = nested(saved)
    own = found.metadata.own
    assert own is not None
    batch = {"shape": (-1, 32), "min": (1, 32), "max": (8, 32), "dtype": "float32"}
    assert own.inputs == (blob.TensorFacts(name="x", **batch),)  # type: ignore[arg-type]
    assert own.outputs == (blob.TensorFacts(name="output", **batch),)  # type: ignore[arg-type]
    assert found.metadata.io_bindings == (
        blob.Binding("x", "float32", (-1, 32), True),
        blob.Binding("output", "float32", (-1, 32), False),
    )
    assert (own.name, own.kind, own.program_engines) == ("forward", "host", 1)
    assert own.builder.startswith("executorch 1.")
    assert own.sha256 == hashlib.sha256(found.engine).hexdigest()
    assert (own.streamable_bytes, own.streamable_estimated) == (TOWER_WEIGHTS, True)
    assert own.program_streamable_bytes == TOWER_WEIGHTS


def test_engine_is_an_aligned_program_in_a_segment_of_its_own(saved: Path, nested: Callable[..., blob.Blob]) -> None:
    (engine,) = pte.read(saved).engines
    assert bytes(nested(saved).engine[4:8]) == b"ET12"
    assert engine.engine_offset % 16 == 0
    assert engine.payload_offset % 128 == 0  # a segment, which the runtime can free; inline data is not aligned so
    # The weights are in the file once, beside the flatbuffer and room for a second one of it.
    assert saved.stat().st_size < engine.engine_bytes + 10240 < 2 * engine.engine_bytes


@pytest.mark.parametrize("rows", [1, 2, 8])
def test_program_inside_equals_eager(
    saved: Path, tower: torch.nn.Module, run_nested: Callable[..., Any], rows: int
) -> None:
    x = torch.randn(rows, 32)
    (output,) = run_nested(saved, [x])
    torch.testing.assert_close(output, tower(x), atol=1e-5, rtol=1e-5)


def test_saved_program_runs_as_a_whole(saved: Path, tower: torch.nn.Module) -> None:
    x = torch.randn(3, 32)
    (output,) = torchtrt_ws.load(saved)(x)
    torch.testing.assert_close(torch.from_dlpack(output), tower(x), atol=1e-5, rtol=1e-5)


def test_the_same_program_makes_the_same_file(
    saved: Path, exported: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    torchtrt_ws.save(exported, tmp_path / "again.pte")
    assert (tmp_path / "again.pte").read_bytes() == saved.read_bytes()


def test_weights_are_named_by_content(nested: Callable[..., blob.Blob], saved: Path) -> None:
    """XNNPACK's weight cache finds packed weights by these names; without them it would not keep them in its file."""
    from executorch.exir._serialize._program import deserialize_pte_binary

    named = deserialize_pte_binary(bytes(nested(saved).engine)).named_data
    assert named is not None
    assert sum(map(len, named.buffers)) == TOWER_WEIGHTS


def test_a_module_is_exported_in_eval_and_left_as_it_was(tmp_path: Path, run_nested: Callable[..., Any]) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.9), torch.nn.BatchNorm1d(8)).train()
    module[1].eval()
    x = torch.randn(4, 8)
    torchtrt_ws.save(module, tmp_path / "a.pte", arg_inputs=(x,))
    assert [each.training for each in module] == [True, False, True]
    (output,) = run_nested(tmp_path / "a.pte", [x])
    torch.testing.assert_close(output, module.eval()(x), atol=1e-5, rtol=1e-5)


def test_an_exported_program_is_not_changed(
    exported: torch.export.ExportedProgram, saved: Path, tower: torch.nn.Module
) -> None:
    x = torch.randn(5, 32)
    assert saved.exists()
    torch.testing.assert_close(exported.module()(x), tower(x))


class TestMethods:
    @pytest.fixture(scope="class")
    def two(self, tower: torch.nn.Module, wide_tower: torch.nn.Module, tmp_path_factory: Any) -> Path:
        path: Path = tmp_path_factory.mktemp("methods") / "two.pte"
        torchtrt_ws.save(
            {"encode": tower, "rank.v1": wide_tower},
            path,
            arg_inputs={"encode": (torch.ones(2, 32),)},
            kwarg_inputs={"rank.v1": {"x": torch.ones(2, 64)}},
            dynamic_shapes={"encode": {"x": {0: torch.export.Dim("batch", max=4)}}},
            weight_streaming_budget=30000,
        )
        return path

    def test_each_method_is_an_engine_of_its_name(self, two: Path) -> None:
        report = pte.read(two)
        assert {(each.name, each.method) for each in report.engines} == {("encode", "encode"), ("rank.v1", "rank.v1")}
        for engine in report.engines:
            own = engine.metadata.own
            assert own is not None
            assert own.program_engines == 2
            assert own.program_streamable_bytes == sum(each.streamable_bytes or 0 for each in report.engines)

    def test_a_total_is_split_by_streamable_size(self, two: Path) -> None:
        baked = {each.name: each.baked_budget for each in pte.read(two).engines}
        wide = 2 * 4 * (64 * 64 + 64)
        assert sum(value or 0 for value in baked.values()) == 30000
        assert abs((baked["encode"] or 0) - 30000 * TOWER_WEIGHTS / (TOWER_WEIGHTS + wide)) < 1

    def test_each_runs(
        self, two: Path, tower: torch.nn.Module, wide_tower: torch.nn.Module, run_nested: Callable[..., Any]
    ) -> None:
        for name, module, x in (("encode", tower, torch.randn(3, 32)), ("rank.v1", wide_tower, torch.randn(2, 64))):
            (output,) = run_nested(two, [x], name)
            torch.testing.assert_close(output, module(x), atol=1e-5, rtol=1e-5)


class TestBudget:
    @pytest.fixture(scope="class")
    def built(self, exported: torch.export.ExportedProgram) -> Any:
        from torchtrt_ws.export.graph.interface import read_interface
        from torchtrt_ws.export.sources import host

        return host.build({"forward": exported}, {"forward": read_interface("forward", exported)})

    @pytest.fixture
    def lowered_once(self, built: Any, monkeypatch: Any) -> None:
        """The budget does not change the engine: these tests build it once."""
        from torchtrt_ws.export.sources import host

        monkeypatch.setattr(host, "build", lambda *arguments: built)

    @pytest.mark.usefixtures("lowered_once")
    @pytest.mark.parametrize(
        ("keywords", "baked"),
        [
            pytest.param({}, None, id="nothing given"),
            pytest.param({"weight_streaming_budget": "auto"}, None, id="auto is the delegate's default"),
            pytest.param({"weight_streaming_budget": 1000}, b"1000", id="bytes"),
            pytest.param({"weight_streaming_budget": 0}, b"0", id="nothing resident"),
            pytest.param({"weight_streaming_budget": "1K"}, b"1024", id="suffix"),
            pytest.param({"weight_streaming_budget": "50%"}, b"%d" % (TOWER_WEIGHTS // 2), id="of the estimate"),
            pytest.param({"weight_streaming_budget": "100%"}, b"%d" % (2**63 - 1), id="never a byte short"),
            pytest.param({"weight_streaming_budget_per_engine": 1000}, b"1000", id="Torch-TensorRT's keyword"),
            pytest.param({"weight_streaming_budget_per_engine": {"forward": "25%"}}, b"2112", id="by name"),
        ],
    )
    def test_baked(
        self, exported: torch.export.ExportedProgram, tmp_path: Path, keywords: dict[str, Any], baked: bytes | None
    ) -> None:
        torchtrt_ws.save(exported, tmp_path / "a.pte", **keywords)
        expected = [] if baked is None else [("weight_streaming_budget", baked)]
        assert specs(tmp_path / "a.pte") == {"forward": expected}

    @pytest.mark.usefixtures("lowered_once")
    def test_other_specs_travel_with_it(self, exported: torch.export.ExportedProgram, tmp_path: Path) -> None:
        torchtrt_ws.save(
            exported,
            tmp_path / "a.pte",
            weight_streaming_budget=7,
            compile_specs=[CompileSpec("note", b"\0\1"), CompileSpec("target_device", b"cpu")],
        )
        assert specs(tmp_path / "a.pte") == {
            "forward": [("note", b"\0\1"), ("target_device", b"cpu"), ("weight_streaming_budget", b"7")]
        }

    @pytest.mark.parametrize(
        ("keywords", "words"),
        [
            pytest.param({"weight_streaming_budget": True}, "True", id="bool"),
            pytest.param({"weight_streaming_budget": 1.5}, "1.5", id="float"),
            pytest.param({"weight_streaming_budget": -1}, "-1", id="negative"),
            pytest.param({"weight_streaming_budget": 2**63}, "2\\^63", id="overflow"),
            pytest.param({"weight_streaming_budget": "free-1GiB"}, "when the program is loaded", id="no device yet"),
            pytest.param(
                {"weight_streaming_budget": 1, "weight_streaming_budget_per_engine": 1}, "one of the two", id="both"
            ),
            pytest.param({"weight_streaming_budget_per_engine": {"backward": 1}}, "'forward'", id="unknown engine"),
            pytest.param(
                {"compile_specs": [CompileSpec("weight_streaming_budget", b"1")]}, "keyword", id="compile spec"
            ),
        ],
    )
    def test_refused_before_the_work(self, tmp_path: Path, keywords: dict[str, Any], words: str) -> None:
        """The module is none: a budget is refused before anything is exported."""
        with pytest.raises(torchtrt_ws.BudgetError, match=words):
            torchtrt_ws.save(object(), tmp_path / "a.pte", **keywords)  # type: ignore[arg-type]
        assert list(tmp_path.iterdir()) == []


X = torch.ones(2, 32)


@pytest.mark.parametrize(
    ("given", "keywords", "words"),
    [
        pytest.param(lambda x: x, {"arg_inputs": (X,)}, "'forward'.*function.*torch.nn.Module", id="a function"),
        pytest.param({}, {}, "empty mapping", id="no methods"),
        pytest.param({"a b": torch.nn.ReLU()}, {"arg_inputs": {"a b": (X,)}}, "'a b'.*39", id="name of a method"),
        pytest.param({1: torch.nn.ReLU()}, {"arg_inputs": {1: (X,)}}, "method name: found 1", id="not a name"),
        pytest.param(torch.nn.ReLU(), {}, "no example inputs", id="no inputs"),
        pytest.param(torch.nn.ReLU(), {"arg_inputs": X}, "arg_inputs: found a Tensor.*a tuple", id="a bare tensor"),
        pytest.param(torch.nn.ReLU(), {"kwarg_inputs": [X]}, "kwarg_inputs: found a list", id="keywords in a list"),
        pytest.param(torch.nn.ReLU(), {"arg_inputs": (X, X)}, "TypeError|UserError|ValueError", id="one too many"),
        pytest.param({"a": torch.nn.ReLU()}, {"arg_inputs": (X,)}, "arg_inputs.*'a'", id="inputs without a method"),
        pytest.param({"a": torch.nn.ReLU()}, {"arg_inputs": {"b": (X,)}}, "no method named 'b'", id="another method"),
        pytest.param({"a": torch.nn.ReLU()}, {"arg_inputs": {}}, "'a', arg_inputs: found no", id="a method's inputs"),
        pytest.param(torch.nn.ReLU(), {"arg_inputs": (X,), "engine": "tpu"}, "engine: found 'tpu'.*host", id="engine"),
        pytest.param(
            torch.nn.ReLU(), {"arg_inputs": (X,), "compile_specs": [("a", b"b")]}, "CompileSpec", id="not a spec"
        ),
        pytest.param(
            torch.nn.ReLU(),
            {"arg_inputs": (X,), "compile_specs": [CompileSpec("target_device", b"cuda:0")]},
            "target_device.*cuda:0",
            id="a host engine on a GPU",
        ),
    ],
)
def test_arguments_are_refused(tmp_path: Path, given: Any, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match=words):
        torchtrt_ws.save(given, tmp_path / "a.pte", **keywords)
    assert list(tmp_path.iterdir()) == []


def test_dynamic_shapes_of_an_exported_program_are_refused(
    exported: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="already exported"):
        torchtrt_ws.save(exported, tmp_path / "a.pte", dynamic_shapes={"x": {}})


def test_another_backend_of_the_name_does_no_harm(exported: torch.export.ExportedProgram, tmp_path: Path) -> None:
    """exir looks a backend up by its class name, and takes the last one defined. Torch-TensorRT has one of ours."""
    from executorch.exir.backend.backend_details import BackendDetails

    def fail(*arguments: Any) -> None:
        raise AssertionError("the other backend was asked")

    members = {"__module__": "torch_tensorrt.executorch.backend", "preprocess": staticmethod(fail)}
    other = type(BackendDetails)("TensorRTBackend", (BackendDetails,), members)  # for as long as the test has it
    torchtrt_ws.save(exported, tmp_path / "a.pte")
    assert [each.name for each in pte.read(tmp_path / "a.pte").engines] == ["forward"]
    assert other.__name__ == BACKEND_ID


def test_importing_export_imports_no_torch() -> None:
    script = "import sys, torchtrt_ws, torchtrt_ws.export; assert not {'torch', 'executorch.exir'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_budget_without_streamable_weights_is_said_and_not_baked(tmp_path: Path) -> None:
    layer = torch.nn.Linear(8, 8).to(torch.bfloat16)
    with pytest.warns(UserWarning, match="'forward' has no weights that can be streamed"):
        torchtrt_ws.save(
            layer,
            tmp_path / "a.pte",
            arg_inputs=(torch.ones(2, 8, dtype=torch.bfloat16),),
            weight_streaming_budget="50%",
        )
    (engine,) = pte.read(tmp_path / "a.pte").engines
    assert (engine.streamable_bytes, engine.baked_budget) == (0, None)


def test_a_convolution_of_volumes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(torchtrt_ws.ProgramError, match="a convolution of a 5-D tensor"):
        torchtrt_ws.save(torch.nn.Conv3d(3, 4, 3), tmp_path / "a.pte", arg_inputs=(torch.randn(1, 3, 8, 8, 8),))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["torch", "crc32c"])
def test_saving_without_a_package_names_the_extra(tmp_path: Path, package: str) -> None:
    script = """
import sys
missing = sys.argv[2]
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == missing else find(name, *rest)
import torchtrt_ws
for call in (lambda: torchtrt_ws.save(None, sys.argv[1]), lambda: torchtrt_ws.save_plan(b"ftrt", sys.argv[1])):
    try:
        call()
    except torchtrt_ws.EngineError as error:
        print(error)
"""
    command = [sys.executable, "-c", script, str(tmp_path / "a.pte"), package]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.stdout.count(f"no module {package!r}") == 2, done.stderr
    assert done.stdout.count("pip install torchtrt-ws[export]") == 2
