"""plan: the budgets for a device that is not here, and what they cost in memory and time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from torchtrt_ws import pte
from torchtrt_ws.budget import Bytes, Percent, parse, split
from torchtrt_ws.budget.grammar import AT_SAVE, size
from torchtrt_ws.budget.profile import Profile
from torchtrt_ws.budget.quantities import bandwidth as read_bandwidth
from torchtrt_ws.budget.quantities import duration
from torchtrt_ws.errors import BudgetError, CapacityError
from torchtrt_ws.planning.facts import KnownEngine, known_engines, read_profile
from torchtrt_ws.planning.memory import WeightGroup, in_the_hole
from torchtrt_ws.planning.model import ProgramModel
from torchtrt_ws.planning.notes import notes_of
from torchtrt_ws.planning.prediction import BOUND, Prediction

__all__ = ["DEFAULT_MARGIN", "EnginePlan", "Plan", "plan"]

DEFAULT_MARGIN = 64 << 20  # as load leaves free (docs/guide/budgets.md "Memory for a program")


@dataclass(frozen=True)
class EnginePlan:
    """What one engine gets. Sizes are bytes.

    Args:
        name: The engine's name.
        method: The method that it is of.
        device: "cuda:0", or "host".
        budget_bytes: Weights to keep on the device; engines on the same weights have the same.
        streamable_bytes: All weights that can be streamed.
        streamable_estimated: True if that is an estimate.
        streamed_bytes: What a call streams.
        scratch_bytes: Needed beside a budget below all; None if not known.
        context_bytes: What it needs besides weights and scratch; None if not known.
        milliseconds: One call; None if it cannot be told.
        basis: What that rests on: "measured", "interpolated", "extrapolated", "bound" (no less); None with it.
    """

    name: str
    method: str
    device: str
    budget_bytes: int
    streamable_bytes: int
    streamable_estimated: bool
    streamed_bytes: int
    scratch_bytes: int | None
    context_bytes: int | None
    milliseconds: float | None
    basis: str | None


@dataclass(frozen=True)
class Plan:
    """What `plan` found. Sizes are bytes, of each device that the program uses.

    Args:
        file: The .pte.
        memory_bytes: What the program may take.
        margin_bytes: What of it stays free.
        needed_bytes: What the program takes with these budgets, and the margin: of the device that it takes most of.
        fits: True if that is within the memory.
        least_memory_bytes: The least memory that it runs in.
        full_memory_bytes: The memory in which all weights stay.
        engines: What each engine gets, in loading order. The least of all if it does not fit.
        milliseconds: One call of each method, together with what a call takes beside its engines; None if it cannot be
            told.
        basis: What that rests on: "measured", "interpolated", "extrapolated", or "bound" (no less); None with it.
        batch: The batch of a call; None if not known.
        items_per_second: What comes out of calls one after the other: `batch` items of each, or one if that is not
            known. "bound": no more than that. None with `milliseconds`.
        latency_milliseconds: What a call was to take at most; None if not asked.
        meets_latency: Whether it does; None if not asked, or if it cannot be told.
        latency_memory_bytes: The least memory in which it does; with a bound, in less it does not. None if in none, or
            if it cannot be told.
        profile: The file of what was measured; None without.
        bandwidth_bytes_per_second: What a bound was computed with; None without.
        notes: What is not known, and what was not counted.
        baked: True if the budgets were baked into the file.
    """

    file: str
    memory_bytes: int
    margin_bytes: int
    needed_bytes: int
    fits: bool
    least_memory_bytes: int
    full_memory_bytes: int
    engines: tuple[EnginePlan, ...]
    milliseconds: float | None = None
    basis: str | None = None
    batch: int | None = None
    items_per_second: float | None = None
    latency_milliseconds: float | None = None
    meets_latency: bool | None = None
    latency_memory_bytes: int | None = None
    profile: str | None = None
    bandwidth_bytes_per_second: float | None = None
    notes: tuple[str, ...] = ()
    baked: bool = False

    @property
    def ok(self) -> bool:
        """True if it fits, and takes no longer than was asked."""
        return self.fits and (self.latency_milliseconds is None or self.meets_latency is True)

    def as_dict(self) -> dict[str, Any]:
        """The plan as `plan --json` prints it: sizes are integer bytes, unknown is None."""
        return {
            **asdict(self),
            "engines": [asdict(engine) for engine in self.engines],
            "notes": list(self.notes),
            "ok": self.ok,
        }


def plan(
    path: str | os.PathLike[str],
    *,
    memory: int | str | None = None,
    bandwidth: float | str | None = None,
    latency: float | str | None = None,
    batch: int | None = None,
    profile: str | os.PathLike[str] | Profile | None = None,
    margin: int | str | None = None,
    budget: int | str | None = None,
    bake: bool = False,
) -> Plan:
    """Plans the budgets of a program for a device, which need not be here. Imports neither torch nor executorch.

    What is known is what the file records and what a profile says. With a profile the budgets are measured ones that
    take the least time; without, those that stream the least. None of them is in the hole just under full residency,
    where a budget and its scratch take no less of the device than all weights.

    Args:
        path: The .pte.
        memory: What the program may take of each of its devices: bytes, or "12GiB". None: as much as `latency` needs,
            or without that as much as all weights need.
        bandwidth: From the host to the device, bytes a second or "25GB/s". Without a profile it bounds the latency from
            below.
        latency: What a call of each method may take together: seconds, or "50ms".
        batch: The size of the dynamic dimension of the inputs; None for the one that was measured.
        profile: What was measured: the path, or a `Profile`. None: the one beside the program, if it is there.
        margin: What of `memory` stays free; None for 64 MiB, as `load` has it.
        budget: Another question: what this total takes, in bytes or as "50%". None chooses the best.
        bake: True to bake the budgets into the file, as `torchtrt_ws.set_budget` does.

    Returns:
        The plan. Whether it fits is in it.

    Raises:
        BudgetError: A malformed memory, bandwidth, latency, batch, margin or budget.
        ProgramError: No program, no engines, an engine without a recorded size, or a profile that was given and is not
            valid or of other engines.
        CapacityError: `bake`, and the plan does not fit or is not known to be as fast as was asked.
    """
    report = pte.read(path)
    report.require_engines()
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise BudgetError("batch", repr(batch), "a whole number, 1 or more", "Give the size of a batch.")
    target = None if latency is None else duration(latency) * 1e3
    speed = None if bandwidth is None else read_bandwidth(bandwidth)
    kept = DEFAULT_MARGIN if margin is None else size(margin, "margin")
    measured = read_profile(path, report, profile)
    engines = known_engines(report, measured, batch)
    model = ProgramModel(engines, measured, speed, kept)
    wanted = model.memory_for(target) if target is not None else None
    limit = size(memory, "memory") if memory is not None else wanted or model.memory(model.everything())
    if budget is not None:
        budgets: dict[str, int] | None = _given(budget, report, engines, model.groups)
    else:
        budgets = model.choose(limit)
    found = _plan(report.file, model, budgets, limit, target)
    found = replace(found, latency_memory_bytes=wanted, batch=_batch(engines), profile=measured.path)
    if found.milliseconds:
        found = replace(found, items_per_second=1e3 / found.milliseconds * (found.batch or 1))
    return _bake(path, found) if bake else found


def _plan(file: str, model: ProgramModel, budgets: dict[str, int] | None, limit: int, target: float | None) -> Plan:
    used = model.least() if budgets is None else budgets
    time = model.time(used)
    takes = model.memory(used)
    parts = []
    for engine in model.engines:
        budget = model.budget_of(engine, used)
        own = model.time_of(engine, budget)
        parts.append(
            EnginePlan(
                engine.info.name,
                engine.info.method,
                engine.device,
                budget,
                engine.streamable,
                engine.estimated,
                engine.streamable - budget,
                engine.scratch,
                engine.context,
                None if own is None else own.milliseconds,
                None if own is None else own.basis,
            )
        )
    return Plan(
        file,
        limit,
        model.margin,
        takes,
        takes <= limit,
        model.memory(model.least()),
        model.memory(model.everything()),
        tuple(parts),
        None if time is None else time.milliseconds,
        None if time is None else time.basis,
        latency_milliseconds=target,
        meets_latency=_meets(time, target),
        bandwidth_bytes_per_second=None if model.is_measured else model.speed,
        notes=tuple(notes_of(model, used, time)),
    )


def _meets(time: Prediction | None, target: float | None) -> bool | None:
    if target is None or time is None:
        return None
    if time.milliseconds > target:
        return False
    return None if time.basis == BOUND else True


def _given(
    budget: int | str, report: pte.ProgramInfo, engines: Sequence[KnownEngine], groups: Sequence[WeightGroup]
) -> dict[str, int]:
    """What a total comes to, split and kept out of the hole as `load` does."""
    form = parse(budget, "budget", AT_SAVE)
    if not isinstance(form, Bytes | Percent):
        raise BudgetError("budget", repr(budget), 'bytes, or "N%"', "Leave it out to have the best one chosen.")
    streamable = {each.info.name: each.streamable for each in engines}
    sizes = [replace(each, streamable_bytes=streamable[each.name], estimated=False) for each in report.engine_sizes()]
    own = [group.streamable for group in groups]
    total = form.value if isinstance(form, Bytes) else sum(own) * form.value // 100
    parts = split(total, sizes)
    chosen = {}
    for group in groups:
        share = parts[group.name] or 0
        if isinstance(form, Percent):
            share = group.streamable * form.value // 100
        chosen[group.name] = group.streamable if in_the_hole(share, group) else min(share, group.streamable)
    return chosen


def _batch(engines: Sequence[KnownEngine]) -> int | None:
    found = {each.batch for each in engines}
    return found.pop() if len(found) == 1 else None


def _bake(path: str | os.PathLike[str], found: Plan) -> Plan:
    if not found.fits:
        raise CapacityError(
            f"{found.file}: memory",
            f"{found.memory_bytes} bytes",
            f"{found.needed_bytes} bytes or more, with a margin of {found.margin_bytes}",
            "Nothing was baked.",
        )
    if not found.ok:
        took = "a latency that cannot be told" if found.meets_latency is None else f"{found.milliseconds:.4g} ms"
        more = found.latency_memory_bytes
        next_step = "Nothing was baked." if more is None else f"Nothing was baked; {more} bytes of memory may do."
        raise CapacityError(f"{found.file}: latency", took, f"{found.latency_milliseconds:.4g} ms at most", next_step)
    budgets: dict[str, int | str | None] = {
        each.name: "100%" if each.budget_bytes == each.streamable_bytes else each.budget_bytes
        for each in found.engines
        if each.streamable_bytes > 0
    }
    if budgets:
        pte.set_budget(path, budgets)
    return replace(found, baked=True)
