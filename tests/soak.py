"""Threads that load, run, change budgets and unload programs, for long. No output may be wrong, nothing may grow.

    python tests/soak.py host --seconds 300       # host engines
    python tests/soak.py standin --laps 20        # TensorRT engines on the stand-ins of build/dev

In each lap THREADS threads load ROUNDS programs each, and share one more. Between laps, with that one alone, memory
(RSS), open descriptors and mappings are read from /proc/self. The exit code is 1 when an output was wrong, a call
failed, or one of them grew by more than LIMITS allows; stdout says which.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).resolve().parent
STANDINS = TESTS.parent / "build" / "dev" / "tests" / "standin" / "lib"
THREADS, ROUNDS, RUNS = 4, 5, 3
FEATURES = 256
BUDGETS = ("auto", "100%", "75%", "50%", "10%", 0, 123456, "free-1MiB")
# Most growth from the first third of the laps (after two to warm up) to the last: fixed, and for each round between.
# The fixed part of RSS is for what malloc keeps of threads: 128 KiB for each of its arenas, and fragments.
LIMITS = {"rss_bytes": (2 << 20, 256.0), "descriptors": (0, 0.0), "mappings": (8, 0.0)}


def sample() -> dict[str, int]:
    """What the process holds now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
    }


def growth(samples: Sequence[dict[str, int]], rounds_a_lap: int) -> dict[str, dict[str, float]]:
    """How much each quantity grew, and how much it may.

    Args:
        samples: One for each lap, in order; nine at least.
        rounds_a_lap: Programs loaded in each.

    Returns:
        For each quantity: the medians of the first and of the last third, their difference, and its limit.
    """
    warm = samples[2:]
    third = len(warm) // 3
    rounds = (len(warm) - third) * rounds_a_lap  # between the middles of the two thirds
    found = {}
    for key, (fixed, each) in LIMITS.items():
        first, last = (statistics.median(s[key] for s in part) for part in (warm[:third], warm[-third:]))
        found[key] = {"first": first, "last": last, "grew": last - first, "limit": fixed + each * rounds}
    return found


class Work:
    """A program's file, its inputs, and what it must answer."""

    def __init__(self, path: Path, inputs: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> None:
        self.path, self.inputs, self.wanted = path, inputs, wanted

    def load(self, chance: random.Random) -> Any:
        import torchtrt_ws

        return torchtrt_ws.load(
            self.path,
            weight_streaming_budget=chance.choice(BUDGETS),
            mmap=chance.random() < 0.7,
            verify=chance.choice(["checksum", "digest", "off"]),
        )

    def run(self, program: Any) -> None:
        for found, wanted in zip(program(*self.inputs), self.wanted, strict=True):
            assert np.array_equal(found, wanted), f"{self.path.name}: a wrong output"

    def use(self, program: Any, chance: random.Random) -> None:
        for _ in range(RUNS):
            self.run(program)
            engine = chance.choice(program.engines)
            engine.set_budget(chance.choice(BUDGETS))
            report = engine.as_dict()
            assert 0 <= report["budget_bytes"] <= report["streamable_bytes"], report
        self.run(program)


def save_host(folder: Path) -> None:
    """One engine, without and with a baked budget."""
    import torch

    import torchtrt_ws

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(FEATURES, FEATURES), torch.nn.ReLU(), torch.nn.Linear(FEATURES, 8))
    x = (torch.ones(2, FEATURES),)
    torchtrt_ws.save(model, folder / "one.pte", arg_inputs=x)
    torchtrt_ws.save(model, folder / "baked.pte", arg_inputs=x, weight_streaming_budget="50%")


def host_work(folder: Path) -> list[Work]:
    x = np.random.default_rng(0).standard_normal((2, FEATURES)).astype(np.float32)
    import torchtrt_ws

    paths = [folder / "one.pte", folder / "baked.pte"]
    return [Work(path, [x], torchtrt_ws.load(path)(x)) for path in paths]


def save_standin(folder: Path) -> None:
    """One plan, one with tensors planned on the device, two towers, and more."""
    sys.path.insert(0, str(TESTS / "runtime"))
    import standin_cases

    standin_cases.write(folder, str(next(STANDINS.glob("libnvinfer.so.??"))))


def standin_work(folder: Path) -> list[Work]:
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    one = [Work(folder / f"{name}.pte", [x], [2 * x + 1]) for name in ("plain", "device", "baked", "rtx")]
    return [*one, Work(folder / "towers.pte", [x], [2 * x + 1, 3 * x + 1])]


SAVES: dict[str, Callable[[Path], None]] = {"host": save_host, "standin": save_standin}
MODES: dict[str, Callable[[Path], list[Work]]] = {"host": host_work, "standin": standin_work}


def lap(works: Sequence[Work], shared: Any, seed: int) -> list[str]:
    """Each thread's ROUNDS rounds; what went wrong in them."""
    wrong: list[str] = []

    def rounds(thread: int) -> None:
        chance = random.Random(f"{seed} {thread}")
        try:
            for _ in range(ROUNDS):
                work = chance.choice(works)
                work.use(work.load(chance), chance)
                works[0].use(shared, chance)
        except Exception as error:  # all of it: the report says what
            wrong.append(f"lap {seed}, thread {thread}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=rounds, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def soak(mode: str, folder: Path, goes_on: Callable[[int], bool]) -> dict[str, Any]:
    """Laps with the programs in `folder` while `goes_on` of their number is true; what they found."""
    works = MODES[mode](folder)
    shared = works[0].load(random.Random(0))
    samples: list[dict[str, int]] = []
    wrong: list[str] = []
    started = time.monotonic()
    while goes_on(len(samples)) and not wrong:
        wrong = lap(works, shared, len(samples))
        for engine in shared.engines:
            engine.set_budget(0)
        samples.append(sample())
    runs = len(samples) * THREADS * ROUNDS * 2 * (RUNS + 1)
    return {
        "mode": mode,
        "seconds": round(time.monotonic() - started, 1),
        "laps": len(samples),
        "loads": len(samples) * THREADS * ROUNDS,
        "runs": runs,
        "wrong": wrong,
        "growth": growth(samples, THREADS * ROUNDS) if len(samples) >= 9 else {},
    }


def in_environment(mode: str, folder: str) -> dict[str, str]:
    """What this process must have been started with."""
    wanted = {"TORCHTRT_WS_CACHE": f"{folder}/cache"}
    # glibc raises both by itself once a large block is freed, and may then keep megabytes of each thread's: a payload's
    # size, so that a leak would look the same. Set, they stay.
    wanted["MALLOC_MMAP_THRESHOLD_"] = wanted["MALLOC_TRIM_THRESHOLD_"] = str(128 << 10)
    if mode == "standin":
        path = os.pathsep.join(filter(None, [str(STANDINS), os.environ.get("LD_LIBRARY_PATH")]))
        wanted["LD_LIBRARY_PATH"] = path  # read by the loader when a process starts
        wanted["TORCHTRT_WS_NVINFER"] = str(next(STANDINS.glob("libnvinfer.so.??")))
        wanted["TORCHTRT_WS_TENSORRT_RTX"] = str(next(STANDINS.glob("libtensorrt_rtx.so.?")))
    return {**os.environ, **wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=MODES)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--seconds", type=float)
    length.add_argument("--laps", type=int, help="nine at least, to compare the last with the first")
    length.add_argument("--save", type=Path, metavar="FOLDER", help="only save the programs there")
    parser.add_argument("--programs", type=Path, metavar="FOLDER", help="where --save has saved them; else it is done")
    parser.add_argument("--started", action="store_true", help=argparse.SUPPRESS)  # of the process that this one starts
    arguments = parser.parse_args()
    if arguments.save:
        SAVES[arguments.mode](arguments.save)
        return
    if not arguments.started:
        with tempfile.TemporaryDirectory(prefix="torchtrt-ws-soak-") as folder:
            again = [sys.executable, __file__, *sys.argv[1:], "--started"]
            if arguments.programs is None:  # in another process: torch stays out of the one that is measured
                save = [sys.executable, __file__, arguments.mode, "--save", folder]
                subprocess.run(save, check=True, stdout=subprocess.DEVNULL)
                again += ["--programs", folder]
            # Its stderr is ExecuTorch's log: a line for each load.
            sys.exit(subprocess.run(again, env=in_environment(arguments.mode, folder)).returncode)
    end = time.monotonic() + (arguments.seconds or 0)
    goes_on = (lambda n: n < arguments.laps) if arguments.laps else (lambda n: n < 9 or time.monotonic() < end)
    report = soak(arguments.mode, arguments.programs, goes_on)
    print(json.dumps(report, indent=1))
    grew = [f"{key} grew: {each}" for key, each in report["growth"].items() if each["grew"] > each["limit"]]
    if report["wrong"] or grew or not report["growth"]:
        print("soak: failed", *report["wrong"], *grew, sep="\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
