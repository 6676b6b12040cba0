"""The two budget keywords of `save` and `load`, as what travels: compile specs and load-time options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torchtrt_ws.budget.grammar import Auto, Budget, Bytes, Percent, Reserve, parse
from torchtrt_ws.budget.split import EngineSize, split
from torchtrt_ws.budget.wire import KEY, MAX_BYTES, PERCENT_KEY, RESERVE_KEY, TOTAL_KEY, encode, engine_key
from torchtrt_ws.errors import BudgetError

__all__ = ["PER_ENGINE_KEYWORD", "bake", "load_options"]

PER_ENGINE_KEYWORD = "weight_streaming_budget_per_engine"


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
