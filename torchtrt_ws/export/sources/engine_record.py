"""The record that Torch-TensorRT keeps of an engine, as it stands in a graph.

Source: torch_tensorrt/dynamo/runtime/_serialized_engine_layout.py (2.14): the positions and separators below.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.export.graph_signature import InputKind

from torchtrt_ws.blob import Alias
from torchtrt_ws.digests import Digests
from torchtrt_ws.errors import ProgramError
from torchtrt_ws.export.engine.built_engine import Payload, Writable
from torchtrt_ws.export.engine.payload import BufferPayload

if TYPE_CHECKING:
    from torch.export import ExportedProgram

__all__ = [
    "EXECUTE",
    "PLACEHOLDER",
    "Record",
    "engine_nodes",
    "engine_operand",
    "has_aliases",
    "read_record",
    "schema_name",
]

EXECUTE = "tensorrt::execute_engine"
PLACEHOLDER = "tensorrt::no_op_placeholder_for_execute_engine"

# Positions in the record.
_NAME, _DEVICE, _ENGINE, _INPUTS, _OUTPUTS, _HARDWARE, _METADATA, _PLATFORM, _ALLOCATOR = range(1, 10)
_ALIASES = 12
_SEPARATOR, _FIELD_SEPARATOR = "%", "@"


@dataclass(frozen=True)
class Record:
    """One engine of a graph."""

    name: str
    device_id: int
    payload: Payload
    head: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    hardware_compatible: bool
    serialized_metadata: str
    target_platform: str
    aliases: tuple[Alias, ...]


def schema_name(node: torch.fx.Node) -> str:
    """The name of the operator that `node` calls, in ATen or edge dialect; "" for what calls none."""
    return str(getattr(getattr(node.target, "_schema", None), "name", "")) if node.op == "call_function" else ""


def engine_nodes(graph: torch.fx.Graph) -> list[torch.fx.Node]:
    """The engine calls of a graph, in order."""
    return [node for node in graph.nodes if schema_name(node) in (EXECUTE, PLACEHOLDER)]


def engine_operand(node: torch.fx.Node) -> Any:
    """What an engine call takes its engine from: a node, or the engine itself."""
    return node.args[1] if schema_name(node) == EXECUTE else node.args[1 + _ENGINE]


def read_record(program: ExportedProgram, node: torch.fx.Node) -> Record:
    """Reads the engine of an engine call.

    Args:
        program: The program the node is in.
        node: One of `engine_nodes`.

    Returns:
        The record. The engine is not copied where it is a tensor on the CPU. `head` is the engine's first bytes: empty
        where exir shows a fake tensor only, whose payload has a size and nothing else.

    Raises:
        ProgramError: A record that is not one of Torch-TensorRT 2.14, an engine that needs an output allocator, or
            that the program does not hold.
    """
    operand = engine_operand(node)
    held = _held(program, operand) if isinstance(operand, torch.fx.Node) else operand
    if held is None:
        raise _broken(node, f"no engine named {operand!r} in the program")
    if schema_name(node) == EXECUTE:
        info, engine = _from_object(held)
    else:
        info, engine = list(node.args[1:]), held
    if len(info) <= _ALLOCATOR:
        raise _broken(node, f"a record with {len(info)} entries")
    if _text(info, _ALLOCATOR) == "1":
        raise ProgramError(
            f"engine {_text(info, _NAME)!r}",
            "one that needs an output allocator: its output shapes depend on data",
            "output shapes that the input shapes decide",
            "Keep that part out of the engine (torch_executed_ops), or pad its output.",
        )
    payload = _payload(node, engine)
    return Record(
        name=_text(info, _NAME),
        device_id=_device_id(_text(info, _DEVICE)),
        payload=payload,
        head=payload.head if isinstance(payload, BufferPayload) else b"",
        inputs=_names(_text(info, _INPUTS)),
        outputs=_names(_text(info, _OUTPUTS)),
        hardware_compatible=_text(info, _HARDWARE) == "1",
        serialized_metadata=_text(info, _METADATA),
        target_platform=_text(info, _PLATFORM),
        aliases=tuple(_aliases(node, _text(info, _ALIASES)) if len(info) > _ALIASES else ()),
    )


def has_aliases(program: ExportedProgram, node: torch.fx.Node) -> bool:
    """True if a live engine writes outputs into its inputs. Its bytes are not read.

    Args:
        program: The program the node is in.
        node: One of `engine_nodes`. The answer is False for one whose record stands in the graph.
    """
    if schema_name(node) != EXECUTE:
        return False
    operand = engine_operand(node)
    held = _held(program, operand) if isinstance(operand, torch.fx.Node) else operand
    read_metadata = getattr(getattr(held, "real_obj", held), "serialize_metadata_only", None)
    info = list(read_metadata()) if read_metadata is not None else []
    return len(info) > _ALIASES and bool(_text(info, _ALIASES))


def _held(program: ExportedProgram, operand: torch.fx.Node) -> Any:
    """The object behind a get_attr, or behind an input that was lifted."""
    if operand.op == "get_attr":
        found: Any = program.graph_module
        for part in str(operand.target).split("."):
            found = getattr(found, part, None)
        return found
    for spec in program.graph_signature.input_specs:
        if getattr(spec.arg, "name", None) == operand.name and spec.kind is not InputKind.USER_INPUT:
            for holder in (program.state_dict, program.constants):
                if spec.target in holder:
                    return holder[spec.target]
    return None


def _from_object(engine: Any) -> tuple[list[Any], Any]:
    """The record and the bytes of a live engine. `__getstate__` would serialize it, and encode it in base64."""
    engine = getattr(engine, "real_obj", engine)
    read_metadata = getattr(engine, "serialize_metadata_only", None)
    read_tensor = getattr(engine, "serialized_engine_tensor", None)
    if read_metadata is not None and read_tensor is not None:
        return list(read_metadata()), read_tensor()
    state = engine.__getstate__()
    info = list(state[0] if isinstance(state, tuple) else state)
    return info, info[_ENGINE] if len(info) > _ENGINE else b""


@dataclass(frozen=True)
class _SizeOnly:
    """The payload of a fake tensor."""

    size: int

    @property
    def sample(self) -> bytes:
        raise AssertionError("a fake tensor has no bytes")

    @property
    def digests(self) -> Digests:
        raise AssertionError("a fake tensor has no bytes")

    def write_to(self, file: Writable) -> None:
        raise AssertionError("a fake tensor has no bytes")


def _payload(node: torch.fx.Node, engine: Any) -> BufferPayload | _SizeOnly:
    if isinstance(engine, FakeTensor):
        return _SizeOnly(engine.numel() * engine.element_size())
    if isinstance(engine, torch.Tensor):
        flat = engine.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return BufferPayload(memoryview(flat.numpy()))  # type: ignore[arg-type]  # numpy arrays are buffers
    if isinstance(engine, str):
        engine = base64.b64decode(engine)
    if not isinstance(engine, bytes | bytearray | memoryview):
        raise _broken(node, f"an engine that is a {type(engine).__name__}")
    return BufferPayload(engine)


def _text(info: Sequence[Any], index: int) -> str:
    value = info[index]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for name in value.split(_SEPARATOR) if name)


def _device_id(value: str) -> int:
    number = value.split(_SEPARATOR)[0]
    return int(number) if number.isdecimal() else 0


def _aliases(node: torch.fx.Node, value: str) -> list[Alias]:
    aliases = []
    for record in value.split(_SEPARATOR) if value else []:
        fields = record.split(_FIELD_SEPARATOR)
        if len(fields) != 3:  # a name with a separator in it: which tensor it is cannot be told
            raise _broken(node, f"an alias {record!r}")
        aliases.append(Alias(*fields))
    return aliases


def _broken(node: torch.fx.Node, found: str) -> ProgramError:
    return ProgramError(
        f"engine call {node.name!r}",
        found,
        "an engine as Torch-TensorRT 2.14 puts it into a program",
        "Compile the module again with torch-tensorrt-rtx 2.14.",
    )
