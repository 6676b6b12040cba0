"""A budget as people write it: "auto", "1GiB", "50%", "free-2GiB"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torchtrt_ws.budget.wire import KEY, MAX_BYTES, shown
from torchtrt_ws.errors import BudgetError

__all__ = [
    "AT_LOAD",
    "AT_SAVE",
    "BYTES",
    "FOR_ONE_AT_LOAD",
    "Auto",
    "Budget",
    "Bytes",
    "Percent",
    "Reserve",
    "parse",
    "size",
]

_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_SIZE = r"([0-9]+)(K|M|G|T|KiB|MiB|GiB|TiB|)"
_BYTES_FORM = re.compile(_SIZE)
_RESERVE_FORM = re.compile("free-" + _SIZE)
_PERCENT_FORM = re.compile(r"([0-9]+)%")

# What is accepted where, for errors.
BYTES = 'a number of bytes from 0 to 2^63-1 (1073741824, "1GiB", "512M"; K/M/G/T and KiB/MiB/GiB/TiB, base 2)'
_PERCENT = '"N%" with N a whole number from 0 to 100'

AT_LOAD = f'"auto", {BYTES}, {_PERCENT}, or "free-N" with N such a number of bytes'
AT_SAVE = f'"auto", {BYTES}, or {_PERCENT}'
FOR_ONE_AT_LOAD = f'{BYTES}, "0%" or "100%" (the option for one engine holds bytes)'


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


def parse(value: int | str | None, subject: str = KEY, accepted: str = AT_LOAD) -> Budget:
    """Reads a budget as people write it.

    Args:
        value: "auto" (or None), bytes, a size with a base-2 suffix, "N%", or "free-N".
        subject: The option or keyword that an error names.
        accepted: What that option or keyword takes, for an error: it may take fewer forms than this function.

    Returns:
        The budget: `Auto`, `Bytes`, `Percent` or `Reserve`.

    Raises:
        BudgetError: Anything else: a bool, a float, a negative number, an unknown suffix, more than 2^63-1 bytes.
    """
    if value is None:
        return Auto()
    budget = _from_text(value) if isinstance(value, str) else _from_number(value)
    if budget is None:
        found = shown(value) if isinstance(value, str | int) else f"{value!r:.80} ({type(value).__name__})"
        raise BudgetError(subject, found, accepted, "Write one of these.")
    return budget


def size(value: int | str, subject: str) -> int:
    """Reads a number of bytes, in the forms that a budget in bytes has.

    Args:
        value: Bytes, or a size with a base-2 suffix.
        subject: What an error names.

    Returns:
        Bytes.

    Raises:
        BudgetError: Anything else, and the forms that only a budget has: "auto", "N%", "free-N".
    """
    found = parse(value, subject, BYTES)
    if value is None or not isinstance(found, Bytes):
        raise BudgetError(subject, repr(value), BYTES, "Write one of these.")
    return found.value


def _from_number(value: object) -> Budget | None:
    if isinstance(value, bool) or not isinstance(value, int):  # a bool is an int
        return None
    return Bytes(int(value)) if 0 <= value <= MAX_BYTES else None


def _from_text(value: str) -> Budget | None:
    if value == "auto":
        return Auto()
    if match := _PERCENT_FORM.fullmatch(value):
        digits = match[1].lstrip("0") or "0"
        return Percent(int(digits)) if len(digits) <= 3 and int(digits) <= 100 else None
    for form, kind in ((_BYTES_FORM, Bytes), (_RESERVE_FORM, Reserve)):
        if match := form.fullmatch(value):
            size = _size(match)
            return None if size is None else kind(size)
    return None


def _size(match: re.Match[str]) -> int | None:
    digits = match[1].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) << _UNITS[match[2]] > MAX_BYTES:
        return None
    return int(digits) << _UNITS[match[2]]
