"""Programs whose weights are in a file of their own, beside whole ones, through torchtrt_ws.load on a GPU. Prints JSON.

    python tests/gpu/separate_programs.py PROGRAMS

PROGRAMS/separate has, for each of NAMES, NAME.pte and NAME.ptd: the plans without weights that stripped_plans.py built
on such a GPU (programs.py --separate). PROGRAMS has the whole ones, and inputs and outputs (programs.py).
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import torchtrt_ws

NAMES = {"chain": "small", "big": "big"}  # and the program of programs.py with the same network
BUDGETS = ("0%", "50%", "100%")


def answers(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """By budget."""
    found = {}
    for budget in BUDGETS:
        with torchtrt_ws.load(path, weight_streaming_budget=budget) as program:
            found[budget] = np.array(program(x)[0])
    return found


def seconds(path: Path, **options: Any) -> dict[str, Any]:
    """Of one load at half of the weights, from files that were just read, and what it found in a cache."""
    start = time.perf_counter()
    with torchtrt_ws.load(path, weight_streaming_budget="50%", **options) as program:
        took = time.perf_counter() - start
        (engine,) = program.engines
        return {"seconds": took, "cache_hits": engine.cache_hits, "cache_misses": engine.cache_misses}


def refusal(program: Path) -> str:
    """What a load without the weights says."""
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / program.name
        alone.write_bytes(program.read_bytes())
        try:
            torchtrt_ws.load(alone)
        except torchtrt_ws.ProgramError as error:
            return str(error)
    return "it loaded"


def measure(programs: Path) -> dict[str, Any]:
    facts = json.loads((programs / "programs.json").read_text())
    rows = {}
    for name, whole_name in NAMES.items():
        path, whole = programs / "separate" / f"{name}.pte", programs / facts[whole_name]["file"]
        (x,) = (np.load(programs / file) for file in facts[whole_name]["inputs"])
        wanted, found = answers(whole, x), answers(path, x)
        expected = np.load(programs / facts[whole_name]["expected"])
        with tempfile.TemporaryDirectory() as cache:
            loads = {
                "whole": seconds(whole, runtime_cache="off"),
                "separate": seconds(path, runtime_cache="off"),
                "filling the cache": seconds(path, runtime_cache="off", refit_cache=cache),
                "from the cache": seconds(path, runtime_cache="off", refit_cache=cache),
            }
            with torchtrt_ws.load(path, weight_streaming_budget="50%", refit_cache=cache) as program:
                cached = np.array(program(x)[0])
        rows[name] = {
            "program_bytes": path.stat().st_size,
            "data_bytes": path.with_suffix(".ptd").stat().st_size,
            "whole_bytes": whole.stat().st_size,
            "equal": {budget: bool(np.array_equal(found[budget], wanted[budget])) for budget in BUDGETS},
            "cached_equal": bool(np.array_equal(cached, wanted["50%"])),
            "largest_difference": float(np.abs(found["50%"].astype(np.float64) - expected).max()),
            "loads": loads,
            "without_weights": refusal(path),
        }
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
