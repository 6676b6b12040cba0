"""Fills the cache on disk before a program is deployed, so that the first load of a process is as quick as later ones.

A host engine's first load packs weights; a TensorRT-RTX plan's compiles kernels. Both are kept in the cache, which may
be baked into an image. An 8B decoder that a process loaded in 13 s took 6 s when it loaded it again (H200,
benchmarks/results/decoder-h200-8b.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from torchtrt_ws import pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import HOST
from torchtrt_ws.measuring.inputs import call_inputs, method_batch_dimension
from torchtrt_ws.runtime import Engine, Program, load

if TYPE_CHECKING:
    from torchtrt_ws.trust.keys import Key

__all__ = ["COLD", "KEEPS_NOTHING", "WARM", "WarmEngine", "WarmReport", "warm"]

WARM = "warm"  # loads find what they prepare
KEEPS_NOTHING = "keeps nothing"  # no weights that XNNPACK packs; a plan of TensorRT, whose kernels are in it
COLD = "cold"  # each load prepares it again; a log line says why


@dataclass(frozen=True)
class WarmEngine:
    """One engine, and what the cache has for its next load.

    Args:
        name: The engine's.
        kind: "host" or "tensorrt".
        state: "warm": loads find what they prepare. "keeps nothing": there is nothing to prepare. "cold": each load
            prepares it again, and a log line says why (no room, nobody may write there, an adapter that was compiled
            without TensorRT-RTX's headers).
    """

    name: str
    kind: str
    state: str


@dataclass(frozen=True)
class WarmReport:
    """What `warm` did.

    Args:
        file: The program.
        load_seconds: The first load, which prepared what was not there.
        warm_seconds: The load after it.
        calls: How many calls were made between them.
        engines: Its engines, in loading order.
    """

    file: str
    load_seconds: float
    warm_seconds: float
    calls: int
    engines: tuple[WarmEngine, ...]

    @property
    def ok(self) -> bool:
        """Whether no engine is cold."""
        return all(engine.state != COLD for engine in self.engines)

    def as_dict(self) -> dict[str, Any]:
        """The report as `warm --json` prints it."""
        return {**asdict(self), "ok": self.ok}


def warm(
    path: str | os.PathLike[str],
    *,
    weight_streaming_budget: int | str | None = None,
    device_id: int | None = None,
    runtime_cache: str | os.PathLike[str] | None = None,
    trusted_keys: Iterable[Key] | None = None,
    run: bool = True,
) -> WarmReport:
    """Loads a program, calls its methods, and loads it again to see what the cache has.

    Each method is called with zeros in its largest shapes, and in those of its least batch where the file tells: new
    shapes may need kernels of their own. What was prepared serves this library and ExecuTorch version, and the
    processor or the kind of GPU that is here, whatever budget a load has.

    Args:
        path: The .pte.
        weight_streaming_budget: As for `torchtrt_ws.load`.
        device_id: CUDA device to load on, instead of the one in the file.
        runtime_cache: As for `torchtrt_ws.load`: where kernels go; None: the folder of the packed weights.
        trusted_keys: As for `torchtrt_ws.load`.
        run: Whether methods are called.

    Returns:
        What the loads took, and of each engine whether the next load is warm.

    Raises:
        ProgramError: A file without engines of ours; one that this process has loaded; and as below.
        CapacityError, EngineError: As `torchtrt_ws.load` and calls raise. What was prepared by then stays.
    """
    keys = None if trusted_keys is None else list(trusted_keys)

    def loaded() -> tuple[Program, float]:
        began = time.perf_counter()
        program = load(
            path,
            weight_streaming_budget=weight_streaming_budget,
            device_id=device_id,
            runtime_cache=runtime_cache,
            trusted_keys=keys,
        )
        return program, time.perf_counter() - began

    info = pte.read(path)
    info.require_engines()
    program, first = loaded()
    with program:
        _check_alone(program)
        calls = _call(program, info) if run else 0
    program, second = loaded()
    with program:
        _check_alone(program)
        keeping = {engine.name for engine in info.engines if _keeps(engine)}
        found = {engine.name for engine in program.engines if engine.cache_hits}
        engines = tuple(WarmEngine(each.name, each.kind, _state(each, found, keeping)) for each in program.engines)
    return WarmReport(os.fspath(path), first, second, calls, engines)


def _state(engine: Engine, found: set[str], keeping: set[str]) -> str:
    """Of engines on the same weights one finds what all of them need."""
    if not found.isdisjoint((engine.name, *engine.shared_with)):
        return WARM
    return COLD if engine.name in keeping else KEEPS_NOTHING


def _check_alone(program: Program) -> None:
    """Refuses weights that another program of this process has: such a load prepares nothing, and finds nothing."""
    names = {engine.name for engine in program.engines}
    for engine in program.engines:
        if engine.name in engine.shared_with or not names.issuperset(engine.shared_with):
            raise ProgramError(
                f"{program.file}: engine {engine.name!r}",
                "weights that another program of this process has loaded",
                "a program that this process has not loaded",
                "Close the other one first, or run torchtrt-ws warm.",
            )


def _keeps(engine: pte.EngineInfo) -> bool:
    """Whether loads of it prepare something."""
    if engine.kind == HOST:
        return bool(engine.streamable_bytes)
    return (engine.builder or "").startswith("tensorrt-rtx")


def _call(program: Program, info: pte.ProgramInfo) -> int:
    """Calls each method in the shapes that matter; how many calls that were."""
    calls = 0
    for method in dict.fromkeys(engine.method for engine in info.engines):
        dimension = method_batch_dimension(program, info, method)
        sizes = sorted({dimension.low, dimension.high}) if dimension else None
        for inputs in call_inputs(program, info, [method], None, sizes):
            program.run(method, *inputs.of[method])
            calls += 1
    return calls
