"""What the cache holds."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from torchtrt_ws.cache.folder import distrusted, folder, opened
from torchtrt_ws.cache.use import in_use

__all__ = ["LEFTOVER", "PACKED_WEIGHTS", "REFITTED", "RUNTIME_CACHE", "Entry", "entries", "entries_in"]

PACKED_WEIGHTS = "packed weights"
RUNTIME_CACHE = "runtime cache"
REFITTED = "refitted plan"
LEFTOVER = "leftover"  # of a process that was killed while it wrote
# cpp/engine/host/packed_file.cpp: the engine's SHA-256, ExecuTorch's version, a fingerprint of the processor.
# cpp/cache/runtime_cache_file.cpp: the plan's SHA-256 (or one of samples of it, where its file records none),
# TensorRT-RTX's version and the device's compute capability, a digest of the device's name.
# cpp/cache/refit_cache_file.cpp: likewise, and a digest of the weights behind the plan's. ".XXXXXX" while it is
# written, as mkostemp makes it.
_ENTRY = re.compile(r"([0-9a-f]{64})-(.+)-([0-9a-f]{16})\.(packed|runtime|refit)(\.[A-Za-z0-9]{6})?")
_KINDS = {"packed": PACKED_WEIGHTS, "runtime": RUNTIME_CACHE, "refit": REFITTED}


@dataclass(frozen=True)
class Entry:
    """One thing in the cache.

    Args:
        kind: "packed weights" of a host engine, the "runtime cache" of a TensorRT-RTX engine, a "refitted plan" (in the
            folder that loads named with `refit_cache`), or "leftover".
        name: Its file in the folder.
        sha256: The digest of the engine that it belongs to, as `torchtrt-ws inspect` shows it. The runtime cache of a
            plan that is not compared with a digest in its file has one of the plan's samples.
        bytes: What it takes on the disk.
        last_used: When an engine was last loaded with it, in seconds since 1970.
        in_use: True if a process of this machine has it open or mapped, as far as this user may see.
        problem: Why it is not used and not touched: not a regular file, or another user's. None for a good one.
    """

    kind: str
    name: str
    sha256: str
    bytes: int
    last_used: float
    in_use: bool
    problem: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry as `cache --json` prints it."""
        return asdict(self)


def entries(sha256: Collection[str] | None = None) -> list[Entry]:
    """What is in the cache (`folder`).

    Args:
        sha256: Digests of engines; only what belongs to these. None is all.

    Returns:
        The entries, the least recently used first; none where there is no folder.

    Raises:
        EngineError: The folder cannot be read, or is not to be trusted.
    """
    path = folder()
    with opened(path) as descriptor:
        return [] if descriptor is None else entries_in(descriptor, os.path.realpath(path), sha256)


def entries_in(descriptor: int, path: str, sha256: Collection[str] | None = None) -> list[Entry]:
    """As `entries`, of a folder that is open.

    Args:
        descriptor: From `opened`.
        path: Its path without links, by which processes that have files of it mapped are known.
        sha256: As for `entries`.
    """
    found = []
    for name in os.listdir(descriptor):
        match = _ENTRY.fullmatch(name)
        if match is None or (sha256 is not None and match[1] not in sha256):
            continue
        try:
            info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except FileNotFoundError:
            continue  # another process removed it meanwhile
        found.append((name, match, info))
    used = in_use({name: info for name, _, info in found}, path)
    listed = [
        Entry(
            LEFTOVER if match[5] else _KINDS[match[4]],
            name,
            match[1],
            info.st_blocks * 512,
            info.st_mtime,
            name in used,
            _problem(info),
        )
        for name, match, info in found
    ]
    return sorted(listed, key=lambda entry: (entry.last_used, entry.name))


def _problem(info: os.stat_result) -> str | None:
    if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
        return "no regular file with one name"
    return distrusted(info)
