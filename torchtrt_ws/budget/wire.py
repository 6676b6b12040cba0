"""A budget as it travels, in options and compile specs: its keys, and ASCII decimal digits."""

from __future__ import annotations

import re

from torchtrt_ws.errors import BudgetError

__all__ = [
    "KEY",
    "MARGIN_KEY",
    "MAX_BYTES",
    "PERCENT_KEY",
    "RESERVE_KEY",
    "TOTAL_KEY",
    "encode",
    "engine_key",
    "is_budget_key",
    "parse_decimal",
    "shown",
]

VARIABLE = "TORCHTRT_WS_WEIGHT_STREAMING_BUDGET"  # of the environment, for loads that say nothing

# docs/guide/budgets.md "Options" says what each means.
KEY = "weight_streaming_budget"  # the option for each engine, and the baked compile spec
TOTAL_KEY = "weight_streaming_total_budget"
PERCENT_KEY = "weight_streaming_percent"
RESERVE_KEY = "weight_streaming_reserve"
MARGIN_KEY = "weight_streaming_margin"  # no budget: it may stand beside one
MAX_BYTES = 2**63 - 1  # int64, as ICudaEngine::setWeightStreamingBudgetV2 takes it (NvInferRuntime.h)
_DECIMAL_FORM = re.compile(rb"[0-9]+")


def parse_decimal(value: bytes | bytearray | memoryview | str, subject: str = KEY) -> int:
    """Reads a budget as it travels: ASCII decimal digits, [0, 2^63), nothing else. The C++ twin reads the same.

    Args:
        value: The bytes of a compile spec, or the text of an option. Not NUL-terminated.
        subject: The key that an error names.

    Returns:
        Bytes (or the percent, for `weight_streaming_percent`).

    Raises:
        BudgetError: Empty, a sign, a space, a suffix, a NUL, trailing bytes, or 2^63 and more.

    Source:
        tests/budget/decimal_cases.json, read by both languages.
    """
    raw = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    if _DECIMAL_FORM.fullmatch(raw):
        digits = raw.lstrip(b"0") or b"0"
        if len(digits) <= 19 and int(digits) <= MAX_BYTES:  # 2^63-1 has 19 digits
            return int(digits)
    raise BudgetError(
        subject,
        shown(raw),
        "decimal digits only, from 0 to 9223372036854775807 (2^63-1)",
        "Write bytes without sign, space or suffix; sizes such as 1GiB are for the Python and CLI keywords.",
    )


def encode(value: int) -> bytes:
    """Writes a budget as it travels.

    Args:
        value: Bytes, [0, 2^63).

    Returns:
        ASCII decimal digits, not NUL-terminated: the value of the compile spec `weight_streaming_budget`.

    Raises:
        BudgetError: Not an integer, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_BYTES:
        raise BudgetError(KEY, repr(value), "an integer from 0 to 2^63-1", "Give bytes.")
    return b"%d" % value


def engine_key(engine: str) -> str:
    """The option key for one engine's budget: `weight_streaming_budget.<engine>`."""
    return f"{KEY}.{engine}"


def is_budget_key(key: str) -> bool:
    """True if `key` is an option key of a budget, one for a single engine among them, or of the margin; or VARIABLE."""
    names = (KEY, TOTAL_KEY, PERCENT_KEY, RESERVE_KEY, MARGIN_KEY, VARIABLE)
    return key in names or key.startswith(engine_key(""))


def shown(value: object) -> str:
    """`repr` of `value`, but not of a megabyte, and not of more digits than Python converts."""
    if isinstance(value, int) and abs(value) > 2**200:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value[:80] if isinstance(value, str | bytes) else value)
    return f"{text}... ({len(value)} long)" if isinstance(value, str | bytes) and len(value) > 80 else text
