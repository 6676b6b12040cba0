"""XNNPACK's partitioner: faster, and less what it takes and then fails on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torchtrt_ws.export.graph import host_passes

if TYPE_CHECKING:
    import torch
    from executorch.exir.backend.partitioner import Partitioner, PartitionResult
    from torch.export import ExportedProgram

__all__ = ["FEW_PASSES", "partitioner"]

# A compile spec with which XNNPACK's preprocess runs one pass of its 17, addmm to linear. A version that does not know
# it runs them all: slower, not wrong. Source: executorch/backends/xnnpack/xnnpack_preprocess.py (1.5.1).
FEW_PASSES = "dqlinear_partitioner"

# Operators that the other 16 leave alone (tests/export/graph/test_host_passes.py compares the bytes). Those are for
# convolutions, batch norm, fused activations, quantization, copies, and operators with several outputs.
PLAIN = frozenset(
    f"aten.{name}"
    for name in [
        *("_softmax.default", "abs.default", "add.Tensor", "addmm.default", "bmm.default", "cat.default"),
        *("clamp.default", "div.Tensor", "exp.default", "gelu.default", "linear.default", "log.default"),
        *("maximum.default", "minimum.default", "mm.default", "mul.Tensor", "neg.default", "permute_copy.default"),
        *("pow.Tensor_Scalar", "rsqrt.default", "sigmoid.default", "slice_copy.Tensor", "sqrt.default", "sub.Tensor"),
        *("tanh.default", "unsqueeze_copy.default", "view_copy.default"),
    ]
)
MOST_IN_CAT = 5  # tensors; a pass splits larger ones


def partitioner() -> Partitioner:
    """A partitioner for CPU subgraphs. It differs from XNNPACK's own in these:

    * `host_passes.flatten_matmuls` runs before operators are decomposed.
    * exir decomposes once less where XNNPACK takes every operator that it wants whole.
    * Partitions of plain operators skip XNNPACK's passes that are not for them, which is most of the time it takes:
      each pass traces the partition anew, and two build patterns for seconds.
    * `unsqueeze` of two dynamic dimensions is left to the portable kernels.

    Source:
        exir/program/_program.py (`_can_skip_using_EDGE_DO_NOT_DECOMP`), backends/xnnpack/xnnpack_preprocess.py and
        backends/xnnpack/_passes of executorch 1.5.1. XNNPACK's reshape infers one dimension. Its partitioner checks
        that for view_copy, but for unsqueeze_copy only the lowering does, as an error: backends/xnnpack/operators/
        op_squeeze.py.
    """
    with _root_logger_kept():  # importing the partitioner calls logging.basicConfig
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.config.generic_node_configs import UnsqueezeCopyConfig
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir.backend.compile_spec_schema import CompileSpec
    from executorch.exir.backend.partitioner import DelegationSpec, PartitionResult

    class OneDynamicUnsqueeze(UnsqueezeCopyConfig):  # type: ignore[misc]  # executorch has no types
        def check_constraints(self, node: torch.fx.Node, ep: ExportedProgram) -> bool:
            dynamic = [size for size in node.meta["val"].shape if not isinstance(size, int)]
            return len(dynamic) <= 1 and super().check_constraints(node, ep)

    class HostPartitioner(XnnpackPartitioner):  # type: ignore[misc]
        def transform_for_pre_decomposition(self, exported_program: ExportedProgram) -> ExportedProgram:
            return host_passes.flatten_matmuls(exported_program)

        def ops_to_not_decompose(self, ep: ExportedProgram) -> tuple[list[Any], Callable[[Any], bool] | None]:
            kept, is_supported = super().ops_to_not_decompose(ep)
            certain = _is_float32(ep) and all(is_supported(node) for node in ep.graph.nodes if node.target in kept)
            return kept, None if certain else is_supported  # without a check to make, exir decomposes once less

        def partition(self, exported_program: ExportedProgram) -> PartitionResult:
            result = super().partition(exported_program)
            plain = dict.fromkeys(result.partition_tags, True)
            for node in exported_program.graph.nodes:
                tag = node.meta.get("delegation_tag")
                if tag is not None and not _is_plain(node, exported_program):
                    plain[tag] = False
            short = DelegationSpec(self.delegation_spec.backend_id, [CompileSpec(FEW_PASSES, b"")])
            tags = {tag: short if plain[tag] else spec for tag, spec in result.partition_tags.items()}
            return PartitionResult(tagged_exported_program=result.tagged_exported_program, partition_tags=tags)

    configs = [OneDynamicUnsqueeze if each is UnsqueezeCopyConfig else each for each in ALL_PARTITIONER_CONFIGS]
    return HostPartitioner(configs=configs)


def _is_float32(program: ExportedProgram) -> bool:
    """Whether every number is float32 or an integer, in a graph without graphs inside: what XNNPACK takes whole."""
    import torch

    values = [node.meta.get("val") for node in program.graph.nodes]
    tensors = [each for value in values for each in (value if isinstance(value, list | tuple) else [value])]
    floating = {each.dtype for each in tensors if isinstance(each, torch.Tensor) and each.dtype.is_floating_point}
    inside = [each for each in program.graph_module.modules() if isinstance(each, torch.fx.GraphModule)]
    return floating <= {torch.float32} and len(inside) == 1


def _is_plain(node: torch.fx.Node, program: ExportedProgram) -> bool:
    """Whether XNNPACK's passes, other than the one to `linear`, would leave a node as it is."""
    import torch
    from executorch.backends.xnnpack.utils.utils import is_param_node

    if node.op != "call_function":
        return True
    name: str = getattr(node.target, "__name__", "")
    tensors: Any = node.args[0]
    values = [each.meta["val"] for each in [*node.all_input_nodes, node]]
    return (
        name in PLAIN
        and (name != "aten.cat.default" or len(tensors) <= MOST_IN_CAT)
        and all(isinstance(value, torch.Tensor) and value.dtype == torch.float32 for value in values)
        and all(list(value.dim_order()) == list(range(value.dim())) for value in values)
        and not all(is_param_node(program, each) for each in node.all_input_nodes)  # constants are folded
    )


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
