"""A budget as people write it: "auto", "1GiB", "50%", "free-2GiB"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from torchtrt_ws.budget.wire import KEY, MAX_BYTES, shown
from torchtrt_ws.errors import BudgetError

__all__ = ["Auto", "Budget", "Bytes", "Percent", "Reserve", "parse"]

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_SIZE = r"([0-9]+)(K|M|G|T|KiB|MiB|GiB|TiB|)"
_BYTES_FORM = re.compile(_SIZE)
_RESERVE_FORM = re.compile("free-" + _SIZE)
_PERCENT_FORM = re.compile(r"([0-9]+)%")

_ACCEPTED = (
    '"auto", a number of bytes from 0 to 2^63-1 (1073741824, "1GiB", "512M"; K/M/G/T and KiB/MiB/GiB/TiB, base 2), '
    '"N%" with N a whole number from 0 to 100, or "free-N" with N such a number of bytes'
)


@dataclass(frozen=True)
class Auto:
    """The engine's automatic budget."""


@dataclass(frozen=True)
class Bytes:
    """`value` bytes of weights stay on the device."""

    value: int


@dataclass(frozen=True)
class Percent:
    """`value` percent (0 to 100) of the streamable weights stay on the device."""

    value: int


@dataclass(frozen=True)
class Reserve:
    """The automatic budget, but `value` bytes of the device stay free."""

    value: int


Budget = Auto | Bytes | Percent | Reserve


def parse(value: int | str | None, subject: str = KEY) -> Budget:
    """Reads a budget as people write it.

    Args:
        value: "auto" (or None), bytes, a size with a base-2 suffix, "N%", or "free-N".
        subject: The option or keyword that an error names.

    Returns:
        The budget: `Auto`, `Bytes`, `Percent` or `Reserve`.

    Raises:
        BudgetError: Anything else: a bool, a float, a negative number, an unknown suffix, more than 2^63-1 bytes.
    """
    if value is None:
        return Auto()
    if isinstance(value, bool):  # before int: a bool is one
        _refuse(subject, value)
    if isinstance(value, int):
        if not 0 <= value <= MAX_BYTES:
            _refuse(subject, value)
        return Bytes(int(value))
    if not isinstance(value, str):
        _refuse(subject, value)
    if value == "auto":
        return Auto()
    if match := _BYTES_FORM.fullmatch(value):
        return Bytes(_size(subject, value, match))
    if match := _RESERVE_FORM.fullmatch(value):
        return Reserve(_size(subject, value, match))
    if match := _PERCENT_FORM.fullmatch(value):
        digits = match[1].lstrip("0") or "0"
        if len(digits) <= 3 and int(digits) <= 100:
            return Percent(int(digits))
    _refuse(subject, value)


def _size(subject: str, value: str, match: re.Match[str]) -> int:
    digits = match[1].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) << _UNITS[match[2]] > MAX_BYTES:
        _refuse(subject, value)
    return int(digits) << _UNITS[match[2]]


def _refuse(subject: str, value: object) -> NoReturn:
    found = shown(value) if isinstance(value, str | int) else f"{value!r:.80} ({type(value).__name__})"
    raise BudgetError(subject, found, _ACCEPTED, "Write one of these.")
