"""Weight streaming budgets for TensorRT engines in ExecuTorch programs.

`save` and `save_plan` write a .pte with a budget baked in; `load` runs one under another, and `weight_streaming` runs
it under yet another for a while. `bench` measures which budgets are worth using, `plan` finds the best one for a device
that is not here, `set_budget` bakes another one in; `warm` prepares the first load; `annotate` adds to files of
Torch-TensorRT what that and checks need. Importing this package imports neither torch nor executorch: these functions
are looked up when they are first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from torchtrt_ws.errors import (
    BlobError,
    BudgetError,
    CapacityError,
    EngineError,
    ProgramError,
    WeightStreamingError,
)

if TYPE_CHECKING:
    from torchtrt_ws.diagnosis.doctor import doctor
    from torchtrt_ws.export.combine import combine
    from torchtrt_ws.export.merge import merge
    from torchtrt_ws.export.save import save
    from torchtrt_ws.export.save_plan import save_plan
    from torchtrt_ws.export.strip import strip
    from torchtrt_ws.measuring.bench import bench
    from torchtrt_ws.planning.plan import plan
    from torchtrt_ws.pte.annotation import annotate
    from torchtrt_ws.pte.budget_change import set_budget
    from torchtrt_ws.runtime.check import check
    from torchtrt_ws.runtime.defaults import set_defaults
    from torchtrt_ws.runtime.load import load
    from torchtrt_ws.runtime.weight_streaming import weight_streaming
    from torchtrt_ws.warming import warm

__version__ = "0.1.0"

__all__ = [
    "BlobError",
    "BudgetError",
    "CapacityError",
    "EngineError",
    "ProgramError",
    "WeightStreamingError",
    "__version__",
    "annotate",
    "bench",
    "check",
    "combine",
    "doctor",
    "load",
    "merge",
    "plan",
    "save",
    "save_plan",
    "set_budget",
    "set_defaults",
    "strip",
    "warm",
    "weight_streaming",
]

_LAZY = {
    "annotate": "torchtrt_ws.pte",
    "bench": "torchtrt_ws.measuring",
    "check": "torchtrt_ws.runtime",
    "combine": "torchtrt_ws.export",
    "doctor": "torchtrt_ws.diagnosis",
    "load": "torchtrt_ws.runtime",
    "merge": "torchtrt_ws.export",
    "plan": "torchtrt_ws.planning",
    "save": "torchtrt_ws.export",
    "save_plan": "torchtrt_ws.export",
    "set_budget": "torchtrt_ws.pte",
    "set_defaults": "torchtrt_ws.runtime",
    "strip": "torchtrt_ws.export",
    "warm": "torchtrt_ws.warming",
    "weight_streaming": "torchtrt_ws.runtime",
}


if not TYPE_CHECKING:  # for type checkers, what is not above is not there

    def __getattr__(name: str) -> object:
        module = _LAZY.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value: object = getattr(importlib.import_module(module), name)
        globals()[name] = value  # found once: the next look-up does not come here
        return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
