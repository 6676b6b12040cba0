"""A server under load: requests a second and latencies by clients and batch size, beside the program called directly.

    python benchmarks/serve.py [--out benchmarks/results/serve.json] [--minutes 10] [--seconds 8]

On the host engine, all weights streamed (a budget of 0), one replica, and the clients on the same machine. The first
table is the floor: the program in a loop, by rows of a call and budget. The second: requests of one row over HTTP, with
batches of at most 1, 8 and 32 rows. The third: memory of the server's processes while 16 clients ask for some minutes.
Needs `pip install torchtrt-ws[serve,export]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import clients
import direct
import numpy as np

LAYERS, FEATURES, MOST_ROWS = 8, 1024, 32
BATCHES, CLIENTS = (1, 8, 32), (1, 4, 16, 64, 256)
BUDGETS = ("0%", "100%")
FLOOR_CALLS = 200


def save(path: Path) -> None:
    """8 layers of 1024 x 1024, 32 MiB of float32; 1 to 32 rows."""
    import torch

    import torchtrt_ws

    model = torch.nn.Sequential(*(torch.nn.Linear(FEATURES, FEATURES) for _ in range(LAYERS)))
    rows = torch.export.Dim("rows", min=1, max=MOST_ROWS)
    torchtrt_ws.save(model, path, arg_inputs=(torch.zeros(2, FEATURES),), dynamic_shapes=({0: rows},))


def rows_of(count: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, FEATURES)).astype(np.float32)


def body() -> clients.Body:
    """A request of one row, in bytes."""
    return clients.body("input", rows_of(1))


def over_http(url: str, seconds: float) -> list[dict[str, Any]]:
    """Every number of clients against every batch size."""
    found = []
    for batch in BATCHES:
        model = f"{url}/v2/models/batch{batch}"
        for count in CLIENTS:
            before = asyncio.run(clients.rows_and_calls(model))
            measured = asyncio.run(clients.load(f"{model}/infer", body(), count, seconds))
            rows, calls = (b - a for a, b in zip(before, asyncio.run(clients.rows_and_calls(model)), strict=True))
            found.append({"max_batch_size": batch, **measured, "rows_per_call": rows / max(calls, 1)})
            print(found[-1], flush=True)
    return found


def processes() -> dict[str, int]:
    """Resident bytes of each process of the server, by what Ray calls it."""
    listed = subprocess.run(["ps", "-eo", "pid,rss,args"], text=True, capture_output=True, check=True).stdout
    found = {}
    for line in listed.splitlines()[1:]:
        pid, rss, name = line.split(None, 2)
        if name.startswith("ray::ServeReplica") or name.startswith("ray::ProxyActor"):
            found[f"{name.removeprefix('ray::').split(' ')[0]} {pid}"] = int(rss) * 1024
    return found


def memory(url: str, minutes: float) -> list[dict[str, Any]]:
    """The processes' memory after each minute under load."""
    found = [{"minute": 0, "rss_bytes": processes()}]
    for minute in range(1, round(minutes) + 1):
        measured = asyncio.run(clients.load(f"{url}/v2/models/batch8/infer", body(), 16, 59))
        found.append({"minute": minute, "requests": measured["requests"], "rss_bytes": processes()})
        print(found[-1], flush=True)
    return found


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.machine())
    packages = ("executorch", "ray", "numpy")
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "load_average_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def markdown(results: dict[str, Any]) -> str:
    about = results["machine"]
    direct = {(row["budget"], row["rows"]): row["seconds"] for row in results["floor"]}
    lines = [
        "# Serving",
        "",
        f"`python benchmarks/serve.py`, {about['cores']} cores of {about['cpu']}, clients and server on the same ones, "
        f"executorch {about['executorch']}, Ray {about['ray']}, Python {about['python']}. The machine's load average "
        f"was {about['load_average_before']:.1f} before and {about['load_average_after']:.1f} after. Where it "
        "is above the number of cores before, others used them too, and all times are longer for it.",
        "",
        f"{LAYERS} linear layers of {FEATURES} x {FEATURES} (32 MiB), host engine. The program called directly, "
        f"median of {FLOOR_CALLS}:",
        "",
        "| budget | " + " | ".join(f"{rows} row{'s' * (rows > 1)}, ms" for rows in BATCHES) + " |",
        "|---|" + "---|" * len(BATCHES),
    ]
    for budget in BUDGETS:
        lines.append(f"| {budget} | " + " | ".join(f"{direct[budget, rows] * 1e3:.2f}" for rows in BATCHES) + " |")
    lines += [
        "",
        "Requests of one row over HTTP at a budget of 0, binary tensors, one replica. Ratio: to calls with one row, "
        "one after the other, without a server (first table). Of 256 clients more wait than the server takes: the "
        "rest is answered with 503 at once, and asks again after the second that it says.",
        "",
        "| max_batch_size | clients | requests/s | ratio | p50 ms | p99 ms | rows per call | other answers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results["http"]:
        ratio = row["requests_per_second"] * direct["0%", 1]
        others = clients.other_statuses(row)
        times = f"{row['p50_seconds'] * 1e3:.1f} | {row['p99_seconds'] * 1e3:.1f}"
        lines.append(
            f"| {row['max_batch_size']} | {row['clients']} | {row['requests_per_second']:.0f} | {ratio:.2f} "
            f"| {times} | {row['rows_per_call']:.1f} | {others} |"
        )
    if results["memory"]:
        names = [name for name in results["memory"][0]["rss_bytes"] if "batch1:" not in name and "batch32" not in name]
        lines += [
            "",
            "Resident MiB of the processes that answer, 16 clients, `max_batch_size` 8"
            + (", of another run (`memory_machine` in the .json):" if "memory_machine" in results else ":"),
            "",
            "| minute | requests | " + " | ".join(name.rsplit(" ", 1)[0] for name in names) + " |",
            "|---|---|" + "---|" * len(names),
        ]
        for row in results["memory"]:
            cells = " | ".join(f"{row['rss_bytes'].get(name, 0) / 2**20:.1f}" for name in names)
            lines.append(f"| {row['minute']} | {row.get('requests', '')} | {cells} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "serve.json")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=8)
    arguments = parser.parse_args()

    from torchtrt_ws import serve

    results: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layers.pte"
        save(path)
        results["floor"] = direct.floor(path, BUDGETS, BATCHES, rows_of, FLOOR_CALLS)
        common = {"file": str(path), "budget": "0%", "num_cpus": 0.1}
        models = {f"batch{batch}": {**common, "max_batch_size": batch} for batch in BATCHES}
        with serve.start({"models": models}, port=0) as server:
            results["http"] = over_http(server.url, arguments.seconds)
            results["memory"] = memory(server.url, arguments.minutes)
    results["machine"]["load_average_after"] = os.getloadavg()[0]
    arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    arguments.out.with_suffix(".md").write_text(markdown(results))


if __name__ == "__main__":
    main()
