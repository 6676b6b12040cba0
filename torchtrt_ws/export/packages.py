"""Packages that only saving needs. Pure: found, not imported."""

from __future__ import annotations

import importlib.util

from torchtrt_ws.errors import EngineError

__all__ = ["require_exporter"]


def require_exporter() -> None:
    """Refuses to save where there is nothing to save with, before the work and not after it.

    Raises:
        EngineError: A package of the extra `export` is not installed: torchtrt-ws alone can only load.
    """
    for package, purpose in _PACKAGES.items():
        if importlib.util.find_spec(package) is None:
            raise EngineError("saving", f"no module {package!r}", purpose, "pip install torchtrt-ws[export]")


_OF_EXECUTORCH = "what ExecuTorch's exporter imports; installed with --no-deps it can only load"
_PACKAGES = {
    "torch": "PyTorch, for ExecuTorch's exporter",
    "crc32c": "crc32c, for the checksum of each engine",
    "flatbuffers": _OF_EXECUTORCH,
    "tabulate": _OF_EXECUTORCH,
    "torchao": _OF_EXECUTORCH,
}
