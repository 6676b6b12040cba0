"""What `torchtrt-ws inspect --details` prints: all that a file tells of each engine."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rich.console import Console, Group, RenderableType
from rich.text import Text

from torchtrt_ws.cli._render import bytes_text
from torchtrt_ws.cli._render_program import budget_text, streamable_text
from torchtrt_ws.cli._table import facts, heading
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.pte import CompileSpec, EngineInfo, ProgramInfo, TensorInfo

__all__ = ["details", "tensor_text"]

_SHOWN = 48  # bytes of a compile spec; --json has all of them


def details(report: ProgramInfo, names: Collection[str] = (), console: Console | None = None) -> None:
    """Prints engines, a block of lines for each.

    Args:
        report: What `torchtrt_ws.pte.read` found.
        names: Of which engines; empty for all.
        console: Where to; stdout by default.

    Raises:
        ProgramError: A name that no engine has.
    """
    report.require_engines()
    known = dict.fromkeys(engine.name for engine in report.engines)
    for name in names:
        if name not in known:
            raise ProgramError(report.file, f"no engine {name!r}", "one of " + ", ".join(known), "Check the name.")
    parts: list[RenderableType] = []
    for engine, percent in zip(report.engines, report.streamable_percent(), strict=True):
        if not names or engine.name in names:
            title = heading(f"engine {engine.name}, method {engine.method}", "bold")
            parts += [*([Text()] if parts else []), title, facts(_lines(engine, percent))]
    (console or Console(highlight=False)).print(Group(*parts))


def tensor_text(tensor: TensorInfo) -> str:
    """An input or output of an engine for people, with the bounds of what is dynamic.

    Args:
        tensor: The tensor.
    """
    if tensor.dtype is None or tensor.shape is None:
        return tensor.name
    low, high = tensor.min or tensor.shape, tensor.max or tensor.shape
    # Without bounds a dynamic dimension is -1, as the file has it.
    dims = (str(d) if d != -1 or a == -1 else f"{a}..{b}" for d, a, b in zip(tensor.shape, low, high, strict=True))
    return f"{tensor.name}:{tensor.dtype}[{'x'.join(dims)}]"


def _lines(engine: EngineInfo, percent: float | None) -> Iterator[tuple[str, str]]:
    metadata, own = engine.metadata, engine.metadata.own
    yield "kind", engine.kind
    yield "built by", engine.builder or "unknown"
    same = "" if engine.same_plan_as is None else f", same plan as {engine.same_plan_as}"
    yield "size", f"{bytes_text(engine.engine_bytes)} ({engine.engine_bytes} bytes){same}"
    yield (
        "streamable",
        streamable_text(engine, None) + ("" if percent is None else f", {percent:.3g}% of the program's"),
    )
    yield "baked budget", budget_text(engine)
    yield "inputs", "\n".join(map(tensor_text, engine.inputs))
    yield "outputs", "\n".join(map(tensor_text, engine.outputs))
    for alias in metadata.aliased_io:
        yield "in place", f"{alias.output} is {alias.input} ({alias.kind})"
    for index, profile in enumerate(engine.optimization_profiles):
        bounds = ", ".join(f"{each.name}[{_range_text(each.min, each.max)}]" for each in profile)
        best = ", ".join(f"{each.name}[{_range_text(each.opt, each.opt)}]" for each in profile)
        yield f"profile {index}", f"{bounds}, optimized for {best}"
    yield "target device", engine.target_device or "none: tensors in host memory"
    compatible = ", hardware compatible" if metadata.hardware_compatible else ""
    yield "built for", f"{metadata.target_platform or 'any platform'}, device {metadata.device_id}{compatible}"
    if own is not None and own.nested_method is not None:
        yield "nested", f"method {own.nested_method} of the program inside"
    if own is not None and own.keeps_state:
        kept = (f"{each.input}:{each.dtype}[{'x'.join(map(str, each.shape))}]" for each in own.state)
        yield "state", "\n".join(kept) or "kept from call to call"
    if engine.weights is not None:
        count = len(engine.weights.tensors)
        size = bytes_text(engine.weights.nbytes)
        yield "weights", f"{count} weight{'s' if count > 1 else ''}, {size}, in {engine.weights.file}"
    if engine.compute_capabilities:
        yield "GPUs", "compute capability " + " or ".join(engine.compute_capabilities)
    for number, variant in enumerate(engine.variants, 1):
        compatible = ", hardware compatible" if variant.hardware_compatible else ""
        taken = "" if variant.weights is None else f", {len(variant.weights)} of the weights"
        size = f"{bytes_text(variant.size)} ({variant.size} bytes)"
        yield f"plan {number}", f"{variant.made_for}{compatible}\n{size}{taken}, SHA-256\n{variant.sha256}"
    yield "SHA-256", engine.sha256 or "not recorded"
    yield "CRC-32C", engine.crc32c or "not recorded"
    for spec in engine.other_specs:
        yield "compile spec", _spec_text(spec)


def _range_text(low: tuple[int, ...], high: tuple[int, ...]) -> str:
    return "x".join(str(a) if a == b else f"{a}..{b}" for a, b in zip(low, high, strict=True))


def _spec_text(spec: CompileSpec) -> str:
    key = spec.key.replace("\n", "\\n")
    if spec.text is None:
        more = "..." if len(spec.value) > _SHOWN else ""
        return f"{key} = {len(spec.value)} bytes {spec.value[:_SHOWN].hex()}{more}"
    return f"{key} = {spec.text[:_SHOWN]}" + ("..." if len(spec.text) > _SHOWN else "")
