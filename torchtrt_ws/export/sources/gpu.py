"""Whether this machine has an NVIDIA GPU, asked of its driver."""

from __future__ import annotations

import ctypes

__all__ = ["has_gpu"]


def has_gpu() -> bool:
    """True if the driver is there and counts a device. Makes no CUDA context.

    Source:
        cuInit and cuDeviceGetCount, cuda.h.
    """
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int()
    return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
