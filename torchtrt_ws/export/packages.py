"""Packages that only saving needs. Pure: found, not imported."""

from __future__ import annotations

import importlib.util

from torchtrt_ws.errors import EngineError

__all__ = ["require_exporter"]


def require_exporter() -> None:
    """Refuses to save where there is nothing to save with.

    Raises:
        EngineError: torch is not installed: the package alone can only load.
    """
    if importlib.util.find_spec("torch") is None:
        raise EngineError(
            "saving", "no module 'torch'", "PyTorch, for ExecuTorch's exporter", "pip install torchtrt-ws[export]"
        )
