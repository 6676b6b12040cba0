"""bench(): how long a program takes at which budget, on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torchtrt_ws import budget as budgets_of
from torchtrt_ws import pte
from torchtrt_ws.budget.latency import split_by_latency
from torchtrt_ws.errors import CapacityError, ProgramError
from torchtrt_ws.gpus import gpu_name
from torchtrt_ws.measuring.clock import Clock, Progress
from torchtrt_ws.measuring.group_sweep import GroupSweep
from torchtrt_ws.measuring.inputs import call_inputs
from torchtrt_ws.measuring.report import BenchReport, MeasuredEngine, Measurement, Unfit
from torchtrt_ws.measuring.subject import Group, Samples, Subject
from torchtrt_ws.measuring.surroundings import library_name, machine_name
from torchtrt_ws.pte import ProgramInfo
from torchtrt_ws.runtime import Engine, Program, load
from torchtrt_ws.trust.keys import Key

__all__ = ["bench"]

SECONDS = 60.0
_FOR_SWEEPS = 0.8  # of the time, where totals of several engines are measured too
_MOST_SECONDS = 2.0  # of one total
_PARTS = (0, 25, 50, 75, 100)  # percent: these totals


def bench(
    path: str | os.PathLike[str],
    *,
    budgets: Iterable[int | str] | None = None,
    seconds: float = SECONDS,
    resolution: int | str | None = None,
    method: str | None = None,
    inputs: Sequence[Any] | None = None,
    batches: Iterable[int] | None = None,
    device_id: int | None = None,
    cuda_graph: bool | str | None = None,
    trusted_keys: Iterable[Key] | None = None,
    progress: Progress | None = None,
) -> BenchReport:
    """Measures a program over its budgets: loads it once and changes them while it is loaded.

    Engines are measured one after the other, while the others keep no weights that can be streamed on the device, so
    that whatever fits by itself can be measured. Engines on the same weights are measured together. Of a program with
    several, whole calls at a few totals are measured too, split where that saves the most time.

    Without `budgets` it looks for the steps of the curve: it halves what lies between two measurements whose times, or
    bytes on the device beyond the budgets, differ, down to `resolution`; the budgets that turn out to be worth using
    are measured again, in other orders. Not measured are budgets just below full residency that take more of the
    device.

    Args:
        path: The .pte.
        budgets: What to measure instead: bytes, sizes such as "1GiB", "N%", "free-N" or "auto", of each engine. No
            budget and full residency are always measured, as a profile needs them.
        seconds: What measuring may take, without the load. It takes longer where three calls at each budget that has to
            be measured do: those given, no budget and full residency.
        resolution: Bytes, or a size: two measurements this close have nothing between them. None: 1/64 of an engine's
            streamable bytes, or 1 MiB if that is more.
        method: The method to call, whose engines are measured. None: each that has engines, once for a call of the
            program.
        inputs: The method's tensors, in order, as a program takes them. None: zeros in its largest shapes.
        batches: Sizes of the first dynamic dimension that all dynamic inputs share, each measured at every budget; the
            first one decides what is worth using. None: the largest, or that of `inputs`.
        device_id: As for `load`.
        cuda_graph: As for `load`.
        trusted_keys: As for `load`.
        progress: Called with the seconds that went by, the seconds in all, and what is measured now.

    Returns:
        The report. `report.profile().write(torchtrt_ws.budget.profile.beside(path))` puts it to use.

    Raises:
        BudgetError: A budget that cannot be read.
        ProgramError: As `load`; no such method; inputs that do not fit, or are for several methods; a batch that the
            method does not take; an engine that the inputs do not reach; a time that is not above 0.
        CapacityError: Not even a budget of 0 fits.
        EngineError: As `load`, or the engine failed in a call.
    """
    forms = None if budgets is None else [_checked(each) for each in budgets]
    finest = None if resolution is None else max(budgets_of.size(resolution, "resolution"), 1)
    if not seconds > 0:
        raise ProgramError("seconds", seconds, "a number above 0", "Leave it out for a minute.")
    info = pte.read(path)
    info.require_engines()
    methods = _methods(info, method)
    started = time.perf_counter()
    program = load(
        path,
        weight_streaming_budget_per_engine=_nothing(info),
        split="proportional",  # whatever was measured before
        device_id=device_id,
        cuda_graph=cuda_graph,
        trusted_keys=trusted_keys,
    )
    with program:
        load_seconds = time.perf_counter() - started
        given = call_inputs(program, info, methods, inputs, None if batches is None else list(batches))
        warm_up = 1 if cuda_graph in (None, False, "off") else 5  # a graph is captured after a few equal calls
        subject = Subject(program, methods, given, warm_up)
        measured = _Measured(program, subject, Clock(seconds, progress))
        measured.run(forms, finest)
        return measured.report(info, load_seconds, [each.batch for each in given])


class _Measured:
    """All that is measured of one program."""

    def __init__(self, program: Program, subject: Subject, clock: Clock) -> None:
        self._program, self._subject, self._clock = program, subject, clock
        self._sweeps: dict[str, GroupSweep] = {}
        self._totals: dict[tuple[int, int | None], Samples] = {}
        self._unfit: list[Unfit] = []
        self._automatic = 0

    def run(self, forms: Sequence[int | str] | None, resolution: int | None) -> None:
        """Sweeps each group, then measures totals; `forms` and `resolution` as `bench` has them."""
        self._automatic = self._program.automatic_budget()  # while nothing is on the device
        groups = self._subject.streaming_groups()
        for number, group in enumerate(groups, 1):
            alone = len(groups) == 1  # then each of its measurements is one of the whole program
            methods = self._subject.methods if alone else group.methods
            sweep = self._sweeps[group.name] = GroupSweep(self._subject, group, methods, resolution)
            until = 1.0 if alone else _FOR_SWEEPS * number / len(groups)
            sweep.run(self._clock, until, forms, [min(self._automatic, group.streamable_bytes)] if alone else ())
            if alone:
                self._keep(each for batches in sweep.samples.values() for each in batches)
            else:
                self._subject.set_budget(group, 0)  # the next one may need the memory
        if len(groups) != 1:
            self._measure_totals(groups)

    def report(self, info: ProgramInfo, load_seconds: float, batches: Sequence[int | None]) -> BenchReport:
        """What it came to."""
        digests = {engine.name: engine.sha256 for engine in info.engines}
        totals = sorted(
            (each.measurement() for each in self._totals.values()),
            key=lambda each: (batches.index(each.batch), each.budget_bytes),
        )
        engines = tuple(self._engine(engine, digests[engine.name], totals, batches) for engine in self._subject.engines)
        speeds = [each.engines[engine.name].bytes_per_second for engine in engines for each in engine.sweep]
        return BenchReport(
            file=os.fspath(info.file),
            methods=self._subject.methods,
            batches=tuple(batches),
            engines=engines,
            totals=tuple(totals),
            automatic_bytes=self._automatic,
            overhead_milliseconds=self._subject.overhead_milliseconds(),
            bandwidth_bytes_per_second=max((speed for speed in speeds if speed), default=None),
            machine=machine_name(),
            load_seconds=load_seconds,
            seconds=self._clock.spent,
            finished=all(sweep.finished for sweep in self._sweeps.values()),
            unfit=tuple([each for sweep in self._sweeps.values() for each in sweep.unfit] + self._unfit),
        )

    def _measure_totals(self, groups: Sequence[Group]) -> None:
        points = {group.name: self._sweeps[group.name].points() for group in groups}
        whole = sum(group.streamable_bytes for group in groups)
        amounts = sorted({self._automatic, *(whole * part // 100 for part in _PARTS)})
        splits = {tuple(split_by_latency(min(amount, whole), points).items()) for amount in amounts}
        splits.add(tuple((group.name, group.streamable_bytes) for group in groups))
        ordered = sorted(splits, key=lambda split: sum(part for _, part in split))
        for number, split in enumerate(ordered):
            budgets = dict(split)
            total = sum(budgets.values())
            self._clock.tell(f"all engines at {total / (whole or 1):.0%}")
            try:
                self._subject.set_budgets(budgets)
            except CapacityError as error:
                self._unfit.append(Unfit("all", total, str(error)))
                continue
            seconds = max(self._clock.left(), 0.0) / (len(ordered) - number)
            self._keep(self._subject.look(self._subject.methods, min(seconds, _MOST_SECONDS)))

    def _keep(self, samples: Iterable[Samples]) -> None:
        self._totals.update({(each.budget_bytes, each.batch): each for each in samples})

    def _engine(
        self, engine: Engine, sha256: str | None, totals: Sequence[Measurement], batches: Sequence[int | None]
    ) -> MeasuredEngine:
        group = next(each for each in self._subject.groups if engine.name in {e.name for e in each.engines})
        sweep = self._sweeps.get(group.name)
        if sweep is not None:
            found = [each.measurement() for _, at in sorted(sweep.samples.items()) for each in at]
        else:  # it streams nothing, and takes the same whatever the others do
            found = [next(each for each in totals if each.batch == batch) for batch in batches]
        return MeasuredEngine(
            name=engine.name,
            method=engine.method,
            kind=engine.kind,
            device=engine.device,
            sha256=sha256,
            streamable_bytes=engine.streamable_bytes,
            scratch_bytes=0 if sweep is None else sweep.scratch_bytes,
            shared_with=tuple(each.name for each in group.engines if each.name != engine.name),
            sweep=tuple(found),
            gpu=gpu_name(engine.device),
            library=library_name(engine.kind),
        )


def _checked(form: int | str) -> int | str:
    budgets_of.parse(form, "budgets")
    return form


def _methods(info: ProgramInfo, method: str | None) -> list[str]:
    with_engines = list(dict.fromkeys(engine.method for engine in info.engines))
    if method is None:
        return with_engines
    if method not in with_engines:
        names = ", ".join(with_engines)
        raise ProgramError(info.file, f"no engine in a method {method!r}", f"one of {names}", "Mend the name.")
    return [method]


def _nothing(info: ProgramInfo) -> Mapping[str, int]:
    """A budget of 0 for each engine that may have one: the first that shares weights speaks for all."""
    return {size.name: 0 for size in info.engine_sizes() if size.weights_of is None and not size.is_resident}
