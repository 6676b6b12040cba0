"""Faults of ExecuTorch and XNNPACK that a changed byte can still cause: tests/fuzz/sweep.py forgives no others.

Each is told in tests/fuzz/known_upstream.md, with mutants that show it.
"""

from __future__ import annotations

__all__ = ["KNOWN"]

# Part of the file and outcome (tests/fuzz/regions.py, tests/fuzz/sweep.py), to the reason.
KNOWN: dict[tuple[str, str], str] = {
    ("program: flatbuffer", "wrong"): "ExecuTorch's program has no checksum: its indices and offsets may be others",
    (
        "program: flatbuffer",
        "crash",
    ): "InternalConsistency checks not all fields of a delegate, nor all indices",
}
