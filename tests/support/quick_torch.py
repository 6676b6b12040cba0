"""torch's exporter without work that it does again and again: an export of a small model takes half the time."""

from __future__ import annotations

__all__ = ["quicken"]


def quicken() -> None:
    """Fills `torch.ops` with the operators of C++ when one was registered, and not 40 times for each export.

    What exports see is the same. Without effect where torch has no such function any more.
    """
    import torch
    from torch._export import utils

    fill = getattr(utils, "_materialize_cpp_cia_ops", None)  # torch 2.14: called once for each namespace of operators
    if fill is None or fill.__module__ == __name__:
        return
    filled: list[str] = []

    def fill_once() -> None:
        registered = torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd")
        if registered != filled:
            fill()
            filled[:] = registered

    utils._materialize_cpp_cia_ops = fill_once
