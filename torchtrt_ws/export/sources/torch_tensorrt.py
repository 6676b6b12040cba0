"""The source of engines that Torch-TensorRT 2.14 compiled: a graph with engine calls, and anything around them."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import ExportGraphSignature

from torchtrt_ws.errors import EngineError, ProgramError
from torchtrt_ws.export.engine.built_engine import BuiltEngine, LoweredMethod
from torchtrt_ws.export.graph import engine_call
from torchtrt_ws.export.graph.interface import Interface, method_names, tensor_facts
from torchtrt_ws.export.graph.methods import in_signature_order
from torchtrt_ws.export.graph.shape_profiles import refuse_profiles
from torchtrt_ws.export.sources.engine_record import Record, engine_nodes, engine_operand, has_aliases, read_record
from torchtrt_ws.identifiers import TENSORRT
from torchtrt_ws.plan_header import check_plan

__all__ = ["has_engines", "lower", "needs_more", "read_engine", "to_program", "warn_of_resident"]

_INSTALL = "pip install torch-tensorrt-rtx==2.14.0"
_MODULES = ("TorchTensorRTModule", "PythonTorchTensorRTModule")  # what Torch-TensorRT puts an engine into
_GRAPHS_MODULE = "CudaGraphsTorchTensorRTModule"  # what torch_tensorrt.runtime.enable_cudagraphs puts a module into


def has_engines(given: object) -> bool:
    """True if `given` is a module or a program that Torch-TensorRT compiled, and has an engine."""
    given = _unwrapped(given)
    if isinstance(given, ExportedProgram):
        return bool(engine_nodes(given.graph))
    if isinstance(given, torch.fx.GraphModule):
        in_submodules = any(type(module).__name__ in _MODULES for module in given.modules())
        return in_submodules or bool(engine_nodes(given.graph))
    return False


def to_program(method: str, given: Any, arg_inputs: Any, kwarg_inputs: Any, dynamic_shapes: Any) -> ExportedProgram:
    """Exports a compiled module, with Torch-TensorRT's own exporter.

    Args:
        method: Its name, for errors.
        given: A module or a program that `has_engines`.
        arg_inputs: As `torch_tensorrt.save` takes it: tensors or `torch_tensorrt.Input`; not needed for most modules.
        kwarg_inputs: The same for keywords.
        dynamic_shapes: As `torch.export.export` takes it.

    Returns:
        The program. One that was exported already is returned as it is, but for buffers that its engines change and
        that its signature does not tell of.

    Raises:
        ProgramError: Inputs for a program; a module that Torch-TensorRT cannot export, or whose buffers it cannot tell.
        EngineError: Torch-TensorRT is not installed, or not the version this was written for.
    """
    given = _unwrapped(given)
    if isinstance(given, ExportedProgram):
        if arg_inputs is not None or kwarg_inputs is not None or dynamic_shapes is not None:
            raise ProgramError(
                f"method {method!r}",
                "inputs or dynamic_shapes for a program that is already exported",
                "them with a module only",
                "Leave them out.",
            )
        return _with_mutations(method, given)
    refuse_profiles(method, given, dynamic_shapes, "what Torch-TensorRT compiled")
    try:
        from torch_tensorrt.executorch._export import _prepare_graph_module
    except ImportError as error:
        raise EngineError(f"method {method!r}", str(error), "Torch-TensorRT 2.14", _INSTALL) from None
    try:
        program: ExportedProgram = _prepare_graph_module(
            given,
            arg_inputs=arg_inputs,
            kwarg_inputs=in_signature_order(given, kwarg_inputs) if kwarg_inputs else kwarg_inputs,
            dynamic_shapes=dynamic_shapes,
            retrace=False,
        )
    except Exception as error:  # the exporter raises what it likes: this is the boundary
        raise ProgramError(
            f"method {method!r}",
            f"{type(error).__name__}: {str(error).strip() or 'no message'}",
            "a module that Torch-TensorRT can export",
            "The error above this one says why it cannot.",
        ) from error
    return program


def _unwrapped(given: Any) -> Any:
    """The compiled module, where it is inside of one that replays CUDA graphs."""
    return given.compiled_module if type(given).__name__ == _GRAPHS_MODULE else given


def _with_mutations(method: str, program: ExportedProgram) -> ExportedProgram:
    """The program with a signature that has the buffers that its engines change.

    torch.export sees neither what an engine writes into its inputs, nor that values which `torch_tensorrt.compile` put
    behind the outputs go back into buffers. Without this a cache would stay as it was saved.

    Source:
        torch_tensorrt/executorch/_export.py (2.14), `export`: it declares them on a copy of any program it is given.
    """
    copied_back = list(program.graph_module.meta.get("_copyback_mutation_buffers") or ())
    if not copied_back and not any(has_aliases(program, node) for node in engine_nodes(program.graph)):
        return program
    subject = f"method {method!r}"
    try:
        from torch_tensorrt.dynamo._exporter import _declare_aliased_kv_mutations_on_ep
        from torch_tensorrt.executorch._export_utils import stage_exported_program
    except ImportError as error:
        raise EngineError(
            subject, str(error), "Torch-TensorRT 2.14, to tell the buffers that engines change", _INSTALL
        ) from None
    try:
        declared: ExportedProgram = _declare_aliased_kv_mutations_on_ep(stage_exported_program(program), copied_back)
    except Exception as error:  # it raises what it likes: this is the boundary
        raise ProgramError(
            subject,
            f"{type(error).__name__}: {str(error).strip() or 'no message'}",
            "a program whose engines' buffers Torch-TensorRT can tell",
            "Save the module that torch_tensorrt.compile returned, without exporting it.",
        ) from error
    return declared


@contextmanager
def lower(method: str, program: ExportedProgram, unique: Callable[[str], str]) -> Iterator[LoweredMethod]:
    """Turns Torch-TensorRT's engine calls into ours.

    Args:
        method: The method's name.
        program: A program that `has_engines`; not modified, and no tensor of it is copied.
        unique: From `names.namer`.

    Returns:
        The method, while this is open.

    Raises:
        ProgramError: An engine that a delegate cannot run, or shapes that do not follow from the inputs.
    """
    graph, new_nodes = _copied(program.graph)
    calls = engine_nodes(program.graph)
    engines: dict[str, BuiltEngine] = {}
    with ExitStack() as stack:
        for node in calls:
            engine, interface = read_engine(method, program, node, unique, alone=len(calls) == 1)
            token = stack.enter_context(engine_call.declared(engine.name, interface))
            engines[token] = engine
            _replace(graph, new_nodes[node], token, interface)
        inputs, outputs = method_names(program)
        yield LoweredMethod(
            _without_engines(program, graph, {new_nodes[operand] for operand in _operands(calls)}),
            engines,
            inputs,
            outputs,
        )


def read_engine(
    method: str, program: ExportedProgram, node: torch.fx.Node, unique: Callable[[str], str], alone: bool
) -> tuple[BuiltEngine, Interface]:
    """Reads one engine call.

    Args:
        method: The method's name.
        program: The program the node is in.
        node: The engine call.
        unique: From `names.namer`.
        alone: True if it is the method's only engine, which is named after the method.

    Returns:
        The engine, and the interface of the call.

    Raises:
        ProgramError: As `engine_record.read_record`; or tensors that do not fit the record.
    """
    record = read_record(program, node)
    name = unique(method if alone else record.name or "engine")
    inputs = [argument.meta["val"] for argument in node.args[0]]  # type: ignore[union-attr]
    outputs = list(node.meta["val"])
    for what, names, values in (("inputs", record.inputs, inputs), ("outputs", record.outputs, outputs)):
        if len(names) != len(values):
            raise ProgramError(
                f"method {method!r}, engine {name!r}",
                f"{len(values)} {what} in the graph",
                f"the engine's {len(names)}: {', '.join(names)}",
                "Compile the module again.",
            )
    ranges = program.range_constraints
    facts = [
        tuple(
            tensor_facts(f"engine {name!r}, tensor {each!r}", each, value, ranges)
            for each, value in zip(names, values, strict=True)
        )
        for names, values in ((record.inputs, inputs), (record.outputs, outputs))
    ]
    interface = Interface(facts[0], facts[1], tuple(inputs), tuple(outputs))
    return _engine(name, record, interface), interface


def needs_more(program: ExportedProgram) -> bool:
    """True if `program` has operators beside its engine calls."""
    skipped = set(engine_nodes(program.graph))
    return any(
        node.op == "call_function" and node not in skipped and not set(node.all_input_nodes) & skipped
        for node in program.graph.nodes
    )


def warn_of_resident(engine: BuiltEngine) -> None:
    """Warns of a budget for an engine that was built without weight streaming, where that can be known.

    Args:
        engine: From `lower`.
    """
    module = sys.modules.get("torch_tensorrt.dynamo.runtime._TorchTensorRTModule")
    if module is None or not engine.serialized_metadata:
        return  # the record is a pickle: only its owner reads it, and only if it is there already
    try:
        settings = module.TorchTensorRTModule.decode_metadata(engine.serialized_metadata).get("settings")
    except Exception:  # a warning is not worth a failure
        return
    if getattr(settings, "enable_weight_streaming", True) is False:
        warnings.warn(
            f"engine {engine.name!r} was compiled without enable_weight_streaming=True: a budget has no effect on it",
            stacklevel=2,
        )


def _engine(name: str, record: Record, interface: Interface) -> BuiltEngine:
    builder = check_plan(f"engine {name!r}", record.head, record.payload.size)
    return BuiltEngine(
        name=name,
        kind=TENSORRT,
        builder=builder,
        payload=record.payload,
        inputs=interface.inputs,
        outputs=interface.outputs,
        streamable_bytes=record.payload.size,
        streamable_estimated=True,  # nearly all of a plan is weights
        aliases=record.aliases,
        hardware_compatible=record.hardware_compatible,
        device_id=record.device_id,
        serialized_metadata=record.serialized_metadata,
        target_platform=record.target_platform,
    )


def _copied(graph: torch.fx.Graph) -> tuple[torch.fx.Graph, dict[torch.fx.Node, torch.fx.Node]]:
    """A copy of the nodes; what their metadata holds is shared."""
    new_graph, new_nodes = torch.fx.Graph(), dict[torch.fx.Node, torch.fx.Node]()
    for node in graph.nodes:
        new_nodes[node] = new_graph.node_copy(node, lambda old: new_nodes[old])
        new_nodes[node].name = node.name  # node_copy renames what is called like a builtin; signatures have the names
    return new_graph, new_nodes


def _replace(graph: torch.fx.Graph, node: torch.fx.Node, token: str, interface: Interface) -> None:
    with graph.inserting_before(node):
        call = graph.call_function(torch.ops.torchtrt_ws.engine.default, (node.args[0], token))
    call.meta = {**node.meta, "val": list(interface.output_values)}
    node.replace_all_uses_with(call)
    graph.erase_node(node)


def _operands(calls: list[torch.fx.Node]) -> list[torch.fx.Node]:
    operands = dict.fromkeys(engine_operand(node) for node in calls)
    return [operand for operand in operands if isinstance(operand, torch.fx.Node)]


def _without_engines(program: ExportedProgram, graph: torch.fx.Graph, operands: set[torch.fx.Node]) -> ExportedProgram:
    """The program without the nodes and the constants that held engines."""
    dropped = {operand.name for operand in operands}
    for operand in operands:
        graph.erase_node(operand)
    signature = program.graph_signature
    kept = [spec for spec in signature.input_specs if getattr(spec.arg, "name", None) not in dropped]
    targets = {spec.target for spec in signature.input_specs if spec not in kept}
    return ExportedProgram(
        root=program.graph_module,
        graph=graph,
        graph_signature=ExportGraphSignature(kept, list(signature.output_specs)),
        state_dict=_less(program.state_dict, targets),
        range_constraints=dict(program.range_constraints),
        module_call_graph=copy.copy(program.module_call_graph),
        example_inputs=program.example_inputs,
        constants=_less(program.constants, targets),
        verifiers=program.verifiers,
    )


def _less(values: Mapping[str, Any], dropped: set[str | None]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in dropped}
