"""`torchtrt_ws.combine`: programs that differ in their plans only, to one for all of their GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchtrt_ws import pte
from torchtrt_ws.atomic import check_target, write_together
from torchtrt_ws.blob import MAX_VARIANTS, Variant
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.payload import SlicePayload
from torchtrt_ws.export.engine.several_plans import Plan, distinct_plans, laid_behind, payload_of
from torchtrt_ws.export.engine.weight import Weight
from torchtrt_ws.export.packages import require_exporter
from torchtrt_ws.export.separate import separate_target
from torchtrt_ws.identifiers import HOST
from torchtrt_ws.plan_header import compute_capabilities_of, runtime_of

if TYPE_CHECKING:
    from torchtrt_ws.blob import SeparateWeight
    from torchtrt_ws.export.engine.built_engine import BuiltEngine
    from torchtrt_ws.export.file.rewritten import OpenedProgram

__all__ = ["Combined", "combine"]

# What two programs may differ in: their plans, and what follows from these. `weights` are compared here, by their keys.
_MAY_DIFFER = frozenset(
    (
        "contents",
        "engine_bytes",
        "builder",
        "streamable_bytes",
        "streamable_estimated",
        "weights",
        "hardware_compatible",
        "compute_capabilities",
        "variants",
        "recorded_digests",
    )
)
_SAVE_ALIKE = "Save them from one model with the same names, budgets and devices, each for its GPU."


@dataclass(frozen=True)
class Combined:
    """What `combine` wrote. Sizes are bytes. `plans` are for each engine what its plans were built for, in the order in
    which a load that knows no better tries them."""

    file: str
    weights_file: str
    plans: dict[str, tuple[str, ...]]
    bytes: int
    weights_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The report as `combine --json` prints it."""
        return {**asdict(self), "plans": {name: list(each) for name, each in self.plans.items()}}


def combine(
    paths: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str],
    *,
    data: Iterable[str | os.PathLike[str]] | None = None,
    weights_path: str | os.PathLike[str] | None = None,
) -> Combined:
    """Writes one program with the plans of several, for other GPUs or versions of TensorRT, on one file of weights.

    The programs are the same but for the plans of their TensorRT engines, which are stored without their weights
    (`save(weights="separate")`, `save_plan(weights=...)`). A load takes the plan that names its GPU's compute
    capability and its TensorRT's version, else the first one that TensorRT takes. All else is the first program's. Both
    files are whole before either is replaced.

    Args:
        paths: The .pte files, two or more; those that `combine` wrote are welcome.
        output: The .pte to write; may be one of them.
        data: Paths of the .ptd files with the weights; None looks for them as `load` does.
        weights_path: Where the weights go, each once; None is "model.ptd" beside "model.pte", which `load` finds.

    Returns:
        What was written.

    Raises:
        ProgramError: Fewer than two programs, engines that are whole or host engines, programs that differ in more than
            their plans, or not even in these; one weight with two values; more than 64 plans for an engine; a weight
            that no file has; damage; or a path that cannot be written.
    """
    require_exporter()
    sources = [Path(os.fspath(each)) for each in paths]
    if len(sources) < 2:
        raise ProgramError("paths", f"{len(sources)} programs", "two or more", "Give one for each GPU.")
    target = check_target(output)
    weights_file = separate_target(target, weights_path)

    from torchtrt_ws.export.file.companion import lay_out_weights  # not at the top: these import executorch
    from torchtrt_ws.export.file.rewritten import opened

    with ExitStack() as stack:
        programs = [stack.enter_context(opened(each)) for each in sources]
        for each in programs:
            _check_engines(each)
        for each in programs[1:]:
            _check_alike(programs[0], each)
        stored = _Stored(stack, programs, data)
        engines = _engines(programs, stored)
        if not any(each.variants for each in engines.values()):
            files = " and ".join(map(str, sources))
            raise ProgramError(files, "the same plans", "plans for other GPUs", "Give a program for each GPU.")
        companion = lay_out_weights([weight for each in engines.values() for weight in each.weights])
        laid_out = programs[0].laid_out(engines, weights_file.name)
        write_together([(weights_file, companion.write_to), (target, programs[0].checked(laid_out, programs[1:]))])
    plans = {each.name: tuple(plan.made_for for plan in each.variants) for each in engines.values()}
    return Combined(str(output), str(weights_file), plans, laid_out.size, companion.size)


def _check_engines(program: OpenedProgram) -> None:
    for info in program.info.engines:
        subject = f"{program.info.file}: engine {info.name!r}"
        if info.kind == HOST:
            raise ProgramError(subject, "a host engine", "a TensorRT engine", "It runs on any CPU as it is.")
        if info.weights is None:
            raise ProgramError(
                subject,
                "an engine with its weights in it",
                "one that is stored without, so that all plans are on one file of them",
                'Save it with weights="separate", or run torchtrt-ws strip on it first.',
            )
    if program.info.names_in_data_files:
        names = ", ".join(map(repr, sorted(program.info.names_in_data_files)[:4]))
        expected = "weights of engines only"
        raise ProgramError(program.info.file, f"{names} in data files", expected, "Save it with these in the program.")


def _check_alike(first: OpenedProgram, other: OpenedProgram) -> None:
    found = pte.diff(first.info.file, other.info.file)
    differences = [*_differences(found.methods, "method"), *_differences(found.engines, "engine")]
    differences += [each.what for each in found.rest]
    if differences:
        raise ProgramError(
            f"{first.info.file} and {other.info.file}",
            f"they differ in {'; '.join(differences[:4])}",
            "programs that differ in their plans only",
            f"{_SAVE_ALIKE} torchtrt-ws diff shows all of it.",
        )


def _differences(diffs: Iterable[Any], what: str) -> Iterator[str]:
    for each in diffs:
        subject = f"{what} {each.name!r}"
        names = [change.what for change in each.changes if change.what not in _MAY_DIFFER]
        if each.status in ("added", "removed"):
            yield f"{subject}, which only one of them has"
        elif getattr(each, "renamed_from", None) is not None:
            yield f"{subject}, which the other one calls {each.renamed_from!r}"
        elif names:
            yield f"{subject}: {', '.join(names)}"


class _Stored:
    """The weights of all programs where they lie, each key once."""

    def __init__(
        self,
        stack: ExitStack,
        programs: Sequence[OpenedProgram],
        data: Iterable[str | os.PathLike[str]] | None,
    ) -> None:
        given = None if data is None else [os.fspath(each) for each in data]
        self._payloads: dict[str, SlicePayload] = {}
        for program in programs:
            info = program.info
            if given is None:
                files = pte.with_companions(info.file, info.engines, pte.data_files_beside(info.file))
            else:
                files = given
                pte.check_weights(info.file, info.engines, files)
            for path in files:
                file = stack.enter_context(Path(path).open("rb", buffering=0))  # noqa: SIM115  # the stack closes it
                for key, region in pte.regions_in_data_file(path).items():
                    self._payloads.setdefault(key, SlicePayload(path, file, region.offset, region.size))

    def weight(self, subject: str, listed: SeparateWeight) -> Weight:
        """One weight, if its bytes are those that the program records."""
        payload = self._payloads[listed.key]
        if payload.size != listed.bytes or payload.digests.sha256 != listed.sha256:
            raise ProgramError(
                f"{subject}, weight {listed.name!r}",
                f"{payload.size} other bytes in {payload.path}",
                f"{listed.bytes} bytes of SHA-256 {listed.sha256}",
                "The file is damaged: copy it again, or save the program again.",
            )
        return Weight(listed.name, listed.dtype, listed.count, payload, listed.shape)


def _engines(programs: Sequence[OpenedProgram], stored: _Stored) -> dict[int, BuiltEngine]:
    places = [{(each.method, each.name): place for place, each in enumerate(p.info.engines)} for p in programs]
    payloads: dict[tuple[str, ...], Any] = {}  # by the plans: equal engines stay equal
    found = {}
    for index, info in enumerate(programs[0].info.engines):
        plans: list[Plan] = []
        listed: dict[str, tuple[str, SeparateWeight]] = {}
        for program, of_name in zip(programs, places, strict=True):
            place = of_name[info.method, info.name]
            _add_weights(listed, program, place)
            plans += _plans(program, place)
        plans = list(distinct_plans(plans))
        if len(plans) > MAX_VARIANTS:
            raise ProgramError(f"engine {info.name!r}", f"{len(plans)} plans", f"at most {MAX_VARIANTS}", "Make two.")
        weights = tuple(stored.weight(*each) for each in listed.values())
        key = tuple(each.facts.sha256 for each in plans)
        if key not in payloads:
            payloads[key] = payload_of(plans) if len(plans) > 1 else plans[0].payload
        engine = programs[0].engines[index]
        if len(plans) == 1:
            capabilities = plans[0].facts.compute_capabilities
            found[index] = replace(
                engine, payload=payloads[key], weights=weights, compute_capabilities=capabilities, variants=()
            )
            continue
        variants = laid_behind(plans, tuple(listed))
        found[index] = replace(
            engine, payload=payloads[key], weights=weights, compute_capabilities=(), variants=variants
        )
    return found


def _add_weights(listed: dict[str, tuple[str, SeparateWeight]], program: OpenedProgram, place: int) -> None:
    """Those of one program's engine to those of the others: a name has one value."""
    info = program.info.engines[place]
    subject = f"{program.info.file}: engine {info.name!r}"
    for each in info.weights.tensors if info.weights is not None else ():
        other, known = listed.setdefault(each.name, (subject, each))
        if known != each:
            raise ProgramError(
                f"{subject}, weight {each.name!r}",
                f"{each.count} elements of {each.dtype}, SHA-256 {each.sha256}",
                f"those of {other}: {known.count} of {known.dtype}, {known.sha256}",
                "The programs are of other weights: save both from one model.",
            )


def _plans(program: OpenedProgram, place: int) -> Iterator[Plan]:
    """The plans that an engine of a program has already."""
    program.check(place)
    info, own = program.info.engines[place], program.info.engines[place].metadata.own
    assert own is not None and own.weights is not None, "_check_engines has seen it"
    names = tuple(each.name for each in own.weights.tensors)
    for each in info.variants:
        payload = program.part(place, each.offset, each.size)
        if payload.digests.sha256 != each.sha256 or payload.digests.crc32c != each.crc32c:
            raise ProgramError(
                f"{program.info.file}: engine {info.name!r}",
                f"a plan of SHA-256 {payload.digests.sha256}",
                f"the one that the file records, {each.sha256}",
                "The file is damaged: copy it again, or combine again.",
            )
        yield Plan(payload, each, names if each.weights is None else each.weights)
    if info.variants:
        return
    whole = program.payload(place)
    facts = Variant(
        0,
        whole.size,
        whole.digests.sha256,
        whole.digests.crc32c,
        builder=own.builder,
        runtime=runtime_of(whole.head, own.builder),
        compute_capabilities=own.compute_capabilities or compute_capabilities_of(whole.head),
        hardware_compatible=info.metadata.hardware_compatible,
        streamable_bytes=own.streamable_bytes,
        streamable_estimated=own.streamable_estimated,
    )
    yield Plan(whole, facts, names)
