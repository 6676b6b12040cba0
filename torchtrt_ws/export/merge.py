"""`torchtrt_ws.merge`: a program whose engines are without their weights to one that has all in it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrt_ws import pte
from torchtrt_ws.atomic import check_target, write_atomically
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.packages import require_exporter
from torchtrt_ws.identifiers import HOST

if TYPE_CHECKING:
    from torchtrt_ws.blob import SeparateWeight, SeparateWeights
    from torchtrt_ws.export.engine.built_engine import BuiltEngine
    from torchtrt_ws.export.engine.payload import SlicePayload
    from torchtrt_ws.export.file.rewritten import OpenedProgram
    from torchtrt_ws.pte import ProgramInfo

__all__ = ["Merged", "merge"]


@dataclass(frozen=True)
class Merged:
    """What `merge` wrote. Sizes are bytes, of the program before and after; `engines` are those that got weights."""

    file: str
    data_files: tuple[str, ...]
    engines: tuple[str, ...]
    bytes_before: int
    bytes_after: int

    def as_dict(self) -> dict[str, Any]:
        """The report as `merge --json` prints it."""
        return {**asdict(self), "data_files": list(self.data_files), "engines": list(self.engines)}


def merge(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    data: Iterable[str | os.PathLike[str]] | None = None,
) -> Merged:
    """Writes a program whose engines have their weights, from one whose weights are in a file of their own.

    Each weight is compared with the SHA-256 that the program records. Budgets, methods and all else stay as they are.

    Args:
        path: The .pte.
        output: The .pte to write; may be the same.
        data: Paths of the .ptd files with the weights; None looks for them as `load` does.

    Returns:
        What was written.

    Raises:
        ProgramError: No program, no engines, none that is without its weights; a weight that no file has, or that is
            not the one that the program records; or a path that cannot be written.
        EngineError: For TensorRT engines: no TensorRT or GPU here, or weights that the engine does not take.
    """
    require_exporter()
    source, target = Path(os.fspath(path)), check_target(output)
    info = pte.read(source)
    info.require_engines()
    names = tuple(each.name for each in info.engines if each.weights is not None)
    if not names:
        raise ProgramError(info.file, "engines that have their weights", "one without", "Nothing is to be done.")
    given = None if data is None else [os.fspath(each) for each in data]
    _data_files(info, given)

    from torchtrt_ws.export.file.rewritten import opened  # not at the top: it imports executorch, which takes seconds

    with opened(source) as program:
        files = _data_files(program.info, given)
        engines = _with_weights(program, files)
        laid_out = program.laid_out(engines, "")
        write_atomically(target, program.checked(laid_out))
    return Merged(str(output), tuple(files), names, info.bytes, laid_out.size)


def _data_files(info: ProgramInfo, given: list[str] | None) -> list[str]:
    """The files with the weights; all of these are in them."""
    if given is None:
        return pte.with_companions(info.file, info.engines, pte.data_files_beside(info.file))
    pte.check_weights(info.file, info.engines, given)
    return given


def _with_weights(program: OpenedProgram, files: list[str]) -> dict[int, BuiltEngine]:
    done: dict[tuple[int, SeparateWeights], Any] = {}
    found = {}
    for index, (info, engine) in enumerate(zip(program.info.engines, program.engines, strict=True)):
        if info.weights is None:
            program.check(index)  # the new file records what it has: damage would no longer show
            found[index] = engine
            continue
        if info.variants:
            raise ProgramError(
                f"{program.info.file}: engine {engine.name!r}",
                f"{len(info.variants)} plans for one engine",
                "one: a whole engine is for one GPU",
                "Merge one of the programs that were combined.",
            )
        key = id(engine.payload), info.weights
        if key not in done:
            program.check(index)
            subject = f"{program.info.file}: engine {engine.name!r}"
            payload = program.payload(index)
            data = {each.name: _read(subject, each, files) for each in info.weights.tensors}
            done[key] = _host(payload, info.weights, data) if info.kind == HOST else _plan(subject, payload, data)
        found[index] = replace(engine, payload=done[key])
    return found


def _read(subject: str, weight: SeparateWeight, files: list[str]) -> bytes:
    """The bytes of a weight, if they are those that the program records."""
    for file in files:
        region = pte.regions_in_data_file(file).get(weight.key)
        if region is None:
            continue
        with open(file, "rb") as opened:
            opened.seek(region.offset)
            data = opened.read(region.size)
        if len(data) == weight.bytes and hashlib.sha256(data).hexdigest() == weight.sha256:
            return data
        raise ProgramError(
            f"{subject}, weight {weight.name!r}",
            f"{len(data)} other bytes in {file}",
            f"{weight.bytes} bytes of SHA-256 {weight.sha256}",
            "The file is damaged: copy it again, or save the program again.",
        )
    raise AssertionError("check_weights has seen it")


def _host(payload: SlicePayload, weights: SeparateWeights, data: dict[str, bytes]) -> Any:
    from executorch.exir._serialize._program import deserialize_pte_binary

    from torchtrt_ws.export.engine.payload import StreamedPayload
    from torchtrt_ws.export.sources import host_weights

    tensors = [each.name for each in weights.tensors if each.shape is not None]
    inside = host_weights.put_back(deserialize_pte_binary(payload.read()), data, tensors)
    return StreamedPayload(host_weights.serialized(inside).write_to_file)


def _plan(subject: str, payload: SlicePayload, data: dict[str, bytes]) -> Any:
    from torchtrt_ws.export.sources import plan_refit

    return plan_refit.with_weights(subject, payload, {name: memoryview(each) for name, each in data.items()})
