"""Saving: a module, a program or an engine to a .pte with a budget. Needs torch and executorch, imported when used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchtrt_ws.export.combine import combine
from torchtrt_ws.export.merge import merge
from torchtrt_ws.export.save import save
from torchtrt_ws.export.save_plan import save_plan
from torchtrt_ws.export.strip import strip

if TYPE_CHECKING:
    from torchtrt_ws.export.tensorrt_partitioner import TensorRTPartitioner

__all__ = ["TensorRTPartitioner", "combine", "merge", "save", "save_plan", "strip"]


def __getattr__(name: str) -> object:
    if name != "TensorRTPartitioner":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from torchtrt_ws.export.packages import require_exporter

    require_exporter()
    from torchtrt_ws.export.tensorrt_partitioner import TensorRTPartitioner  # it imports torch and executorch

    return TensorRTPartitioner
