"""What a method does with its weights: which are looked up in, which are multiplied with, and what follows that."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from torchtrt_ws.export.streaming.choice import Weight

__all__ = ["WEIGHT_KINDS", "WeightUses", "following", "memory_of", "read_uses", "weight_of"]

Node = torch.fx.Node

WEIGHT_KINDS = (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR)

# Operator to the positions of the weight and of the matrix it is multiplied with.
_PRODUCTS = {"aten::linear": (1, 0), "aten::matmul": (1, 0), "aten::mm": (1, 0), "aten::addmm": (2, 1)}

# What may lie between a weight and the multiplication: the same numbers in another order, and integers made floats.
_REORDERS = frozenset(
    f"aten::{name}" for name in ("t", "transpose", "permute", "numpy_T", "detach", "contiguous", "clone", "alias")
) | {"torchtrt_ws::dequantize"}

# What the CPU may do to an index before the lookup. ExecuTorch 1.5.1 has portable kernels for these; they are cheap.
_INDEXING = frozenset(
    f"aten::{name}"
    for name in [
        *("view", "reshape", "unsqueeze", "squeeze", "flatten", "expand", "slice", "select", "transpose", "permute"),
        *("to", "_to_copy", "clone", "contiguous", "alias", "clamp", "add", "sub", "mul", "remainder", "where", "cat"),
        *("eq", "ne", "lt", "le", "gt", "ge", "sym_size"),
    ]
)


@dataclass
class WeightUses:
    """The weights of a method, and the nodes that use them.

    Args:
        weights: What there is to decide by.
        placeholders: Weight name to its placeholders: several where one tensor has several names.
        lookups: Weight name to the nodes that look rows up.
        product: Weight name to the one node that multiplies with it, for those that may be a head.
    """

    weights: list[Weight] = field(default_factory=list)
    placeholders: dict[str, list[Node]] = field(default_factory=dict)
    lookups: dict[str, list[Node]] = field(default_factory=dict)
    product: dict[str, Node] = field(default_factory=dict)


def read_uses(program: ExportedProgram) -> WeightUses:
    """Reads how a method uses its weights.

    Args:
        program: The method, without operators that change a tensor in place.

    Returns:
        The weights that are used at all, in the order of their first use.
    """
    tensors = dict(_weight_tensors(program))
    names: dict[object, str] = {}
    name_of: dict[Node, str] = {}
    uses = WeightUses()
    sizes: dict[str, int] = {}
    for node, (name, tensor) in tensors.items():
        if not node.users:
            continue  # a second name of a tied weight: torch.export keeps it, and uses one
        known = names.setdefault(_identity(name, tensor), name)
        name_of[node] = known
        sizes[known] = tensor.nbytes
        uses.placeholders.setdefault(known, []).append(node)
    behind = _Behind(program, name_of, sizes)
    for name, placeholders in uses.placeholders.items():
        tensor = tensors[placeholders[0]][1]
        uses.weights.append(_weight(name, placeholders, tensor, behind, uses))
    return uses


def weight_of(program: ExportedProgram, spec: Any) -> torch.Tensor | None:
    """The tensor of an input that is a weight; None for what is none.

    Args:
        program: The method.
        spec: One of its signature's `input_specs`.
    """
    if spec.kind not in WEIGHT_KINDS:
        return None
    for holder in (program.state_dict, program.constants):
        if isinstance(found := holder.get(spec.target), torch.Tensor):
            return found
    return None


def memory_of(tensor: torch.Tensor) -> int:
    """The address of a tensor's memory, which its views share; 0 for what has none of its own, such as a quantized
    weight of torchao, which is made of other tensors.

    Args:
        tensor: The tensor.
    """
    return 0 if is_traceable_wrapper_subclass(tensor) else tensor.untyped_storage().data_ptr()


def _weight_tensors(program: ExportedProgram) -> Iterator[tuple[Node, tuple[str, torch.Tensor]]]:
    by_name = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        tensor = weight_of(program, spec)
        if tensor is not None:
            yield by_name[spec.arg.name], (str(spec.target), tensor)


def _identity(name: str, tensor: torch.Tensor) -> object:
    """The same for tensors that are one in memory."""
    if not tensor.numel() or tensor.device.type == "meta":
        return name
    return tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tuple(tensor.stride())


def _weight(name: str, placeholders: list[Node], tensor: torch.Tensor, behind: _Behind, uses: WeightUses) -> Weight:
    lookups, products, others = [], [], 0
    stays, fused_with = _why_no_constant(tensor), ""
    for placeholder in placeholders:
        for use, operand in _final_uses(placeholder):
            index = _index(use, operand) if operand is placeholder else None
            if index is not None:
                lookups.append(use)
                stays = stays or _why_not_on_the_host(index, behind.program)
                continue
            others += 1
            multiplied = _multiplied(use, operand)
            if multiplied is not None:
                products.append(use)
                fused_with = multiplied.name
    if lookups:
        uses.lookups[name] = lookups
    bytes_behind = None
    if len(products) == others == 1:
        uses.product[name] = products[0]
        bytes_behind = behind.of(products[0], name)
    return Weight(name, tensor.nbytes, len(lookups), others, stays, fused_with if others == 1 else "", bytes_behind)


def _final_uses(node: Node) -> Iterator[tuple[Node, Node]]:
    """The nodes that use a weight, behind those that reorder or dequantize it; each with the operand that they take."""
    for user in node.users:
        if _schema(user) in _REORDERS and user.args[0] is node:
            yield from _final_uses(user)
        else:
            yield user, node


def _schema(node: Node) -> str:
    return str(getattr(getattr(node.target, "_schema", None), "name", "")) if node.op == "call_function" else ""


def _index(use: Node, weight: Node) -> Node | None:
    """What selects the rows, if `use` is a lookup in `weight` along its first dimension."""
    name = _schema(use)
    found: Any = None
    if name == "aten::embedding" and use.args[0] is weight:
        found = use.args[1]
    elif name == "aten::index_select" and use.args[0] is weight and use.args[1] == 0:
        found = use.args[2]
    elif name == "aten::index" and use.args[0] is weight:
        indices: Any = use.args[1]
        found = indices[0] if len(indices) == 1 else None
    if not isinstance(found, Node) or not _is_integer(found):
        return None
    return found


def _is_integer(node: Node) -> bool:
    return getattr(node.meta.get("val"), "dtype", None) in (torch.int32, torch.int64)


def _why_not_on_the_host(index: Node, program: ExportedProgram) -> str:
    """Why the CPU should not compute an index; "" if it can, from the method's inputs."""
    weights = {node for node, _ in _weight_tensors(program)}
    waiting, seen = [index], {index}
    while waiting:
        node = waiting.pop()
        if node.op == "placeholder":
            if node in weights:
                return f"its indices depend on the weight {node.name!r}"
            continue
        value = node.meta.get("val")
        is_whole = not isinstance(value, torch.Tensor) or value.dtype in (torch.int32, torch.int64, torch.bool)
        if node.op != "call_function" or _schema(node) not in _INDEXING or not is_whole:
            return f"its indices are computed by {node.name!r} ({node.target})"
        for each in node.all_input_nodes:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return ""


def _why_no_constant(tensor: torch.Tensor) -> str:
    """Why a table cannot be a constant of the program whose rows an engine takes; "" if it can."""
    if tensor.device.type != "cpu":
        return f"it is on {tensor.device}, and constants of a program come from the CPU"
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or not tensor.is_contiguous():
        return "it is no plain, contiguous tensor"
    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32):
        return f"its dtype is {tensor.dtype}"
    return ""


def _multiplied(use: Node, weight: Node) -> Node | None:
    """What a weight is multiplied with."""
    positions = _PRODUCTS.get(_schema(use))
    if positions is None or len(use.args) <= max(positions) or use.args[positions[0]] is not weight:
        return None
    other = use.args[positions[1]]
    return other if isinstance(other, Node) else None


class _Behind:
    """How much of the weights of a method is used from a node on."""

    def __init__(self, program: ExportedProgram, name_of: Mapping[Node, str], sizes: Mapping[str, int]) -> None:
        self.program = program
        self._sizes = sizes
        self._name_of = name_of
        self._weights: defaultdict[Node, set[str]] = defaultdict(set)  # that a node is made of, and nothing else
        for node in program.graph.nodes:
            if node in name_of:
                self._weights[node] = {name_of[node]}
                continue
            sources = node.all_input_nodes if node.op == "call_function" else []
            if sources and all(each in self._weights for each in sources):
                self._weights[node] = set().union(*(self._weights[each] for each in sources))

    def of(self, product: Node, name: str) -> int:
        """Bytes of weights other than `name` that are used from `product` on."""
        used: set[str] = set()
        for node in following(self.program, product):
            for each in node.all_input_nodes:
                made_of = self._weights.get(each, set())
                used |= made_of if name not in made_of else set()  # such as its scales
        return sum(self._sizes[each] for each in used)


def following(program: ExportedProgram, first: Node) -> dict[Node, None]:
    """A node and all that depend on it, in order, without the output.

    Args:
        program: The method.
        first: The node.
    """
    found = {first: None}
    for node in program.graph.nodes:  # in topological order
        if node.op != "output" and any(each in found for each in node.all_input_nodes):
            found[node] = None
    return found
