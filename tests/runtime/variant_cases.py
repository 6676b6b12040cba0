"""One program with plans for several GPUs: which one runs where. More cases for test_standin.py, run as those of
standin_cases.py are, with its programs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

import standin_cases as cases  # its folder is no package
from standin_cases import MIB, inputs, load, refused

# What a plan computes is told by its weights: scale and offset, of which it is built without.
ADA, HOPPER, ANY = 3.0, 5.0, 7.0


def runs(program: Any, scale: float) -> None:
    (y,) = program(inputs())
    np.testing.assert_array_equal(y, scale * inputs() + 1)


def case_each_gpu_has_its_plan(folder: Path) -> None:
    program = load(folder, "gpus", weight_streaming_budget="50%")
    runs(program, HOPPER)
    (engine,) = program.engines
    assert engine.variant == "2 of 3 (compute capability 9.0)", engine.variant
    assert engine.as_dict()["variant"] == engine.variant and engine.budget_bytes == engine.streamable_bytes // 2
    plain = load(folder, "plain")
    assert plain.engines[0].variant is None and plain.engines[0].as_dict()["variant"] is None


def case_on_an_l4(folder: Path) -> None:
    program = load(folder, "gpus")
    runs(program, ADA)
    assert program.engines[0].variant == "1 of 3 (compute capability 8.9)"
    assert cases.calls("deserializeCudaEngine") == 1, "no other plan was tried"


def case_on_another_gpu(folder: Path) -> None:
    program = load(folder, "gpus")
    runs(program, ANY)
    assert program.engines[0].variant == "3 of 3 (any GPU)"
    assert cases.calls("deserializeCudaEngine") == 1


def case_a_refused_plan_gives_way(folder: Path) -> None:
    """Nothing is recorded of these: TensorRT says which one it does not take."""
    for verify in ("checksum", "digest", "off"):
        program = load(folder, "unnamed", verify=verify, share_engines=False)
        runs(program, HOPPER)
        assert program.engines[0].variant == "2 of 2 (any GPU)"
    assert cases.calls("deserializeCudaEngine") == 6


def case_the_named_runtime_comes_first(folder: Path) -> None:
    program = load(folder, "runtimes")
    runs(program, ANY)
    (engine,) = program.engines
    assert engine.variant is not None and engine.variant.startswith("2 of 2 (compute capability 9.0, tensorrt_rtx 1.")


def case_none_runs(folder: Path) -> None:
    with refused("ProgramError", "2 plans, of which none runs here", "1 of 2 (compute capability 8.9)", "other GPUs",
                 "2 of 2 (any GPU)", "expecting compute 9.0 got compute 7.5", "torchtrt-ws combine"):  # fmt: skip
        load(folder, "none")
    assert cases.live("weights") == 0


def case_damage_is_an_error(folder: Path) -> None:
    from torchtrt_ws import pte

    for name, at in (("gpus", 1), ("unnamed", 0), ("unnamed", 1)):
        data = bytearray((folder / f"{name}.pte").read_bytes())
        (engine,) = pte.read(folder / f"{name}.pte").engines
        data[engine.engine_offset + engine.variants[at].offset + engine.variants[at].size - 5] ^= 1
        (folder / "spoiled.pte").write_bytes(data)
        with refused("ProgramError", "engine 'tower'"):
            load(folder, "spoiled", data=[folder / f"{name}.ptd"])
    data = bytearray((folder / "gpus.pte").read_bytes())
    (engine,) = pte.read(folder / "gpus.pte").engines
    data[engine.engine_offset + engine.variants[0].offset + engine.variants[0].size - 5] ^= 1
    (folder / "spoiled.pte").write_bytes(data)
    for verify in ("checksum", "digest"):
        runs(load(folder, "spoiled", verify=verify, data=[folder / "gpus.ptd"]), HOPPER)  # that plan is not looked at


def case_weights_are_shared_and_counted_once(folder: Path) -> None:
    first, second = load(folder, "gpus"), load(folder, "gpus")
    runs(second, HOPPER)
    assert cases.calls("deserializeCudaEngine") == 1 and len(second.engines[0].shared_with) == 1
    assert first.engines[0].variant == second.engines[0].variant
    assert cases.live("weights") <= 5 * MIB


def case_check_says_which(folder: Path) -> None:
    import torchtrt_ws
    from torchtrt_ws.cli.main import main

    def facts(name: str) -> dict[str, tuple[str, str]]:
        (engine,) = torchtrt_ws.check(folder / f"{name}.pte", digest=True).engines
        return {fact.name: (fact.verdict, fact.found) for fact in engine.facts}

    assert facts("gpus")["plan"] == ("ok", "2 of 3 (compute capability 9.0) is tried first")
    assert facts("gpus")["digest"][0] == facts("gpus")["checksum"][0] == "ok"
    assert "plan" not in facts("plain")
    verdict, found = facts("unnamed")["plan"]
    assert verdict == "ok" and found.startswith("1 of 2")
    try:
        main(["run", str(folder / "gpus.pte"), "--json"])
    except SystemExit as exit:
        assert exit.code == 0


def case_check_where_none_fits(folder: Path) -> None:
    import torchtrt_ws

    report = torchtrt_ws.check(folder / "named.pte")
    (fact,) = [each for each in report.engines[0].facts if each.name == "plan"]
    assert not report.ok and fact.verdict == "no"
    assert "none for compute capability 12.0: 1 of 2 (compute capability 8.9); 2 of 2" in fact.found
    assert "torchtrt-ws combine" in fact.remedy
    with refused("ProgramError", "none runs here", "a plan for compute capability 12.0"):
        load(folder, "named")
    assert cases.calls("deserializeCudaEngine") == 0


def case_check_without_a_gpu(folder: Path) -> None:
    import torchtrt_ws

    report = torchtrt_ws.check(folder / "gpus.pte")
    (fact,) = [each for each in report.engines[0].facts if each.name == "plan"]
    assert (fact.verdict, report.ok) == ("unknown", False)
    with refused("EngineError", "device"):
        load(folder, "gpus")


def case_a_line_says_which(folder: Path) -> None:
    """In the log of a load, as JSON."""
    import logging

    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("torchtrt_ws").addHandler(handler)
    logging.getLogger("torchtrt_ws").setLevel(logging.INFO)
    program = load(folder, "gpus")
    (said,) = [json.loads(line[line.index("{") :]) for line in lines if '"torchtrt_ws":"load"' in line]
    assert said["variant"] == program.engines[0].variant


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

ENVIRONMENT = {
    "on_an_l4": {"STANDIN_COMPUTE": "89"},
    "on_another_gpu": {"STANDIN_COMPUTE": "120"},
    "check_where_none_fits": {"STANDIN_COMPUTE": "120"},
    "check_without_a_gpu": {"STANDIN_DEVICES": "0"},
    "a_line_says_which": {"TORCHTRT_WS_LOG_FORMAT": "json"},
}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]))
