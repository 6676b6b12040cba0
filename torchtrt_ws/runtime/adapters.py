"""Which adapters a program needs in the process before it is loaded."""

from __future__ import annotations

from torchtrt_ws.identifiers import HOST
from torchtrt_ws.pte import ProgramInfo

__all__ = ["adapters_of"]

_XNNPACK = "XnnpackBackend"  # ExecuTorch's, whose library the host adapter brings along


def adapters_of(report: ProgramInfo) -> set[str]:
    """The kinds of its engines, and the host's where XNNPACK runs what lies around them.

    Args:
        report: The program.
    """
    return {engine.kind for engine in report.engines} | ({HOST} if _XNNPACK in report.other_backends else set())
