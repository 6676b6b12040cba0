"""The two budget keywords of `save` and `load`, as what travels: compile specs and load-time options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torchtrt_ws.budget.grammar import (
    AT_LOAD,
    AT_SAVE,
    FOR_ONE_AT_LOAD,
    Auto,
    Budget,
    Bytes,
    Percent,
    Reserve,
    parse,
)
from torchtrt_ws.budget.split import EngineSize, split
from torchtrt_ws.budget.wire import (
    KEY,
    MAX_BYTES,
    PERCENT_KEY,
    RESERVE_KEY,
    TOTAL_KEY,
    encode,
    engine_key,
)
from torchtrt_ws.errors import BudgetError

__all__ = [
    "PER_ENGINE_KEYWORD",
    "bake",
    "change_options",
    "for_shared_weights",
    "load_options",
    "program_change_options",
    "without_effect",
]

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
        engine_names: The program's engines. The total of a single one travels as that engine's bytes: they are the
            same, and a file without our metadata does not tell the delegate that it has one engine.

    Returns:
        Option key to decimal string. "auto" travels as `weight_streaming_reserve` = 0, so that it beats a baked value.

    Raises:
        BudgetError: Both keywords at once, a malformed value, an unknown engine, or a form that the option for one
            engine cannot carry.
    """
    _refuse_both(weight_streaming_budget, weight_streaming_budget_per_engine)
    if weight_streaming_budget is not None:
        return _general_option(parse(weight_streaming_budget), KEY if len(engine_names) == 1 else TOTAL_KEY)
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
        resident = _fixed_bytes(parse(value, subject, FOR_ONE_AT_LOAD))
        if resident is None:
            raise BudgetError(
                subject,
                repr(value),
                FOR_ONE_AT_LOAD,
                "Give the other forms for all engines at once, not in a mapping.",
            )
        options[engine_key(name)] = str(resident)
    return options


def program_change_options(
    weight_streaming_budget: int | str | None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None,
    engine_names: Sequence[str],
) -> dict[str, str]:
    """Turns the budget of a live program into the backend's options.

    Args:
        weight_streaming_budget: As for `load_options`.
        weight_streaming_budget_per_engine: As for `load_options`.
        engine_names: As for `load_options`.

    Returns:
        Option key to decimal string; never empty.

    Raises:
        BudgetError: As `load_options`; and nothing at all: None, or a mapping without a value.
    """
    options = load_options(weight_streaming_budget, weight_streaming_budget_per_engine, engine_names)
    if not options:
        raise BudgetError(
            KEY if weight_streaming_budget_per_engine is None else PER_ENGINE_KEYWORD,
            "no budget",
            AT_LOAD,
            'Give the budget to change to; "auto" for the automatic one.',
        )
    return options


def change_options(value: int | str) -> dict[str, str]:
    """Turns the budget of one live engine into the backend's options.

    Args:
        value: The engine's budget; as `load_options` takes one value for each engine.

    Returns:
        Option key to decimal string.

    Raises:
        BudgetError: A malformed value; None and a mapping among them.
    """
    if value is None or isinstance(value, Mapping):
        raise BudgetError("budget", repr(value), AT_LOAD, 'Give this engine\'s budget; "auto" for its own choice.')
    return _general_option(parse(value, "budget"), KEY)


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
        For each engine the value of the compile spec `weight_streaming_budget`, or None where nothing is baked: the
        budget is automatic, or the engine is known to have nothing to stream (`without_effect` names those). Parts
        of a total never sum to more than it, engines on the same weights counted once. "100%" bakes 2^63-1, which load
        clips: the size may be an estimate here. Engines that are `whole` get all or nothing of what is derived: of a
        total or a percent of the program all if it fits (as 2^63-1), of a percent for each engine all.

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
        each = for_shared_weights(each, engines)
        for engine in engines:
            subject = f"{PER_ENGINE_KEYWORD}[{engine.name!r}]"
            baked[engine.name] = _bake_one(parse(each.get(engine.name), subject, AT_SAVE), engine, subject)
        return baked
    if each is None:
        budget = parse(weight_streaming_budget, KEY, AT_SAVE)
        if isinstance(budget, Percent) and any(engine.whole for engine in engines) and 0 < budget.value < 100:
            budget = Bytes(_of_all(budget, engines))
        if isinstance(budget, Bytes) and len(engines) > 1:
            parts = split(budget.value, engines)
            return {engine.name: _bake_part(parts[engine.name], engine) for engine in engines}
        subject = KEY
    else:
        budget, subject = parse(each, PER_ENGINE_KEYWORD, AT_SAVE), PER_ENGINE_KEYWORD
    return {engine.name: _bake_one(budget, engine, subject) for engine in engines}


def for_shared_weights(
    budgets: Mapping[str, int | str | None], engines: Sequence[EngineSize]
) -> dict[str, int | str | None]:
    """Budgets by engine name, with those that follow: engines on the same weights have one budget.

    Args:
        budgets: Engine name to value.
        engines: The program's engines.

    Returns:
        The same, and the value for each engine on the weights of one that is named.

    Raises:
        BudgetError: Two values for the same weights.
    """
    named: dict[str, str] = {}
    for engine in engines:
        if engine.name not in budgets:
            continue
        first = named.setdefault(engine.weights_of or engine.name, engine.name)
        if first == engine.name:
            continue
        one, other = (parse(budgets[name], f"{PER_ENGINE_KEYWORD}[{name!r}]") for name in (first, engine.name))
        if one != other:
            raise BudgetError(
                PER_ENGINE_KEYWORD,
                f"{budgets[first]!r} for {first!r} and {budgets[engine.name]!r} for {engine.name!r}",
                "one value: they are the same engine, whose weights are there once",
                f"Name one of them: {first!r} or {engine.name!r}.",
            )
    follow = {each.name: named.get(each.weights_of or each.name) for each in engines}
    return {**budgets, **{name: budgets[first] for name, first in follow.items() if first is not None}}


def without_effect(
    weight_streaming_budget: int | str | None,
    weight_streaming_budget_per_engine: int | str | Mapping[str, int | str | None] | None,
    engines: Sequence[EngineSize],
) -> list[str]:
    """The engines that a budget was given for and that are known to have nothing to stream: nothing is baked for them.

    Args:
        weight_streaming_budget: As for `bake`.
        weight_streaming_budget_per_engine: As for `bake`.
        engines: As for `bake`, which has taken them with these keywords.

    Returns:
        Their names.
    """
    each = weight_streaming_budget_per_engine
    given = for_shared_weights(each, engines) if isinstance(each, Mapping) else {}
    general = weight_streaming_budget if each is None else None if isinstance(each, Mapping) else each
    budgets = {engine.name: parse(given.get(engine.name, general)) for engine in engines if engine.is_resident}
    return [name for name, budget in budgets.items() if not isinstance(budget, Auto)]


def _bake_one(budget: Budget, engine: EngineSize, subject: str) -> bytes | None:
    if isinstance(budget, Auto):
        return None
    if isinstance(budget, Reserve):
        raise BudgetError(
            subject,
            f'"free-{budget.value}"',
            f"at save: {AT_SAVE}",
            'Give "free-N" when the program is loaded: the device, and what is free on it, is not known yet.',
        )
    if engine.is_resident:
        return None
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
        resident = MAX_BYTES if engine.whole else engine.streamable_bytes * budget.value // 100
    return encode(resident)


def _bake_part(part: int | None, engine: EngineSize) -> bytes | None:
    """A part of a total. All of an engine that is `whole` is baked as such: its size is an estimate here, and one byte
    less than all of it would cost as much again."""
    if part is None:
        return None
    return encode(MAX_BYTES if engine.whole and part and part == engine.streamable_bytes else part)


def _of_all(budget: Percent, engines: Sequence[EngineSize]) -> int:
    """A percent of a program, in bytes."""
    for engine in engines:
        _bake_one(budget, engine, KEY)  # refuses sizes that nobody knows
    return sum(each.streamable_bytes or 0 for each in engines if each.weights_of is None) * budget.value // 100


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
