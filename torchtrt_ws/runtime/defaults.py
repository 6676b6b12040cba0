"""set_defaults(): what loads do that were told nothing, for loaders that cannot pass options."""

from __future__ import annotations

import os

from torchtrt_ws import budget
from torchtrt_ws.runtime.native import _native, translated
from torchtrt_ws.runtime.switches import switch_options

__all__ = ["set_defaults"]


def set_defaults(
    *,
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | None = None,
    weight_streaming_margin: int | str | None = None,
    device_id: int | None = None,
    cuda_graph: bool | str | None = None,
    share_engines: bool | None = None,
    share_activation_memory: bool | None = None,
    huge_pages: bool | None = None,
    runtime_cache: str | os.PathLike[str] | None = None,
    refit_cache: str | os.PathLike[str] | None = None,
    verify: str | None = None,
) -> None:
    """Says what loads in this process do, from now on, where they do not say it themselves.

    For programs that are loaded by what cannot pass options: ExecuTorch's own Python runtime, a framework. Each call
    replaces what the one before said; without arguments nothing is said any more. Programs that are loaded already keep
    what they have. A budget from here beats the environment's (`TORCHTRT_WS_WEIGHT_STREAMING_BUDGET`) and the one in a
    file; one that `load` is given beats it.

    Args:
        weight_streaming_budget: The total of each program that is loaded, as `load` takes it. A number of bytes needs
            files that record their engines' sizes.
        weight_streaming_budget_per_engine: One value for each engine, as `load` takes it.
        weight_streaming_margin: Bytes (or a size) that automatic budgets leave free on the device.
        device_id: CUDA device to load on.
        cuda_graph: Whether runs are captured and replayed as CUDA graphs: "auto", a bool, "on" or "off".
        share_engines: Use the weights of engines that are loaded already.
        share_activation_memory: Let the execution contexts of a program work in one piece of device memory.
        huge_pages: Ask the system for huge pages for the host memory that large engines are read into.
        runtime_cache: The folder for the kernels that TensorRT-RTX compiles, or "off".
        refit_cache: The folder for plans that were saved without their weights, with them; or "off".
        verify: "checksum", "digest" or "off".

    Raises:
        BudgetError: A budget or margin that cannot be read, or both budgets at once.
        ProgramError: Another word for `verify` or `cuda_graph`. The defaults stay as they were then.
    """
    options = {
        **budget.load_options(weight_streaming_budget, weight_streaming_budget_per_engine),
        **budget.margin_options(weight_streaming_margin),
        **switch_options(
            device_id=device_id,
            cuda_graph=cuda_graph,
            share_engines=share_engines,
            share_activation_memory=share_activation_memory,
            huge_pages=huge_pages,
            runtime_cache=runtime_cache,
            refit_cache=refit_cache,
            verify=verify,
        ),
    }
    with translated():
        _native.set_defaults(list(options.items()))
