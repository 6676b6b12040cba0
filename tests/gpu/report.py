"""Runs the acceptance tests and the measurements on a GPU and writes benchmarks/results/gpu-<name>.{json,md}.

    make gpu-report NAME=h100                      # builds, makes the plans, runs
    python tests/gpu/report.py --name h100 --build BUILD --programs FOLDER [--library libtensorrt_rtx.so.1]

BUILD is a folder with the programs of benchmarks/gpu, examples/cpp_app and tests/engine/tensorrt and the libraries that
they use, or a CMake build tree. FOLDER has the .pte files that tests/gpu/programs.py writes, with programs.json beside
them. The exit code is 1 when something in it is wrong (verdict.py): outputs, acceptance tests, a section that
failed. Needs a GPU, TensorRT or TensorRT-RTX, and numpy; no torch, no executorch Python. Sections that a machine lacks
something for say so.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import cpp_app
import decoder
import language
import numpy as np
import probes
import verdict

ROOT = Path(__file__).resolve().parent.parent.parent
PERCENTS = (100, 75, 50, 25, 0)
UNASKED = ("refit_large",)  # sections that run only where they are named: minutes, and 48 GB of disk
# What each tool of compute-sanitizer runs. Plans that are refused make TensorRT throw inside, which is no business of
# the sanitizer. Under racecheck a run takes seconds, so one test of each kind of work: host and device tensors,
# streams, changes of shape and budget, graphs.
SANITIZED = {
    "memcheck": "-Refusal.*",
    "racecheck": ":".join(
        (
            "Io.MemoryMayChangeKindFromCallToCall",
            "StreamTest.ChangesWaitForWorkInFlight",
            "StreamTest.TwoStreamsInTurnWithoutWaiting",
            "Percent/Graph.ShapesMayChange/1",
            "How/ProfileTest.AlternateOnTwoStreams/graph_streamed",
            "BudgetTest.IsRefusedWhileAContextLives",
        )
    ),
}
SANITIZER_SECONDS = 140
MINILM_BUDGETS = ("100%", "50%", "0%", "auto")
CONTEXTS = (1, 2, 4)
ROOM = 400_000_000  # bytes that the arbiter makes free
REPEATS = 3  # processes of each kind, in turn; medians are reported


class Machine:
    """Where things are, and how to run them."""

    def __init__(self, build: Path, programs: Path, library: str) -> None:
        self.build = build
        self.programs = programs
        self.library = library
        self.facts: dict[str, Any] = json.loads((programs / "programs.json").read_text())
        self.scratch = Path(tempfile.mkdtemp(prefix="torchtrt-ws-gpu-"))

    def tool(self, name: str) -> str:
        found = sorted(path for path in self.build.rglob(name) if path.is_file())
        if not found:
            sys.exit(
                f"{name}: not found below {self.build}; build with -DTORCHTRT_WS_BENCHMARKS=ON -DTORCHTRT_WS_TESTS=ON"
            )
        return str(found[0])

    def run(self, *arguments: object, timeout: int = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, arguments)),
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **environment},
        )

    def text(self, *arguments: object, timeout: int = 300, **environment: str) -> str:
        done = self.run(*arguments, timeout=timeout, **environment)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: exit {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def json(self, *arguments: object, **environment: str) -> Any:
        return json.loads(self.text(*arguments, **environment))

    def app(self, name: str, *flags: object) -> tuple[cpp_app.Report, np.ndarray]:
        """examples/cpp_app with a program and its inputs: what it says, and its first output."""
        return self.app_of(name, self.programs / self.facts[name]["file"], *flags)

    def app_of(self, name: str, program: Path, *flags: object) -> tuple[cpp_app.Report, np.ndarray]:
        """The same for a file that has the inputs of `name`."""
        command, folder = self.app_command(name, program, *flags)
        report = cpp_app.Report.read(self.text(*command))
        return report, report.array(0, folder)

    def app_command(self, name: str, program: Path, *flags: object) -> tuple[list[object], Path]:
        """The same for a file that has the inputs of `name`: the command, and the folder of its outputs."""
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        inputs = cpp_app.input_flags((np.load(self.programs / file) for file in self.facts[name]["inputs"]), folder)
        return [self.tool("cpp_app"), program, *flags, *inputs, "--output", folder], folder

    def engine(self, name: str) -> list[object]:
        """The arguments of benchmarks/gpu for the engine of a program."""
        facts = self.facts[name]
        return [
            "--program",
            self.programs / facts["file"],
            "--offset",
            facts["payload_offset"],
            "--size",
            facts["payload_bytes"],
            "--columns",
            facts["columns"],
        ]

    def plan(self, name: str) -> list[object]:
        facts = self.facts[name]
        return [
            "--plan",
            self.programs / facts["file"],
            "--offset",
            facts["engine_offset"],
            "--size",
            facts["engine_bytes"],
        ]


def plan_file(machine: Machine, name: str) -> Path:
    """The engine of a program, in a file of its own."""
    facts = machine.facts[name]
    data = (machine.programs / facts["file"]).read_bytes()
    path = machine.scratch / f"{name}.plan"
    path.write_bytes(data[facts["engine_offset"] : facts["engine_offset"] + facts["engine_bytes"]])
    return path


def acceptance(machine: Machine) -> dict[str, Any]:
    """tests/engine/tensorrt on the real library."""
    environment = {
        "TORCHTRT_WS_TEST_PLAN": str(plan_file(machine, "acceptance")),
        "TORCHTRT_WS_TEST_PROFILES": str(plan_file(machine, "profiles")),
        "TORCHTRT_WS_TEST_SHAPES": str(plan_file(machine, "shapes")),
        "TORCHTRT_WS_TEST_STATE": str(plan_file(machine, "state")),
        "TORCHTRT_WS_TEST_WIDTH": str(machine.facts["acceptance"]["columns"]),
        "TORCHTRT_WS_TEST_PRODUCT": "rtx" if "rtx" in machine.library else "tensorrt",
    }
    program = machine.tool("torchtrt_ws_tensorrt_acceptance")
    result = {"plain": counted(machine.run(program, **environment))}
    for tool, tests in SANITIZED.items():
        command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", 9, program, f"--gtest_filter={tests}"]
        try:
            done = machine.run(*command, timeout=SANITIZER_SECONDS, **environment)
        except FileNotFoundError:
            result[tool] = {"skipped": "no compute-sanitizer"}
            continue
        except subprocess.TimeoutExpired:
            result[tool] = {"skipped": f"not done after {SANITIZER_SECONDS} s"}
            continue
        summary = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: .*", done.stdout + done.stderr)
        result[tool] = {**counted(done), "summary": summary[-1] if summary else done.stdout[-300:]}
    return result


def counted(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    def count(word: str) -> int:
        found = re.search(rf"\[  {word} *\] (\d+) tests?", done.stdout)
        return int(found[1]) if found else 0

    failed = re.findall(r"\[  FAILED  \] (\S+\.[^\s,]+)", done.stdout)
    return {
        "exit": done.returncode,
        "passed": count("PASSED"),
        "skipped": count("SKIPPED"),
        "failed": sorted(set(failed)),
    }


def against_the_floor(machine: Machine, name: str, percents: tuple[int, ...]) -> list[dict[str, Any]]:
    """One plan by budget: bare TensorRT, the delegate without graphs, and as it is by default; processes in turn."""
    floor, ours = machine.tool("torchtrt_ws_gpu_floor"), machine.tool("torchtrt_ws_gpu_ours")
    rows = []
    for percent in percents:
        samples: dict[str, list[dict[str, Any]]] = {"floor": [], "ours": [], "graph": []}
        runs = ["--runs", 300 if percent == 100 else 60]  # streaming calls take milliseconds and vary less
        budget = ["--option", f"weight_streaming_percent={percent}"]
        for repeat in range(REPEATS):
            bandwidth = ["--bandwidth"] if repeat == 0 else []
            bare = ["--library", machine.library, *machine.plan(name), "--percent", percent, *runs, *bandwidth]
            samples["floor"].append(machine.json(floor, *bare))
            samples["ours"].append(machine.json(ours, *machine.engine(name), *budget, *runs, "--graph", "off"))
            samples["graph"].append(machine.json(ours, *machine.engine(name), *budget, *runs, "--graph", "auto"))
        rows.append(summarized(percent, samples))
    return rows


def summarized(percent: int, samples: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    def middle(kind: str, read: Callable[[dict[str, Any]], float]) -> float:
        return statistics.median(read(sample) for sample in samples[kind])

    row: dict[str, Any] = {
        "percent": percent,
        "budget_floor": samples["floor"][0]["budget_bytes"],
        "budget_ours": samples["ours"][0]["budget_bytes"],
        "floor_us": middle("floor", lambda s: s["enqueue_us"]["p50"]),
        "floor_graph_us": middle("floor", lambda s: s["graph_us"]["p50"] if s["graph_us"] else float("nan")),
        "callers_stream_us": middle("ours", lambda s: s["callers_stream_us"]["p50"]),
        "own_stream_us": middle("ours", lambda s: s["own_stream_us"]["p50"]),
        "host_io_us": middle("ours", lambda s: s["host_io_us"]["p50"]),
        "graph_us": middle("graph", lambda s: s["callers_stream_us"]["p50"]),
        "default_file_us": middle("ours", lambda s: s["default_file_us"]["p50"]),
        "floor_host_io_us": middle("floor", lambda s: s["host_io_us"]["p50"]),
        "floor_host_io_pinned_us": middle("floor", lambda s: s["host_io_pinned_us"]["p50"]),
        **{
            f"graph_{key}": middle("graph", lambda s, key=key: s[key]["p50"])
            for key in ("own_stream_us", "host_io_us", "default_file_us")
        },
        "graph_device_bytes": middle("graph", lambda s: s["graph_device_bytes"]),
        "pinned_bytes_per_second": samples["floor"][0].get("pinned_bytes_per_second"),
    }
    for kind in ("floor", "ours"):
        for key in ("load_seconds", "host_peak_over_before_bytes", "device_bytes"):
            row[f"{kind}_{key}"] = middle(kind, lambda s, key=key: s[key])
    row["samples"] = samples
    return row


def streamed_speed(row: dict[str, Any], all_bytes: int, resident_us: float, key: str) -> float:
    """Bytes a second of streamed weights."""
    streamed = all_bytes - row["budget_ours"]
    return streamed / (row[key] * 1e-6) if streamed and row[key] > resident_us else float("nan")


def minilm(machine: Machine) -> dict[str, Any]:
    """The real model through examples/cpp_app and through Python, by budget, against eager PyTorch's embeddings."""
    facts = machine.facts.get("minilm")
    if facts is None:
        return {"skipped": "programs.json has no minilm"}
    program = machine.programs / facts["file"]
    inputs = [machine.programs / name for name in facts["inputs"]]
    expected = np.load(machine.programs / facts["expected"])
    rows = []
    for budget in MINILM_BUDGETS:
        report, found = machine.app("minilm", "--weight-streaming-budget", budget, "--repeat", 100)
        engine = report.engines[0]
        rows.append(
            {
                "asked": budget,
                "budget": engine["budget_bytes"],
                "streamable": engine["streamable_bytes"],
                "source": engine["source"],
                "device_bytes": engine["device_bytes"],
                "ms": report.method["run_seconds"] * 1e3,
                "cosine": cosine(found, expected),
            }
        )
    return {"runner": rows, "python": minilm_in_python(program, inputs, expected)}


def minilm_in_python(program: Path, inputs: list[Path], expected: np.ndarray) -> Any:
    try:
        import torchtrt_ws

        rows = []
        for budget in MINILM_BUDGETS:
            loaded = torchtrt_ws.load(program, weight_streaming_budget=budget, share_engines=False)
            arrays = [np.load(path) for path in inputs]
            (found,) = loaded(*arrays)
            started = time.perf_counter()
            for _ in range(100):
                loaded(*arrays)
            engine = loaded.engines[0]
            rows.append(
                {
                    "asked": budget,
                    "budget": engine.budget_bytes,
                    "source": engine.source,
                    "ms": (time.perf_counter() - started) * 10,
                    "cosine": cosine(found, expected),
                }
            )
        return rows
    except ModuleNotFoundError as error:  # a machine with the C++ side alone
        return {"skipped": f"{type(error).__name__}: {error}"}
    except Exception as error:  # the rest of the report is worth having
        return {"failed": f"{type(error).__name__}: {error}"}


def cosine(found: np.ndarray, expected: np.ndarray) -> float:
    """The lowest over the rows."""
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    norms = np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1)
    return float(((found * expected).sum(axis=-1) / norms).min())


def towers(machine: Machine) -> Any:
    """Two engines in one program under a total for both, through Python: baked 3 MiB, and chosen at load."""
    import torchtrt_ws

    facts = machine.facts["towers"]
    x = (np.arange(3 * facts["columns"]).reshape(3, -1) % 17).astype(np.float32)
    rows = []
    for budget in (None, "6MiB", "100%", "free-1GiB", 0):
        # With the budget of its own: the program before may still be there.
        program = torchtrt_ws.load(
            machine.programs / facts["file"], weight_streaming_budget=budget, share_engines=False
        )
        found = dict(zip(facts["factors"], program(x), strict=True))
        wrong = max(float(np.abs(found[name] - (factor * x + 1)).max()) for name, factor in facts["factors"].items())
        engines = [engine.as_dict() for engine in program.engines]
        rows.append(
            {
                "asked": "baked 3MiB" if budget is None else str(budget),
                "largest_difference": wrong,
                "budgets": {engine["name"]: engine["budget_bytes"] for engine in engines},
                "source": engines[0]["source"],
                "streamable": sum(engine["streamable_bytes"] for engine in engines),
            }
        )
    return rows


def refit(machine: Machine, *networks: str, tests: str = "Refit.*") -> dict[str, Any]:
    """Plans without their weights, built here, get them from a file (acceptance_refit_test.cpp)."""
    result: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(dir=machine.scratch))
    machine.text(sys.executable, ROOT / "tests" / "gpu" / "refit_plans.py", folder, *networks, timeout=400)
    for case in sorted(folder.iterdir()):
        environment = {
            "TORCHTRT_WS_TEST_STRIPPED": str(case),
            "TORCHTRT_WS_TEST_PLAN": str(plan_file(machine, "small")),
        }
        environment["TORCHTRT_WS_TEST_PRODUCT"] = "rtx" if "rtx" in machine.library else "tensorrt"
        done = machine.run(
            machine.tool("torchtrt_ws_tensorrt_acceptance"), f"--gtest_filter={tests}", timeout=400, **environment
        )
        line = next((line for line in done.stdout.splitlines() if line.startswith('{"refit"')), '{"refit": {}}')
        seconds = json.loads((case / "seconds.json").read_text())
        result[case.name] = {
            **counted(done),
            "build_seconds": seconds,
            "loads": json.loads(line)["refit"],
            "said": done.stdout[-2000:],
        }
        if done.returncode == 0:
            del result[case.name]["said"]
    shutil.rmtree(folder)
    return result


def refit_networks(machine: Machine) -> list[str]:
    """Those that every machine can build, and MiniLM where its model is among the programs."""
    model = machine.programs / "minilm.onnx"
    return ["chain", "big", *([str(model)] if model.exists() else [])]


def separate(machine: Machine) -> Any:
    """separate_programs.py, in a process of its own."""
    if not (machine.programs / "separate").is_dir():
        return {"skipped": "no programs with weights of their own (programs.py --separate PLANS)"}
    return machine.json(sys.executable, ROOT / "tests" / "gpu" / "separate_programs.py", machine.programs)


def separate_save(machine: Machine) -> Any:
    """separate_save.py, in a process of its own, where the exporter is installed."""
    if not all(importlib.util.find_spec(each) for each in ("torch", "executorch", "tensorrt_rtx")):
        return {"skipped": "no torch, no executorch or no tensorrt_rtx in Python"}
    folder = Path(tempfile.mkdtemp(dir=machine.scratch))
    found = machine.json(sys.executable, ROOT / "tests" / "gpu" / "separate_save.py", folder)
    shutil.rmtree(folder)
    return found


def quantized(machine: Machine) -> Any:
    """quantized_programs.py, in a process of its own."""
    folder = machine.programs / "quantized"
    if not folder.exists():
        return {"skipped": "no quantized programs; write them with tests/gpu/programs.py"}
    done = machine.run(sys.executable, ROOT / "tests" / "gpu" / "quantized_programs.py", folder)
    if not done.stdout:  # else the answers are there, right or wrong
        raise RuntimeError(f"quantized_programs.py: exit {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def broken_captures(machine: Machine) -> list[dict[str, Any]]:
    """Bare TensorRT: captures into a graph beside a thread whose calls break them. Does the process live?

    Captures of the caller's, and those of TensorRT-RTX's own (CudaGraphStrategy), where the floor has its headers.
    """
    rows = []
    for graphs, other in itertools.product(("ours", "library"), ("sync", "load")):
        for _ in range(REPEATS):
            captures = 400 if graphs == "ours" else 100  # each of the library's is in a new context
            command = ["--library", machine.library, *machine.plan("small"), "--captures", captures, "--other", other]
            command += ["--graphs", graphs]
            done = machine.run(machine.tool("torchtrt_ws_gpu_floor"), *command, timeout=60)
            said = json.loads(done.stdout) if done.returncode == 0 else {}
            rows.append({"graphs": graphs, "other": other, "exit": done.returncode, **said})
    return rows


def python_calls(machine: Machine) -> Any:
    """benchmarks/python_call.py with torch's tensors on the device, in a process of its own."""
    program = machine.programs / machine.facts["device_io"]["file"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "calls.json"
        script = ROOT / "benchmarks" / "python_call.py"
        machine.text(sys.executable, script, "--device", "cuda:0", "--program", program, "--out", out, "--calls", 5000)
        return json.loads(out.read_text())["microseconds"]


def answers(machine: Machine, name: str, *flags: str, percents: tuple[int, ...] = PERCENTS) -> list[dict[str, Any]]:
    """A program through examples/cpp_app, against what numpy computes."""
    facts = machine.facts[name]
    rows = []
    for percent in percents:
        report, found = machine.app(name, "--weight-streaming-budget", f"{percent}%", *flags)
        expected = np.load(machine.programs / facts["expected"])
        difference = float(np.abs(found.astype(np.float64) - expected).max())
        rows.append(
            {
                "percent": percent,
                "budget": report.engines[0]["budget_bytes"],
                "largest_difference": difference,
                "cosine": cosine(found, expected),
            }
        )
    return rows


def verify(machine: Machine) -> dict[str, Any]:
    """What comparing an engine with its checksum or digest costs a load, and whether it finds one changed bit."""
    facts = machine.facts["big"]
    program = machine.programs / facts["file"]
    seconds: dict[str, dict[str, list[float]]] = {}
    for _ in range(7):  # in turn: the machine's speed drifts
        for how in ("off", "checksum", "digest"):
            for percent in (100, 50):
                flags = ("--weight-streaming-budget", f"{percent}%", "--option", f"verify={how}")
                report = cpp_app.Report.read(machine.text(machine.tool("cpp_app"), program, *flags))
                seconds.setdefault(str(percent), {}).setdefault(how, []).append(report.method["load_seconds"])
    damaged = machine.scratch / "damaged.pte"
    data = bytearray(program.read_bytes())
    data[facts["engine_offset"] + facts["engine_bytes"] // 2] ^= 1
    damaged.write_bytes(data)
    answers = {
        how: machine.run(machine.tool("cpp_app"), damaged, "--option", f"verify={how}")
        for how in ("off", "checksum", "digest")
    }
    return {
        "load_seconds": seconds,
        "damaged": {how: {"exit": done.returncode, "said": done.stderr[-300:]} for how, done in answers.items()},
    }


# What a load of `large` is compared with: the option that makes the difference.
LOADS = {
    "ours": (),
    "ours, verify=off": ("verify=off",),
    "ours, verify=digest": ("verify=digest",),
    "ours, small pages": ("huge_pages=false",),
}


def large(machine: Machine) -> dict[str, Any]:
    """Loading 5.4 GB from a warm file: bare TensorRT, and ours with one thing switched off at a time."""
    if "large" not in machine.facts:
        return {"skipped": "programs.json has no `large`; programs.py --large makes it"}
    floor, ours = machine.tool("torchtrt_ws_gpu_floor"), machine.tool("torchtrt_ws_gpu_ours")
    rows = []
    for percent in (100, 50):
        samples: dict[str, list[dict[str, Any]]] = {}
        for _ in range(REPEATS):
            bare = ["--library", machine.library, *machine.plan("large"), "--percent", percent, "--runs", 3]
            samples.setdefault("floor", []).append(machine.json(floor, *bare))
            for label, options in LOADS.items():
                flags = [f"weight_streaming_percent={percent}", *options]
                words = [word for flag in flags for word in ("--option", flag)]
                samples.setdefault(label, []).append(machine.json(ours, *machine.engine("large"), *words, "--runs", 3))
        rows.append({"percent": percent, "samples": samples})
    return {
        "bytes": machine.facts["large"]["engine_bytes"],
        "rows": rows,
        "answers": answers(machine, "large", percents=(100, 50)),
    }


def runtime_cache(machine: Machine) -> dict[str, Any]:
    """What making the execution context takes: without TensorRT-RTX's runtime cache, with an empty folder for it, and
    in the next process; in turn, a new folder each time. Every load is a process of its own."""
    result: dict[str, Any] = {}
    for name, percents in (("small", (100,)), ("big", (100, 50, 0)), ("large", (100, 50))):
        if name not in machine.facts:
            continue
        rows = []
        for percent in percents:
            samples: dict[str, list[dict[str, Any]]] = {"off": [], "first": [], "second": []}
            for _ in range(REPEATS):
                folder = tempfile.mkdtemp(dir=machine.scratch)
                outputs: list[np.ndarray] = []
                for label, where in (("off", "off"), ("first", folder), ("second", folder)):
                    flags = ("--weight-streaming-budget", f"{percent}%", "--option", f"runtime_cache={where}")
                    report, found = machine.app(name, *flags)
                    engine = report.engines[0]
                    outputs.append(found.astype(np.float64))
                    samples[label].append(
                        {
                            "context_seconds": engine["context_seconds"],
                            "load_seconds": report.method["load_seconds"],
                            "cache_hits": engine["cache_hits"],
                            "cache_bytes": sum(file.stat().st_size for file in Path(folder).glob("*.runtime")),
                            "largest_difference": float(np.abs(outputs[-1] - outputs[0]).max()),
                        }
                    )
                if not list(Path(folder).glob("*.runtime")):
                    return {"skipped": "this adapter was compiled without TensorRT-RTX's own headers"}
            rows.append({"percent": percent, "samples": samples})
        result[name] = rows
    return result


def probe(machine: Machine, name: str) -> dict[str, Any]:
    """probes.py with a program and examples/cpp_app."""
    facts = machine.facts[name]

    def run(program: Path, verify: str) -> tuple[subprocess.CompletedProcess[str], np.ndarray | None]:
        command, folder = machine.app_command(name, program, "--option", f"verify={verify}")
        done = machine.run(*command, timeout=60)
        return done, cpp_app.Report.read(done.stdout).array(0, folder) if done.returncode == 0 else None

    expected = np.load(machine.programs / facts["expected"])
    where = (machine.programs / facts["file"], facts["engine_offset"], facts["engine_bytes"])
    return probes.measure(run, *where, expected, machine.scratch)


def split(machine: Machine) -> list[dict[str, Any]]:
    """Unequal engines on a device with less than their weights free: the program's plan, loaded in two orders, and bare
    TensorRT, where each engine takes what it chooses when its turn comes."""
    rows = []
    for name in ("pair", "trio"):
        engines = machine.facts[name]["engines"]
        program = machine.programs / machine.facts[name]["file"]
        for factor in (1.2, 0.8, 0.5, 0.2):
            free = int(factor * sum(size for _, size in engines.values()))
            row: dict[str, Any] = {"program": name, "factor": factor, "free": free}
            for order, methods in (("ours", list(engines)), ("ours_reversed", list(engines)[::-1])):
                row[order] = machine.json(
                    machine.tool("torchtrt_ws_gpu_memory"), "split", "--program", program, "--free", free, *methods
                )
            parts = [flag for part in engines.values() for flag in ("--part", ":".join(map(str, part)))]
            bare = ["--library", machine.library, "--plan", program, "--leave-free", free, "--runs", 20, *parts]
            row["floor"] = machine.json(machine.tool("torchtrt_ws_gpu_floor"), *bare)
            rows.append(row)
    return rows


def copies(machine: Machine) -> dict[str, Any]:
    """One file loaded four times in a process."""
    program = machine.programs / machine.facts["big"]["file"]
    return machine.json(
        machine.tool("torchtrt_ws_gpu_memory"), "copies", "--program", program, "--copies", 4, "forward"
    )


def contexts(machine: Machine, name: str) -> list[dict[str, Any]]:
    """Calls at the same time, each with a module of its own on one copy of the weights."""
    program = machine.programs / machine.facts[name]["file"]
    rows: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for _ in range(REPEATS):
        for percent in (100, 50):
            for count in CONTEXTS:
                flags = ("--program", program, "--contexts", count, "--percent", percent, "--seconds", 1)
                sample = machine.json(machine.tool("torchtrt_ws_gpu_memory"), "contexts", *flags, "forward")
                rows.setdefault((percent, count), []).append(sample)
    return [
        {
            **{key: samples[0][key] for key in ("percent", "contexts", "sharing", "streamable", "budget")},
            "wrong": sum(sample["wrong"] for sample in samples),
            **{key: statistics.median(sample[key] for sample in samples) for key in ("device", "calls_per_second")},
            "samples": samples,
        }
        for samples in rows.values()
    ]


def activation(machine: Machine) -> list[dict[str, Any]]:
    """Three engines of a program, their contexts in one block of device memory and apart."""
    program, methods = machine.programs / machine.facts["trio"]["file"], list(machine.facts["trio"]["engines"])
    memory = machine.tool("torchtrt_ws_gpu_memory")
    return [
        machine.json(memory, "activation", "--program", program, "--percent", percent, *methods)
        for percent in (100, 50, 0)
    ]


def arbiter(machine: Machine) -> dict[str, Any]:
    """Memory made free and given back, sleeping and waking, beside the load that begins each life of a program."""
    scenes = {
        "big": ("big", ["--percent", 100], ["forward"]),
        "big, half resident": ("big", ["--percent", 50], ["forward"]),
        "pair": ("pair", [], list(machine.facts["pair"]["engines"])),
        "trio": ("trio", [], list(machine.facts["trio"]["engines"])),
    }
    rows = {}
    for label, (name, budget, methods) in scenes.items():
        room = ROOM // 2 if "half" in label else ROOM
        flags = ("--program", machine.programs / machine.facts[name]["file"], "--room", room, *budget)
        rows[label] = machine.json(machine.tool("torchtrt_ws_gpu_arbiter"), *flags, "--repeats", REPEATS, *methods)
    return rows


def sections(machine: Machine, folder: Path) -> dict[str, Callable[[], Any]]:
    stress = machine.tool("torchtrt_ws_gpu_stress")
    small, big = machine.engine("small"), machine.engine("big")
    return {
        "answers": lambda: {name: answers(machine, name) for name in ("small", "big")},
        # Tensors that ExecuTorch plans in device memory: the adapter is needed before the program is loaded.
        "planned": lambda: {"planned": answers(machine, "planned")},
        "towers": lambda: towers(machine),
        "minilm": lambda: minilm(machine),
        "decoder": lambda: decoder.measure(machine, cosine),
        "precedence": lambda: machine.json(stress, "precedence", *small, "--name", machine.facts["small"]["engine"]),
        "small": lambda: against_the_floor(machine, "small", (100, 50, 0)),
        "big": lambda: against_the_floor(machine, "big", PERCENTS),
        "crossover": lambda: machine.json(machine.tool("torchtrt_ws_gpu_crossover")),
        "changes": lambda: machine.json(stress, "changes", *small, "--changes", 1000),
        "changes_floor": lambda: machine.json(
            machine.tool("torchtrt_ws_gpu_floor"),
            "--library",
            machine.library,
            *machine.plan("small"),
            "--changes",
            1000,
        ),
        "changes_big": lambda: machine.json(stress, "changes", *big, "--changes", 20),
        "verify": lambda: verify(machine),
        "large": lambda: large(machine),
        "runtime_cache": lambda: runtime_cache(machine),
        "probes": lambda: probe(machine, "small"),
        "split": lambda: split(machine),
        "copies": lambda: copies(machine),
        "activation": lambda: activation(machine),
        "contexts": lambda: {name: contexts(machine, name) for name in ("small", "big")},
        "arbiter": lambda: arbiter(machine),
        "full": lambda: {free: machine.json(stress, "full", *big, "--free", free << 20) for free in (300, 130, 60)},
        "acceptance": lambda: acceptance(machine),
        "refit": lambda: refit(machine, *refit_networks(machine)),
        "refit_large": lambda: refit(machine, "llama:32", tests="Refit.TheAnswer*:Refit.Tells*"),
        "separate": lambda: separate(machine),
        "separate_save": lambda: separate_save(machine),
        "commands": lambda: commands.measure(machine, folder),
        "quantized": lambda: quantized(machine),
        "smollm2": lambda: language.measure(machine, cosine),
        "python_calls": lambda: python_calls(machine),
        "broken_captures": lambda: broken_captures(machine),
    }


def device() -> dict[str, str]:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    words = subprocess.run(query, capture_output=True, text=True).stdout.strip().split(", ")
    return dict(zip(("gpu", "driver", "memory"), words, strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True, help="of the results: gpu-<name>.json")
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--library", default=os.environ.get("TORCHTRT_WS_TENSORRT_RTX", "libtensorrt_rtx.so.1"))
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--only", nargs="*", help="sections; the others are kept from an earlier file")
    arguments = parser.parse_args()
    machine = Machine(arguments.build.resolve(), arguments.programs.resolve(), arguments.library)
    target = arguments.out / f"gpu-{arguments.name}.json"
    results: dict[str, Any] = json.loads(target.read_text()) if arguments.only and target.exists() else {}
    results["device"] = device()
    for name, measure in sections(machine, arguments.out).items():
        if name in UNASKED if not arguments.only else name not in arguments.only:
            continue
        started = time.perf_counter()
        try:
            results[name] = measure()
        except Exception as error:  # one section must not lose the others
            results[name] = {"failed": f"{type(error).__name__}: {error}"}
        print(
            f"{name}: {time.perf_counter() - started:.1f} s",
            results[name] if "failed" in results[name] else "",
            flush=True,
        )
        target.write_text(json.dumps(results, indent=1) + "\n")
    # Not at the top: a copied build may run without the table's module.
    sys.path.insert(0, str(Path(__file__).parent))
    import table

    target.with_suffix(".md").write_text(table.markdown(results))
    print(target.with_suffix(".md").read_text())
    problems = verdict.problems(results)
    if problems:
        sys.exit("\n".join(["gpu report: this is not as it must be:", *problems]))


if __name__ == "__main__":
    main()
