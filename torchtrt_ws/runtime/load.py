"""load(): from a .pte to a program that runs, under a budget chosen now."""

from __future__ import annotations

import os
from collections.abc import Mapping

from torchtrt_ws import budget, pte
from torchtrt_ws.runtime.libraries import point_to_tensorrt
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.program import Program

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    device_id: int | None = None,
    cuda_graph: bool = False,
    mmap: bool = True,
    verify: str = "checksum",
) -> Program:
    """Loads a program and every method in it. A budget given here beats the one in the file.

    Args:
        path: The .pte.
        weight_streaming_budget: The program's total that stays on the device: bytes, "1GiB", "N%" of the streamable
            weights, "free-N", or "auto" for the engine's own choice even where a budget is baked. None: the baked
            budget, else automatic.
        weight_streaming_budget_per_engine: One value for each engine, or a mapping from engine name to bytes.
        device_id: CUDA device to load on, instead of the one in the file.
        cuda_graph: Capture and replay runs as CUDA graphs where shapes and addresses repeat.
        mmap: Map the file (True), or read it into memory.
        verify: How each engine's bytes are compared with what the file records of them: "checksum" (CRC-32C: finds
            damage, at the speed of memory), "digest" (SHA-256: finds whatever differs) or "off".

    Returns:
        The program, ready to run.

    Raises:
        BudgetError: A budget that cannot be read, or both keywords at once.
        ProgramError: A file that is missing, damaged, or has no engine of ours; another word for `verify`.
        CapacityError: The budget does not fit; the error says what does.
        EngineError: No runtime for the engine here, or it refused.
    """
    report = pte.read(path)
    report.require_engines()
    options: dict[str, bool | int | str] = dict(
        budget.load_options(
            weight_streaming_budget, weight_streaming_budget_per_engine, [engine.name for engine in report.engines]
        )
    )
    if len(report.engines) == 1 and budget.TOTAL_KEY in options:
        # The same bytes; and a file without our metadata does not tell the delegate that it has one engine.
        options[budget.KEY] = options.pop(budget.TOTAL_KEY)
    if device_id is not None:
        options["device_id"] = device_id
    if cuda_graph:
        options["cuda_graph"] = True
    if verify != "checksum":
        options["verify"] = verify
    point_to_tensorrt()
    with translated():
        for kind in {engine.kind for engine in report.engines}:
            _native.load_adapter(kind)  # before the program: it brings what device memory is planned with
        native = _native.Program(report.file, list(options.items()), mmap)
        for method in report.methods:  # in file order: engines without a name are counted in loading order
            native.load_method(method.name)
    return Program(report, native)
