"""`torchtrt-ws check`: host engines for real, and TensorRT's on the stand-ins (tests/standin)."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from warm_python import python

import torchtrt_ws

TESTS = Path(__file__).resolve().parent.parent
STANDINS = TESTS.parent / "build" / "dev" / "tests" / "standin" / "lib"
MIB = 2**20
X, Y = "x:float32:1..8x4", "y:float32:1..8x4"
RTX_VERSIONS = {"10": (1, 4, 0, 76), "11": (1, 6, 1, 120)}  # of the stand-in, by TensorRT's headers


def clean(environment: dict[str, str]) -> dict[str, str]:
    """This environment without what is ours, and with what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TORCHTRT_WS_", "STANDIN_"))}
    return {**kept, **environment}


def check(path: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "torchtrt_ws", "check", path, *arguments, env=clean(environment))


def check_after(
    prepare: Callable[[], None], path: Path, *arguments: object, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs it in a process that `prepare` was called in."""
    command = [sys.executable, "-m", "torchtrt_ws", "check", str(path), *map(str, arguments)]
    every = clean(environment)
    return subprocess.run(command, capture_output=True, text=True, env=every, timeout=300, preexec_fn=prepare)


def facts_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The facts of the program and of its first engine, by name."""
    report = json.loads(done.stdout)
    facts = {fact["name"]: fact for fact in [*report["engines"][0]["facts"], *report["facts"]]}
    assert report["ok"] == (done.returncode == 0)
    assert all(fact["verdict"] in ("ok", "advice", "no", "unknown") for fact in facts.values())
    return facts


def verdicts(facts: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: fact["verdict"] for name, fact in facts.items()}


def test_an_engine_in_a_data_file(pte_folder: Path, tmp_path: Path) -> None:
    """As Torch-TensorRT 2.15 may write it. A load takes it from there: that a check cannot look at it is no No."""
    from executorch.exir._serialize._named_data_store import NamedDataStore
    from executorch.exir._serialize.data_serializer import DataPayload
    from executorch.extension.flat_tensor.serialize.serialize import FlatTensorSerializer

    path = tmp_path / "a.pte"
    path.write_bytes((pte_folder / "elsewhere.pte").read_bytes())
    done = check(path, "--json")
    facts = facts_of(done)
    assert done.returncode == 1 and (facts["blob"]["verdict"], facts["data"]["verdict"]) == ("unknown", "no")
    store = NamedDataStore()
    store.add_named_data("engine_0", b"vtrt" * 64, 16, "file")
    output = store.get_named_data_store_output()
    file = FlatTensorSerializer().serialize(DataPayload(output.buffers, output.external_data["file"]))
    (tmp_path / "a.ptd").write_bytes(bytes(file))
    done = check(path, "--json")
    facts = facts_of(done)
    assert done.returncode == 0 and (facts["blob"]["verdict"], facts["data"]["verdict"]) == ("unknown", "ok")
    assert 'under the key "engine_0"' in facts["blob"]["found"]
    assert torchtrt_ws.annotate(path).engines == ("engine0",)
    done = check(path, "--json", "--digest")
    assert done.returncode == 0 and facts_of(done)["blob"]["verdict"] == "unknown"


# --- host engines


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host") / "host.pte"
    layers = torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.Linear(512, 512))
    torchtrt_ws.save(layers, path, arg_inputs=(torch.zeros(2, 512),), weight_streaming_budget="50%")
    return path


def streamable_of(path: Path) -> int:
    streamable = torchtrt_ws.pte.read(path).engines[0].streamable_bytes
    assert streamable is not None and streamable > 2 * MIB
    return streamable


def on_host(path: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return check(path, *arguments, **{"TORCHTRT_WS_CACHE": str(path.parent / "cache"), **environment})


def test_a_host_engine_before_and_after_it_was_loaded(host: Path) -> None:
    done = on_host(host, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    facts = facts_of(done)
    assert set(verdicts(facts).values()) == {"ok"}
    streamable = streamable_of(host)
    assert facts["budget"]["bytes"] == {"budget": streamable // 2, "streamable": streamable}
    assert "baked" in facts["budget"]["found"]
    assert facts["memory"]["bytes"]["needed"] == streamable // 2 < facts["memory"]["bytes"]["free"]
    assert facts["cache"]["bytes"]["needed"] <= facts["cache"]["bytes"]["room"]
    assert not list((host.parent / "cache").iterdir())  # nothing was loaded

    isolated = facts_of(on_host(host, "--json", "--isolated"))["isolated"]
    assert isolated["verdict"] == "ok" and "'forward' once" in isolated["found"]
    assert "with this engine's packed weights" in facts_of(on_host(host, "--json"))["cache"]["found"]


def test_python_gives_the_same_report(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHTRT_WS_CACHE", str(host.parent / "cache"))
    report = torchtrt_ws.check(host, weight_streaming_budget="1MiB", digest=True)
    assert report.ok and report.isolated is None
    assert [engine.kind for engine in report.engines] == ["host"]
    same = json.loads(on_host(host, "--weight-streaming-budget", "1MiB", "--digest", "--json").stdout)
    mine = report.as_dict()
    told = [
        [(f["name"], f["verdict"]) for f in (*each["facts"], *each["engines"][0]["facts"])] for each in (same, mine)
    ]
    assert told[0] == told[1]  # not the words: what is free moves
    assert [fact.name for fact in report.engines[0].facts][-3:] == ["checksum", "digest", "budget"]


@pytest.mark.parametrize(
    ("arguments", "environment", "percent", "word"),
    [
        (["--weight-streaming-budget", "100%"], {}, 100, "load-time: 100%"),
        (["--weight-streaming-budget", "auto"], {}, 100, "load-time: auto"),
        (["--weight-streaming-budget-per-engine", "forward=0"], {}, 0, "load-time (engine): 0"),
        ([], {"TORCHTRT_WS_WEIGHT_STREAMING_BUDGET": "25%"}, 25, "environment: 25%"),
    ],
)
def test_the_budget_that_a_load_would_take(
    host: Path, arguments: list[str], environment: dict[str, str], percent: int, word: str
) -> None:
    fact = facts_of(on_host(host, "--json", *arguments, **environment))["budget"]
    assert (fact["verdict"], fact["bytes"]["budget"]) == ("ok", streamable_of(host) * percent // 100)
    assert word in fact["found"]


def test_a_cache_that_cannot_be_used_is_advice(host: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = on_host(host, "--json", TORCHTRT_WS_CACHE=str(tmp_path / "file"))
    assert done.returncode == 0
    fact = facts_of(done)["cache"]
    assert fact["verdict"] == "advice" and "weights on the heap" in fact["remedy"]
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    assert facts_of(on_host(host, "--json", TORCHTRT_WS_CACHE=str(open_to_all)))["cache"]["verdict"] == "advice"


def test_a_limit_on_locked_memory_is_advice(host: Path) -> None:
    def limited() -> None:
        ctypes.CDLL(None).prctl(24, 14, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_IPC_LOCK: with it root may lock all
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))

    cache = {"TORCHTRT_WS_CACHE": str(host.parent / "cache")}
    done = check_after(limited, host, "--json", **cache)
    fact = facts_of(done)["lock"]
    assert (done.returncode, fact["verdict"]) == (0, "advice")
    assert fact["bytes"] == {"needed": streamable_of(host) // 2, "limit": 65536}
    assert "ulimit -l" in fact["remedy"]
    small = check_after(limited, host, "--json", "--weight-streaming-budget", 4096, **cache)
    assert facts_of(small)["lock"]["verdict"] == "ok"


def test_an_environment_that_says_nonsense_is_a_no(host: Path) -> None:
    done = on_host(host, "--json", TORCHTRT_WS_WEIGHT_STREAMING_BUDGET="lots")
    fact = facts_of(done)["budget"]
    assert (done.returncode, fact["verdict"]) == (1, "no")
    assert "TORCHTRT_WS_WEIGHT_STREAMING_BUDGET" in fact["found"]


def test_a_missing_adapter_is_a_no_with_the_loaders_words(host: Path) -> None:
    done = on_host(host, "--json", TORCHTRT_WS_HOST_LIBRARY="/nowhere/libtorchtrt_ws_host.so")
    fact = facts_of(done)["adapter"]
    assert (done.returncode, fact["verdict"]) == (1, "no")
    assert "/nowhere/libtorchtrt_ws_host.so" in fact["found"] and "TORCHTRT_WS_HOST_LIBRARY" in fact["remedy"]


def test_digests_find_what_the_header_does_not_tell(host: Path, tmp_path: Path) -> None:
    assert verdicts(facts_of(on_host(host, "--json", "--digest"))).items() >= {"checksum": "ok", "digest": "ok"}.items()
    damaged = tmp_path / "damaged.pte"
    data = bytearray(host.read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    assert on_host(damaged, "--json").returncode == 0
    done = on_host(damaged, "--json", "--digest")
    assert done.returncode == 1
    assert verdicts(facts_of(done)).items() >= {"checksum": "no", "digest": "no"}.items()


def test_an_isolated_load_may_crash(host: Path, tmp_path: Path) -> None:
    """What happens to the child is seen, and the answer comes all the same."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'run' in sys.orig_argv:\n"
        "    sys.stderr.write('about to go\\n'); sys.stderr.flush()\n"
        "    os.abort()\n"
    )
    done = on_host(host, "--isolated", "--json", PYTHONPATH=str(tmp_path))
    report = json.loads(done.stdout)
    assert (done.returncode, report["ok"]) == (1, False)
    load = report["isolated"]
    assert (load["signal"], load["exit_code"], load["load_seconds"]) == ("SIGABRT", None, None)
    assert "about to go" in load["stderr"]
    fact = facts_of(done)["isolated"]
    assert fact["verdict"] == "no" and "SIGABRT" in fact["found"]
    assert "about to go" in on_host(host, "--isolated", PYTHONPATH=str(tmp_path)).stdout


def test_an_isolated_load_that_fails_says_why(host: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(b"none")
    done = on_host(host, "--isolated", "--input", tmp_path / "x.npy", "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["isolated"]["exit_code"]) == (1, 1)
    assert "a .npy file" in report["isolated"]["stderr"][-1]


def test_wrong_usage_and_files_that_are_none(host: Path, tmp_path: Path) -> None:
    assert on_host(host, "--input", "x.npy").returncode == 2
    assert on_host(host, "--weight-streaming-budget-per-engine", "4096=1", "--isolated").returncode == 1
    both = on_host(host, "--weight-streaming-budget", "1", "--weight-streaming-budget-per-engine", "1")
    assert both.returncode == 1 and "both" in both.stderr
    gone = on_host(tmp_path / "gone.pte")
    assert (gone.returncode, gone.stdout) == (1, "")
    assert gone.stderr.startswith("error: ") and "gone.pte" in gone.stderr
    (tmp_path / "cut.pte").write_bytes(host.read_bytes()[:3000])
    assert on_host(tmp_path / "cut.pte").returncode == 1


def test_forty_columns_are_enough(host: Path) -> None:
    done = on_host(host, COLUMNS="40")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert max(len(line) for line in lines if str(host) not in line) <= 40
    assert "engine forward (host, method forward)" in lines
    assert any(line.startswith("budget") and " ok " in line for line in lines)


# --- TensorRT's, on the stand-ins


@pytest.fixture(scope="module")
def standins() -> dict[str, str]:
    """The environment in which the adapter finds the stand-ins."""
    libraries = sorted(STANDINS.glob("libnvinfer.so.??"))
    if not libraries:
        pytest.skip(f"no stand-ins in {STANDINS}; make dev builds them where it finds CUDA's and TensorRT's headers")
    path = os.pathsep.join(filter(None, [str(STANDINS), os.environ.get("LD_LIBRARY_PATH")]))
    return {
        "LD_LIBRARY_PATH": path,  # before the adapter's RUNPATH, which leads to the real CUDA runtime
        "TORCHTRT_WS_NVINFER": str(libraries[0]),
        "TORCHTRT_WS_TENSORRT_RTX": str(STANDINS / "libtensorrt_rtx.so.1"),
    }


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory, standins: dict[str, str]) -> Path:
    """A folder of programs, each with plans of 4 MiB of weights."""
    sys.path[:0] = [str(TESTS / "standin"), str(TESTS / "pte")]
    import make_pte
    import plan

    def made(**fields: Any) -> bytes:
        sizes = {"streamable": 4 * MIB, "resident": 64 * 1024, "scratch": MIB // 2, "context": MIB // 4}
        return plan.write(plan.Plan(weights=bytes(4 * MIB), **sizes, **fields))

    folder = tmp_path_factory.mktemp("plans")
    facts: dict[str, Any] = {"inputs": X, "outputs": Y, "name": "tower", "streamable_bytes": 4 * MIB}
    version = RTX_VERSIONS[standins["TORCHTRT_WS_NVINFER"].rpartition(".")[2]]
    torchtrt_ws.save_plan(made(), folder / "plain.pte", **facts)
    torchtrt_ws.save_plan(made(), folder / "baked.pte", **facts, weight_streaming_budget="3MiB")
    torchtrt_ws.save_plan(made(rtx=True, version=version), folder / "rtx.pte", **facts)
    torchtrt_ws.save_plan(made(rtx=True, version=(1, 3, 0, 7)), folder / "old.pte", **facts)
    torchtrt_ws.save_plan(made(), folder / "unknown.pte", **facts, target_platform="unknown")
    (folder / "windows.plan").write_bytes(made())
    two = {name: made(outputs=(plan.Output(name, {"x": 2.0}, float(len(name))),)) for name in ("query", "document")}
    torchtrt_ws.save_plan(
        two,
        folder / "two.pte",
        inputs=dict.fromkeys(two, X),
        outputs={name: f"{name}:float32:1..8x4" for name in two},
        streamable_bytes=dict.fromkeys(two, 4 * MIB),
        weight_streaming_budget="8MiB",
    )
    tensors = {"inputs": (plan.Input("input_0", (2, 3)),), "outputs": (plan.Output("output_0", {"input_0": 2.0}),)}
    theirs = make_pte.their_blob(made(**tensors))
    chain = make_pte.Chain(make_pte.lower(b"theirs", theirs))
    make_pte.save(folder / "theirs.pte", {"forward": chain})
    methods = {"forward": chain, "around": torch.nn.Linear(3, 4)}
    exported = {name: torch.export.export(module, make_pte.X) for name, module in methods.items()}
    lowered = make_pte.to_edge_transform_and_lower(exported, partitioner=[make_pte.XnnpackPartitioner()])
    (folder / "around.pte").write_bytes(lowered.to_executorch().buffer)
    return folder


def test_a_plan_where_there_is_a_gpu(plans: Path, standins: dict[str, str]) -> None:
    done = check(plans / "plain.pte", "--json", **standins)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = facts_of(done)
    unknown = [name for name, verdict in verdicts(facts).items() if verdict != "ok"]
    assert unknown == ["version"]  # TensorRT's plans do not tell theirs
    assert "cuda:0: Stand-in GPU, compute capability 9.0, a driver for CUDA 1" in facts["device"]["found"]
    assert standins["TORCHTRT_WS_NVINFER"] in facts["runtime"]["found"]
    assert "linux_" in facts["platform"]["found"]
    assert facts["budget"]["bytes"] == {"budget": 4 * MIB, "streamable": 4 * MIB}
    assert "automatic" in facts["budget"]["found"]
    assert facts["memory"]["bytes"]["margin"] == 64 * MIB
    assert "execution contexts that are known once it is loaded" in facts["memory"]["found"]


def test_without_a_gpu_it_does_not_load_and_says_what_cannot_be_told(plans: Path, standins: dict[str, str]) -> None:
    done = check(plans / "plain.pte", "--json", **standins, STANDIN_DEVICES="0")
    assert done.returncode == 1
    facts = facts_of(done)
    told = verdicts(facts)
    assert [name for name, verdict in told.items() if verdict == "no"] == ["device"]
    assert {name for name, verdict in told.items() if verdict == "unknown"} == {"version", "budget", "memory"}
    assert "cannot be told here" in facts["memory"]["found"] and "NVIDIA driver" in facts["device"]["remedy"]
    baked = verdicts(facts_of(check(plans / "baked.pte", "--json", **standins, STANDIN_DEVICES="0")))
    assert baked["budget"] == "ok"  # that needs no device


def test_an_old_driver_and_a_device_that_is_not_there(plans: Path, standins: dict[str, str]) -> None:
    old = facts_of(check(plans / "plain.pte", "--json", **standins, STANDIN_DRIVER_ERROR="35"))["device"]
    assert old["verdict"] == "no" and "cudaErrorInsufficientDriver" in old["found"]
    other = check(plans / "plain.pte", "--json", "--device", 7, **standins)
    device = facts_of(other)["device"]
    assert device["verdict"] == "no" and "device 7" in device["found"]
    assert facts_of(check(plans / "plain.pte", "--json", "--device", 1, **standins))["device"]["verdict"] == "ok"


def test_an_rtx_plan_needs_the_version_that_built_it(plans: Path, standins: dict[str, str]) -> None:
    done = check(plans / "rtx.pte", "--json", **standins)
    facts = facts_of(done)
    assert done.returncode == 0
    assert facts["version"]["verdict"] == "ok" and "as is installed" in facts["version"]["found"]
    old = check(plans / "old.pte", "--json", **standins)
    version = facts_of(old)["version"]
    assert (old.returncode, version["verdict"]) == (1, "no")
    assert "TensorRT-RTX 1.3.0" in version["found"] and "install TensorRT-RTX 1.3.0" in version["remedy"]


def test_what_rtx_says_of_the_header_is_no_verdict(plans: Path, standins: dict[str, str]) -> None:
    """Headers of TensorRT proper have no such call: then it says that it cannot tell."""
    validity = facts_of(check(plans / "rtx.pte", "--json", **standins))["validity"]
    if validity["verdict"] == "unknown":
        assert "have no getEngineValidity" in validity["found"]
    else:
        assert validity["verdict"] in ("ok", "advice")
    alone = facts_of(check(plans / "rtx.pte", "--json", **standins, STANDIN_DEVICES="0"))["validity"]
    assert (alone["verdict"], "where there is a GPU" in alone["found"]) == ("unknown", True)
    assert "validity" not in facts_of(check(plans / "plain.pte", "--json", **standins))


def test_no_library_of_tensorrt(plans: Path, standins: dict[str, str]) -> None:
    done = check(plans / "old.pte", "--json", **{**standins, "TORCHTRT_WS_TENSORRT_RTX": "/nowhere/rtx.so"})
    facts = facts_of(done)
    assert (done.returncode, facts["runtime"]["verdict"], facts["version"]["verdict"]) == (1, "no", "unknown")
    assert "/nowhere/rtx.so" in facts["runtime"]["found"]
    assert "TORCHTRT_WS_TENSORRT_RTX" in facts["runtime"]["remedy"]


def test_memory_that_a_budget_does_not_fit_in(plans: Path, standins: dict[str, str]) -> None:
    small = {**standins, "STANDIN_DEVICE_BYTES": str(2 * MIB)}
    done = check(plans / "baked.pte", "--json", **small)
    memory = facts_of(done)["memory"]
    assert (done.returncode, memory["verdict"]) == (1, "no")
    assert memory["bytes"]["free"] == 2 * MIB < 3 * MIB <= memory["bytes"]["needed"]
    assert "a budget of at most" in memory["remedy"]
    fits = check(plans / "baked.pte", "--json", "--weight-streaming-budget", "1MiB", "--margin", 0, **small)
    assert fits.returncode == 0
    assert facts_of(fits)["memory"]["bytes"]["needed"] < 2 * MIB
    automatic = facts_of(check(plans / "plain.pte", "--json", "--margin", 0, **small))["budget"]
    assert automatic["verdict"] == "ok" and 0 < automatic["bytes"]["budget"] < 2 * MIB
    # And so it is: what is said to fit loads, what is not does not.
    for path, options, loads in (("baked.pte", (), False), ("baked.pte", ("--weight-streaming-budget", "1MiB"), True)):
        report = json.loads(check(plans / path, "--isolated", "--json", "--margin", 0, *options, **small).stdout)
        assert (report["isolated"]["exit_code"] == 0) == loads == report["ok"]


def test_engines_that_fit_alone_and_not_together(plans: Path, standins: dict[str, str]) -> None:
    between = {**standins, "STANDIN_DEVICE_BYTES": str(6 * MIB)}
    assert facts_of(check(plans / "two.pte", "--json", **between))["memory"]["verdict"] == "no"
    alone = check(plans / "baked.pte", "--json", "--margin", 0, **between)
    assert facts_of(alone)["memory"]["verdict"] == "ok"


def test_more_than_all_weights_is_clipped(plans: Path, standins: dict[str, str]) -> None:
    done = check(plans / "plain.pte", "--json", "--weight-streaming-budget", "1GiB", **standins)
    budget = facts_of(done)["budget"]
    assert (done.returncode, budget["verdict"], budget["bytes"]["budget"]) == (0, "advice", 4 * MIB)
    assert "clipped" in budget["remedy"]


def test_plans_for_another_platform(plans: Path, standins: dict[str, str]) -> None:
    wrapped = plans / "windows.pte"
    tensors = ("--input", X, "--output", Y, "--target-platform", "windows_x86_64")
    command = ["-m", "torchtrt_ws", "wrap", plans / "windows.plan", "-o", wrapped, *tensors]
    assert python(*command, exports=True).returncode == 0
    assert torchtrt_ws.pte.read(wrapped).engines[0].metadata.target_platform == "windows_x86_64"
    done = check(wrapped, "--isolated", "--json", **standins)
    facts = facts_of(done)
    assert (done.returncode, facts["platform"]["verdict"]) == (1, "no")
    words = 'a plan for "windows_x86_64"; expected one for linux_'
    assert words in json.loads(done.stdout)["isolated"]["stderr"][-1]
    assert words in facts["platform"]["found"]

    unknown = check(plans / "unknown.pte", "--json", **standins)
    assert (unknown.returncode, facts_of(unknown)["platform"]["verdict"]) == (0, "unknown")
    command[-1] = "win64"
    refused = python(*command, exports=True)
    assert refused.returncode == 1 and '"windows_x86_64"' in refused.stderr


def test_files_of_torch_tensorrt(plans: Path, standins: dict[str, str]) -> None:
    """What they do not record is not told: sizes are the plan's, and there is nothing to compare with."""
    done = check(plans / "theirs.pte", "--json", "--digest", **standins)
    told = facts_of(done)
    assert done.returncode == 0, done.stdout
    assert (told["checksum"]["verdict"], told["digest"]["verdict"]) == ("unknown", "unknown")
    assert "about" in told["budget"]["found"] and told["platform"]["verdict"] == "ok"
    assert json.loads(done.stdout)["engines"][0]["name"] == "engine0"


def test_what_xnnpack_runs_around_the_engines(plans: Path, standins: dict[str, str]) -> None:
    """Its library comes with the host's adapter, which no engine of this program asks for."""
    assert torchtrt_ws.pte.read(plans / "around.pte").other_backends == {"XnnpackBackend": 1}
    done = check(plans / "around.pte", "--isolated", "--json", **standins)
    facts = facts_of(done)
    assert (done.returncode, facts["backend"]["verdict"], facts["isolated"]["verdict"]) == (0, "ok", "ok"), done.stdout
    assert '1 delegate of "XnnpackBackend"' in facts["backend"]["found"]
    alone = check(plans / "around.pte", "--json", **standins, TORCHTRT_WS_HOST_LIBRARY="/nowhere.so")
    backend = facts_of(alone)["backend"]
    assert (alone.returncode, backend["verdict"]) == (1, "no") and "has registered" in backend["found"]


def test_tensors_in_other_files(plans: Path, standins: dict[str, str]) -> None:
    sys.path[:0] = [str(TESTS / "pte")]
    import make_pte

    (plans / "apart").mkdir()
    scaled = make_pte.Scaled(make_pte.lower(b"apart", make_pte.TensorRTBackend.blobs[b"theirs"]))
    make_pte.save_apart(plans / "apart", "apart", scaled, "weights")
    there = facts_of(check(plans / "apart" / "apart.pte", "--json", **standins))["data"]
    assert there["verdict"] == "ok" and "weights.ptd" in there["found"]
    (plans / "apart" / "weights.ptd").unlink()
    gone = check(plans / "apart" / "apart.pte", "--json", **standins)
    assert (gone.returncode, facts_of(gone)["data"]["verdict"]) == (1, "no")
