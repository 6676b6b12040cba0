"""Several threads on one engine: runs a second with 1, 2 and 4 of them, on a host engine and on a stand-in's.

    python benchmarks/threads.py BUILD [--seconds 2] [--rounds 3]

BUILD is a CMake build tree made with -DTORCHTRT_WS_BENCHMARKS=ON -DTORCHTRT_WS_TESTS=ON. An engine runs one call at a
time, so the best that more threads can do is not to be slower than one. Rounds in turn; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
THREADS = (1, 2, 4)


def save_programs(folder: Path) -> dict[str, tuple[Path, int, int]]:
    """Each with the rows and columns of its input: linear layers that take microseconds and a millisecond, and the
    stand-ins' default plan, which takes next to nothing."""
    sys.path.insert(0, str(ROOT / "tests" / "standin"))
    import plan
    import torch

    import torchtrt_ws

    programs = {"stand-in": (folder / "standin.pte", 1, 4)}
    torchtrt_ws.save_plan(plan.write(), folder / "standin.pte", inputs="x:float32:1..8x4", outputs="y:float32:1..8x4")
    for features in (64, 1024):
        path = folder / f"linear{features}.pte"
        torchtrt_ws.save(torch.nn.Linear(features, features), path, arg_inputs=(torch.zeros(1, features),))
        programs[f"host, linear {features}x{features}"] = (path, 1, features)
    return programs


def command(build: Path, path: Path, rows: int, columns: int) -> list[str]:
    from torchtrt_ws import pte

    (engine,) = pte.read(path).engines
    (tool,) = (found for found in build.rglob("torchtrt_ws_threads") if found.is_file())
    where = {"offset": engine.payload_offset, "size": engine.payload_bytes, "rows": rows, "columns": columns}
    return [str(tool), "--program", str(path), *(str(word) for key in where for word in (f"--{key}", where[key]))]


def environment(build: Path) -> dict[str, str]:
    standins = build / "tests" / "standin" / "lib"
    (library,) = standins.glob("libnvinfer.so.??")
    (adapter,) = build.rglob("libtorchtrt_ws_tensorrt.so")
    (host,) = build.rglob("libtorchtrt_ws_host.so")
    return {
        **os.environ,
        "LD_LIBRARY_PATH": os.pathsep.join([str(standins), os.environ.get("LD_LIBRARY_PATH", "")]),
        "TORCHTRT_WS_NVINFER": str(library),
        "TORCHTRT_WS_TENSORRT_LIBRARY": str(adapter),
        "TORCHTRT_WS_HOST_LIBRARY": str(host),
    }


def measure(build: Path, programs: dict[str, tuple[Path, int, int]], seconds: float, rounds: int) -> list[Any]:
    rows = []
    for name, program in programs.items():
        samples: dict[int, list[dict[str, float]]] = {count: [] for count in THREADS}
        for _ in range(rounds):
            for count, found in samples.items():
                words = [*command(build, *program), "--threads", str(count), "--seconds", str(seconds)]
                done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment(build))
                found.append(json.loads(done.stdout))
        for count, found in samples.items():
            speed = statistics.median(sample["runs_per_second"] for sample in found)
            share = statistics.median(sample["least"] / sample["most"] for sample in found)
            rows.append({"engine": name, "threads": count, "runs_per_second": speed, "least_of_most": share})
    return rows


def markdown(rows: list[Any]) -> str:
    lines = ["| engine | threads | runs a second | slowest thread / fastest |", "|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row['engine']} | {row['threads']} | {row['runs_per_second']:,.0f} | {row['least_of_most']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torchtrt-ws-bench-") as folder:
        os.environ["TORCHTRT_WS_CACHE"] = str(Path(folder) / "cache")
        rows = measure(arguments.build.resolve(), save_programs(Path(folder)), arguments.seconds, arguments.rounds)
    print(markdown(rows))


if __name__ == "__main__":
    main()
