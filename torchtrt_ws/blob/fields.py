"""Fields of a JSON object that nobody vouches for: each is asked for with its type and range."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from torchtrt_ws.blob.header import MAX_STRIPPED_METADATA_SIZE
from torchtrt_ws.errors import BlobError

__all__ = ["MAX_BINDINGS", "MAX_DEPTH", "MAX_INT32", "MAX_INT64", "MAX_RANK", "Fields", "parse_object"]

MAX_BINDINGS = 4096  # and aliases, and tensors of one direction
MAX_DEPTH = 32  # of nested arrays and objects; the format itself needs 6
MAX_RANK = 8  # Dims::MAX_DIMS (NvInferRuntimeBase.h)
MAX_INT64 = 2**63 - 1
MAX_INT32 = 2**31 - 1
_DAMAGED = "The file is damaged, or was written by something else: save it again."


def parse_object(text: bytes, subject: str) -> Fields:
    """Parses JSON whose top is an object.

    Args:
        text: UTF-8 JSON.
        subject: What an error names.

    Returns:
        Its fields.

    Raises:
        BlobError: Not JSON, a key twice, nested deeper than 32, more than 4 MiB, or no object.
    """
    if len(text) > MAX_STRIPPED_METADATA_SIZE:
        raise BlobError(f"{subject}: metadata", f"{len(text)} bytes", f"at most {MAX_STRIPPED_METADATA_SIZE}", _DAMAGED)
    try:
        document = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_object,
            parse_float=_parse_float,
            parse_int=_parse_int,
            parse_constant=_refuse_constant,
        )
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are ValueErrors
        raise BlobError(f"{subject}: metadata", f"text that is no JSON ({error})", "UTF-8 JSON", _DAMAGED) from None
    except RecursionError:
        raise _too_deep(subject) from None
    _check_text_and_depth(document, subject)
    return Fields(document, subject, "metadata")


_ABSENT = object()


class Fields:
    """One JSON object, and the path to it for errors.

    Each reader takes a `key` and gives its value in the type it is named after. `default` stands for a key that is
    absent; without one, absence is a BlobError, as every value of another type or out of range is.
    """

    def __init__(self, value: Any, subject: str, path: str) -> None:
        self.value, self.subject, self.path = value, subject, path
        if not isinstance(value, dict):
            self.refuse("", value, "an object")

    def refuse(self, key: str, value: object, expected: str) -> NoReturn:
        """Raises the BlobError for the value of `key`, which is not as `expected`."""
        shown = "nothing" if value is _ABSENT else json.dumps(value)
        self.fail(key, shown if len(shown) <= 80 else f"{shown[:80]}...", expected)

    def fail(self, key: str, found: str, expected: str, next_step: str = _DAMAGED) -> NoReturn:
        """Raises the BlobError for `key` in the caller's words: `found`, `expected`, `next_step`."""
        where = f"{self.path}.{_shown(key)}" if key else self.path
        raise BlobError(f"{self.subject}: {where}", found, expected, next_step)

    def string(self, key: str, default: str | None = None, empty: bool = True) -> str:
        """Text without NUL; `empty` says whether it may be ""."""
        value = self._get(key, default)
        if not isinstance(value, str) or "\0" in value or not (value or empty):  # NUL: names go into C strings
            self.refuse(key, value, f"a string without NUL{'' if empty else ', not empty'}")
        return value

    def boolean(self, key: str, default: bool | None = None) -> bool:
        """True or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            self.refuse(key, value, "true or false")
        return value

    def integer(self, key: str, low: int, high: int, default: int | None = None) -> int:
        """A whole number from `low` to `high`, both included."""
        value = self._get(key, default)
        if not _is_int(value) or not low <= value <= high:
            self.refuse(key, value, f"an integer from {low} to {high}")
        return int(value)

    def size_or_null(self, key: str) -> int | None:
        """Bytes, or None for null and for an absent key."""
        return None if self.value.get(key) is None else self.integer(key, 0, MAX_INT64)

    def dims(self, key: str, low: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        """A shape of at most 8 dimensions, each `low` or more."""
        value = self._get(key, default)
        if (
            not isinstance(value, list | tuple)
            or len(value) > MAX_RANK
            or not all(_is_int(d) and low <= d <= MAX_INT64 for d in value)
        ):
            self.refuse(key, value, f"a list of at most {MAX_RANK} integers from {low} to {MAX_INT64}")
        return tuple(value)

    def child(self, key: str) -> Fields:
        """The object at `key`."""
        return Fields(self._get(key, None), self.subject, f"{self.path}.{_shown(key)}")

    def items(self, key: str, default: tuple[()] | None = None) -> list[Fields]:
        """The objects of a list, at most 4096."""
        value = self._get(key, default)
        if not isinstance(value, list | tuple):
            self.refuse(key, value, "a list of objects")
        if len(value) > MAX_BINDINGS:
            self.fail(key, f"{len(value)} entries", f"at most {MAX_BINDINGS}")
        return [Fields(item, self.subject, f"{self.path}.{key}[{index}]") for index, item in enumerate(value)]

    def _get(self, key: str, default: Any) -> Any:
        return self.value.get(key, _ABSENT if default is None else default)


def _shown(key: str) -> str:
    """A key for a message: it may be the name of a tensor, which is foreign text."""
    text = json.dumps(key)[1:-1]
    return text if len(text) <= 64 else f"{text[:64]}..."


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):  # which of the two counts would depend on the reader
        raise ValueError("the same key twice in one object")
    return value


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number past the range of a double")
    return value


def _parse_int(text: str) -> int | float:
    """Past 64 bits a float: a known key then refuses it, and an unknown one may hold it."""
    return int(text) if len(text) <= 20 else _parse_float(text)


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text}, which is not JSON")


def _check_text_and_depth(document: object, subject: str) -> None:
    """Lone surrogates and deep nesting pass Python's JSON reader, but not the C++ one: both refuse the same blobs."""
    level, depth = [document], 0
    while level:
        below: list[object] = []
        for value in level:
            if isinstance(value, dict | list) and depth == MAX_DEPTH:
                raise _too_deep(subject)
            if isinstance(value, dict):
                below.extend(value)
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
                raise BlobError(f"{subject}: metadata", "a lone surrogate", "UTF-8 text", _DAMAGED)
        level, depth = below, depth + 1


def _too_deep(subject: str) -> BlobError:
    return BlobError(f"{subject}: metadata", f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH}", _DAMAGED)
