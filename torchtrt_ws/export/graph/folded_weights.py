"""Quantized weights as the numbers they stand for, where XNNPACK has no kernel for them.

Source:
    XNNPACK multiplies quantized weights with quantized activations only: executorch/backends/xnnpack/partition/config/
    gemm_configs.py (1.5.1). It takes products that come of a `linear` whatever is between them and the weight: with
    torchao's weight-only quantization, whose `linear` dequantizes, it leaves that out and computes with the integers.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch.export import ExportedProgram
from torch.fx import Node

from torchtrt_ws.export.graph.replaced_weights import ReplacedWeights
from torchtrt_ws.export.graph.weight_values import WeightValues, is_check, is_floating, schema

__all__ = ["fold_weights"]

# Where nodes say which function of torch, or else which module, they come of.
_SOURCES = ("source_fn_stack", "torch_fn", "nn_module_stack")
_REORDERS = frozenset(
    f"aten::{name}"
    for name in [
        *("t", "transpose", "permute", "view", "reshape", "expand", "clone", "contiguous", "pad", "constant_pad_nd"),
    ]
)


def fold_weights(program: ExportedProgram) -> tuple[ExportedProgram, list[str]]:
    """Puts constants where a function that multiplies also computes floating-point numbers of quantized weights alone,
    but for those that are multiplied with quantized activations.

    Args:
        program: As torch.export gives it; not modified.

    Returns:
        A program with the same results, and the names of the weights that are not quantized in it; the program itself
        if there are none.
    """
    values = WeightValues(program)
    roots = list(_roots(program, values))
    if not roots:
        return program, []
    folding = ReplacedWeights(program, values)
    names = [folding.fold(root) for root in roots]
    _forget_sources(roots, folding.copies)
    return folding.finish(), list(dict.fromkeys(names))


def _roots(program: ExportedProgram, values: WeightValues) -> Iterator[Node]:
    """The last nodes of such computations."""
    for node in program.graph.nodes:
        if node in values.quantized and node not in values.weights and is_floating(node):
            users = [user for user in node.users if user not in values.nodes and not is_check(user)]
            # Where a module dequantizes by itself, that is a function of its own, which XNNPACK leaves alone.
            functions = {source for source in _sources(node) if source[0] == "function"}
            together = any(functions.intersection(_sources(user)) for user in users)
            if together and not any(_is_quantized_product(user, values) for user in users):
                yield node


def _is_quantized_product(node: Node, values: WeightValues) -> bool:
    """Whether something that is not constant is dequantized for an operator."""
    for each in node.all_input_nodes:
        while each not in values.nodes and schema(each) in _REORDERS:
            each = each.all_input_nodes[0]
        if each not in values.nodes and "dequantize" in schema(each):
            return True
    return False


def _forget_sources(roots: list[Node], copies: dict[Node, Node]) -> None:
    """What is left of a `linear` is not all that it was: XNNPACK would take it for one with its weight as it is."""
    near = {each for root in roots for each in (root, *root.users)}
    sources = {source for each in near for source in _sources(each)}
    for node, made in copies.items():
        if sources.intersection(_sources(node)):
            made.meta = {key: value for key, value in made.meta.items() if key not in _SOURCES}


def _sources(node: Node) -> Iterator[tuple[str, object]]:
    """What tells the calls of torch's functions, and of modules, apart."""
    functions, function, modules = (node.meta.get(key) for key in _SOURCES)
    if functions:
        yield "function", functions[-1][0]
    elif function:
        yield "function", function[0]
    if modules:
        yield "module", list(modules.values())[-1][0]
