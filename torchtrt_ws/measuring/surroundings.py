"""Where something is measured, in words for people: the machine, the library; and the process's memory."""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path

from torchtrt_ws.identifiers import HOST

__all__ = ["library_name", "machine_name", "resident_bytes"]

_LIBRARY = re.compile(r"/lib(?:nvinfer|tensorrt_rtx)\.so[.0-9]*$")


def machine_name() -> str:
    """Processor and number of cores that this process may use: "AMD EPYC 9654, 16 cores". Not the host's name."""
    model = _first(r"^model name\s*:\s*(.+)$", "/proc/cpuinfo") or os.uname().machine
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} core{'' if cores == 1 else 's'}"


def library_name(kind: str) -> str:
    """The library that runs engines of a `kind` in this process, with its version as far as its file name has it."""
    if kind == HOST:
        return f"executorch {importlib.metadata.version('executorch')}, XNNPACK"
    paths = (line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines())
    found = sorted({Path(path).name for path in paths if _LIBRARY.search(path)})
    return ", ".join(found)


def resident_bytes() -> int:
    """Bytes of host memory that this process has resident: its heap, and the pages of files that it maps."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _first(pattern: str, path: str | Path) -> str | None:
    try:
        found = re.search(pattern, Path(path).read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return None
    return found[1].strip() if found else None
