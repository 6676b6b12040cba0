"""A program's total budget, split over its engines by their streamable size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchtrt_ws.budget.wire import KEY
from torchtrt_ws.errors import BudgetError

__all__ = ["EngineSize", "split"]


@dataclass(frozen=True)
class EngineSize:
    """One engine of a program, as `bake` needs to know it.

    Args:
        name: The engine's name.
        streamable_bytes: Bytes of weights that can be streamed; None if not known.
        estimated: True if `streamable_bytes` is an estimate.
        weights_of: The engine whose weights it runs on, which has a budget for both; None for its own.
        whole: True if it is one weight, more or less: its scratch is then as large as that, and a budget between 0 and
            all of it takes more of the device than all of it.
    """

    name: str
    streamable_bytes: int | None
    estimated: bool = False
    weights_of: str | None = None
    whole: bool = False

    @property
    def is_resident(self) -> bool:
        """True if it is known that nothing of the engine can be streamed."""
        return self.streamable_bytes == 0 and not self.estimated


def split(total: int, engines: Sequence[EngineSize]) -> dict[str, int | None]:
    """Splits a program's total budget over its engines, in proportion to their streamable sizes.

    Args:
        total: Bytes for the program.
        engines: The engines, each with a streamable size (an estimate will do).

    Returns:
        Bytes for each engine, None for one that is known to have nothing to stream. Engines on the same weights have
        the same part, which counts once. The parts never sum to more than `total`, and to exactly `total` while it is
        below the sum of the sizes S. From there on every engine gets S, never S less a remainder; what is left goes to
        the engines whose S is an estimate, because one byte under the real S costs more memory than S itself (load
        clips what is too much). Engines that are `whole` come first: S or nothing, and what the others cannot use is
        left over then.

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
                "Use weight_streaming_budget_per_engine, or give the total when the program is loaded.",
            )
        if not engine.is_resident and engine.weights_of is None:
            sizes[engine.name] = engine.streamable_bytes
    streamable = sum(sizes.values())
    if total < streamable:
        whole = {each.name for each in engines if each.whole and each.name in sizes}
        parts: dict[str, int] = {}
        for name in sorted(whole, key=sizes.__getitem__):
            parts[name] = sizes[name] if sizes[name] <= total - sum(parts.values()) else 0
        others = {name: size for name, size in sizes.items() if name not in whole}
        parts |= _proportional(min(total - sum(parts.values()), sum(others.values())), others)
    else:
        estimated = {each.name: sizes[each.name] for each in engines if each.estimated and each.name in sizes}
        surplus = _proportional(total - streamable, estimated)
        parts = {name: size + surplus.get(name, 0) for name, size in sizes.items()}
    return {engine.name: parts.get(engine.weights_of or engine.name) for engine in engines}


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
