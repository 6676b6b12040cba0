"""Weight streaming budgets: what people write, what travels, and the split over engines. Pure; sizes are bytes."""

from torchtrt_ws.budget.grammar import Auto, Budget, Bytes, Percent, Reserve, parse
from torchtrt_ws.budget.keywords import PER_ENGINE_KEYWORD, bake, change_options, load_options, without_effect
from torchtrt_ws.budget.split import EngineSize, split
from torchtrt_ws.budget.wire import (
    KEY,
    MAX_BYTES,
    PERCENT_KEY,
    RESERVE_KEY,
    TOTAL_KEY,
    encode,
    engine_key,
    parse_decimal,
)

__all__ = [
    "KEY",
    "MAX_BYTES",
    "PERCENT_KEY",
    "PER_ENGINE_KEYWORD",
    "RESERVE_KEY",
    "TOTAL_KEY",
    "Auto",
    "Budget",
    "Bytes",
    "EngineSize",
    "Percent",
    "Reserve",
    "bake",
    "change_options",
    "encode",
    "engine_key",
    "load_options",
    "parse",
    "parse_decimal",
    "split",
    "without_effect",
]
