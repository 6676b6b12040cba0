"""Replicas that share one GPU: what a second one gives, and that both make room when somebody else needs the memory.

    python benchmarks/gpu/replicas.py save FILE       # anywhere; needs the extras export and rtx
    python benchmarks/gpu/replicas.py measure FILE [--out benchmarks/results/replicas.json]     # on a GPU

The program: 16 layers of 4096 x 4096, 537 MB of fp16 weights, 1 to 32 rows. `measure` needs the extra serve, and torch
with CUDA for the process that takes the memory. Clients and server are on the same machine.

First table: requests of one row by 64 clients, by replicas and budget of each. Second: two replicas with one headroom
and `free-` budgets, under the same load, while another process fills the device and then leaves it. With a program of
the host engine all of it runs without a GPU, and says nothing of one: then nothing is filled.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
LAYERS, FEATURES, MOST_ROWS = 16, 4096, 32
CLIENTS = 64
REPLICAS, BUDGETS = (1, 2), ("0%", "50%", "100%")
HEADROOM = 2**30  # bytes, of the device
SHORT = 256 * 2**20  # bytes that the other process leaves free: less than the headroom, so replicas give weights
FLOOR_CALLS = 100
SETTLING_S = 40.0  # replicas give back half of what is free at a time


def save(path: Path) -> None:
    """The plan, and the program around it."""
    sys.path.insert(0, str(ROOT.parent / "tests" / "gpu"))
    import plans

    import torchtrt_ws

    plan = plans.build(LAYERS, FEATURES, profiles=((1, 8, MOST_ROWS),))
    shape = f"float16:1..{MOST_ROWS}x{FEATURES}"
    torchtrt_ws.save_plan(plan, path, inputs=f"x:{shape}", outputs=f"y:{shape}")


def one_row(path: Path) -> np.ndarray:
    """An input for any program of this script: [1, features] of its one input's dtype."""
    from torchtrt_ws import pte

    (spec,) = pte.read(path).method(None).inputs
    assert spec.shape is not None
    return np.ones((1, spec.shape[1]), "float32" if spec.dtype == "float32" else "float16")


def used_bytes() -> int:
    """Of the device, by whomever."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    try:
        done = subprocess.run(query, text=True, capture_output=True, check=True)
    except FileNotFoundError:
        return 0
    return int(done.stdout) * 2**20


def settings(path: Path, replicas: int, on_gpu: bool, **others: Any) -> dict[str, Any]:
    """One model, `m`, all of whose replicas share a GPU."""
    model = {
        "file": str(path),
        "max_batch_size": MOST_ROWS,
        "num_replicas": replicas,
        "num_gpus": 1 / replicas if on_gpu else 0,
        "num_cpus": 1,
        **others,
    }
    return {"models": {"m": model}}


def by_replicas(path: Path, seconds: float, on_gpu: bool) -> list[dict[str, Any]]:
    """The first table. Budgets change while the server runs."""
    import clients

    from torchtrt_ws import serve

    request = clients.body(*named_row(path))
    found = []
    for replicas in REPLICAS:
        before = used_bytes()
        with serve.start({**settings(path, replicas, on_gpu), "admin": True}, port=0) as server:
            url = f"{server.url}/v2/models/m"
            for budget in BUDGETS:
                set_budget(url, budget)
                asyncio.run(clients.load(f"{url}/infer", request, CLIENTS, 1))  # every replica has had its first call
                rows, calls = asyncio.run(clients.rows_and_calls(url))
                measured = asyncio.run(clients.load(f"{url}/infer", request, CLIENTS, seconds))
                rows_after, calls_after = asyncio.run(clients.rows_and_calls(url))
                row = {"replicas": replicas, "budget": budget, "device_bytes": used_bytes() - before, **measured}
                found.append({**row, "rows_per_call": (rows_after - rows) / max(calls_after - calls, 1)})
                print(found[-1], flush=True)
    return found


def set_budget(url: str, budget: str) -> None:
    """Of each replica."""
    data = json.dumps({"budget": budget}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/budget", data)):
        pass


def named_row(path: Path) -> tuple[str, np.ndarray]:
    """The program's one input: its name, and a row."""
    from torchtrt_ws import pte

    (spec,) = pte.read(path).method(None).inputs
    return str(spec.name), one_row(path)


def budgets(url: str) -> list[int]:
    """Bytes of weights that each replica has on the device."""
    with urllib.request.urlopen(f"{url}/budget") as answer:
        replicas = json.load(answer)["replicas"]
    return sorted(sum(engine["budget_bytes"] for engine in each["engines"]) for each in replicas)


FILLER = """
import sys, torch
free = torch.cuda.mem_get_info()[0]
held = torch.empty(free - int(sys.argv[1]), dtype=torch.uint8, device="cuda")
print("filled", flush=True)
sys.stdin.read()
"""


@contextmanager
def filled(left: int) -> Iterator[None]:
    """While another process holds all of the device but `left` bytes."""
    command = [sys.executable, "-c", FILLER, str(left)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "filled\n", "the process that fills the device failed"
        yield
        process.stdin.close()


def making_room(path: Path, seconds: float, on_gpu: bool) -> dict[str, Any]:
    """The second table."""
    import clients

    from torchtrt_ws import serve

    request = clients.body(*named_row(path))
    steps: list[dict[str, Any]] = []
    loads: list[dict[str, Any]] = []
    others = {"budget": f"free-{HEADROOM}" if on_gpu else "100%", "headroom": HEADROOM if on_gpu else None}
    with serve.start(settings(path, 2, on_gpu, **others), port=0) as server:
        url = f"{server.url}/v2/models/m"
        ended = threading.Event()

        def under_load() -> None:
            while not ended.is_set():
                loads.append(asyncio.run(clients.load(f"{url}/infer", request, CLIENTS, seconds)))

        def note(step: str) -> None:
            steps.append({"step": step, "used_bytes": used_bytes(), "budgets": budgets(url)})
            print(steps[-1], flush=True)

        traffic = threading.Thread(target=under_load)
        traffic.start()
        try:
            time.sleep(seconds)
            note("before")
            if on_gpu:
                with filled(SHORT):
                    time.sleep(SETTLING_S / 4)
                    note("filled")
                time.sleep(SETTLING_S)
                note("left")
        finally:
            ended.set()
            traffic.join()
    others_seen: dict[str, int] = {}
    for each in loads:
        for status, count in each["other_statuses"].items():
            others_seen[str(status)] = others_seen.get(str(status), 0) + count
    return {"steps": steps, "requests": sum(each["requests"] for each in loads), "other_statuses": others_seen}


def markdown(results: dict[str, Any]) -> str:
    import clients

    about = results["machine"]
    direct = {(row["budget"], row["rows"]): row["seconds"] for row in results["floor"]}
    lines = [
        "# Replicas on one GPU",
        "",
        f"`python benchmarks/gpu/replicas.py measure`, {about['device']}, Ray {about['ray']}, "
        f"Python {about['python']}, server and clients on the same {about['cores']} cores.",
        "",
        f"{LAYERS} layers of {FEATURES} x {FEATURES} (537 MB of fp16 weights), 1 to {MOST_ROWS} rows. The program "
        f"called directly with host tensors, median of {FLOOR_CALLS} calls:",
        "",
        "| budget | 1 row, ms | 8 rows, ms | 32 rows, ms |",
        "|---|---|---|---|",
    ]
    for budget in dict.fromkeys(row["budget"] for row in results["floor"]):
        cells = " | ".join(f"{direct[budget, rows] * 1e3:.2f}" for rows in (1, 8, MOST_ROWS))
        lines.append(f"| {budget} | {cells} |")
    lines += [
        "",
        f"{CLIENTS} clients, requests of one row over HTTP, joined to calls of at most {MOST_ROWS} rows. Device "
        "memory: what all replicas together take, their CUDA contexts among it.",
        "",
        "| replicas | budget of each | device MB | requests/s | p50 ms | p99 ms | rows per call | other answers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["replicas"]:
        others = clients.other_statuses(row)
        times = f"{row['p50_seconds'] * 1e3:.1f} | {row['p99_seconds'] * 1e3:.1f}"
        lines.append(
            f"| {row['replicas']} | {row['budget']} | {row['device_bytes'] / 1e6:.0f} | "
            f"{row['requests_per_second']:.0f} | {times} | {row['rows_per_call']:.1f} | {others} |"
        )
    room = results["room"]
    others = clients.other_statuses(room)
    lines += [
        "",
        f"Two replicas with a headroom of {HEADROOM / 1e6:.0f} MB, under the same load, while another process takes "
        f"all of the device but {SHORT / 1e6:.0f} MB, and leaves it: {room['requests']} requests were answered with "
        f"200, other answers: {others}.",
        "",
        "| | device MB in use | MB of weights on the device, by replica |",
        "|---|---|---|",
    ]
    for step in room["steps"]:
        weights = ", ".join(f"{each / 1e6:.0f}" for each in step["budgets"])
        lines.append(f"| {step['step']} | {step['used_bytes'] / 1e6:.0f} | {weights} |")
    return "\n".join(lines) + "\n"


def machine() -> dict[str, Any]:
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader", "--id=0"]
        device = subprocess.run(query, text=True, capture_output=True, check=True).stdout.strip()
    except FileNotFoundError:
        device = "no GPU"
    return {
        "device": device,
        "cores": os.cpu_count(),
        "ray": version("ray"),
        "python": platform.python_version(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["save", "measure"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "replicas.json")
    parser.add_argument("--seconds", type=float, default=6)
    given = parser.parse_args()
    if given.what == "save":
        save(given.file)
        return
    sys.path.insert(0, str(ROOT))  # what lies there is for servers on any device
    import direct

    from torchtrt_ws import pte

    (engine,) = pte.read(given.file).engines
    on_gpu = engine.kind != "host"
    results: dict[str, Any] = {"machine": machine()}
    row = one_row(given.file)
    counts = (1, 8, MOST_ROWS)
    results["floor"] = direct.floor(
        given.file, BUDGETS, counts, lambda count: np.repeat(row, count, axis=0), FLOOR_CALLS
    )
    results["replicas"] = by_replicas(given.file, given.seconds, on_gpu)
    results["room"] = making_room(given.file, given.seconds, on_gpu)
    given.out.write_text(json.dumps(results, indent=1) + "\n")
    given.out.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
