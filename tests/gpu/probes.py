"""One byte of a plan changed, at places spread over it: refused, right, wrong, or the end of the process?"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PROBES = 24
OUTCOMES = ("refused", "right", "wrong", "crash")
VERIFY = ("checksum", "off")  # the default, and as a delegate does that compares nothing

Run = Callable[[Path, str], tuple["subprocess.CompletedProcess[str]", "np.ndarray | None"]]
"""Runs a program with that `verify`, and gives its first output when there is one."""


def positions(offset: int, size: int) -> list[int]:
    """Of the changed bytes: the middles of PROBES equal parts of the engine."""
    return [offset + (2 * probe + 1) * size // (2 * PROBES) for probe in range(PROBES)]


def outcome(run: Run, program: Path, verify: str, expected: np.ndarray) -> str:
    """One of OUTCOMES. A process that did not end by itself counts as a crash."""
    try:
        done, found = run(program, verify)
    except subprocess.TimeoutExpired:
        return "crash"
    if done.returncode != 0:
        return "refused" if done.returncode == 1 else "crash"
    return "right" if found is not None and np.array_equal(found, expected) else "wrong"


def measure(run: Run, program: Path, offset: int, size: int, expected: np.ndarray, scratch: Path) -> dict[str, Any]:
    """What became of each probe, by `verify`.

    Args:
        run: Runs a program.
        program: The good file.
        offset: Of the engine in the file, in bytes.
        size: Of the engine, in bytes.
        expected: Its first output.
        scratch: A folder for the changed file.

    Returns:
        `unchanged` and `probes`: the outcome of the good file, and those of the changed ones in the order of
        `positions`, by `verify`.
    """
    data = bytearray(program.read_bytes())
    changed = scratch / "probe.pte"
    found: dict[str, Any] = {"positions": positions(offset, size), "engine_bytes": size, "unchanged": {}, "probes": {}}
    for verify in VERIFY:
        found["unchanged"][verify] = outcome(run, program, verify, expected)
        found["probes"][verify] = []
    for position in found["positions"]:
        data[position] ^= 0xFF
        changed.write_bytes(data)
        data[position] ^= 0xFF
        for verify in VERIFY:
            found["probes"][verify].append(outcome(run, changed, verify, expected))
    return found
