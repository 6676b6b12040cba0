"""Two methods over one layer: its weights are in the file once, in the cache once, and in memory once."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from warm_python import python

import torchtrt_ws
from torchtrt_ws import pte

FEATURES = 1024
WEIGHTS = FEATURES * FEATURES * 4  # bytes
MIB = 2**20


class Parts:
    """A layer, and the methods that use it: inputs of 8 rows and of 1, each with something of its own."""

    def __init__(self) -> None:
        import torch

        torch.manual_seed(0)
        self.layer = torch.nn.Linear(FEATURES, FEATURES)
        layer = self.layer

        class Prefill(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: Any) -> Any:
                return torch.relu(self.layer(x))

        class Decode(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: Any) -> Any:
                return self.layer(x) + 1

        self.methods = {"prefill": Prefill().eval(), "decode": Decode().eval()}
        self.inputs = {"prefill": torch.randn(8, FEATURES), "decode": torch.randn(1, FEATURES)}

    def check(self, program: Any, *names: str) -> None:
        import torch

        for name in names or self.methods:
            (y,) = program.run(name, self.inputs[name])
            with torch.no_grad():
                torch.testing.assert_close(y, self.methods[name](self.inputs[name]), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


@pytest.fixture(scope="module")
def path(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("common") / "common.pte"
    torchtrt_ws.save(parts.methods, path, arg_inputs={name: (x,) for name, x in parts.inputs.items()})
    return path


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"


def resident(program: Any) -> int:
    return sum(engine.device_bytes for engine in program.engines)


def mappings() -> list[str]:
    """Of packed weights, in this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sorted({line.split()[0] for line in lines if ".packed" in line})


def test_the_file_has_the_weights_once(path: Path) -> None:
    assert WEIGHTS < path.stat().st_size < WEIGHTS + 256 * 1024
    first, second = pte.read(path).engines
    assert second.same_plan_as == first.name
    for engine in (first, second):
        own = engine.metadata.own
        assert own is not None
        assert own.nested_method == engine.method == engine.name
        assert own.program_distinct_bytes == engine.streamable_bytes
        assert own.program_streamable_bytes == 2 * (engine.streamable_bytes or 0)


@pytest.mark.parametrize("percent", [0, 50, 100])
@pytest.mark.usefixtures("own_cache")
def test_each_budget_with_a_cold_cache_and_a_warm_one(parts: Parts, path: Path, own_cache: Path, percent: int) -> None:
    def load_and_run() -> None:
        program = torchtrt_ws.load(path, weight_streaming_budget=f"{percent}%")
        parts.check(program)
        parts.check(program)
        assert [engine.shared_with for engine in program.engines] == [("prefill",), ("decode",)]
        (size,) = {engine.streamable_bytes for engine in program.engines}
        assert WEIGHTS <= size < WEIGHTS + MIB
        for engine in program.engines:
            assert abs(engine.budget_bytes - size * percent // 100) <= 4096
        assert abs(resident(program) - size * percent // 100) < 64 * 1024, "once, after both have run"

    for _ in range(2):
        load_and_run()
        assert len(list(own_cache.glob("*.packed"))) == 1
    assert not mappings()


@pytest.mark.usefixtures("own_cache")
def test_all_is_resident_once(parts: Parts, path: Path) -> None:
    program = torchtrt_ws.load(path, weight_streaming_budget="100%")
    parts.check(program)
    sizes = [int(end, 16) - int(start, 16) for start, end in (each.split("-") for each in mappings())]
    assert WEIGHTS <= sum(sizes) < WEIGHTS + MIB, "one mapping, of which a part is locked"
    del program
    assert not mappings()


@pytest.mark.usefixtures("own_cache")
def test_a_total_counts_the_weights_once(parts: Parts, path: Path) -> None:
    program = torchtrt_ws.load(path, weight_streaming_budget="3MiB")
    assert {engine.budget_bytes for engine in program.engines} == {3 * MIB}
    program.set_weight_streaming_budget("1MiB")
    assert {engine.budget_bytes for engine in program.engines} == {MIB}
    program.engines[1].set_budget("2MiB")
    assert {engine.budget_bytes for engine in program.engines} == {2 * MIB}
    parts.check(program)
    with torchtrt_ws.weight_streaming(program) as ctx:
        assert ctx.device_budget == 2 * MIB
        ctx.device_budget = 0
        parts.check(program)
        assert resident(program) < 64 * 1024
    assert {engine.budget_bytes for engine in program.engines} == {2 * MIB}


@pytest.mark.usefixtures("own_cache")
def test_with_weights_of_their_own(parts: Parts, path: Path) -> None:
    for keywords in ({"share_engines": False}, {"mmap": False}):
        program = torchtrt_ws.load(path, weight_streaming_budget="2MiB", **keywords)  # type: ignore[arg-type]
        parts.check(program)
        assert [engine.shared_with for engine in program.engines] == [(), ()]
        assert {engine.budget_bytes for engine in program.engines} == {MIB}, "the total is for both"


@pytest.mark.usefixtures("own_cache")
def test_loaded_twice(parts: Parts, path: Path) -> None:
    """Two programs are for two calls at the same time: each has its mapping, both of one file."""
    first = torchtrt_ws.load(path, weight_streaming_budget="100%")
    second = torchtrt_ws.load(path, weight_streaming_budget="1MiB")
    assert len(mappings()) >= 2
    assert [engine.shared_with for engine in second.engines] == [("prefill",), ("decode",)]
    parts.check(first)
    parts.check(second)
    assert {engine.budget_bytes for engine in second.engines} == {MIB}
    del first
    parts.check(second)


@pytest.mark.usefixtures("own_cache")
def test_calls_from_threads(parts: Parts, path: Path) -> None:
    program = torchtrt_ws.load(path, weight_streaming_budget="50%", contexts=2)
    failures: list[BaseException] = []

    def call(name: str) -> None:
        try:
            for _ in range(20):
                parts.check(program, name)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(name,)) for name in (*parts.methods, *parts.methods)]
    for thread in threads:
        thread.start()
    for size in ("1MiB", "100%", "0%"):
        program.set_weight_streaming_budget(size)
    for thread in threads:
        thread.join()
    assert not failures


def test_without_a_cache_folder(parts: Parts, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(tmp_path / "file"))
    program = torchtrt_ws.load(path)
    assert {engine.streamable_bytes for engine in program.engines} == {0}
    parts.check(program)


ONE_METHOD = """
import sys
from torchtrt_ws import pte
from torchtrt_ws.runtime.native import _native
_native.load_adapter("host")
program = _native.Program(sys.argv[1], [], True)
program.load_method(sys.argv[2])
import numpy as np
(y,) = program.execute(sys.argv[2], [np.ones((int(sys.argv[3]), 1024), np.float32)])
(number,) = program.engine_ids()
report = _native.engine_report(number)
assert report["streamable_bytes"] >= 4 << 20, report
assert report["device_bytes"] <= report["streamable_bytes"] + (64 << 10), report
print(float(np.asarray(y).sum()))
"""


@pytest.mark.parametrize("order", [("decode", "prefill"), ("prefill", "decode")])
@pytest.mark.usefixtures("own_cache")
def test_one_method_only(parts: Parts, path: Path, order: tuple[str, str]) -> None:
    """The first load packs the weights of both, whichever it is, and the second packs none."""
    import torch

    for name in order:
        rows = len(parts.inputs[name])
        done = python("-c", ONE_METHOD, path, name, rows, timeout=120)
        assert done.returncode == 0, done.stderr
        with torch.no_grad():
            want = float(parts.methods[name](torch.ones(rows, FEATURES)).sum())
        assert np.isclose(float(done.stdout), want, rtol=1e-3)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A table that one method looks up, which XNNPACK does not pack, and another one multiplies with, which it does."""
    import torch

    torch.manual_seed(1)
    table = torch.nn.Parameter(torch.randn(FEATURES, FEATURES))

    class Embed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, ids: Any) -> Any:
            return torch.nn.functional.embedding(ids, self.table)

    class Head(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = table

        def forward(self, x: Any) -> Any:
            return torch.nn.functional.linear(x, self.table)

    path = tmp_path_factory.mktemp("tied") / "tied.pte"
    inputs = {"embed": (torch.zeros(3, dtype=torch.int64),), "head": (torch.zeros(3, FEATURES),)}
    torchtrt_ws.save({"embed": Embed().eval(), "head": Head().eval()}, path, arg_inputs=inputs)
    return path, table.detach()


@pytest.mark.usefixtures("own_cache")
def test_the_method_that_is_loaded_first_has_nothing_that_is_packed(tied: tuple[Path, Any]) -> None:
    import torch

    path, table = tied
    for _ in range(2):  # a cold cache and a warm one
        program = torchtrt_ws.load(path, weight_streaming_budget="50%")
        assert [engine.name for engine in program.engines] == ["embed", "head"]
        assert {engine.streamable_bytes >= WEIGHTS for engine in program.engines} == {True}
        assert [engine.shared_with for engine in program.engines] == [("head",), ("embed",)]
        (rows,) = program.run("embed", torch.tensor([3, 1, 2]))
        torch.testing.assert_close(rows, table[[3, 1, 2]])
        (logits,) = program.run("head", rows)
        torch.testing.assert_close(logits, rows @ table.T, atol=1e-3, rtol=1e-4)
        assert abs(resident(program) - program.engines[0].budget_bytes) < 64 * 1024
        program.set_weight_streaming_budget("100%")
        (again,) = program.run("head", rows)
        torch.testing.assert_close(again, logits)
        del program


@pytest.mark.usefixtures("own_cache")
def test_the_same_module_as_two_methods(tmp_path: Path) -> None:
    import torch

    layer = torch.nn.Linear(FEATURES, FEATURES).eval()
    x = torch.randn(2, FEATURES)
    torchtrt_ws.save({"one": layer, "other": layer}, tmp_path / "a.pte", arg_inputs={"one": (x,), "other": (x,)})
    assert (tmp_path / "a.pte").stat().st_size < WEIGHTS + 256 * 1024
    program = torchtrt_ws.load(tmp_path / "a.pte", weight_streaming_budget=MIB)
    assert {engine.budget_bytes for engine in program.engines} == {MIB}
    for name in ("one", "other"):
        (y,) = program.run(name, x)
        with torch.no_grad():
            torch.testing.assert_close(y, layer(x), atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def unload(build_project: Callable[[Path], Path]) -> Path:
    return build_project(Path(__file__).parent / "unload") / "unload"


@pytest.mark.usefixtures("own_cache")
def test_either_method_may_go_first(path: Path, tied: tuple[Path, Any], unload: Path) -> None:
    """The bytes of a method's engine go with it, and XNNPACK unmaps the weights with the last method that has them."""
    for file, first, second, rows in (
        (path, "decode", "prefill", 8),
        (path, "prefill", "decode", 1),
        (tied[0], "embed", "head", 3),
    ):
        command = list(map(str, (unload, file, first, second, rows, FEATURES)))
        done = subprocess.run(command, text=True, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("own_cache")
def test_a_signed_program(parts: Parts, path: Path, tmp_path: Path) -> None:
    """Its verified copy is memory that nobody can write, and a file to the system: as good as a mapped one."""
    from torchtrt_ws import trust

    signed = tmp_path / "signed.pte"
    signed.write_bytes(path.read_bytes())
    trust.new_key(tmp_path / "key.pem")
    trust.sign(signed, tmp_path / "key.pem")
    for mapped in (None, True):
        keys = [tmp_path / "key.pub.pem"]
        program = torchtrt_ws.load(signed, weight_streaming_budget="2MiB", mmap=mapped, trusted_keys=keys)
        assert {engine.budget_bytes for engine in program.engines} == {2 * MIB}
        assert [engine.shared_with for engine in program.engines] == [("prefill",), ("decode",)]
        parts.check(program)
