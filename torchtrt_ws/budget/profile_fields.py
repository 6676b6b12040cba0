"""Fields of a profile's JSON, which nobody vouches for: each is asked for with its type and range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeGuard

from torchtrt_ws.budget.wire import MAX_BYTES, shown
from torchtrt_ws.errors import ProgramError

__all__ = ["MEASURE", "ProfileFields", "no_key_twice"]

MEASURE = "Measure the program again, on this machine."
_MAX_NUMBER = 1e15  # milliseconds and bytes a second: NaN and infinity are not below it


class ProfileFields:
    """One JSON object, and the path to it for errors.

    Each reader takes a `key` and gives its value in the type it is named after. `default` stands for a key that is
    absent; every value of another type or range is a ProgramError.
    """

    def __init__(self, value: object, path: str) -> None:
        self.path = path
        if not isinstance(value, Mapping):
            raise ProgramError(path, shown(value), "a JSON object", MEASURE)
        self.value: Mapping[str, Any] = value

    def refuse(self, key: str, found: str, expected: str) -> NoReturn:
        """Raises the ProgramError for what was `found` at `key`, where something else was `expected`."""
        raise ProgramError(f"{self.path}: {key}", found, expected, MEASURE)

    def integer_or_none(self, key: str, low: int = 0) -> int | None:
        """A whole number from `low` to 2^63-1; None for null and for an absent key."""
        return None if self.value.get(key) is None else self.integer(key, low)

    def integer(self, key: str, low: int = 0) -> int:
        """A whole number from `low` to 2^63-1."""
        value = self.value.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= MAX_BYTES:
            self.refuse(key, shown(value), f"an integer from {low} to 2^63-1")
        return value

    def positive(self, key: str) -> float:
        """A number above 0."""
        value = self.value.get(key)
        if not _is_number(value) or not 0 < value <= _MAX_NUMBER:
            self.refuse(key, shown(value), "a number above 0")
        return float(value)

    def positive_or_none(self, key: str) -> float | None:
        """A number above 0; None for null and for an absent key."""
        return None if self.value.get(key) is None else self.positive(key)

    def not_negative_or_none(self, key: str) -> float | None:
        """A number, 0 or more; None for null and for an absent key."""
        value = self.value.get(key)
        return 0.0 if _is_number(value) and value == 0 else self.positive_or_none(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Text."""
        value = self.value.get(key, default)
        if not isinstance(value, str):
            self.refuse(key, shown(value), "text")
        return value

    def items(self, key: str, default: tuple[()] | None = None) -> list[ProfileFields]:
        """The objects of a list."""
        value = self.value.get(key, default)
        if not isinstance(value, list | tuple):
            self.refuse(key, shown(value), "a list of objects")
        return [ProfileFields(item, f"{self.path}: {key}[{index}]") for index, item in enumerate(value)]


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What json.loads makes of an object's `pairs`: a ValueError where a key is there twice."""
    value = dict(pairs)
    if len(value) != len(pairs):  # which of the two counts would depend on the reader
        raise ValueError("the same key twice in one object")
    return value
