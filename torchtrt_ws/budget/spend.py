"""What is derived from a total or a percent, spent by a profile: bytes for each engine, as load-time options."""

from __future__ import annotations

from collections.abc import Mapping

from torchtrt_ws.budget.grammar import Budget, Bytes, Percent, parse
from torchtrt_ws.budget.keywords import PER_ENGINE_KEYWORD
from torchtrt_ws.budget.latency import milliseconds_at, snap, split_by_latency
from torchtrt_ws.budget.profile import EngineProfile
from torchtrt_ws.budget.wire import KEY, engine_key
from torchtrt_ws.errors import BudgetError

__all__ = [
    "SPLITS",
    "check_split",
    "derived_form",
    "engine_options",
    "is_automatic",
    "milliseconds",
    "settled",
    "spend",
]

SPLITS = ("latency", "proportional")  # what `split=` takes


def check_split(split: str | None, each: object, profile: object) -> None:
    """Refuses a split that is unknown, or that has nothing to split.

    Args:
        split: "latency", "proportional" or None.
        each: What was given for each engine: `weight_streaming_budget_per_engine`.
        profile: The profile that was given, None for none.

    Raises:
        BudgetError: Another word; "latency" with a budget for each engine; "proportional" with a profile.
    """
    if split is not None and split not in SPLITS:
        accepted = " or ".join(f'"{word}"' for word in SPLITS)
        raise BudgetError("split", repr(split), accepted, "Leave it out for the proportional split.")
    if split == "latency" and each is not None:
        next_step = f"Give {KEY}, or leave the split out."
        raise BudgetError("split", f'"latency" and {PER_ENGINE_KEYWORD}', "a total to split", next_step)
    if split == "proportional" and profile is not None:
        raise BudgetError("split", '"proportional" and a profile', 'the profile with "latency", or no split', "")


def derived_form(budget: int | str | None, each: object, split: str | None, engines: int) -> Budget | None:
    """The form that budgets are derived from; None where bytes are given, which are applied as asked.

    Args:
        budget: `weight_streaming_budget`.
        each: `weight_streaming_budget_per_engine`.
        split: As for `check_split`.
        engines: How many the program has: the total of a single one is its bytes, unless it is to be split.

    Raises:
        BudgetError: A malformed value.
    """
    if isinstance(each, Mapping):
        return None
    if each is not None:
        assert isinstance(each, int | str)
        form = parse(each, PER_ENGINE_KEYWORD)
        return None if isinstance(form, Bytes) else form
    form = parse(budget)
    return None if isinstance(form, Bytes) and engines == 1 and split is None else form


def settled(form: Bytes | Percent, engines: Mapping[str, EngineProfile]) -> tuple[int, dict[str, int]]:
    """What a total or a percent comes to without a profile, by the rules of the delegate's `resolve()`.

    Args:
        form: The program's total, or a percent of each engine.
        engines: Engine name to its profile.

    Returns:
        The total in bytes; and bytes for each engine: in proportion to streamable bytes, and all of these where the
        part and the scratch would take no less.
    """
    whole = sum(engine.streamable_bytes for engine in engines.values())
    total, of = (form.value, whole) if isinstance(form, Bytes) else (whole * form.value // 100, 100)
    parts = {}
    for name, engine in engines.items():
        streamable = engine.streamable_bytes
        part = streamable if form.value >= of else streamable * form.value // of
        parts[name] = streamable if part >= streamable - engine.scratch_bytes else part
    return total, parts


def spend(
    total: int, plain: Mapping[str, int], engines: Mapping[str, EngineProfile], split: str | None
) -> dict[str, int]:
    """Spends a total by the profile.

    Args:
        total: Bytes for all engines.
        plain: What each would get without the profile. It may sum to more than `total`: full residency where that takes
            less of the device than the part with its scratch.
        engines: Engine name to its profile; the names of `plain`.
        split: "latency": where it saves the most time. None: as `plain`, less what buys nothing.

    Returns:
        Bytes for each engine: at most `total` in sum, or as `plain` at most. By the profile no slower than `plain`, but
        for the tolerance of `snap`.
    """
    snapped = {name: snap(part, engines[name].points) for name, part in plain.items()}
    if split != "latency":
        return snapped
    best = split_by_latency(total, {name: engine.points for name, engine in engines.items()})
    # Only what needs more than the total can be faster: full residency instead of a part just under it.
    return best if milliseconds(best, engines) <= milliseconds(snapped, engines) else snapped


def milliseconds(parts: Mapping[str, int], engines: Mapping[str, EngineProfile]) -> float:
    """What one call of each engine takes by the profile, all together.

    Args:
        parts: Engine name to bytes.
        engines: Engine name to its profile.
    """
    return sum(milliseconds_at(part, engines[name].points) for name, part in parts.items())


def engine_options(parts: Mapping[str, int]) -> dict[str, str]:
    """Turns bytes for each engine into the backend's options.

    Args:
        parts: Engine name to bytes.

    Returns:
        Option key to decimal string.
    """
    return {engine_key(name): str(part) for name, part in parts.items()}


def is_automatic(form: Budget | None) -> bool:
    """True if the device decides what `form` comes to: "auto", "free-N", and a budget that was not given."""
    return form is not None and not isinstance(form, Bytes | Percent)
