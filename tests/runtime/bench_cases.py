"""torchtrt_ws.bench over TensorRT engines: more cases for test_standin.py, run as those of standin_cases.py are, with
its programs. The stand-ins take no time for what they stream: what is looked at is which budgets are measured.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import standin_cases as cases  # its folder is no package
from standin_cases import CONTEXT, KIB, MIB, RESIDENT, SCRATCH, STREAMABLE

import torchtrt_ws
from torchtrt_ws.budget.profile import Profile


def bench(folder: Path, name: str, **keywords: Any) -> Any:
    report = torchtrt_ws.bench(folder / f"{name}.pte", **{"seconds": 20, "resolution": "256KiB", **keywords})
    written = folder / f"{name}-bench.json"
    report.profile().write(written)
    assert Profile.read(written) == report.profile()
    return report


def budgets(engine: Any) -> list[int]:
    return [each.engines[engine.name].budget_bytes for each in engine.sweep]


def case_bench_scratch(folder: Path) -> None:
    """Nothing is measured where full residency takes less of the device, and memory is what it is."""
    told: list[tuple[float, float, str]] = []
    report = bench(folder, "plain", progress=lambda *now: told.append(now))
    (engine,) = report.engines
    found = budgets(engine)
    assert [spent for spent, _, _ in told] == sorted(spent for spent, _, _ in told)
    assert {(seconds, what.partition(" at ")[0]) for _, seconds, what in told} == {(20, "tower")}
    assert (found[0], found[-1]) == (0, STREAMABLE) and len(found) > 5
    assert all(budget + SCRATCH < STREAMABLE for budget in found[:-1])
    assert engine.scratch_bytes == SCRATCH and engine.device == "cuda:0" and "libnvinfer" in engine.library
    device = {each.budget_bytes: each.engines["tower"].device_bytes for each in engine.sweep}
    assert device[0] - device[STREAMABLE] == SCRATCH - STREAMABLE
    assert device[0] >= RESIDENT + SCRATCH + CONTEXT
    assert {each.engines["tower"].streamed_bytes for each in engine.sweep} == {STREAMABLE - each for each in found}
    assert report.automatic_bytes == STREAMABLE and report.finished and not report.unfit
    assert report.batches == (8,)


def case_bench_percent_in_the_hole(folder: Path) -> None:
    """As load takes it: 95 % and its scratch are more than full residency."""
    (engine,) = bench(folder, "plain", budgets=["95%", "50%", "auto"], seconds=0.5).engines
    assert budgets(engine) == [0, STREAMABLE // 2, STREAMABLE]


def case_bench_more_than_fits(folder: Path) -> None:
    """The weights are larger than the device: the profile ends with what fits."""
    report = bench(folder, "plain")
    (engine,) = report.engines
    found = budgets(engine)
    assert found[0] == 0 and STREAMABLE not in found
    assert [(each.engine, each.budget_bytes) for each in report.unfit][-1] == ("tower", STREAMABLE)
    assert 3 * MIB < found[-1] < 3 * MIB + 4 * KIB
    assert found[-1] == report.automatic_bytes, "which is the most that fits, to the byte"
    (measured,) = report.profile().engines
    assert measured.largest_bytes == found[-1]
    loaded = cases.load(folder, "plain", profile=report.profile())
    assert 0 < loaded.engines[0].budget_bytes < STREAMABLE


def case_bench_batches(folder: Path) -> None:
    report = bench(folder, "plain", batches=[2, 8], budgets=["50%"], seconds=0.5)
    (measured,) = report.profile().engines
    assert (measured.batch, [each.batch for each in measured.other_batches]) == (2, [8])
    with cases.refused("ProgramError", "1 to 8"):
        torchtrt_ws.bench(folder / "plain.pte", batches=[9])


def case_bench_two_engines(folder: Path) -> None:
    report = bench(folder, "pair", budgets=["25%"], seconds=0.5)
    for engine in report.engines:
        assert budgets(engine) == [0, STREAMABLE // 4, STREAMABLE]
    assert report.totals[-1].budget_bytes == 2 * STREAMABLE
    assert report.totals[-1].device_bytes >= 2 * (STREAMABLE + RESIDENT)
    assert report.totals[0].device_bytes >= 2 * RESIDENT + SCRATCH, "one block for both contexts"


def case_bench_shared_weights(folder: Path) -> None:
    """Two engines on one copy of the weights have one budget, and count once."""
    report = bench(folder, "twins", budgets=["50%"], seconds=0.5)
    first, second = report.engines
    assert first.shared_with == (second.name,) and second.shared_with == (first.name,)
    assert budgets(first) == budgets(second) == [0, STREAMABLE // 2, STREAMABLE]
    assert report.streamable_bytes == STREAMABLE == report.totals[-1].budget_bytes
    assert len(report.profile().engines) == 2


CASES: dict[str, Callable[[Path], None]] = {
    name.removeprefix("case_"): case for name, case in list(globals().items()) if name.startswith("case_")
}

# What is fixed, what streaming needs, and 3 MiB; what the engine stages its tensors in is less than a page.
FITS = RESIDENT + CONTEXT + SCRATCH + 3 * MIB + 4 * KIB
ENVIRONMENT = {"bench_more_than_fits": {"STANDIN_DEVICE_BYTES": str(FITS)}}

if __name__ == "__main__":
    cases.CASES.update(CASES)
    cases.main(sys.argv[1], Path(sys.argv[2]))
