"""What shows what a TensorRT engine does: stages, ranges and counters; and outputs that only a run tells the size of.
More cases for test_standin.py, run as those of standin_cases.py are, with its programs.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import standin_cases as cases  # its folder is no package
from standin_cases import STREAMABLE, check, inputs, load

LOAD = ["parse", "deserialize", "read", "verify", "budget", "context"]  # read and verify are told when they are over
RUN = ["copy in", "enqueue", "copy out"]


def expect(stages: list[str], program: Any, folder: Path, in_order: bool = True) -> None:
    """Leaves what was recorded since the last time, and what that must be, to test_standin.py: ExecuTorch's Inspector
    imports torch, and that the real CUDA runtime."""
    case = sys.argv[1]
    number = len(list(folder.glob(f"{case}.*.etdp")))
    (folder / f"{case}.{number}.etdp").write_bytes(program.etdump())
    (folder / f"{case}.{number}.json").write_text(json.dumps({"stages": stages, "in_order": in_order}))


def case_stages(folder: Path) -> None:
    program = load(folder, "plain", etdump=True, weight_streaming_budget="25%")
    expect(LOAD, program, folder)
    check(program)
    expect(RUN, program, folder)
    program.engines[0].set_budget("50%")
    program(inputs())
    expect(RUN, program, folder)  # a change of budget is no run of a method


def case_stages_of_a_second_engine_on_the_weights(folder: Path) -> None:
    first = load(folder, "plain")
    second = load(folder, "plain", etdump=True)
    expect(["parse", "context"], second, folder)  # nothing was read, and the budget is the first's
    check(first)


def case_stages_of_a_graph(folder: Path) -> None:
    program = load(folder, "plain", etdump=True, cuda_graph=True)
    for _ in range(5):
        program(inputs())
    expect(LOAD + 5 * RUN, program, folder, in_order=False)  # the Inspector puts equal runs together


def case_ranges(folder: Path) -> None:
    program = load(folder, "plain", weight_streaming_budget="25%")
    check(program)
    lines = Path(os.environ["STANDIN_NVTX_FILE"]).read_text().splitlines()
    begun = [line for line in lines if line != "end"]
    assert begun.count("torchtrt_ws: verify") == 1  # in a thread of its own where the plan is large
    in_order = [line for line in begun if line != "torchtrt_ws: verify"]
    assert in_order == [f"torchtrt_ws: {name}" for name in ["deserialize", "budget", "context", "run", *RUN]]
    assert lines.count("end") == len(begun)


def case_counters(folder: Path) -> None:
    program = load(folder, "plain", weight_streaming_budget="25%", cuda_graph=True)
    for _ in range(6):
        check(program)
    engine = program.engines[0]
    assert engine.runs == 6
    assert engine.streamed_bytes == 6 * (STREAMABLE - STREAMABLE // 4)
    assert 0 < engine.graph_hits < 6, engine.graph_hits
    assert not engine.clipped
    assert engine.ladder_steps == 0
    hits = engine.graph_hits
    engine.set_budget(2 * STREAMABLE)
    assert engine.clipped
    assert engine.graph_hits == hits, "what was counted stays, though the graph has gone"
    check(program)
    assert engine.streamed_bytes == 6 * (STREAMABLE - STREAMABLE // 4), "nothing streams at full residency"


def case_outputs_whose_size_depends_on_the_data(folder: Path) -> None:
    for keywords in ({}, {"cuda_graph": True}, {"weight_streaming_budget": 0}):
        program = load(folder, "nonzero", **keywords)
        for rows, step in ((8, 1), (1, 3), (2, 100), (8, 5), (2, 1)):
            x = np.zeros((rows, 4), np.float32)
            x.flat[::step] = 1
            (y,) = program(x)
            np.testing.assert_array_equal(y, np.array(np.nonzero(x)))
            (y,) = program(np.zeros((rows, 4), np.float32))
            assert y.shape == (2, 0)


def case_more_than_was_planned(folder: Path) -> None:
    program = load(folder, "nonzero_small")
    for _ in range(2):
        with cases.refused("ProgramError", "[2, 8]", "128 bytes", "96 bytes", "planned"):
            program(np.ones((2, 4), np.float32))
        (y,) = program(np.eye(4, dtype=np.float32))
        np.testing.assert_array_equal(y, [[0, 1, 2, 3], [0, 1, 2, 3]])


def case_values_that_are_shapes(folder: Path) -> None:
    x = np.arange(4, dtype=np.float32).reshape(1, 4)
    for name in ("shapes", "shapes_device"):
        program = load(folder, name, cuda_graph=True)
        for rows in (8, 1, 3, 3, 3, 3, 3, 8):
            (y,) = program(x, np.array([rows, 4]))
            np.testing.assert_array_equal(y, np.repeat(2 * x + 1, rows, axis=0))
        with cases.refused("ProgramError", "values of k", "[9, 4]", "1..8"):
            program(x, np.array([9, 4]))


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

# By what test_standin.py fills in: the folder of the programs, and that of the stand-ins.
ENVIRONMENT = {
    "ranges": {
        "NVTX_INJECTION64_PATH": "{standins}/libstandin_nvtx.so",
        "STANDIN_NVTX_FILE": "{folder}/ranges.txt",
    },
}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]))
