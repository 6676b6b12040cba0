"""The cache on disk: what is in it, and how it gets smaller. Sizes are bytes; imports neither torch nor executorch.

It holds the packed weights of host engines, and the kernels that TensorRT-RTX compiled for plans, its runtime cache.
The C++ side writes and reads it (cpp/cache/cache_folder.h); this side follows its rules: what breaks them is neither
used nor touched.
"""

from torchtrt_ws.cache.entries import LEFTOVER, PACKED_WEIGHTS, RUNTIME_CACHE, Entry, entries
from torchtrt_ws.cache.folder import LIMIT_VARIABLE, VARIABLE, folder, limit
from torchtrt_ws.cache.removal import Removal, clear, prune

__all__ = [
    "LEFTOVER",
    "LIMIT_VARIABLE",
    "PACKED_WEIGHTS",
    "RUNTIME_CACHE",
    "VARIABLE",
    "Entry",
    "Removal",
    "clear",
    "entries",
    "folder",
    "limit",
    "prune",
]
