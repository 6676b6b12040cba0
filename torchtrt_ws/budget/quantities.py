"""Quantities that are no bytes, as people write them: "25GB/s", "50ms"."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torchtrt_ws.budget.wire import shown
from torchtrt_ws.errors import BudgetError

__all__ = ["BANDWIDTH", "DURATION", "bandwidth", "duration"]

# What is accepted, for errors. Bandwidth is sold in powers of 10, memory in powers of 2: both are written as they are.
BANDWIDTH = 'bytes a second above 0 ("25GB/s", "23.5GiB/s"; B, kB, MB, GB, TB and KiB, MiB, GiB, TiB)'
DURATION = 'a time above 0 ("50ms", "0.05s", "800us")'

_DECIMAL = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_BINARY = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_PER_SECOND = {f"{unit}/s": factor for unit, factor in (_DECIMAL | _BINARY).items()}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_FORM = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,18})?)([A-Za-z]+(?:/s)?)")
_MOST = 1e15  # bytes a second, and seconds: a typing error, and far from infinity


def bandwidth(value: float | str, subject: str = "bandwidth") -> float:
    """Reads a bandwidth.

    Args:
        value: Bytes a second as a number, or a number with a unit: "25GB/s".
        subject: What an error names.

    Returns:
        Bytes a second, above 0.

    Raises:
        BudgetError: Anything else: no unit in a text, bits ("Gb/s"), a sign, a space, 0, infinity.
    """
    return _read(value, _PER_SECOND, subject, BANDWIDTH)


def duration(value: float | str, subject: str = "latency") -> float:
    """Reads a time.

    Args:
        value: Seconds as a number, or a number with a unit: "50ms".
        subject: What an error names.

    Returns:
        Seconds, above 0.

    Raises:
        BudgetError: Anything else: no unit in a text, a sign, a space, 0, infinity.
    """
    return _read(value, _SECONDS, subject, DURATION)


def _read(value: object, units: Mapping[str, float], subject: str, accepted: str) -> float:
    found: float | None = None
    if isinstance(value, str):
        if (match := _FORM.fullmatch(value)) and match[2] in units:
            found = float(match[1]) * units[match[2]]
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _MOST:  # NaN is not
        found = float(value)
    if found is None or not 0 < found <= _MOST:
        raise BudgetError(subject, shown(value), accepted, "Write one of these.")
    return found
