"""A plan's bytes from a cold disk: as they are loaded, beside read(2) in order (dd, cp) and what the disk gives.

    python benchmarks/cold.py BUILD [--mib 2048] [--rounds 5] [--folder FOLDER] [--out benchmarks/results]

BUILD is a CMake build tree made with -DTORCHTRT_WS_BENCHMARKS=ON. FOLDER is on the disk that is measured; a file of
random bytes is written there and removed. It leaves the page cache before each reading, which is a process of its own,
in turn. Seconds are medians; what other processes do at the same time is in them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOW = {"disk": "the disk: 8 threads, O_DIRECT", "read": "read(2) in order", "ours": "as a plan is loaded"}


def measure(tool: Path, file: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, in turn."""
    seconds: dict[str, list[float]] = {how: [] for how in HOW}
    for _ in range(rounds):
        for how, found in seconds.items():
            done = subprocess.run([tool, file, how], check=True, capture_output=True, text=True)
            found.append(float(done.stdout))
    return seconds


def markdown(report: dict[str, Any]) -> str:
    medians = {how: statistics.median(found) for how, found in report["seconds"].items()}
    lines = [
        "# A plan's bytes from a cold disk\n",
        f"`python benchmarks/cold.py`, {report['bytes'] >> 20} MiB, {report['processors']} processors, load average "
        f"{report['load_average']:.1f} before. Medians of {len(report['seconds']['ours'])} processes each, in turn.\n",
        "| how | s | MB/s | of the disk's time | each |",
        "|---|---|---|---|---|",
    ]
    for how, words in HOW.items():
        each = " ".join(f"{second:.2f}" for second in report["seconds"][how])
        speed = report["bytes"] / medians[how] / 1e6
        lines.append(f"| {words} | {medians[how]:.2f} | {speed:.0f} | {medians[how] / medians['disk']:.2f} | {each} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path)
    parser.add_argument("--mib", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    arguments = parser.parse_args()
    (tool,) = (found for found in arguments.build.resolve().rglob("torchtrt_ws_cold") if found.is_file())
    load = os.getloadavg()[0]
    with tempfile.NamedTemporaryFile(prefix="torchtrt-ws-cold-", dir=arguments.folder) as file:
        for _ in range(arguments.mib):
            file.write(os.urandom(1 << 20))
        file.flush()
        os.fsync(file.fileno())
        seconds = measure(tool, Path(file.name), arguments.rounds)
    report = {
        "bytes": arguments.mib << 20,
        "processors": len(os.sched_getaffinity(0)),
        "load_average": load,
        "seconds": seconds,
    }
    (arguments.out / "cold.json").write_text(json.dumps(report, indent=1) + "\n")
    (arguments.out / "cold.md").write_text(markdown(report))
    print(markdown(report))


if __name__ == "__main__":
    main()
