"""Reports that are made up, for what draws and writes them."""

from __future__ import annotations

from torchtrt_ws.measuring import BenchReport, EngineAt, MeasuredEngine, Measurement, Timing

MIB = 2**20
STREAMABLE, SCRATCH, CONTEXT = 100 * MIB, 20 * MIB, 5 * MIB
BANDWIDTH = 50e9
# Budget in MiB to milliseconds: a hump at 40, and 85 MiB, for which full residency takes less of the device.
TIMES = {0: 9.0, 20: 6.0, 40: 7.0, 60: 3.0, 85: 2.5, 100: 1.0}


def at(budget: int, milliseconds: float) -> EngineAt:
    scratch = SCRATCH if budget < STREAMABLE else 0
    timing = Timing(50, milliseconds, 1.5 * milliseconds, 0.9 * milliseconds)
    return EngineAt(budget, budget + scratch + CONTEXT, STREAMABLE - budget, timing)


def report(
    file: str = "model.pte", names: tuple[str, ...] = ("forward",), batches: tuple[int | None, ...] = (None,)
) -> BenchReport:
    """A program whose engines are all as above; `names` of several engines share each total equally."""

    def measurement(batch: int | None, mib: int, engines: tuple[str, ...]) -> Measurement:
        times = TIMES[mib] * (1 if batch is None else batch)
        found = {name: at(mib * MIB, times) for name in engines}
        device = sum(each.device_bytes for each in found.values())
        call = Timing(50, times * len(engines) + 0.5, 20.0, 0.5)
        return Measurement(batch, mib * MIB * len(engines), device, 7 * MIB, call, found)

    engines = tuple(
        MeasuredEngine(
            name, "forward", "tensorrt", "cuda:0", "ab" * 32, STREAMABLE, SCRATCH, (),
            tuple(measurement(batch, mib, (name,)) for mib in TIMES for batch in batches),
            "a GPU", "libnvinfer.so.10",
        )
        for name in names
    )  # fmt: skip
    totals = tuple(measurement(batch, mib, names) for batch in batches for mib in TIMES)
    return BenchReport(
        file, ("forward",), batches, engines, totals, 65 * MIB * len(names), 0.5, BANDWIDTH, "a machine, 2 cores",
        0.1, 3.0, True,
    )  # fmt: skip
