"""The extra that serving needs, named where it is missing."""

from __future__ import annotations

import importlib

from torchtrt_ws.errors import EngineError

__all__ = ["require_serve"]


def require_serve() -> None:
    """Imports Ray Serve.

    Raises:
        EngineError: It is not installed, or not whole.
    """
    try:
        importlib.import_module("ray.serve")
    except ImportError as error:
        raise EngineError(
            "serve", f"no ray.serve ({error})", "that package", "Run `pip install torchtrt-ws[serve]`."
        ) from error
