"""What was measured of a program, for people, for programs (JSON) and as a profile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.budget.latency import worth_using
from torchtrt_ws.budget.profile import BatchPoints, EngineProfile, Point, Profile
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.measuring.samples import Timing

__all__ = ["BenchReport", "EngineAt", "MeasuredEngine", "Measurement", "Unfit", "points_of", "worth"]


@dataclass(frozen=True)
class EngineAt:
    """One engine at one budget. Sizes are bytes.

    Args:
        budget_bytes: Kept on the device, as the engine says.
        device_bytes: On the device: weights, scratch and context. Of a host engine: resident weights.
        streamed_bytes: Streamed to the device in one call.
        timing: Of its calls.
    """

    budget_bytes: int
    device_bytes: int
    streamed_bytes: int
    timing: Timing

    @property
    def bytes_per_second(self) -> float | None:
        """What it streams, over the time that a call takes; None where it streams nothing."""
        return self.streamed_bytes / self.timing.milliseconds * 1e3 if self.streamed_bytes else None

    def as_dict(self) -> dict[str, Any]:
        """The keys of `torchtrt-ws bench --json`."""
        sizes = {key: getattr(self, key) for key in ("budget_bytes", "device_bytes", "streamed_bytes")}
        return {**sizes, **self.timing.as_dict(), "bytes_per_second": self.bytes_per_second}


@dataclass(frozen=True)
class Measurement:
    """A program at one set of budgets and one batch size. Sizes are bytes.

    Args:
        batch: The size of the batch dimension; None if there is none.
        budget_bytes: Kept on the device, of all its engines; weights that engines share count once.
        device_bytes: On the device, of all its engines.
        host_bytes: Resident in the process.
        call: Times of whole calls: one of each measured method.
        engines: The engines that ran, by name.
    """

    batch: int | None
    budget_bytes: int
    device_bytes: int
    host_bytes: int
    call: Timing
    engines: Mapping[str, EngineAt]

    @property
    def streamed_bytes(self) -> int:
        """What all engines streamed to the device in one call."""
        return sum(engine.streamed_bytes for engine in self.engines.values())

    def as_dict(self) -> dict[str, Any]:
        """The keys of `torchtrt-ws bench --json`."""
        sizes = {key: getattr(self, key) for key in ("budget_bytes", "device_bytes", "host_bytes", "streamed_bytes")}
        engines = {name: engine.as_dict() for name, engine in self.engines.items()}
        return {"batch": self.batch, **sizes, "call": self.call.as_dict(), "engines": engines}


@dataclass(frozen=True)
class MeasuredEngine:
    """One engine of the program. Sizes are bytes.

    Args:
        name: Its name.
        method: The method that it belongs to.
        kind: "host" or "tensorrt".
        device: Whose memory it takes: "cuda:0", or "cpu".
        sha256: Its digest; None if the file does not record it.
        streamable_bytes: Weights that can be streamed.
        scratch_bytes: What streaming needs beside the budget.
        shared_with: Names of the engines on the same weights.
        sweep: Its measurements, by budget, of each batch size; the other engines kept no weights that can be streamed.
        gpu: The device's name.
        library: The library that ran it.
    """

    name: str
    method: str
    kind: str
    device: str
    sha256: str | None
    streamable_bytes: int
    scratch_bytes: int
    shared_with: tuple[str, ...]
    sweep: tuple[Measurement, ...]
    gpu: str = ""
    library: str = ""


@dataclass(frozen=True)
class Unfit:
    """A budget that did not fit into the device.

    Args:
        engine: Whose.
        budget_bytes: Bytes.
        reason: What the engine said.
    """

    engine: str
    budget_bytes: int
    reason: str


@dataclass(frozen=True)
class BenchReport:
    """What `bench` measured.

    Args:
        file: The program.
        methods: Which of its methods were called.
        batches: The batch sizes; None where there is no batch dimension.
        engines: The engines of these methods, in loading order.
        totals: The whole program at several totals, by batch and total.
        automatic_bytes: The total that "auto" would keep on the device.
        overhead_milliseconds: What a call takes beyond its engines' own times.
        bandwidth_bytes_per_second: The most that streaming came to; None if nothing was streamed.
        machine: Where.
        load_seconds: What loading took, with no weights that can be streamed on the device.
        seconds: What measuring took.
        finished: False if the time was over before the steps were known to the resolution.
        unfit: Budgets that did not fit.
    """

    file: str
    methods: tuple[str, ...]
    batches: tuple[int | None, ...]
    engines: tuple[MeasuredEngine, ...]
    totals: tuple[Measurement, ...]
    automatic_bytes: int
    overhead_milliseconds: float
    bandwidth_bytes_per_second: float | None
    machine: str
    load_seconds: float
    seconds: float
    finished: bool
    unfit: tuple[Unfit, ...] = ()

    @property
    def streamable_bytes(self) -> int:
        """Of all engines; weights that engines share count once."""
        return sum(engine.streamable_bytes for engine in self.leaders())

    def leaders(self) -> list[MeasuredEngine]:
        """The engines without those that run on the weights of one before them."""
        before: set[str] = set()
        found = []
        for engine in self.engines:
            if before.isdisjoint(engine.shared_with):
                found.append(engine)
            before.add(engine.name)
        return found

    def least_unfit(self) -> list[Unfit]:
        """Of each engine the least budget that did not fit."""
        least = {each.engine: each for each in sorted(self.unfit, key=lambda each: -each.budget_bytes)}
        return list(least.values())

    def profile(self) -> Profile:
        """The profile for `load(..., split="latency")`, `plan` and `torchtrt_ws.memory`; `write` it beside the program.

        Raises:
            ProgramError: An engine whose digest the file does not record.
        """
        return Profile(
            tuple(self._engine_profile(engine) for engine in self.engines),
            self.overhead_milliseconds,
            self.bandwidth_bytes_per_second,
            self.machine,
        )

    def _engine_profile(self, engine: MeasuredEngine) -> EngineProfile:
        if engine.sha256 is None:
            raise ProgramError(
                f"{self.file}: {engine.name}", "an engine without a digest", "one that a profile can be compared with",
                "Run `torchtrt-ws annotate` on the program.",
            )  # fmt: skip
        first, *others = self.batches
        largest = max(point.budget_bytes for point in points_of(engine, first))
        return EngineProfile(
            engine.name,
            engine.sha256,
            engine.streamable_bytes,
            engine.scratch_bytes,
            tuple(points_of(engine, first)),
            engine.gpu,
            engine.library,
            first,
            tuple(BatchPoints(batch, tuple(points_of(engine, batch))) for batch in others if batch is not None),
            largest if largest < engine.streamable_bytes else None,  # no more fitted
        )

    def as_dict(self) -> dict[str, Any]:
        """The report as `torchtrt-ws bench --json` prints it: sizes are integer bytes, unknown is None."""
        keys = (
            "file", "methods", "batches", "streamable_bytes", "automatic_bytes", "overhead_milliseconds",
            "bandwidth_bytes_per_second", "machine", "load_seconds", "seconds", "finished",
        )  # fmt: skip
        plain = {key: list(value) if isinstance(value := getattr(self, key), tuple) else value for key in keys}
        totals = []
        for batch in self.batches:
            mine = [each for each in self.totals if each.batch == batch]
            good = worth([_point(each.budget_bytes, each.device_bytes, each.call) for each in mine])
            totals += [{**each.as_dict(), "worth_using": each.budget_bytes in good} for each in mine]
        unfit = [{"engine": e.engine, "budget_bytes": e.budget_bytes, "reason": e.reason} for e in self.unfit]
        return {**plain, "engines": [self._engine_dict(engine) for engine in self.engines], "totals": totals,
                "unfit": unfit}  # fmt: skip

    def _engine_dict(self, engine: MeasuredEngine) -> dict[str, Any]:
        keys = ("name", "method", "kind", "device", "sha256", "streamable_bytes", "scratch_bytes", "gpu", "library")
        batches = []
        for batch in self.batches:
            good = worth(points_of(engine, batch))
            points = [
                {**at.as_dict(), "host_bytes": each.host_bytes, "worth_using": at.budget_bytes in good}
                for each in engine.sweep
                if each.batch == batch
                for at in (each.engines[engine.name],)
            ]
            batches.append({"batch": batch, "points": points})
        return {
            **{key: getattr(engine, key) for key in keys},
            "shared_with": list(engine.shared_with),
            "batches": batches,
        }


def points_of(engine: MeasuredEngine, batch: int | None) -> list[Point]:
    """An engine's measurements as those of a profile, by budget.

    Args:
        engine: The engine.
        batch: The batch size.
    """
    found = [each.engines[engine.name] for each in engine.sweep if each.batch == batch]
    return [_point(at.budget_bytes, at.device_bytes, at.timing) for at in found]


def worth(points: Sequence[Point]) -> set[int]:
    """The budgets of `points` that are worth using; see `torchtrt_ws.budget.latency.worth_using`."""
    return {point.budget_bytes for point in worth_using(points)}


def _point(budget: int, device: int, timing: Timing) -> Point:
    # A host engine whose weights could not be locked may have fewer pages in memory than its budget.
    return Point(budget, max(device, budget), timing.milliseconds)
