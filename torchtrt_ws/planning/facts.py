"""What is known of a program's engines before any of them is loaded: from the file, and from a profile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torchtrt_ws.budget import profile as profiles
from torchtrt_ws.budget.profile import EngineFacts, EngineProfile, Point, Profile
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import HOST
from torchtrt_ws.planning.memory import WeightGroup
from torchtrt_ws.planning.prediction import BOUND, at_batch, up_to_all
from torchtrt_ws.pte import EngineInfo, ProgramInfo

__all__ = ["KnownEngine", "Measured", "device_of", "groups_of", "known_engines", "read_profile"]


@dataclass(frozen=True)
class Measured:
    """The profile of a program, as far as it is of these engines.

    Args:
        path: Its file; None if there is none.
        engines: Engine name to what was measured, as the profile has it. Empty without a profile.
        overhead_milliseconds: What a call of the program takes beyond its engines; 0 if not known.
        bandwidth_bytes_per_second: What streaming was seen to reach; None if not known.
        gpus: Where, by name; empty for a processor, and where that was not recorded.
        notes: Why a profile that lies there is not used.
    """

    path: str | None = None
    engines: dict[str, EngineProfile] | None = None
    overhead_milliseconds: float = 0.0
    bandwidth_bytes_per_second: float | None = None
    gpus: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KnownEngine:
    """One engine. Sizes are bytes.

    Args:
        info: What the file says.
        device: "cuda:0", or "host".
        weights_of: The engine whose weights it runs on; None for its own.
        streamable: All weights that can be streamed.
        estimated: True if that is an estimate.
        scratch: Needed beside a budget below all; None if not known.
        scratch_estimated: True if that is an estimate.
        context: What it needs besides weights and scratch; None if not known.
        fixed: Weights that cannot be streamed, as far as the plan's size tells.
        points: Budgets and times of one call at the batch that was asked for, up to all weights; empty if not measured.
        basis: What these rest on.
        measured_bytes: The largest budget that was measured.
        batch: The batch that they are for; None if not known.
    """

    info: EngineInfo
    device: str
    weights_of: str | None
    streamable: int
    estimated: bool
    scratch: int | None
    scratch_estimated: bool
    context: int | None
    fixed: int
    points: tuple[Point, ...]
    basis: str
    measured_bytes: int
    batch: int | None


def read_profile(path: str | os.PathLike[str], program: ProgramInfo, given: object) -> Measured:
    """Finds and reads the profile of a program.

    Args:
        path: The .pte.
        program: What is in it.
        given: The path of the profile, or a `Profile`; None to look beside the program.

    Returns:
        What was measured. A profile beside the program that is not of these engines is not used, and a note says so.

    Raises:
        ProgramError: A profile that was given and cannot be read, is not valid, or is of other engines.
    """
    if given is None:
        found = profiles.beside(path)
        if not os.path.exists(found):  # which is False too where such a name is too long
            return Measured()
        try:
            return _measured(os.fspath(found), Profile.read(found), program)
        except ProgramError as error:
            return Measured(notes=(f"The profile beside the program is not used: {error}",))
    if isinstance(given, Profile):
        return _measured("profile", given, program)
    assert isinstance(given, str | os.PathLike)
    return _measured(os.fspath(given), Profile.read(given), program)


def _measured(subject: str, profile: Profile, program: ProgramInfo) -> Measured:
    streaming = [each for each in program.engines if each.streamable_bytes != 0 or each.streamable_estimated]
    engines = profile.of([_facts(each) for each in streaming], subject)
    # One that has nothing to stream need not be measured; if it was, its time and its memory count.
    known = {each.name: each for each in profile.engines}
    for info in program.engines:
        other = known.get(info.name)
        if info not in streaming and other is not None and other.sha256 == info.sha256:
            engines[info.name] = other
    gpus = tuple(sorted({each.gpu for each in engines.values()} - {""}))
    return Measured(subject, engines, profile.overhead_milliseconds or 0.0, profile.bandwidth_bytes_per_second, gpus)


def _facts(engine: EngineInfo) -> EngineFacts:
    return EngineFacts(engine.name, engine.sha256, engine.streamable_bytes, engine.streamable_estimated)


def known_engines(program: ProgramInfo, measured: Measured, batch: int | None) -> list[KnownEngine]:
    """What is known of each engine.

    Args:
        program: What is in the .pte.
        measured: Its profile.
        batch: The batch to plan for; None for the one that was measured.

    Returns:
        The engines, in loading order.

    Raises:
        ProgramError: An engine whose streamable size is not recorded, or two of one name.
    """
    names = [each.name for each in program.engines]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ProgramError(
            program.file, f"two engines named {twice[0]!r}", "a name for each engine", "Save the program again."
        )
    return [
        _known(program, info, size.weights_of, measured, batch)
        for info, size in zip(program.engines, program.engine_sizes(), strict=True)
    ]


def device_of(engine: EngineInfo) -> str:
    """The device whose memory an engine takes: "cuda:0", or "host".

    Args:
        engine: What the file says of it.
    """
    return "host" if engine.kind == HOST else f"cuda:{engine.metadata.device_id}"


def _known(
    program: ProgramInfo, info: EngineInfo, weights_of: str | None, measured: Measured, batch: int | None
) -> KnownEngine:
    profile = (measured.engines or {}).get(info.name)
    if info.streamable_bytes is None:
        raise ProgramError(
            f"{program.file}: engine {info.name!r}",
            "no recorded streamable size",
            "sizes to plan with",
            f"`torchtrt-ws annotate {program.file}` records them.",
        )
    is_host = info.kind == HOST  # what it does not stream lies in the file's mapping, and on no device
    common: dict[str, Any] = {"info": info, "device": device_of(info), "weights_of": weights_of}
    if profile is not None:
        points, basis = at_batch(profile, batch)
        whole, beside = profile.streamable_bytes, _beside_weights(profile)
        fixed = 0 if is_host else max(info.whole_bytes - profile.streamable_bytes, 0)
        return KnownEngine(
            **common,
            streamable=profile.streamable_bytes,
            estimated=False,
            scratch=profile.scratch_bytes,
            scratch_estimated=False,
            context=max(beside - fixed, 0),
            fixed=fixed,
            points=up_to_all(points, whole, beside, measured.bandwidth_bytes_per_second),
            basis=basis,
            measured_bytes=points[-1].budget_bytes,
            batch=profile.batch if batch is None else batch,
        )
    streams = info.streamable_bytes != 0 or info.streamable_estimated
    recorded = None if info.streaming is None else info.streaming.scratch_bytes
    return KnownEngine(
        **common,
        streamable=info.streamable_bytes,
        estimated=info.streamable_estimated,
        scratch=recorded if streams and not is_host else 0,
        scratch_estimated=recorded is not None and streams and not is_host,
        context=None,
        fixed=0 if is_host else max(info.whole_bytes - info.streamable_bytes, 0),
        points=(),
        basis=BOUND,
        measured_bytes=0,
        batch=batch,
    )


def _beside_weights(profile: EngineProfile) -> int:
    """The most that the device held besides budget and scratch, at any budget and batch."""
    every = [*profile.points, *(point for each in profile.other_batches for point in each.points)]
    return max(
        point.device_bytes
        - point.budget_bytes
        - (profile.scratch_bytes if point.budget_bytes < profile.streamable_bytes else 0)
        for point in every
    )


def groups_of(engines: Sequence[KnownEngine]) -> dict[str, list[WeightGroup]]:
    """The engines as memory is planned over them.

    Args:
        engines: All of the program.

    Returns:
        For each device its groups; engines on the same weights are one, whose context and scratch lie side by side.
    """
    devices: dict[str, list[WeightGroup]] = {}
    for first in engines:
        if first.weights_of is not None:
            continue
        members = [each for each in engines if each is first or each.weights_of == first.info.name]
        in_block = first.device != "host"
        combined = max if in_block else sum
        whole = first.info.streaming is not None and first.info.streaming.part == "head"
        group = WeightGroup(
            first.info.name,
            first.streamable,
            combined(each.scratch or 0 for each in members),
            combined(each.context or 0 for each in members),
            first.fixed,
            in_block,
            whole,
            _points(members),
        )
        devices.setdefault(first.device, []).append(group)
    return devices


def _points(members: Sequence[KnownEngine]) -> tuple[Point, ...]:
    """Budgets at which all members were measured, with the time of one call of each."""
    if not all(each.points for each in members):
        return ()
    times = [{point.budget_bytes: point.milliseconds for point in each.points} for each in members]
    return tuple(
        Point(each.budget_bytes, each.device_bytes, sum(time[each.budget_bytes] for time in times))
        for each in members[0].points
        if all(each.budget_bytes in time for time in times)
    )
