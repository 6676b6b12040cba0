"""A load in a process of its own: whatever it does to that process, this one lives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from torchtrt_ws.runtime.check_report import NO, OK, Fact, IsolatedLoad

__all__ = ["fact_of", "load_isolated", "run_arguments"]

_LAST_LINES = 20  # of stderr, that are kept


def run_arguments(
    weight_streaming_budget: int | str | None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None,
    weight_streaming_margin: int | str | None,
    device_id: int | None,
) -> list[str]:
    """What `torchtrt-ws run` is told, for keywords of `load`.

    Args:
        weight_streaming_budget: As for `load`.
        weight_streaming_budget_per_engine: As for `load`.
        weight_streaming_margin: As for `load`.
        device_id: As for `load`.
    """
    each = weight_streaming_budget_per_engine
    named = (
        [f"{name}={value}" for name, value in each.items() if value is not None]
        if isinstance(each, Mapping)
        else [each]
    )
    options = [("--weight-streaming-budget", weight_streaming_budget), ("--margin", weight_streaming_margin)]
    options += [("--device", device_id), *(("--weight-streaming-budget-per-engine", value) for value in named)]
    return [text for option, value in options if value is not None for text in (option, str(value))]


def load_isolated(
    path: str, method: str, arguments: Sequence[str], inputs: Sequence[str | os.PathLike[str]]
) -> IsolatedLoad:
    """Loads a program and runs a method of it once, in a process that may crash.

    Args:
        path: The .pte.
        method: The method.
        arguments: From `run_arguments`.
        inputs: Paths of .npy files; none: zeros.

    Returns:
        What became of it.
    """
    command = [sys.executable, "-m", "torchtrt_ws", "run", path, "--method", method, "--json", *arguments]
    for each in inputs:
        command += ["--input", os.fspath(each)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="backslashreplace")
    ended_by = signal.Signals(-done.returncode).name if done.returncode < 0 else None
    return IsolatedLoad(
        method=method,
        exit_code=None if ended_by else done.returncode,
        signal=ended_by,
        load_seconds=json.loads(done.stdout)["load_seconds"] if done.returncode == 0 else None,
        stderr=tuple(done.stderr.splitlines()[-_LAST_LINES:]),
    )


def fact_of(load: IsolatedLoad) -> Fact:
    """That in a sentence.

    Args:
        load: What became of the load.
    """
    if load.ok and load.load_seconds is not None:
        found = f"a process of its own loaded it in {load.load_seconds:.3f} s and ran {load.method!r} once"
        return Fact("isolated", OK, found)
    end = f"was ended by {load.signal}" if load.signal else f"ended with exit code {load.exit_code}"
    last = f": {load.stderr[-1]}" if load.stderr else ", without a word on stderr"
    return Fact("isolated", NO, f"a process of its own {end}{last}")
