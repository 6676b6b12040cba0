"""What GPU there is, as its driver says. Pure: asks no CUDA, so that nothing is made on the device."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["gpu_name"]


def gpu_name(device: str) -> str:
    """The name of a GPU.

    Args:
        device: "cuda:0", or "cpu".

    Returns:
        "NVIDIA H200"; "" for a processor, where no driver tells, and where GPUs differ: the driver counts them in
        another order than CUDA.
    """
    if not device.startswith("cuda"):
        return ""
    names = {_model(path) for path in Path("/proc/driver/nvidia/gpus").glob("*/information")}
    return names.pop() if len(names) == 1 else ""


def _model(path: Path) -> str:
    try:
        found = re.search(r"^Model:\s*(.+)$", path.read_text(errors="replace"), re.MULTILINE)
    except OSError:
        return ""
    return found[1].strip() if found else ""
