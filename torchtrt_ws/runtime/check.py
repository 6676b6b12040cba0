"""check(): whether a program will load here, fact by fact, before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

from torchtrt_ws import budget, pte
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.identifiers import DEFAULT_METHOD
from torchtrt_ws.pte.info import ProgramInfo
from torchtrt_ws.runtime.adapters import adapters_of
from torchtrt_ws.runtime.check_report import NO, OK, CheckReport, EngineCheck, Fact
from torchtrt_ws.runtime.isolated import fact_of, load_isolated, run_arguments
from torchtrt_ws.runtime.native import _native, native_path, translated
from torchtrt_ws.runtime.switches import switch_options

__all__ = ["check"]


def check(
    path: str | os.PathLike[str],
    *,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    weight_streaming_margin: int | str | None = None,
    device_id: int | None = None,
    digest: bool = False,
    isolated: bool = False,
    inputs: Iterable[str | os.PathLike[str]] = (),
) -> CheckReport:
    """Tells whether `load` with the same keywords will work on this machine, now.

    Nothing is loaded but adapters and TensorRT's library; CUDA makes a context for the device. Of each engine only the
    first bytes are read. C++ has the same facts: `torchtrt_ws/check.h`.

    Args:
        path: The .pte.
        weight_streaming_budget: As for `load`. None: as a load without it: the process's default, the environment, what
            is baked, or automatic.
        weight_streaming_budget_per_engine: As for `load`.
        weight_streaming_margin: As for `load`.
        device_id: As for `load`.
        digest: Read all engines, and compare CRC-32C and SHA-256 with what the file records.
        isolated: Load the program, too, in a process of its own that may crash, and run its method `forward`, or its
            first one, once. It has this process's environment, and nothing of `set_defaults`.
        inputs: With `isolated`: paths of .npy files with the method's inputs, in their order. None: zeros.

    Returns:
        Facts of the program and of each engine. `ok` is false if one of them says no; a TensorRT engine on a machine
        without a GPU is such. What cannot be told before the load, or not here, has the verdict "unknown".

    Raises:
        BudgetError: A budget or margin that cannot be read, both budgets at once, or an unknown engine name.
        ProgramError: No file, a damaged one, or one that has no engine of ours; `inputs` without `isolated`.
    """
    name = os.fspath(path)
    arrays = list(inputs)
    if arrays and not isolated:
        raise ProgramError("inputs", f"{len(arrays)} files", "none without isolated", "Ask for an isolated load.")
    report = pte.read(name)
    report.require_engines()
    names = [engine.name for engine in report.engines]
    per_engine = weight_streaming_budget_per_engine
    if isinstance(per_engine, Mapping):
        per_engine = budget.for_shared_weights(per_engine, report.engine_sizes())
    options: dict[str, bool | int | str] = {
        **budget.load_options(weight_streaming_budget, per_engine, names),
        **budget.margin_options(weight_streaming_margin),
        **switch_options(device_id=device_id),
    }
    for kind in adapters_of(report).difference(engine.kind for engine in report.engines):
        with suppress(_native.Error):  # what is missing then is a fact; the engines' own adapters C++ loads
            _native.load_adapter(kind)
    with translated():
        facts, engines = _native.check(native_path(name), list(options.items()), digest)
    found = [*(Fact(*fact) for fact in facts), *_data_facts(report)]
    load = None
    if isolated:
        methods = [method.name for method in report.methods]
        arguments = run_arguments(
            weight_streaming_budget, weight_streaming_budget_per_engine, weight_streaming_margin, device_id
        )
        load = load_isolated(name, DEFAULT_METHOD if DEFAULT_METHOD in methods else methods[0], arguments, arrays)
        found.append(fact_of(load))
    checked = [EngineCheck(each, method, kind, tuple(Fact(*f) for f in own)) for each, method, kind, own in engines]
    return CheckReport(name, tuple(found), tuple(checked), load)


def _data_facts(report: ProgramInfo) -> list[Fact]:
    """The files with tensors and weights that are not in the program, where it has such."""
    path, names = report.file, report.names_in_data_files
    weights = {each.key for engine in report.engines if engine.weights for each in engine.weights.tensors}
    if not names and not weights:
        return []
    try:
        files = pte.with_companions(path, report.engines, pte.data_files_beside(path, names))
        missing = names.difference(*map(pte.names_in_data_file, files))
        if missing:
            raise pte.no_data_file(path, missing)
    except ProgramError as error:
        return [Fact("data", NO, f"{error.found}; expected {error.expected}", error.next_step)]
    found = [f"{len(names)} tensors"] if names else []
    found += [f"{len(weights)} weights"] if weights else []
    return [Fact("data", OK, f"{' and '.join(found)} of other files, in {', '.join(files)}")]
