"""Faults of ExecuTorch and XNNPACK that a changed byte can still cause, and why. tests/fuzz/sweep.py forgives no others.

Each is told in tests/fuzz/known_upstream.md, with a mutant that shows it.
"""

from __future__ import annotations

__all__ = ["KNOWN"]

# Part of the file and outcome (tests/fuzz/regions.py, tests/fuzz/sweep.py), to the reason.
KNOWN: dict[tuple[str, str], str] = {}
