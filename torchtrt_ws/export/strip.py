"""`torchtrt_ws.strip`: a program whose engines have their weights to one without, and a file with the weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrt_ws import pte
from torchtrt_ws.atomic import check_target, write_together
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.by_name import by_name
from torchtrt_ws.export.packages import require_exporter
from torchtrt_ws.export.separate import separate_target
from torchtrt_ws.export.sources.weights import WeightSource
from torchtrt_ws.identifiers import HOST

if TYPE_CHECKING:
    from torchtrt_ws.export.engine.built_engine import BuiltEngine
    from torchtrt_ws.export.engine.payload import SlicePayload
    from torchtrt_ws.export.file.rewritten import OpenedProgram
    from torchtrt_ws.pte import ProgramInfo

__all__ = ["Stripped", "strip"]


@dataclass(frozen=True)
class Stripped:
    """What `strip` wrote. Sizes are bytes: of the program before and after, and of the file with the weights. `engines`
    are those that had weights."""

    file: str
    weights_file: str
    engines: tuple[str, ...]
    bytes_before: int
    bytes_after: int
    weights_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The report as `strip --json` prints it."""
        return {**asdict(self), "engines": list(self.engines)}


def strip(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    weights: WeightSource | Mapping[str, WeightSource] | None = None,
    weights_path: str | os.PathLike[str] | None = None,
) -> Stripped:
    """Writes a program whose engines are without their weights, and these, each once, into a file of their own.

    Budgets, methods and all else stay as they are. Both files are whole before either is replaced.

    Args:
        path: The .pte.
        output: The .pte to write; may be the same.
        weights: Where the weights of TensorRT engines come from, which gives none back: as `save_plan` takes it; for
            several such engines a mapping from engine name to that. Host engines give theirs.
        weights_path: Where the weights go; None is "model.ptd" beside "model.pte", which `load` finds.

    Returns:
        What was written.

    Raises:
        ProgramError: No program, no engines, engines without our metadata or without their weights already, or none
            that has some; a TensorRT engine and no `weights`, or others than it misses; or a path that cannot be
            written.
        EngineError: For TensorRT engines: no TensorRT or GPU here, or a plan that was not built to be refitted.
    """
    require_exporter()
    source, target = Path(os.fspath(path)), check_target(output)
    weights_file = separate_target(target, weights_path)
    _check_engines(pte.read(source))

    from torchtrt_ws.export.file.companion import lay_out_weights  # not at the top: these import executorch
    from torchtrt_ws.export.file.rewritten import opened

    with opened(source) as program:
        engines = _without_weights(program, weights)
        companion = lay_out_weights([weight for each in engines.values() for weight in each.weights])
        laid_out = program.laid_out(engines, weights_file.name)
        before = program.info.bytes
        write_together([(weights_file, companion.write_to), (target, program.checked(laid_out))])
    names = tuple(each.name for each in engines.values() if each.weights)
    return Stripped(str(output), str(weights_file), names, before, laid_out.size, companion.size)


def _check_engines(info: ProgramInfo) -> None:
    """Before the exporter is imported, which takes seconds."""
    info.require_engines()
    for each in info.engines:
        if each.weights is not None:
            found = "an engine that is without its weights already"
            subject = f"{info.file}: engine {each.name!r}"
            raise ProgramError(subject, found, "one with its weights", "Nothing is to be done for it.")


def _without_weights(
    program: OpenedProgram, weights: WeightSource | Mapping[str, WeightSource] | None
) -> dict[int, BuiltEngine]:
    plans = [each.name for each in program.engines if each.kind != HOST]
    sources = by_name("engine", plans, len(plans) > 1, "weights", weights)
    done: dict[int, BuiltEngine] = {}  # by the payload: equal engines stay equal
    found = {}
    for index, each in enumerate(program.engines):
        subject = f"{program.info.file}: engine {each.name!r}"
        if id(each.payload) not in done:
            program.check(index)
            payload = program.payload(index)
            done[id(each.payload)] = (
                _host(each, payload) if each.kind == HOST else _plan(subject, each, payload, sources.get(each.name))
            )
        stripped = done[id(each.payload)]
        found[index] = replace(each, payload=stripped.payload, weights=stripped.weights)
    if not any(each.weights for each in found.values()):
        raise ProgramError(program.info.file, "engines without weights", "one that has some", "Leave it as it is.")
    return found


def _host(engine: BuiltEngine, payload: SlicePayload) -> BuiltEngine:
    from executorch.exir._serialize._program import deserialize_pte_binary

    from torchtrt_ws.export.engine.payload import StreamedPayload
    from torchtrt_ws.export.sources import host_weights

    inside, weights = host_weights.take_out(deserialize_pte_binary(payload.read()))
    if not weights:
        return engine
    return replace(engine, payload=StreamedPayload(host_weights.serialized(inside).write_to_file), weights=weights)


def _plan(subject: str, engine: BuiltEngine, whole: SlicePayload, source: WeightSource | None) -> BuiltEngine:
    from torchtrt_ws.export.sources import plan_facts, plan_refit
    from torchtrt_ws.export.sources.weights import taken

    if source is None:
        raise ProgramError(
            subject,
            "a TensorRT engine, which gives its weights to nobody",
            "weights=: where they come from",
            "Give the module, a mapping, or a .safetensors or .onnx file: weights=, --weights.",
        )
    payload = plan_refit.without_weights(subject, whole)
    return replace(engine, payload=payload, weights=taken(subject, source, plan_facts.read_missing(subject, payload)))
