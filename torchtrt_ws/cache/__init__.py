"""The cache on disk: what is in it, and how it gets smaller. Sizes are bytes; imports neither torch nor executorch.

Today it holds the packed weights of host engines. The C++ side writes and reads it (cpp/engine/host/cache_folder.h);
this side follows its rules: what breaks them is neither used nor touched.
"""

from torchtrt_ws.cache.entries import LEFTOVER, PACKED_WEIGHTS, Entry, entries
from torchtrt_ws.cache.folder import LIMIT_VARIABLE, VARIABLE, folder, limit
from torchtrt_ws.cache.removal import Removal, clear, prune

__all__ = [
    "LEFTOVER",
    "LIMIT_VARIABLE",
    "PACKED_WEIGHTS",
    "VARIABLE",
    "Entry",
    "Removal",
    "clear",
    "entries",
    "folder",
    "limit",
    "prune",
]
