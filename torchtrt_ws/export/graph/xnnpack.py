"""XNNPACK's partitioner, less what it takes and then fails on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from executorch.exir.backend.partitioner import Partitioner
    from torch.export import ExportedProgram

__all__ = ["partitioner"]


def partitioner() -> Partitioner:
    """A partitioner for CPU subgraphs that leaves `unsqueeze` of two dynamic dimensions to the portable kernels.

    Source:
        XNNPACK's reshape infers one dimension. The partitioner checks that for view_copy, but for unsqueeze_copy only
        the lowering does, as an error: executorch/backends/xnnpack/operators/op_squeeze.py (1.5.1).
    """
    with _root_logger_kept():  # importing the partitioner calls logging.basicConfig
        from executorch.backends.xnnpack.partition.config import ALL_PARTITIONER_CONFIGS
        from executorch.backends.xnnpack.partition.config.generic_node_configs import UnsqueezeCopyConfig
        from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    class OneDynamicUnsqueeze(UnsqueezeCopyConfig):  # type: ignore[misc]  # executorch has no types
        def check_constraints(self, node: torch.fx.Node, ep: ExportedProgram) -> bool:
            dynamic = [size for size in node.meta["val"].shape if not isinstance(size, int)]
            return len(dynamic) <= 1 and super().check_constraints(node, ep)

    configs = [OneDynamicUnsqueeze if each is UnsqueezeCopyConfig else each for each in ALL_PARTITIONER_CONFIGS]
    return XnnpackPartitioner(configs=configs)


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
