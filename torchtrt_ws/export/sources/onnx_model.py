"""A method as an ONNX model in a file, without its large weights: they stay where the module has them."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from torchtrt_ws.errors import EngineError, ProgramError, first_line
from torchtrt_ws.export.collection import no_collection
from torchtrt_ws.export.graph import cache_update, dequantize
from torchtrt_ws.export.sources.onnx_accumulation import sum_in_float32
from torchtrt_ws.export.sources.onnx_attention import in_parts
from torchtrt_ws.export.sources.onnx_flat_products import unflatten
from torchtrt_ws.export.sources.onnx_optimizer import optimize
from torchtrt_ws.export.sources.onnx_origin import lines_of, node_origin
from torchtrt_ws.export.sources.onnx_quantized import FIRST_WITH_GROUPS, dequantize_linear, with_four_bits
from torchtrt_ws.export.sources.onnx_scales import scale_behind
from torchtrt_ws.export.sources.onnx_weights import Stored, leave_out

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from torchtrt_ws.export.graph.interface import Interface

__all__ = ["OnnxModel", "write_onnx"]

_LOG = logging.getLogger(__name__)
_FIRST_WITH_CACHES = 24  # opset of TensorScatter
INSTALL = "pip install torchtrt-ws[export,rtx]"


@dataclass(frozen=True)
class OnnxModel:
    """A model on the disk.

    Args:
        path: The file. It says of large weights only that they lie elsewhere.
        weight_bytes: The size of all weights.
        lines: Where operators are called (`onnx_origin.lines_of`).
        weights: The large weights by initializer, each the module's own memory where that is contiguous.
    """

    path: Path
    weight_bytes: int
    lines: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Stored] = field(default_factory=dict)


def write_onnx(
    name: str, program: ExportedProgram, interface: Interface, folder: Path, use_fp32_acc: bool = True
) -> OnnxModel:
    """Exports a method to ONNX.

    Args:
        name: The method's name, for errors.
        program: The method; not modified.
        interface: Its inputs and outputs: the model's tensors get their names.
        folder: An empty folder.
        use_fp32_acc: Whether products of float16 weights are summed in float32.

    Returns:
        The model.

    Raises:
        EngineError: onnx or onnxscript is not installed.
        ProgramError: A method that torch.onnx.export refuses.
    """
    try:
        import onnx  # noqa: F401
        import onnx_ir
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise EngineError(f"method {name!r}", f"no module {error.name!r}", "onnx and onnxscript", INSTALL) from None
    path = folder / "model.onnx"
    try:
        with _quiet(), no_collection(), torch.no_grad():  # a graph that records gradients has operators that ONNX lacks
            onnx_program = torch.onnx.export(
                in_parts(program),
                dynamo=True,
                verbose=False,
                optimize=False,
                **_for_operators(program),
            )
            assert onnx_program is not None, "it is with dynamo=True"
            with_four_bits(onnx_program.model.graph)
            optimize(onnx_program.model)
            unflatten(onnx_program.model)
            _rename(onnx_program.model.graph, interface)
            scale_behind(onnx_program.model)
            weight_bytes, weights = leave_out(onnx_program.model.graph)
            products = sum_in_float32(onnx_program.model.graph) if use_fp32_acc else 0
            onnx_ir.save(onnx_program.model, str(path))  # not its own save: that counts what was left out
    except OSError:
        raise
    except Exception as error:  # the exporter raises what it likes: this is the boundary
        root = _root_of(error)
        origin = _origin(program, error)
        raise ProgramError(
            f"method {name!r}",
            f"{type(root).__name__}: {first_line(root)}" + (f" (operator {origin})" if origin else ""),
            "a graph that torch.onnx.export takes",
            "The error above this one says where it stopped; change that part of the module.",
        ) from error
    if products:
        _LOG.info("method %r: %d products of float16 weights are summed in float32", name, products)
    return OnnxModel(path, weight_bytes, lines_of(program), weights)


def _for_operators(program: ExportedProgram) -> dict[str, Any]:
    """What the exporter needs to be told of operators of this package."""
    known = {
        cache_update.OPERATOR: (_FIRST_WITH_CACHES, _tensor_scatter),
        dequantize.OPERATOR: (FIRST_WITH_GROUPS, dequantize_linear),
    }
    used = {node.target: known[node.target] for node in program.graph.nodes if node.target in known}
    if not used:
        return {}
    translations = {operator: translation for operator, (_, translation) in used.items()}
    return {"opset_version": max(opset for opset, _ in used.values()), "custom_translation_table": translations}


def _tensor_scatter(cache: Any, rows: Any, first: Any) -> Any:
    from onnxscript import values

    opset = values.Opset("", _FIRST_WITH_CACHES)
    batches = cache.shape[0]  # it takes where the rows go for each
    each = values.Op(opset, "Expand")(values.Op(opset, "Reshape")(first, [1]), [batches])
    return values.Op(opset, "TensorScatter")(cache, rows, each, axis=2, mode="linear")


def _root_of(error: BaseException) -> BaseException:
    """What the exporter failed at; the errors around it say at which of its steps."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _rename(graph: Any, interface: Interface) -> None:
    """Gives inputs and outputs their names, and others to values that are called as one of them is: torch.onnx names
    values after operators."""
    ends = [*graph.inputs, *graph.outputs]
    for value, facts in zip(ends, (*interface.inputs, *interface.outputs), strict=True):
        value.name = facts.name
    names = {value.name for value in ends}
    inner = [value for node in graph for value in node.outputs if all(value is not end for end in ends)]
    known = names | {value.name for value in inner} | set(graph.initializers)
    for value in inner:
        count = 0
        while value.name in names:
            count += 1
            candidate = f"{value.name}_inner{count}"
            if candidate not in known:
                value.name = candidate
                known.add(candidate)


def _origin(program: ExportedProgram, error: BaseException | None) -> str | None:
    """The operator that the exporter stopped at: it names the node in one of its errors."""
    while error is not None:
        for name in re.findall(r"%(\w+) : \[num_users", str(error)):
            origin = node_origin(program, name)
            if origin is not None:
                return origin
        error = error.__cause__
    return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress on stdout, and warns about its own code."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
