"""Weight streaming budgets: what people write, what travels, and the split over engines. Pure; sizes are bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from torchtrt_ws._decimal import KEY, MAX_BYTES, encode, parse_decimal, shown
from torchtrt_ws.errors import BudgetError

__all__ = [
    "KEY",
    "MAX_BYTES",
    "PERCENT_KEY",
    "RESERVE_KEY",
    "TOTAL_KEY",
    "Auto",
    "Budget",
    "Bytes",
    "EngineSize",
    "Percent",
    "Reserve",
    "bake",
    "encode",
    "engine_key",
    "is_engine_name",
    "load_options",
    "parse",
    "parse_decimal",
    "split",
]

# Option keys beside KEY. README "Options" says what each means.
TOTAL_KEY = "weight_streaming_total_budget"
PERCENT_KEY = "weight_streaming_percent"
RESERVE_KEY = "weight_streaming_reserve"
PER_ENGINE_KEYWORD = "weight_streaming_budget_per_engine"

# 39 characters: with the key and a dot that makes 63, the longest option key (runtime/backend/options.h).
_ENGINE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,39}")

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


@dataclass(frozen=True)
class EngineSize:
    """One engine of a program, as `bake` needs to know it.

    Args:
        name: The engine's name.
        streamable_bytes: Bytes of weights that can be streamed; None if not known.
        estimated: True if `streamable_bytes` is an estimate.
    """

    name: str
    streamable_bytes: int | None
    estimated: bool = False


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


def is_engine_name(name: object) -> bool:
    """True if `name` may name an engine: 1 to 39 of A-Z a-z 0-9 _ . - (an option key holds 63 characters)."""
    return isinstance(name, str) and _ENGINE_NAME.fullmatch(name) is not None


def engine_key(engine: str) -> str:
    """The option key for one engine's budget: `weight_streaming_budget.<engine>`."""
    return f"{KEY}.{engine}"


def load_options(
    weight_streaming_budget: int | str | None = None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None = None,
    engine_names: Sequence[str] = (),
) -> dict[str, str]:
    """Turns the two keywords of `load` into the backend's load-time options.

    Args:
        weight_streaming_budget: The program's total; None leaves it to the baked value.
        weight_streaming_budget_per_engine: One value for each engine, or a mapping from engine name to bytes,
            "0%" or "100%" (None for an engine leaves it alone).
        engine_names: The program's engines.

    Returns:
        Option key to decimal string. "auto" travels as `weight_streaming_reserve` = 0, so that it beats a baked value.

    Raises:
        BudgetError: Both keywords at once, a malformed value, an unknown engine, or a form that the option for one
            engine cannot carry.
    """
    _refuse_both(weight_streaming_budget, weight_streaming_budget_per_engine)
    if weight_streaming_budget is not None:
        return _general_option(parse(weight_streaming_budget), TOTAL_KEY)
    each = weight_streaming_budget_per_engine
    if each is None:
        return {}
    if not isinstance(each, Mapping):
        return _general_option(parse(each, PER_ENGINE_KEYWORD), KEY)
    _refuse_unknown(each, engine_names)
    options = {}
    for name, value in each.items():
        if value is None:
            continue
        subject = f"{PER_ENGINE_KEYWORD}[{name!r}]"
        resident = _fixed_bytes(parse(value, subject))
        if resident is None:
            raise BudgetError(
                subject,
                repr(value),
                'a number of bytes, "0%" or "100%" (the option for one engine holds bytes)',
                "Give the other forms for all engines at once, not in a mapping.",
            )
        options[engine_key(name)] = str(resident)
    return options


def bake(
    weight_streaming_budget: int | str | None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None,
    engines: Sequence[EngineSize],
) -> dict[str, bytes | None]:
    """Turns the two keywords of `save` into each engine's compile spec.

    Args:
        weight_streaming_budget: The program's total, split over the engines by streamable size.
        weight_streaming_budget_per_engine: One value for each engine, or a mapping from engine name to value.
        engines: The program's engines, with names that are unique in it.

    Returns:
        For each engine the value of the compile spec `weight_streaming_budget`, or None where nothing is baked. Parts
        of a total never sum to more than it. "100%" bakes 2^63-1, which load clips: the size may be an estimate here.

    Raises:
        BudgetError: Both keywords at once, a malformed value, an unknown engine, "free-N" (the device is not known
            yet), or a percent or total that needs a streamable size nobody knows.
    """
    _refuse_both(weight_streaming_budget, weight_streaming_budget_per_engine)
    baked: dict[str, bytes | None] = {engine.name: None for engine in engines}
    assert len(baked) == len(engines), "engine names are unique in a program"
    each = weight_streaming_budget_per_engine
    if isinstance(each, Mapping):
        _refuse_unknown(each, list(baked))
        for engine in engines:
            subject = f"{PER_ENGINE_KEYWORD}[{engine.name!r}]"
            baked[engine.name] = _bake_one(parse(each.get(engine.name), subject), engine, subject)
        return baked
    if each is None:
        budget = parse(weight_streaming_budget)
        if isinstance(budget, Bytes) and len(engines) > 1:
            parts = split(budget.value, engines)
            return {name: None if part is None else encode(part) for name, part in parts.items()}
        subject = KEY
    else:
        budget, subject = parse(each, PER_ENGINE_KEYWORD), PER_ENGINE_KEYWORD
    return {engine.name: _bake_one(budget, engine, subject) for engine in engines}


def split(total: int, engines: Sequence[EngineSize]) -> dict[str, int | None]:
    """Splits a program's total budget over its engines, in proportion to their streamable sizes.

    Args:
        total: Bytes for the program.
        engines: The engines, each with a streamable size (an estimate will do).

    Returns:
        Bytes for each engine, None for one that is known to have nothing to stream. The parts never sum to more than
        `total`, and to exactly `total` while it is below the sum of the sizes S. From there on every engine gets S,
        never S less a remainder; what is left goes to the engines whose S is an estimate, because one byte under the
        real S costs more memory than S itself (load clips what is too much).

    Raises:
        BudgetError: An engine's streamable size is not known.
    """
    sizes: dict[str, int] = {}
    for engine in engines:
        if engine.streamable_bytes is None:
            raise BudgetError(
                KEY,
                f"a total of {total} bytes, and an engine {engine.name!r} whose streamable size is not known",
                "streamable sizes to split a total by",
                f"Use {PER_ENGINE_KEYWORD}, or give the total when the program is loaded.",
            )
        if engine.streamable_bytes > 0 or engine.estimated:
            sizes[engine.name] = engine.streamable_bytes
    streamable = sum(sizes.values())
    if total < streamable:
        parts = _proportional(total, sizes)
    else:
        estimated = {engine.name: sizes[engine.name] for engine in engines if engine.estimated}
        surplus = _proportional(total - streamable, estimated)
        parts = {name: size + surplus.get(name, 0) for name, size in sizes.items()}
    return {engine.name: parts.get(engine.name) for engine in engines}


def _proportional(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Whole parts of `total` by weight, by largest remainder: the first of equals gets the odd byte."""
    whole = sum(weights.values())
    if whole == 0:
        return dict.fromkeys(weights, 0)
    parts = {name: total * weight // whole for name, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda name: total * weights[name] % whole, reverse=True)
    for name in by_remainder[: total - sum(parts.values())]:
        parts[name] += 1
    return parts


def _bake_one(budget: Budget, engine: EngineSize, subject: str) -> bytes | None:
    if isinstance(budget, Auto):
        return None
    if isinstance(budget, Reserve):
        raise BudgetError(
            subject,
            f'"free-{budget.value}"',
            'at save: "auto", a number of bytes, or "N%" (the device, and what is free on it, is not known yet)',
            'Give "free-N" when the program is loaded.',
        )
    resident = _fixed_bytes(budget)
    if resident is None:
        assert isinstance(budget, Percent)
        if engine.streamable_bytes is None:
            raise BudgetError(
                subject,
                f'"{budget.value}%", and an engine {engine.name!r} whose streamable size is not known',
                'a number of bytes, "0%" or "100%"',
                "Give bytes, or give the percent when the program is loaded.",
            )
        resident = engine.streamable_bytes * budget.value // 100
    return encode(resident)


def _fixed_bytes(budget: Budget) -> int | None:
    """The bytes of a budget that are the same for any engine; None where they depend on it."""
    if isinstance(budget, Bytes):
        return budget.value
    if isinstance(budget, Percent) and budget.value in (0, 100):
        return MAX_BYTES if budget.value else 0
    return None


def _general_option(budget: Budget, bytes_key: str) -> dict[str, str]:
    if isinstance(budget, Auto):
        return {RESERVE_KEY: "0"}
    if isinstance(budget, Reserve):
        return {RESERVE_KEY: str(budget.value)}
    if isinstance(budget, Percent):
        return {PERCENT_KEY: str(budget.value)}
    return {bytes_key: str(budget.value)}


def _refuse_both(total: object, each: object) -> None:
    if total is not None and each is not None:
        raise BudgetError(
            KEY,
            f"both {KEY}={total!r} and {PER_ENGINE_KEYWORD}={each!r}",
            "one of the two",
            f"{KEY} is the program's total, {PER_ENGINE_KEYWORD} is for each engine: keep the one you mean.",
        )


def _refuse_unknown(names: Iterable[object], engine_names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in engine_names]
    if unknown:
        known = ", ".join(repr(name) for name in engine_names) or "none: the program has no engines"
        raise BudgetError(
            PER_ENGINE_KEYWORD,
            "no engine named " + ", ".join(repr(name) for name in unknown),
            f"names of engines in the program ({known})",
            "`torchtrt-ws inspect FILE` lists them.",
        )


def _size(subject: str, value: str, match: re.Match[str]) -> int:
    digits = match[1].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) << _UNITS[match[2]] > MAX_BYTES:
        _refuse(subject, value)
    return int(digits) << _UNITS[match[2]]


def _refuse(subject: str, value: object) -> NoReturn:
    found = shown(value) if isinstance(value, str | int) else f"{value!r:.80} ({type(value).__name__})"
    raise BudgetError(subject, found, _ACCEPTED, "Write one of these.")
